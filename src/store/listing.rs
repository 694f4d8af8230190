//! Jobs, alerts, quarantine and the record, as lists show them to operators.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::admission::{JobReceipt, QuarantinedElement, Skipped};
use crate::domain::{
    AlertId, Attempt, DeadReason, HoldReason, JobId, JobState, Outcome, ProviderName, ScopeKind, Session, SessionRef,
    Severity, SourceName, Subject,
};

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
