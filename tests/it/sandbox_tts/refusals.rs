//! What is refused, and how; where paths lead.

use serde_json::json;
use sever::sandbox::ledger::Effect;

use super::stack::*;

#[tokio::test]
async fn wrong_calls_are_refused_with_the_vendor_s_status_and_code() {
    let stack = Stack::start().await;
    let sessions = "/users/zoe/sessions";
    let one = format!("{sessions}/{}", stack.first_session());
    let long = "a".repeat(51);
    // The gateway's own refusals have no details.
    let table: Vec<(&str, String, u16, i64, &str)> = vec![
        ("GET", format!("{sessions}?limit=1001"), 400, 3, "validation"),
        ("GET", format!("{sessions}?limit=ten"), 400, 3, ""),
        ("GET", format!("{sessions}?limit=-1"), 400, 3, ""),
        ("GET", format!("{sessions}?limit=%2B1"), 400, 3, ""),
        ("GET", format!("{sessions}?limit="), 400, 3, ""),
        ("GET", format!("{sessions}?limit=4294967296"), 400, 3, ""),
        ("GET", format!("{sessions}?page=one"), 400, 3, ""),
        ("GET", format!("{sessions}?limit=1&limit=1"), 400, 3, ""),
        ("GET", format!("{sessions}?limit"), 400, 3, ""),
        ("GET", format!("{sessions}?order=session_id"), 400, 3, "validation"),
        ("GET", format!("{sessions}?order=expires_at"), 400, 3, "validation"),
        ("GET", format!("{sessions}?order=--created_at"), 400, 3, "validation"),
        ("GET", format!("{sessions}?order=Created_at"), 400, 3, "validation"),
        ("GET", format!("{sessions}?field_mask=name"), 400, 3, ""),
        ("GET", format!("{sessions}?user_id=zoe"), 400, 3, ""),
        ("GET", format!("{sessions}?Limit=1"), 400, 3, ""),
        ("GET", format!("{sessions}?limit=%zz"), 400, 3, ""),
        ("DELETE", format!("{one}?force=true"), 400, 3, ""),
        ("DELETE", format!("{one}?limit=1"), 400, 3, ""),
        ("GET", "/auth_info?token=x".into(), 400, 3, ""),
        ("GET", "/users?order=email".into(), 400, 3, "validation"),
        ("GET", "/users?limit=1001".into(), 400, 3, "validation"),
        ("GET", "/users?query=zoe".into(), 400, 3, ""),
        ("GET", "/users?state=STATE_APPROVED".into(), 400, 3, ""),
        ("GET", "/users?deleted=yes".into(), 400, 3, ""),
        ("GET", "/users?primary_email_address=zoe%40example.com".into(), 400, 3, ""),
        ("GET", "/search/users?primary_email_address=zoe%40example.com".into(), 400, 3, ""),
        ("GET", format!("/search/users?query={long}"), 400, 3, "validation"),
        ("GET", format!("/search/users?id_contains={long}"), 400, 3, "validation"),
        ("GET", format!("/search/users?name_contains={long}"), 400, 3, "validation"),
        ("GET", format!("/search/users?description_contains={long}"), 400, 3, "validation"),
        ("GET", format!("/search/users?attributes_contain[a]={long}"), 400, 3, "validation"),
        ("GET", "/search/users?state=STATE_HAPPY".into(), 400, 3, ""),
        ("GET", "/search/users?attributes_contain=x".into(), 400, 3, ""),
        ("GET", "/users/zoe%40example.com".into(), 400, 3, "validation"),
        ("GET", "/users/Zoe/sessions".into(), 400, 3, "validation"),
        ("GET", "/users/z/sessions".into(), 400, 3, "validation"),
        ("GET", "/users/zo--e/sessions".into(), 400, 3, "validation"),
        ("GET", "/users/-zoe/sessions".into(), 400, 3, "validation"),
        ("GET", "/users/zoe-/sessions".into(), 400, 3, "validation"),
        ("GET", "/users/zo%C3%A9/sessions".into(), 400, 3, "validation"),
        ("GET", format!("/users/{}/sessions", "a".repeat(37)), 400, 3, "validation"),
        ("GET", format!("/users/{}/sessions", "a".repeat(36)), 404, 5, "user_not_found"),
        ("DELETE", one.replace("zoe", "zo%00"), 400, 3, ""),
        ("GET", "/users/me/sessions".into(), 404, 5, "user_not_found"),
        ("GET", "/nowhere".into(), 404, 5, ""),
        ("GET", "/users/".into(), 404, 5, ""),
        ("GET", format!("{sessions}/"), 404, 5, ""),
        ("DELETE", format!("{sessions}/"), 404, 5, ""),
        ("DELETE", format!("{one}/x"), 404, 5, ""),
        ("DELETE", "/users//sessions/x".into(), 404, 5, ""),
        ("DELETE", sessions.into(), 501, 12, ""),
        ("DELETE", "/users".into(), 501, 12, ""),
        ("POST", sessions.into(), 501, 12, ""),
        ("GET", one.clone(), 501, 12, ""),
        ("POST", "/auth_info".into(), 501, 12, ""),
        ("GET", "/users/zoe/authorizations".into(), 501, 12, ""),
        ("DELETE", "/users/zoe/authorizations/console".into(), 501, 12, ""),
    ];
    for (method, path, status, code, name) in table {
        let reply = stack.call(method, &path).await;
        assert_eq!(reply.error(), (status, name.into(), code), "{method} {path}: {}", reply.text);
        let details = reply.json()["details"].as_array().expect("a list").len();
        assert_eq!(details, usize::from(!name.is_empty()), "{method} {path}");
        let recorded = stack.tts.ledger().pop().expect("refused calls are recorded too");
        assert_eq!((recorded.status, recorded.effect), (Some(status), Effect::None), "{method} {path}");
    }
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (2, 0));
}

#[tokio::test]
async fn a_body_is_refused_and_parameters_are_judged_before_the_credential() {
    let stack = Stack::start().await;
    let path = format!("/users/zoe/sessions/{}", stack.first_session());
    let auth = [("authorization", &*format!("Bearer {KEY}"))];
    let reply = stack.try_send("DELETE", &path, &auth, "{}").await.expect("an answer");
    assert_eq!(reply.error(), (400, String::new(), 3));
    assert_eq!(stack.with("NNSXS.A.B", "GET", "/users/Zoe/sessions").await.name(), "validation");
    assert_eq!(stack.with("NNSXS.A.B", "GET", "/users/zoe/sessions?order=x").await.name(), "validation");
    assert_eq!(stack.with("NNSXS.A.B", "GET", "/users/zoe/sessions").await.name(), "api_key_not_found");
}

#[tokio::test]
async fn errors_have_every_field() {
    let stack = Stack::start().await;
    let body = stack.get("/users/Zoe/sessions").await.json();
    let details = &body["details"][0];
    assert_eq!(details["@type"], "type.googleapis.com/ttn.lorawan.v3.ErrorDetails");
    assert_eq!((&details["namespace"], &details["code"]), (&json!("pkg/errors"), &json!(3)));
    assert_eq!(details["message_format"], "invalid `{field}`: {reason}");
    assert_eq!(details["attributes"]["field"], "user_id");
    assert_eq!(details["correlation_id"].as_str().map(str::len), Some(32));
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.starts_with("error:pkg/errors:validation (invalid `user_id`: "))
    );
    let plain = stack.get("/nowhere").await;
    assert_eq!(plain.json(), json!({"code": 5, "message": "Not Found", "details": []}));
    assert_eq!(plain.header("date"), "Thu, 15 Jan 2026 08:30:00 GMT");
}

#[tokio::test]
async fn paths_are_read_as_a_go_server_reads_them() {
    let stack = Stack::start().await;
    let ids = stack.tts.session_ids_of("zoe");
    let table = [
        ("GET", "/users/zoe/sessions".to_owned(), 404),
        ("GET", "/api/v2/users/zoe/sessions".to_owned(), 404),
        ("GET", "//api/v3/users/zoe/sessions".to_owned(), 404),
        ("GET", "/api/v3/users/%zz/sessions".to_owned(), 400),
        ("GET", "/api/v3/users/%ff/sessions".to_owned(), 400),
        ("GET", "/api/v3/users/%7Aoe/sessions".to_owned(), 200),
        ("GET", "/api/v3/users/%257Aoe/sessions".to_owned(), 400),
        ("GET", "/api/v3/users/x/../zoe/sessions".to_owned(), 200),
        ("GET", "/api/v3/users/..%2Fauth_info".to_owned(), 200),
        ("DELETE", format!("/api/v3/users/zoe%2Fsessions%2F{}", ids[0]), 200),
        ("DELETE", format!("/api/v3/users/zoe/sessions/x%2F..%2F{}", ids[1]), 200),
    ];
    for (method, path, status) in table {
        assert_eq!(stack.raw_status(method, &path).await, status, "{method} {path}");
        assert_eq!(stack.tts.ledger().pop().expect("recorded").path, path);
    }
    assert_eq!(stack.tts.sessions_of("zoe"), 0);
}

#[tokio::test]
async fn what_no_honest_client_calls_is_recorded_and_does_nothing() {
    let stack = Stack::start().await;
    let table = [
        ("DELETE", "/users/zoe"),
        ("DELETE", "/users/zoe/sessions/.."),
        ("DELETE", "/users/zoe/sessions/%2e%2e"),
        ("DELETE", "/users/admin/sessions/..%2F..%2Fzoe"),
        ("DELETE", "/users/zoe/sessions%2F..%2Fpurge"),
        ("POST", "/users/zoe/restore"),
        ("PUT", "/users/zoe"),
        ("PUT", "/users/zoe/password"),
        ("POST", "/users/zoe/temporary_password"),
        ("POST", "/users/zoe/api-keys"),
        ("PUT", "/users/zoe/api-keys/ABC"),
        ("DELETE", "/users/zoe/api-keys/ABC"),
        ("DELETE", "/organizations/zoe"),
        ("DELETE", "/organizations/zoe/purge"),
    ];
    for (at, (method, path)) in table.into_iter().enumerate() {
        assert_eq!(stack.raw_status(method, &format!("/api/v3{path}")).await, 200, "{method} {path}");
        let tripped = stack.tts.tripwires();
        assert_eq!((tripped.len(), tripped[at].method.as_str()), (at + 1, method), "{method} {path}");
        assert!(matches!(&tripped[at].effect, Effect::Tripwire { would } if !would.is_empty()));
    }
    assert_eq!((stack.tts.sessions_of("zoe"), stack.tts.revocations_of("zoe")), (2, 0));
    assert!(stack.tts.person("zoe").is_some());
    stack.tts.clear_ledger();
    assert_eq!((stack.tts.tripwires().len(), stack.tts.ledger().len()), (0, 0));
}
