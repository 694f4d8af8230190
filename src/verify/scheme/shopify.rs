//! Shopify, and who signs like it: base64 HMAC-SHA256 of the body. The key is the text of the secret.

use super::hmac::Spec;
use crate::verify::{SignatureEncoding, SignatureScheme, VerifierProblem, VerifySettings};

const SIGNATURE: &str = "X-Shopify-Hmac-Sha256";

/// Shopify's way of signing.
pub(super) fn spec(settings: &VerifySettings) -> Result<Spec, Vec<VerifierProblem>> {
    Spec::from_settings(&VerifySettings {
        header: Some(settings.header.clone().unwrap_or_else(|| SIGNATURE.to_owned())),
        encoding: Some(SignatureEncoding::Base64),
        ..VerifySettings::new(SignatureScheme::Hmac, settings.secrets.clone())
    })
}
