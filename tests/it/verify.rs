//! Published and independently made signatures, and what a verified delivery tells.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};
use sever::domain::{Delivery, SourceName};
use sever::verify::{Reason, Signer, Verified, Verifier, VerifyError, VerifySettings};

/// The instant at which these tests sign and verify.
pub(crate) const NOW: i64 = 1_790_000_000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

pub(crate) fn source() -> SourceName {
    "edr".parse().expect("a name")
}

pub(crate) fn settings(value: Value) -> VerifySettings {
    serde_json::from_value(value).expect("settings")
}

pub(crate) fn verifier(value: Value) -> Verifier {
    Verifier::new(source(), &settings(value)).expect("a verifier")
}

pub(crate) fn delivery(headers: &[(HeaderName, HeaderValue)], body: &[u8]) -> Delivery {
    let mut map = HeaderMap::new();
    for (name, value) in headers {
        map.append(name, value.clone());
    }
    Delivery { source: source(), headers: map, body: body.to_vec().into(), received_at: at(NOW) }
}

pub(crate) fn signed(value: Value, id: &str, second: i64, body: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    let signer = Signer::new(&settings(value)).expect("a signer");
    signer.sign(id, at(second), body).expect("a signature")
}

/// One example of each scheme, and of each way in which `hmac` can be set, with these secrets.
pub(crate) fn examples(secrets: &Value) -> Vec<Value> {
    let with = |mut settings: Value| {
        settings["secrets"] = secrets.clone();
        settings
    };
    vec![
        with(json!({"scheme": "standard-webhooks"})),
        with(json!({"scheme": "standard-webhooks", "header_prefix": "svix", "tolerance": "24h"})),
        with(json!({"scheme": "github"})),
        with(json!({"scheme": "hmac", "header": "X-Sig"})),
        with(json!({"scheme": "hmac", "header": "X-Sig", "algorithm": "sha512", "encoding": "base64"})),
        with(json!({"scheme": "hmac", "header": "X-Sig", "prefix": "v0=", "signed": "v0:{timestamp}:{body}",
            "timestamp_header": "X-Time"})),
        with(json!({"scheme": "hmac", "header": "X-Sig", "signed": "{id}.{timestamp}.{body}", "id_header": "X-Id",
            "timestamp_header": "X-Time", "timestamp_format": "unix_ms", "algorithm": "sha512"})),
        with(json!({"scheme": "hmac", "header": "X-Sig", "signed": "{body}{timestamp}", "encoding": "base64",
            "timestamp_header": "X-Time", "timestamp_format": "rfc3339"})),
        with(json!({"scheme": "hmac", "header": "X-Sig", "signed": "{timestamp}{body}", "timestamp_header": "X-Time"})),
    ]
}

/// Three secrets that every scheme can use.
pub(crate) fn secrets() -> Value {
    let coded = ["first secret of 24 bytes", "second one, 24 bytes too", "and the third as long .."];
    coded.map(|text| json!({"value": format!("whsec_{}", STANDARD.encode(text))})).into_iter().collect()
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

/// The settings that a vector asks for; `None` where they need what cannot be set yet.
fn vector_settings(vector: &Value) -> Option<Value> {
    let config = &vector["config"];
    let slack = |name: &str| {
        json!({"scheme": "hmac", "header": format!("x-{name}-signature"), "prefix": "v0=",
            "signed": "v0:{timestamp}:{body}", "timestamp_header": format!("x-{name}-request-timestamp")})
    };
    let mut settings = match text(&vector["scheme"]) {
        "standard-webhooks" | "svix" => {
            json!({"scheme": "standard-webhooks", "header_prefix": config["header_prefix"]})
        }
        "github" => json!({"scheme": "github"}),
        "slack" => slack("slack"),
        "zoom" => slack("zm"),
        "grafana" if config["timestamp_header"].is_null() => {
            json!({"scheme": "hmac", "header": config["signature_header"]})
        }
        "grafana" => json!({"scheme": "hmac", "header": config["signature_header"], "signed": "{timestamp}:{body}",
            "timestamp_header": config["timestamp_header"]}),
        "crowdstrike" => json!({"scheme": "hmac", "header": config["signature_header"], "encoding": "base64",
            "signed": "{body}{timestamp}", "timestamp_header": config["timestamp_header"],
            "timestamp_format": config["timestamp_format"]}),
        "hmac-body-base64" => json!({"scheme": "hmac", "header": config["signature_header"], "encoding": "base64"}),
        _ => return None,
    };
    if let Some(seconds) = config["tolerance_s"].as_u64() {
        settings["tolerance"] = json!(format!("{seconds}s"));
    }
    let secrets = vector["secrets"].as_array().expect("secrets");
    settings["secrets"] = secrets.iter().map(|secret| json!({"value": secret["value"]})).collect();
    Some(settings)
}

/// Whether a vector is about ed25519 signatures.
fn is_asymmetric(vector: &Value) -> bool {
    let secrets = vector["secrets"].as_array().expect("secrets");
    vector["config"]["accept"] == json!(["v1a"]) || secrets.iter().any(|secret| secret["encoding"] == "whpk")
}

fn vector_delivery(vector: &Value) -> Delivery {
    let headers: Vec<_> = vector["headers"]
        .as_array()
        .expect("headers")
        .iter()
        .map(|pair| {
            let name = HeaderName::from_bytes(text(&pair[0]).as_bytes()).expect("a header name");
            (name, HeaderValue::from_str(text(&pair[1])).expect("a header value"))
        })
        .collect();
    delivery(&headers, &STANDARD.decode(text(&vector["body"])).expect("base64"))
}

/// Vectors whose reason differs. Reasons are advisory, verdicts are not.
const OTHER_REASONS: [(&str, Reason); 2] = [
    // The length is judged while decoding.
    ("sw-s-truncated-sig", Reason::MalformedSignature),
    // The signature is judged before the time.
    ("sw-s-timestamp-ms", Reason::SignatureMismatch),
];

#[test]
fn every_vector_gets_its_verdict() {
    let file: Value = serde_json::from_str(include_str!("../fixtures/signatures/vectors.json")).expect("JSON");
    let (mut run, mut asymmetric, mut other_schemes) = (0, 0, 0);
    let mut failures = Vec::new();
    for vector in file["vectors"].as_array().expect("vectors") {
        let Some(settings) = vector_settings(vector) else {
            other_schemes += 1;
            continue;
        };
        if is_asymmetric(vector) {
            asymmetric += 1;
            continue;
        }
        run += 1;
        failures.extend(failure(vector, settings));
    }
    assert_eq!(failures, Vec::<String>::new());
    assert_eq!((run, asymmetric, other_schemes), (71, 8, 54), "vectors were added or lost");
}

fn failure(vector: &Value, settings: Value) -> Option<String> {
    let id = text(&vector["id"]);
    let now = at(vector["now"].as_i64().expect("a time"));
    let found = match verifier(settings).verify(vector_delivery(vector), now) {
        Ok(_) => ("accept", "ok"),
        Err(error) => ("reject", error.reason().as_str()),
    };
    let reason = match OTHER_REASONS.iter().find(|(known, _)| *known == id) {
        Some((_, reason)) => reason.as_str(),
        None if vector["expect"]["reason"] == "challenge" => "ok",
        None => text(&vector["expect"]["reason"]),
    };
    let wanted = (text(&vector["expect"]["verdict"]), reason);
    (found != wanted).then(|| format!("{id}: {found:?} instead of {wanted:?}"))
}

#[test]
fn what_is_signed_with_any_of_the_secrets_is_accepted() {
    let all = secrets();
    for only in all.as_array().expect("secrets") {
        for (sender, receiver) in examples(&json!([only])).into_iter().zip(examples(&all)) {
            let headers = signed(sender.clone(), "msg_1", NOW, b"{}");
            let verdict = verifier(receiver).verify(delivery(&headers, b"{}"), at(NOW));
            assert!(verdict.is_ok(), "{sender}: {verdict:?}");
        }
    }
}

#[test]
fn each_header_that_matters_has_to_be_there_exactly_once() {
    for example in examples(&secrets()) {
        let headers = signed(example.clone(), "msg_1", NOW, b"{}");
        let reason = |headers: &[_]| {
            verifier(example.clone()).verify(delivery(headers, b"{}"), at(NOW)).map_err(|error| error.reason()).err()
        };
        for index in 0..headers.len() {
            let mut fewer = headers.clone();
            fewer.remove(index);
            assert_eq!(reason(&fewer), Some(Reason::MissingHeader), "{example}");
            let mut empty = headers.clone();
            empty[index].1 = HeaderValue::from_static("");
            assert_eq!(reason(&empty), Some(Reason::MissingHeader), "{example}");
            let mut twice = headers.clone();
            twice.push(headers[index].clone());
            assert_eq!(reason(&twice), Some(Reason::DuplicateHeader), "{example}");
        }
    }
}

#[test]
fn an_empty_body_is_refused_and_never_signed() {
    for example in examples(&secrets()) {
        let signer = Signer::new(&settings(example.clone())).expect("a signer");
        assert_eq!(signer.sign("msg_1", at(NOW), b"").err(), Some(Reason::EmptyBody));
        let error = verifier(example).verify(delivery(&[], b""), at(NOW)).expect_err("nothing is signed");
        assert_eq!(error.reason(), Reason::EmptyBody);
    }
}

#[test]
fn ids_that_could_move_a_border_are_refused() {
    let example = json!({"scheme": "standard-webhooks", "secrets": secrets()});
    let signer = Signer::new(&settings(example.clone())).expect("a signer");
    for id in ["", "a.b", "a b", "ä", "a\n", &"a".repeat(257)] {
        assert_eq!(signer.sign(id, at(NOW), b"{}").err(), Some(Reason::MalformedId), "{id:?}");
    }
    let mut headers = signed(example.clone(), "msg_1", NOW, b"{}");
    headers[0].1 = HeaderValue::from_static("msg.1");
    let error = verifier(example).verify(delivery(&headers, b"{}"), at(NOW)).expect_err("a full stop");
    assert_eq!(error.reason(), Reason::MalformedId);
}

#[test]
fn a_time_without_separator_cannot_borrow_digits_of_the_body() {
    let example = json!({"scheme": "hmac", "header": "x", "signed": "{timestamp}{body}", "timestamp_header": "t",
        "secrets": secrets()});
    let signature = signed(example.clone(), "", NOW, b"1{}").remove(0);
    // The same bytes in the same order, cut elsewhere: the MAC is right.
    for (time, body) in [("17900000001", &b"{}"[..]), ("179000000", b"01{}")] {
        let time = (HeaderName::from_static("t"), HeaderValue::from_static(time));
        let verdict = verifier(example.clone()).verify(delivery(&[signature.clone(), time], body), at(NOW));
        assert!(matches!(verdict, Err(VerifyError::Forged(Reason::MalformedTimestamp))), "{verdict:?}");
    }
}

#[test]
fn a_stale_delivery_is_authentic_and_can_be_kept() {
    let example = json!({"scheme": "standard-webhooks", "secrets": secrets()});
    let window = verifier(example.clone()).window().expect("a time is signed").as_secs().cast_signed();
    for (second, reason) in [(NOW - window - 1, Reason::TimestampStale), (NOW + window + 1, Reason::TimestampFuture)] {
        let headers = signed(example.clone(), "msg_1", second, b"{}");
        match verifier(example.clone()).verify(delivery(&headers, b"{}"), at(NOW)) {
            Err(VerifyError::Stale { reason: found, verified }) => {
                assert_eq!((found, verified.signed_id(), &verified.body()[..]), (reason, Some("msg_1"), &b"{}"[..]));
            }
            other => panic!("{other:?}"),
        }
        let error = verifier(example.clone()).verify(delivery(&headers, b"{ }"), at(NOW)).expect_err("altered");
        assert!(matches!(error, VerifyError::Forged(Reason::SignatureMismatch)), "{error:?}");
    }
    for second in [NOW - window, NOW + window] {
        let headers = signed(example.clone(), "msg_1", second, b"{}");
        assert!(verifier(example.clone()).verify(delivery(&headers, b"{}"), at(NOW)).is_ok());
    }
}

#[test]
fn only_a_signed_time_makes_a_window() {
    let windows = examples(&secrets()).into_iter().map(|example| verifier(example).window().map(|w| w.as_secs()));
    let windows: Vec<_> = windows.collect();
    let (five_minutes, day) = (Some(300), Some(86_400));
    let timed = [five_minutes; 4];
    assert_eq!(windows, [&[five_minutes, day, None, None, None], &timed[..]].concat());
}

fn verified(example: &Value, id: &str, second: i64, body: &[u8]) -> Verified {
    let headers = signed(example.clone(), id, second, body);
    verifier(example.clone()).verify(delivery(&headers, body), at(second)).expect("authentic")
}

#[test]
fn the_guard_knows_a_retry_from_another_delivery() {
    let [with_id, time_only, body_only] = [
        json!({"scheme": "standard-webhooks", "secrets": secrets()}),
        json!({"scheme": "hmac", "header": "x", "signed": "{timestamp}.{body}", "timestamp_header": "t",
            "secrets": secrets()}),
        json!({"scheme": "github", "secrets": secrets()}),
    ];
    let first = verified(&with_id, "msg_1", NOW, b"{}").guard();
    assert_eq!(verified(&with_id, "msg_1", NOW + 60, b"{}").guard(), first, "the time of a retry is another");
    let other_body = verified(&with_id, "msg_1", NOW, b"[]").guard();
    assert_eq!(other_body[..16], first[..16]);
    assert_ne!(other_body[16..], first[16..]);
    assert_ne!(verified(&with_id, "msg_2", NOW, b"{}").guard()[..16], first[..16]);

    let first = verified(&time_only, "", NOW, b"{}").guard();
    assert_eq!(verified(&time_only, "", NOW, b"{}").guard(), first);
    assert_ne!(verified(&time_only, "", NOW + 1, b"{}").guard()[..16], first[..16], "the time is all there is");

    let first = verified(&body_only, "", NOW, b"{}").guard();
    assert_eq!(verified(&body_only, "", NOW + 1, b"{}").guard(), first);
    assert_ne!(verified(&body_only, "", NOW, b"[]").guard()[..16], first[..16]);

    let elsewhere = Verifier::new("siem".parse().expect("a name"), &settings(body_only.clone())).expect("a verifier");
    let elsewhere = elsewhere.verify(delivery(&signed(body_only, "", NOW, b"{}"), b"{}"), at(NOW)).expect("authentic");
    assert_ne!(elsewhere.guard()[..16], first[..16], "two sources never meet in one guard");
}

#[test]
fn a_verified_delivery_keeps_what_may_be_stored() {
    let example = json!({"scheme": "hmac", "header": "X-Sig", "signed": "{id}.{body}", "id_header": "X-Id",
        "secrets": secrets()});
    let mut headers = signed(example.clone(), "msg_1", NOW, b"{}");
    let extra = [
        ("authorization", "Bearer canary"),
        ("cookie", "canary"),
        ("x-other", "canary"),
        ("content-type", "application/json"),
        ("ce-type", "a"),
    ];
    headers.extend(extra.map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value))));
    let verified = verifier(example).verify(delivery(&headers, b"{}"), at(NOW + 99)).expect("authentic");
    let mut names: Vec<_> = verified.headers().keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["ce-type", "content-type", "x-id"]);
    assert_eq!((verified.source(), verified.received_at()), (&source(), at(NOW)));
    assert_eq!((verified.signed_id(), verified.signed_at()), (Some("msg_1"), None));

    let again =
        Verified::restore(source(), verified.body().clone(), verified.headers().clone(), verified.received_at());
    assert_eq!((again.body(), again.headers()), (verified.body(), verified.headers()));
    assert_eq!((again.source(), again.received_at()), (&source(), at(NOW)));
    assert_eq!((again.signed_id(), again.signed_at()), (None, None));
}

#[test]
fn only_json_comes_in_and_a_forgotten_type_is_forgiven() {
    for example in examples(&secrets()) {
        let verifier = verifier(example);
        assert!(verifier.accepts_content_type(None));
        assert!(verifier.accepts_content_type(Some(&HeaderValue::from_static("application/json; charset=utf-8"))));
        assert!(!verifier.accepts_content_type(Some(&HeaderValue::from_static("application/x-www-form-urlencoded"))));
    }
}
