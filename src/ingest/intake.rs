//! The one way in: whatever the transport, a delivery ends here.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderMap;
use serde_json::Value;

use super::heavy::Heavy;
use super::limit::{PeerLimit, SourceLimit};
use super::planning::{Planning, Sources};
use super::refusal::{Refusal, RefusalView, Refusals};
use super::source::SourceIntake;
use super::traced;
use crate::clock::Clock;
use crate::domain::{Budget, Delivery, SourceName};
use crate::live::Live;
use crate::store::{Admission, Admitted, JobStore, Receipt, ReceiptStatus};
use crate::telemetry::Metrics;
use crate::telemetry::trace::{Span, Tracer};
use crate::verify::{Challenge, Verified, VerifyError};

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
            Err(refusal) => {
                self.refuse(source, refusal, peer, size_bytes);
            }
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
            Err(refusal) => {
                self.refuse(source, refusal, peer, 0);
            }
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

    /// Counts and remembers a refusal. Anybody can cause any number from any number of addresses, so only some are told, each
    /// with how many were not since the last one; who is over their allowance never is. Whether this one was.
    pub(super) fn refuse(
        &self,
        source: &SourceIntake,
        refusal: &Refusal,
        peer: Option<IpAddr>,
        size_bytes: u64,
    ) -> bool {
        self.metrics.delivery(&source.name, refusal.result());
        if matches!(refusal, Refusal::Limited { .. }) {
            return false;
        }
        let Some(untold) = source.told_refusals.take() else { return false };
        let (reason, peer) = (refusal.reason(), peer.map(|peer| peer.to_string()));
        let shown = peer.as_deref();
        tracing::warn!(source.name = %source.name, reason, peer = shown, size_bytes, untold, "a delivery was refused");
        let view = RefusalView { at: self.clock.now(), reason: reason.to_owned(), peer, size_bytes };
        self.refusals.push(&source.name, view);
        true
    }
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
