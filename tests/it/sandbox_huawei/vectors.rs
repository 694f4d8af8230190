//! Requests that Huawei's own SDK signed, sent as they are: the stand-in builds the same canonical requests, and accepts
//! the same signatures.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use serde_json::Value;
use sever::clock::ManualClock;

use super::store::*;
use super::wire::Draft;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../../fixtures/huawei/signing-vectors.json")).expect("JSON")
}

fn word<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap_or_default()
}

fn draft(vector: &Value) -> Draft {
    let mut draft = Draft::new(word(vector, "method"), word(vector, "request_uri_on_wire")).body(word(vector, "body"));
    for (name, value) in vector["headers"].as_object().expect("headers") {
        let value = value.as_str().expect("text");
        draft = if name.contains('_') { draft.unsigned(name, value) } else { draft.header(name, value) };
    }
    draft
}

/// A store that answers to the vector's host, at its time, and knows its key.
async fn store_for(file: &Value, vector: &Value) -> Store {
    let store = Store::start().await;
    let date = DateTime::strptime("%Y%m%dT%H%M%SZ", draft(vector).get("x-sdk-date")).expect("a date");
    let now = date.to_zoned(TimeZone::UTC).expect("a time").timestamp();
    ManualClock::set_wall(&store.clock, now);
    store.huawei.answer_to(word(vector, "host"));
    let (key, secret) = (word(file, "access_key"), word(file, "secret_key"));
    match vector["headers"]["X-Security-Token"].as_str() {
        None => store.huawei.accept_key(key, secret),
        Some(token) => {
            store.huawei.accept_temporary_key(key, secret, token, now + jiff::SignedDuration::from_secs(1));
        }
    }
    store
}

#[test]
fn the_signatures_of_these_tests_are_those_of_the_vectors() {
    let file = vectors();
    for vector in file["vectors"].as_array().expect("a list") {
        let (id, draft) = (word(vector, "id"), draft(vector));
        assert_eq!(draft.canonical(), word(vector, "canonical_request"), "{id}");
        assert_eq!(draft.string_to_sign(), word(vector, "string_to_sign"), "{id}");
        let authorization = draft.authorization(word(&file, "access_key"), word(&file, "secret_key"));
        assert_eq!(authorization, word(vector, "authorization"), "{id}");
    }
}

#[tokio::test]
async fn every_vector_is_accepted() {
    let file = vectors();
    let list = file["vectors"].as_array().expect("a list");
    assert_eq!(list.len(), 7);
    for vector in list {
        let store = store_for(&file, vector).await;
        let reply = draft(vector).send(&store.huawei.url(), Some(word(vector, "authorization"))).await;
        let reply = reply.expect("an answer");
        // What comes after the signature: the store is another one, and the made-up query names no parameters.
        assert!(["IIC.404", "IIC.400"].contains(&reply.code().as_str()), "{}: {}", word(vector, "id"), reply.text);
    }
}

#[tokio::test]
async fn a_forged_signature_of_every_vector_is_refused_with_the_canonical_request() {
    let file = vectors();
    for vector in file["vectors"].as_array().expect("a list") {
        let store = store_for(&file, vector).await;
        let right = word(vector, "signature");
        let forged = word(vector, "authorization").replace(right, &right.chars().rev().collect::<String>());
        let reply = draft(vector).send(&store.huawei.url(), Some(&forged)).await.expect("an answer");
        let shown = word(vector, "canonical_request").replace('\n', "|");
        assert_eq!(reply.outcome(), outcome(401, "APIGW.0301"));
        assert_eq!(
            reply.message(),
            format!("Incorrect IAM authentication information: verify aksk signature fail, canonicalRequest:{shown}")
        );
    }
}

#[tokio::test]
async fn every_part_of_a_vector_is_signed() {
    let file = vectors();
    let vector = &file["vectors"][1];
    let authorization = word(vector, "authorization");
    let right = draft(vector);
    let mut table = vec![
        Draft { method: "PUT".into(), ..right.clone() },
        Draft { path: right.path.replace("333344445555", "333344445556"), ..right.clone() },
        Draft { query: "limit=1".into(), ..right.clone() },
        Draft { body: right.body.replace("0002", "0003"), ..right.clone() },
        right.clone().header("X-Sdk-Date", "20260115T083002Z"),
    ];
    table.extend(["Content-Type", "X-Project-Id", "X-Security-Token"].map(|name| right.clone().header(name, "other")));
    for altered in table {
        let store = store_for(&file, vector).await;
        let reply = altered.send(&store.huawei.url(), Some(authorization)).await.expect("an answer");
        // There is no PUT, and the gateway looks for the API first.
        let code = if altered.method == "PUT" { "APIGW.0101" } else { "APIGW.0301" };
        assert_eq!(reply.code(), code, "{altered:?}");
    }
}
