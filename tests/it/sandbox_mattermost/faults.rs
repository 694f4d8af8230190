//! The fault switches, one by one.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::ledger::Effect;
use sever::sandbox::mattermost::Operation;

use super::chat::*;

#[tokio::test]
async fn throttling_comes_in_every_form_and_never_as_json() {
    let chat = Chat::start().await;
    chat.server.shift_clock(SignedDuration::from_secs(500));
    let text = |numbers: &[i64]| numbers.iter().map(ToString::to_string).collect::<Vec<_>>();
    // fault, limit, resets, waits
    let table = [
        (Fault::RateLimit { reset_in_s: 30 }, vec![101], vec![30], vec![30]),
        (Fault::ConcurrencyLimit { reset_in_s: -5 }, vec![0], vec![START_S + 495], vec![]),
        (Fault::RepeatedReset { resets_in_s: vec![40, 7] }, vec![101], vec![40, 7], vec![40, 7]),
        (Fault::ThrottleWithoutHint, vec![], vec![], vec![]),
    ];
    for (fault, limit, resets, waits) in table {
        let hinted = fault != Fault::ThrottleWithoutHint;
        chat.server.faults().inject(fault);
        let reply = chat.revoke_all().await;
        assert_eq!((reply.status, reply.text.as_str()), (429, "limit exceeded\n"));
        assert_eq!(reply.header("content-type"), "text/plain; charset=utf-8");
        assert_eq!((reply.all("x-ratelimit-limit"), reply.all("x-ratelimit-reset")), (text(&limit), text(&resets)));
        assert_eq!((reply.all("retry-after"), reply.headers.contains_key("date")), (text(&waits), hinted));
    }
    chat.revoke_all().await.assert_ok();
}

#[tokio::test]
async fn errors_are_sent_in_place_of_the_effect() {
    let chat = Chat::start().await;
    let table = [
        (400, "app.session.get.app_error"),
        (401, "api.context.session_expired.app_error"),
        (403, "api.context.permissions.app_error"),
        (403, "api.context.mfa_required.app_error"),
        (404, "app.user.missing_account.const"),
        (413, "api.context.request_body_too_large.app_error"),
        (500, "app.session.get_sessions.app_error"),
        (500, "app.session.remove.app_error"),
        (500, "app.oauth.remove_access_data.app_error"),
        (501, "app.user_access_token.disabled"),
        (503, "api.context.server_busy.app_error"),
    ];
    for (status, id) in table {
        chat.server.faults().inject(Fault::Error { status, code: id.to_owned() });
        let reply = chat.revoke_all().await;
        reply.assert_refused(status, id);
        assert_eq!(reply.json()["status_code"], status);
    }
    for status in [502, 503, 504] {
        chat.server.faults().inject(Fault::Error { status, code: String::new() });
        let gateway = chat.revoke_all().await;
        assert!(gateway.status == status && gateway.header("content-type").starts_with("text/html"));
    }
    assert_eq!((chat.server.sessions_of("zoe"), chat.server.revocations_of("zoe")), (2, 0));
}

#[tokio::test]
async fn hardened_servers_hide_what_went_wrong() {
    let chat = Chat::start().await;
    chat.server.harden();
    chat.server.faults().inject(Fault::Error { status: 503, code: "api.context.server_busy.app_error".into() });
    let reply = chat.revoke_all().await;
    reply.assert_refused(500, "");
    assert_eq!(reply.json()["message"], "Internal Server Error");
    chat.get(&format!("/users/{NOBODY}")).await.assert_refused(404, "app.user.missing_account.const");
}

#[tokio::test]
async fn half_of_a_revocation_may_be_done_before_it_fails() {
    let chat = Chat::start().await;
    chat.server.sign_in("zoe");
    chat.server.faults().inject(Fault::Partial { status: 500 });
    chat.revoke_all().await.assert_refused(500, "app.session.remove.app_error");
    assert_eq!(chat.server.sessions_of("zoe"), 1);
    let effect = Effect::UserRevoked { user_id: chat.zoe.clone(), sessions: 2, tokens: 0, devices: 0 };
    assert_eq!(chat.last_effect(), effect);
    chat.revoke_all().await.assert_ok();
    assert_eq!(chat.server.sessions_of("zoe"), 0);
}

#[tokio::test]
async fn answers_get_lost_before_and_after_the_effect() {
    let chat = Chat::start().await;
    let path = format!("/api/v4{}/revoke/all", chat.sessions_path());
    for (fault, left, reached) in [(Fault::LostBefore, 2, 0), (Fault::LostAfter, 0, 1)] {
        chat.server.clear_ledger();
        chat.server.faults().inject(fault.clone());
        assert!(chat.try_send("POST", &path, &[ACCEPT, AUTH], "").await.is_err(), "{fault:?}");
        let left_and_reached = (chat.server.sessions_of("zoe"), chat.server.revocations_of("zoe"));
        assert_eq!(left_and_reached, (left, reached), "{fault:?}");
    }
}

#[tokio::test]
async fn a_lying_success_leaves_everything_alive() {
    let chat = Chat::start().await;
    let (token, _) = chat.server.issue_token("zoe");
    let session = chat.server.session_ids_of("zoe").remove(0);
    chat.server.faults().inject(Injection::once(Fault::LyingSuccess).times(4));
    chat.revoke_all().await.assert_ok();
    chat.revoke(&session).await.assert_ok();
    for operation in ["revoke", "disable"] {
        chat.post(&format!("/users/tokens/{operation}"), json!({"token_id": token})).await.assert_ok();
    }
    assert_eq!((chat.server.sessions_of("zoe"), chat.server.tokens_of("zoe").len()), (2, 1));
    assert_eq!(chat.server.revocations_of("zoe"), 4);
}

#[tokio::test]
async fn a_stale_list_shows_how_things_stood_before_the_latest_revocation() {
    let chat = Chat::start().await;
    let mut ids = chat.server.session_ids_of("zoe");
    chat.revoke_all().await.assert_ok();
    chat.server.faults().inject(Injection::once(Fault::StaleList).on(Operation::GetSessions));
    let mut stale = chat.list().await.ids();
    ids.sort();
    stale.sort();
    assert_eq!(stale, ids);
    assert_eq!(chat.list().await.text, "[]");
}

#[tokio::test]
async fn who_signs_in_again_at_once_has_a_session_that_was_not_there() {
    let chat = Chat::start().await;
    let old = chat.server.session_ids_of("zoe");
    chat.server.faults().inject(Fault::SignInAgain);
    chat.revoke_all().await.assert_ok();
    let new = chat.server.session_ids_of("zoe");
    assert!(new.len() == 1 && !old.contains(&new[0]));
    chat.server.faults().inject(Fault::SignInAgain);
    chat.revoke(&new[0]).await.assert_ok();
    assert_ne!(chat.server.session_ids_of("zoe"), new);
    assert_eq!(chat.server.sessions_of("zoe"), 1);
}

#[tokio::test]
async fn a_stale_index_hides_a_person_from_names_only() {
    let chat = Chat::start().await;
    let hide = |whom: Option<&str>| Fault::StaleSearch { user_id: whom.map(ToOwned::to_owned) };
    chat.server.faults().inject(Injection::once(hide(Some(&chat.zoe))).times(2));
    assert_eq!(chat.get("/users/username/admin").await.status, 200);
    assert_eq!(chat.get("/users/email/zoe.lang@example.com").await.status, 404);
    assert_eq!(chat.get("/users/email/zoe.lang@example.com").await.status, 200);
    chat.server.faults().inject(Injection::once(hide(None)).on(Operation::GetUserByUsername));
    assert_eq!(chat.get(&format!("/users/{}", chat.zoe)).await.status, 200);
    assert_eq!(chat.get("/users/username/zoe").await.status, 404);
}

#[tokio::test]
async fn bodies_go_wrong_in_every_way() {
    let chat = Chat::start().await;
    let strike = |fault| chat.server.faults().inject(Injection::once(fault).on(Operation::GetUser));
    strike(Fault::Html);
    let page = chat.get("/users/me").await;
    assert!(page.status == 200 && page.header("content-type").starts_with("text/html"));
    strike(Fault::MalformedJson);
    let broken = chat.get("/users/me").await;
    assert!(broken.status == 200 && serde_json::from_str::<Value>(&broken.text).is_err());
    strike(Fault::HugeBody { size_bytes: 3_000_000 });
    assert_eq!(chat.get("/users/me").await.text.len(), 3_000_000);
    strike(Fault::SlowBody { size_bytes: 3, every_ms: 1 });
    assert_eq!(chat.get("/users/me").await.text, "   ");
    strike(Fault::Redirect { to: "https://elsewhere.example/".into() });
    let moved = chat.get("/users/me").await;
    assert_eq!((moved.status, moved.header("location").as_str()), (302, "https://elsewhere.example/"));
}

#[tokio::test]
async fn a_late_answer_comes_after_its_effect() {
    let chat = Chat::start().await;
    chat.server.faults().inject(Fault::LateAnswer { duration_ms: 60_000 });
    let url = format!("{}/api/v4{}/revoke/all", chat.server.url(), chat.sessions_path());
    let request = chat.client.post(url).header(ACCEPT.0, ACCEPT.1).header(AUTH.0, AUTH.1);
    assert!(request.timeout(Duration::from_millis(300)).send().await.is_err());
    assert_eq!((chat.server.sessions_of("zoe"), chat.server.revocations_of("zoe")), (0, 1));
    chat.server.shutdown().await;
    assert!(chat.try_send("GET", "/", &[], "").await.is_err(), "shut down");
}

#[tokio::test]
async fn a_fault_strikes_its_operation_as_often_as_told() {
    let chat = Chat::start().await;
    let error = || Fault::Error { status: 500, code: "app.session.remove.app_error".into() };
    chat.server.faults().inject(Injection::once(error()).on(Operation::RevokeAllSessions).times(2));
    assert_eq!(chat.get("/users/me").await.status, 200);
    let statuses = [chat.revoke_all().await.status, chat.revoke_all().await.status, chat.revoke_all().await.status];
    assert_eq!(statuses, [500, 500, 200]);
    chat.server.faults().inject(Injection::once(error()).until_cleared());
    assert_eq!([chat.get("/nowhere").await.status, chat.list().await.status], [500, 500]);
    chat.server.faults().clear();
    assert_eq!(chat.list().await.status, 200);
}
