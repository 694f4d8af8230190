//! The fault switches, one by one.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::Value;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::okta::Operation;

use super::org::*;

#[tokio::test]
async fn throttling_comes_in_every_form() {
    let org = Org::start().await;
    org.okta().shift_clock(SignedDuration::from_secs(500));
    let there = START_S + 500;
    // fault, limit, resets
    let table = [
        (Fault::RateLimit { reset_in_s: 30 }, "600", vec![there + 30]),
        (Fault::ConcurrencyLimit { reset_in_s: -5 }, "0", vec![there - 5]),
        (Fault::RepeatedReset { resets_in_s: vec![40, 7, 90] }, "600", vec![there + 40, there + 7, there + 90]),
        (Fault::ThrottleWithoutHint, "600", vec![]),
    ];
    for (fault, limit, resets) in table {
        let hinted = fault != Fault::ThrottleWithoutHint;
        org.okta().faults().inject(fault);
        let reply = org.revoke().await;
        assert_eq!((reply.status, reply.code().as_str()), (429, "E0000047"));
        assert_eq!(
            (reply.all("x-rate-limit-limit"), reply.header("x-rate-limit-remaining")),
            (strings(&[limit]), "0".into())
        );
        let resets: Vec<String> = resets.iter().map(ToString::to_string).collect();
        assert_eq!((reply.all("x-rate-limit-reset"), reply.headers.contains_key("date")), (resets, hinted));
    }
    assert_eq!(org.revoke().await.status, 204, "each struck once");
}

#[tokio::test]
async fn errors_are_sent_in_place_of_the_effect() {
    let org = Org::start().await;
    let table = [
        (500, "E0000009"),
        (502, "E0000134"),
        (502, "E0000240"),
        (504, "E0000067"),
        (504, "E0000137"),
        (504, "E0000241"),
        (503, "E0000010"),
        (503, "E0000100"),
        (423, "E0000239"),
        (410, "E0000156"),
        (401, "E0000004"),
        (401, "E0000011"),
        (401, "E0000015"),
        (403, "E0000005"),
        (403, "E0000006"),
        (403, "E0000038"),
    ];
    for (status, code) in table {
        org.okta().faults().inject(Fault::Error { status, code: code.to_owned() });
        let reply = org.revoke().await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code));
        assert_ne!(reply.json()["errorSummary"], "Error", "{code} has its own words");
    }
    org.okta().faults().inject(Fault::Error { status: 502, code: String::new() });
    let gateway = org.revoke().await;
    assert!(gateway.status == 502 && gateway.header("content-type").starts_with("text/html"));
    org.okta().faults().inject(Fault::Error { status: 403, code: "access_denied".into() });
    let denied = org.token("", "okta.users.read").await;
    assert_eq!((denied.status, denied.json()["error"].as_str()), (403, Some("access_denied")));
    assert_eq!((org.okta().sessions_of(&org.ana), org.okta().revocations_of(&org.ana)), (2, 0));
}

#[tokio::test]
async fn answers_get_lost_before_and_after_the_effect() {
    let org = Org::start().await;
    for (fault, left, reached) in [(Fault::LostBefore, 2, 0), (Fault::LostAfter, 0, 1)] {
        org.okta().clear_ledger();
        org.okta().faults().inject(fault.clone());
        assert!(org.try_send("DELETE", &org.revoke_path(), &[JSON, AUTH], "").await.is_err(), "{fault:?}");
        let left_and_reached = (org.okta().sessions_of(&org.ana), org.okta().revocations_of(&org.ana));
        assert_eq!(left_and_reached, (left, reached), "{fault:?}");
        let calls: Vec<Option<u16>> = org.okta().ledger().iter().map(|call| call.status).collect();
        assert_eq!(calls, [None], "{fault:?}");
    }
}

#[tokio::test]
async fn a_lying_success_leaves_everything_alive() {
    let org = Org::start().await;
    let session = org.okta().session_ids_of(&org.ana).remove(0);
    org.okta().faults().inject(Injection::once(Fault::LyingSuccess).times(2));
    assert_eq!(org.revoke().await.status, 204);
    assert_eq!(org.call("DELETE", &format!("/api/v1/sessions/{session}")).await.status, 204);
    assert_eq!((org.okta().sessions_of(&org.ana), org.okta().revocations_of(&org.ana)), (2, 2));
}

#[tokio::test]
async fn bodies_go_wrong_in_every_way() {
    let org = Org::start().await;
    let strike = |fault| org.okta().faults().inject(Injection::once(fault).on(Operation::GetUser));
    strike(Fault::Html);
    let page = org.call("GET", "/api/v1/users/me").await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"));
    strike(Fault::MalformedJson);
    let broken = org.call("GET", "/api/v1/users/me").await;
    assert!(broken.status == 200 && serde_json::from_str::<Value>(&broken.text).is_err());
    strike(Fault::HugeBody { size_bytes: 3_000_000 });
    assert_eq!(org.call("GET", "/api/v1/users/me").await.text.len(), 3_000_000);
    strike(Fault::SlowBody { size_bytes: 3, every_ms: 1 });
    assert_eq!(org.call("GET", "/api/v1/users/me").await.text, "   ");
    strike(Fault::Redirect { to: "https://elsewhere.example/".into() });
    let moved = org.call("GET", "/api/v1/users/me").await;
    assert_eq!((moved.status, moved.header("location").as_str()), (302, "https://elsewhere.example/"));
}

#[tokio::test]
async fn a_server_goes_on_when_the_client_has_hung_up() {
    let org = Org::start().await;
    org.okta().faults().inject(Fault::Latency { duration_ms: 200 });
    let url = format!("{}{}", org.okta().url(), org.revoke_path());
    let request = org.client.delete(url).header(JSON.0, JSON.1).header(AUTH.0, AUTH.1);
    let answer = request.timeout(Duration::from_millis(50)).send().await;
    assert!(answer.is_err_and(|error| error.is_timeout()));
    assert_eq!(org.okta().sessions_of(&org.ana), 2);
    for _ in 0..100 {
        tokio::time::sleep(Duration::from_millis(20)).await;
        if org.okta().revocations_of(&org.ana) == 1 {
            return;
        }
    }
    panic!("the call was abandoned with its client");
}

#[tokio::test]
async fn a_late_answer_comes_after_its_effect() {
    let org = Org::start().await;
    org.okta().faults().inject(Fault::LateAnswer { duration_ms: 60_000 });
    let url = format!("{}{}", org.okta().url(), org.revoke_path());
    let request = org.client.delete(url).header(JSON.0, JSON.1).header(AUTH.0, AUTH.1);
    assert!(request.timeout(Duration::from_millis(300)).send().await.is_err());
    assert_eq!((org.okta().sessions_of(&org.ana), org.okta().revocations_of(&org.ana)), (0, 1));
    org.sandbox.shutdown().await;
}

#[tokio::test]
async fn a_stale_index_hides_a_person_from_searches_only() {
    let org = Org::start().await;
    org.okta().faults().inject(Injection::once(Fault::StaleSearch { user_id: Some(org.ana.clone()) }).times(2));
    let search = format!("/api/v1/users?search={}", encoded("profile.login sw \"a\""));
    let filter = format!("/api/v1/users?filter={}", encoded("profile.login eq \"ana@example.com\""));
    assert_eq!(org.call("GET", &search).await.logins(), ["admin@example.com"]);
    assert_eq!(org.call("GET", &filter).await.logins(), ["ana@example.com"]);
    assert_eq!(org.call("GET", &format!("/api/v1/users/{}", org.ana)).await.status, 200);
    assert_eq!(org.call("GET", &search).await.logins(), ["admin@example.com"]);
    assert_eq!(org.call("GET", &search).await.logins(), ["admin@example.com", "ana@example.com"]);
}

#[tokio::test]
async fn a_fault_strikes_its_operation_as_often_as_told() {
    let org = Org::start().await;
    let error = || Fault::Error { status: 500, code: "E0000009".into() };
    org.okta().faults().inject(Injection::once(error()).on(Operation::RevokeUserSessions).times(2));
    assert_eq!(org.call("GET", "/api/v1/users/me").await.status, 200);
    let statuses = [org.revoke().await.status, org.revoke().await.status, org.revoke().await.status];
    assert_eq!(statuses, [500, 500, 204]);
    org.okta().faults().inject(Injection::once(error()).until_cleared());
    for _ in 0..5 {
        assert_eq!(org.call("GET", "/nowhere").await.status, 500);
    }
    org.okta().faults().clear();
    assert_eq!(org.revoke().await.status, 204);
}
