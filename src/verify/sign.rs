//! The sender's side, for `sever sign`, `sever send` and tests.

use http::{HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;

use super::scheme::Scheme;
use super::{Reason, SignatureScheme, VerifierProblem, VerifySettings};
use crate::domain::HttpRequest;

/// Signs as a sender of the scheme does, with the first of the secrets.
pub struct Signer {
    name: SignatureScheme,
    scheme: Scheme,
    target: Option<HttpRequest>,
}

impl Signer {
    /// Reads the secrets. Fails as [`super::Verifier::new`] does, and where the sender alone could sign: for SNS, and
    /// with a public key.
    pub fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        let scheme = Scheme::new(settings, None)?;
        match scheme.cannot_sign() {
            Some(problem) => Err(vec![problem]),
            None => Ok(Self { name: settings.scheme, scheme, target: None }),
        }
    }

    /// Signs POSTs to this address, as the receiver knows it. Only `rfc9421` asks for it.
    #[must_use]
    pub fn posting_to(self, url: Uri) -> Self {
        Self { target: Some(HttpRequest { method: Method::POST, url: Some(url) }), ..self }
    }

    /// The headers that make `body` a delivery of this scheme, signed at `now`, which is cut to the unit of the scheme.
    /// `id` goes where the scheme signs one, and nowhere else.
    ///
    /// Fails with the reason for which every verifier would refuse it: an empty body, an id or a time that cannot be
    /// written, an address that is signed and not known.
    pub fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> Result<Vec<(HeaderName, HeaderValue)>, Reason> {
        if body.is_empty() {
            return Err(Reason::EmptyBody);
        }
        self.scheme.sign(id, now, body, self.target.as_ref())
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Signer").field("scheme", &self.name).finish_non_exhaustive()
    }
}
