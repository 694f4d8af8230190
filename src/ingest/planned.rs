//! What an authentic delivery is made into, when it comes or is replayed: planned jobs, or what is kept for a person.

use std::sync::Arc;

use jiff::Timestamp;

use super::intake::Intake;
use super::refusal::Refusal;
use super::source::SourceIntake;
use crate::decode::{BadElement, DecodeError, Decoded, Found};
use crate::domain::{Alert, AlertId, TraceContext};
use crate::policy::{Effort, Plan};
use crate::store::{Admission, PlannedAlert, QuarantinedElement, Skipped, StoredDelivery};
use crate::verify::{Reason, Verified};

/// Elements of one batch whose problem is told; the rest are of the same kind.
const MOST_ELEMENTS_TOLD: usize = 1000;

/// What a delivery was made into.
#[derive(Default)]
pub(super) struct Planned {
    alerts: Vec<PlannedAlert>,
    quarantine: Option<String>,
    elements: Vec<QuarantinedElement>,
}

impl Planned {
    /// Kept for a person, and nothing done.
    pub(super) fn kept(reason: String) -> Self {
        Self { quarantine: Some(reason), ..Self::default() }
    }
}

impl Intake {
    /// Plans what was decoded. The only refusal is that of alerts older than the source takes.
    pub(super) fn plan(
        &self,
        source: &SourceIntake,
        verified: &Verified,
        decoded: Result<Decoded, DecodeError>,
    ) -> Result<Admission, Refusal> {
        let decoded = match decoded {
            Ok(decoded) => Ok(self.without_old(source, decoded)?),
            Err(error) => Err(error),
        };
        Ok(self.admission(source, verified, self.plan_all(source, decoded)))
    }

    /// What is stored of an authentic delivery.
    pub(super) fn admission(&self, source: &SourceIntake, verified: &Verified, planned: Planned) -> Admission {
        let guard = verified.guard();
        Admission {
            source: source.name.clone(),
            issuer: source.issuer.clone(),
            guard,
            guard_expires_at: source.guard_expiry(verified.received_at()),
            delivery_id: verified.signed_id().map_or_else(|| hex::encode(guard), str::to_owned),
            received_at: verified.received_at(),
            headers: header_list(verified),
            body: verified.body().clone(),
            alerts: planned.alerts,
            quarantine: planned.quarantine,
            elements: planned.elements,
            trace: None,
        }
    }

    /// A delivery of old alerts alone is stale. In a batch an old one is kept for a person, as one that is none is, and the
    /// others act.
    fn without_old(&self, source: &SourceIntake, mut decoded: Decoded) -> Result<Decoded, Refusal> {
        let Some(max_age) = source.max_age else { return Ok(decoded) };
        let now = self.clock.now();
        let is_old = |found: &Found| now > found.alert.occurred_at.saturating_add(max_age).unwrap_or(Timestamp::MAX);
        let (old, fresh): (Vec<_>, Vec<_>) = std::mem::take(&mut decoded.alerts).into_iter().partition(is_old);
        if !old.is_empty() && fresh.is_empty() && decoded.bad.is_empty() {
            return Err(Refusal::Stale(Reason::TimestampStale));
        }
        let kept = |found: Found| {
            let problem = "occurred_at is longer ago than the source's max_age".to_owned();
            BadElement { element: found.element.unwrap_or_default(), problem }
        };
        decoded.alerts = fresh;
        decoded.bad.extend(old.into_iter().map(kept));
        decoded.bad.sort_by_key(|bad| bad.element);
        Ok(decoded)
    }

    /// Rules that fail while evaluated put the delivery into quarantine; the other rules act. So do the other elements of a
    /// batch where some are no alerts.
    fn plan_all(&self, source: &SourceIntake, decoded: Result<Decoded, DecodeError>) -> Planned {
        let decoded = match decoded {
            Ok(decoded) => decoded,
            Err(error) => return Planned::kept(error.to_string()),
        };
        let mut failures = Vec::new();
        if decoded.is_all_bad() {
            failures.push("none of its elements is an alert".to_owned());
        }
        let mut effort = Effort::default();
        let plan = |found: &Found| self.plan_one(source, &found.alert, &mut effort, &mut failures);
        let alerts = decoded.alerts.iter().map(plan).collect();
        let quarantine = if failures.is_empty() { None } else { Some(failures.join("; ")) };
        let elements = decoded
            .bad
            .into_iter()
            .take(MOST_ELEMENTS_TOLD)
            .map(|bad| QuarantinedElement { element: bad.element, problem: bad.problem });
        Planned { alerts, quarantine, elements: elements.collect() }
    }

    fn plan_one(
        &self,
        source: &SourceIntake,
        alert: &Alert,
        effort: &mut Effort,
        failures: &mut Vec<String>,
    ) -> PlannedAlert {
        let planning = &source.planning;
        let mut plan = planning.policy.plan_within(&source.name, alert, source.dry_run, effort);
        for job in plan.jobs.iter_mut().filter(|job| planning.dry_providers.contains(&job.provider)) {
            job.dry_run = true;
        }
        failures.extend(plan.errors.iter().map(|error| format!("rule {:?}: {}", error.rule, error.message)));
        planned_alert(alert, plan)
    }

    /// Decodes and plans a stored delivery again, under the config of today. Nothing is stored yet.
    pub fn plan_again(&self, stored: &StoredDelivery) -> Result<Admission, Refusal> {
        let source = &*self.source(stored.source.as_str()).ok_or(Refusal::UnknownSource)?;
        let headers = stored.headers.iter().filter_map(|(name, value)| {
            Some((http::HeaderName::try_from(name).ok()?, http::HeaderValue::try_from(value).ok()?))
        });
        let headers = headers.collect();
        let verified = Verified::restore(source.name.clone(), stored.body.clone(), headers, stored.received_at);
        // How old its alerts are was judged when it came.
        let planned = self.plan_all(source, source.decode(&verified));
        Ok(Admission {
            source: source.name.clone(),
            issuer: source.issuer.clone(),
            guard: verified.guard(),
            guard_expires_at: None,
            delivery_id: stored.delivery_id.clone(),
            received_at: stored.received_at,
            headers: stored.headers.clone(),
            body: stored.body.clone(),
            alerts: planned.alerts,
            quarantine: planned.quarantine,
            elements: planned.elements,
            // Attempts show in the sender's trace; when it came, that was told.
            trace: TraceContext::from_headers(verified.headers()),
        })
    }

    /// The same where it keeps nobody waiting.
    pub async fn replan(self: &Arc<Self>, stored: &StoredDelivery) -> Result<Admission, Refusal> {
        let (intake, stored) = (Arc::clone(self), stored.clone());
        self.heavy.run(stored.body.len(), move || intake.plan_again(&stored)).await?
    }
}

pub(super) fn planned_alert(alert: &Alert, plan: Plan) -> PlannedAlert {
    let skipped = plan.skipped.into_iter().map(|skipped| Skipped { rule: skipped.rule, reason: skipped.reason });
    PlannedAlert {
        id: AlertId::new(),
        external_id: alert.id.clone(),
        kind: alert.kind.clone(),
        severity: alert.severity,
        occurred_at: alert.occurred_at,
        reason: alert.reason.clone(),
        jobs: plan.jobs,
        skipped: skipped.collect(),
    }
}

fn header_list(verified: &Verified) -> Vec<(String, String)> {
    let text = |value: &http::HeaderValue| value.to_str().map(str::to_owned).ok();
    verified.headers().iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?))).collect()
}
