//! Amazon SNS: an envelope whose fields AWS signs with RSA, and whose certificate has to be fetched (Amazon SNS developer
//! guide, "Verifying the signatures of Amazon SNS messages").
//!
//! Any customer of AWS can make SNS sign, so the topic has to be on our list, and is looked at before anything is
//! fetched. Only signed fields are handed on: whoever adds to the envelope adds nothing.

mod address;
mod certificate;
mod certificates;
mod envelope;

use std::borrow::Cow;
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::{Covered, Signed};
use crate::domain::Delivery;
use crate::verify::keys::SignedBytes;
use crate::verify::{
    Challenge, Download, Reason, SnsSignatureVersion, TimestampFormat, VerifierProblem, VerifySettings, headers,
};
use certificates::Certificates;
use envelope::{Envelope, Kind};

/// The type of the message once more, unsigned.
const KIND: HeaderName = HeaderName::from_static("x-amz-sns-message-type");

/// What may come in.
pub(in crate::verify) struct Rules {
    topics: Vec<String>,
    versions: Vec<SnsSignatureVersion>,
}

impl Rules {
    pub(super) fn new(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        let mut problems = Vec::new();
        if settings.topic_arns.is_empty() {
            let message = "is required with aws-sns, because any customer of AWS can make SNS sign; list the whole ARN \
                           of each topic that delivers here";
            problems.push(VerifierProblem::new("topic_arns", message));
        }
        for (index, topic) in settings.topic_arns.iter().enumerate().filter(|(_, topic)| !address::is_topic(topic)) {
            let message = format!(
                "{topic:?} is not the ARN of a topic; write arn:aws:sns:us-east-1:111122223333:security-findings"
            );
            problems.push(VerifierProblem::new(format!("topic_arns[{index}]"), message));
        }
        let both = vec![SnsSignatureVersion::Sha1, SnsSignatureVersion::Sha256];
        let versions = settings.signature_versions.clone().unwrap_or(both);
        if versions.is_empty() {
            problems.push(VerifierProblem::new("signature_versions", "is empty, so nothing would pass; write [1, 2]"));
        }
        if problems.is_empty() { Ok(Self { topics: settings.topic_arns.clone(), versions }) } else { Err(problems) }
    }

    /// Reads the envelope, if it could pass, without asking anybody. The version is one of ours.
    fn read(&self, headers: &HeaderMap, body: &[u8]) -> Result<(Envelope, SnsSignatureVersion), Reason> {
        let envelope = Envelope::read(body)?;
        if headers.contains_key(KIND) && headers::once(headers, &KIND)? != envelope.kind.as_str() {
            return Err(Reason::MalformedHeader);
        }
        let version = self.version(&envelope.signature_version).ok_or(Reason::UnknownVersion)?;
        if !self.topics.contains(&envelope.topic) {
            return Err(Reason::TopicNotAllowed);
        }
        if address::host_of_certificate(&envelope.certificate_url).is_none() {
            return Err(Reason::UntrustedCertUrl);
        }
        Ok((envelope, version))
    }

    fn version(&self, text: &str) -> Option<SnsSignatureVersion> {
        self.versions.iter().copied().find(|version| u8::from(*version).to_string() == text)
    }
}

/// The scheme with the certificates seen so far.
pub(in crate::verify) struct Sns {
    rules: Rules,
    certificates: Certificates,
    download: Arc<dyn Download>,
}

impl Sns {
    pub(super) fn new(rules: Rules, download: Arc<dyn Download>) -> Self {
        Self { rules, certificates: Certificates::new(Arc::clone(&download)), download }
    }

    /// Whether the message could be one of ours, and its certificate is not here.
    pub(super) fn has_to_fetch(&self, delivery: &Delivery, now: Timestamp) -> bool {
        let read = self.rules.read(&delivery.headers, &delivery.body);
        read.is_ok_and(|(envelope, _)| !self.certificates.knows(&envelope.certificate_url, now))
    }

    /// Fetches the certificate, where the message could be one of ours and we do not have it.
    pub(super) async fn prepare(&self, delivery: &Delivery, now: Timestamp) {
        if let Ok((envelope, _)) = self.rules.read(&delivery.headers, &delivery.body) {
            self.certificates.fetch(&envelope.certificate_url, now).await;
        }
    }

    pub(super) fn authenticate(&self, delivery: &Delivery, now: Timestamp) -> Result<Signed<'static>, Reason> {
        let (envelope, version) = self.rules.read(&delivery.headers, &delivery.body)?;
        let time = TimestampFormat::Rfc3339.parse(&envelope.timestamp)?;
        let signature = STANDARD.decode(&envelope.signature).map_err(|_| Reason::MalformedSignature)?;
        let text = envelope.signed_text();
        let certificate = self.certificates.get(&envelope.certificate_url, now)?;
        if !certificate.verifies(version, text.as_bytes(), &signature) {
            return Err(Reason::SignatureMismatch);
        }
        self.certificates.prove(&envelope.certificate_url);
        let challenge = challenge(&envelope)?;
        Ok(Signed {
            id: Some(Cow::Owned(envelope.id.clone())),
            time: Some(time),
            covered: Covered::Text(text),
            body: Some(envelope.signed_fields()),
            challenge,
            ..Signed::of(SignedBytes::default())
        })
    }

    /// Visits the address that the envelope names, which [`Self::authenticate`] has checked.
    pub(super) async fn confirm(&self, url: &str) -> Result<(), Reason> {
        match self.download.get(url).await {
            Ok(_) => Ok(()),
            Err(error) => {
                tracing::warn!(error = %error, "a subscription of SNS could not be confirmed; SNS will ask again");
                Err(Reason::ConfirmationUnavailable)
            }
        }
    }
}

fn challenge(envelope: &Envelope) -> Result<Option<Challenge>, Reason> {
    match envelope.kind {
        Kind::Notification => Ok(None),
        // It also holds an address that would subscribe again; whoever unsubscribed may have meant it.
        Kind::UnsubscribeConfirmation => Ok(Some(Challenge::Unsubscribed)),
        Kind::SubscriptionConfirmation => {
            let url = envelope.subscribe_url.clone().unwrap_or_default();
            if address::confirms(&url) {
                Ok(Some(Challenge::Subscribe(url)))
            } else {
                Err(Reason::UntrustedSubscribeUrl)
            }
        }
    }
}
