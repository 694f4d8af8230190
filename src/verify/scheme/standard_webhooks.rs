//! Standard Webhooks, version 1 of its signatures, and Svix, which differs in the names of the headers.
//!
//! Signed is `id.timestamp.body`. The signature header is a list, so that a sender can change keys without a pause;
//! elements of other versions are passed over (Standard Webhooks specification, "Signature scheme").

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::{Signed, SignedHeaders, value};
use crate::verify::keys::{Keys, SignedBytes, Tag};
use crate::verify::{HeaderPrefix, MacAlgorithm, Reason, SignatureEncoding, TimestampFormat, headers};

/// Marks an HMAC-SHA256 in the list.
const VERSION: &str = "v1,";

/// The scheme with its keys.
pub(in crate::verify) struct StandardWebhooks {
    /// The headers with the id and the time.
    own: [HeaderName; 2],
    signature: HeaderName,
    keys: Keys,
}

impl StandardWebhooks {
    pub(super) fn new(prefix: HeaderPrefix, keys: Keys) -> Self {
        let [id, time, signature] = match prefix {
            HeaderPrefix::Webhook => ["webhook-id", "webhook-timestamp", "webhook-signature"],
            HeaderPrefix::Svix => ["svix-id", "svix-timestamp", "svix-signature"],
        };
        let own = [HeaderName::from_static(id), HeaderName::from_static(time)];
        Self { own, signature: HeaderName::from_static(signature), keys }
    }

    pub(super) fn authenticate<'a>(&self, headers: &'a HeaderMap, body: &'a [u8]) -> Result<Signed<'a>, Reason> {
        let [id_header, time_header] = &self.own;
        let list = headers::once(headers, &self.signature)?;
        let id = headers::id(headers, id_header)?;
        let time_text = headers::once(headers, time_header)?;
        let time = TimestampFormat::Unix.parse(time_text)?;
        let bytes = signed_bytes(id, time_text, body);
        let candidates = candidates(list)?;
        if !self.keys.any_makes(&bytes, candidates) {
            return Err(Reason::SignatureMismatch);
        }
        Ok(Signed { id: Some(id), time: Some(time), bytes })
    }

    pub(super) fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> Result<SignedHeaders, Reason> {
        let [id_header, time_header] = &self.own;
        let id = headers::checked_id(id)?;
        let time = TimestampFormat::Unix.write(now);
        TimestampFormat::Unix.parse(&time)?;
        let tag = self.keys.sign(&signed_bytes(id, &time, body)).ok_or(Reason::SignatureMismatch)?;
        let signature = format!("{VERSION}{}", tag.encode(SignatureEncoding::Base64));
        Ok(vec![
            (id_header.clone(), value(id)?),
            (time_header.clone(), value(&time)?),
            (self.signature.clone(), value(&signature)?),
        ])
    }

    pub(super) fn storable(&self, headers: &HeaderMap) -> HeaderMap {
        headers::storable(headers, &self.own, &self.signature)
    }
}

fn signed_bytes<'a>(id: &'a str, time: &'a str, body: &'a [u8]) -> SignedBytes<'a> {
    SignedBytes([id.as_bytes(), b".", time.as_bytes(), b".", body, b"", b""])
}

/// The well-formed signatures of our version; a malformed one does not spoil the others.
fn candidates(list: &str) -> Result<impl Iterator<Item = Tag> + Clone, Reason> {
    let versioned = list.split(' ').filter_map(|element| element.strip_prefix(VERSION));
    if versioned.clone().next().is_none() {
        return Err(Reason::UnknownVersion);
    }
    let length = MacAlgorithm::Sha256.tag_bytes();
    let tags = versioned.filter_map(move |text| Tag::decode(SignatureEncoding::Base64, text, length));
    if tags.clone().next().is_none() { Err(Reason::MalformedSignature) } else { Ok(tags) }
}
