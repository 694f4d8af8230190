//! The schemes. To add one: a file here, a variant of `SignatureScheme` with its keys, and the arms that the compiler
//! then asks for. A scheme that is an HMAC over id, time and body is only a [`hmac::Spec`], as GitHub's is.

mod crowdstrike;
mod fixed;
mod github;
mod grafana;
mod hmac;
mod listed;
mod rfc9421;
mod shopify;
mod slack;
mod sns;
mod standard_webhooks;
mod template;
mod zoom;

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::keys::{KeyText, Keys, SignedBytes};
use super::{
    Challenge, Download, HeaderPrefix, HttpDownload, MacAlgorithm, Reason, SignatureScheme, VerifierProblem,
    VerifySettings, headers,
};
use crate::domain::{Delivery, HttpRequest};

use fixed::Fixed;
use listed::Listed;
use rfc9421::Rfc9421;
use sns::Sns;
use standard_webhooks::StandardWebhooks;

/// Okta's question, and the member of our answer (Okta event hooks, "One-time verification request").
const OKTA_QUESTION: HeaderName = HeaderName::from_static("x-okta-verification-challenge");

/// Headers to send.
pub(in crate::verify) type SignedHeaders = Vec<(HeaderName, HeaderValue)>;

/// What a signature vouches for, borrowed from the delivery.
#[derive(Debug)]
pub(in crate::verify) struct Signed<'a> {
    /// The sender's id, if it is covered.
    pub(in crate::verify) id: Option<Cow<'a, str>>,
    /// The time of signing, if it is covered. Not judged yet.
    pub(in crate::verify) time: Option<Timestamp>,
    /// When the signature stops being one, if it says so. Not judged yet.
    pub(in crate::verify) expires: Option<Timestamp>,
    /// Everything that is covered.
    pub(in crate::verify) covered: Covered<'a>,
    /// The body as far as it is covered, where that is not the whole of it.
    pub(in crate::verify) body: Option<Bytes>,
    /// What the sender asks, where it asks.
    pub(in crate::verify) challenge: Option<Challenge>,
}

impl<'a> Signed<'a> {
    /// Neither id nor time.
    pub(in crate::verify) fn of(bytes: SignedBytes<'a>) -> Self {
        let covered = Covered::Parts(bytes);
        Self { id: None, time: None, expires: None, covered, body: None, challenge: None }
    }
}

/// The bytes that a signature covers.
#[derive(Debug)]
pub(in crate::verify) enum Covered<'a> {
    /// Parts of the delivery, in order.
    Parts(SignedBytes<'a>),
    /// A text made of the delivery.
    Text(String),
}

impl Covered<'_> {
    /// SHA-256 of it.
    pub(in crate::verify) fn digest(&self) -> [u8; 32] {
        match self {
            Self::Parts(bytes) => bytes.digest(),
            Self::Text(text) => Sha256::digest(text).into(),
        }
    }
}

/// Checked settings of a scheme, before its keys are read.
pub(in crate::verify) enum Plan {
    /// `standard-webhooks`.
    StandardWebhooks(HeaderPrefix),
    /// `hmac`, and every scheme that could be written as one.
    Hmac(hmac::Spec),
    /// `zoom`: an HMAC with a question.
    Zoom(hmac::Spec),
    /// `stripe` and `pagerduty`.
    Listed(Listed),
    /// A secret in a header.
    Fixed(fixed::Place),
    /// `aws-sns`.
    Sns(sns::Rules),
    /// `rfc9421`.
    Rfc9421(rfc9421::Rules),
}

impl Plan {
    /// Checks the keys that belong to the scheme.
    pub(in crate::verify) fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        match settings.scheme {
            SignatureScheme::StandardWebhooks => Ok(Self::StandardWebhooks(settings.header_prefix.unwrap_or_default())),
            SignatureScheme::Github => Ok(Self::Hmac(github::spec())),
            SignatureScheme::Slack => slack::spec(settings).map(Self::Hmac),
            SignatureScheme::Zoom => zoom::spec(settings).map(Self::Zoom),
            SignatureScheme::Stripe => Listed::stripe(settings).map(Self::Listed),
            SignatureScheme::Pagerduty => Ok(Self::Listed(Listed::pagerduty())),
            SignatureScheme::Grafana => grafana::spec(settings).map(Self::Hmac),
            SignatureScheme::Shopify => shopify::spec(settings).map(Self::Hmac),
            SignatureScheme::Crowdstrike => crowdstrike::spec(settings).map(Self::Hmac),
            SignatureScheme::Hmac => hmac::Spec::from_settings(settings).map(Self::Hmac),
            SignatureScheme::OktaEventHook
            | SignatureScheme::Bearer
            | SignatureScheme::Basic
            | SignatureScheme::StaticHeader => fixed::Place::new(settings).map(Self::Fixed),
            SignatureScheme::AwsSns => sns::Rules::new(settings).map(Self::Sns),
            SignatureScheme::Rfc9421 => rfc9421::Rules::new(settings).map(Self::Rfc9421),
        }
    }

    /// Whether the signature covers a time.
    pub(in crate::verify) fn signs_time(&self) -> bool {
        match self {
            Self::StandardWebhooks(_) | Self::Sns(_) | Self::Rfc9421(_) => true,
            Self::Hmac(spec) | Self::Zoom(spec) => spec.signs_time(),
            Self::Listed(listed) => listed.signs_time(),
            Self::Fixed(_) => false,
        }
    }
}

/// A scheme with its keys.
pub(in crate::verify) enum Scheme {
    /// `standard-webhooks`.
    StandardWebhooks(StandardWebhooks),
    /// `hmac`, and every scheme that could be written as one.
    Hmac(hmac::Spec, Keys),
    /// `zoom`.
    Zoom(hmac::Spec, Keys),
    /// `stripe` and `pagerduty`.
    Listed(Listed, Keys),
    /// A secret in a header.
    Fixed(Fixed),
    /// `aws-sns`.
    Sns(Box<Sns>),
    /// `rfc9421`.
    Rfc9421(Rfc9421),
}

impl Scheme {
    /// Checks the settings, and reads the secrets if they are right. What has to be fetched is fetched by `download`,
    /// or over HTTPS.
    pub(in crate::verify) fn new(
        settings: &VerifySettings,
        download: Option<Arc<dyn Download>>,
    ) -> Result<Self, Vec<VerifierProblem>> {
        let secrets = &settings.secrets;
        match settings.plan()? {
            Plan::StandardWebhooks(prefix) => {
                let keys = Keys::read(secrets, KeyText::Coded)?;
                Ok(Self::StandardWebhooks(StandardWebhooks::new(prefix, keys)))
            }
            Plan::Hmac(spec) => {
                let keys = Keys::read(secrets, KeyText::Utf8(spec.algorithm()))?;
                Ok(Self::Hmac(spec, keys))
            }
            Plan::Zoom(spec) => {
                let keys = Keys::read(secrets, KeyText::Utf8(spec.algorithm()))?;
                Ok(Self::Zoom(spec, keys))
            }
            Plan::Listed(listed) => {
                let keys = Keys::read(secrets, KeyText::Utf8(MacAlgorithm::Sha256))?;
                Ok(Self::Listed(listed, keys))
            }
            Plan::Fixed(place) => Fixed::read(place, secrets).map(Self::Fixed),
            Plan::Sns(rules) => {
                let download = download.map_or_else(over_https, Ok)?;
                Ok(Self::Sns(Box::new(Sns::new(rules, download))))
            }
            Plan::Rfc9421(rules) => {
                let keys = Keys::read(secrets, KeyText::Coded)?;
                Ok(Self::Rfc9421(Rfc9421::new(rules, keys)))
            }
        }
    }

    /// Whether [`Self::prepare`] would fetch anything.
    pub(in crate::verify) fn has_to_fetch(&self, delivery: &Delivery, now: Timestamp) -> bool {
        match self {
            Self::Sns(scheme) => scheme.has_to_fetch(delivery, now),
            Self::StandardWebhooks(_)
            | Self::Hmac(..)
            | Self::Zoom(..)
            | Self::Listed(..)
            | Self::Fixed(_)
            | Self::Rfc9421(_) => false,
        }
    }

    /// Fetches what [`Self::authenticate`] will need for this delivery. Where that fails, it will say so.
    pub(in crate::verify) async fn prepare(&self, delivery: &Delivery, now: Timestamp) {
        match self {
            Self::Sns(scheme) => scheme.prepare(delivery, now).await,
            Self::StandardWebhooks(_)
            | Self::Hmac(..)
            | Self::Zoom(..)
            | Self::Listed(..)
            | Self::Fixed(_)
            | Self::Rfc9421(_) => {}
        }
    }

    /// What the signature vouches for, or why there is no right one. Says nothing about freshness.
    pub(in crate::verify) fn authenticate<'a>(
        &'a self,
        delivery: &'a Delivery,
        now: Timestamp,
    ) -> Result<Signed<'a>, Reason> {
        let (headers, body) = (&delivery.headers, &delivery.body[..]);
        if body.is_empty() {
            return Err(Reason::EmptyBody);
        }
        match self {
            Self::StandardWebhooks(scheme) => scheme.authenticate(headers, body),
            Self::Hmac(spec, keys) => spec.authenticate(keys, headers, body).map(|(signed, _)| signed),
            Self::Zoom(spec, keys) => zoom::authenticate(spec, keys, headers, body),
            Self::Listed(listed, keys) => listed.authenticate(keys, headers, body),
            Self::Fixed(scheme) => scheme.authenticate(headers, body),
            Self::Sns(scheme) => scheme.authenticate(delivery, now),
            Self::Rfc9421(scheme) => scheme.authenticate(delivery),
        }
    }

    /// The reverse of [`Self::authenticate`], for a request to `target` where the scheme asks.
    pub(in crate::verify) fn sign(
        &self,
        id: &str,
        now: Timestamp,
        body: &[u8],
        target: Option<&HttpRequest>,
    ) -> Result<SignedHeaders, Reason> {
        match self {
            Self::StandardWebhooks(scheme) => scheme.sign(id, now, body),
            Self::Hmac(spec, keys) | Self::Zoom(spec, keys) => spec.sign(keys, id, now, body),
            Self::Listed(listed, keys) => listed.sign(keys, now, body),
            Self::Fixed(scheme) => scheme.sign(),
            Self::Rfc9421(scheme) => scheme.sign(now, body, target),
            Self::Sns(_) => Err(Reason::UnsupportedAlgorithm),
        }
    }

    /// Why nothing can be signed with these settings.
    pub(in crate::verify) fn cannot_sign(&self) -> Option<VerifierProblem> {
        let can = match self {
            Self::StandardWebhooks(scheme) => scheme.can_sign(),
            Self::Rfc9421(scheme) => scheme.can_sign(),
            Self::Hmac(..) | Self::Zoom(..) | Self::Listed(..) | Self::Fixed(_) => true,
            Self::Sns(_) => {
                let message = "AWS alone signs for aws-sns; publish to the topic instead";
                return Some(VerifierProblem::new("scheme", message));
            }
        };
        let message = "is a public key, which only verifies; put a secret (whsec_) first to sign with";
        (!can).then(|| VerifierProblem::new("secrets[0]", message))
    }

    /// Whether the signature covers a time.
    pub(in crate::verify) fn signs_time(&self) -> bool {
        match self {
            Self::StandardWebhooks(_) | Self::Sns(_) | Self::Rfc9421(_) => true,
            Self::Hmac(spec, _) | Self::Zoom(spec, _) => spec.signs_time(),
            Self::Listed(listed, _) => listed.signs_time(),
            Self::Fixed(_) => false,
        }
    }

    /// Carries out what a question asks, and says what to answer.
    pub(in crate::verify) async fn answer(&self, challenge: &Challenge) -> Result<Value, Reason> {
        match (challenge, self) {
            (Challenge::Answer(answer), _) => Ok(answer.clone()),
            (Challenge::Subscribe(url), Self::Sns(scheme)) => {
                scheme.confirm(url).await.map(|()| json!({"status": "confirmed"}))
            }
            (Challenge::Subscribe(_), _) => Err(Reason::ConfirmationUnavailable),
            (Challenge::Unsubscribed, _) => Ok(json!({"status": "noted"})),
        }
    }

    /// The headers of a delivery that may be stored with it.
    pub(in crate::verify) fn storable(&self, headers: &HeaderMap) -> HeaderMap {
        match self {
            Self::StandardWebhooks(scheme) => scheme.storable(headers),
            Self::Hmac(spec, _) | Self::Zoom(spec, _) => spec.storable(headers),
            Self::Listed(listed, _) => headers::storable(headers, &[], Some(&listed.header)),
            Self::Fixed(scheme) => headers::storable(headers, &[], Some(scheme.header())),
            Self::Sns(_) | Self::Rfc9421(_) => headers::storable(headers, &[], None),
        }
    }
}

fn over_https() -> Result<Arc<dyn Download>, Vec<VerifierProblem>> {
    match HttpDownload::new() {
        Ok(download) => Ok(Arc::new(download)),
        Err(wrong) => Err(vec![VerifierProblem::new("scheme", wrong)]),
    }
}

/// The answer to Okta's GET, which proves to Okta that the address is ours. It may come without the secret.
pub(in crate::verify) fn okta_answer(headers: &HeaderMap) -> Result<Value, Reason> {
    let question = headers::once(headers, &OKTA_QUESTION)?;
    if question.len() > LONGEST_QUESTION {
        return Err(Reason::MalformedHeader);
    }
    Ok(json!({"verification": question}))
}

/// Okta's questions have some thirty characters; anybody can ask.
const LONGEST_QUESTION: usize = 256;

/// `text` as a header to send. What is signed here is ASCII, so only a strange prefix could fail.
fn value(text: &str) -> Result<HeaderValue, Reason> {
    HeaderValue::from_str(text).map_err(|_| Reason::MalformedHeader)
}

/// The header of this name in the settings, or the product's own.
fn header_or(settings: &VerifySettings, default: &str) -> Result<HeaderName, Vec<VerifierProblem>> {
    let mut problems = Vec::new();
    let given = settings.header.as_deref().unwrap_or(default);
    hmac::header_name("header", Some(given), &mut problems).ok_or(problems)
}
