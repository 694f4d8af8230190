//! Is this delivery from who it says, and fresh?
//!
//! One [`Verifier`] per source. It looks at the exact bytes received, before anything is parsed, and is the only
//! maker of [`Verified`]: what did not pass here cannot be decoded. The signature is judged before the time, so a
//! delivery is called stale only when it is authentic.

mod challenge;
mod download;
mod error;
mod freshness;
mod headers;
mod keys;
mod kind;
mod scheme;
mod settings;
mod sign;
mod verified;
mod watch;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use serde_json::Value;

use crate::domain::{Delivery, SourceName};
pub use challenge::Challenge;
pub use download::{Download, DownloadError, HttpDownload};
pub use error::{Reason, VerifierProblem, VerifyError};
pub use kind::SignatureScheme;
pub use settings::{
    HeaderPrefix, MacAlgorithm, SignatureEncoding, SnsSignatureVersion, TimestampFormat, VerifySettings, VerifyWarning,
};
pub use sign::Signer;
pub use verified::Verified;

use freshness::Window;
use scheme::Scheme;
use watch::Watch;

/// However far back a time of SNS may lie, because it stays the same over retries, ahead it has no such excuse.
const SNS_AHEAD: std::time::Duration = std::time::Duration::from_secs(5 * 60);

/// Checks the deliveries of one source. A secret from a file is read again when the file was changed; the others are
/// read once.
pub struct Verifier {
    source: SourceName,
    settings: VerifySettings,
    keys: Mutex<Keyring>,
}

/// The scheme with the keys of today.
struct Keyring {
    scheme: Arc<Scheme>,
    watch: Watch,
}

impl Verifier {
    /// Reads the secrets and keys them. Fails with every problem at once: a setting that does not fit the scheme, a
    /// secret that is missing, empty or undecodable. A problem names a secret by its reference, never by its text.
    pub fn new(source: SourceName, settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        Self::build(source, settings, None)
    }

    /// The same, with `download` in the place of HTTPS.
    pub fn with_download(
        source: SourceName,
        settings: &VerifySettings,
        download: Arc<dyn Download>,
    ) -> Result<Self, Vec<VerifierProblem>> {
        Self::build(source, settings, Some(download))
    }

    fn build(
        source: SourceName,
        settings: &VerifySettings,
        download: Option<Arc<dyn Download>>,
    ) -> Result<Self, Vec<VerifierProblem>> {
        let watch = Watch::new(&settings.secrets);
        let scheme = Arc::new(Scheme::new(settings, download)?);
        Ok(Self { source, settings: settings.clone(), keys: Mutex::new(Keyring { scheme, watch }) })
    }

    /// Whether [`Self::prepare`] would fetch anything for this delivery, of which nobody knows yet whether it is authentic.
    #[must_use]
    pub fn has_to_fetch(&self, delivery: &Delivery, now: Timestamp) -> bool {
        self.scheme_now(now).has_to_fetch(delivery, now)
    }

    /// Fetches what [`Self::verify`] will need for this delivery and does not have: of all schemes only `aws-sns` needs
    /// anything. Where that fails, `verify` will say so.
    pub async fn prepare(&self, delivery: &Delivery, now: Timestamp) {
        self.scheme_now(now).prepare(delivery, now).await;
    }

    /// Decides about one delivery, as of `now` by the wall clock.
    ///
    /// The keys say which source it is from: `delivery.source` is not looked at. No value of the delivery is in the
    /// error, except in the [`Verified`] of a stale one.
    pub fn verify(&self, delivery: Delivery, now: Timestamp) -> Result<Verified, VerifyError> {
        let scheme = self.scheme_now(now);
        let signed = scheme.authenticate(&delivery, now).map_err(refused)?;
        let age = self.age(signed.time, signed.expires, now);
        let kept = scheme.storable(&delivery.headers);
        let verified = Verified::authentic(&self.source, signed, kept, &delivery);
        match age {
            Ok(()) => Ok(verified),
            Err(reason) => Err(VerifyError::Stale { reason, verified: Box::new(verified) }),
        }
    }

    fn age(&self, time: Option<Timestamp>, expires: Option<Timestamp>, now: Timestamp) -> Result<(), Reason> {
        let back = self.settings.tolerance();
        let ahead = if self.settings.scheme == SignatureScheme::AwsSns { back.min(SNS_AHEAD) } else { back };
        time.map_or(Ok(()), |time| Window { back, ahead }.judge(time, now))?;
        if expires.is_some_and(|end| now > end) { Err(Reason::TimestampStale) } else { Ok(()) }
    }

    /// Does what the sender's question asks for, if anything, and says what to answer, as JSON.
    pub async fn answer(&self, challenge: &Challenge) -> Result<Value, Reason> {
        let scheme = Arc::clone(&self.keyring().scheme);
        scheme.answer(challenge).await
    }

    /// The answer to a GET, which some senders ask once to see that an address is ours; `None` where a GET is a
    /// mistake. It proves nothing about the sender, and nothing follows from it.
    #[must_use]
    pub fn answer_get(&self, headers: &HeaderMap) -> Option<Result<Value, Reason>> {
        self.settings.scheme.asks_by_get().then(|| scheme::okta_answer(headers))
    }

    /// The scheme, with the keys that the files hold now.
    fn scheme_now(&self, now: Timestamp) -> Arc<Scheme> {
        let mut keys = self.keyring();
        if keys.watch.changed(now) {
            match Scheme::new(&self.settings, None) {
                Ok(scheme) => {
                    tracing::info!(source.name = %self.source, "the secrets were changed and are in use");
                    keys.scheme = Arc::new(scheme);
                }
                Err(problems) => {
                    let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
                    let problems = problems.join("; ");
                    tracing::error!(source.name = %self.source, problems, "changed secrets cannot be used; the old stay");
                }
            }
        }
        Arc::clone(&keys.scheme)
    }

    fn keyring(&self) -> MutexGuard<'_, Keyring> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How far a signed time may be from ours, either way; `None` where the scheme signs no time. The guard against
    /// repeats is kept for at least twice as long, and for ever where this is `None`.
    #[must_use]
    pub fn window(&self) -> Option<std::time::Duration> {
        self.keyring().scheme.signs_time().then(|| self.settings.tolerance())
    }

    /// Whether a body of this `Content-Type` may come in; if not, the answer is 415. JSON types only, with any
    /// parameters, and text from SNS. Without the header a delivery is let in, because senders forget it and the
    /// decoder will tell.
    #[must_use]
    pub fn accepts_content_type(&self, value: Option<&HeaderValue>) -> bool {
        self.settings.scheme.takes(value)
    }

    /// Whether a GET is a question of the scheme; if not, the answer is 405.
    #[must_use]
    pub fn accepts_get(&self) -> bool {
        self.settings.scheme.asks_by_get()
    }

    /// The scheme, for logs and `sever check`.
    #[must_use]
    pub fn scheme(&self) -> SignatureScheme {
        self.settings.scheme
    }
}

/// What the text of a secret gives whoever knows it, as digests: secrets that have one in common are one secret, however
/// they are written (`whsec_X` and `X`, `whpk_` and PEM).
#[must_use]
pub fn secret_marks(text: &str) -> Vec<[u8; 32]> {
    keys::marks(text)
}

fn refused(reason: Reason) -> VerifyError {
    match reason {
        Reason::CertificateUnavailable => VerifyError::Undecided(reason),
        _ => VerifyError::Forged(reason),
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("source", &self.source)
            .field("scheme", &self.settings.scheme)
            .field("tolerance", &self.settings.tolerance())
            .finish_non_exhaustive()
    }
}
