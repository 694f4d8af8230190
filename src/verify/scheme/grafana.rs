//! Grafana Alerting: hex HMAC-SHA256 of the body, or of `time:body` where Grafana is told to send the time (Grafana,
//! "Configure webhook notifications", "HMAC signature").
//!
//! Which of the two is decided by our settings, never by whether the header is there: who moves the time into the body
//! would otherwise turn an old delivery into one without time.

use super::hmac::Spec;
use crate::verify::{SignatureScheme, VerifierProblem, VerifySettings};

const SIGNATURE: &str = "X-Grafana-Alerting-Signature";

/// Grafana's way of signing.
pub(super) fn spec(settings: &VerifySettings) -> Result<Spec, Vec<VerifierProblem>> {
    let timed = settings.timestamp_header.as_ref().map(|_| "{timestamp}:{body}".to_owned());
    Spec::from_settings(&VerifySettings {
        header: Some(settings.header.clone().unwrap_or_else(|| SIGNATURE.to_owned())),
        signed: timed,
        timestamp_header: settings.timestamp_header.clone(),
        ..VerifySettings::new(SignatureScheme::Hmac, settings.secrets.clone())
    })
}
