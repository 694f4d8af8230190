//! The one way in: whatever the transport, a delivery ends here.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::heavy::Heavy;
use super::limit::{PeerLimit, SourceLimit};
use super::refusal::{Refusal, RefusalView, Refusals};
use super::settings::{OnUndecodable, SourceSettings};
use crate::clock::Clock;
use crate::decode::{BadElement, DecodeError, Decoded, Decoder, Found};
use crate::domain::{Alert, AlertId, Budget, Delivery, ProviderName, SourceName};
use crate::policy::{Effort, Plan, Policy};
use crate::store::{
    Admission, Admitted, JobStore, PlannedAlert, QuarantinedElement, Receipt, ReceiptStatus, Skipped, StoredDelivery,
};
use crate::telemetry::Metrics;
use crate::verify::{Challenge, Reason, Verified, Verifier, VerifyError};

/// One source, ready to judge deliveries.
pub struct SourceIntake {
    pub(super) name: SourceName,
    pub(super) verifier: Verifier,
    decoder: Decoder,
    issuer: String,
    limit: Option<SourceLimit>,
    max_age: Option<std::time::Duration>,
    dry_run: bool,
    /// Bounds the refusals of a queue that are logged; its publishers have no address to bound them by.
    pub(super) told_refusals: SourceLimit,
    /// Whether it takes requests. A queue's source does not.
    pub takes_webhooks: bool,
    /// The largest body taken, in bytes.
    pub max_body: usize,
    /// The answer to what cannot be decoded.
    pub on_undecodable: OnUndecodable,
}

impl SourceIntake {
    /// A source as the config describes it.
    #[must_use]
    pub fn new(
        name: SourceName,
        settings: &SourceSettings,
        verifier: Verifier,
        decoder: Decoder,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            issuer: settings.issuer.clone().unwrap_or_else(|| name.to_string()),
            name,
            verifier,
            decoder,
            limit: settings.limit.as_ref().and_then(|rate| SourceLimit::new(rate, Arc::clone(&clock))),
            told_refusals: SourceLimit::of_refusals(clock),
            max_age: settings.max_age.map(|age| age.0),
            dry_run: settings.dry_run,
            takes_webhooks: settings.takes_webhooks(),
            max_body: settings.max_body().as_usize(),
            on_undecodable: settings.on_undecodable(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &SourceName {
        &self.name
    }

    /// Whether its scheme takes bodies of this type.
    #[must_use]
    pub fn accepts(&self, content_type: Option<&http::HeaderValue>) -> bool {
        self.verifier.accepts_content_type(content_type)
    }

    /// The methods that its scheme takes, as `Allow` lists them.
    #[must_use]
    pub fn methods(&self) -> &'static str {
        if self.verifier.accepts_get() { "GET, POST" } else { "POST" }
    }

    /// Reads the alerts of an authentic delivery.
    pub(super) fn decode(&self, verified: &Verified) -> Result<Decoded, DecodeError> {
        self.decoder.decode(verified)
    }

    /// Guards outlive twice the time in which a repeat could pass. Where neither a time is signed nor the body says how old
    /// its alerts are, a repeat always passes, and they stay for ever.
    fn guard_expiry(&self, received_at: Timestamp) -> Option<Timestamp> {
        let window = self.verifier.window().or(self.max_age.filter(|_| self.decoder.dates_alerts()))?;
        received_at.checked_add(window * 2).ok()
    }
}

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

/// What became of a delivery.
#[derive(Debug)]
pub enum Taken {
    /// It is on disk, with everything about it.
    Stored(Receipt),
    /// It was a question of the scheme; this is the answer. Nothing is stored.
    Answered(Value),
}

impl Taken {
    /// The receipt, unless it was a question.
    #[must_use]
    pub fn receipt(self) -> Option<Receipt> {
        match self {
            Self::Stored(receipt) => Some(receipt),
            Self::Answered(_) => None,
        }
    }

    /// The word for metrics.
    fn result(&self) -> &'static str {
        match self {
            Self::Stored(receipt) => result_word(receipt),
            Self::Answered(_) => "challenge",
        }
    }
}

/// Verifies, decodes, plans and stores.
pub struct Intake {
    sources: HashMap<SourceName, Arc<SourceIntake>>,
    dry_providers: BTreeSet<ProviderName>,
    policy: Arc<Policy>,
    pub(super) store: Arc<dyn JobStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    refusals: Arc<Refusals>,
    forged: PeerLimit,
    pub(super) heavy: Heavy,
}

impl Intake {
    /// The way in for these sources. Jobs at `dry_providers` send nothing.
    #[must_use]
    pub fn new(
        sources: Vec<SourceIntake>,
        dry_providers: BTreeSet<ProviderName>,
        policy: Arc<Policy>,
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let sources = sources.into_iter().map(|source| (source.name.clone(), Arc::new(source))).collect();
        let forged = PeerLimit::new(Arc::clone(&clock));
        let (refusals, heavy) = (Arc::default(), Heavy::new());
        Self { sources, dry_providers, policy, store, clock, metrics, refusals, forged, heavy }
    }

    /// The source of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<&Arc<SourceIntake>> {
        self.sources.get(&name.parse().ok()?)
    }

    /// The rules and guardrails.
    pub(super) fn policy(&self) -> &Policy {
        &self.policy
    }

    /// How many people may lose their sessions in how long.
    #[must_use]
    pub fn budgets(&self) -> Vec<Budget> {
        self.policy.budgets().to_vec()
    }

    /// Whether whoever asked for a job may not approve it.
    #[must_use]
    pub fn four_eyes(&self) -> bool {
        self.policy.four_eyes()
    }

    /// Whether nothing is sent to this provider.
    pub(super) fn is_dry(&self, provider: &ProviderName) -> bool {
        self.dry_providers.contains(provider)
    }

    /// The last refusals.
    #[must_use]
    pub fn refusals(&self) -> &Arc<Refusals> {
        &self.refusals
    }

    /// Takes a delivery. When this returns a receipt, everything about it is on disk.
    pub async fn receive(
        self: &Arc<Self>,
        source: &Arc<SourceIntake>,
        delivery: Delivery,
        peer: Option<IpAddr>,
    ) -> Result<Taken, Refusal> {
        let size_bytes = delivery.body.len() as u64;
        let taken = self.take(source, delivery, peer).await;
        match &taken {
            Ok(taken) => self.metrics.delivery(&source.name, taken.result()),
            Err(refusal) => self.refuse(&source.name, refusal, peer, size_bytes),
        }
        taken
    }

    /// Answers a GET, by which some senders ask once whether an address is ours. `None` where it is no question.
    pub fn answer_get(
        &self,
        source: &SourceIntake,
        headers: &HeaderMap,
        peer: Option<IpAddr>,
    ) -> Option<Result<Value, Refusal>> {
        let answer = source.verifier.answer_get(headers)?.map_err(|_| self.limited(Refusal::Malformed, peer));
        match &answer {
            Ok(_) => self.metrics.delivery(&source.name, "challenge"),
            Err(refusal) => self.refuse(&source.name, refusal, peer, 0),
        }
        Some(answer)
    }

    async fn take(
        self: &Arc<Self>,
        source: &Arc<SourceIntake>,
        delivery: Delivery,
        peer: Option<IpAddr>,
    ) -> Result<Taken, Refusal> {
        self.prepare(source, &delivery, peer).await?;
        let verified = match self.verify(source, delivery).await? {
            Ok(verified) => verified,
            Err(VerifyError::Undecided(reason)) => return Err(self.limited(Refusal::Undecided(reason), peer)),
            // Anybody who once saw a delivery can send it again.
            Err(VerifyError::Stale { reason, .. }) => return Err(self.limited(Refusal::Stale(reason), peer)),
            Err(VerifyError::Forged(reason)) => return Err(self.limited(Refusal::Forged(reason), peer)),
        };
        if let Some(limit) = &source.limit {
            self.charge(limit, &verified, peer).await?;
        }
        if let Some(challenge) = verified.challenge() {
            return self.answer(source, challenge).await;
        }
        // From here on the delivery is authentic: whatever it is, it ends in one commit.
        let planned = self.with_body(source, verified.body().len(), move |intake, source| {
            intake.plan(source, &verified, source.decode(&verified))
        });
        match self.store.admit(planned.await??).await {
            Ok(Admitted::New(receipt) | Admitted::Duplicate(receipt)) => {
                tell_not_kept(&source.name, &receipt);
                Ok(Taken::Stored(receipt))
            }
            Err(error) => {
                tracing::error!(source.name = %source.name, error = %error, "a delivery could not be stored");
                Err(Refusal::Unavailable)
            }
        }
    }

    /// Asks the verifier of this source.
    pub(super) async fn verify(
        self: &Arc<Self>,
        source: &Arc<SourceIntake>,
        delivery: Delivery,
    ) -> Result<Result<Verified, VerifyError>, Refusal> {
        let size = delivery.body.len();
        let work = move |intake: &Self, source: &SourceIntake| source.verifier.verify(delivery, intake.clock.now());
        self.with_body(source, size, work).await
    }

    /// Does something with a body of this size where it keeps nobody waiting.
    pub(super) async fn with_body<T: Send + 'static>(
        self: &Arc<Self>,
        source: &Arc<SourceIntake>,
        body_bytes: usize,
        work: impl FnOnce(&Self, &SourceIntake) -> T + Send + 'static,
    ) -> Result<T, Refusal> {
        let (intake, source) = (Arc::clone(self), Arc::clone(source));
        self.heavy.run(body_bytes, move || work(&intake, &source)).await
    }

    /// Anybody can have something fetched, so whoever causes it pays for it as for what is forged.
    async fn prepare(&self, source: &SourceIntake, delivery: &Delivery, peer: Option<IpAddr>) -> Result<(), Refusal> {
        let now = self.clock.now();
        if let Some(peer) = peer.filter(|_| source.verifier.has_to_fetch(delivery, now)) {
            self.forged.take(peer).map_err(|retry_after| Refusal::Limited { retry_after })?;
        }
        source.verifier.prepare(delivery, now).await;
        Ok(())
    }

    /// Anybody who once saw a delivery can send it again, so a repeat counts against the peer and not against the source.
    async fn charge(&self, limit: &SourceLimit, verified: &Verified, peer: Option<IpAddr>) -> Result<(), Refusal> {
        let known = self.store.is_known(verified.guard()).await.map_err(|error| {
            tracing::error!(source.name = %verified.source(), error = %error, "the store could not be asked");
            Refusal::Unavailable
        })?;
        let taken = match (known, peer) {
            (false, _) => limit.take(),
            (true, Some(peer)) => self.forged.take(peer),
            (true, None) => Ok(()),
        };
        taken.map_err(|retry_after| Refusal::Limited { retry_after })
    }

    async fn answer(&self, source: &SourceIntake, challenge: &Challenge) -> Result<Taken, Refusal> {
        let answer = source.verifier.answer(challenge).await.map_err(Refusal::Undecided)?;
        match challenge {
            Challenge::Answer(_) | Challenge::Subscribe(_) => {
                tracing::info!(source.name = %source.name, "a question of the sender was answered");
            }
            Challenge::Unsubscribed => {
                tracing::error!(source.name = %source.name, "the sender says that it will send no more: it was unsubscribed");
            }
        }
        Ok(Taken::Answered(answer))
    }

    /// A refusal that anybody can cause: whoever causes many is told to wait, and no longer logged.
    pub fn limited(&self, refusal: Refusal, peer: Option<IpAddr>) -> Refusal {
        if refusal == Refusal::Unavailable {
            return refusal;
        }
        match peer.map(|peer| self.forged.take(peer)) {
            Some(Err(retry_after)) => Refusal::Limited { retry_after },
            Some(Ok(())) | None => refusal,
        }
    }

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
        let mut plan = self.policy.plan_within(&source.name, alert, source.dry_run, effort);
        for job in plan.jobs.iter_mut().filter(|job| self.dry_providers.contains(&job.provider)) {
            job.dry_run = true;
        }
        failures.extend(plan.errors.iter().map(|error| format!("rule {:?}: {}", error.rule, error.message)));
        planned_alert(alert, plan)
    }

    /// Decodes and plans a stored delivery again, under the config of today. Nothing is stored yet.
    pub fn plan_again(&self, stored: &StoredDelivery) -> Result<Admission, Refusal> {
        let source = self.sources.get(&stored.source).ok_or(Refusal::UnknownSource)?;
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
        })
    }

    /// The same where it keeps nobody waiting.
    pub async fn replan(self: &Arc<Self>, stored: &StoredDelivery) -> Result<Admission, Refusal> {
        let (intake, stored) = (Arc::clone(self), stored.clone());
        self.heavy.run(stored.body.len(), move || intake.plan_again(&stored)).await?
    }

    /// Counts and remembers a refusal; a flood is counted and not logged.
    pub fn refuse(&self, source: &SourceName, refusal: &Refusal, peer: Option<IpAddr>, size_bytes: u64) {
        self.metrics.delivery(source, refusal.result());
        if matches!(refusal, Refusal::Limited { .. }) {
            return;
        }
        let (reason, peer) = (refusal.reason(), peer.map(|peer| peer.to_string()));
        tracing::warn!(source.name = %source, reason, peer = peer.as_deref(), size_bytes, "a delivery was refused");
        let view = RefusalView { at: self.clock.now(), reason: reason.to_owned(), peer, size_bytes };
        self.refusals.push(source, view);
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

/// Says loudly what the quarantine had no room for, whoever brought it.
pub(super) fn tell_not_kept(source: &SourceName, receipt: &Receipt) {
    if let Some(reason) = &receipt.not_kept {
        let message = "a delivery acts, and what a person should look at was not kept: make room and replay it";
        tracing::error!(source.name = %source, delivery.id = receipt.delivery_id, reason, "{message}");
    }
}

/// The word for metrics.
pub(super) fn result_word(receipt: &Receipt) -> &'static str {
    match receipt.status {
        _ if receipt.not_kept.is_some() => "not_kept",
        ReceiptStatus::Accepted => "accepted",
        ReceiptStatus::Duplicate => "duplicate",
        ReceiptStatus::Ignored => "ignored",
        ReceiptStatus::Quarantined => "quarantined",
    }
}
