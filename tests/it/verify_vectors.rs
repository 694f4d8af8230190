//! Published and independently made signatures of every scheme: each gets the verdict that its maker wrote down.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use serde_json::{Value, json};
use sever::domain::{Delivery, HttpRequest};
use sever::verify::{Challenge, Download, DownloadError, Reason, Verifier};

use crate::verify::{at, delivery, settings, source, text};

/// Vectors whose reason differs. Reasons are advisory, verdicts are not.
const OTHER_REASONS: [(&str, Reason); 2] = [
    // The length is judged while decoding.
    ("sw-s-truncated-sig", Reason::MalformedSignature),
    // The signature is judged before the time.
    ("sw-s-timestamp-ms", Reason::SignatureMismatch),
];

/// Run beside the scheme, because no config takes a signature that does not cover the body.
const BESIDE: &str = "rfc9421-s-appendix-b25";

/// Accepted and refused, by scheme; those of twilio, which is none of ours, are left out.
const COUNTS: [(&str, usize, usize); 13] = [
    ("aws-sns", 5, 8),
    ("crowdstrike", 1, 4),
    ("github", 5, 7),
    ("grafana", 3, 5),
    ("hmac-body-base64", 1, 3),
    ("okta-event-hook", 2, 2),
    ("pagerduty", 5, 5),
    ("rfc9421", 3, 7),
    ("slack", 2, 6),
    ("standard-webhooks", 13, 20),
    ("static-authorization", 3, 1),
    ("stripe", 3, 6),
    ("svix", 2, 3),
];

pub(crate) fn vectors() -> Vec<Value> {
    let file: Value = serde_json::from_str(include_str!("../fixtures/signatures/vectors.json")).expect("JSON");
    file["vectors"].as_array().expect("vectors").clone()
}

/// The vector of this name.
pub(crate) fn vector(id: &str) -> Value {
    vectors().into_iter().find(|vector| vector["id"] == id).expect("a vector")
}

#[tokio::test]
async fn every_vector_gets_its_verdict() {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    let mut failures = Vec::new();
    for vector in vectors().iter().filter(|vector| vector["scheme"] != "twilio" && vector["id"] != BESIDE) {
        let count = counts.entry(text(&vector["scheme"]).to_owned()).or_default();
        match text(&vector["expect"]["verdict"]) {
            "accept" => count.0 += 1,
            _ => count.1 += 1,
        }
        failures.extend(failure(vector).await);
    }
    assert_eq!(failures, Vec::<String>::new());
    let zoom = counts.remove("zoom");
    assert_eq!(zoom, Some((2, 2)));
    let counts: Vec<_> = counts.iter().map(|(scheme, (accepted, refused))| (&**scheme, *accepted, *refused)).collect();
    assert_eq!(counts, COUNTS, "vectors were added or lost");
}

async fn failure(vector: &Value) -> Option<String> {
    let id = text(&vector["id"]);
    let found = verdict(vector).await;
    let reason = match OTHER_REASONS.iter().find(|(known, _)| *known == id) {
        Some((_, reason)) => reason.as_str(),
        None => text(&vector["expect"]["reason"]),
    };
    let wanted =
        (text(&vector["expect"]["verdict"]).to_owned(), reason.to_owned(), vector["expect"]["response_json"].clone());
    (found != wanted).then(|| format!("{id}: {found:?} instead of {wanted:?}"))
}

/// Verdict, reason and answer.
async fn verdict(vector: &Value) -> (String, String, Value) {
    let told = |verdict: &str, reason: &str, answer| (verdict.to_owned(), reason.to_owned(), answer);
    let now = at(vector["now"].as_i64().expect("a time"));
    let certificates = Arc::new(Certificates(vector["fixtures"]["certificates"].clone()));
    let verifier =
        Verifier::with_download(source(), &settings(vector_settings(vector)), certificates).expect("a verifier");
    let delivery = vector_delivery(vector);
    if vector["request"]["method"] == "GET" {
        let answer = verifier.answer_get(&delivery.headers).expect("a question").expect("an answer");
        return told("accept", "challenge", answer);
    }
    verifier.prepare(&delivery, now).await;
    let verified = match verifier.verify(delivery, now) {
        Ok(verified) => verified,
        Err(error) => return told("reject", error.reason().as_str(), Value::Null),
    };
    match verified.challenge() {
        None => told("accept", "ok", Value::Null),
        Some(Challenge::Answer(answer)) => told("accept", "challenge", answer.clone()),
        Some(Challenge::Subscribe(_)) => told("accept", "subscription_confirmation", Value::Null),
        Some(Challenge::Unsubscribed) => told("accept", "unsubscribe_confirmation", Value::Null),
    }
}

/// The settings that a vector asks for.
pub(crate) fn vector_settings(vector: &Value) -> Value {
    let config = &vector["config"];
    let mut settings = match text(&vector["scheme"]) {
        "standard-webhooks" | "svix" => {
            json!({"scheme": "standard-webhooks", "header_prefix": config["header_prefix"]})
        }
        "grafana" => json!({"scheme": "grafana", "header": config["signature_header"],
            "timestamp_header": config["timestamp_header"]}),
        "crowdstrike" => json!({"scheme": "crowdstrike"}),
        "hmac-body-base64" => json!({"scheme": "shopify", "header": config["signature_header"]}),
        "static-authorization" => json!({"scheme": config["type"]}),
        "okta-event-hook" => json!({"scheme": "okta-event-hook", "header": config["auth_header"]}),
        "aws-sns" => json!({"scheme": "aws-sns", "topic_arns": config["topic_arns"]}),
        "rfc9421" => json!({"scheme": "rfc9421", "components": config["required_components"]}),
        other => json!({"scheme": other}),
    };
    if let Some(seconds) = config["tolerance_s"].as_u64() {
        settings["tolerance"] = json!(format!("{seconds}s"));
    }
    let secrets = vector["secrets"].as_array().expect("secrets");
    settings["secrets"] = secrets.iter().map(|secret| json!({"value": secret_text(secret)})).collect();
    if vector["scheme"] == "rfc9421" {
        settings["key_ids"] = secrets.iter().map(|secret| secret["id"].clone()).collect();
    }
    settings
}

fn secret_text(secret: &Value) -> String {
    let value = text(&secret["value"]);
    if secret["alg"] == "ed25519" { format!("whpk_{value}") } else { value.to_owned() }
}

pub(crate) fn vector_delivery(vector: &Value) -> Delivery {
    let headers: Vec<_> = vector["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .map(|pair| {
            let name = HeaderName::from_bytes(text(&pair[0]).as_bytes()).expect("a header name");
            (name, HeaderValue::from_str(text(&pair[1])).expect("a header value"))
        })
        .collect();
    let made = delivery(&headers, &STANDARD.decode(text(&vector["body"])).expect("base64"));
    let Some(url) = vector["request"]["url"].as_str() else { return made };
    made.requested(HttpRequest { method: Method::POST, url: Some(url.parse().expect("a URL")) })
}

/// The certificates of a vector, by address.
pub(crate) struct Certificates(pub(crate) Value);

#[async_trait]
impl Download for Certificates {
    async fn get(&self, url: &str) -> Result<Bytes, DownloadError> {
        let pem = self.0[url].as_str().ok_or_else(|| DownloadError("nothing is there".to_owned()))?;
        Ok(Bytes::copy_from_slice(pem.as_bytes()))
    }
}
