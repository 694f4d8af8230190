//! A verifier of each scheme, and of each way in which one can be set. Nothing that is committed here was signed with their
//! secrets.

use std::sync::Arc;

use serde_json::{Value, json};
use sever::verify::{Download, HttpDownload, Verifier, VerifySettings};

use super::request::source;

/// Standard Webhooks takes it as base64, every other scheme as text.
const SECRET: &str = "whsec_bm9ib2R5IGhhcyBzaWduZWQgd2l0aCB0aGlzIQ==";

/// Settings of each scheme that signs what it sends.
pub fn signing() -> Vec<Value> {
    let with = |mut settings: Value| {
        settings["secrets"] = json!([{"value": SECRET}]);
        settings
    };
    [
        json!({"scheme": "standard-webhooks"}),
        json!({"scheme": "standard-webhooks", "header_prefix": "svix"}),
        json!({"scheme": "github"}),
        json!({"scheme": "slack"}),
        json!({"scheme": "zoom"}),
        json!({"scheme": "stripe"}),
        json!({"scheme": "pagerduty"}),
        json!({"scheme": "grafana"}),
        json!({"scheme": "grafana", "timestamp_header": "X-Grafana-Alerting-Timestamp"}),
        json!({"scheme": "shopify"}),
        json!({"scheme": "crowdstrike"}),
        json!({"scheme": "crowdstrike", "signed": "{timestamp}{body}", "encoding": "hex"}),
        json!({"scheme": "rfc9421", "key_ids": ["the key"]}),
        json!({"scheme": "rfc9421", "key_ids": ["the key"], "components": ["content-digest", "@target-uri"]}),
        json!({"scheme": "hmac", "header": "X-Signature", "prefix": "sha256="}),
        json!({"scheme": "hmac", "header": "X-Signature", "algorithm": "sha512", "encoding": "base64"}),
        json!({"scheme": "hmac", "header": "X-Signature", "signed": "{id}.{timestamp}.{body}", "id_header": "X-Id",
            "timestamp_header": "X-Time", "timestamp_format": "unix_ms"}),
        json!({"scheme": "hmac", "header": "X-Signature", "signed": "{body}{timestamp}", "timestamp_header": "X-Time",
            "timestamp_format": "rfc3339"}),
    ]
    .map(with)
    .into()
}

/// Settings of each scheme.
pub fn all() -> Vec<Value> {
    let mut all = signing();
    all.extend([
        json!({"scheme": "okta-event-hook", "secrets": [{"value": SECRET}]}),
        json!({"scheme": "bearer", "secrets": [{"value": SECRET}]}),
        json!({"scheme": "basic", "secrets": [{"value": format!("sever:{SECRET}")}]}),
        json!({"scheme": "static-header", "header": "X-Api-Key", "secrets": [{"value": SECRET}]}),
        json!({"scheme": "aws-sns", "topic_arns": ["arn:aws:sns:eu-central-1:123456789012:alerts"]}),
    ]);
    all
}

/// As the config has them.
pub fn settings(value: &Value) -> VerifySettings {
    serde_json::from_value(value.clone()).expect("settings")
}

/// Judges as a source with these settings does. Nothing is fetched.
pub fn verifier(value: &Value) -> Verifier {
    let nowhere: Arc<dyn Download> = Arc::new(HttpDownload::new().expect("a client"));
    Verifier::with_download(source(), &settings(value), nowhere).expect("a verifier")
}
