//! The one way in: whatever the transport, a delivery ends here.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use super::heavy::Heavy;
use super::limit::{PeerLimit, SourceLimit};
use super::planning::{Planning, Sources};
use super::refusal::{Refusal, RefusalView, Refusals};
use super::settings::{OnUndecodable, SourceSettings};
use super::traced;
use crate::clock::Clock;
use crate::decode::{BadElement, DecodeError, Decoded, Decoder, Found};
use crate::domain::{Alert, AlertId, Budget, Delivery, SourceName, TraceContext};
use crate::live::Live;
use crate::policy::{Effort, Plan};
use crate::settings::Rate;
use crate::store::{
    Admission, Admitted, JobStore, PlannedAlert, QuarantinedElement, Receipt, ReceiptStatus, Skipped, StoredDelivery,
};
use crate::telemetry::Metrics;
use crate::telemetry::trace::{Span, Tracer};
use crate::tls::{ClientSubject, TlsPeer};
use crate::verify::{Challenge, Reason, Verified, Verifier, VerifyError, VerifySettings};

/// One source, ready to judge deliveries.
pub struct SourceIntake {
    pub(super) name: SourceName,
    pub(super) verifier: Arc<Verifier>,
    verify: VerifySettings,
    decoder: Arc<Decoder>,
    planning: Arc<Planning>,
    issuer: String,
    rate: Option<Rate>,
    limit: Option<Arc<SourceLimit>>,
    max_age: Option<std::time::Duration>,
    dry_run: bool,
    client_subjects: Option<Vec<ClientSubject>>,
    /// Bounds the refusals of a queue that are logged; its publishers have no address to bound them by.
    pub(super) told_refusals: Arc<SourceLimit>,
    /// The queue that it takes from.
    pub(super) queue: Option<String>,
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
        planning: Arc<Planning>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let limit = settings.limit.as_ref().and_then(|rate| SourceLimit::new(rate, Arc::clone(&clock)));
        Self {
            issuer: settings.issuer.clone().unwrap_or_else(|| name.to_string()),
            name,
            verifier: Arc::new(verifier),
            verify: settings.verify.clone(),
            decoder: Arc::new(decoder),
            planning,
            rate: settings.limit,
            limit: limit.map(Arc::new),
            told_refusals: Arc::new(SourceLimit::of_refusals(clock)),
            max_age: settings.max_age.map(|age| age.0),
            dry_run: settings.dry_run,
            client_subjects: settings.client_subjects.clone(),
            queue: settings.amqp.as_ref().map(|amqp| amqp.queue.clone()),
            takes_webhooks: settings.takes_webhooks(),
            max_body: settings.max_body().as_usize(),
            on_undecodable: settings.on_undecodable(),
        }
    }

    /// In the place of the one that was there before. What did not change goes on as it was: what is used up of a limit
    /// stays used up, and what a verifier has fetched need not be fetched again.
    fn instead_of(self, before: &Self) -> Self {
        Self {
            verifier: if self.verify == before.verify { Arc::clone(&before.verifier) } else { self.verifier },
            limit: if self.rate == before.rate { before.limit.clone() } else { self.limit },
            told_refusals: Arc::clone(&before.told_refusals),
            ..self
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

    /// Whether whoever is at the other end may deliver here, as far as a certificate says it. No header counts: anybody
    /// can write one.
    pub(super) fn admits(&self, peer: Option<&TlsPeer>, now: Timestamp) -> Result<(), Reason> {
        let Some(subjects) = &self.client_subjects else { return Ok(()) };
        let shown = peer.and_then(|peer| peer.certificate.as_ref()).ok_or(Reason::ClientCertificateMissing)?;
        if !shown.is_any(subjects) {
            return Err(Reason::ClientCertificateMismatch);
        }
        if shown.holds_at(now) { Ok(()) } else { Err(Reason::ClientCertificateExpired) }
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
    sources: Live<Sources>,
    pub(super) store: Arc<dyn JobStore>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) tracer: Tracer,
    refusals: Arc<Refusals>,
    forged: PeerLimit,
    pub(super) heavy: Heavy,
}

impl Intake {
    /// The way in for these sources. Orders of operators are planned by `planning`.
    #[must_use]
    pub fn new(
        sources: Vec<SourceIntake>,
        planning: Arc<Planning>,
        store: Arc<dyn JobStore>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let sources = Live::new(Sources::new(sources, planning));
        let forged = PeerLimit::new(Arc::clone(&clock));
        let (refusals, heavy) = (Arc::default(), Heavy::new());
        Self { sources, store, clock, metrics, tracer: Tracer::default(), refusals, forged, heavy }
    }

    /// Records traces of what comes in.
    #[must_use]
    pub fn traced(self, tracer: Tracer) -> Self {
        Self { tracer, ..self }
    }

    /// From now on these sources; deliveries that are under way end by the config that they began with.
    pub fn replace(&self, sources: Vec<SourceIntake>, planning: Arc<Planning>) {
        let before = self.sources.get();
        let next = sources.into_iter().map(|source| match before.by_name.get(&source.name) {
            Some(before) => source.instead_of(before),
            None => source,
        });
        self.sources.set(Sources::new(next.collect(), planning));
    }

    /// The source of this name.
    #[must_use]
    pub fn source(&self, name: &str) -> Option<Arc<SourceIntake>> {
        self.sources.get().by_name.get(&name.parse().ok()?).cloned()
    }

    /// What orders of operators are planned by.
    pub(super) fn planning(&self) -> Arc<Planning> {
        Arc::clone(&self.sources.get().planning)
    }

    /// How many people may lose their sessions in how long.
    #[must_use]
    pub fn budgets(&self) -> Vec<Budget> {
        self.planning().policy.budgets().to_vec()
    }

    /// Whether whoever asked for a job may not approve it.
    #[must_use]
    pub fn four_eyes(&self) -> bool {
        self.planning().policy.four_eyes()
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
        let span = self.request_span(source, &verified);
        let taken = self.take_authentic(source, verified, peer, &span).await;
        traced::answered(span, source, &taken);
        taken
    }

    async fn take_authentic(
        self: &Arc<Self>,
        source: &Arc<SourceIntake>,
        verified: Verified,
        peer: Option<IpAddr>,
        span: &Span,
    ) -> Result<Taken, Refusal> {
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
        let admission = Admission { trace: span.context().cloned(), ..planned.await?? };
        match self.store.admit(admission).await {
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
