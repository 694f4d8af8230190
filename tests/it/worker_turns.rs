//! How many jobs are at work at a provider at once, and how many wait in memory for their turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use sever::domain::{Account, JobState, Look, Outcome, Revocation, RevokeRequest, Subject};
use sever::lifecycle::Lifecycle;
use sever::policy::{Policy, PolicySettings};
use sever::provider::{CredentialReport, ListQuery, Provider, ProviderError, ProviderKind, SessionPage, Share};
use sever::telemetry::Metrics;
use sever::worker::{ProofPolicy, RetryPolicy, Station, Worker};
use tokio::sync::Semaphore;

use crate::support::store::{Bench, SECOND, SqliteBackend, name, okta};

/// Reads nobody until it is let, and counts calls.
struct Slow {
    let_go: Semaphore,
    begun: AtomicUsize,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Slow {
    fn new() -> Arc<Self> {
        let [begun, inside, most] = [0; 3].map(AtomicUsize::new);
        Arc::new(Self { let_go: Semaphore::new(0), begun, inside, most })
    }

    async fn call(&self, answer: impl Future<Output = ()>) {
        self.begun.fetch_add(1, Ordering::SeqCst);
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        answer.await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }

    async fn until_begun(&self, count: usize) {
        let begun = async {
            while self.begun.load(Ordering::SeqCst) < count {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(60 * SECOND, begun).await.expect("another job has its turn");
    }

    async fn until_inside(&self, count: usize) {
        while self.inside.load(Ordering::SeqCst) < count {
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Provider for Slow {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Okta
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        self.call(async { self.let_go.acquire().await.expect("open").forget() }).await;
        let email = subject.email.clone().expect("an e-mail");
        Ok(Some(Account::new(email.clone(), vec![email])))
    }

    async fn sessions(&self, _account: &Account) -> Result<Option<Look>, ProviderError> {
        Ok(None)
    }

    async fn list_sessions(&self, _: &Account, _: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        Ok(None)
    }

    async fn revoke(
        &self,
        _account: &Account,
        _request: &RevokeRequest,
        _seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        self.call(tokio::task::yield_now()).await;
        Ok(Some(Revocation::new(Outcome::Confirmed, None, &[])))
    }

    async fn check(&self) -> Result<CredentialReport, ProviderError> {
        unreachable!("nothing fails")
    }

    fn wait(&self) -> Option<Duration> {
        None
    }

    fn divide(&self, _: Share) {}
}

fn worker(bench: &Bench, provider: Arc<Slow>, concurrency: u32) -> Worker {
    let station = Station {
        provider,
        concurrency,
        retry: RetryPolicy { first: SECOND, factor: 2.0, longest: SECOND, spread: 0.0, give_up_after: 100 * SECOND },
        proof: ProofPolicy { after: SECOND, times: 1 },
        timeout: SECOND,
        dry_run: false,
    };
    let policy = Policy::new(&PolicySettings::default(), &[(name("okta"), Vec::new())].into()).expect("a policy");
    let (store, clock) = (Arc::clone(bench.jobs()), bench.clock.clone());
    let stations = [(name("okta"), station)].into();
    Worker::new(store, stations, Arc::new(policy), clock, Arc::new(Metrics::new()), Lifecycle::new())
}

async fn in_state(bench: &Bench, state: JobState) -> usize {
    bench.all_jobs().await.iter().filter(|job| job.state == state).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn as_many_as_may_are_at_work_and_a_quarter_more_wait_for_their_turn() {
    for (concurrency, claimed) in [(1, 1), (2, 3), (8, 10)] {
        let bench = Bench::new(Box::new(SqliteBackend::new()));
        for number in 0..30 {
            bench.job(&number.to_string(), okta(&format!("p{number}@x"))).await;
        }
        let slow = Slow::new();
        let worker = worker(&bench, Arc::clone(&slow), concurrency);

        let mut running = worker.step().await;
        slow.until_inside(concurrency as usize).await;
        running.extend(worker.step().await);
        assert_eq!(running.len(), claimed);

        slow.let_go.add_permits(30);
        while let Some(job) = running.pop() {
            job.await.expect("an end");
            running.extend(worker.step().await);
        }
        assert_eq!(in_state(&bench, JobState::Done).await, 30);
        assert_eq!(slow.most.load(Ordering::SeqCst), concurrency as usize, "more at once than may be");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn while_a_call_is_written_down_another_job_has_the_turn() {
    let backend = SqliteBackend::new();
    let file = backend.path();
    let bench = Bench::new(Box::new(backend));
    for number in 0..5 {
        bench.job(&number.to_string(), okta(&format!("p{number}@x"))).await;
    }
    let slow = Slow::new();
    let worker = worker(&bench, Arc::clone(&slow), 4);
    let mut running = worker.step().await;
    assert_eq!(running.len(), 5);
    slow.until_inside(4).await;

    // Nobody can write before this ends.
    let lock = rusqlite::Connection::open(file).expect("a connection");
    lock.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    slow.let_go.add_permits(4);
    slow.until_begun(5).await;
    lock.execute_batch("ROLLBACK").expect("unlocked");

    slow.let_go.add_permits(30);
    // Whatever the lock has kept waiting for too long begins anew.
    while in_state(&bench, JobState::Done).await < 5 {
        for job in running {
            job.await.expect("an end");
        }
        running = worker.step().await;
    }
    assert!(slow.most.load(Ordering::SeqCst) <= 4, "more at once than may be");
}
