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

/// Reads nobody until it is let, and counts who waits for it.
struct Slow {
    let_go: Semaphore,
    inside: AtomicUsize,
    most: AtomicUsize,
}

impl Slow {
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
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.let_go.acquire().await.expect("open").forget();
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
        self.inside.fetch_sub(1, Ordering::SeqCst);
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
    for (concurrency, claimed) in [(1, 1), (8, 10)] {
        let bench = Bench::new(Box::new(SqliteBackend::new()));
        for number in 0..30 {
            bench.job(&number.to_string(), okta(&format!("p{number}@x"))).await;
        }
        let (let_go, inside, most) = (Semaphore::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
        let slow = Arc::new(Slow { let_go, inside, most });
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
