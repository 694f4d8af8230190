//! Replicas whose clocks are minutes apart: the server's decides.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use sever::clock::{Clock, SystemClock};
use sever::domain::{Next, Outcome};
use sever::store::{CircuitWait, ClaimRequest, JobStore, PostgresStore, Store, StoreError};
use sever::telemetry::Metrics;

use crate::support::postgres::{Schema, run};
use crate::support::store::{Mail, name, okta, settlement};

/// A machine whose clock is off by so much.
#[derive(Debug)]
struct Off(SystemClock, SignedDuration);

impl Off {
    fn by(minutes: i64) -> Arc<Self> {
        Arc::new(Self(SystemClock::new(), SignedDuration::from_mins(minutes)))
    }
}

impl Clock for Off {
    fn now(&self) -> Timestamp {
        self.0.now() + self.1
    }

    fn steady(&self) -> Timestamp {
        self.0.steady() + self.1
    }
}

fn open(schema: &Schema, clock: &Arc<Off>) -> PostgresStore {
    run(PostgresStore::open(&schema.parsed(), clock.clone(), Arc::new(Metrics::new()))).expect("a store")
}

const SHORT: Duration = Duration::from_secs(3);

async fn claim(store: &PostgresStore) -> Vec<sever::domain::Claim> {
    store.claim(ClaimRequest { provider: name("okta"), limit: 1, lease: SHORT }).await.expect("claims")
}

/// Claims as soon as that is possible, and tells how long it took.
async fn wait_to_claim(store: &PostgresStore) -> (sever::domain::Claim, Duration) {
    let began = SystemClock::new();
    let from = began.steady();
    for _ in 0..600 {
        if let Some(claim) = claim(store).await.pop() {
            return (claim, Duration::try_from(began.steady() - from).unwrap_or_default());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing was due for half a minute");
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_ten_minutes_apart_change_no_lease_and_no_due_time() {
    let schema = Schema::new();
    let (late, early) = (Off::by(-5), Off::by(5));
    let (behind, ahead) = (open(&schema, &late), open(&schema, &early));
    behind.admit(Mail::new("d").alert("a", [okta("ana@example.com")]).admission(late.now())).await.expect("a receipt");

    let first = claim(&ahead).await.pop().expect("what one stores is due at once for the other");
    let left = first.lease_until.duration_since(early.steady());
    assert!(left <= SignedDuration::from_secs(3) && left > SignedDuration::from_secs(-25), "by its own clock: {left}");
    let age = early.steady().duration_since(first.created_at);
    assert!(age.abs() < SignedDuration::from_secs(60), "an age is an age everywhere: {age}");

    let (second, waited) = wait_to_claim(&behind).await;
    assert!(waited > Duration::from_secs(1), "a live lease was taken over after {waited:?}");
    assert_eq!((second.job, second.attempt), (first.job, 2));
    let stale = ahead.settle(&first, &settlement(&first, Next::Done(Outcome::Confirmed))).await;
    assert!(matches!(stale, Err(StoreError::LeaseLost)), "{stale:?}");

    let due_at = late.steady() + Duration::from_secs(3);
    behind.settle(&second, &settlement(&second, Next::Retry { due_at, failed: true })).await.expect("settled");
    let (third, waited) = wait_to_claim(&ahead).await;
    assert_eq!(third.job, first.job);
    assert!(waited > Duration::from_secs(1), "a wait of 3 s ended after {waited:?}");
    let due = behind.backlog().await.expect("a backlog").oldest_due;
    assert!(due.iter().all(|(_, age)| *age < Duration::from_secs(60)), "{due:?}");
    assert_eq!(behind.gates().await.expect("gates"), []);
}

#[tokio::test(flavor = "multi_thread")]
async fn clocks_that_are_ten_minutes_apart_change_no_wait_for_a_provider() {
    let schema = Schema::new();
    let (late, early) = (Off::by(-5), Off::by(5));
    let (behind, ahead) = (open(&schema, &late), open(&schema, &early));
    let wait = CircuitWait { first: Duration::from_secs(40), longest: Duration::from_secs(40) };
    behind.open_circuit(&name("okta"), None, "503".to_owned(), wait).await.expect("opened");
    assert_eq!(ahead.try_circuit(&name("okta"), SHORT).await.expect("an answer"), None, "it is not time");
    for (store, clock) in [(&behind, &late), (&ahead, &early)] {
        let until = store.circuits().await.expect("circuits")[0].until;
        let left = until.duration_since(clock.steady());
        assert!(left <= SignedDuration::from_secs(40) && left > SignedDuration::ZERO, "by its own clock: {left}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_far_off_is_told() {
    let schema = Schema::new();
    let (fine, late, early) = (Off::by(0), Off::by(-5), Off::by(5));
    let stores = [open(&schema, &fine), open(&schema, &late), open(&schema, &early)];
    for (store, word) in stores.iter().zip(["", "behind", "ahead of"]).skip(1) {
        let mut told = Vec::new();
        for _ in 0..600 {
            told = store.troubles();
            if !told.is_empty() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        assert!(told.len() == 1 && told[0].contains(word), "{told:?}");
    }
    assert_eq!(stores[0].troubles(), [""; 0]);
}
