//! Published and independently made signatures, and what a verified delivery tells.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;
use serde_json::{Value, json};
use sever::domain::{Delivery, HttpRequest, SourceName};
use sever::verify::{Reason, SignatureScheme, Signer, Verified, Verifier, VerifyError, VerifySettings};

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
    let request = HttpRequest { method: Method::POST, url: Some(url()) };
    Delivery::new(source(), map, body.to_vec().into(), at(NOW)).requested(request)
}

/// Where deliveries of these tests go.
pub(crate) fn url() -> Uri {
    Uri::from_static("https://hooks.example.com/v1/alerts/edr")
}

pub(crate) fn signed(value: Value, id: &str, second: i64, body: &[u8]) -> Vec<(HeaderName, HeaderValue)> {
    signer(value).sign(id, at(second), body).expect("a signature")
}

pub(crate) fn signer(value: Value) -> Signer {
    Signer::new(&settings(value)).expect("a signer").posting_to(url())
}

/// One example of each scheme that signs by a shared secret, and of each way in which one can be set, with these secrets.
pub(crate) fn examples(secrets: &Value) -> Vec<Value> {
    let with = |mut settings: Value| {
        settings["secrets"] = secrets.clone();
        settings
    };
    let ids: Value = secrets.as_array().expect("secrets").iter().map(|_| "the key").collect();
    vec![
        with(json!({"scheme": "standard-webhooks"})),
        with(json!({"scheme": "standard-webhooks", "header_prefix": "svix", "tolerance": "24h"})),
        with(json!({"scheme": "github"})),
        with(json!({"scheme": "slack"})),
        with(json!({"scheme": "zoom"})),
        with(json!({"scheme": "stripe"})),
        with(json!({"scheme": "pagerduty"})),
        with(json!({"scheme": "grafana"})),
        with(json!({"scheme": "grafana", "header": "X-Sig", "timestamp_header": "X-Grafana-Alerting-Timestamp"})),
        with(json!({"scheme": "shopify"})),
        with(json!({"scheme": "crowdstrike"})),
        with(json!({"scheme": "crowdstrike", "signed": "{timestamp}{body}", "encoding": "hex"})),
        with(json!({"scheme": "rfc9421", "key_ids": ids})),
        with(json!({"scheme": "rfc9421", "key_ids": ids, "components": ["content-digest", "@target-uri"]})),
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

/// One example of each scheme that shows a secret and signs nothing, with these secrets.
pub(crate) fn fixed_examples(secrets: &Value) -> Vec<Value> {
    let users = secrets.as_array().expect("secrets").iter();
    let users: Value = users.map(|it| json!({"value": format!("sever:{}", text(&it["value"]))})).collect();
    vec![
        json!({"scheme": "okta-event-hook", "secrets": secrets}),
        json!({"scheme": "bearer", "secrets": secrets}),
        json!({"scheme": "basic", "secrets": users}),
        json!({"scheme": "static-header", "header": "X-Api-Key", "secrets": secrets}),
    ]
}

/// Both.
pub(crate) fn all_examples(secrets: &Value) -> Vec<Value> {
    [examples(secrets), fixed_examples(secrets)].concat()
}

/// Three secrets that every scheme can use.
pub(crate) fn secrets() -> Value {
    let coded = ["first secret of 24 bytes", "second one, 24 bytes too", "and the third as long .."];
    coded.map(|text| json!({"value": format!("whsec_{}", STANDARD.encode(text))})).into_iter().collect()
}

pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

#[test]
fn what_is_signed_with_any_of_the_secrets_is_accepted() {
    let all = secrets();
    for only in all.as_array().expect("secrets") {
        for (sender, receiver) in all_examples(&json!([only])).into_iter().zip(all_examples(&all)) {
            let headers = signed(sender.clone(), "msg_1", NOW, b"{}");
            let verdict = verifier(receiver).verify(delivery(&headers, b"{}"), at(NOW));
            assert!(verdict.is_ok(), "{sender}: {verdict:?}");
        }
    }
}

#[test]
fn each_header_that_matters_has_to_be_there_exactly_once() {
    for example in all_examples(&secrets()) {
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
    for example in all_examples(&secrets()) {
        assert_eq!(signer(example.clone()).sign("msg_1", at(NOW), b"").err(), Some(Reason::EmptyBody));
        let error = verifier(example).verify(delivery(&[], b""), at(NOW)).expect_err("nothing is signed");
        assert_eq!(error.reason(), Reason::EmptyBody);
    }
}

/// What is said of a list made from the right one.
fn listed(scheme: &str, change: impl Fn(&str) -> String) -> Option<Reason> {
    let example = json!({"scheme": scheme, "secrets": secrets()});
    let mut headers = signed(example.clone(), "", NOW, b"{}");
    let list = change(headers[0].1.to_str().expect("ASCII"));
    headers[0].1 = HeaderValue::from_str(&list).expect("a value");
    verifier(example).verify(delivery(&headers, b"{}"), at(NOW)).err().map(|error| error.reason())
}

#[test]
fn lists_of_signatures_are_read_as_their_senders_write_them() {
    let zeros = "0".repeat(64);
    assert_eq!(listed("pagerduty", |list| format!("v2=abc, v1={zeros} , {list}")), None);
    assert_eq!(listed("pagerduty", |list| list.replace("v1=", "v2=")), Some(Reason::UnknownVersion));
    assert_eq!(listed("pagerduty", |_| "v1=abc,v1=".to_owned()), Some(Reason::MalformedSignature));
    assert_eq!(listed("stripe", |list| format!("v0=abc,nonsense,{list},v1={zeros},v1=abc")), None);
    assert_eq!(listed("stripe", |list| format!("{list},t=1")), Some(Reason::MalformedHeader), "of two, which?");
    assert_eq!(listed("stripe", |list| list.replace(",v1", ", v1")), Some(Reason::UnknownVersion));
    assert_eq!(listed("stripe", str::to_uppercase), Some(Reason::MalformedHeader));
    assert_eq!(listed("stripe", |list| list.replace("t=", "t=+")), Some(Reason::MalformedTimestamp));
}

#[test]
fn a_list_of_more_signatures_than_a_sender_needs_is_refused() {
    let example = json!({"scheme": "standard-webhooks", "secrets": secrets()});
    let of = |others: usize, other: &str| {
        let mut headers = signed(example.clone(), "msg_1", NOW, b"{}");
        let list = format!("{}{}", format!("{other} ").repeat(others), headers[2].1.to_str().expect("ASCII"));
        headers[2].1 = HeaderValue::from_str(&list).expect("a value");
        verifier(example.clone()).verify(delivery(&headers, b"{}"), at(NOW)).err().map(|error| error.reason())
    };
    let ed25519 = format!("v1a,{}==", "A".repeat(86));
    for other in ["v9,abc", "", &ed25519] {
        assert_eq!(of(7, other), None, "{other:?}");
        assert_eq!(of(8, other), Some(Reason::MalformedHeader), "{other:?}");
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
    for example in all_examples(&secrets()) {
        let timed = match text(&example["scheme"]) {
            "github" | "pagerduty" | "shopify" | "okta-event-hook" | "bearer" | "basic" | "static-header" => false,
            "hmac" | "grafana" => example.get("timestamp_header").is_some(),
            _ => true,
        };
        let long = example.get("tolerance").is_some();
        let wanted = timed.then_some(if long { 86_400 } else { 300 });
        assert_eq!(verifier(example.clone()).window().map(|window| window.as_secs()), wanted, "{example}");
    }
    let sns = json!({"scheme": "aws-sns", "topic_arns": ["arn:aws:sns:us-east-1:111122223333:security-findings"]});
    assert_eq!(verifier(sns).window().map(|window| window.as_secs()), Some(3600));
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
    let sns = json!({"scheme": "aws-sns", "topic_arns": ["arn:aws:sns:us-east-1:111122223333:security-findings"]});
    for example in all_examples(&secrets()).into_iter().chain([sns]) {
        let verifier = verifier(example);
        let accepts = |kind: &'static str| verifier.accepts_content_type(Some(&HeaderValue::from_static(kind)));
        assert!(verifier.accepts_content_type(None));
        assert!(accepts("application/json; charset=utf-8"));
        assert!(!accepts("application/x-www-form-urlencoded"));
        assert!(!accepts("text/html"));
        let is_sns = verifier.scheme() == SignatureScheme::AwsSns;
        assert_eq!(accepts("text/plain; charset=UTF-8"), is_sns);
        assert_eq!(verifier.accepts_get(), verifier.scheme() == SignatureScheme::OktaEventHook);
    }
}

#[test]
fn nobody_signs_with_a_public_key_or_for_amazon() {
    let public = json!({"value": format!("whpk_{}", STANDARD.encode([7; 32]))});
    for value in [
        json!({"scheme": "standard-webhooks", "secrets": [public]}),
        json!({"scheme": "rfc9421", "secrets": [public], "key_ids": ["a"]}),
        json!({"scheme": "aws-sns", "topic_arns": ["arn:aws:sns:us-east-1:111122223333:security-findings"]}),
    ] {
        assert_eq!(Signer::new(&settings(value.clone())).expect_err("nothing to sign with").len(), 1, "{value}");
    }
}

#[test]
fn a_public_key_is_never_the_key_of_an_hmac() {
    let public = json!([{"value": format!("whpk_{}", STANDARD.encode([7; 32]))}]);
    for example in examples(&public) {
        let made = Verifier::new(source(), &settings(example.clone()));
        let takes = ["standard-webhooks", "rfc9421"].contains(&text(&example["scheme"]));
        assert_eq!(made.is_ok(), takes, "{example}");
    }
}

#[test]
fn an_address_that_is_signed_cannot_be_left_out() {
    let example = json!({"scheme": "rfc9421", "secrets": [secrets()[0]], "key_ids": ["a"]});
    let aimless = Signer::new(&settings(example.clone())).expect("a signer");
    assert_eq!(aimless.sign("", at(NOW), b"{}").err(), Some(Reason::ComponentMissing));
    let headers = signed(example.clone(), "", NOW, b"{}");
    let from_queue = Delivery { request: None, ..delivery(&headers, b"{}") };
    let error = verifier(example.clone()).verify(from_queue, at(NOW)).expect_err("a queue has no address");
    assert_eq!(error.reason(), Reason::ComponentMissing);
    for (method, url) in [
        (Method::PUT, "https://hooks.example.com/v1/alerts/edr"),
        (Method::POST, "https://hooks.example.com/v1/alerts/siem"),
        (Method::POST, "https://other.example.com/v1/alerts/edr"),
    ] {
        let request = Some(HttpRequest { method, url: Some(Uri::from_static(url)) });
        let elsewhere = Delivery { request, ..delivery(&headers, b"{}") };
        let error = verifier(example.clone()).verify(elsewhere, at(NOW)).expect_err("sent elsewhere");
        assert_eq!(error.reason(), Reason::SignatureMismatch, "{url}");
    }
}
