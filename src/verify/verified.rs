//! A delivery that passed.

use std::borrow::Cow;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::Challenge;
use super::keys::SignedBytes;
use super::scheme::Signed;
use crate::domain::{Delivery, SourceName};

/// How much of each digest a guard holds. 128 bits cannot be met by chance, and only the key's owner could try.
const HALF_GUARD: usize = 16;

/// An authentic delivery. Only the verifier makes one, so what is decoded has been authenticated.
#[derive(Clone)]
pub struct Verified {
    source: SourceName,
    signed_id: Option<String>,
    signed_at: Option<Timestamp>,
    guard: [u8; 32],
    headers: HeaderMap,
    body: Bytes,
    received_at: Timestamp,
    challenge: Option<Challenge>,
}

impl Verified {
    /// `headers` are those that may be stored.
    pub(super) fn authentic(source: &SourceName, signed: Signed<'_>, headers: HeaderMap, delivery: &Delivery) -> Self {
        let body = signed.body.clone().unwrap_or_else(|| delivery.body.clone());
        Self {
            source: source.clone(),
            guard: guard(source, &signed, &body),
            signed_id: signed.id.map(Cow::into_owned),
            signed_at: signed.time,
            headers,
            body,
            received_at: delivery.received_at,
            challenge: signed.challenge,
        }
    }

    /// Rebuilds a delivery from a row that we stored ourselves after it had passed, so that it can be replayed.
    ///
    /// For nothing else: this checks nothing. No id and no time count as signed any more, and the guard is that of the
    /// body alone; the row's own guard stands.
    #[must_use]
    pub fn restore(source: SourceName, body: Bytes, headers: HeaderMap, received_at: Timestamp) -> Self {
        let delivery = Delivery::new(source.clone(), HeaderMap::new(), body, received_at);
        Self::authentic(&source, Signed::of(SignedBytes::of(&delivery.body)), headers, &delivery)
    }

    /// The source whose key signed it.
    #[must_use]
    pub fn source(&self) -> &SourceName {
        &self.source
    }

    /// The sender's id of the delivery, where the signature covers it. Stays the same over the sender's retries.
    #[must_use]
    pub fn signed_id(&self) -> Option<&str> {
        self.signed_id.as_deref()
    }

    /// When the sender signed it, where the signature covers that. [`Timestamp::MAX`] for a time past the year 9999.
    #[must_use]
    pub fn signed_at(&self) -> Option<Timestamp> {
        self.signed_at
    }

    /// What the guard against repeats remembers.
    ///
    /// The first 16 bytes stand for the source and the signed id or, where none is signed, all signed bytes; with
    /// `rfc9421` the components that every signature has to cover. The last 16 stand for the body. A match of all 32 is a repeat; a match of the first half alone is a known id with
    /// another body, which is a new delivery worth a warning.
    #[must_use]
    pub fn guard(&self) -> [u8; 32] {
        self.guard
    }

    /// The headers that may be stored: no signature, no authorization, no cookie. Most of them are not signed.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The first value of a stored header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&HeaderValue> {
        self.headers.get(name)
    }

    /// The exact bytes received, never empty. From SNS: the signed fields of the envelope, written anew.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// What the sender asks instead of bringing an alert. It has to be answered, and nothing of it decoded.
    #[must_use]
    pub fn challenge(&self) -> Option<&Challenge> {
        self.challenge.as_ref()
    }

    /// When it was received, by the wall clock.
    #[must_use]
    pub fn received_at(&self) -> Timestamp {
        self.received_at
    }
}

/// Shows how long the body is, and neither body nor headers.
impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Verified")
            .field("source", &self.source)
            .field("signed_id", &self.signed_id)
            .field("signed_at", &self.signed_at)
            .field("body_bytes", &self.body.len())
            .field("received_at", &self.received_at)
            .finish_non_exhaustive()
    }
}

fn guard(source: &SourceName, signed: &Signed<'_>, body: &[u8]) -> [u8; 32] {
    // A name holds no zero byte, so no two pairs of name and identity give the same bytes.
    let named = Sha256::new_with_prefix(source.as_str()).chain_update([0]);
    let identity = match &signed.id {
        Some(id) => named.chain_update(id.as_bytes()),
        None => named.chain_update(signed.covered.digest()),
    };
    let mut guard = [0; 32];
    guard[..HALF_GUARD].copy_from_slice(&identity.finalize()[..HALF_GUARD]);
    guard[HALF_GUARD..].copy_from_slice(&Sha256::digest(body)[..HALF_GUARD]);
    guard
}
