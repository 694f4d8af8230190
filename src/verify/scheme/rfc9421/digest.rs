//! `Content-Digest`: what ties the body to a signature that covers headers only (RFC 9530 section 2).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName};
use sfv::{Dictionary, ListEntry, Parser};
use sha2::{Digest, Sha256, Sha512};
use subtle::ConstantTimeEq;

use super::DIGEST;
use crate::verify::{Reason, headers};

/// Every digest of a kind that we know has to be right, and there has to be one.
pub(super) fn check(headers: &HeaderMap, body: &[u8]) -> Result<(), Reason> {
    let text = headers::once(headers, &HeaderName::from_static(DIGEST))?;
    let digests: Dictionary = Parser::new(text).parse().map_err(|_| Reason::MalformedHeader)?;
    let mut known = 0;
    for (name, said) in &digests {
        let right = match name.as_str() {
            "sha-256" => Sha256::digest(body).to_vec(),
            "sha-512" => Sha512::digest(body).to_vec(),
            // Older kinds can be forged, and newer ones prove nothing to us.
            _ => continue,
        };
        known += 1;
        let ListEntry::Item(said) = said else { return Err(Reason::MalformedHeader) };
        let said = said.bare_item.as_byte_sequence().ok_or(Reason::MalformedHeader)?;
        if !bool::from(right.ct_eq(said)) {
            return Err(Reason::DigestMismatch);
        }
    }
    if known == 0 { Err(Reason::DigestMismatch) } else { Ok(()) }
}

/// The header for a body.
pub(super) fn of(body: &[u8]) -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(body)))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn verdict(text: &str, body: &[u8]) -> Result<(), Reason> {
        let value = HeaderValue::from_str(text).expect("a value");
        check(&HeaderMap::from_iter([(HeaderName::from_static(DIGEST), value)]), body)
    }

    #[test]
    fn every_known_digest_has_to_be_right() {
        let right = of(b"{}");
        assert_eq!(verdict(&right, b"{}"), Ok(()));
        assert_eq!(verdict(&format!("unixsum=:AAAA:, {right}"), b"{}"), Ok(()));
        assert_eq!(verdict(&right, b"{ }"), Err(Reason::DigestMismatch));
        assert_eq!(verdict(&format!("{right}, sha-512=:AAAA:"), b"{}"), Err(Reason::DigestMismatch));
        assert_eq!(verdict("unixsum=:AAAA:", b"{}"), Err(Reason::DigestMismatch), "none that we know");
        for malformed in ["sha-256", "sha-256=abc", "sha-256=(:AAAA:)", ",", "sha-256=:A"] {
            assert_eq!(verdict(malformed, b"{}"), Err(Reason::MalformedHeader), "{malformed}");
        }
    }
}
