//! SDK-HMAC-SHA256, from the receiving side: what the request on the wire would have had to be signed as.
//!
//! Source: Huawei's API Request Signing Guide. Made with other cryptographic functions than our client uses, and held
//! against signatures of Huawei's own SDK by the tests.

use aws_lc_rs::{digest, hmac};
use axum::http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use super::super::exchange::Incoming;

/// The one algorithm of this scheme.
pub(super) const ALGORITHM: &str = "SDK-HMAC-SHA256";

/// Stands in for the digest of the body, where a client gives one.
pub(super) const BODY_HASH: &str = "x-sdk-content-sha256";

/// Letters, digits and these four stay; everything else is percent-encoded, in upper-case hexadecimal.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// What an `Authorization` header says.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) access_key: String,
    pub(super) signed_headers: Vec<String>,
    signature: String,
}

impl Claim {
    /// The parts in their order: a blank but no comma after the algorithm, a comma and a blank between the others.
    pub(super) fn parse(authorization: &str) -> Option<Self> {
        let rest = authorization.strip_prefix(ALGORITHM)?.strip_prefix(" Access=")?;
        let (access_key, rest) = rest.split_once(", SignedHeaders=")?;
        let (signed_headers, signature) = rest.split_once(", Signature=")?;
        let is_hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
        let well_formed = !access_key.is_empty() && signature.len() == 64 && is_hex(signature);
        well_formed.then(|| Self {
            access_key: access_key.to_owned(),
            signed_headers: signed_headers.split(';').map(str::to_owned).collect(),
            signature: signature.to_owned(),
        })
    }

    /// Whether the signature was made with `secret` over this canonical request at this `X-Sdk-Date`.
    pub(super) fn holds(&self, secret: &str, date: &str, canonical_request: &str) -> bool {
        let to_sign = format!("{ALGORITHM}\n{date}\n{}", hex_digest(canonical_request.as_bytes()));
        // The secret key as it is: this scheme derives no key from it.
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        let signature = hex::decode(&self.signature).unwrap_or_default();
        hmac::verify(&key, to_sign.as_bytes(), &signature).is_ok()
    }
}

/// The canonical request of a call, or what about its signed headers makes that impossible.
pub(super) fn canonical_request(call: &Incoming, signed_headers: &[String]) -> Result<String, String> {
    let headers = canonical_headers(&call.headers, signed_headers)?;
    let (uri, query) = (canonical_uri(&call.path), canonical_query(&call.query));
    let body_hash = body_hash(call)?;
    Ok([&call.method, &uri, &query, &headers, &signed_headers.join(";"), &body_hash].map(String::as_str).join("\n"))
}

/// Ends with a slash, also where the path on the wire does not.
fn canonical_uri(raw_path: &str) -> String {
    let decoded: Vec<u8> = percent_decode_str(raw_path).collect();
    let parts: Vec<String> = decoded.split(|byte| *byte == b'/').map(encoded).collect();
    let joined = parts.join("/");
    if joined.ends_with('/') { joined } else { format!("{joined}/") }
}

/// Sorted by the decoded name, then the decoded value. A plus on the wire is a plus.
fn canonical_query(raw_query: &str) -> String {
    let decode = |text: &str| percent_decode_str(text).collect::<Vec<u8>>();
    let split = |pair: &str| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (decode(name), decode(value))
    };
    let mut pairs: Vec<_> = raw_query.split('&').filter(|pair| !pair.is_empty()).map(split).collect();
    pairs.sort();
    let written = pairs.iter().map(|(name, value)| format!("{}={}", encoded(name), encoded(value)));
    written.collect::<Vec<_>>().join("&")
}

/// `name:value` and a line feed for each.
fn canonical_headers(headers: &HeaderMap, signed: &[String]) -> Result<String, String> {
    if !signed.is_sorted_by(|one, next| one < next) {
        return Err("signed headers are not sorted, or occur twice".to_owned());
    }
    let lines = signed.iter().map(|name| Ok(format!("{name}:{}\n", only_value(headers, name)?)));
    lines.collect()
}

/// The value of a header that stands once. Names with an underscore do not come through the gateway.
pub(super) fn only_value<'call>(headers: &'call HeaderMap, name: &str) -> Result<&'call str, String> {
    if name.chars().any(|letter| letter.is_ascii_uppercase() || letter == '_') {
        return Err(format!("signed header {name} is not a lower-case name without underscores"));
    }
    let mut values = headers.get_all(name).iter();
    match (values.next().map(|value| std::str::from_utf8(value.as_bytes())), values.next()) {
        (None, _) => Err(format!("header {name} is missing")),
        (_, Some(_)) => Err(format!("header {name} occurs twice")),
        (Some(Err(_)), _) => Err(format!("header {name} is not UTF-8")),
        (Some(Ok(value)), None) => Ok(value.trim()),
    }
}

/// Stricter than the guide, which lets a client state any digest, or `UNSIGNED-PAYLOAD` for what is not JSON: this API
/// speaks JSON alone, and an unsigned body could be exchanged on its way.
fn body_hash(call: &Incoming) -> Result<String, String> {
    let actual = hex_digest(&call.body);
    let stated = call.headers.get(BODY_HASH).map(|value| value.as_bytes());
    match stated.is_none_or(|stated| stated == actual.as_bytes()) {
        true => Ok(actual),
        false => Err(format!("{BODY_HASH} is not the digest of the body")),
    }
}

fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, ENCODED).to_string()
}

fn hex_digest(bytes: &[u8]) -> String {
    hex::encode(digest::digest(&digest::SHA256, bytes))
}
