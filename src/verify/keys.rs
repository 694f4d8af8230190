//! Secrets to keyed MACs, signed bytes to tags, and the one comparison.
//!
//! Each secret is keyed once and the keyed MAC cloned for each delivery. Every key is tried with every signature
//! without early exit, so the time taken says nothing about which of them came close.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};

use super::{MacAlgorithm, SignatureEncoding, VerifierProblem};
use crate::settings::{Secret, SecretRef};

/// The longest tag: HMAC-SHA512.
const LONGEST_TAG: usize = 64;

/// What base64 needs to decode 64 bytes: it works in groups of three.
const DECODING_ROOM: usize = 66;

/// The bytes that a signature covers, in order, each borrowed from the delivery or the settings. Unused parts are
/// empty. Seven hold a template of three placeholders and the literals around them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SignedBytes<'a>(pub(super) [&'a [u8]; 7]);

impl SignedBytes<'_> {
    /// SHA-256 of the parts put together.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.0.iter().for_each(|part| digest.update(part));
        digest.finalize().into()
    }
}

/// How the text of a secret becomes key bytes.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyText {
    /// The text is the key, whatever it looks like.
    Utf8,
    /// Base64 behind an optional `whsec_` (Standard Webhooks).
    Whsec,
}

impl KeyText {
    /// The key bytes, or what is wrong with the text, without the text.
    fn key(self, text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
        match self {
            Self::Utf8 => Ok(Zeroizing::new(text.as_bytes().to_vec())),
            Self::Whsec => whsec(text),
        }
    }
}

fn whsec(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    if text.starts_with("whpk_") || text.starts_with("whsk_") {
        return Err("is an ed25519 key; only v1 secrets, which begin with whsec_, can be used here");
    }
    let coded = text.strip_prefix("whsec_").unwrap_or(text);
    let key = STANDARD.decode(coded).map(Zeroizing::new);
    let key = key.map_err(|_| "is not whsec_ and padded base64; copy the whole secret, to its last `=`")?;
    if key.is_empty() { Err("is empty after whsec_; copy the whole secret") } else { Ok(key) }
}

/// The keys of one source. Any of them may have signed.
pub(super) struct Keys(Vec<MacKey>);

impl Keys {
    /// Reads and keys every secret, reporting all that fail.
    pub(super) fn read(
        secrets: &[SecretRef],
        text: KeyText,
        algorithm: MacAlgorithm,
    ) -> Result<Self, Vec<VerifierProblem>> {
        let mut keys = Vec::with_capacity(secrets.len());
        let mut problems = Vec::new();
        for (index, secret) in secrets.iter().enumerate() {
            match key_bytes(secret, text) {
                Ok(bytes) => keys.push(MacKey::new(algorithm, &bytes)),
                Err(message) => problems.push(VerifierProblem::new(format!("secrets[{index}]"), message)),
            }
        }
        if problems.is_empty() { Ok(Self(keys)) } else { Err(problems) }
    }

    /// Whether any key makes any of `candidates` over `signed`.
    pub(super) fn any_makes(&self, signed: &SignedBytes<'_>, candidates: impl Iterator<Item = Tag> + Clone) -> bool {
        let mut found = Choice::from(0);
        for key in &self.0 {
            let tag = key.tag(signed);
            for candidate in candidates.clone() {
                found |= tag.equals(&candidate);
            }
        }
        found.into()
    }

    /// The tag of the first key, with which we sign. `None` without keys, which [`Self::read`] was not given.
    pub(super) fn sign(&self, signed: &SignedBytes<'_>) -> Option<Tag> {
        self.0.first().map(|key| key.tag(signed))
    }
}

fn key_bytes(secret: &SecretRef, text: KeyText) -> Result<Zeroizing<Vec<u8>>, String> {
    let found: Secret = secret.resolve().map_err(|error| error.to_string())?;
    text.key(found.expose()).map_err(|wrong| format!("the secret from {secret} {wrong}"))
}

enum MacKey {
    Sha256(Hmac<Sha256>),
    Sha512(Box<Hmac<Sha512>>),
}

impl MacKey {
    fn new(algorithm: MacAlgorithm, key: &[u8]) -> Self {
        match algorithm {
            MacAlgorithm::Sha256 => Self::Sha256(keyed(key)),
            MacAlgorithm::Sha512 => Self::Sha512(Box::new(keyed(key))),
        }
    }

    fn tag(&self, signed: &SignedBytes<'_>) -> Tag {
        match self {
            Self::Sha256(mac) => Tag::new(&fed(mac.clone(), signed).finalize().into_bytes()),
            Self::Sha512(mac) => Tag::new(&fed(Hmac::clone(mac), signed).finalize().into_bytes()),
        }
    }
}

fn keyed<M: KeyInit>(key: &[u8]) -> M {
    M::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 section 2)")
}

fn fed<M: Mac>(mut mac: M, signed: &SignedBytes<'_>) -> M {
    signed.0.iter().for_each(|part| mac.update(part));
    mac
}

/// A MAC, as computed or as decoded from a header.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    bytes: [u8; LONGEST_TAG],
    len: usize,
}

impl Tag {
    /// At most 64 bytes are kept; no MAC here has more.
    fn new(tag: &[u8]) -> Self {
        let len = tag.len().min(LONGEST_TAG);
        let mut bytes = [0; LONGEST_TAG];
        bytes[..len].copy_from_slice(&tag[..len]);
        Self { bytes, len }
    }

    /// Strictly decodes a MAC of exactly `len` bytes: lower-case hex, or padded base64 whose spare bits are zero
    /// (RFC 4648 sections 3.5 and 4), so that each MAC has one spelling.
    pub(super) fn decode(encoding: SignatureEncoding, text: &str, len: usize) -> Option<Self> {
        let mut room = [0; DECODING_ROOM];
        let decoded = match encoding {
            SignatureEncoding::Hex => {
                let lower = text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
                hex::decode_to_slice(text, room.get_mut(..len)?).ok().filter(|()| lower).map(|()| len)
            }
            SignatureEncoding::Base64 => STANDARD.decode_slice(text, &mut room).ok(),
        };
        decoded.filter(|decoded| *decoded == len).map(|len| Self::new(&room[..len]))
    }

    /// The inverse of [`Self::decode`].
    pub(super) fn encode(&self, encoding: SignatureEncoding) -> String {
        let tag = &self.bytes[..self.len];
        match encoding {
            SignatureEncoding::Hex => hex::encode(tag),
            SignatureEncoding::Base64 => STANDARD.encode(tag),
        }
    }

    /// In constant time over the bytes; the lengths are no secret.
    fn equals(&self, other: &Self) -> Choice {
        self.bytes[..self.len].ct_eq(&other.bytes[..other.len])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mac_has_one_spelling() {
        let hex = "0".repeat(63) + "a";
        assert!(Tag::decode(SignatureEncoding::Hex, &hex, 32).is_some());
        for wrong in [hex.to_uppercase(), hex[1..].to_owned(), format!("{hex}0"), format!("{hex}00"), String::new()] {
            assert!(Tag::decode(SignatureEncoding::Hex, &wrong, 32).is_none(), "{wrong}");
        }
        let base64 = "A".repeat(43) + "=";
        assert!(Tag::decode(SignatureEncoding::Base64, &base64, 32).is_some());
        for wrong in [&base64[..43], "", &("A".repeat(42) + "B="), &format!(" {base64}"), &("A".repeat(42) + "-=")] {
            assert!(Tag::decode(SignatureEncoding::Base64, wrong, 32).is_none(), "{wrong}");
        }
        assert!(Tag::decode(SignatureEncoding::Base64, &("A".repeat(86) + "=="), 64).is_some());
        assert!(Tag::decode(SignatureEncoding::Base64, &"A".repeat(4000), 64).is_none());
    }
}
