//! Slack: hex HMAC-SHA256 of `v0:time:body` ("Verifying requests from Slack").
//!
//! Zoom signs in the same way with other headers: one secret must never serve both.

use super::hmac::Spec;
use crate::verify::{SignatureScheme, VerifierProblem, VerifySettings};

/// Slack's way of signing.
pub(super) fn spec(settings: &VerifySettings) -> Result<Spec, Vec<VerifierProblem>> {
    v0(settings, "x-slack-signature", "x-slack-request-timestamp")
}

/// `v0:time:body`, with these headers.
pub(super) fn v0(settings: &VerifySettings, signature: &str, time: &str) -> Result<Spec, Vec<VerifierProblem>> {
    Spec::from_settings(&VerifySettings {
        header: Some(signature.to_owned()),
        prefix: Some("v0=".to_owned()),
        signed: Some("v0:{timestamp}:{body}".to_owned()),
        timestamp_header: Some(time.to_owned()),
        ..VerifySettings::new(SignatureScheme::Hmac, settings.secrets.clone())
    })
}
