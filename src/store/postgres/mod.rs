//! The store of several replicas: one PostgreSQL database, which all of them write to.
//!
//! Two lanes write, one for claims and one for everything else, each on a connection of its own: what has queued while the
//! last commit ran shares the next one (`lane.rs`, `batch.rs`). Locks, and their order, are in `tx.rs`. Looking things up
//! takes connections of a small pool. The clock that counts is the server's (`time.rs`). Nothing waits without a limit:
//! where the server does not answer, `StoreError::Unavailable` does.

mod admit;
mod alerts;
mod audit;
mod batch;
mod bind;
mod budget;
mod bulk;
mod chains;
mod circuit;
mod claim;
mod codec;
mod connect;
mod crowd;
mod fault;
mod flight;
mod four_eyes;
mod hints;
mod lane;
mod opening;
mod operate;
mod outbox;
mod people;
mod read;
mod replicas;
mod schema;
mod seals;
mod settle;
mod time;
mod tls;
mod tx;
mod upkeep;
mod url;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use deadpool_postgres::Object;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::counting::Keys;
use super::ending::End;
use super::*;
use crate::clock::time_since;
use admit::Admit;
pub(super) use audit::AuditReader;
use batch::{Change, Renewal, Replay};
use connect::Connections;
use fault::Fault;
use hints::Hints;
use lane::{Lane, Parts};
use operate::Act;
use settle::Ended;
use time::Timing;
pub use url::PostgresUrl;

/// How long looking something up may take. The server gives up before.
const READ_WITHIN: Duration = Duration::from_secs(8);

/// How long the first connection and the migration may take; another replica may be migrating.
const OPEN_WITHIN: Duration = Duration::from_secs(60);

/// The store in PostgreSQL.
pub struct PostgresStore {
    changes: Lane,
    claims: Lane,
    connections: Connections,
    timing: Timing,
    hints: Arc<Hints>,
    routes: watch::Sender<Arc<Routes>>,
    budgets: Keys,
    listener: JoinHandle<()>,
}

impl PostgresStore {
    /// Connects, and creates and migrates the tables where needed. The server's clock decides what is due.
    pub async fn open(url: &PostgresUrl, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> anyhow::Result<Self> {
        Self::start(url, Timing::server(clock), metrics, QuarantineCap::default()).await
    }

    /// With a clock that is moved by hand instead of the server's, and other limits on what one source may keep in
    /// quarantine: for tests.
    pub async fn open_by_hand(
        url: &PostgresUrl,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        cap: QuarantineCap,
    ) -> anyhow::Result<Self> {
        Self::start(url, Timing::by_hand(clock), metrics, cap).await
    }

    async fn start(
        url: &PostgresUrl,
        timing: Timing,
        metrics: Arc<Metrics>,
        cap: QuarantineCap,
    ) -> anyhow::Result<Self> {
        let connections = Connections::new(url)?;
        tokio::time::timeout(OPEN_WITHIN, prepare(&connections)).await.map_err(|_| {
            anyhow::anyhow!("PostgreSQL did not answer within {OPEN_WITHIN:?}; is another replica migrating?")
        })??;
        let hints = Arc::new(Hints::default());
        let (routes, routing) = watch::channel(Arc::default());
        let parts = |sessions| Parts {
            sessions,
            timing: timing.clone(),
            metrics: Arc::clone(&metrics),
            hints: Arc::clone(&hints),
            cap,
            routes: routing.clone(),
        };
        let (changes, claims) = (Lane::start(parts(connections.lane()?)), Lane::start(parts(connections.lane()?)));
        let listener = listen(Arc::clone(&hints).run(connections.clone(), Arc::clone(&timing.clock)));
        let budgets = Keys::default();
        Ok(Self { changes, claims, connections, timing, hints, routes, budgets, listener })
    }

    async fn reader(&self) -> Result<Object, StoreError> {
        self.connections.reader().await
    }

    async fn act(&self, act: Act, actor: Actor) -> Result<(), StoreError> {
        self.changes.ask((act, actor), Change::Act).await
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.listener.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "ends with the store: the drain is not to wait for it")]
fn listen(task: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(task)
}

/// On a connection that is not kept.
async fn prepare(connections: &Connections) -> anyhow::Result<()> {
    let (client, driver) = connections.apart().await.map_err(|error| connect::refused(&error))?;
    tokio::select! {
        migrated = schema::migrate(&client) => migrated,
        ended = driver => match ended {
            Ok(()) => anyhow::bail!("PostgreSQL closed the connection"),
            Err(error) => Err(connect::refused(&error)),
        },
    }
}

async fn within<T>(query: impl Future<Output = Result<T, Fault>>) -> Result<T, StoreError> {
    match tokio::time::timeout(READ_WITHIN, query).await {
        Ok(found) => Ok(found?),
        Err(_) => Err(StoreError::Unavailable("PostgreSQL did not answer in time".to_owned())),
    }
}

#[async_trait]
impl Store for PostgresStore {
    fn troubles(&self) -> Vec<String> {
        self.hints.clock_trouble().into_iter().collect()
    }
}

#[async_trait]
impl JobStore for PostgresStore {
    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError> {
        self.changes.ask(Admit { admission, actor: Actor::system(), is_order: false }, Change::Admit).await
    }

    async fn is_known(&self, guard: [u8; 32]) -> Result<bool, StoreError> {
        let db = self.reader().await?;
        within(read::is_known(&db, guard)).await
    }

    async fn claim(&self, wanted: ClaimRequest) -> Result<Vec<Claim>, StoreError> {
        let asked_at = self.timing.clock.steady();
        self.claims.ask(claim::Request { wanted, asked_at }, Change::Claim).await
    }

    async fn renew(&self, claims: Vec<(i64, u32)>, lease: Duration) -> Result<Vec<bool>, StoreError> {
        self.changes.ask(Renewal { claims, lease }, Change::Renew).await
    }

    async fn bind(
        &self,
        claim: &Claim,
        account: &Account,
        proof: Option<Proof>,
        budgets: &[Budget],
    ) -> Result<Bound, StoreError> {
        self.changes
            .ask(bind::Intent::new(claim, account, proof.as_ref(), self.budgets.of(budgets))?, Change::Bind)
            .await
    }

    async fn settle(&self, claim: &Claim, settlement: &Settlement) -> Result<(), StoreError> {
        let (end, told_at) = (End::new(claim, settlement)?, self.timing.clock.steady());
        self.changes.ask(Ended { end, told_at }, Change::Settle).await
    }

    async fn close_gate(&self, provider: &ProviderName, reason: HoldReason, note: String) -> Result<(), StoreError> {
        let provider = Some(provider.clone());
        self.act(Act::CloseGate { provider, reason, note }, Actor::system()).await
    }

    async fn open_gate(&self, provider: &ProviderName, reason: HoldReason) -> Result<(), StoreError> {
        self.act(Act::OpenGate { provider: Some(provider.clone()), reason }, Actor::system()).await
    }

    async fn record_reload(&self, digest: [u8; 32], changed: Vec<String>) -> Result<(), StoreError> {
        self.act(Act::RecordReload { digest, changed }, Actor::system()).await
    }

    async fn gates(&self) -> Result<Vec<GateView>, StoreError> {
        let db = self.reader().await?;
        within(read::gates(&db)).await
    }

    async fn open_circuit(
        &self,
        provider: &ProviderName,
        trial: Option<CircuitTrial>,
        note: String,
        wait: CircuitWait,
    ) -> Result<Option<Duration>, StoreError> {
        self.changes.ask(circuit::Opening { provider: provider.clone(), trial, note, wait }, Change::OpenCircuit).await
    }

    async fn try_circuit(&self, provider: &ProviderName, lease: Duration) -> Result<Option<CircuitTrial>, StoreError> {
        self.changes.ask(circuit::Trial { provider: provider.clone(), lease }, Change::TryCircuit).await
    }

    async fn close_circuit(&self, provider: &ProviderName) -> Result<(), StoreError> {
        self.act(Act::CloseCircuit { provider: provider.clone() }, Actor::system()).await
    }

    async fn circuits(&self) -> Result<Vec<CircuitView>, StoreError> {
        let db = self.reader().await?;
        within(circuit::list(&db, &self.timing)).await
    }

    async fn beat(&self, beat: Beat) -> Result<Pulse, StoreError> {
        let db = self.connections.heart().await?;
        within(replicas::beat(&db, &beat, &self.timing)).await
    }

    async fn leave(&self, replica: &str) -> Result<(), StoreError> {
        let db = self.connections.heart().await?;
        within(replicas::leave(&db, replica)).await
    }

    async fn backlog(&self) -> Result<Backlog, StoreError> {
        let db = self.reader().await?;
        within(read::backlog(&db, &self.timing)).await
    }

    async fn wait_for_due(&self, at_most: Duration) {
        // A notification sent just before is kept by `Notify`, so none is missed.
        let _ = tokio::time::timeout(at_most, self.hints.due.notified()).await;
    }

    async fn prune(&self, retention: &Retention, from: i64) -> Result<Pruned, StoreError> {
        let began = self.timing.clock.steady();
        let (rows, next) = self.changes.ask((*retention, from), Change::Prune).await?;
        Ok(Pruned { rows, next, busy: time_since(self.timing.clock.as_ref(), began) })
    }
}

#[async_trait]
impl Operations for PostgresStore {
    async fn order(&self, admission: Admission, actor: Actor) -> Result<Admitted, StoreError> {
        self.changes.ask(Admit { admission, actor, is_order: true }, Change::Admit).await
    }

    async fn status(&self) -> Result<StatusView, StoreError> {
        let db = self.reader().await?;
        within(read::status(&db, &self.timing)).await
    }

    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobView>, StoreError> {
        let db = self.reader().await?;
        within(read::jobs(&db, &filter)).await
    }

    async fn job(&self, job: JobId) -> Result<Option<JobDetail>, StoreError> {
        let db = self.reader().await?;
        within(read::job(&db, job)).await
    }

    async fn alerts(&self, cursor: Option<i64>, limit: u32) -> Result<Page<AlertView>, StoreError> {
        let db = self.reader().await?;
        within(read::alerts(&db, cursor, limit)).await
    }

    async fn alert(&self, alert: AlertId) -> Result<Option<AlertView>, StoreError> {
        let db = self.reader().await?;
        within(read::alert(&db, alert)).await
    }

    async fn requeue(&self, job: JobId, actor: Actor, reason: String) -> Result<(), StoreError> {
        self.act(Act::Requeue { job, reason }, actor).await
    }

    async fn cancel(&self, job: JobId, actor: Actor, reason: String) -> Result<(), StoreError> {
        self.act(Act::Cancel { job, reason }, actor).await
    }

    async fn approve(&self, job: JobId, actor: Actor, consent: Consent) -> Result<(), StoreError> {
        self.act(Act::Approve { job, consent }, actor).await
    }

    async fn decide(&self, order: BulkOrder) -> Result<BulkDone, StoreError> {
        let db = self.reader().await?;
        let picked = within(bulk::pick(&db, &order)).await?;
        drop(db);
        let order = Arc::new(order);
        let stretch = |rows| {
            let order = Arc::clone(&order);
            self.changes.ask(bulk::Picked { order, rows }, Change::Decide)
        };
        stretches::decide(&order, &picked, stretch).await
    }

    async fn budget_use(&self, budgets: &[Budget]) -> Result<Vec<u64>, StoreError> {
        let db = self.reader().await?;
        within(budget::used(&db, budgets, &self.timing)).await
    }

    async fn quarantine(&self, cursor: Option<i64>, limit: u32) -> Result<Page<QuarantineView>, StoreError> {
        let db = self.reader().await?;
        within(read::quarantine(&db, cursor, limit)).await
    }

    async fn delivery(&self, seq: i64) -> Result<Option<StoredDelivery>, StoreError> {
        let db = self.reader().await?;
        within(read::delivery(&db, seq)).await
    }

    async fn delivery_of(&self, alert: AlertId) -> Result<Option<StoredDelivery>, StoreError> {
        let db = self.reader().await?;
        within(read::delivery_of(&db, alert)).await
    }

    async fn record_reading(&self, seq: i64, actor: Actor) -> Result<(), StoreError> {
        self.act(Act::RecordReading { delivery: seq }, actor).await
    }

    async fn replay(&self, seq: i64, admission: Admission, actor: Actor) -> Result<Receipt, StoreError> {
        self.changes.ask(Replay { delivery: seq, admission, actor }, Change::Replay).await
    }

    async fn pause(&self, provider: Option<ProviderName>, actor: Actor, reason: String) -> Result<(), StoreError> {
        self.act(Act::CloseGate { provider, reason: HoldReason::Paused, note: reason }, actor).await
    }

    async fn resume(&self, provider: Option<ProviderName>, actor: Actor) -> Result<(), StoreError> {
        self.act(Act::OpenGate { provider, reason: HoldReason::Paused }, actor).await
    }

    async fn audit(&self, after: Option<i64>, limit: u32) -> Result<Page<AuditView>, StoreError> {
        self.find_audit(AuditFilter { after, limit, ..AuditFilter::default() }).await
    }
}
