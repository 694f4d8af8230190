//! Calls that would have reached somebody else, and paths that a client forgot to guard.

use sever::sandbox::ledger::Effect;
use sever::sandbox::mattermost::Role;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::chat::*;

#[tokio::test]
async fn revoking_everybody_looks_done_is_recorded_and_does_nothing() {
    let chat = Chat::start().await;
    chat.post("/users/sessions/revoke/all", serde_json::Value::Null).await.assert_ok();
    chat.send("DELETE", &format!("/api/v4/users/{}", chat.zoe), &[ACCEPT, AUTH], "").await.assert_ok();
    let would: Vec<Effect> = chat.server.tripwires().into_iter().map(|call| call.effect).collect();
    let tripwire = |would: &str| Effect::Tripwire { would: would.to_owned() };
    let expected = [
        tripwire("end the sessions of every user of the server"),
        tripwire(&format!("deactivate the account {}", chat.zoe)),
    ];
    assert_eq!(would, expected);
    assert_eq!((chat.server.sessions_of("zoe"), chat.server.revocations_of("zoe")), (2, 0));
    assert_eq!(chat.get(&format!("/users/{}", chat.zoe)).await.json()["delete_at"], 0);
}

#[tokio::test]
async fn a_lesser_role_is_refused_and_recorded_all_the_same() {
    let chat = Chat::start_as(Role::UserManager).await;
    let reply = chat.post("/users/sessions/revoke/all", serde_json::Value::Null).await;
    reply.assert_refused(403, "api.context.permissions.app_error");
    assert_eq!(chat.server.tripwires().len(), 1);
    let reply = chat.send("POST", "/api/v4/users/sessions/revoke/all", &[ACCEPT], "").await;
    reply.assert_refused(401, "api.context.session_expired.app_error");
}

#[tokio::test]
async fn paths_that_a_client_forgot_to_guard_lead_where_a_proxy_would_take_them() {
    let chat = Chat::start().await;
    let zoe = chat.zoe.clone();
    // path, status, tripwires
    let table: Vec<(String, u16, usize)> = vec![
        ("/api/v4/users//sessions/revoke/all".into(), 200, 1),
        ("/api/v4/users/./sessions/revoke/all".into(), 200, 1),
        ("/api/v4/users/%2e/sessions/revoke/all".into(), 200, 1),
        (format!("/api/v4/users/{zoe}/../sessions/revoke/all"), 200, 1),
        ("/api/v4/users/x%2F..%2F/sessions/revoke/all".into(), 200, 1),
        ("/api/v4/users/../sessions/revoke/all".into(), 404, 0),
        (format!("/api/v4/users/{zoe}%00/sessions/revoke/all"), 404, 0),
        (format!("/api/v4/users/{zoe}%20/sessions/revoke/all"), 404, 0),
        (format!("/api/v4/users/{zoe}%zz/sessions/revoke/all"), 400, 0),
        (format!("/api/v4/users/{zoe}%ff/sessions/revoke/all"), 400, 0),
        (format!("/api/v4/users/{zoe};x=y/sessions/revoke/all"), 404, 0),
        (format!("/api/v4/users/%{:02x}{}/sessions/revoke/all", zoe.as_bytes()[0], &zoe[1..]), 200, 0),
        ("/api/v4/users/%6de/sessions/revoke/all".into(), 200, 0),
    ];
    for (path, status, tripwires) in table {
        chat.server.clear_ledger();
        assert_eq!(raw_status(&chat, &path).await, status, "{path}");
        assert_eq!(chat.server.tripwires().len(), tripwires, "{path}");
        assert_eq!(chat.server.ledger().pop().expect("recorded").path, path);
    }
    assert_eq!(chat.server.revocations_of("admin"), 1, "`me` is the owner of the token");
}

/// Sends the path as it is; a URL library would tidy it up.
async fn raw_status(chat: &Chat, path: &str) -> u16 {
    let mut stream = TcpStream::connect(chat.server.url().trim_start_matches("http://")).await.expect("a connection");
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\nauthorization: Bearer {TOKEN}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}
