//! Standard Webhooks, and Svix, which differs in the names of the headers.
//!
//! Signed is `id.timestamp.body`, by HMAC (v1) or ed25519 (v1a). The signature header is a list, so that a sender can
//! change keys without a pause; elements of versions that we have no key for are passed over (Standard Webhooks
//! specification, "Signature scheme").

use std::borrow::Cow;

use http::{HeaderMap, HeaderName};
use jiff::Timestamp;

use super::{Signed, SignedHeaders, value};
use crate::verify::keys::{Keys, SignedBytes, Tag};
use crate::verify::{HeaderPrefix, MacAlgorithm, Reason, SignatureEncoding, TimestampFormat, headers};

/// Marks an HMAC-SHA256 in the list.
const HMAC: &str = "v1,";

/// Marks an ed25519 signature in the list.
const ED25519: &str = "v1a,";

/// Signatures in one list: a sender that changes keys has two, of each kind. What is tried costs, and anybody can send it.
const MOST_SIGNATURES: usize = 8;

/// The length of an ed25519 signature, in bytes (RFC 8032 section 5.1.6).
const ED25519_BYTES: usize = 64;

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
        if list.split(' ').count() > MOST_SIGNATURES {
            return Err(Reason::MalformedHeader);
        }
        let id = headers::id(headers, id_header)?;
        let time_text = headers::once(headers, time_header)?;
        let time = TimestampFormat::Unix.parse(time_text)?;
        let bytes = signed_bytes(id, time_text, body);
        let macs = candidates(list, HMAC, MacAlgorithm::Sha256.tag_bytes());
        let signatures = candidates(list, ED25519, ED25519_BYTES);
        self.refuse_hopeless(list, &macs, &signatures)?;
        // Both kinds are worked through, whichever was right.
        if self.keys.any_makes(&bytes, macs) | self.keys.any_verifies(&bytes, signatures) {
            return Ok(Signed { id: Some(Cow::Borrowed(id)), time: Some(time), ..Signed::of(bytes) });
        }
        Err(Reason::SignatureMismatch)
    }

    /// Why no signature of the list could be right, without trying one.
    fn refuse_hopeless(
        &self,
        list: &str,
        macs: &(impl Iterator<Item = Tag> + Clone),
        signatures: &(impl Iterator<Item = Tag> + Clone),
    ) -> Result<(), Reason> {
        let (macs, signatures) = (macs.clone().next().is_some(), signatures.clone().next().is_some());
        let has = |version| elements(list, version).next().is_some();
        let (mac_keys, public_keys) = (self.keys.has_mac(), self.keys.has_public());
        if (macs && mac_keys) || (signatures && public_keys) {
            Ok(())
        } else if (has(HMAC) && mac_keys) || (has(ED25519) && public_keys) {
            Err(Reason::MalformedSignature)
        } else {
            Err(Reason::UnknownVersion)
        }
    }

    pub(super) fn can_sign(&self) -> bool {
        self.keys.sign(&SignedBytes::default()).is_some()
    }

    pub(super) fn sign(&self, id: &str, now: Timestamp, body: &[u8]) -> Result<SignedHeaders, Reason> {
        let [id_header, time_header] = &self.own;
        let id = headers::checked_id(id)?;
        let time = TimestampFormat::Unix.write(now);
        TimestampFormat::Unix.parse(&time)?;
        let tag = self.keys.sign(&signed_bytes(id, &time, body)).ok_or(Reason::SignatureMismatch)?;
        let signature = format!("{HMAC}{}", tag.encode(SignatureEncoding::Base64));
        Ok(vec![
            (id_header.clone(), value(id)?),
            (time_header.clone(), value(&time)?),
            (self.signature.clone(), value(&signature)?),
        ])
    }

    pub(super) fn storable(&self, headers: &HeaderMap) -> HeaderMap {
        headers::storable(headers, &self.own, Some(&self.signature))
    }
}

fn signed_bytes<'a>(id: &'a str, time: &'a str, body: &'a [u8]) -> SignedBytes<'a> {
    SignedBytes([id.as_bytes(), b".", time.as_bytes(), b".", body, b"", b""])
}

fn elements<'a>(list: &'a str, version: &'static str) -> impl Iterator<Item = &'a str> + Clone + use<'a> {
    list.split(' ').filter_map(move |element| element.strip_prefix(version))
}

/// The well-formed signatures of a version; a malformed one does not spoil the others.
fn candidates<'a>(list: &'a str, version: &'static str, length: usize) -> impl Iterator<Item = Tag> + Clone + use<'a> {
    elements(list, version).filter_map(move |text| Tag::decode(SignatureEncoding::Base64, text, length))
}
