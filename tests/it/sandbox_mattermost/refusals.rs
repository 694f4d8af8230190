//! What is refused, and how; what stands on every answer.

use serde_json::{Value, json};
use sever::sandbox::ledger::Effect;

use super::chat::*;

const URL_PARAM: &str = "api.context.invalid_url_param.app_error";
const BODY_PARAM: &str = "api.context.invalid_body_param.app_error";
const UNKNOWN_PATH: &str = "api.context.404.app_error";

type Headers = Vec<(&'static str, &'static str)>;

#[tokio::test]
async fn wrong_calls_are_refused_with_mattermost_s_status_and_id() {
    let chat = Chat::start().await;
    let zoe = format!("/api/v4/users/{}", chat.zoe);
    let table: Vec<(&str, String, u16, &str)> = vec![
        ("POST", "/api/v4/users/zoe/sessions/revoke/all".into(), 400, URL_PARAM),
        ("POST", format!("{zoe}x/sessions/revoke/all"), 400, URL_PARAM),
        ("POST", format!("/api/v4/users/{}/sessions/revoke/all", chat.zoe.to_uppercase()), 400, URL_PARAM),
        ("POST", "/api/v4/users/zoe@example.com/sessions/revoke/all".into(), 404, UNKNOWN_PATH),
        ("GET", "/api/v4/users/zoe/sessions".into(), 400, URL_PARAM),
        ("GET", "/api/v4/users/zoe".into(), 400, URL_PARAM),
        ("GET", "/api/v4/users/zoe/tokens".into(), 400, URL_PARAM),
        ("GET", "/api/v4/users/sessions".into(), 400, URL_PARAM),
        ("POST", format!("{zoe}/sessions/revoke/all?force=true"), 400, URL_PARAM),
        ("GET", format!("{zoe}/sessions?page=0"), 400, URL_PARAM),
        ("GET", format!("{zoe}/sessions?per_page=200"), 400, URL_PARAM),
        ("GET", format!("{zoe}?x"), 400, URL_PARAM),
        ("GET", format!("{zoe}/tokens?page=0&page=0"), 400, URL_PARAM),
        ("GET", format!("{zoe}/tokens?limit=9"), 400, URL_PARAM),
        ("GET", format!("{zoe}/sessions/revoke/all"), 404, UNKNOWN_PATH),
        ("DELETE", format!("{zoe}/sessions"), 404, UNKNOWN_PATH),
        ("POST", format!("{zoe}/sessions"), 404, UNKNOWN_PATH),
        ("POST", format!("{zoe}/sessions/revoke/all/"), 404, UNKNOWN_PATH),
        ("GET", "/api/v4/users".into(), 404, UNKNOWN_PATH),
        ("GET", "/api/v4".into(), 404, UNKNOWN_PATH),
        ("GET", "/api/v4/users/email/".into(), 404, UNKNOWN_PATH),
        ("GET", "/api/v4/users/username/z%20e".into(), 404, UNKNOWN_PATH),
        ("GET", "/api/v4/users/username/zoe@example.com".into(), 404, UNKNOWN_PATH),
        ("POST", format!("{zoe}/sessions/revoke"), 400, BODY_PARAM),
        ("POST", "/api/v4/users/tokens/revoke".into(), 400, BODY_PARAM),
        ("POST", "/api/v4/users/tokens/disable".into(), 400, BODY_PARAM),
    ];
    for (method, path, status, id) in table {
        let reply = chat.send(method, &path, &[ACCEPT, AUTH], "").await;
        assert_eq!((reply.status, reply.id().as_str()), (status, id), "{method} {path}: {}", reply.text);
        let recorded = chat.server.ledger().pop().expect("refused calls are recorded too");
        assert_eq!((recorded.status, recorded.error_code.as_deref()), (Some(status), Some(id)), "{method} {path}");
        assert_eq!(recorded.effect, Effect::None, "{method} {path}");
    }
    assert_eq!((chat.server.sessions_of("zoe"), chat.server.revocations_of("zoe")), (2, 0));
}

#[tokio::test]
async fn bodies_must_be_right_where_one_is_read_and_absent_elsewhere() {
    let chat = Chat::start().await;
    let id = chat.server.session_ids_of("zoe").remove(0);
    let revoke = format!("{}/revoke", chat.sessions_path());
    let table = [
        json!({}),
        json!({"session_id": ""}),
        json!({"session_id": 26}),
        json!({"id": id}),
        json!({"session_id": id, "force": "true"}),
        json!([id]),
        json!(id),
    ];
    for body in table {
        chat.post(&revoke, body.clone()).await.assert_refused(400, BODY_PARAM);
    }
    let broken = chat.send("POST", &format!("/api/v4{revoke}"), &[ACCEPT, JSON, AUTH], "{\"session_id\":").await;
    broken.assert_refused(400, BODY_PARAM);
    chat.revoke(&"x".repeat(310_000)).await.assert_refused(413, "api.context.request_body_too_large.app_error");
    chat.post(&format!("{revoke}/all"), json!({})).await.assert_refused(400, BODY_PARAM);
    assert_eq!(chat.server.sessions_of("zoe"), 2);
}

#[tokio::test]
async fn headers_must_be_right() {
    let chat = Chat::start().await;
    let expired = "api.context.session_expired.app_error";
    let with = |value: &'static str| vec![ACCEPT, ("authorization", value)];
    let table: Vec<(Headers, u16, &str)> = vec![
        (vec![AUTH], 406, "sandbox.accept.not_json"),
        (vec![AUTH, ("accept", "text/html")], 406, "sandbox.accept.not_json"),
        (vec![ACCEPT, AUTH, ("content-type", "text/plain")], 415, "sandbox.content_type.not_json"),
        (vec![ACCEPT], 401, expired),
        (with("Bearer wrong"), 401, expired),
        (with("Bearer "), 401, expired),
        (with(TOKEN), 401, expired),
        (with("Basic q7tfx9b1sdrg5yk3nuc4wemozh"), 401, expired),
        (with("Bearer  q7tfx9b1sdrg5yk3nuc4wemozh"), 401, expired),
        (with("Bearerq7tfx9b1sdrg5yk3nuc4wemozh"), 401, expired),
        (vec![ACCEPT, AUTH, AUTH], 401, expired),
        (vec![ACCEPT, AUTH, ("cookie", "MMAUTHTOKEN=q7tfx9b1sdrg5yk3nuc4wemozh")], 401, expired),
    ];
    let path = format!("/api/v4{}/revoke/all", chat.sessions_path());
    for (headers, status, id) in table {
        let reply = chat.send("POST", &path, &headers, "").await;
        assert_eq!((reply.status, reply.id().as_str()), (status, id), "{headers:?}");
    }
    let form = [ACCEPT, AUTH, ("content-type", "application/x-www-form-urlencoded")];
    let session = chat.server.session_ids_of("zoe").remove(0);
    let reply = chat.send("POST", path.trim_end_matches("/all"), &form, &format!("session_id={session}")).await;
    reply.assert_refused(415, "sandbox.content_type.not_json");
    assert_eq!(chat.server.sessions_of("zoe"), 2);
    chat.send("POST", &path, &[ACCEPT, ("authorization", "bearer q7tfx9b1sdrg5yk3nuc4wemozh")], "").await.assert_ok();
}

#[tokio::test]
async fn a_url_may_have_two_thousand_and_forty_eight_characters() {
    let chat = Chat::start().await;
    let reply = chat.get(&format!("/users/email/{}@example.com", "x".repeat(2_100))).await;
    reply.assert_refused(414, "basic_security_check.url.too_long_error");
}

#[tokio::test]
async fn errors_have_every_field_and_answers_their_headers() {
    let chat = Chat::start().await;
    let reply = chat.get("/nowhere").await;
    let error = reply.json();
    let mut fields: Vec<&String> = error.as_object().expect("an object").keys().collect();
    fields.sort();
    assert_eq!(fields, ["detailed_error", "id", "message", "request_id", "status_code"]);
    assert_eq!((&error["status_code"], &error["detailed_error"]), (&json!(404), &json!("")));
    for reply in [reply, chat.list().await, chat.get("/users/me").await] {
        assert_eq!(reply.header("date"), "Sat, 21 Nov 2026 22:14:07 GMT");
        assert_eq!((reply.header("expires"), reply.header("x-request-id").len()), ("0".into(), 26));
        assert_eq!(reply.header("content-type"), "application/json");
        assert!(!reply.headers.contains_key("x-ratelimit-limit"), "limits are off by default");
    }
}

#[tokio::test]
async fn messages_speak_the_language_of_the_caller() {
    let chat = Chat::start().await;
    let ask = |language: &'static str| {
        let headers = [ACCEPT, ("accept-language", language)];
        let chat = &chat;
        async move { chat.send("GET", "/api/v4/users/me", &headers, "").await.json() }
    };
    let (english, german) = (ask("en").await, ask("de-DE,de;q=0.9").await);
    assert_eq!(english["message"], "Invalid or expired session, please login again.");
    assert_ne!(english["message"], german["message"]);
    assert_eq!(english["id"], german["id"]);
}

#[tokio::test]
async fn developer_mode_repeats_the_token_of_a_refused_call() {
    let chat = Chat::start().await;
    let quiet = chat.get_with("s3cr3t", "/users/me").await;
    assert!(!quiet.text.contains("s3cr3t"));
    chat.server.use_developer_mode();
    let loud: Value = chat.get_with("s3cr3t", "/users/me").await.json();
    assert_eq!(loud["detailed_error"], "token=s3cr3t");
    let kept = format!("{:?}", chat.server.ledger());
    assert!(!kept.contains("s3cr3t"), "{kept}");
}

#[tokio::test]
async fn a_token_in_the_query_is_for_oauth_apps_and_is_not_written_down() {
    let chat = Chat::start().await;
    let bare = [ACCEPT];
    let reply = chat.send("GET", &format!("/api/v4/users/me?access_token={TOKEN}"), &bare, "").await;
    reply.assert_refused(401, "api.context.token_provided.app_error");
    assert_eq!(chat.server.ledger().pop().expect("a call").query, "[withheld]");
    let app = chat.server.sign_in_from("zoe", sever::sandbox::mattermost::Device::OAuth);
    let token = chat.server.session_token(&app).expect("a token");
    let reply = chat.send("GET", &format!("/api/v4/users/me?access_token={token}"), &bare, "").await;
    assert_eq!(reply.json()["username"], "zoe");
}

#[tokio::test]
async fn the_ping_asks_for_no_login() {
    let chat = Chat::start().await;
    chat.send("GET", "/api/v4/system/ping", &[ACCEPT], "").await.assert_ok();
}
