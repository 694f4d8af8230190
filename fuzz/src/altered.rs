//! A signed delivery of which something was altered on its way: what is vouched for afterwards is what was signed, or
//! nothing.
//!
//! The first byte chooses the scheme, the second what is replaced by the rest: the body, or one of the headers.

use std::sync::LazyLock;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use sever::verify::{Signer, Verifier, VerifyError};

use super::{request, schemes};

const BODY: &[u8] = br#"{"id":"edr-1","kind":"session_stolen","subjects":[{"email":"ana@example.com"}]}"#;

const ID: &str = "msg_1";

struct Case {
    verifier: Verifier,
    headers: Vec<(HeaderName, HeaderValue)>,
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let case = |settings: &serde_json::Value| {
        let signer = Signer::new(&schemes::settings(settings)).expect("a signer").posting_to(request::url());
        let headers = signer.sign(ID, request::now(), BODY).expect("signed");
        Case { verifier: schemes::verifier(settings), headers }
    };
    schemes::signing().iter().map(case).collect()
});

/// See the module.
pub fn run(input: &[u8]) {
    let [which, place, rest @ ..] = input else { return };
    let case = &CASES[usize::from(*which) % CASES.len()];
    let place = usize::from(*place) % (case.headers.len() + 1);
    let mut headers = HeaderMap::new();
    for (at, (name, value)) in case.headers.iter().enumerate() {
        let value = if at == place { HeaderValue::from_bytes(rest).ok() } else { Some(value.clone()) };
        if let Some(value) = value {
            headers.append(name, value);
        }
    }
    let body = if place == case.headers.len() { rest } else { BODY };
    let delivery = request::with_headers(headers, Bytes::copy_from_slice(body));
    let verified = match case.verifier.verify(delivery, request::now()) {
        Ok(verified) => verified,
        Err(VerifyError::Stale { .. }) => panic!("authentic with another time by {:?}", case.verifier.scheme()),
        Err(VerifyError::Forged(_) | VerifyError::Undecided(_)) => return,
    };
    assert_eq!(verified.body(), BODY, "another body by {:?}", case.verifier.scheme());
    assert!(verified.signed_id().is_none_or(|id| id == ID), "another id by {:?}", case.verifier.scheme());
    assert!(verified.signed_at().is_none_or(|time| time == request::now()), "another time");
}
