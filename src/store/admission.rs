//! A delivery as it is stored: what it was planned into, and what its sender gets to see.

use bytes::Bytes;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{AlertId, JobId, JobState, NewJob, ProviderName, Severity, SourceName, Subject, TraceContext};

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
