//! Signs requests as Huawei Cloud's API gateway demands: SDK-HMAC-SHA256 with an access key and a secret key.
//!
//! Free of clock and network. Always holds: the host, the date and, with temporary credentials, the security token are
//! among what is signed; the query that is signed is the query to be sent, byte for byte.
//!
//! Source: Huawei's "API Request Signing Guide", and the vectors that its own Python SDK makes.

use hmac::{Hmac, KeyInit, Mac};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use crate::settings::Secret;

const ALGORITHM: &str = "SDK-HMAC-SHA256";

const HOST: &str = "host";
const DATE: &str = "x-sdk-date";
const TOKEN: &str = "x-security-token";

/// How `X-Sdk-Date` is written, in UTC. The gateway takes it for 15 minutes.
pub(super) const DATE_FORMAT: &str = "%Y%m%dT%H%M%SZ";

/// RFC 3986 section 2.3: everything but these is encoded, in upper-case hex.
const ALL_BUT_UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// Who signs. Debug shows nothing of it.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    /// The access key (AK), which is sent.
    pub(super) access_key: Secret,
    /// The secret key (SK), which is not.
    pub(super) secret_key: Secret,
    /// Belongs to temporary credentials, and is sent.
    pub(super) security_token: Option<Secret>,
}

/// A request as it will be sent, but for the signature.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unsigned<'a> {
    /// In upper case.
    pub(super) method: &'a str,
    /// With the port, where it is not the scheme's own.
    pub(super) host: &'a str,
    /// The path on the wire, encoded.
    pub(super) path: &'a str,
    /// The query on the wire, as [`query`] writes it; empty if there is none.
    pub(super) query: &'a str,
    /// When, in [`DATE_FORMAT`].
    pub(super) date: &'a str,
    /// The other headers to be signed.
    pub(super) headers: &'a [(&'a str, &'a str)],
    /// The bytes sent; empty if there is no body.
    pub(super) body: &'a [u8],
}

/// What signing a request gives.
pub(super) struct Signed {
    /// The value of `Authorization`.
    pub(super) authorization: Secret,
    /// The signature in it, which a gateway may echo alone.
    pub(super) signature: Secret,
    /// What was hashed. A gateway that refuses a signature echoes its own version, and with it the token.
    pub(super) canonical: Secret,
}

impl Keys {
    /// Signs `request`. With a security token, `X-Security-Token` is signed and has to be sent.
    pub(super) fn sign(&self, request: &Unsigned<'_>) -> Signed {
        let headers = self.headers(request);
        let names: Vec<&str> = headers.iter().map(|(name, _)| name.as_str()).collect();
        let names = names.join(";");
        let canonical = canonical(request, &headers, &names);
        let to_sign = format!("{ALGORITHM}\n{}\n{}", request.date, digest(canonical.as_bytes()));
        let signature = self.mac(&to_sign);
        let access_key = self.access_key.expose();
        let authorization = format!("{ALGORITHM} Access={access_key}, SignedHeaders={names}, Signature={signature}");
        Signed {
            authorization: Secret::new(&authorization),
            signature: Secret::new(&signature),
            canonical: Secret::new(&canonical),
        }
    }

    /// Every header that is signed, by its name in lower case, in the order of the names.
    fn headers<'a>(&'a self, request: &Unsigned<'a>) -> Vec<(String, &'a str)> {
        let own = [(HOST, request.host), (DATE, request.date)];
        let token = self.security_token.as_ref().map(|token| (TOKEN, token.expose()));
        let all = request.headers.iter().copied().chain(own).chain(token);
        // Proxies drop headers with an underscore, so the official signers leave them out.
        let signed = all.filter(|(name, _)| !name.contains('_'));
        let mut headers: Vec<_> = signed.map(|(name, value)| (name.to_ascii_lowercase(), value.trim())).collect();
        headers.sort_unstable();
        headers
    }

    fn mac(&self, text: &str) -> String {
        let key = self.secret_key.expose().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length (RFC 2104 section 2)");
        mac.update(text.as_bytes());
        hex::encode(mac.finalize().into_bytes())
    }
}

fn canonical(request: &Unsigned<'_>, headers: &[(String, &str)], names: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let (path, body) = (canonical_path(request.path), digest(request.body));
    format!("{}\n{path}\n{}\n{headers}\n{names}\n{body}", request.method, request.query)
}

/// The path decoded once and encoded anew, and with the `/` at its end that the path on the wire lacks.
fn canonical_path(path: &str) -> String {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut canonical = decoded.split('/').map(encode).collect::<Vec<_>>().join("/");
    if !canonical.ends_with('/') {
        canonical.push('/');
    }
    canonical
}

/// A query as it is signed and sent: sorted by name and value, then encoded. A blank is `%20`.
pub(super) fn query(pairs: &[(&str, &str)]) -> String {
    let mut pairs = pairs.to_vec();
    pairs.sort_unstable();
    let pairs: Vec<_> = pairs.into_iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, ALL_BUT_UNRESERVED).to_string()
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

#[cfg(test)]
#[path = "sign_tests.rs"]
mod tests;
