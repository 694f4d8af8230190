//! What is told to the outside, and how a message says it: the same whatever the store.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use super::AlertView;
use crate::audit::{AuditEvent, AuditRecord};
use crate::domain::{JobId, NoticeKind};

/// Jobs told in full in one message about many.
pub(super) const EXAMPLES: usize = 20;

/// Jobs of one alert told in full; of the others, how many there are.
pub(super) const JOBS_OF_ALERT: usize = 500;

/// What comes together is told together: an alert about a hundred people is one change, and the next follow it closely.
pub(super) const GATHER: Duration = Duration::from_secs(2);

/// Between two messages of one kind about held or dead jobs, for one target.
pub(super) const WINDOW: Duration = Duration::from_secs(60);

/// Something to be told, found while a transaction runs.
#[derive(Debug, Clone)]
pub(super) enum News {
    /// A job came into this state.
    Job(JobId),
    /// Everyone is told this.
    Other(NoticeKind, Value),
}

/// What a row of the record is to the outside, if anything. An operator who holds a job again knows it.
pub(super) fn news(record: &AuditRecord<'_>) -> Option<News> {
    let told = |kind| Some(News::Other(kind, serde_json::from_str(record.detail).unwrap_or_default()));
    match record.event {
        AuditEvent::Done | AuditEvent::Dead | AuditEvent::Held | AuditEvent::Cancelled => record.job.map(News::Job),
        AuditEvent::GateClosed | AuditEvent::Paused => told(NoticeKind::ProviderHeld),
        AuditEvent::GateOpened | AuditEvent::Resumed => told(NoticeKind::ProviderReleased),
        AuditEvent::Admitted
        | AuditEvent::Ignored
        | AuditEvent::Quarantined
        | AuditEvent::Absorbed
        | AuditEvent::Claimed
        | AuditEvent::LeaseLost
        | AuditEvent::RetryScheduled
        | AuditEvent::Revoked
        | AuditEvent::LookScheduled
        | AuditEvent::Released
        | AuditEvent::Requeued
        | AuditEvent::Approved
        | AuditEvent::CircuitOpened
        | AuditEvent::CircuitClosed
        | AuditEvent::ConfigReloaded
        | AuditEvent::Replayed
        | AuditEvent::BodyRead
        | AuditEvent::Pruned
        | AuditEvent::Sealed => None,
    }
}

/// What a transaction adds to one message about many jobs.
#[derive(Debug)]
pub(super) struct Gathered<J> {
    pub(super) count: u64,
    pub(super) reasons: BTreeMap<String, u64>,
    /// Some of them.
    pub(super) jobs: Vec<J>,
}

impl<J> Default for Gathered<J> {
    fn default() -> Self {
        Self { count: 0, reasons: BTreeMap::new(), jobs: Vec::new() }
    }
}

impl<J> Gathered<J> {
    /// One more, for this reason.
    pub(super) fn count(&mut self, reason: Option<&str>) {
        self.count += 1;
        *self.reasons.entry(reason.unwrap_or_default().to_owned()).or_default() += 1;
    }
}

/// How many there are, for which reasons, and some of them.
pub(super) type Sum = (u64, BTreeMap<String, u64>, Vec<Value>);

impl<J: Serialize> Gathered<J> {
    /// With what was gathered before.
    pub(super) fn added_to(self, (count, mut reasons, mut jobs): Sum) -> Sum {
        for (reason, more) in self.reasons {
            *reasons.entry(reason).or_default() += more;
        }
        jobs.extend(self.jobs.iter().map(|job| json!(job)));
        jobs.truncate(EXAMPLES);
        (count + self.count, reasons, jobs)
    }
}

/// An alert each of whose jobs has ended, with some of them in full.
pub(super) fn of_alert<J: Serialize>(
    alert: Option<&AlertView>,
    count: usize,
    totals: &BTreeMap<&str, u64>,
    jobs: &[J],
) -> Value {
    let mut told = json!(alert);
    // They stand below, each in full.
    if let Some(fields) = told.as_object_mut() {
        fields.remove("jobs");
    }
    json!({"alert": told, "count": count, "totals": totals, "jobs": jobs})
}

/// The text of a message.
pub(super) fn body(kind: NoticeKind, at: Timestamp, data: &Value) -> String {
    json!({"type": kind.as_str(), "timestamp": at, "data": data}).to_string()
}
