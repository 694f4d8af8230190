//! What a delivery came to, and what its sender and the audit record are told of it. Pure.

use serde_json::json;

use super::keys::to_json;
use super::{Admission, AlertReceipt, DeliveryStatus, Receipt, ReceiptStatus, StoreError};
use crate::audit::AuditEvent;

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
) -> (AuditEvent, serde_json::Value) {
    let event = match status {
        DeliveryStatus::Accepted => AuditEvent::Admitted,
        DeliveryStatus::Ignored => AuditEvent::Ignored,
        DeliveryStatus::Quarantined => AuditEvent::Quarantined,
    };
    let detail = json!({
        "source": admission.source,
        "delivery_id": admission.delivery_id,
        "reason": reason,
        "alerts": alerts,
    });
    (event, detail)
}
