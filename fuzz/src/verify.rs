//! Nothing that nobody signed is authentic, by any scheme. The first byte chooses the scheme, the rest is the delivery.

use std::sync::LazyLock;

use sever::verify::{Verifier, VerifyError};

use super::{request, schemes};

static VERIFIERS: LazyLock<Vec<Verifier>> = LazyLock::new(|| schemes::all().iter().map(schemes::verifier).collect());

/// See the module.
pub fn run(input: &[u8]) {
    let Some((which, rest)) = input.split_first() else { return };
    let verifier = &VERIFIERS[usize::from(*which) % VERIFIERS.len()];
    let delivery = request::delivery(rest);
    let _ = verifier.accepts_content_type(delivery.headers.get(http::header::CONTENT_TYPE));
    let _ = verifier.has_to_fetch(&delivery, request::now());
    if let Some(Ok(answer)) = verifier.answer_get(&delivery.headers) {
        assert!(answer.to_string().len() < 4096, "whoever asks gets a short answer");
    }
    match verifier.verify(delivery, request::now()) {
        Err(VerifyError::Forged(_) | VerifyError::Undecided(_)) => {}
        Ok(_) | Err(VerifyError::Stale { .. }) => panic!("authentic by {:?}", verifier.scheme()),
    }
}
