//! The database is the queue: what is stored here is what will be done, and the record of what was.
//!
//! Every method is one whole state change, with its audit row, in one transaction. It answers after the commit; only a
//! claim may be answered before, for nothing that matters is done under it until `bind` is on disk.

mod accounts;
mod admission;
mod audit;
mod closures;
mod counting;
mod ending;
mod keys;
mod listing;
mod merging;
mod news;
mod outbox;
mod postgres;
mod reader;
mod receipts;
mod replica;
mod request;
mod shortcut;
mod spacing;
mod sqlite;
mod status;
mod stretches;
mod told;
mod turns;
mod view;

use std::path::PathBuf;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::audit::Actor;
use crate::clock::Clock;
use crate::domain::{Account, AlertId, Budget, Claim, HoldReason, JobId, Proof, ProviderName, Settlement, SourceName};
use crate::telemetry::Metrics;

pub use admission::{
    Admission, Admitted, AlertReceipt, DeliveryStatus, JobReceipt, PlannedAlert, QuarantinedElement, Receipt,
    ReceiptStatus, Skipped, StoredDelivery,
};
pub use audit::{AuditFilter, AuditStore, Heads, Removal};
pub use listing::{AlertView, AuditView, JobDetail, JobView, Page, QuarantineView};
pub use outbox::{Message, MessageEnd, Outbox, OutboxView, Routes};
pub use postgres::{PostgresStore, PostgresUrl};
pub use reader::{AuditReader, read_audit};
pub use replica::{Beat, LIVE_FOR, Peer, Pulse, Replica, ReplicaRole, ReplicaView};
pub use request::{Bound, BulkDone, BulkOrder, ClaimRequest, Consent, Decision, JobFilter, LeftJob};
pub use sqlite::SqliteStore;
pub use status::{Backlog, BudgetView, CircuitView, GateView, ReserveView, ShareView, StatusView};

/// The pipeline's core: jobs that survive anything but the disk.
#[async_trait]
pub trait JobStore: Send + Sync {
    /// Records a delivery, its alerts and their jobs, all or nothing; a repeat is [`Admitted::Duplicate`].
    async fn admit(&self, admission: Admission) -> Result<Admitted, StoreError>;

    /// Whether a delivery with this guard was recorded, as far as is committed now.
    async fn is_known(&self, guard: [u8; 32]) -> Result<bool, StoreError>;

    /// Leases due jobs of one provider, and those whose lease ran out, raising the attempt number of each.
    /// The most severe go first, and what has waited long goes before what came just now. A crash or a full disk may
    /// undo a claim that was answered; whatever is stored under it later is then refused with
    /// [`StoreError::LeaseLost`].
    async fn claim(&self, request: ClaimRequest) -> Result<Vec<Claim>, StoreError>;

    /// Extends leases; answers which of them were still ours, in the same order.
    async fn renew(&self, claims: Vec<(i64, u32)>, lease: Duration) -> Result<Vec<bool>, StoreError>;

    /// Records which account the job is about, and which of its sessions the call has to end, just before the provider
    /// is called for it. One call is in flight per account: whoever comes second waits, or is merged where it would do
    /// the same for the same alert.
    ///
    /// Every budget of `budgets` that counts the job must have room, over all workers: its person is counted with the
    /// first call, and not again with a retry. Without room the job is held.
    async fn bind(
        &self,
        claim: &Claim,
        account: &Account,
        proof: Option<Proof>,
        budgets: &[Budget],
    ) -> Result<Bound, StoreError>;

    /// Ends an attempt. [`StoreError::LeaseLost`] when a later attempt exists.
    async fn settle(&self, claim: &Claim, settlement: &Settlement) -> Result<(), StoreError>;

    /// Makes a provider's jobs wait, with the reason in words.
    async fn close_gate(&self, provider: &ProviderName, reason: HoldReason, note: String) -> Result<(), StoreError>;

    /// Lets a provider's jobs go on.
    async fn open_gate(&self, provider: &ProviderName, reason: HoldReason) -> Result<(), StoreError>;

    /// Records that a config was taken on: the digest of its file, and the names of what changed.
    async fn record_reload(&self, digest: [u8; 32], changed: Vec<String>) -> Result<(), StoreError>;

    /// What keeps providers from being called.
    async fn gates(&self) -> Result<Vec<GateView>, StoreError>;

    /// Leaves a provider that fails alone: for `first` at first, twice as long each time a trial of it fails, and for
    /// `longest` at most. `trial`: the one that failed; `None`: the caller knew of no open circuit.
    ///
    /// One trouble counts once, however many see it: whoever comes after somebody else has opened it, or with a trial
    /// that is not the latest any more, changes nothing. Answers for how long it is left alone from now on; `None`: it
    /// was closed meanwhile.
    async fn open_circuit(
        &self,
        provider: &ProviderName,
        trial: Option<CircuitTrial>,
        note: String,
        wait: CircuitWait,
    ) -> Result<Option<Duration>, StoreError>;

    /// Lets the caller, and nobody else for the length of `lease`, try a provider that was left alone until now. `None`:
    /// it is not time, somebody else tries it, or its circuit is closed.
    async fn try_circuit(&self, provider: &ProviderName, lease: Duration) -> Result<Option<CircuitTrial>, StoreError>;

    /// The provider answered: everyone calls it again.
    async fn close_circuit(&self, provider: &ProviderName) -> Result<(), StoreError>;

    /// Providers that are left alone, or tried; until when, by the caller's steady clock.
    async fn circuits(&self) -> Result<Vec<CircuitView>, StoreError>;

    /// Tells that a process lives, and answers who else does.
    async fn beat(&self, beat: Beat) -> Result<Pulse, StoreError>;

    /// The process of this id ends, and makes no call any more.
    async fn leave(&self, replica: &str) -> Result<(), StoreError>;

    /// How much is waiting, for metrics and readiness.
    async fn backlog(&self) -> Result<Backlog, StoreError>;

    /// Returns when a job may be due or the time is up, also if the signal came just before the call.
    async fn wait_for_due(&self, at_most: Duration);

    /// Removes what is older than `retention` allows, a bounded number of rows at a time. `from`: [`Pruned::next`] of the
    /// call before, 0 at first.
    async fn prune(&self, retention: &Retention, from: i64) -> Result<Pruned, StoreError>;
}

/// What operators see and do.
#[async_trait]
pub trait Operations: AuditStore + Outbox {
    /// Records what an operator asks for, as [`JobStore::admit`] does a delivery, under their name.
    async fn order(&self, admission: Admission, actor: Actor) -> Result<Admitted, StoreError>;

    /// What is still open.
    async fn status(&self) -> Result<StatusView, StoreError>;

    /// Jobs, newest first.
    async fn jobs(&self, filter: JobFilter) -> Result<Page<JobView>, StoreError>;

    /// A job with every attempt.
    async fn job(&self, job: JobId) -> Result<Option<JobDetail>, StoreError>;

    /// Alerts, newest first.
    async fn alerts(&self, cursor: Option<i64>, limit: u32) -> Result<Page<AlertView>, StoreError>;

    /// An alert with its jobs as they are now.
    async fn alert(&self, alert: AlertId) -> Result<Option<AlertView>, StoreError>;

    /// Makes a held, dead, done or cancelled job due now, as if new. One that waits for approval or for a budget goes on by
    /// [`Self::approve`] alone, also after it was cancelled; for a merged one, the job that it was merged into is requeued.
    async fn requeue(&self, job: JobId, actor: Actor, reason: String) -> Result<(), StoreError>;

    /// Ends a job that no worker holds.
    async fn cancel(&self, job: JobId, actor: Actor, reason: String) -> Result<(), StoreError>;

    /// Lets a held job go on, with the account to act on where that was unclear. One that is held for a budget goes on
    /// past every budget, which count it all the same.
    async fn approve(&self, job: JobId, actor: Actor, consent: Consent) -> Result<(), StoreError>;

    /// Decides about every job that a filter picks, each with its audit row. Where they are not as many as expected,
    /// nothing is done: [`StoreError::Miscounted`]. A job that the decision alone cannot be made about, or that has moved
    /// on since they were counted, is left and told.
    ///
    /// Hundreds share a transaction. Where this ends in the middle, with an error, a crash or because nobody waits for it
    /// any more, some are decided about and the others are as they were: the same order with their number goes on.
    async fn decide(&self, order: BulkOrder) -> Result<BulkDone, StoreError>;

    /// How many people each of these budgets counts now.
    async fn budget_use(&self, budgets: &[Budget]) -> Result<Vec<u64>, StoreError>;

    /// Deliveries that could not be decoded or planned, newest first.
    async fn quarantine(&self, cursor: Option<i64>, limit: u32) -> Result<Page<QuarantineView>, StoreError>;

    /// A stored delivery with its body, to be planned again. Whoever shows the body to a person records it first.
    async fn delivery(&self, seq: i64) -> Result<Option<StoredDelivery>, StoreError>;

    /// Where an alert came from first.
    async fn delivery_of(&self, alert: AlertId) -> Result<Option<StoredDelivery>, StoreError>;

    /// Records that a person is about to see the body of a delivery.
    async fn record_reading(&self, seq: i64, actor: Actor) -> Result<(), StoreError>;

    /// Stores what a kept delivery decodes into now. What was done for an alert before is not done again.
    async fn replay(&self, seq: i64, admission: Admission, actor: Actor) -> Result<Receipt, StoreError>;

    /// Stops calls to one provider, or to all.
    async fn pause(&self, provider: Option<ProviderName>, actor: Actor, reason: String) -> Result<(), StoreError>;

    /// Lets them go on.
    async fn resume(&self, provider: Option<ProviderName>, actor: Actor) -> Result<(), StoreError>;

    /// The audit record, oldest first.
    async fn audit(&self, after: Option<i64>, limit: u32) -> Result<Page<AuditView>, StoreError>;
}

/// Why the store did not do what was asked. Each variant is named for what the caller does next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// Try again later: locked, full, or shutting down.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A later attempt exists; what this one did stands nowhere.
    #[error("the lease was lost to a later attempt")]
    LeaseLost,
    /// The job's state does not allow it.
    #[error("{0}")]
    Conflict(String),
    /// A filter picks so many jobs, and not as many as expected.
    #[error("the filter picks {0} jobs")]
    Miscounted(u64),
    /// There is no such thing.
    #[error("there is no such {0}")]
    NotFound(&'static str),
    /// The source's quarantine is full.
    #[error("the quarantine of {0} is full")]
    QuarantineFull(SourceName),
}

/// Which trial of a provider that failed it is. No two are alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitTrial(pub(crate) uuid::Uuid);

/// For how long a provider that fails is left alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CircuitWait {
    /// The first time.
    pub first: Duration,
    /// At most.
    pub longest: Duration,
}

/// How long records are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Finished jobs, with their alerts and deliveries.
    pub jobs: Duration,
    /// Deliveries that matched no rule.
    pub ignored: Duration,
    /// Deliveries in quarantine.
    pub quarantine: Duration,
}

/// What one [`JobStore::prune`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pruned {
    /// Rows that went.
    pub rows: u64,
    /// With what to call again, for there may be more. `None`: what grew old meanwhile waits for the next time.
    pub next: Option<i64>,
    /// How long it kept others from writing, the commit left out; where that cannot be told, how long it took.
    pub busy: Duration,
}

impl Retention {
    /// How often to look for what is old, so that nothing stays a quarter longer than it is to be kept.
    #[must_use]
    pub fn look_every(&self) -> Duration {
        let shortest = self.jobs.min(self.ignored).min(self.quarantine);
        (shortest / 4).clamp(Duration::from_secs(5), Duration::from_secs(600))
    }
}

/// The most that one source may keep in quarantine. Beyond it, deliveries of that kind that have no job are answered 503;
/// those that have one act, and the receipt, the log and the record say what was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct QuarantineCap {
    /// Deliveries.
    pub entries: u64,
    /// Bytes of their bodies.
    pub bytes: u64,
}

impl Default for QuarantineCap {
    fn default() -> Self {
        Self { entries: 10_000, bytes: 256 << 20 }
    }
}

/// A store as the service holds it.
#[async_trait]
pub trait Store: JobStore + Operations {
    /// What is wrong although it works, in words: shown where readiness is.
    fn troubles(&self) -> Vec<String>;

    /// Returns if it will never work again in this process.
    async fn lost(&self) {
        std::future::pending().await
    }
}

/// Where the store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// A file on this machine.
    Sqlite(PathBuf),
    /// A server, which several processes may share.
    Postgres(Box<PostgresUrl>),
}

impl FromStr for StoreUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return Ok(Self::Postgres(Box::new(text.parse()?)));
        }
        match text.strip_prefix("sqlite://") {
            Some(path) if !path.is_empty() => Ok(Self::Sqlite(PathBuf::from(path))),
            _ => Err("write sqlite:// and the path of a file, for example sqlite:///var/lib/sever/sever.db, or postgres://user:password@host/database".to_owned()),
        }
    }
}

/// Opens the store, creating and migrating it where needed.
pub async fn open(url: &StoreUrl, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> anyhow::Result<Arc<dyn Store>> {
    Ok(match url {
        StoreUrl::Sqlite(path) => Arc::new(SqliteStore::open(path, clock, metrics)?),
        StoreUrl::Postgres(url) => Arc::new(PostgresStore::open(url, clock, metrics).await?),
    })
}
