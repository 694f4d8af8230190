//! What each state change records, and how the records are chained.
//!
//! A row's hash covers the row before it, so that a changed, removed or inserted row shows; a seal signs where each chain
//! stands, so that a chain that was made anew, or cut off, shows as well. The store writes a row in the transaction of the
//! change itself.

mod check;
mod export;
mod key;
mod seal;
mod settings;

use std::borrow::Cow;
use std::str::FromStr;

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::{AlertId, JobId};

pub use check::{Check, Finding, Report};
pub use export::ocsf;
pub use key::{KeyError, PublicKey, PublicKeys, SigningKey};
pub use seal::{Head, Seal, SealFault, Signed, Statement, Stub};
pub use settings::{AuditKeys, AuditSettings};

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
    /// A changed config, or a changed secret, was taken on.
    ConfigReloaded,
    /// Old records were removed.
    Pruned,
    /// The record up to here was signed.
    Sealed,
}

impl AuditEvent {
    /// Each of them.
    pub const ALL: [Self; 26] = [
        Self::Admitted,
        Self::Ignored,
        Self::Quarantined,
        Self::Absorbed,
        Self::Claimed,
        Self::LeaseLost,
        Self::RetryScheduled,
        Self::Revoked,
        Self::LookScheduled,
        Self::Released,
        Self::Done,
        Self::Dead,
        Self::Held,
        Self::Cancelled,
        Self::Requeued,
        Self::Approved,
        Self::GateClosed,
        Self::GateOpened,
        Self::CircuitOpened,
        Self::CircuitClosed,
        Self::Paused,
        Self::Resumed,
        Self::Replayed,
        Self::BodyRead,
        Self::Pruned,
        Self::Sealed,
    ];

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
            Self::ConfigReloaded => "config_reloaded",
            Self::Pruned => "pruned",
            Self::Sealed => "sealed",
        }
    }
}

impl FromStr for AuditEvent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.into_iter().find(|event| event.as_str() == text);
        found.ok_or_else(|| {
            let known: Vec<_> = Self::ALL.iter().map(|event| event.as_str()).collect();
            format!("{text:?} is no event of the record; there are {}", known.join(", "))
        })
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

/// Where a row stands.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    /// Which process wrote it. Each has a chain of its own.
    pub writer: &'a str,
    /// Its number. Rows of one writer have rising ones.
    pub seq: i64,
    /// The row that tells the attempt before, of the same job.
    pub earlier: Option<i64>,
}

/// The hash of a row: SHA-256 over the previous row's hash and every column, each text behind its length, each column
/// that may be empty behind a sign whether it is.
#[must_use]
pub fn chain(previous: &[u8; 32], place: &Place<'_>, record: &AuditRecord<'_>) -> [u8; 32] {
    let texts = [place.writer, record.event.as_str(), record.actor.as_str(), record.detail];
    link(previous, place, record.at.as_microsecond(), (record.job, record.alert), texts)
}

fn link(
    previous: &[u8; 32],
    place: &Place<'_>,
    at: i64,
    (job, alert): (Option<JobId>, Option<AlertId>),
    texts: [&str; 4],
) -> [u8; 32] {
    let mut digest = Sha256::new();
    digest.update(previous);
    digest.update(place.seq.to_be_bytes());
    digest.update(at.to_be_bytes());
    for id in [job.map(|id| id.0.into_bytes()), alert.map(|id| id.0.into_bytes())] {
        digest.update([u8::from(id.is_some())]);
        digest.update(id.unwrap_or_default());
    }
    digest.update([u8::from(place.earlier.is_some())]);
    digest.update(place.earlier.unwrap_or_default().to_be_bytes());
    for text in texts {
        digest.update((text.len() as u64).to_be_bytes());
        digest.update(text);
    }
    digest.finalize().into()
}

/// A row as it is read back, with nothing of it believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number.
    pub seq: i64,
    /// When, in microseconds since 1970.
    pub at: i64,
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
    /// Everything else: the text, byte for byte.
    pub detail: String,
    /// The row that tells the attempt before, of the same job.
    pub earlier: Option<i64>,
    /// What it claims to be.
    pub hash: [u8; 32],
}

impl AuditRow {
    /// Whether it is the row that was written after the one with this hash.
    #[must_use]
    pub fn follows(&self, previous: &[u8; 32]) -> bool {
        let place = Place { writer: &self.writer, seq: self.seq, earlier: self.earlier };
        let texts = [&*self.writer, &*self.event, &*self.actor, &*self.detail];
        link(previous, &place, self.at, (self.job, self.alert), texts) == self.hash
    }
}
