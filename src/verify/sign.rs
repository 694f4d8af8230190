//! The sender's side, for `sever sign`, `sever send` and tests.

use http::{HeaderName, HeaderValue};
use jiff::Timestamp;

use super::scheme::Scheme;
use super::{Reason, SignatureScheme, VerifierProblem, VerifySettings};

/// Signs as a sender of the scheme does, with the first of the secrets.
pub struct Signer {
    name: SignatureScheme,
    scheme: Scheme,
}

impl Signer {
    /// Reads the secrets. Fails as [`super::Verifier::new`] does.
    pub fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        Ok(Self { name: settings.scheme, scheme: Scheme::new(settings)? })
    }

    /// The headers that make `body` a delivery of this scheme, signed at `now`, which is cut to the unit of the scheme.
    /// `id` goes where the scheme signs one, and nowhere else.
    ///
    /// Fails with the reason for which every verifier would refuse it: an empty body, an id or a time that cannot be
    /// written.
    pub fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> Result<Vec<(HeaderName, HeaderValue)>, Reason> {
        if body.is_empty() {
            return Err(Reason::EmptyBody);
        }
        self.scheme.sign(id, now, body)
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("scheme", &self.name).finish_non_exhaustive()
    }
}
