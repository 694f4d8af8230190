//! Sessions that end because an operator says so: under the same guardrails, once per request, and under their name.

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};

use super::{Answer, OPERATOR, VIEWER, World, request};

async fn ask(world: &World, key: Option<&str>, body: &Value) -> Answer {
    let mut request = request(Method::POST, "/v1/revocations", OPERATOR).header("content-type", "application/json");
    if let Some(key) = key {
        request = request.header("idempotency-key", key);
    }
    world.send(request.body(Body::from(body.to_string())).expect("a request")).await
}

fn ana() -> Value {
    json!({"subject": {"email": "ana@example.com"}, "reason": "lost laptop"})
}

#[tokio::test]
async fn an_order_becomes_jobs_under_the_operators_name() {
    let world = World::new();
    let answer = ask(&world, None, &ana()).await;
    assert_eq!(answer.status, 202, "{}", answer.text);
    let receipt = answer.json();
    assert_eq!(receipt["alerts"][0]["jobs"][0]["provider"], "okta");
    let claim = world.claim().await.remove(0);
    assert_eq!((claim.subject.email.as_deref(), claim.severity.as_str()), (Some("ana@example.com"), "critical"));
    assert!(world.audit().await.contains(&("admitted".to_owned(), "operator:oncall".to_owned())));
    let alert = world.get(&format!("/v1/alerts/{}", receipt["alerts"][0]["id"].as_str().expect("an id"))).await.ok();
    assert_eq!((&alert["source"], &alert["reason"]), (&json!("operator"), &json!("lost laptop")));
    let job = receipt["alerts"][0]["jobs"][0]["id"].as_str().expect("an id");
    assert_eq!(world.get(&format!("/v1/jobs/{job}")).await.ok()["rules"], json!(["(an operator)"]));
}

#[tokio::test]
async fn a_key_stands_for_one_request() {
    let world = World::new();
    let first = ask(&world, Some("k-1"), &ana()).await;
    let again = ask(&world, Some("k-1"), &ana()).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 200));
    assert_eq!(again.json()["status"], "duplicate");
    assert_eq!(again.json()["alerts"][0]["jobs"][0]["id"], first.json()["alerts"][0]["jobs"][0]["id"]);
    let mut other = ana();
    other["subject"]["email"] = json!("bo@example.com");
    assert!(ask(&world, Some("k-1"), &other).await.problem(409, "conflict").contains("Idempotency-Key"));
    assert_eq!(world.claim().await.len(), 1, "nobody else");
    for key in ["", "a b", "\u{e9}", &"k".repeat(129)] {
        ask(&world, Some(key), &ana()).await.problem(400, "malformed");
    }
}

#[tokio::test]
async fn everything_that_can_be_asked_for_reaches_the_job() {
    let world = World::new();
    let sessions = json!({"okta": ["102abc", {"id": "4026531840001", "team_id": "T1"}]});
    let body = json!({"subject": {"ids": {"okta": "00u1"}, "username": "ana", "sessions": sessions},
        "providers": ["okta"], "scope": "sessions", "oauth_tokens": false, "forget_devices": true,
        "severity": "low", "dry_run": true});
    assert_eq!(ask(&world, None, &body).await.status, 202);
    let claim = world.claim().await.remove(0);
    assert_eq!((claim.request.oauth_tokens, claim.request.forget_devices), (Some(false), Some(true)));
    assert_eq!(claim.subject.id.as_deref(), Some("00u1"));
    assert!(claim.dry_run);
    let expected = json!({"kind": "sessions", "sessions": ["102abc", {"id": "4026531840001", "team_id": "T1"}]});
    assert_eq!(serde_json::to_value(&claim.request.scope).expect("JSON"), expected);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_and_stores_nothing() {
    let world = World::new();
    let person = json!({"email": "ana@example.com"});
    let table = [
        (json!({}), "subject"),
        (json!({"subject": {}}), "at least one"),
        (json!({"subject": {"email": "me"}}), "subject.email"),
        (json!({"subject": {"ids": {"okta": "a\nb"}}}), "subject.ids.okta"),
        (json!({"subject": {"ids": {"oktta": "00u1"}}}), "oktta"),
        (json!({"subject": person, "providers": ["slack"]}), "slack"),
        (json!({"subject": person, "providers": []}), "providers"),
        (json!({"subject": person, "scope": "web"}), "no provider"),
        (json!({"subject": person, "scope": "web", "providers": ["okta"]}), "scope"),
        (json!({"subject": person, "scope": "sessions"}), "no provider"),
        (json!({"subject": person, "scope": "sessions", "providers": ["okta"]}), "subject.sessions"),
        (json!({"subject": {"email": "a@x", "sessions": {"okta": [".."]}}}), "subject.sessions.okta[0]"),
        (json!({"subject": person, "reason": "a\nb"}), "reason"),
        (json!({"subject": person, "users": "*"}), "users"),
    ];
    for (body, named) in table {
        let detail = ask(&world, None, &body).await.problem(400, "malformed");
        assert!(detail.contains(named), "{body} gave {detail}");
    }
    assert!(world.audit().await.is_empty());
    let refused = request(Method::POST, "/v1/revocations", VIEWER).header("content-type", "application/json");
    world.send(refused.body(Body::from(ana().to_string())).expect("a request")).await.problem(403, "forbidden");
}
