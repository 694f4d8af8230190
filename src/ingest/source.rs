//! One source, as its config describes it: who is believed, how its alerts are read, and how much it may send.

use std::sync::Arc;

use jiff::Timestamp;

use super::limit::{SourceLimit, ToldRefusals};
use super::planning::Planning;
use super::settings::{OnUndecodable, SourceSettings};
use crate::clock::Clock;
use crate::decode::{DecodeError, Decoded, Decoder};
use crate::domain::SourceName;
use crate::settings::Rate;
use crate::tls::{ClientSubject, TlsPeer};
use crate::verify::{Reason, Verified, Verifier, VerifySettings};

/// One source, ready to judge deliveries.
pub struct SourceIntake {
    pub(super) name: SourceName,
    pub(super) verifier: Arc<Verifier>,
    verify: VerifySettings,
    decoder: Arc<Decoder>,
    pub(super) planning: Arc<Planning>,
    pub(super) issuer: String,
    rate: Option<Rate>,
    pub(super) limit: Option<Arc<SourceLimit>>,
    pub(super) max_age: Option<std::time::Duration>,
    pub(super) dry_run: bool,
    client_subjects: Option<Vec<ClientSubject>>,
    pub(super) told_refusals: Arc<ToldRefusals>,
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
            told_refusals: Arc::new(ToldRefusals::new(clock)),
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
    pub(super) fn instead_of(self, before: &Self) -> Self {
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
    pub(super) fn guard_expiry(&self, received_at: Timestamp) -> Option<Timestamp> {
        let window = self.verifier.window().or(self.max_age.filter(|_| self.decoder.dates_alerts()))?;
        received_at.checked_add(window * 2).ok()
    }
}
