//! Signatures in a list of `key=value` in one header: Stripe and PagerDuty.
//!
//! Several `v1` stand side by side while the sender changes keys; other versions are passed over. The key is the text
//! of the secret, also where that begins with `whsec_` (Stripe) or looks like base64 (PagerDuty).

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::{Signed, SignedHeaders, header_or, value};
use crate::verify::keys::{Keys, SignedBytes, Tag};
use crate::verify::{
    MacAlgorithm, Reason, SignatureEncoding, TimestampFormat, VerifierProblem, VerifySettings, headers,
};

/// How the list is written.
pub(in crate::verify) struct Listed {
    /// Where it stands.
    pub(super) header: HeaderName,
    dialect: Dialect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Dialect {
    /// `t=time,v1=...`, signed is `time.body` (Stripe, "Verify webhook signatures manually").
    Stripe,
    /// `v1=...` alone, signed is the body (PagerDuty, "Webhook signatures"). PagerDuty's own client takes hex of either
    /// case, and blanks after the commas.
    Pagerduty,
}

impl Listed {
    pub(super) fn stripe(settings: &VerifySettings) -> Result<Self, Vec<VerifierProblem>> {
        Ok(Self { header: header_or(settings, "Stripe-Signature")?, dialect: Dialect::Stripe })
    }

    pub(super) fn pagerduty() -> Self {
        Self { header: HeaderName::from_static("x-pagerduty-signature"), dialect: Dialect::Pagerduty }
    }

    pub(super) fn signs_time(&self) -> bool {
        self.dialect == Dialect::Stripe
    }

    pub(super) fn authenticate<'a>(
        &self,
        keys: &Keys,
        headers: &'a HeaderMap,
        body: &'a [u8],
    ) -> Result<Signed<'a>, Reason> {
        let list = headers::once(headers, &self.header)?;
        let time_text = self.time(list)?;
        let time = time_text.map(|text| TimestampFormat::Unix.parse(text)).transpose()?;
        let bytes = signed_bytes(time_text, body);
        if !keys.any_makes(&bytes, self.candidates(list)?) {
            return Err(Reason::SignatureMismatch);
        }
        Ok(Signed { time, ..Signed::of(bytes) })
    }

    pub(super) fn sign(&self, keys: &Keys, now: Timestamp, body: &[u8]) -> Result<SignedHeaders, Reason> {
        let time = self.signs_time().then(|| TimestampFormat::Unix.write(now));
        time.as_deref().map(|text| TimestampFormat::Unix.parse(text)).transpose()?;
        let tag = keys.sign(&signed_bytes(time.as_deref(), body)).ok_or(Reason::SignatureMismatch)?;
        let signature = format!("v1={}", tag.encode(SignatureEncoding::Hex));
        let list = time.map_or_else(|| signature.clone(), |time| format!("t={time},{signature}"));
        Ok(vec![(self.header.clone(), value(&list)?)])
    }

    fn values<'a>(&self, list: &'a str, key: &'static str) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
        let trims = self.dialect == Dialect::Pagerduty;
        let elements = list.split(',').map(move |element| if trims { element.trim_matches(' ') } else { element });
        elements.filter_map(move |element| element.split_once('=').filter(|(name, _)| *name == key).map(|(_, it)| it))
    }

    /// The only `t`, where there has to be one. Of two, two readers could see different ones.
    fn time<'a>(&self, list: &'a str) -> Result<Option<&'a str>, Reason> {
        if !self.signs_time() {
            return Ok(None);
        }
        let mut times = self.values(list, "t");
        match (times.next(), times.next()) {
            (Some(time), None) => Ok(Some(time)),
            (None, _) | (Some(_), Some(_)) => Err(Reason::MalformedHeader),
        }
    }

    /// The well-formed signatures of our version; a malformed one does not spoil the others.
    fn candidates(&self, list: &str) -> Result<impl Iterator<Item = Tag> + Clone, Reason> {
        let versioned = self.values(list, "v1");
        if versioned.clone().next().is_none() {
            return Err(Reason::UnknownVersion);
        }
        let any_case = self.dialect == Dialect::Pagerduty;
        let tags = versioned.filter_map(move |text| tag(text, any_case));
        if tags.clone().next().is_none() { Err(Reason::MalformedSignature) } else { Ok(tags) }
    }
}

fn tag(text: &str, any_case: bool) -> Option<Tag> {
    let length = MacAlgorithm::Sha256.tag_bytes();
    if any_case {
        return Tag::decode(SignatureEncoding::Hex, &text.to_ascii_lowercase(), length);
    }
    Tag::decode(SignatureEncoding::Hex, text, length)
}

fn signed_bytes<'a>(time: Option<&'a str>, body: &'a [u8]) -> SignedBytes<'a> {
    match time {
        Some(time) => SignedBytes([time.as_bytes(), b".", body, b"", b"", b"", b""]),
        None => SignedBytes::of(body),
    }
}
