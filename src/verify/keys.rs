//! Secrets to keys, signed bytes to tags, and the one comparison.
//!
//! Each secret is keyed once and the keyed MAC cloned for each delivery. Every key is tried with every signature
//! without early exit, so the time taken says nothing about which of them came close.

use aws_lc_rs::signature::{ED25519, ED25519_PUBLIC_KEY_LEN, ParsedPublicKey};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::zeroize::Zeroizing;
use sha2::{Digest, Sha256, Sha512};
use subtle::{Choice, ConstantTimeEq};
use x509_cert::der::Document;

use super::{MacAlgorithm, SignatureEncoding, VerifierProblem};
use crate::settings::SecretRef;

/// The longest tag: HMAC-SHA512, and an ed25519 signature.
const LONGEST_TAG: usize = 64;

/// What base64 needs to decode 64 bytes: it works in groups of three.
const DECODING_ROOM: usize = 66;

/// The bytes that a signature covers, in order, each borrowed from the delivery or the settings. Unused parts are
/// empty. Seven hold a template of three placeholders and the literals around them.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct SignedBytes<'a>(pub(super) [&'a [u8]; 7]);

impl<'a> SignedBytes<'a> {
    /// One piece.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self([bytes, b"", b"", b"", b"", b"", b""])
    }

    /// SHA-256 of the parts put together.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        self.0.iter().for_each(|part| digest.update(part));
        digest.finalize().into()
    }
}

/// How the text of a secret becomes a key. An ed25519 public key is never taken for the key of an HMAC: it is no
/// secret, and whoever knows it could sign.
#[derive(Debug, Clone, Copy)]
pub(super) enum KeyText {
    /// The text is the key of an HMAC, whatever it looks like.
    Utf8(MacAlgorithm),
    /// Base64 behind an optional `whsec_` for an HMAC-SHA256, or an ed25519 public key: `whpk_` and base64
    /// (Standard Webhooks), or PEM (RFC 8410).
    Coded,
}

impl KeyText {
    /// The key, or what is wrong with the text, without the text.
    fn key(self, text: &str) -> Result<Key, &'static str> {
        match self {
            Self::Utf8(_) if is_public(text) => {
                Err("is a public key, which anybody may know; this scheme needs a secret")
            }
            Self::Utf8(algorithm) => Ok(Key::Mac(MacKey::new(algorithm, text.as_bytes()))),
            Self::Coded if text.starts_with("whsk_") || text.contains("PRIVATE KEY") => {
                Err("is an ed25519 private key; the sender keeps it, only the public one (whpk_) belongs here")
            }
            Self::Coded if is_public(text) => public_key(text).map(Key::Ed25519),
            Self::Coded => whsec(text).map(|key| Key::Mac(MacKey::new(MacAlgorithm::Sha256, &key))),
        }
    }
}

/// What `text` gives whoever knows it, as digests: the text itself, and the key that is read from it. Secrets that have one
/// of them in common are one secret, however they are written.
pub(super) fn marks(text: &str) -> Vec<[u8; 32]> {
    let mark = |bytes: &[u8]| Sha256::digest(bytes).into();
    let public = public_key_bytes(text).filter(|_| is_public(text));
    // Of an ed25519 key in PEM the last 32 bytes are what whpk_ holds (RFC 8410 section 4).
    let public = public.and_then(|bytes| bytes.last_chunk::<ED25519_PUBLIC_KEY_LEN>().map(|key| mark(key)));
    let secret = whsec(text).ok().map(|key| mark(&key));
    [mark(text.as_bytes())].into_iter().chain(secret).chain(public).collect()
}

fn is_public(text: &str) -> bool {
    let is_pem = text.starts_with("-----BEGIN") && ["PUBLIC KEY", "CERTIFICATE"].iter().any(|word| text.contains(word));
    is_pem || text.starts_with("whpk_")
}

fn whsec(text: &str) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let coded = text.strip_prefix("whsec_").unwrap_or(text);
    let key = STANDARD.decode(coded).map(Zeroizing::new);
    let key = key.map_err(|_| "is not whsec_ and padded base64; copy the whole secret, to its last `=`")?;
    if key.is_empty() { Err("is empty after whsec_; copy the whole secret") } else { Ok(key) }
}

fn public_key(text: &str) -> Result<ParsedPublicKey, &'static str> {
    let wrong = "is not an ed25519 public key: whpk_ and padded base64 of 32 bytes, or PEM";
    ParsedPublicKey::new(&ED25519, public_key_bytes(text).ok_or(wrong)?).map_err(|_| wrong)
}

fn public_key_bytes(text: &str) -> Option<Vec<u8>> {
    match text.strip_prefix("whpk_") {
        Some(coded) => STANDARD.decode(coded).ok().filter(|key| key.len() == ED25519_PUBLIC_KEY_LEN),
        None => Document::from_pem(text).ok().map(|(_, document)| document.as_bytes().to_vec()),
    }
}

/// The keys of one source. Any of them may have signed.
pub(super) struct Keys(Vec<Key>);

impl Keys {
    /// Reads and keys every secret, reporting all that fail.
    pub(super) fn read(secrets: &[SecretRef], text: KeyText) -> Result<Self, Vec<VerifierProblem>> {
        each(secrets, |secret| text.key(secret)).map(Self)
    }

    /// Each key for itself.
    pub(super) fn apart(self) -> impl Iterator<Item = Self> {
        self.0.into_iter().map(|key| Self(vec![key]))
    }

    /// Whether any HMAC key makes any of `candidates` over `signed`.
    pub(super) fn any_makes(&self, signed: &SignedBytes<'_>, candidates: impl Iterator<Item = Tag> + Clone) -> bool {
        self.which_makes(signed, candidates).is_some()
    }

    /// The number of an HMAC key that makes any of `candidates` over `signed`.
    pub(super) fn which_makes(
        &self,
        signed: &SignedBytes<'_>,
        candidates: impl Iterator<Item = Tag> + Clone,
    ) -> Option<usize> {
        let mut maker = None;
        for (number, key) in self.macs() {
            let tag = key.tag(signed);
            let mut found = Choice::from(0);
            for candidate in candidates.clone() {
                found |= tag.equals(&candidate);
            }
            if found.into() {
                maker = Some(number);
            }
        }
        maker
    }

    /// Whether any ed25519 key verifies any of `candidates` over `signed`.
    pub(super) fn any_verifies(&self, signed: &SignedBytes<'_>, candidates: impl Iterator<Item = Tag> + Clone) -> bool {
        if !self.has_public() {
            return false;
        }
        let message = signed.0.concat();
        let mut found = false;
        for candidate in candidates {
            for key in self.0.iter().filter_map(Key::public) {
                // aws-lc refuses S >= L, as RFC 8032 section 5.1.7 asks.
                found |= key.verify_sig(&message, candidate.as_bytes()).is_ok();
            }
        }
        found
    }

    /// Whether there is an HMAC key.
    pub(super) fn has_mac(&self) -> bool {
        self.macs().next().is_some()
    }

    /// Whether there is an ed25519 key.
    pub(super) fn has_public(&self) -> bool {
        self.0.iter().any(|key| key.public().is_some())
    }

    /// The tag of the first key, with which we sign. `None` where that is a public one.
    pub(super) fn sign(&self, signed: &SignedBytes<'_>) -> Option<Tag> {
        self.sign_with(0, signed)
    }

    /// The tag of this key, unless it is a public one.
    pub(super) fn sign_with(&self, number: usize, signed: &SignedBytes<'_>) -> Option<Tag> {
        self.macs().find(|(candidate, _)| *candidate == number).map(|(_, key)| key.tag(signed))
    }

    fn macs(&self) -> impl Iterator<Item = (usize, &MacKey)> {
        let keys = self.0.iter().enumerate();
        keys.filter_map(|(number, key)| if let Key::Mac(key) = key { Some((number, key)) } else { None })
    }
}

/// What `read` makes of each secret, or all that fail. A problem names the secret's reference, never its text.
pub(super) fn each<T>(
    secrets: &[SecretRef],
    read: impl Fn(&str) -> Result<T, &'static str>,
) -> Result<Vec<T>, Vec<VerifierProblem>> {
    let mut found = Vec::with_capacity(secrets.len());
    let mut problems = Vec::new();
    for (index, reference) in secrets.iter().enumerate() {
        let secret = reference.resolve().map_err(|error| error.to_string());
        let made = secret
            .and_then(|secret| read(secret.expose()).map_err(|wrong| format!("the secret from {reference} {wrong}")));
        match made {
            Ok(made) => found.push(made),
            Err(message) => problems.push(VerifierProblem::new(format!("secrets[{index}]"), message)),
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(problems) }
}

enum Key {
    Mac(MacKey),
    Ed25519(ParsedPublicKey),
}

impl Key {
    fn public(&self) -> Option<&ParsedPublicKey> {
        match self {
            Self::Mac(_) => None,
            Self::Ed25519(key) => Some(key),
        }
    }
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

/// A MAC or an ed25519 signature, as computed or as decoded from a header.
#[derive(Clone, Copy)]
pub(super) struct Tag {
    bytes: [u8; LONGEST_TAG],
    len: usize,
}

impl Tag {
    /// At most 64 bytes are kept; none here has more.
    pub(super) fn new(tag: &[u8]) -> Self {
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
        let tag = self.as_bytes();
        match encoding {
            SignatureEncoding::Hex => hex::encode(tag),
            SignatureEncoding::Base64 => STANDARD.encode(tag),
        }
    }

    /// The bytes.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// In constant time over the bytes; the lengths are no secret.
    fn equals(&self, other: &Self) -> Choice {
        self.as_bytes().ct_eq(other.as_bytes())
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
