//! Signatures made by the vendors' own libraries, at an hour of their choice, are taken as they are.

use std::process::Command;

use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};

use crate::service::python;
use crate::verify::{at, delivery, settings, source, text};

/// Prints the headers that each library makes for the body, and the time that it took.
const SENDERS: &str = r#"
import datetime, json, sys, time
import slack_sdk.signature, standardwebhooks.webhooks, stripe, svix
body, coded, plain = sys.argv[1:]
now = int(time.time())
moment = datetime.datetime.fromtimestamp(now, tz=datetime.timezone.utc)
print(json.dumps({"now": now, "headers": {
    "standard-webhooks": {"webhook-id": "msg_1", "webhook-timestamp": str(now),
        "webhook-signature": standardwebhooks.webhooks.Webhook(coded).sign("msg_1", moment, body)},
    "svix": {"svix-id": "msg_1", "svix-timestamp": str(now),
        "svix-signature": svix.Webhook(coded).sign("msg_1", moment, body)},
    "stripe": {"stripe-signature": stripe.WebhookSignature.generate_signature_header(body, plain, timestamp=now)},
    "slack": {"x-slack-request-timestamp": str(now),
        "x-slack-signature": slack_sdk.signature.SignatureVerifier(plain).generate_signature(timestamp=str(now), body=body)},
}}))
"#;

const CODED: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
const PLAIN: &str = "whsec_3c2c415c6a43bf1e9116d853a1c7d199";

#[test]
fn what_the_vendors_libraries_sign_is_accepted() {
    let body = r#"{"id":"edr-1","reason":"Zoë — ⚠"}"#;
    let made = Command::new(python()).args(["-c", SENDERS, body, CODED, PLAIN]).output().expect("it runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    let made: Value = serde_json::from_slice(&made.stdout).expect("JSON");
    let now = at(made["now"].as_i64().expect("a time"));
    for (name, value) in [
        ("standard-webhooks", json!({"scheme": "standard-webhooks", "secrets": [{"value": CODED}]})),
        ("svix", json!({"scheme": "standard-webhooks", "header_prefix": "svix", "secrets": [{"value": CODED}]})),
        ("stripe", json!({"scheme": "stripe", "secrets": [{"value": PLAIN}]})),
        ("slack", json!({"scheme": "slack", "secrets": [{"value": PLAIN}]})),
    ] {
        let headers: Vec<_> = made["headers"][name]
            .as_object()
            .expect("headers")
            .iter()
            .map(|(name, value)| {
                let name = HeaderName::from_bytes(name.as_bytes()).expect("a name");
                (name, HeaderValue::from_str(text(value)).expect("a value"))
            })
            .collect();
        let verifier = sever::verify::Verifier::new(source(), &settings(value)).expect("a verifier");
        let verdict = verifier.verify(delivery(&headers, body.as_bytes()), now);
        assert!(verdict.is_ok(), "{name}: {verdict:?}");
        let altered = verifier.verify(delivery(&headers, body.replace("edr-1", "edr-2").as_bytes()), now);
        assert!(altered.is_err(), "{name}");
    }
}
