//! The schemes. To add one: a file here, a variant of `SignatureScheme` with its keys, and the arms that the compiler
//! then asks for. A scheme that is an HMAC over id, time and body is only a [`hmac::Spec`], as GitHub's is.

mod github;
mod hmac;
mod standard_webhooks;
mod template;

use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;

use super::keys::{KeyText, Keys, SignedBytes};
use super::{HeaderPrefix, MacAlgorithm, Reason, SignatureScheme, VerifierProblem, VerifySettings};
use standard_webhooks::StandardWebhooks;

/// Headers to send.
pub(in crate::verify) type SignedHeaders = Vec<(HeaderName, HeaderValue)>;

/// What a signature vouches for, borrowed from the delivery.
#[derive(Debug)]
pub(in crate::verify) struct Signed<'a> {
    /// The sender's id, if it is covered.
    pub(in crate::verify) id: Option<&'a str>,
    /// The time of signing, if it is covered. Not judged yet.
    pub(in crate::verify) time: Option<Timestamp>,
    /// Everything that is covered.
    pub(in crate::verify) bytes: SignedBytes<'a>,
}

/// Checked settings of a scheme, before its keys are read.
pub(in crate::verify) enum Plan {
    /// `standard-webhooks`.
    StandardWebhooks(HeaderPrefix),
    /// `hmac`, and every scheme that could be written as one.
    Hmac(hmac::Spec),
}

impl Plan {
    /// Checks the keys that belong to the scheme.
    pub(in crate::verify) fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        match settings.scheme {
            SignatureScheme::StandardWebhooks => Ok(Self::StandardWebhooks(settings.header_prefix.unwrap_or_default())),
            SignatureScheme::Github => Ok(Self::Hmac(github::spec())),
            SignatureScheme::Hmac => hmac::Spec::from_settings(settings).map(Self::Hmac),
        }
    }

    /// Whether the signature covers a time.
    pub(in crate::verify) fn signs_time(&self) -> bool {
        match self {
            Self::StandardWebhooks(_) => true,
            Self::Hmac(spec) => spec.signs_time(),
        }
    }
}

/// A scheme with its keys.
pub(in crate::verify) enum Scheme {
    /// `standard-webhooks`.
    StandardWebhooks(StandardWebhooks),
    /// `hmac`, and every scheme that could be written as one.
    Hmac(hmac::Spec, Keys),
}

impl Scheme {
    /// Checks the settings, and reads the secrets if they are right.
    pub(in crate::verify) fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        match settings.plan()? {
            Plan::StandardWebhooks(prefix) => {
                let keys = Keys::read(&settings.secrets, KeyText::Whsec, MacAlgorithm::Sha256)?;
                Ok(Self::StandardWebhooks(StandardWebhooks::new(prefix, keys)))
            }
            Plan::Hmac(spec) => {
                let keys = Keys::read(&settings.secrets, KeyText::Utf8, spec.algorithm())?;
                Ok(Self::Hmac(spec, keys))
            }
        }
    }

    /// What the signature vouches for, or why there is no right one. Says nothing about freshness.
    pub(in crate::verify) fn authenticate<'a>(
        &'a self,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Result<Signed<'a>, Reason> {
        if body.is_empty() {
            return Err(Reason::EmptyBody);
        }
        match self {
            Self::StandardWebhooks(scheme) => scheme.authenticate(headers, body),
            Self::Hmac(spec, keys) => spec.authenticate(keys, headers, body),
        }
    }

    /// The reverse of [`Self::authenticate`].
    pub(in crate::verify) fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> Result<SignedHeaders, Reason> {
        match self {
            Self::StandardWebhooks(scheme) => scheme.sign(id, now, body),
            Self::Hmac(spec, keys) => spec.sign(keys, id, now, body),
        }
    }

    /// Whether the signature covers a time.
    pub(in crate::verify) fn signs_time(&self) -> bool {
        match self {
            Self::StandardWebhooks(_) => true,
            Self::Hmac(spec, _) => spec.signs_time(),
        }
    }

    /// The headers of a delivery that may be stored with it.
    pub(in crate::verify) fn storable(&self, headers: &HeaderMap) -> HeaderMap {
        match self {
            Self::StandardWebhooks(scheme) => scheme.storable(headers),
            Self::Hmac(spec, _) => spec.storable(headers),
        }
    }
}

/// `text` as a header to send. What is signed here is ASCII, so only a strange prefix could fail.
fn value(text: &str) -> Result<HeaderValue, Reason> {
    HeaderValue::from_str(text).map_err(|_| Reason::MalformedHeader)
}
