//! What the list shows and what revocations change.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use sever::sandbox::ledger::Effect;
use sever::sandbox::mattermost::Device;

use super::chat::*;

#[tokio::test]
async fn the_list_has_every_row_newest_activity_first_and_no_token() {
    let chat = Chat::start().await;
    chat.server.session_ids_of("zoe").iter().for_each(|id| chat.server.keep_session(id));
    chat.clock.advance(Duration::from_secs(10));
    let phone = chat.server.sign_in_from("zoe", Device::Mobile);
    chat.clock.advance(Duration::from_secs(10));
    let app = chat.server.sign_in_from("zoe", Device::OAuth);
    let reply = chat.list().await;
    assert_eq!((reply.status, reply.header("content-type").as_str()), (200, "application/json"));
    let (rows, at) = (reply.json(), (START_S + 20) * 1000);
    assert_eq!(reply.ids()[..2], [app, phone]);
    assert_eq!(reply.ids().len(), 4);
    assert_eq!((&rows[0]["create_at"], &rows[0]["last_activity_at"]), (&json!(at), &json!(at)));
    assert_eq!(rows[0]["expires_at"], json!(at + 2_592_000_000_i64));
    assert_eq!(rows[3]["expires_at"], 0, "never");
    assert_eq!((&rows[0]["is_oauth"], &rows[1]["is_oauth"]), (&json!(true), &json!(false)));
    assert_eq!((&rows[1]["props"]["isMobile"], &rows[2]["props"]["isMobile"]), (&json!("true"), &json!("false")));
    for row in rows.as_array().expect("a list") {
        assert_eq!((&row["token"], &row["user_id"]), (&json!(""), &json!(chat.zoe)));
        assert_eq!(row["props"]["csrf"].as_str().map(str::len), Some(26), "a secret that a client must not repeat");
    }
}

#[tokio::test]
async fn use_of_a_session_brings_it_to_the_front() {
    let chat = Chat::start().await;
    chat.clock.advance(Duration::from_secs(5));
    let old = chat.list().await.ids().pop().expect("two sessions");
    let token = chat.server.session_token(&old).expect("a token");
    assert_eq!(chat.get_with(&token, "/users/me").await.json()["username"], "zoe");
    assert_eq!(chat.list().await.ids()[0], old);
}

#[tokio::test]
async fn revoke_all_ends_everything_and_again_and_also_for_nobody() {
    let chat = Chat::start().await;
    let app = chat.server.sign_in_from("zoe", Device::OAuth);
    let token = chat.server.session_token(&app).expect("a token");
    chat.revoke_all().await.assert_ok();
    let revoked = |sessions, tokens| Effect::UserRevoked { user_id: chat.zoe.clone(), sessions, tokens, devices: 0 };
    assert_eq!(chat.last_effect(), revoked(3, 1));
    chat.revoke_all().await.assert_ok();
    assert_eq!(chat.last_effect(), revoked(0, 0));
    assert_eq!((chat.server.sessions_of("zoe"), chat.server.revocations_of("zoe")), (0, 2));
    assert_eq!(chat.list().await.text, "[]");
    chat.get_with(&token, "/users/me").await.assert_refused(401, "api.context.session_expired.app_error");

    chat.post(&format!("/users/{NOBODY}/sessions/revoke/all"), json!(null)).await.assert_ok();
    assert_eq!(chat.get(&format!("/users/{NOBODY}/sessions")).await.text, "[]");
}

#[tokio::test]
async fn one_session_is_ended_by_its_id_or_its_token_and_is_then_unknown() {
    let chat = Chat::start().await;
    let ids = chat.server.session_ids_of("zoe");
    chat.revoke(&ids[0]).await.assert_ok();
    let session_id = ids[0].clone();
    assert_eq!(chat.last_effect(), Effect::SessionRevoked { user_id: chat.zoe.clone(), session_id });
    assert_eq!(chat.server.session_ids_of("zoe"), ids[1..]);
    chat.revoke(&ids[0]).await.assert_refused(400, "app.session.get.app_error");
    let token = chat.server.session_token(&ids[1]).expect("a token");
    chat.revoke(&token).await.assert_ok();
    assert_eq!(chat.server.sessions_of("zoe"), 0);
}

#[tokio::test]
async fn the_session_of_somebody_else_is_not_ended() {
    let chat = Chat::start().await;
    chat.get("/users/me").await;
    let ours = chat.server.session_ids_of("admin").remove(0);
    chat.revoke(&ours).await.assert_refused(400, "api.context.invalid_url_param.app_error");
    assert_eq!((chat.server.sessions_of("admin"), chat.last_effect()), (1, Effect::None));
    chat.post("/users/me/sessions/revoke", json!({"session_id": ours})).await.assert_ok();
    assert_eq!(chat.server.sessions_of("admin"), 0, "one's own may be ended, also the one in use");
}

#[tokio::test]
async fn a_session_may_end_itself() {
    let chat = Chat::start().await;
    let id = chat.server.session_ids_of("zoe").remove(0);
    let bearer = format!("Bearer {}", chat.server.session_token(&id).expect("a token"));
    let send = || async {
        chat.send("POST", "/api/v4/users/me/sessions/revoke/all", &[ACCEPT, ("authorization", &bearer)], "").await
    };
    send().await.assert_ok();
    send().await.assert_refused(401, "api.context.session_expired.app_error");
}

#[tokio::test]
async fn expired_rows_are_listed_until_the_job_takes_them() {
    let chat = Chat::start().await;
    let id = chat.server.session_ids_of("zoe").remove(0);
    let token = chat.server.session_token(&id).expect("a token");
    chat.server.expire_session(&id);
    assert_eq!((chat.server.sessions_of("zoe"), chat.server.rows_of("zoe")), (1, 2));
    assert!(chat.list().await.ids().contains(&id));
    chat.get_with(&token, "/users/me").await.assert_refused(401, "api.context.session_expired.app_error");
    chat.server.clean_up();
    assert_eq!(chat.list().await.ids().len(), 1);
    chat.clock.advance(Duration::from_secs(30 * 86_400));
    assert_eq!((chat.server.sessions_of("zoe"), chat.list().await.ids().len()), (0, 1));
    chat.revoke_all().await.assert_ok();
    assert_eq!(chat.server.rows_of("zoe"), 0);
}

#[tokio::test]
async fn the_replica_shows_the_past_and_revocations_miss_what_it_has_not_heard_of() {
    let chat = Chat::start().await;
    chat.server.lag_replica(SignedDuration::from_secs(5));
    assert_eq!(chat.list().await.text, "[]", "two sign-ins that it has not heard of");
    chat.clock.advance(Duration::from_secs(5));
    let fresh = [chat.server.sign_in("zoe")];
    assert_eq!(chat.list().await.ids().len(), 2);
    chat.revoke_all().await.assert_ok();
    assert_eq!(chat.server.session_ids_of("zoe"), fresh, "made a moment ago");
    assert_eq!(chat.list().await.ids().len(), 2, "ended, and still shown");
    chat.clock.advance(Duration::from_secs(4));
    assert_eq!(chat.list().await.ids().len(), 2);
    chat.clock.advance(Duration::from_secs(1));
    assert_eq!(chat.list().await.ids(), fresh);
    chat.revoke_all().await.assert_ok();
    chat.clock.advance(Duration::from_secs(5));
    assert_eq!((chat.list().await.text.as_str(), chat.server.sessions_of("zoe")), ("[]", 0));
}

#[tokio::test]
async fn the_least_recently_used_of_five_hundred_sessions_makes_room() {
    let chat = Chat::start().await;
    for _ in 0..498 {
        chat.clock.advance(Duration::from_secs(1));
        chat.server.sign_in("zoe");
    }
    let oldest = chat.list().await.ids().split_off(498);
    let newest = chat.server.sign_in("zoe");
    let left = chat.server.session_ids_of("zoe");
    assert_eq!(left.len(), 500, "no page ends the list");
    assert_eq!(chat.list().await.ids().len(), 500);
    assert!(left.contains(&newest));
    assert_eq!(oldest.iter().filter(|id| left.contains(id)).count(), 1);
}

#[tokio::test]
async fn deactivation_ends_sessions_and_the_account_can_still_be_named() {
    let chat = Chat::start().await;
    chat.clock.advance(Duration::from_secs(7));
    chat.server.deactivate("zoe");
    assert_eq!(chat.server.sessions_of("zoe"), 0);
    assert_eq!(chat.get(&format!("/users/{}", chat.zoe)).await.json()["delete_at"], json!((START_S + 7) * 1000));
    chat.revoke_all().await.assert_ok();
}
