//! The control API, and the end of a sandbox.

use std::time::Duration;

use serde_json::{Value, json};

use super::org::*;

#[tokio::test]
async fn the_control_api_stands_apart_from_okta() {
    let org = Org::start().await;
    let base = org.sandbox.control_url();
    let post = |path: &str, body: Value| {
        let request = org.client.post(format!("{base}/_sandbox/{path}")).json(&body);
        async move { request.send().await.expect("an answer") }
    };
    let ben: Value = post("people", json!({"login": "ben@example.com"})).await.json().await.expect("JSON");
    assert!(ben["id"].as_str().is_some_and(|id| id.starts_with("00u") && id.len() == 20));
    assert_eq!(post("sessions", json!({"user": "ben@example.com", "count": 3})).await.status(), 201);
    assert_eq!(post("sessions", json!({"user": "nobody"})).await.status(), 404);
    assert_eq!(org.okta().sessions_of("ben@example.com"), 3);
    let fault = json!({"fault": {"kind": "rate_limit", "reset_in_s": 5}, "on": "revokeUserSessions", "times": 1});
    assert_eq!(post("faults", fault).await.status(), 204);
    assert!(post("faults", json!({"fault": {"kind": "gremlins"}})).await.status().is_client_error());
    assert_eq!(org.revoke().await.status, 429);
    let get = |path: &str| {
        let request = org.client.get(format!("{base}/_sandbox/{path}"));
        async move { request.send().await.expect("an answer").json::<Value>().await.expect("JSON") }
    };
    assert_eq!(get("ledger").await[0]["error_code"], "E0000047");
    assert_eq!(get("people").await[2]["sessions"], 3);
    assert_eq!(org.call("GET", "/_sandbox/ledger").await.code(), "E0000008", "Okta has no such path");
}

#[tokio::test]
async fn a_sandbox_that_is_shut_down_or_dropped_no_longer_answers() {
    let org = Org::start().await;
    org.sandbox.shutdown().await;
    assert!(org.try_send("GET", "/", &[], "").await.is_err());
    let other = Org::start().await;
    let url = other.okta().url();
    drop(other);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(org.client.get(url).send().await.is_err());
}
