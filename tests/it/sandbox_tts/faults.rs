//! The fault switches, one by one.

use std::time::Duration;

use serde_json::{Value, json};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::ledger::Effect;
use sever::sandbox::the_things_stack::Operation;

use super::stack::*;

#[tokio::test]
async fn throttling_comes_in_every_form() {
    let stack = Stack::start().await;
    let table: [(Fault, &str, &[&str]); 4] = [
        (Fault::RateLimit { reset_in_s: 30 }, "60", &["30"]),
        (Fault::ConcurrencyLimit { reset_in_s: 0 }, "0", &["0"]),
        (Fault::RepeatedReset { resets_in_s: vec![4, 70] }, "60", &["4", "70"]),
        (Fault::ThrottleWithoutHint, "", &[]),
    ];
    stack.tts.limit_rate(60, 50);
    for (fault, limit, waits) in table {
        stack.tts.faults().inject(fault);
        let reply = stack.end("zoe", &stack.first_session()).await;
        assert_eq!(reply.error(), (429, "rate_limit_exceeded".into(), 8));
        assert_eq!(
            (reply.header("x-rate-limit-limit").as_str(), reply.all("x-rate-limit-retry")),
            (limit, strings(waits))
        );
        assert_eq!((reply.all("x-rate-limit-reset"), reply.all("retry-after")), (strings(waits), Vec::new()));
        assert_eq!(reply.headers.contains_key("date"), !waits.is_empty());
    }
    assert_eq!(stack.tts.sessions_of("zoe"), 2);
}

#[tokio::test]
async fn errors_are_sent_in_place_of_the_effect() {
    let stack = Stack::start().await;
    // Every row of the table of errors; the plain ones come from gRPC or the gateway, without details.
    let table = [
        (404, "user_session_not_found", 5, "pkg/identityserver/store"),
        (404, "user_not_found", 5, "pkg/identityserver/store"),
        (404, "entity_not_found", 5, "pkg/identityserver/store"),
        (404, "account_not_found", 5, "pkg/identityserver/store"),
        (404, "not_found", 5, ""),
        (403, "no_user_rights", 7, "pkg/auth/rights"),
        (403, "insufficient_user_rights", 7, "pkg/auth/rights"),
        (403, "permission_denied", 7, "pkg/identityserver"),
        (403, "search_forbidden", 7, "pkg/identityserver"),
        (403, "user_suspended", 7, "pkg/identityserver"),
        (403, "oauth_client_suspended", 7, "pkg/identityserver"),
        (401, "api_key_not_found", 16, "pkg/identityserver"),
        (401, "unauthenticated", 16, "pkg/identityserver"),
        (400, "token", 3, "pkg/auth"),
        (400, "validation", 3, "pkg/errors"),
        (409, "aborted", 10, ""),
        (409, "already_exists", 6, ""),
        (429, "resource_exhausted", 8, ""),
        (499, "canceled", 1, ""),
        (500, "driver", 2, "pkg/util/store"),
        (500, "internal", 13, ""),
        (500, "data_loss", 15, ""),
        (501, "unimplemented", 12, ""),
        (503, "database_unavailable", 14, "pkg/util/store"),
        (503, "unavailable", 14, ""),
        (504, "deadline_exceeded", 4, ""),
    ];
    for (status, code, number, namespace) in table {
        stack.tts.faults().inject(Fault::Error { status, code: code.to_owned() });
        let reply = stack.end("zoe", &stack.first_session()).await;
        let body = reply.json();
        assert_eq!((reply.status, body["code"].as_i64()), (status, Some(number)), "{code}");
        assert_eq!(body["details"][0]["namespace"].as_str().unwrap_or_default(), namespace, "{code}");
        assert_eq!(body["details"].as_array().map(Vec::len), Some(usize::from(!namespace.is_empty())), "{code}");
        assert_eq!(stack.tts.ledger().pop().and_then(|call| call.error_code).as_deref(), Some(code));
    }
    stack.tts.faults().inject(Fault::Error { status: 502, code: String::new() });
    let gateway = stack.end("zoe", &stack.first_session()).await;
    assert!(gateway.status == 502 && gateway.header("content-type").starts_with("text/html"));
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (2, 0));
}

#[tokio::test]
async fn answers_get_lost_before_and_after_the_effect() {
    let stack = Stack::start().await;
    let path = format!("/users/zoe/sessions/{}", stack.first_session());
    let auth = [("authorization", &*format!("Bearer {KEY}"))];
    for (fault, left) in [(Fault::LostBefore, 2), (Fault::LostAfter, 1)] {
        stack.tts.faults().inject(fault.clone());
        assert!(stack.try_send("DELETE", &path, &auth, "").await.is_err(), "{fault:?}");
        assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (left, 2 - left), "{fault:?}");
    }
    assert_eq!(stack.call("DELETE", &path).await.name(), "user_session_not_found", "it had happened");
}

#[tokio::test]
async fn a_lying_success_ends_nothing() {
    let stack = Stack::start().await;
    stack.tts.faults().inject(Injection::once(Fault::LyingSuccess).on(Operation::DeleteSession));
    let reply = stack.end("zoe", &stack.first_session()).await;
    assert_eq!((reply.status, reply.text.as_str()), (200, "{}"));
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (2, 1));
    let effect = stack.tts.ledger().pop().expect("recorded").effect;
    assert_eq!(effect, Effect::Pretended { user_id: "zoe".into() });
}

#[tokio::test]
async fn a_lagging_listing_still_has_the_session_that_ended_last() {
    let stack = Stack::start().await;
    let ids = stack.tts.session_ids_of("zoe");
    assert_eq!(stack.end("zoe", &ids[0]).await.status, 200);
    stack.tts.faults().inject(Injection::once(Fault::StaleList).on(Operation::ListSessions));
    let stale = stack.get("/users/zoe/sessions").await;
    assert_eq!((stale.session_ids(), stale.header("x-total-count")), (ids.clone(), "2".into()));
    assert_eq!(stack.get("/users/zoe/sessions").await.session_ids(), ids[1..]);
}

#[tokio::test]
async fn a_person_signs_in_again_at_once() {
    let stack = Stack::start().await;
    let id = stack.first_session();
    stack.tts.faults().inject(Fault::SignInAgain);
    assert_eq!(stack.end("zoe", &id).await.status, 200);
    assert_eq!(stack.tts.sessions_of("zoe"), 2);
    assert!(!stack.tts.session_ids_of("zoe").contains(&id));
}

#[tokio::test]
async fn a_failure_may_come_after_the_deed() {
    let stack = Stack::start().await;
    let id = stack.first_session();
    stack.tts.faults().inject(Fault::Partial { status: 504 });
    assert_eq!(stack.end("zoe", &id).await.status, 504);
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (1, 1));
    assert_eq!(stack.end("zoe", &id).await.status, 404);
}

#[tokio::test]
async fn a_stale_index_hides_people_from_listings_and_searches() {
    let stack = Stack::start().await;
    for path in ["/users", "/search/users"] {
        stack.tts.faults().inject(Fault::StaleSearch { user_id: Some("zoe".into()) });
        let hidden = stack.get(path).await;
        assert_eq!((hidden.user_ids(), hidden.header("x-total-count")), (strings(&["admin"]), "1".into()));
        stack.tts.faults().inject(Fault::StaleSearch { user_id: None });
        assert_eq!(stack.get("/users/zoe").await.status, 200);
        assert_eq!(stack.get(path).await.text, "{}");
        assert_eq!(stack.get(path).await.user_ids(), ["admin", "zoe"]);
    }
}

#[tokio::test]
async fn bodies_go_wrong_in_every_way() {
    let stack = Stack::start().await;
    let strike = |fault| stack.tts.faults().inject(Injection::once(fault).on(Operation::AuthInfo));
    strike(Fault::Html);
    let page = stack.get("/auth_info").await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"));
    strike(Fault::MalformedJson);
    assert!(serde_json::from_str::<Value>(&stack.get("/auth_info").await.text).is_err());
    strike(Fault::HugeBody { size_bytes: 2_000_000 });
    assert_eq!(stack.get("/auth_info").await.text.len(), 2_000_000);
    strike(Fault::SlowBody { size_bytes: 3, every_ms: 1 });
    assert_eq!(stack.get("/auth_info").await.text, "   ");
    strike(Fault::Redirect { to: "https://elsewhere.example/".into() });
    let moved = stack.get("/auth_info").await;
    assert_eq!((moved.status, moved.header("location").as_str()), (302, "https://elsewhere.example/"));
}

#[tokio::test]
async fn faults_are_aimed_by_operation_id_and_a_late_answer_follows_its_effect() {
    let stack = Stack::start().await;
    let name: Operation = serde_json::from_value(json!("UserSessionRegistry_Delete")).expect("an operation");
    stack.tts.faults().inject(Injection::once(Fault::LateAnswer { duration_ms: 60_000 }).on(name));
    assert_eq!(stack.get("/users/zoe/sessions").await.status, 200);
    let id = stack.first_session();
    let ended = tokio::time::timeout(Duration::from_millis(300), stack.end("zoe", &id)).await;
    assert!(ended.is_err(), "no answer yet");
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (1, 1));
    stack.tts.shutdown().await;
    assert!(stack.try_send("GET", "/auth_info", &[], "").await.is_err());
}
