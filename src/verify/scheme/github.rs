//! GitHub: hex HMAC-SHA256 of the body in `X-Hub-Signature-256` (GitHub Docs, "Validating webhook deliveries").
//!
//! Delivery id, event name and time are not signed. The older `X-Hub-Signature` is SHA-1 and not looked at.

use http::HeaderName;

use super::hmac::Spec;

/// GitHub's way of signing.
pub(super) fn spec() -> Spec {
    Spec::of_body(HeaderName::from_static("x-hub-signature-256"), "sha256=")
}
