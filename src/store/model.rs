//! What goes into the store and comes out of it.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::outbox::OutboxView;
use super::replica::{ReplicaRole, ReplicaView};
use crate::audit::Actor;
use crate::domain::{
    AlertId, Attempt, Budget, CircuitState, DeadReason, HoldReason, JobId, JobState, NewJob, Outcome, ProviderName,
    Reserve, ScopeKind, Session, SessionRef, Severity, SourceName, Subject, TargetName, TraceContext,
};
use crate::settings;

/// An authentic delivery and what it was decoded and planned into.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Where it came from.
    pub source: SourceName,
    /// Under whose name its alert ids are unique.
    pub issuer: String,
    /// Two deliveries with the same guard are one.
    pub guard: [u8; 32],
    /// Until when a repeat could still pass verification, by the wall clock; `None`: for ever.
    pub guard_expires_at: Option<Timestamp>,
    /// The sender's id where it is signed, else a digest.
    pub delivery_id: String,
    /// When it was received, by the wall clock.
    pub received_at: Timestamp,
    /// The headers that are kept.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// What it says, planned.
    pub alerts: Vec<PlannedAlert>,
    /// Why it is kept in quarantine as a whole, where it could not be decoded or a rule failed.
    pub quarantine: Option<String>,
    /// Elements of it that are kept in quarantine while the others act.
    pub elements: Vec<QuarantinedElement>,
    /// Its place in a trace, which its jobs go on with.
    pub trace: Option<TraceContext>,
}

impl Admission {
    /// Whether a person has to look at it, or at a part of it.
    #[must_use]
    pub fn is_kept(&self) -> bool {
        self.quarantine.is_some() || !self.elements.is_empty()
    }

    /// Whether any of it acts.
    #[must_use]
    pub fn has_jobs(&self) -> bool {
        self.alerts.iter().any(|alert| !alert.jobs.is_empty())
    }

    /// Why it is kept in quarantine.
    #[must_use]
    pub fn reason(&self) -> Option<String> {
        let told = self.elements.iter().take(ELEMENTS_IN_REASON).map(ToString::to_string);
        let more = self.elements.len().saturating_sub(ELEMENTS_IN_REASON);
        let more = (more > 0).then(|| format!("and {more} more elements"));
        let parts: Vec<_> = self.quarantine.iter().cloned().chain(told).chain(more).collect();
        if parts.is_empty() { None } else { Some(parts.join("; ")) }
    }
}

/// Elements whose problem stands in the reason; all of them stand beside it.
const ELEMENTS_IN_REASON: usize = 5;

/// An element of a batch that is no alert: it is kept, and the others act.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantinedElement {
    /// Its position, from 0.
    pub element: usize,
    /// What is wrong with it.
    pub problem: String,
}

impl std::fmt::Display for QuarantinedElement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "element {}: {}", self.element, self.problem)
    }
}

/// An alert with the jobs that rules made of it.
#[derive(Debug, Clone)]
pub struct PlannedAlert {
    /// Our id, if it is not known already.
    pub id: AlertId,
    /// The sender's.
    pub external_id: String,
    /// What happened.
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// When it happened, by the sender's clock.
    pub occurred_at: Timestamp,
    /// For people.
    pub reason: Option<String>,
    /// The jobs.
    pub jobs: Vec<NewJob>,
    /// Rules that made none, and why.
    pub skipped: Vec<Skipped>,
}

/// A rule that made no job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Skipped {
    /// The rule's name.
    pub rule: String,
    /// Why.
    pub reason: String,
}

/// What became of an admission.
#[derive(Debug, Clone)]
pub enum Admitted {
    /// Stored just now.
    New(Receipt),
    /// Stored before; with the jobs as they are now.
    Duplicate(Receipt),
}

/// What the sender gets to see.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Receipt {
    /// What became of the delivery.
    pub status: ReceiptStatus,
    /// The sender's id where it is signed, else a digest.
    pub delivery_id: String,
    /// Each alert in it.
    pub alerts: Vec<AlertReceipt>,
    /// Elements of it that are no alerts and are kept in quarantine, while the others act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quarantined: Vec<QuarantinedElement>,
    /// What a person would have to look at, where the quarantine had no room for it; the jobs act all the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_kept: Option<String>,
}

/// What became of a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ReceiptStatus {
    /// Stored, with jobs.
    Accepted,
    /// Stored before.
    Duplicate,
    /// Stored; no rule matched.
    Ignored,
    /// Kept for a person: it could not be decoded or planned.
    Quarantined,
}

/// An alert in a receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertReceipt {
    /// Our id.
    pub id: AlertId,
    /// The sender's.
    pub external_id: String,
    /// Its jobs.
    pub jobs: Vec<JobReceipt>,
    /// Rules that made none.
    pub skipped: Vec<Skipped>,
}

/// A job in a receipt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobReceipt {
    /// Its id.
    pub id: JobId,
    /// Where.
    pub provider: ProviderName,
    /// Whose sessions.
    pub subject: Subject,
    /// Where it stands.
    pub state: JobState,
}

/// How a stored delivery stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DeliveryStatus {
    /// Has jobs.
    Accepted = 0,
    /// No rule matched.
    Ignored = 1,
    /// Kept for a person.
    Quarantined = 2,
}

/// What a worker asks for.
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Whose jobs.
    pub provider: ProviderName,
    /// At most so many.
    pub limit: u32,
    /// For how long.
    pub lease: Duration,
}

/// Whether the call may be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bound {
    /// Make it.
    Proceed,
    /// Another job does or did this; ours is cancelled.
    Merged(JobId),
    /// Another job's call for this account is in flight; ours is queued again.
    Busy,
    /// A budget has no room, as it says; ours is held until a person approves it.
    Held(String),
}

/// An operator's yes to a held job.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Consent {
    /// The account to act on, where that was unclear.
    pub account_id: Option<String>,
    /// Why.
    pub reason: String,
    /// Whether it takes somebody else than those who asked for the job.
    pub four_eyes: bool,
}

/// What an operator decides about many jobs at once.
#[derive(Debug, Clone)]
pub struct BulkOrder {
    /// What.
    pub decision: Decision,
    /// About which; its cursor and limit mean nothing.
    pub filter: JobFilter,
    /// How many they are. If they are not so many, nothing is done. They are counted once, before anything is changed.
    pub expect_count: u64,
    /// Who decides.
    pub actor: Actor,
    /// Why.
    pub reason: String,
    /// Whether it takes somebody else than those who asked for a job to approve it.
    pub four_eyes: bool,
}

/// What is decided about a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Goes on: held jobs.
    Approve,
    /// Is due now, as if new: jobs that have ended or are held.
    Requeue,
    /// Ends: jobs that are open and no worker holds.
    Cancel,
}

/// What became of many jobs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BulkDone {
    /// How many were changed.
    pub changed: u64,
    /// How many were left as they are.
    pub left_count: u64,
    /// The first 100 of those, with the reason for each.
    pub left: Vec<LeftJob>,
}

/// A job that was left as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LeftJob {
    /// Its id.
    pub id: JobId,
    /// Why.
    pub reason: String,
}

/// Why a provider's jobs wait.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GateView {
    /// Which; `None`: all of them.
    pub provider: Option<ProviderName>,
    /// Why.
    pub reason: HoldReason,
    /// In words.
    pub note: String,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
}

/// A provider that failed again and again. One whose circuit is closed has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CircuitView {
    /// Which.
    pub provider: ProviderName,
    /// Open, or half open while one job tries it.
    pub state: CircuitState,
    /// What the last failure was, in words.
    pub note: String,
    /// Since when.
    #[schemars(with = "String")]
    pub since: Timestamp,
    /// Until when it is left alone, or how long the one job that tries it may take.
    #[schemars(with = "String")]
    pub until: Timestamp,
}

/// How much is waiting.
#[derive(Debug, Clone, Default)]
pub struct Backlog {
    /// Jobs by provider and state.
    pub jobs: Vec<(ProviderName, JobState, u64)>,
    /// Held jobs by provider and reason, as stored (gates aside).
    pub held: Vec<(ProviderName, HoldReason, u64)>,
    /// How long the oldest due job of each provider has been due.
    pub oldest_due: Vec<(ProviderName, Duration)>,
    /// Quarantined deliveries by source: entries and bytes.
    pub quarantine: Vec<(SourceName, u64, u64)>,
}

/// What is still open.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StatusView {
    /// Jobs by provider and state. Behind a closed gate, queued jobs count as held.
    pub jobs: BTreeMap<ProviderName, BTreeMap<JobState, u64>>,
    /// Held jobs by provider and reason.
    pub held: BTreeMap<ProviderName, BTreeMap<HoldReason, u64>>,
    /// What keeps providers from being called.
    pub gates: Vec<GateView>,
    /// Providers that fail, and are left alone for a while.
    #[serde(default)]
    pub circuits: Vec<CircuitView>,
    /// For how many seconds the oldest due job of each provider has been due.
    pub oldest_due_seconds: BTreeMap<ProviderName, f64>,
    /// Deliveries in quarantine, by source.
    pub quarantine: BTreeMap<SourceName, u64>,
    /// How full the budgets are.
    #[serde(default)]
    pub budgets: Vec<BudgetView>,
    /// Messages that were not taken yet, by target; a target without any is left out.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub notify: BTreeMap<TargetName, OutboxView>,
    /// The processes that are alive and share the store, the oldest first.
    #[serde(default)]
    pub replicas: Vec<ReplicaView>,
    /// What each process that works may use of every provider's limits.
    #[serde(default)]
    pub shares: BTreeMap<ProviderName, ShareView>,
}

/// What one process may use of a provider's limits, which are divided by those that work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ShareView {
    /// How many divide them.
    pub workers: u32,
    /// Jobs that each may have at work there at the same time.
    pub concurrency: u32,
    /// Calls that each may make: so many in so long. `null`: no rate is configured.
    pub rate: Option<settings::Rate>,
}

/// How full a budget is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BudgetView {
    /// Whose alerts it counts; `null`: everyone's.
    pub source: Option<SourceName>,
    /// Where it counts; `null`: everywhere.
    pub provider: Option<ProviderName>,
    /// Which rule's jobs it counts; `null`: every rule's.
    pub rule: Option<String>,
    /// How many people there may be.
    pub users: u32,
    /// In how long.
    pub per: settings::Duration,
    /// What is kept for grave alerts.
    pub reserve: Option<ReserveView>,
    /// How many people it counts now.
    pub used: u64,
}

/// What a budget keeps for grave alerts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ReserveView {
    /// Of at least this severity.
    pub severity: Severity,
    /// So many of its people.
    pub users: u32,
}

impl BudgetView {
    /// A budget that counts so many people.
    #[must_use]
    pub fn new(budget: &Budget, used: u64) -> Self {
        let Budget { users, per, source, provider, rule, reserve } = budget.clone();
        let reserve = reserve.map(|Reserve { severity, users }| ReserveView { severity, users });
        Self { source, provider, rule, users, per: settings::Duration(per), reserve, used }
    }
}

impl StatusView {
    /// How many divide the limits of providers; at least one, who is to come.
    #[must_use]
    pub fn workers(&self) -> u32 {
        let workers = self.replicas.iter().filter(|replica| replica.roles.contains(&ReplicaRole::Worker)).count();
        u32::try_from(workers).unwrap_or(u32::MAX).max(1)
    }

    /// Where a provider's circuit stands.
    #[must_use]
    pub fn circuit(&self, provider: &ProviderName) -> CircuitState {
        let open = self.circuits.iter().find(|view| view.provider == *provider);
        open.map_or(CircuitState::Closed, |view| view.state)
    }
}

/// Which jobs to list.
#[derive(Debug, Clone, Default)]
pub struct JobFilter {
    /// In this state, as shown.
    pub state: Option<JobState>,
    /// Held for this reason, as shown.
    pub hold_reason: Option<HoldReason>,
    /// Given up for this reason.
    pub dead_reason: Option<DeadReason>,
    /// Whose first alert came from this source.
    pub source: Option<SourceName>,
    /// At this provider.
    pub provider: Option<ProviderName>,
    /// With this e-mail, user name or id, in the alert or as resolved.
    pub subject: Option<String>,
    /// After this one of the page before.
    pub cursor: Option<i64>,
    /// At most so many.
    pub limit: u32,
}

/// A part of a listing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page<T> {
    /// The part.
    pub items: Vec<T>,
    /// Ask again with this for the next part; `null`: that was all.
    pub next_cursor: Option<String>,
}

/// A job as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobView {
    /// Its id.
    pub id: JobId,
    /// Where it stands. Behind a closed gate, a queued job shows as held.
    pub state: JobState,
    /// What was seen, once done.
    pub outcome: Option<Outcome>,
    /// What it waits for, if held.
    pub hold_reason: Option<HoldReason>,
    /// Why it was given up, if dead.
    pub dead_reason: Option<DeadReason>,
    /// The last word on it, for people.
    pub note: Option<String>,
    /// Where.
    pub provider: ProviderName,
    /// Whose sessions.
    pub subject: Subject,
    /// The account it turned out to be.
    pub account_id: Option<String>,
    /// Which sessions.
    pub scope: ScopeKind,
    /// The given sessions, where the scope is `sessions`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sessions: Vec<SessionRef>,
    /// How severe.
    pub severity: Severity,
    /// Sends nothing.
    pub dry_run: bool,
    /// The rules that asked for it.
    pub rules: Vec<String>,
    /// The source of the first alert.
    pub source: SourceName,
    /// The alerts behind it.
    pub alert_ids: Vec<AlertId>,
    /// How many times it was claimed.
    pub attempts: u32,
    /// How many sessions ended, where the provider tells.
    pub sessions_ended: Option<u64>,
    /// What this provider leaves alive by its nature.
    pub survives: Vec<String>,
    /// Sessions begun after the revocation; empty where the provider offers no look.
    pub signed_in_again: Vec<Session>,
    /// Calls made although an earlier one, cut short, may have worked.
    pub repeated: u32,
    /// The job that does this one's work.
    pub merged_into: Option<JobId>,
    /// When it is due, if it waits.
    #[schemars(with = "Option<String>")]
    pub due_at: Option<Timestamp>,
    /// When the first alert was received.
    #[schemars(with = "String")]
    pub received_at: Timestamp,
    /// When it ended.
    #[schemars(with = "Option<String>")]
    pub finished_at: Option<Timestamp>,
}

/// A job and its whole story.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct JobDetail {
    /// The job.
    #[serde(flatten)]
    pub job: JobView,
    /// Every attempt, first to last.
    pub history: Vec<Attempt>,
}

/// An alert as operators see it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AlertView {
    /// Our id.
    pub id: AlertId,
    /// The sender's.
    pub external_id: String,
    /// Where it came from first.
    pub source: SourceName,
    /// Under whose name its id is unique.
    pub issuer: String,
    /// What happened.
    pub kind: String,
    /// How bad it is.
    pub severity: Severity,
    /// For people.
    pub reason: Option<String>,
    /// When it happened, by the sender's clock.
    #[schemars(with = "String")]
    pub occurred_at: Timestamp,
    /// When it was received.
    #[schemars(with = "String")]
    pub received_at: Timestamp,
    /// Its jobs as they are now.
    pub jobs: Vec<JobReceipt>,
    /// Rules that made none.
    pub skipped: Vec<Skipped>,
}

/// A delivery in quarantine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct QuarantineView {
    /// Its number.
    pub id: i64,
    /// Where it came from.
    pub source: SourceName,
    /// The sender's id where it is signed, else a digest.
    pub delivery_id: String,
    /// Why it is kept.
    pub reason: String,
    /// The elements that are kept, where the others act.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub elements: Vec<QuarantinedElement>,
    /// The size of its body.
    pub size_bytes: u64,
    /// When it was received.
    #[schemars(with = "String")]
    pub received_at: Timestamp,
}

/// A delivery as stored.
#[derive(Debug, Clone)]
pub struct StoredDelivery {
    /// Its number.
    pub seq: i64,
    /// Where it came from.
    pub source: SourceName,
    /// The sender's id where it is signed, else a digest.
    pub delivery_id: String,
    /// How it stands.
    pub status: DeliveryStatus,
    /// Why it is in quarantine.
    pub reason: Option<String>,
    /// The elements that are, where the others act.
    pub elements: Vec<QuarantinedElement>,
    /// The headers that were kept.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Bytes,
    /// When it was received, by the wall clock.
    pub received_at: Timestamp,
}

/// A row of the audit record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AuditView {
    /// Its place.
    pub seq: i64,
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Which process wrote it.
    pub writer: String,
    /// What.
    pub event: String,
    /// Which job.
    pub job: Option<JobId>,
    /// Which alert.
    pub alert: Option<AlertId>,
    /// Who.
    pub actor: String,
    /// Everything else.
    pub detail: serde_json::Value,
    /// The text of `detail` as it is hashed, where that is not `detail` without blanks and with its keys in order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail_text: Option<String>,
    /// The row that tells the attempt before, of the same job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub earlier: Option<i64>,
    /// Hex; covers this row and the one before.
    pub hash: String,
}
