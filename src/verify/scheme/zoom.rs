//! Zoom: signed as by Slack, and a question from time to time (Zoom, "Validate your webhook endpoint").
//!
//! The answer is an HMAC of text that the sender chose. That text is an id and holds no colon, so no answer of ours can
//! serve as the signature of anything.

use http::HeaderMap;
use serde::Deserialize;
use serde_json::json;

use super::hmac::Spec;
use super::{Signed, slack};
use crate::verify::keys::{Keys, SignedBytes};
use crate::verify::{Challenge, Reason, SignatureEncoding, VerifierProblem, VerifySettings};

/// The event that is a question.
const QUESTION: &str = "endpoint.url_validation";

/// Zoom's way of signing.
pub(super) fn spec(settings: &VerifySettings) -> Result<Spec, Vec<VerifierProblem>> {
    slack::v0(settings, "x-zm-signature", "x-zm-request-timestamp")
}

pub(super) fn authenticate<'a>(
    spec: &'a Spec,
    keys: &Keys,
    headers: &'a HeaderMap,
    body: &'a [u8],
) -> Result<Signed<'a>, Reason> {
    let (signed, key) = spec.authenticate(keys, headers, body)?;
    let challenge = question(body)?.map(|token| answer(keys, key, &token)).transpose()?;
    Ok(Signed { challenge, ..signed })
}

#[derive(Deserialize)]
struct Event {
    event: String,
}

#[derive(Deserialize)]
struct Question {
    payload: Token,
}

#[derive(Deserialize)]
struct Token {
    #[serde(rename = "plainToken")]
    plain: String,
}

/// The token of a question. A body that is none is left to the decoder, whatever it is.
fn question(body: &[u8]) -> Result<Option<String>, Reason> {
    match serde_json::from_slice::<Event>(body) {
        Ok(event) if event.event == QUESTION => {}
        Ok(_) | Err(_) => return Ok(None),
    }
    let question: Question = serde_json::from_slice(body).map_err(|_| Reason::MalformedBody)?;
    let token = question.payload.plain;
    let is_token = (1..=256).contains(&token.len())
        && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_-+/=".contains(&byte));
    if is_token { Ok(Some(token)) } else { Err(Reason::MalformedBody) }
}

/// Made with the key that signed the question: the other end knows no other while keys change.
fn answer(keys: &Keys, key: usize, token: &str) -> Result<Challenge, Reason> {
    let tag = keys.sign_with(key, &SignedBytes::of(token.as_bytes())).ok_or(Reason::SignatureMismatch)?;
    let encrypted = tag.encode(SignatureEncoding::Hex);
    Ok(Challenge::Answer(json!({"plainToken": token, "encryptedToken": encrypted})))
}
