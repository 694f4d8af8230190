//! What a delivery came to, and what its sender and the audit record are told of it. Pure.

use serde::Serialize;

use super::keys::to_json;
use super::{Admission, AlertReceipt, DeliveryStatus, JobReceipt, Receipt, ReceiptStatus, Skipped, StoreError};
use crate::audit::AuditEvent;
use crate::domain::{AlertId, JobId, JobState, ProviderName, Subject};

/// What is kept of a batch is told beside what became of the rest of it.
pub(super) fn receipt(admission: &Admission, alerts: Vec<AlertReceipt>) -> Receipt {
    let status = if admission.quarantine.is_some() { ReceiptStatus::Quarantined } else { rest_of(&alerts) };
    let quarantined = admission.elements.clone();
    Receipt { status, delivery_id: admission.delivery_id.clone(), alerts, quarantined, not_kept: None }
}

fn rest_of(alerts: &[AlertReceipt]) -> ReceiptStatus {
    let has_jobs = alerts.iter().any(|alert| !alert.jobs.is_empty());
    if has_jobs { ReceiptStatus::Accepted } else { ReceiptStatus::Ignored }
}

/// How the delivery stands.
pub(super) fn status_of(admission: &Admission, alerts: &[AlertReceipt]) -> DeliveryStatus {
    if admission.is_kept() {
        DeliveryStatus::Quarantined
    } else if alerts.iter().any(|alert| !alert.jobs.is_empty()) {
        DeliveryStatus::Accepted
    } else {
        DeliveryStatus::Ignored
    }
}

/// As a column: nearly every delivery has none.
pub(super) fn elements(admission: &Admission) -> Result<Option<String>, StoreError> {
    if admission.elements.is_empty() { Ok(None) } else { to_json(&admission.elements).map(Some) }
}

/// How a replayed delivery stands that stood so before.
pub(super) fn status_again(before: i64, admission: &Admission, alerts: &[AlertReceipt]) -> DeliveryStatus {
    match status_of(admission, alerts) {
        // Its jobs are still there, although no rule would make them now.
        DeliveryStatus::Ignored if before == DeliveryStatus::Accepted as i64 => DeliveryStatus::Accepted,
        status => status,
    }
}

/// What of an admission acts where the quarantine has no room for the rest, and what the sender is told of that.
pub(super) fn without_what_is_kept(admission: &Admission) -> (Admission, String) {
    let reason = admission.reason().unwrap_or_default();
    let rest = Admission { quarantine: None, elements: Vec::new(), ..admission.clone() };
    (rest, format!("the quarantine is full: {reason}"))
}

/// The audit row.
pub(super) fn row(
    admission: &Admission,
    (status, reason): (DeliveryStatus, Option<&str>),
    alerts: &[AlertReceipt],
) -> (AuditEvent, String) {
    let event = match status {
        DeliveryStatus::Accepted => AuditEvent::Admitted,
        DeliveryStatus::Ignored => AuditEvent::Ignored,
        DeliveryStatus::Quarantined => AuditEvent::Quarantined,
    };
    let alerts = alerts.iter().map(AlertTold::from).collect();
    let told = DeliveryTold { alerts, delivery_id: &admission.delivery_id, reason, source: admission.source.as_str() };
    (event, serde_json::to_string(&told).expect("text makes JSON, and every key is one"))
}

/// What the audit record tells of a delivery. As in every JSON value, keys are in order, so that whoever reads the record
/// through the API can hash the same text.
#[derive(Serialize)]
struct DeliveryTold<'a> {
    alerts: Vec<AlertTold<'a>>,
    delivery_id: &'a str,
    reason: Option<&'a str>,
    source: &'a str,
}

/// An [`AlertReceipt`], with its keys in order.
#[derive(Serialize)]
struct AlertTold<'a> {
    external_id: &'a str,
    id: AlertId,
    jobs: Vec<JobTold<'a>>,
    skipped: Vec<SkippedTold<'a>>,
}

/// A [`JobReceipt`], with its keys in order.
#[derive(Serialize)]
struct JobTold<'a> {
    id: JobId,
    provider: &'a ProviderName,
    state: JobState,
    subject: SubjectTold<'a>,
}

/// A [`Subject`], with its keys in order.
#[derive(Serialize)]
struct SubjectTold<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    email: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<&'a str>,
}

/// A [`Skipped`], with its keys in order.
#[derive(Serialize)]
struct SkippedTold<'a> {
    reason: &'a str,
    rule: &'a str,
}

impl<'a> From<&'a AlertReceipt> for AlertTold<'a> {
    fn from(alert: &'a AlertReceipt) -> Self {
        let skipped = |skipped: &'a Skipped| SkippedTold { reason: &skipped.reason, rule: &skipped.rule };
        Self {
            external_id: &alert.external_id,
            id: alert.id,
            jobs: alert.jobs.iter().map(JobTold::from).collect(),
            skipped: alert.skipped.iter().map(skipped).collect(),
        }
    }
}

impl<'a> From<&'a JobReceipt> for JobTold<'a> {
    fn from(job: &'a JobReceipt) -> Self {
        let Subject { id, email, username } = &job.subject;
        let subject = SubjectTold { email: email.as_deref(), id: id.as_deref(), username: username.as_deref() };
        Self { id: job.id, provider: &job.provider, state: job.state, subject }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use jiff::Timestamp;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_row_is_the_text_of_its_json_value() {
        let subject =
            Subject { id: Some("00u1".to_owned()), email: Some("ana@example.com".to_owned()), username: None };
        let provider: ProviderName = "okta".parse().expect("a name");
        let jobs = vec![JobReceipt { id: JobId::new(), provider, subject, state: JobState::Queued }];
        let skipped = vec![Skipped { rule: "second".to_owned(), reason: "a \"part\" is false".to_owned() }];
        let alerts = vec![AlertReceipt { id: AlertId::new(), external_id: "a-1".to_owned(), jobs, skipped }];
        let admission = Admission {
            source: "edr".parse().expect("a name"),
            issuer: "edr".to_owned(),
            guard: [0; 32],
            guard_expires_at: None,
            delivery_id: "msg_1".to_owned(),
            received_at: Timestamp::UNIX_EPOCH,
            headers: Vec::new(),
            body: Bytes::new(),
            alerts: Vec::new(),
            quarantine: None,
            elements: Vec::new(),
            trace: None,
        };
        for reason in [None, Some("line\nbreak")] {
            let told = json!({"source": "edr", "delivery_id": "msg_1", "reason": reason, "alerts": alerts});
            let (event, text) = row(&admission, (DeliveryStatus::Accepted, reason), &alerts);
            assert_eq!((event, text.as_str()), (AuditEvent::Admitted, told.to_string().as_str()));
            assert_eq!(serde_json::from_str::<Value>(&text).expect("JSON"), told);
        }
    }
}
