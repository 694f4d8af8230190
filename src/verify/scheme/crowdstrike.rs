//! CrowdStrike Falcon Fusion: base64 HMAC-SHA256 of the body followed by the time, with nothing between.
//!
//! No document of CrowdStrike says so; public receivers agree on this and one differs, hence the settings. Without a
//! separator the time is read strictly, so that it cannot borrow characters of the body.

use super::hmac::Spec;
use crate::verify::{SignatureEncoding, SignatureScheme, TimestampFormat, VerifierProblem, VerifySettings};

const SIGNATURE: &str = "X-Cs-Primary-Signature";
const TIME: &str = "X-Cs-Delivery-Timestamp";

/// CrowdStrike's way of signing.
pub(super) fn spec(settings: &VerifySettings) -> Result<Spec, Vec<VerifierProblem>> {
    let given = settings.clone();
    Spec::from_settings(&VerifySettings {
        header: Some(given.header.unwrap_or_else(|| SIGNATURE.to_owned())),
        encoding: Some(given.encoding.unwrap_or(SignatureEncoding::Base64)),
        signed: Some(given.signed.unwrap_or_else(|| "{body}{timestamp}".to_owned())),
        timestamp_header: Some(given.timestamp_header.unwrap_or_else(|| TIME.to_owned())),
        timestamp_format: Some(given.timestamp_format.unwrap_or(TimestampFormat::Rfc3339)),
        ..VerifySettings::new(SignatureScheme::Hmac, given.secrets)
    })
}
