//! A sick provider delays only itself: once nothing else is broken any more, people lose their sessions at the providers
//! that are well long before the one that throttles is through, however many of their jobs wait at those that are sick.

use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use sever::clock::{Clock, SystemClock};

use super::load::{Sent, everywhere};
use super::scene::Scene;
use crate::support::broker::until;

const PEOPLE: usize = 50;
/// So few calls a second that the throttling provider needs a minute for half of them, which takes four calls each. A
/// machine on which those who are well need as long is no use for this.
const TRICKLE: u32 = 1;
/// As if there was no limit.
const FLOOD: u32 = 1000;
const HEALTHY: [&str; 2] = ["okta", "chat"];

/// Answers what is worth knowing of it.
pub(super) async fn judge(scene: &Scene, random: &mut Rng) -> String {
    scene.limit_busy(TRICKLE);
    let clock = SystemClock::new();
    let began = clock.steady();
    let senders = (0..PEOPLE).map(|_| random.fork()).map(async |mut random| everywhere(scene, &mut random).await);
    let sent = join_all(senders).await;
    let ended = |provider: &str| sent.iter().filter(|sent| is_signed_out(scene, sent, provider)).count();
    until("everybody loses their sessions at the providers that are well", async || {
        HEALTHY.iter().all(|provider| ended(provider) == PEOPLE).then_some(())
    })
    .await;
    let (took, busy) = (Duration::try_from(clock.steady() - began).unwrap_or_default(), ended("busy"));
    assert!(
        2 * busy < PEOPLE,
        "the last of {PEOPLE} people lost their sessions at {HEALTHY:?} after {took:?}, when the provider that throttles \
         had ended those of {busy} already: they have waited for it"
    );
    scene.limit_busy(FLOOD);
    format!(
        "{PEOPLE} people lost their sessions at {HEALTHY:?} within {took:?}, and {busy} of them at the one that throttles"
    )
}

fn is_signed_out(scene: &Scene, sent: &Sent, provider: &str) -> bool {
    scene.sessions_of(provider, &sent.accounts[provider]) == 0
}
