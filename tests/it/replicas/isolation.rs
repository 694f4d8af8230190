//! A sick provider delays only itself: once nothing else is broken any more, people lose their sessions at the providers
//! that are well about as fast beside the sick ones as while those are paused.

use std::time::Duration;

use fastrand::Rng;
use sever::audit::Actor;
use sever::clock::{Clock, SystemClock};
use sever::store::{Operations, PostgresStore};

use super::load::{Kind, Sent, burst};
use super::scene::Scene;
use crate::support::broker::until;

const PEOPLE: usize = 50;
const HEALTHY: [&str; 2] = ["okta", "chat"];
const SICK: [&str; 3] = ["busy", "gone", "liar"];

/// Jobs at five providers instead of two are more work for a machine, though most of theirs is waiting. Where all of them
/// shared their seats, the well took 2.6 times as long beside the sick, and 43 s more.
const TIMES: u32 = 2;
/// On top: polling, and retries that fall due by the clock.
const SPARE: Duration = Duration::from_secs(5);
/// Other work on the machine may slow down any one round; waiting for the sick slows down all of them.
const ROUNDS: usize = 3;

/// Answers what is worth knowing of it.
pub(super) async fn judge(scene: &Scene, store: &PostgresStore, random: &mut Rng) -> String {
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let alone = alone(scene, store, random).await;
        scene.worsen();
        let beside = round(scene, random, Kind::Everywhere).await;
        scene.relieve();
        rounds.push((alone, beside));
        if beside <= alone * TIMES + SPARE {
            return format!(
                "{PEOPLE} people lost their sessions at {HEALTHY:?} alone and beside the sick in {rounds:?}"
            );
        }
    }
    panic!(
        "{PEOPLE} people lost their sessions at {HEALTHY:?} alone and beside the sick in {rounds:?}: they waited for those"
    );
}

/// How long it takes while nobody works at the sick.
async fn alone(scene: &Scene, store: &PostgresStore, random: &mut Rng) -> Duration {
    for name in SICK {
        let provider = name.parse().expect("a name");
        store.pause(Some(provider), Actor::operator("test"), String::new()).await.expect("paused");
    }
    let took = round(scene, random, Kind::Ordinary).await;
    for name in SICK {
        let provider = name.parse().expect("a name");
        store.resume(Some(provider), Actor::operator("test")).await.expect("resumed");
    }
    took
}

async fn round(scene: &Scene, random: &mut Rng, kind: Kind) -> Duration {
    let clock = SystemClock::new();
    let began = clock.steady();
    let sent = burst(scene, random, kind, PEOPLE).await;
    let ended = |sent: &Sent| HEALTHY.iter().all(|provider| scene.sessions_of(provider, &sent.accounts[provider]) == 0);
    until("everybody loses their sessions at the providers that are well", async || {
        sent.iter().all(ended).then_some(())
    })
    .await;
    Duration::try_from(clock.steady() - began).unwrap_or_default()
}
