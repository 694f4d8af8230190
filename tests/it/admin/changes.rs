//! What operators decide, and under whose name it is recorded.

use axum::body::Body;
use axum::http::Method;
use serde_json::json;
use sever::clock::Clock;
use sever::domain::{Attempt, AttemptClass, Claim, HoldReason, Next, Settlement};
use sever::store::JobStore;

use super::{OPERATOR, World, okta, request};

/// Everything that an operator did, oldest first.
async fn done(world: &World) -> Vec<String> {
    let rows = world.audit().await.into_iter();
    rows.filter(|(_, actor)| actor == "operator:oncall").map(|(event, _)| event).collect()
}

#[tokio::test]
async fn a_job_is_cancelled_and_made_due_again() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    let cancelled = world.post(&format!("/v1/jobs/{job}/cancel"), json!({"reason": "drill"})).await.ok();
    assert_eq!((&cancelled["id"], &cancelled["state"]), (&json!(job), &json!("cancelled")));
    let requeued = world.post_nothing(&format!("/v1/jobs/{job}/requeue")).await.ok();
    assert_eq!(requeued["state"], "queued");
    assert_eq!(done(&world).await, ["cancelled", "requeued"]);
}

#[tokio::test]
async fn a_held_job_is_approved_with_the_account_to_act_on() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    world.hold(HoldReason::Account).await;
    let body = json!({"account_id": "00u1", "reason": "asked her"});
    let approved = world.post(&format!("/v1/jobs/{job}/approve"), body).await;
    assert_eq!(approved.ok()["state"], "queued");
    assert_eq!(world.claim().await[0].account_id.as_deref(), Some("00u1"));
    assert_eq!(done(&world).await, ["approved"]);
}

#[tokio::test]
async fn an_account_id_that_is_no_ones_is_refused() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    world.hold(HoldReason::Account).await;
    for id in ["", " ", ".", "..", "me", "%2e%2e", "*", "a\nb", " 00u1", "a\u{202e}b"] {
        let answer = world.post(&format!("/v1/jobs/{job}/approve"), json!({"account_id": id})).await;
        assert!(answer.problem(400, "malformed").contains("account_id"));
    }
    assert_eq!(world.get(&format!("/v1/jobs/{job}")).await.ok()["state"], "held");
    assert!(done(&world).await.is_empty());
}

#[tokio::test]
async fn what_a_job_does_not_allow_is_a_conflict_with_its_reason() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    let post = async |verb: &str| world.post(&format!("/v1/jobs/{job}/{verb}"), json!({})).await;
    assert!(post("approve").await.problem(409, "conflict").contains("only held jobs"));
    assert!(post("requeue").await.problem(409, "conflict").contains("queued"));
    world.claim().await;
    assert!(post("cancel").await.problem(409, "conflict").contains("leased"));
    assert!(done(&world).await.is_empty());
}

#[tokio::test]
async fn a_provider_is_paused_and_goes_on() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    for _ in 0..2 {
        let paused = world.post("/v1/providers/okta/pause", json!({"reason": "maintenance"})).await.ok();
        assert_eq!(
            (&paused["name"], &paused["kind"], &paused["dry_run"]),
            (&json!("okta"), &json!("okta"), &json!(false))
        );
        assert_eq!(paused["jobs"], json!({"held": 1}));
        let gate = &paused["gates"][0];
        assert_eq!((&gate["reason"], &gate["note"]), (&json!("paused"), &json!("maintenance")));
        assert!(gate["since"].is_string());
        assert_eq!(world.get(&format!("/v1/jobs/{job}")).await.ok()["hold_reason"], "paused");
        assert!(world.claim().await.is_empty());

        let listed = world.get("/v1/providers").await.ok();
        assert_eq!(listed, json!({"items": [paused], "next_cursor": null}));
        let resumed = world.post_nothing("/v1/providers/okta/resume").await.ok();
        assert_eq!((&resumed["gates"], &resumed["jobs"]), (&json!([]), &json!({"queued": 1})));
    }
    assert_eq!(done(&world).await, ["paused", "resumed", "paused", "resumed"]);
}

#[tokio::test]
async fn everything_is_paused_and_goes_on() {
    let world = World::new();
    world.job("ana@example.com").await;
    let paused = world.post("/v1/pause", json!({"reason": "drill"})).await.ok();
    assert_eq!(paused["held"], json!({"okta": {"paused": 1}}));
    assert_eq!(paused["gates"][0]["provider"], json!(null));
    let provider = &world.get("/v1/providers").await.ok()["items"][0];
    assert_eq!(provider["gates"][0]["note"], "drill");
    assert!(world.claim().await.is_empty());
    assert_eq!(world.post_nothing("/v1/resume").await.ok()["gates"], json!([]));
    assert_eq!(world.claim().await.len(), 1);
    assert_eq!(done(&world).await, ["paused", "resumed"]);
}

#[tokio::test]
async fn a_body_that_is_not_understood_changes_nothing() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    let path = format!("/v1/jobs/{job}/cancel");
    for (body, words) in [
        (json!({"reasn": "typo"}), &["reasn", "reason"][..]),
        (json!({"account_id": "00u1"}), &["account_id"]),
        (json!({"reason": 7}), &["`reason`", "string"]),
        (json!({"reason": "x".repeat(501)}), &["`reason`", "500"]),
        (json!({"reason": "a\nb"}), &["`reason`", "control"]),
        (json!([]), &["body"]),
    ] {
        let detail = world.post(&path, body.clone()).await.problem(400, "malformed");
        for word in words {
            assert!(detail.contains(word), "{body}: {detail}");
        }
    }
    let send = async |kind: &str, body: String| {
        let request = request(Method::POST, &path, OPERATOR).header("content-type", kind);
        world.send(request.body(Body::from(body)).expect("a request")).await
    };
    for body in ["{", "{} {}", "nonsense", r#"{"reason":"a","reason":"b"}"#] {
        send("application/json", body.to_owned()).await.problem(400, "malformed");
    }
    for kind in ["text/plain", "application/x-www-form-urlencoded", ""] {
        send(kind, "{}".to_owned()).await.problem(415, "unsupported-type");
    }
    send("application/json", " ".repeat(64 * 1024 + 1)).await.problem(413, "too-large");
    world.post(&format!("{path}?force=1"), json!({})).await.problem(400, "malformed");
    assert_eq!(world.get(&format!("/v1/jobs/{job}")).await.ok()["state"], "queued");
    assert!(done(&world).await.is_empty());
}

impl World {
    /// A worker takes every due job and finds that a person is needed.
    pub(super) async fn hold(&self, reason: HoldReason) {
        let claims = self.claim().await;
        for claim in &claims {
            let settlement = settlement(claim, reason, self.clock.as_ref());
            self.store.settle(claim, &settlement).await.expect("settled");
        }
        assert_eq!(self.store.backlog().await.expect("counted").held, [(okta(), reason, claims.len() as u64)]);
    }
}

fn settlement(claim: &Claim, reason: HoldReason, clock: &dyn Clock) -> Settlement {
    let attempt = Attempt {
        number: claim.attempt,
        started_at: clock.now(),
        duration_ms: 1,
        class: AttemptClass::Unclear,
        operation: None,
        status: None,
        code: None,
        message: "two accounts answer to that name".to_owned(),
        request_id: None,
    };
    let next = Next::Held(reason);
    Settlement { next, attempt, account: None, revocation: None, answer_unknown: false, proof: None, proving: false }
}
