//! Three replicas on one PostgreSQL under load, while every part of it dies, hangs and comes back: replicas, the database,
//! the broker, and each replica's ways to both. Providers of every temper stand beside each other: two are well, one is
//! down, one throttles, one lies.
//!
//! Which faults strike and when is drawn from a seed, which is printed; `SEVER_TEST_SEED` repeats a run as far as the machine
//! does. `SEVER_TEST_FAULT_SECONDS` sets how long faults last: with 600, replicas also hang, and lose their ways, for longer
//! than their leases.

mod faults;
mod isolation;
mod load;
mod network;
mod scene;
mod verdict;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sever::clock::{Clock, SystemClock};
use sever::store::PostgresStore;
use sever::telemetry::Metrics;

use faults::Faults;
use scene::Scene;
use verdict::{Found, read};

/// Faults last so long in a run of every test.
const FAULTS_LAST: Duration = Duration::from_secs(25);
/// For the leases of the dead, which last a minute, and for whatever waits behind them on a busy machine.
const DRAIN: Duration = Duration::from_secs(240);

#[expect(clippy::disallowed_methods, reason = "whoever runs it by hand chooses the seed and how long it takes")]
fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

#[expect(clippy::print_stdout, reason = "without the seed nobody could repeat the run; the figures are worth keeping")]
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn three_replicas_keep_every_promise_under_faults() {
    let seed = number("SEVER_TEST_SEED").unwrap_or_else(|| fastrand::u64(..));
    let lasts = number("SEVER_TEST_FAULT_SECONDS").map_or(FAULTS_LAST, Duration::from_secs);
    println!("SEVER_TEST_SEED={seed} SEVER_TEST_FAULT_SECONDS={}", lasts.as_secs());
    let scene = Scene::start().await;
    let faults = Faults::new(seed, lasts);
    let senders = (0..load::SENDERS).map(|number| load::send(&scene, &faults, faults.random(100 + number)));
    let (servers, _) = tokio::join!(faults.strike(&scene), join_all(senders));
    println!("{faults}");
    let (url, clock) = (scene.database(), Arc::new(SystemClock::new()));
    let store = PostgresStore::open(&url, clock, Arc::new(Metrics::new())).await.expect("the store");
    println!("{}", isolation::judge(&scene, &store, &mut faults.random(40)).await);
    let sent = scene.sent.lock().await.clone();
    println!("{} alerts acknowledged", sent.len());
    let found = drain(&scene, &store, &sent).await;
    for server in servers {
        let log = server.log_handle();
        let (status, _) = tokio::task::spawn_blocking(|| server.terminate()).await.expect("ended");
        assert_eq!(status, Some(0), "{:?}", log.lock().expect("the log").iter().rev().take(20).collect::<Vec<_>>());
    }
    scene.assert_all_taken().await;
    // Whatever came late shows now.
    let (calls, jobs) = (verdict::count(&scene), read(&store).await);
    let seen = verdict::judge(&scene, &sent, &calls, &jobs);
    println!("{}; {} lost", verdict::figures(&sent, &calls, &jobs), seen.waiting.len());
    assert_eq!(seen.waiting, [""; 0], "it was so before: {found:?}");
    assert_eq!(seen.broken, [""; 0]);
    verdict::judge_repeats(&store, &jobs, faults.count()).await;
    verdict::judge_record(&scene, &store).await;
}

/// Waits until everything is done that can be.
async fn drain(scene: &Scene, store: &PostgresStore, sent: &[load::Sent]) -> Found {
    let clock = SystemClock::new();
    let began = clock.steady();
    loop {
        let (calls, jobs) = (verdict::count(scene), read(store).await);
        let found = verdict::judge(scene, sent, &calls, &jobs);
        assert_eq!(found.broken, [""; 0]);
        if found.waiting.is_empty() {
            return found;
        }
        let took = Duration::try_from(clock.steady() - began).unwrap_or_default();
        let first: Vec<_> = found.waiting.iter().take(10).collect();
        assert!(took < DRAIN, "{} are still open, the first of them: {first:#?}", found.waiting.len());
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}
