//! What is refused, and how; what stands on every answer.

use std::time::Duration;

use sever::sandbox::ledger::Effect;
use sever::sandbox::okta::{Permission, Status};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::org::*;

type Headers = Vec<(&'static str, &'static str)>;

#[tokio::test]
async fn wrong_calls_are_refused_with_okta_s_status_and_code() {
    let org = Org::start().await;
    let ana = format!("/api/v1/users/{}", org.ana);
    let sessions = format!("{ana}/sessions");
    let with = |query: &str| format!("{sessions}?{query}");
    let table: Vec<(&str, String, u16, &str)> = vec![
        ("DELETE", with("oauthTokens=1"), 400, "E0000001"),
        ("DELETE", with("oauthTokens=True"), 400, "E0000001"),
        ("DELETE", with("oauthTokens="), 400, "E0000001"),
        ("DELETE", with("oauthTokens"), 400, "E0000001"),
        ("DELETE", with("forgetDevices=yes"), 400, "E0000001"),
        ("DELETE", with("oauth_tokens=true"), 400, "E0000001"),
        ("DELETE", with("OauthTokens=true"), 400, "E0000001"),
        ("DELETE", with("oauthTokens=true&oauthTokens=true"), 400, "E0000001"),
        ("DELETE", with("scope=all"), 400, "E0000001"),
        ("DELETE", "/api/v1/users/ana@example.com/sessions".into(), 404, "E0000007"),
        ("DELETE", "/api/v1/users/ana/sessions".into(), 404, "E0000007"),
        ("DELETE", "/api/v1/users/00u00000000000000000/sessions".into(), 404, "E0000007"),
        ("DELETE", sessions.to_lowercase(), 404, "E0000007"),
        ("DELETE", "/api/v1/users//sessions".into(), 404, "E0000008"),
        ("DELETE", format!("{sessions}/"), 404, "E0000008"),
        ("DELETE", format!("/prefix{sessions}"), 404, "E0000008"),
        ("DELETE", "/api/v1/users/a%2Fb/sessions".into(), 404, "E0000008"),
        ("GET", "/".into(), 404, "E0000008"),
        ("GET", sessions.clone(), 405, "E0000022"),
        ("POST", sessions.clone(), 405, "E0000022"),
        ("DELETE", ana.clone(), 405, "E0000022"),
        ("GET", "/oauth2/v1/token".into(), 405, "E0000022"),
        ("GET", format!("{ana}?fields=id"), 400, "E0000001"),
        ("GET", format!("{ana}?expand=everything"), 400, "E0000001"),
        ("GET", "/api/v1/users/nobody".into(), 404, "E0000007"),
        ("GET", "/api/v1/sessions/102nothing".into(), 404, "E0000007"),
        ("DELETE", "/api/v1/sessions/102nothing".into(), 404, "E0000007"),
        ("DELETE", "/api/v1/sessions/102nothing?force=true".into(), 400, "E0000001"),
        ("DELETE", format!("{ana}/clients/0oaX/tokens"), 404, "E0000007"),
        ("GET", "/api/v1/users/ana@example.com/clients".into(), 404, "E0000007"),
        ("GET", "/api/v1/users?email=ana".into(), 400, "E0000001"),
        ("GET", "/api/v1/users?limit=0".into(), 400, "E0000001"),
        ("GET", "/api/v1/users?limit=201".into(), 400, "E0000001"),
        ("GET", "/api/v1/users?limit=ten".into(), 400, "E0000001"),
        ("GET", "/api/v1/users?after=made-up".into(), 400, "E0000002"),
        ("GET", "/api/v1/users?q=".into(), 400, "E0000028"),
        ("GET", "/api/v1/users?sortBy=status".into(), 400, "E0000001"),
        ("GET", "/api/v1/users?q=a&after=x".into(), 400, "E0000001"),
        ("GET", "/api/v1/users?q=a&search=id%20eq%20%22a%22".into(), 400, "E0000001"),
        ("GET", "/api/v1/users?search=id%20eq%20%22a%22&filter=id%20eq%20%22a%22".into(), 400, "E0000033"),
        ("GET", "/api/v1/users?search=id%zz".into(), 400, "E0000001"),
    ];
    for (method, path, status, code) in table {
        let reply = org.call(method, &path).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{method} {path}: {}", reply.text);
        let recorded = org.okta().ledger().pop().expect("refused calls are recorded too");
        assert_eq!((recorded.status, recorded.error_code.as_deref()), (Some(status), Some(code)), "{method} {path}");
        assert_eq!(recorded.effect, Effect::None, "{method} {path}");
    }
    assert_eq!(org.okta().sessions_of(&org.ana), 2);
    assert_eq!(org.okta().revocations_of(&org.ana), 0);
}

#[tokio::test]
async fn headers_and_bodies_must_be_right() {
    let org = Org::start().await;
    let ssws = |value: &'static str| vec![JSON, ("authorization", value)];
    let table: Vec<(Headers, &str, u16, &str)> = vec![
        (vec![AUTH], "", 406, "E0000122"),
        (vec![AUTH, ("accept", "text/html")], "", 406, "E0000122"),
        (vec![JSON], "", 403, "E0000005"),
        (ssws("SSWS wrong"), "", 401, "E0000011"),
        (ssws("ssws 00QCjAl4MlV-WPXM_example"), "", 401, "E0000011"),
        (ssws("SSWS  00QCjAl4MlV-WPXM_example"), "", 401, "E0000011"),
        (ssws("SSWS00QCjAl4MlV-WPXM_example"), "", 401, "E0000011"),
        (ssws("Bearer 00QCjAl4MlV-WPXM_example"), "", 401, "E0000011"),
        (ssws("Basic 00QCjAl4MlV-WPXM_example"), "", 401, "E0000011"),
        (ssws("DPoP 00QCjAl4MlV-WPXM_example"), "", 401, "E0000011"),
        (ssws("Bearer undefined"), "", 401, "E0000011"),
        (vec![JSON, AUTH, AUTH], "", 401, "E0000011"),
        (vec![JSON, AUTH], "{}", 400, "E0000001"),
        (vec![JSON, AUTH, ("content-type", "text/plain")], "", 404, "E0000012"),
    ];
    for (headers, body, status, code) in table {
        let reply = org.send("DELETE", &org.revoke_path(), &headers, body).await;
        assert_eq!((reply.status, reply.code().as_str()), (status, code), "{headers:?} {body}");
    }
    assert_eq!(org.okta().sessions_of(&org.ana), 2);
    org.okta().revoke_ssws(SSWS);
    assert_eq!(org.revoke().await.code(), "E0000011");
}

#[tokio::test]
async fn every_answer_carries_date_quota_and_request_id_and_errors_have_all_fields() {
    let org = Org::start().await;
    for reply in [org.revoke().await, org.call("GET", "/nowhere").await, org.send("GET", "/", &[], "").await] {
        assert_eq!(reply.header("date"), "Sat, 21 Nov 2026 22:14:07 GMT");
        assert_eq!(reply.header("x-rate-limit-reset"), (START_S + 60).to_string());
        assert!(!reply.header("x-okta-request-id").is_empty());
        assert!(reply.header("x-rate-limit-remaining").parse::<u32>().is_ok());
    }
    let error = org.call("GET", "/nowhere").await.json();
    let mut fields: Vec<&String> = error.as_object().expect("an object").keys().collect();
    fields.sort();
    assert_eq!(fields, ["errorCauses", "errorCode", "errorId", "errorLink", "errorSummary"]);
}

#[tokio::test]
async fn paths_that_a_client_forgot_to_encode_lead_where_a_server_would_take_them() {
    let org = Org::start().await;
    let admin = org.okta().person("admin").expect("the admin").id;
    org.okta().sign_in(&admin);
    let ana = org.ana.clone();
    let table: Vec<(String, u16)> = vec![
        (format!("/api/v1/users/{ana}\"/sessions"), 400),
        (format!("/api/v1/users/{ana}%00/sessions"), 400),
        (format!("/api/v1/users/{ana}%zz/sessions"), 400),
        (format!("/api/v1/users/{ana}%ff/sessions"), 400),
        (format!("/api/v1/users/{ana}%20/sessions"), 404),
        (format!("/api/v1/users/{}/sessions", ana.replace('u', "%2575")), 404),
        ("/api/v1/users/../sessions".into(), 404),
        ("/api/v1/users/%2e%2e/sessions".into(), 404),
        ("/api/v1/users/./sessions".into(), 405),
        (format!("/api/v1/users/{}/sessions", ana.replace('u', "%75")), 204),
        (format!("/api/v1/users/x/../{ana}/sessions"), 204),
        (format!("/api/v1/users/{ana};x=y/sessions"), 204),
        ("/api/v1/users/me/sessions".into(), 204),
        ("/api/v1/users/%6de/sessions".into(), 204),
    ];
    for (path, status) in table {
        assert_eq!(raw_status(&org, "DELETE", &path).await, status, "{path}");
        assert_eq!(org.okta().ledger().pop().expect("recorded").path, path);
    }
    assert_eq!((org.okta().revocations_of(&ana), org.okta().revocations_of(&admin)), (3, 2));
    assert_eq!(org.okta().sessions_of(&admin), 0, "`me` is the owner of the API token");
}

/// Sends the path as it is; a URL library would tidy it up.
async fn raw_status(org: &Org, method: &str, path: &str) -> u16 {
    let mut stream = TcpStream::connect(org.okta().url().trim_start_matches("http://")).await.expect("a connection");
    let head = format!(
        "{method} {path} HTTP/1.1\r\nhost: x\r\naccept: application/json\r\nauthorization: SSWS {SSWS}\r\n\
         connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("an answer");
    answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
}

#[tokio::test]
async fn an_api_token_needs_its_permission_its_owner_and_regular_use() {
    let org = Org::start().await;
    let session = org.okta().session_ids_of(&org.ana).remove(0);
    let session = format!("/api/v1/sessions/{session}");
    let table = [
        (Permission::UsersRead, "GET", "/api/v1/users".to_owned()),
        (Permission::SessionsRead, "GET", session.clone()),
        (Permission::SessionsManage, "DELETE", session),
        (Permission::UsersManage, "DELETE", org.revoke_path()),
        (Permission::AdminRole, "GET", "/api/v1/users/me".to_owned()),
    ];
    for (permission, method, path) in table {
        org.okta().deny(SSWS, permission);
        let reply = org.call(method, &path).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "E0000006"), "{permission:?}");
        org.okta().allow(SSWS, permission);
        assert!(org.call(method, &path).await.status < 300, "{permission:?}");
    }
    org.clock.advance(Duration::from_secs(29 * 86_400));
    assert_eq!(org.call("GET", "/api/v1/users/me").await.status, 200, "use renews the token");
    org.clock.advance(Duration::from_secs(31 * 86_400));
    assert_eq!(org.call("GET", "/api/v1/users/me").await.code(), "E0000011");
    org.okta().accept_ssws(SSWS, "admin@example.com");
    org.okta().set_status("admin@example.com", Status::Deprovisioned);
    assert_eq!(org.call("GET", "/api/v1/users/me").await.code(), "E0000011", "it dies with its owner");
}

#[tokio::test]
async fn the_rate_limit_is_enforced_and_renewed() {
    let org = Org::start().await;
    org.okta().limit_rate(2);
    assert_eq!(org.revoke().await.header("x-rate-limit-remaining"), "1");
    assert_eq!(org.revoke().await.header("x-rate-limit-remaining"), "0");
    let reply = org.revoke().await;
    assert_eq!((reply.status, reply.code().as_str()), (429, "E0000047"));
    assert_eq!(reply.header("x-rate-limit-reset"), (START_S + 60).to_string());
    assert_eq!(org.call("GET", "/api/v1/users/me").await.status, 200, "each operation has its own bucket");
    org.clock.advance(Duration::from_secs(60));
    assert_eq!(org.revoke().await.status, 204);
    assert_eq!(org.okta().revocations_of(&org.ana), 3);
}
