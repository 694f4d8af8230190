//! What each state change records, and how the records are chained.
//!
//! A row's hash covers the row before it, so that a changed, removed or inserted row shows. The store writes the row
//! in the transaction of the change itself.

use std::borrow::Cow;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{AlertId, JobId};

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AuditEvent {
    /// A delivery was accepted: its alerts and jobs are stored.
    Admitted,
    /// An authentic delivery matched no rule.
    Ignored,
    /// An authentic delivery could not be decoded or planned, and is kept.
    Quarantined,
    /// An alert was added to a job that was still queued.
    Absorbed,
    /// A worker took a job.
    Claimed,
    /// A worker's lease ran out before it settled.
    LeaseLost,
    /// An attempt failed or was throttled; the job is due later.
    RetryScheduled,
    /// The provider said yes; a look follows.
    Revoked,
    /// Another look follows: nobody or nothing was found, or sessions are still listed.
    LookScheduled,
    /// Given back unfinished.
    Released,
    /// Ended with an outcome.
    Done,
    /// Given up.
    Dead,
    /// Waits for a person.
    Held,
    /// Ended by an operator, or merged into another job.
    Cancelled,
    /// An operator made it due again.
    Requeued,
    /// An operator agreed to it.
    Approved,
    /// A provider waits: our credential or settings do not work there.
    GateClosed,
    /// It works again.
    GateOpened,
    /// A provider failed again and again, and is left alone for a while.
    CircuitOpened,
    /// It answered again.
    CircuitClosed,
    /// An operator stopped a provider, or everything.
    Paused,
    /// An operator let it go on.
    Resumed,
    /// A stored delivery was decoded and planned again.
    Replayed,
    /// An operator read the body of a delivery.
    BodyRead,
    /// Old records were removed.
    Pruned,
}

impl AuditEvent {
    /// The stored and exported word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Admitted => "admitted",
            Self::Ignored => "ignored",
            Self::Quarantined => "quarantined",
            Self::Absorbed => "absorbed",
            Self::Claimed => "claimed",
            Self::LeaseLost => "lease_lost",
            Self::RetryScheduled => "retry_scheduled",
            Self::Revoked => "revoked",
            Self::LookScheduled => "look_scheduled",
            Self::Released => "released",
            Self::Done => "done",
            Self::Dead => "dead",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
            Self::Requeued => "requeued",
            Self::Approved => "approved",
            Self::GateClosed => "gate_closed",
            Self::GateOpened => "gate_opened",
            Self::CircuitOpened => "circuit_opened",
            Self::CircuitClosed => "circuit_closed",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Replayed => "replayed",
            Self::BodyRead => "body_read",
            Self::Pruned => "pruned",
        }
    }
}

/// Who made the change: an operator's token name, or `sever` itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor(Cow<'static, str>);

impl Actor {
    /// The program.
    #[must_use]
    pub fn system() -> Self {
        Self(Cow::Borrowed("sever"))
    }

    /// A person, by the name of the token.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self(Cow::Owned(format!("operator:{name}")))
    }

    /// As recorded.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// One row, before it has its place in the chain.
#[derive(Debug, Clone)]
pub struct AuditRecord<'a> {
    /// When, by the wall clock.
    pub at: Timestamp,
    /// What.
    pub event: AuditEvent,
    /// Which job.
    pub job: Option<JobId>,
    /// Which alert.
    pub alert: Option<AlertId>,
    /// Who.
    pub actor: &'a Actor,
    /// Everything else, as JSON.
    pub detail: &'a str,
}

/// The hash of a row: SHA-256 over the previous row's hash and every column, each behind its length.
#[must_use]
pub fn chain(previous: &[u8; 32], writer: &str, record: &AuditRecord<'_>) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(previous);
    digest.update(record.at.as_microsecond().to_be_bytes());
    digest.update(record.job.map_or([0; 16], |id| id.0.into_bytes()));
    digest.update(record.alert.map_or([0; 16], |id| id.0.into_bytes()));
    for text in [writer, record.event.as_str(), record.actor.as_str(), record.detail] {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}
