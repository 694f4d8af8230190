//! Structured fields of RFC 9421 and RFC 9530, as somebody without a key writes them: three lines, `Signature-Input`,
//! `Signature` and `Content-Digest`, then the body.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sever::verify::{Verifier, VerifyError};

use super::{request, schemes};

const FIELDS: [&str; 3] = ["signature-input", "signature", "content-digest"];

static VERIFIERS: LazyLock<Vec<Verifier>> = LazyLock::new(|| {
    let settings = schemes::signing();
    settings.iter().filter(|settings| settings["scheme"] == "rfc9421").map(schemes::verifier).collect()
});

/// See the module.
pub fn run(input: &[u8]) {
    let (mut headers, mut rest) = (HeaderMap::new(), input);
    for field in FIELDS {
        let (line, next) = request::split(rest, b"\n");
        rest = next;
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(field), value);
        }
    }
    let delivery = request::with_headers(headers, Bytes::copy_from_slice(rest));
    for verifier in VERIFIERS.iter() {
        match verifier.verify(delivery.clone(), request::now()) {
            Err(VerifyError::Forged(_)) => {}
            other => panic!("{other:?}"),
        }
    }
}
