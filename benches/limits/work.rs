//! What workers ask of a store, without providers: claims, the moment before the call, settlements; at several replicas at
//! once if need be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use sever::clock::{Clock, SystemClock};
use sever::domain::{
    Account, Attempt, AttemptClass, Budget, Claim, Next, Outcome, Reserve, Revocation, Settlement, Severity,
};
use sever::store::{Bound, ClaimRequest, Store};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;

use crate::service::CONCURRENCY;
use crate::watch::Watch;

/// As the worker takes it.
const LEASE: Duration = Duration::from_secs(60);

/// Jobs that the worker has in hand where providers answer at once: all of them wait for the store then, and a quarter more
/// than may call are four times in its hand (`src/worker/seats.rs`).
const IN_HAND: usize = 4 * (CONCURRENCY + CONCURRENCY / 4);

/// As many as it claims at once.
const CLAIMED: usize = CONCURRENCY + CONCURRENCY / 4;

/// Before asking again where nothing was found.
const LOOK: Duration = Duration::from_millis(1);

/// As the service's config has them.
pub(crate) fn budgets() -> Arc<Vec<Budget>> {
    let all = Budget {
        users: 1_000_000,
        per: Duration::from_secs(600),
        source: None,
        provider: None,
        rule: None,
        reserve: None,
    };
    let reserve = Some(Reserve { severity: Severity::Critical, users: 1000 });
    Arc::new(vec![
        Budget { source: Some("edr".parse().expect("a name")), ..all.clone() },
        Budget { provider: Some("okta".parse().expect("a name")), reserve, ..all.clone() },
        all,
    ])
}

/// Works until so many jobs are settled, at all of these stores at once; how long it took.
pub(crate) async fn settle(stores: &[Arc<dyn Store>], jobs: usize) -> Duration {
    let left = Arc::new(AtomicUsize::new(jobs));
    let started = Watch::start();
    let mut workers = JoinSet::new();
    for store in stores {
        workers.spawn(work(Arc::clone(store), Arc::clone(&left)));
    }
    workers.join_all().await;
    started.elapsed()
}

async fn work(store: Arc<dyn Store>, left: Arc<AtomicUsize>) {
    let (seats, budgets) = (Arc::new(Semaphore::new(IN_HAND)), budgets());
    let mut attempts = JoinSet::new();
    loop {
        let mut free: Vec<OwnedSemaphorePermit> =
            vec![Arc::clone(&seats).acquire_owned().await.expect("nobody closes it")];
        free.extend(std::iter::from_fn(|| Arc::clone(&seats).try_acquire_owned().ok()).take(CLAIMED - 1));
        let taken = take(&left, free.len());
        if taken == 0 {
            break;
        }
        let limit = u32::try_from(taken).expect("a small number");
        let request = ClaimRequest { provider: "okta".parse().expect("a name"), limit, lease: LEASE };
        let claims = store.claim(request).await.expect("claims");
        left.fetch_add(taken - claims.len(), Ordering::Relaxed);
        if claims.is_empty() {
            tokio::time::sleep(LOOK).await;
        }
        for (claim, seat) in claims.into_iter().zip(free) {
            let (store, budgets) = (Arc::clone(&store), Arc::clone(&budgets));
            attempts.spawn(async move {
                attempt(store.as_ref(), &claim, &budgets).await;
                drop(seat);
            });
        }
    }
    attempts.join_all().await;
}

/// As many as are left, and no more than asked for.
fn take(left: &AtomicUsize, most: usize) -> usize {
    let rest = |left: usize| Some(left - left.min(most));
    left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, rest).map_or(0, |left| left.min(most))
}

async fn attempt(store: &dyn Store, claim: &Claim, budgets: &[Budget]) {
    let id = format!("00u{:017}", claim.row);
    let account = Account::new(id.clone(), vec![id, format!("person-{}@example.com", claim.row)]);
    let bound = store.bind(claim, &account, None, budgets).await.expect("an answer");
    assert_eq!(bound, Bound::Proceed, "nobody else is in the way");
    let attempt = Attempt {
        number: claim.attempt,
        started_at: SystemClock::new().now(),
        duration_ms: 5,
        class: AttemptClass::Ok,
        operation: Some("revoke".to_owned()),
        status: Some(204),
        code: None,
        message: "sessions ended".to_owned(),
        request_id: None,
    };
    let settlement = Settlement {
        next: Next::Done(Outcome::Confirmed),
        attempt,
        account: Some(account),
        revocation: Some(Revocation::new(Outcome::Confirmed, None, &[])),
        answer_unknown: false,
        proof: None,
        proving: false,
    };
    store.settle(claim, &settlement).await.expect("settled");
}
