//! What an operator asks for by hand: planned like an alert, without rules and under the same guardrails.

use bytes::Bytes;
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Intake;
use super::planned::planned_alert;
use crate::domain::{Alert, AlertSubject, NewJob, ProviderName, Severity, SourceName};
use crate::policy::RevokeSettings;
use crate::store::Admission;

/// The source that orders are shown under. No source in the config may be called so.
pub const OPERATOR_SOURCE: &str = "operator";

/// The kind of alert that an order is shown as.
const KIND: &str = "operator_request";

/// How long the same key means the same order. Retries of a request come within minutes.
const REMEMBERED: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);

/// Sessions that are to end because a person says so.
#[derive(Debug, Clone)]
pub struct Order {
    /// Whose.
    pub subject: AlertSubject,
    /// Where, and which.
    pub targets: Vec<RevokeSettings>,
    /// How soon, compared with others.
    pub severity: Severity,
    /// Resolves and judges, and sends nothing.
    pub dry_run: bool,
    /// Why.
    pub reason: String,
    /// The same for repeats of one request by one caller.
    pub key: String,
    /// The request as it came.
    pub body: Bytes,
}

impl Intake {
    /// What is to be stored for an order of `issuer`, and the providers at which it names no session although only given ones are
    /// to end.
    #[must_use]
    pub fn plan_order(&self, order: Order, issuer: &str, now: Timestamp) -> (Admission, Vec<ProviderName>) {
        let alert = Alert {
            id: order.key.clone(),
            kind: KIND.to_owned(),
            severity: order.severity,
            occurred_at: now,
            subjects: vec![order.subject],
            reason: Some(order.reason).filter(|reason| !reason.is_empty()),
            attributes: serde_json::Map::new(),
            dry_run: order.dry_run,
        };
        let planning = self.planning();
        let (mut plan, sessionless) = planning.policy.order(&alert, &order.targets);
        let is_dry = |job: &NewJob| planning.dry_providers.contains(&job.provider);
        plan.jobs.iter_mut().for_each(|job| job.dry_run |= is_dry(job));
        let admission = Admission {
            source: operator_source(),
            // Two operators may choose the same key.
            issuer: issuer.to_owned(),
            guard: guard(issuer, &order.key),
            guard_expires_at: now.checked_add(REMEMBERED).ok(),
            delivery_id: order.key,
            received_at: now,
            headers: Vec::new(),
            body: order.body,
            alerts: vec![planned_alert(&alert, plan)],
            quarantine: None,
            elements: Vec::new(),
            trace: None,
        };
        (admission, sessionless)
    }
}

fn operator_source() -> SourceName {
    OPERATOR_SOURCE.parse().expect("it is a name")
}

/// Half a guard names the delivery and half its body: here the key is all that counts, and a repeat with another body is
/// noticed by whoever compares the two.
fn guard(issuer: &str, key: &str) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in ["operator order", issuer, key] {
        digest.update((part.len() as u64).to_be_bytes());
        digest.update(part);
    }
    let mut guard = [0; 32];
    guard[..16].copy_from_slice(&digest.finalize()[..16]);
    guard
}
