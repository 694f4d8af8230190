//! Rate limits: none by default, then a leaky bucket with waits in seconds from now.

use std::time::Duration;

use sever::sandbox::the_things_stack::Operation;

use super::stack::*;

/// Status, then limit, available, reset and retry.
fn standing(reply: &Reply) -> (u16, [String; 4]) {
    let header = |name| reply.header(&format!("x-rate-limit-{name}"));
    (reply.status, ["limit", "available", "reset", "retry"].map(header))
}

fn expected(status: u16, values: [&str; 4]) -> (u16, [String; 4]) {
    (status, values.map(str::to_owned))
}

#[tokio::test]
async fn without_a_profile_no_header_says_so() {
    let stack = Stack::start().await;
    assert_eq!(standing(&stack.get("/auth_info").await), expected(200, ["", "", "", ""]));
}

#[tokio::test]
async fn a_burst_is_let_through_and_then_one_call_per_interval() {
    let stack = Stack::start().await;
    stack.tts.limit_rate(6, 2);
    assert_eq!(standing(&stack.get("/auth_info").await), expected(200, ["2", "1", "10", "0"]));
    assert_eq!(standing(&stack.get("/auth_info").await), expected(200, ["2", "0", "20", "0"]));
    let refused = stack.get("/auth_info").await;
    assert_eq!(standing(&refused), expected(429, ["2", "0", "20", "10"]));
    assert_eq!(refused.error(), (429, "rate_limit_exceeded".into(), 8));
    let details = refused.json()["details"][0].clone();
    assert_eq!(
        (details["namespace"].as_str(), details["attributes"]["rate"].as_i64()),
        (Some("pkg/ratelimit"), Some(2))
    );
    assert!(refused.headers.get("retry-after").is_none() && !refused.text.contains(KEY));

    stack.clock.advance(Duration::from_millis(9_500));
    assert_eq!(standing(&stack.get("/auth_info").await), expected(429, ["2", "0", "10", "0"]), "0 is under a second");
    stack.clock.advance(Duration::from_millis(500));
    assert_eq!(standing(&stack.get("/auth_info").await), expected(200, ["2", "0", "20", "0"]));
    stack.clock.advance(Duration::from_secs(60));
    assert_eq!(standing(&stack.get("/auth_info").await), expected(200, ["2", "1", "10", "0"]));
}

#[tokio::test]
async fn each_method_credential_and_entity_has_its_own_bucket() {
    let stack = Stack::start().await;
    stack.tts.limit_rate(60, 1);
    let other = stack.tts.issue_key("admin");
    assert_eq!(stack.get("/users/zoe/sessions").await.status, 200);
    assert_eq!(stack.get("/users/zoe/sessions").await.status, 429);
    assert_eq!(stack.get("/users/zoe").await.status, 200);
    assert_eq!(stack.get("/users/admin/sessions").await.status, 200);
    assert_eq!(stack.with(&other, "GET", "/users/zoe/sessions").await.status, 200);
    assert_eq!(stack.send("GET", "/users/zoe/sessions", &[]).await.status, 403);
    assert_eq!(stack.send("GET", "/users/zoe/sessions", &[]).await.status, 429, "refused calls count");
}

#[tokio::test]
async fn a_method_s_own_profile_goes_first_and_a_refused_deletion_ends_nothing() {
    let stack = Stack::start().await;
    stack.tts.limit_rate(600, 100);
    stack.tts.limit_rate_of(Operation::DeleteSession, 60, 1);
    let ids = stack.tts.session_ids_of("zoe");
    assert_eq!(stack.end("zoe", &ids[0]).await.status, 200);
    let refused = stack.end("zoe", &ids[1]).await;
    assert_eq!(standing(&refused), expected(429, ["1", "0", "1", "1"]));
    assert_eq!(stack.tts.session_ids_of("zoe"), [ids[1].clone()]);
    assert_eq!(stack.get("/users/zoe/sessions").await.header("x-rate-limit-limit"), "100");
    stack.clock.advance(Duration::from_secs(1));
    assert_eq!(stack.end("zoe", &ids[1]).await.status, 200);
}
