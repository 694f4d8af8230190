//! Is this delivery from who it says, and fresh?
//!
//! One [`Verifier`] per source. It looks at the exact bytes received, before anything is parsed, and is the only
//! maker of [`Verified`]: what did not pass here cannot be decoded. The signature is judged before the time, so a
//! delivery is called stale only when it is authentic.

mod error;
mod freshness;
mod headers;
mod keys;
mod scheme;
mod settings;
mod sign;
mod verified;

use http::HeaderValue;
use jiff::Timestamp;

use crate::domain::{Delivery, SourceName};
pub use error::{Reason, VerifierProblem, VerifyError};
pub use settings::{
    HeaderPrefix, MacAlgorithm, SignatureEncoding, SignatureScheme, TimestampFormat, VerifySettings, VerifyWarning,
};
pub use sign::Signer;
pub use verified::Verified;

use scheme::Scheme;

/// Checks the deliveries of one source. Its keys are read once, when it is made; make another to read them again.
pub struct Verifier {
    source: SourceName,
    name: SignatureScheme,
    scheme: Scheme,
    tolerance: std::time::Duration,
}

impl Verifier {
    /// Reads the secrets and keys them. Fails with every problem at once: a setting that does not fit the scheme, a
    /// secret that is missing, empty or undecodable. A problem names a secret by its reference, never by its text.
    pub fn new(source: SourceName, settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        let scheme = Scheme::new(settings)?;
        Ok(Self { source, name: settings.scheme, scheme, tolerance: settings.tolerance() })
    }

    /// Decides about one delivery, as of `now` by the wall clock.
    ///
    /// The keys say which source it is from: `delivery.source` is not looked at. No value of the delivery is in the
    /// error, except in the [`Verified`] of a stale one.
    pub fn verify(&self, delivery: Delivery, now: Timestamp) -> Result<Verified, VerifyError> {
        let signed = self.scheme.authenticate(&delivery.headers, &delivery.body).map_err(VerifyError::Forged)?;
        let age = signed.time.map(|time| freshness::judge(time, now, self.tolerance));
        let kept = self.scheme.storable(&delivery.headers);
        let verified = Verified::authentic(&self.source, &signed, kept, &delivery);
        match age {
            None | Some(Ok(())) => Ok(verified),
            Some(Err(reason)) => Err(VerifyError::Stale { reason, verified: Box::new(verified) }),
        }
    }

    /// How far a signed time may be from ours, either way; `None` where the scheme signs no time. The guard against
    /// repeats is kept for at least twice as long, and for ever where this is `None`.
    #[must_use]
    pub fn window(&self) -> Option<std::time::Duration> {
        self.scheme.signs_time().then_some(self.tolerance)
    }

    /// Whether a body of this `Content-Type` may come in; if not, the answer is 415. JSON types only, with any
    /// parameters. Without the header a delivery is let in, because senders forget it and the decoder will tell.
    #[must_use]
    pub fn accepts_content_type(&self, value: Option<&HeaderValue>) -> bool {
        match self.name {
            SignatureScheme::StandardWebhooks | SignatureScheme::Github | SignatureScheme::Hmac => {
                value.is_none_or(headers::is_json)
            }
        }
    }

    /// The scheme, for logs and `sever check`.
    #[must_use]
    pub fn scheme(&self) -> SignatureScheme {
        self.name
    }
}

impl std::fmt::Debug for Verifier {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verifier")
            .field("source", &self.source)
            .field("scheme", &self.name)
            .field("tolerance", &self.tolerance)
            .finish_non_exhaustive()
    }
}
