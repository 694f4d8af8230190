//! One decision about many jobs, over HTTP, and what the status says of budgets.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::Body;
use axum::http::Method;
use serde_json::{Value, json};
use sever::admin::{AdminState, Tokens, router};
use sever::domain::{HoldReason, ScopeKind};
use sever::ingest::{Intake, Planning};
use sever::policy::Policy;

use super::{Answer, OPERATOR, VIEWER, World, admin_settings, okta, request};

async fn held(world: &World, count: usize) {
    for number in 0..count {
        world.job(&format!("p{number}@example.com")).await;
    }
    world.hold(HoldReason::Budget).await;
}

fn for_budget(expect_count: u64) -> Value {
    json!({"filter": {"hold_reason": "budget"}, "expect_count": expect_count, "reason": "it is real"})
}

#[tokio::test]
async fn as_many_as_expected_are_changed_or_none() {
    let world = World::new();
    held(&world, 3).await;
    for wrong in [0, 2, 4] {
        let answer = world.post("/v1/jobs/approve", for_budget(wrong)).await;
        assert!(answer.problem(409, "count-mismatch").contains("expect_count"));
        assert_eq!(answer.json()["count"], 3);
    }
    let listed = world.get("/v1/jobs?hold_reason=budget&source=edr").await.ok();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(3), "nothing was changed");
    let done = world.post("/v1/jobs/approve", for_budget(3)).await.ok();
    assert_eq!(done, json!({"changed": 3, "left_count": 0, "left": []}));
    assert_eq!(
        world.audit().await.iter().filter(|row| **row == ("approved".to_owned(), "operator:oncall".to_owned())).count(),
        3
    );
    // A repeat changes nothing.
    assert_eq!(world.post("/v1/jobs/approve", for_budget(3)).await.json()["count"], 0);

    let all = json!({"filter": {"provider": "okta"}, "expect_count": 3});
    assert_eq!(world.post("/v1/jobs/cancel", all).await.ok()["changed"], 3);
    let cancelled = json!({"filter": {"state": "cancelled"}, "expect_count": 3});
    assert_eq!(world.post("/v1/jobs/requeue", cancelled).await.ok()["changed"], 3);
}

#[tokio::test]
async fn nobody_means_everything_by_saying_nothing() {
    let world = World::new();
    held(&world, 1).await;
    for (verb, body, word) in [
        ("approve", json!({}), "expect_count"),
        ("approve", json!({"expect_count": 1}), "says nothing"),
        ("cancel", json!({"filter": {}, "expect_count": 1}), "says nothing"),
        ("cancel", json!({"filter": {"subject": " "}, "expect_count": 1}), "empty"),
        ("requeue", json!({"filter": {"provider": "okta"}, "expect_count": 1}), "done again"),
        ("approve", json!({"filter": {"stat": "held"}, "expect_count": 1}), "stat"),
        ("approve", json!({"filter": {"hold_reason": "mood"}, "expect_count": 1}), "mood"),
        ("approve", json!({"filter": {"state": "held"}, "expect_count": -1}), "expect_count"),
        ("approve", json!({"filter": {"state": "held"}, "expect_count": 1, "reason": "a\nb"}), "reason"),
    ] {
        let detail = world.post(&format!("/v1/jobs/{verb}"), body.clone()).await.problem(400, "malformed");
        assert!(detail.contains(word), "{verb} {body}: {detail}");
    }
    for verb in ["approve", "requeue", "cancel"] {
        let asked =
            request(Method::POST, &format!("/v1/jobs/{verb}"), VIEWER).header("content-type", "application/json");
        let asked = asked.body(Body::from(for_budget(1).to_string())).expect("a request");
        world.send(asked).await.problem(403, "forbidden");
    }
    assert_eq!(world.get("/v1/status").await.ok()["held"], json!({"okta": {"budget": 1}}));
}

#[tokio::test]
async fn the_status_tells_how_full_the_budgets_are() {
    let world = World::new();
    let status = world.get("/v1/status").await.ok();
    let usual = json!([{"source": null, "provider": null, "rule": null, "users": 100, "per": "10m", "reserve": null, "used": 0}]);
    assert_eq!(status["budgets"], usual);
}

const SECOND: &str = "second-operator-token-0123456789";

/// With `four_eyes`, and tokens of two operators.
fn with_four_eyes() -> World {
    let mut world = World::new();
    let settings = json!({"guardrails": {"four_eyes": true}});
    let policy = Policy::new(
        &serde_json::from_value(settings).expect("settings"),
        &BTreeMap::from([(okta(), vec![ScopeKind::All])]),
    );
    let intake = Intake::new(
        Vec::new(),
        Planning::new(Arc::new(policy.expect("a policy")), Default::default()),
        world.store.clone(),
        world.system_clock(),
        Arc::clone(&world.metrics),
    );
    let mut settings = admin_settings();
    let second = json!({"name": "second", "role": "operator", "secret": {"value": SECOND}});
    settings.tokens.push(serde_json::from_value(second).expect("a token"));
    world.intake = Arc::new(intake);
    let state = AdminState { tokens: Arc::new(Tokens::new(&settings).expect("tokens")), ..world.state() };
    world.router = router(state);
    world
}

async fn post_as(world: &World, token: &str, path: &str, body: Value) -> Answer {
    let asked = request(Method::POST, path, token).header("content-type", "application/json");
    world.send(asked.body(Body::from(body.to_string())).expect("a request")).await
}

#[tokio::test]
async fn two_operators_are_needed_where_one_asked() {
    let world = with_four_eyes();
    let subject = |name: &str| json!({"subject": {"email": name}});
    let mut jobs = Vec::new();
    for (token, name) in [(OPERATOR, "ana@example.com"), (OPERATOR, "bob@example.com"), (SECOND, "cyd@example.com")] {
        let receipt = post_as(&world, token, "/v1/revocations", subject(name)).await.json();
        let job = &receipt["alerts"][0]["jobs"][0];
        assert_eq!(job["state"], "held", "{receipt}");
        jobs.push(job["id"].as_str().expect("an id").to_owned());
    }
    let approve = format!("/v1/jobs/{}/approve", jobs[0]);
    let detail = post_as(&world, OPERATOR, &approve, json!({})).await.problem(409, "conflict");
    assert!(detail.contains("oncall") && detail.contains("another operator"), "{detail}");
    assert_eq!(post_as(&world, SECOND, &approve, json!({})).await.ok()["state"], "queued");

    let all = json!({"filter": {"hold_reason": "approval"}, "expect_count": 2});
    let done = post_as(&world, OPERATOR, "/v1/jobs/approve", all).await.ok();
    assert_eq!(
        (&done["changed"], &done["left_count"], &done["left"][0]["id"]),
        (&json!(1), &json!(1), &json!(jobs[1]))
    );
    let state = async |job: &str| world.get(&format!("/v1/jobs/{job}")).await.ok()["state"].clone();
    assert_eq!((state(&jobs[1]).await, state(&jobs[2]).await), (json!("held"), json!("queued")));
    let dry = json!({"subject": {"email": "dan@example.com"}, "dry_run": true});
    let receipt = post_as(&world, OPERATOR, "/v1/revocations", dry).await.json();
    assert_eq!(receipt["alerts"][0]["jobs"][0]["state"], "queued", "what sends nothing needs nobody");
}
