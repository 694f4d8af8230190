//! HTTP Message Signatures that are right in themselves, and yet not enough.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderName, HeaderValue};
use serde_json::{Value, json};
use sever::verify::Reason;
use sha2::{Digest, Sha256};

use crate::verify::{NOW, at, delivery, verifier};

const BODY: &[u8] = b"{}";
const COVERED: &str = r#"("@method" "@authority" "@path" "content-digest")"#;

fn settings() -> Value {
    let public = STANDARD.encode([7; 32]);
    json!({"scheme": "rfc9421", "key_ids": ["siem", "siem", "other"], "secrets": [
        {"value": STANDARD.encode("first")}, {"value": STANDARD.encode("second")}, {"value": format!("whpk_{public}")}]})
}

fn digest() -> String {
    format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(BODY)))
}

/// The signature of these parameters by this key. The components are always those of [`COVERED`], in its order.
fn signature(key: &str, parameters: &str) -> String {
    let base = format!(
        "\"@method\": POST\n\"@authority\": hooks.example.com\n\"@path\": /v1/alerts/edr\n\"content-digest\": {}\n\
         \"@signature-params\": {parameters}",
        digest()
    );
    let mut mac = Hmac::<Sha256>::new_from_slice(key.as_bytes()).expect("a key");
    mac.update(base.as_bytes());
    STANDARD.encode(mac.finalize().into_bytes())
}

/// What is said of these two headers.
fn reason(input: &str, signature: &str, second: i64) -> Option<Reason> {
    let header = |name: &'static str, value: &str| {
        (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
    };
    let headers =
        [header("content-digest", &digest()), header("signature-input", input), header("signature", signature)];
    verifier(settings()).verify(delivery(&headers, BODY), at(second)).err().map(|error| error.reason())
}

/// What is said of a right signature with these parameters.
fn of_parameters(parameters: &str, second: i64) -> Option<Reason> {
    let parameters = format!("{COVERED}{parameters}");
    reason(&format!("a={parameters}"), &format!("a=:{}:", signature("first", &parameters)), second)
}

#[test]
fn parameters_decide_before_the_signature_does() {
    let created = format!(";created={NOW}");
    let right = format!(r#"{created};keyid="siem""#);
    for (parameters, second, wanted) in [
        (right.clone(), NOW, None),
        (format!(r#"{right};alg="hmac-sha256";nonce="n";tag="t""#), NOW, None),
        (format!(r#"{right};alg="ed25519""#), NOW, Some(Reason::UnsupportedAlgorithm)),
        (format!(r#"{right};alg="none""#), NOW, Some(Reason::UnsupportedAlgorithm)),
        (format!(r#"{created};keyid="unknown""#), NOW, Some(Reason::UnknownKey)),
        (created.clone(), NOW, Some(Reason::UnknownKey)),
        (format!(r#"{created};keyid="other""#), NOW, Some(Reason::SignatureMismatch)),
        (r#";keyid="siem""#.to_owned(), NOW, Some(Reason::MissingHeader)),
        (format!("{right};expires={}", NOW + 30), NOW + 30, None),
        (format!("{right};expires={}", NOW + 30), NOW + 31, Some(Reason::TimestampStale)),
        (right.clone(), NOW + 301, Some(Reason::TimestampStale)),
        (right, NOW - 301, Some(Reason::TimestampFuture)),
    ] {
        assert_eq!(of_parameters(&parameters, second), wanted, "{parameters}");
    }
}

#[test]
fn several_keys_of_one_id_are_tried() {
    let parameters = format!(r#"{COVERED};created={NOW};keyid="siem""#);
    for (key, wanted) in [("first", None), ("second", None), ("third", Some(Reason::SignatureMismatch))] {
        let found = reason(&format!("a={parameters}"), &format!("a=:{}:", signature(key, &parameters)), NOW);
        assert_eq!(found, wanted, "{key}");
    }
}

#[test]
fn the_signature_of_a_proxy_may_stand_beside_and_does_not_stand_in() {
    let right = format!(r#"{COVERED};created={NOW};keyid="siem""#);
    let proxy = format!(r#"("@method");created={NOW};keyid="proxy""#);
    let (mac, other) = (signature("first", &right), STANDARD.encode([0; 32]));
    let both = format!("p={proxy}, a={right}");
    assert_eq!(reason(&both, &format!("p=:{other}:, a=:{mac}:"), NOW), None);
    assert_eq!(reason(&both, &format!("a=:{mac}:,p=:{other}:"), NOW), None, "in any order");
    assert_eq!(
        reason(&both, &format!("p=:{mac}:, a=:{other}:"), NOW),
        Some(Reason::ComponentMissing),
        "the first says why"
    );
    for (input, signature) in [
        (both.clone(), format!("a=:{mac}:")),
        (format!("a={right}"), format!("p=:{other}:, a=:{mac}:")),
        (format!("a={right}"), format!("b=:{mac}:")),
        (format!("a={right}, a={right}"), format!("a=:{mac}:")),
    ] {
        assert_eq!(reason(&input, &signature, NOW), Some(Reason::MalformedHeader), "{input} {signature}");
    }
}

#[test]
fn a_right_signature_that_covers_less_is_not_enough() {
    let less = format!(r#"("@method" "@authority" "content-digest");created={NOW};keyid="siem""#);
    assert_eq!(reason(&format!("a={less}"), "a=:AAAA:", NOW), Some(Reason::ComponentMissing));
    let absent = format!(r#"("@method" "@authority" "@path" "content-digest" "x-absent");created={NOW};keyid="siem""#);
    assert_eq!(reason(&format!("a={absent}"), "a=:AAAA:", NOW), Some(Reason::ComponentMissing));
}

#[test]
fn a_list_of_components_that_no_signer_writes_is_not_worked_through() {
    let of = |others: usize| {
        let names: String = (0..others).map(|number| format!(" \"x-{number}\"")).collect();
        let input = format!(r#"a=("@method" "@authority" "@path" "content-digest"{names});created={NOW};keyid="siem""#);
        reason(&input, "a=:AAAA:", NOW)
    };
    assert_eq!(of(60), Some(Reason::ComponentMissing), "64 in all");
    assert_eq!(of(61), Some(Reason::MalformedHeader));
}

#[test]
fn a_delivery_without_one_of_its_two_signatures_is_the_same_delivery() {
    let parameters = |more: &str| format!(r#"{COVERED};created={NOW};keyid="siem"{more}"#);
    let (one, other) = (parameters(""), parameters(r#";nonce="n""#));
    let (mac, other_mac) = (signature("first", &one), signature("second", &other));
    let guard = |input: &str, signature: &str| {
        let header = |name: &'static str, value: &str| {
            (HeaderName::from_static(name), HeaderValue::from_str(value).expect("a value"))
        };
        let headers =
            [header("content-digest", &digest()), header("signature-input", input), header("signature", signature)];
        verifier(settings()).verify(delivery(&headers, BODY), at(NOW)).expect("authentic").guard()
    };
    let both = guard(&format!("a={one}, b={other}"), &format!("a=:{mac}:, b=:{other_mac}:"));
    assert_eq!(guard(&format!("a={one}"), &format!("a=:{mac}:")), both);
    assert_eq!(guard(&format!("b={other}"), &format!("b=:{other_mac}:")), both);
}
