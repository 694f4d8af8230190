//! What each `GET` answers, and which questions it refuses.

use axum::body::Body;
use axum::http::{HeaderMap, Method, Request};
use http_body_util::BodyExt;
use serde_json::json;
use tower::ServiceExt;
use uuid::Uuid;

use super::{VIEWER, World, alert, metrics_router, request};

#[tokio::test]
async fn the_status_counts_what_is_open() {
    let world = World::new();
    world.job("ana@example.com").await;
    world.deliver("broken", "{}").await.expect("a receipt");
    let status = world.get("/v1/status").await.ok();
    assert_eq!(status["jobs"], json!({"okta": {"queued": 1}}));
    assert_eq!(status["quarantine"], json!({"edr": 1}));
    assert_eq!(status["gates"], json!([]));
    assert_eq!(status["held"], json!({}));
    assert_eq!(status["oldest_due_seconds"], json!({"okta": 0.0}));
}

#[tokio::test]
async fn alerts_are_listed_page_by_page_and_shown_with_their_jobs() {
    let world = World::new();
    let mut jobs = Vec::new();
    for name in ["ana", "ben", "cleo"] {
        jobs.push(world.job(&format!("{name}@example.com")).await);
    }
    let first = world.get("/v1/alerts?limit=2").await.ok();
    assert_eq!(first["items"].as_array().expect("items").len(), 2);
    assert_eq!(first["items"][0]["external_id"], "alert-cleo@example.com");
    let cursor = first["next_cursor"].as_str().expect("a cursor");
    let rest = world.get(&format!("/v1/alerts?limit=2&cursor={cursor}")).await.ok();
    assert_eq!(rest["items"][0]["external_id"], "alert-ana@example.com");
    assert_eq!(rest["next_cursor"], json!(null));

    let id = rest["items"][0]["id"].as_str().expect("an id");
    let shown = world.get(&format!("/v1/alerts/{id}")).await.ok();
    assert_eq!(shown, rest["items"][0]);
    assert_eq!(shown["jobs"][0]["id"], jobs[0]);
}

#[tokio::test]
async fn jobs_are_filtered_and_shown_with_every_attempt() {
    let world = World::new();
    let ana = world.job("ana@example.com").await;
    world.job("ben@example.com").await;
    let count = async |query: &str| {
        let page = world.get(&format!("/v1/jobs?{query}")).await.ok();
        page["items"].as_array().expect("items").len()
    };
    assert_eq!(count("").await, 2);
    assert_eq!(count("state=queued&provider=okta").await, 2);
    assert_eq!(count("state=dead").await, 0);
    assert_eq!(count("provider=slack").await, 0);
    assert_eq!(count("subject=ANA%40example.com").await, 1);
    assert_eq!(count("limit=1").await, 1);

    let job = world.get(&format!("/v1/jobs/{ana}")).await.ok();
    assert_eq!((&job["id"], &job["state"], &job["provider"]), (&json!(ana), &json!("queued"), &json!("okta")));
    assert_eq!((&job["scope"], &job["subject"]), (&json!("all"), &json!({"email": "ana@example.com"})));
    assert_eq!(job["history"], json!([]));
    for key in [
        "outcome",
        "hold_reason",
        "dead_reason",
        "alert_ids",
        "attempts",
        "sessions_ended",
        "survives",
        "signed_in_again",
        "repeated",
        "due_at",
    ] {
        assert!(job.get(key).is_some(), "{key} is missing in {job}");
    }
}

#[tokio::test]
async fn a_delivery_in_quarantine_is_shown_and_the_reading_recorded() {
    let world = World::new();
    world.deliver("text", "{\"id\": 1}").await.expect("a receipt");
    world.deliver("bytes", [0xff, 0x00, 0x01]).await.expect("a receipt");
    let list = world.send(request(Method::GET, "/v1/quarantine", VIEWER).body(Body::empty()).expect("a request")).await;
    let list = list.ok();
    assert_eq!(list["items"].as_array().expect("items").len(), 2);
    assert!(list["items"][0].get("body").is_none());

    let bytes = world.get(&format!("/v1/quarantine/{}", list["items"][0]["id"])).await.ok();
    assert_eq!((&bytes["body_encoding"], &bytes["body"]), (&json!("base64"), &json!("/wAB")));
    let text = world.get(&format!("/v1/quarantine/{}", list["items"][1]["id"])).await.ok();
    assert_eq!((&text["body_encoding"], &text["body"]), (&json!("text"), &json!("{\"id\": 1}")));
    assert_eq!(
        (&text["source"], &text["delivery_id"], &text["size_bytes"]),
        (&json!("edr"), &json!("text"), &json!(9))
    );
    assert!(!text["reason"].as_str().expect("a reason").is_empty());
    let headers = text["headers"].as_array().expect("headers");
    assert!(headers.iter().all(|header| header["name"] != "webhook-signature"), "{headers:?}");

    let read: Vec<_> = world.audit().await.into_iter().filter(|(event, _)| event == "body_read").collect();
    assert_eq!(read, vec![("body_read".to_owned(), "operator:oncall".to_owned()); 2]);
}

#[tokio::test]
async fn a_delivery_that_was_accepted_is_not_in_quarantine() {
    let world = World::new();
    world.job("ana@example.com").await;
    world.get("/v1/quarantine/1").await.problem(404, "not-found");
}

#[tokio::test]
async fn refusals_are_listed_newest_first() {
    let world = World::new();
    world.deliver_with(HeaderMap::new(), alert("ana@example.com").into_bytes()).await.expect_err("a refusal");
    let page = world.get("/v1/sources/edr/refusals").await.ok();
    assert_eq!(page["items"].as_array().expect("items").len(), 1);
    assert!(page["items"][0]["reason"].is_string());
    assert_eq!(page["next_cursor"], json!(null));
}

#[tokio::test]
async fn the_audit_record_is_read_in_parts() {
    let world = World::new();
    world.job("ana@example.com").await;
    world.post("/v1/pause", json!({"reason": "drill"})).await.ok();
    let first = world.get("/v1/audit?limit=1").await.ok();
    assert_eq!(first["items"][0]["event"], "admitted");
    let after = first["next_cursor"].as_str().expect("a cursor");
    let rest = world.get(&format!("/v1/audit?after={after}")).await.ok();
    assert_eq!((&rest["items"][0]["event"], &rest["items"][0]["actor"]), (&json!("paused"), &json!("operator:oncall")));
    assert_eq!(rest["next_cursor"], json!(null));
}

#[tokio::test]
async fn metrics_are_counted_when_scraped_and_fall_back_to_zero() {
    let world = World::new();
    let job = world.job("ana@example.com").await;
    world.deliver("broken", "{}").await.expect("a receipt");
    let answer = world.get("/metrics").await;
    assert_eq!(answer.headers["content-type"], "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_has(&answer.text, "sever_jobs{provider=\"okta\",state=\"queued\"} 1");
    assert_has(&answer.text, "sever_quarantine{source=\"edr\"} 1");
    assert!(answer.text.ends_with("# EOF\n"));

    world.post("/v1/providers/okta/pause", json!({})).await.ok();
    let paused = world.get("/metrics").await.text;
    assert_has(&paused, "sever_held_jobs{provider=\"okta\",reason=\"paused\"} 1");
    assert_has(&paused, "sever_jobs{provider=\"okta\",state=\"queued\"} 0");

    world.post(&format!("/v1/jobs/{job}/cancel"), json!({})).await.ok();
    let cancelled = world.get("/metrics").await.text;
    assert_has(&cancelled, "sever_held_jobs{provider=\"okta\",reason=\"paused\"} 0");
    assert_has(&cancelled, "sever_jobs{provider=\"okta\",state=\"cancelled\"} 1");
    assert_has(&cancelled, "sever_oldest_due_seconds{provider=\"okta\"} 0.0");
}

#[tokio::test]
async fn a_metrics_listener_of_its_own_serves_metrics_and_nothing_else() {
    let world = World::new();
    let ask = async |path: &str| {
        let request = Request::builder().uri(path).body(Body::empty()).expect("a request");
        let response = metrics_router(world.gauges()).oneshot(request).await.expect("a router never fails");
        let status = response.status();
        (status, response.into_body().collect().await.expect("a body").to_bytes())
    };
    let (status, text) = ask("/metrics").await;
    assert_eq!(status, 200);
    assert_has(std::str::from_utf8(&text).expect("text"), "sever_quarantine{source=\"edr\"} 0");
    assert_eq!(ask("/v1/status").await.0, 404);
}

#[track_caller]
fn assert_has(text: &str, line: &str) {
    assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
}

#[tokio::test]
async fn a_question_that_is_not_understood_is_refused_with_its_mend() {
    let world = World::new();
    for (path, words) in [
        ("/v1/jobs?color=red", &["color", "subject", "cursor"][..]),
        ("/v1/jobs?state=lost", &["`state`", "queued, leased"]),
        ("/v1/jobs?provider=Not%20a%20name", &["`provider`", "a-z"]),
        ("/v1/jobs?cursor=abc", &["`cursor`", "next_cursor"]),
        ("/v1/alerts?cursor=-1", &["`cursor`", "next_cursor"]),
        ("/v1/quarantine?cursor=99999999999999999999", &["`cursor`"]),
        ("/v1/audit?after=x", &["`after`"]),
        ("/v1/alerts?limit=0", &["`limit`", "1 to 1000"]),
        ("/v1/alerts?limit=1001", &["`limit`"]),
        ("/v1/jobs?state=done&state=dead", &["`state`", "twice"]),
        ("/v1/jobs?subject=", &["`subject`", "empty"]),
        ("/v1/status?x=1", &["\"x\"", "none"]),
    ] {
        let detail = world.get(path).await.problem(400, "malformed");
        for word in words {
            assert!(detail.contains(word), "{path}: {detail}");
        }
    }
}

#[tokio::test]
async fn what_does_not_exist_is_not_found() {
    let world = World::new();
    let id = Uuid::now_v7();
    for path in [
        format!("/v1/jobs/{id}"),
        "/v1/jobs/not-an-id".to_owned(),
        "/v1/jobs/%ff".to_owned(),
        format!("/v1/alerts/{id}"),
        "/v1/quarantine/7".to_owned(),
        "/v1/quarantine/x".to_owned(),
        "/v1/sources/nobody/refusals".to_owned(),
        "/v1/sources/%2e%2e/refusals".to_owned(),
    ] {
        world.get(&path).await.problem(404, "not-found");
    }
    for path in [
        format!("/v1/jobs/{id}/requeue"),
        format!("/v1/jobs/{id}/cancel"),
        format!("/v1/jobs/{id}/approve"),
        format!("/v1/alerts/{id}/replay"),
        "/v1/quarantine/7/replay".to_owned(),
        "/v1/providers/slack/pause".to_owned(),
        "/v1/providers/slack/resume".to_owned(),
    ] {
        world.post_nothing(&path).await.problem(404, "not-found");
    }
}
