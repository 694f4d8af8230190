//! The client against scripted answers, over a real socket.

use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::clock::SystemClock;
use crate::domain::{Device, Outcome, ScopeKind, SessionRef};
use crate::provider::script::{Canned, Server};
use crate::provider::settings::{LimitSettings, ProofSettings, RetrySettings};
use crate::settings::SecretRef;

const TOKEN: &str = "9xuqwrwgstrb3mzrxb83nb357a";
const ID: &str = "u1v2w3x4y5z6a7b8c9d0e1f2g3";
const OTHER: &str = "u9v2w3x4y5z6a7b8c9d0e1f2g3";
const DATE: &str = "Thu, 15 Jan 2026 08:00:00 GMT";
const DATE_MS: i64 = 1_768_464_000_000;

fn settings(url: &str) -> MattermostSettings {
    MattermostSettings {
        url: url.to_owned(),
        credentials: MattermostCredentials { token: SecretRef::Value(TOKEN.to_owned()) },
        revoke_access_tokens: false,
        timeout: crate::settings::Duration(Duration::from_millis(700)),
        limits: LimitSettings::default(),
        retry: RetrySettings::default(),
        proof: ProofSettings::default(),
        dry_run: false,
    }
}

fn build(settings: &MattermostSettings) -> Mattermost {
    settings.build(&"chat".parse().expect("a name"), Arc::new(SystemClock::new())).expect("a client")
}

async fn chat() -> (Server, Mattermost) {
    let server = Server::start().await;
    let chat = build(&settings(&server.url()));
    (server, chat)
}

async fn chat_with_tokens() -> (Server, Mattermost) {
    let server = Server::start().await;
    let chat = build(&MattermostSettings { revoke_access_tokens: true, ..settings(&server.url()) });
    (server, chat)
}

fn yes() -> Canned {
    Canned::new(200, r#"{"status":"OK"}"#)
}

fn user(id: &str, username: &str, email: &str) -> Canned {
    let user = json!({"id":id,"create_at":1,"delete_at":0,"username":username,"email":email,"roles":"system_user"});
    Canned::new(200, user.to_string())
}

fn ana() -> Canned {
    user(ID, "ana", "ana@example.com")
}

/// `s` and 25 digits.
fn sid(number: usize) -> String {
    format!("s{number:025}")
}

fn session(number: usize, user_id: &str) -> Value {
    json!({"id":sid(number),"token":"","create_at":DATE_MS - 1000,"expires_at":0,"last_activity_at":DATE_MS,
        "user_id":user_id,"device_id":"","roles":"system_user","is_oauth":false,
        "props":{"browser":"Firefox/147.0","os":"Linux","platform":"Linux","isMobile":"false","csrf":"geheim"}})
}

fn list(sessions: &[Value]) -> Canned {
    Canned::new(200, Value::from(sessions.to_vec()).to_string()).header("date", DATE)
}

fn tokens(numbers: std::ops::Range<usize>) -> Canned {
    let token = |n: usize| json!({"id":format!("t{n:025}"),"user_id":ID,"description":"d","is_active":true});
    Canned::new(200, Value::from(numbers.map(token).collect::<Vec<_>>()).to_string())
}

fn error(status: u16, id: &str) -> Canned {
    let body = json!({"id":id,"message":"m","detailed_error":"","request_id":"r","status_code":status});
    Canned::new(status, body.to_string())
}

fn nobody() -> Canned {
    error(404, "app.user.missing_account.const")
}

fn forbidden() -> Canned {
    error(403, "api.context.permissions.app_error")
}

fn account(id: &str) -> Account {
    Account::new(id, vec![id.to_owned()])
}

fn by_id(id: &str) -> Subject {
    Subject { id: Some(id.to_owned()), ..Subject::default() }
}

fn by_email(email: &str) -> Subject {
    Subject { email: Some(email.to_owned()), ..Subject::default() }
}

fn by_username(name: &str) -> Subject {
    Subject { username: Some(name.to_owned()), ..Subject::default() }
}

fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

fn given(ids: &[&str]) -> RevokeRequest {
    RevokeRequest::new(Scope::Sessions(ids.iter().map(|id| SessionRef::Id((*id).to_owned())).collect()))
}

async fn seen(chat: &Mattermost) -> Look {
    chat.sessions(&account(ID)).await.expect("a list").expect("a look")
}

#[tokio::test]
async fn everything_ends_with_one_call_of_the_documented_form() {
    let (server, chat) = chat().await;
    server.then([list(&[session(1, ID)]), yes(), tokens(0..0)]);
    let look = seen(&chat).await;
    let revocation = chat.revoke(&account(ID), &all(), Some(&look)).await.expect("a yes").expect("a revocation");
    assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Confirmed, None));
    assert!(!revocation.survives.iter().any(|text| text.contains("access token")), "{:?}", revocation.survives);
    let seen = server.seen();
    assert_eq!(seen[1].line, format!("POST /api/v4/users/{ID}/sessions/revoke/all"));
    assert!(seen[1].body.is_empty() && seen[1].headers.get("content-type").is_none());
    assert_eq!(seen[2].line, format!("GET /api/v4/users/{ID}/tokens?page=0&per_page=200"));
    for request in seen {
        assert_eq!(request.headers["authorization"], format!("Bearer {TOKEN}"));
        assert_eq!(request.headers["accept"], "application/json");
    }
}

#[tokio::test]
async fn a_silent_yes_for_nobody_is_not_asked_for() {
    for look in [None, Some(Look::default())] {
        let (server, chat) = chat().await;
        server.then([nobody()]);
        let error = chat.revoke(&account(ID), &all(), look.as_ref()).await.expect_err("nobody");
        assert!(matches!(error, ProviderError::UnknownAccount(_)), "{error:?}");
        assert_eq!(server.lines(), [format!("GET /api/v4/users/{ID}")]);
        server.then([ana(), yes(), tokens(0..0)]);
        assert!(chat.revoke(&account(ID), &all(), look.as_ref()).await.expect("a yes").is_some());
        // Who may not read a user may end sessions of one who exists.
        server.then([forbidden(), yes(), tokens(0..0)]);
        assert!(chat.revoke(&account(ID), &all(), look.as_ref()).await.expect("a yes").is_some());
    }
}

#[tokio::test]
async fn only_the_documented_yes_is_one() {
    for (answer, class) in [
        (Canned::new(200, "<html>Sign in</html>").header("content-type", "text/html"), "misconfigured"),
        (Canned::new(200, "{}"), "unavailable"),
        (Canned::new(200, ""), "unavailable"),
        (Canned::new(200, r#"{"status":"FAIL"}"#), "unavailable"),
        (Canned::new(204, ""), "unavailable"),
        (Canned::new(202, r#"{"status":"OK"}"#), "unavailable"),
        (Canned::new(302, "").header("location", "/login"), "misconfigured"),
        (forbidden(), "refused"),
        (error(500, "app.session.remove.app_error"), "unavailable"),
        (error(500, ""), "unavailable"),
        (error(501, "api.disabled.app_error"), "misconfigured"),
        (Canned::new(502, "<html>"), "unavailable"),
        (error(401, "api.context.session_expired.app_error"), "unauthorized"),
        (yes().delay(Duration::from_secs(5)), "unavailable"),
    ] {
        let (server, chat) = chat().await;
        server.then([ana(), answer]);
        let error = chat.revoke(&account(ID), &all(), None).await.expect_err("no yes");
        assert_eq!(error.class().as_str(), class, "{error:?}");
        assert_eq!(server.seen().len(), 2, "{error:?}");
    }
}

#[tokio::test]
async fn a_sub_path_is_kept() {
    let server = Server::start().await;
    for url in ["/chat", "/chat/", "/a.b/chat"] {
        let chat = build(&settings(&format!("{}{url}", server.url())));
        server.then([ana()]);
        assert!(chat.resolve(&by_id(ID)).await.expect("an answer").is_some());
        let path = url.trim_end_matches('/');
        assert_eq!(server.lines().last(), Some(&format!("GET {path}/api/v4/users/{ID}")));
    }
}

#[tokio::test]
async fn a_look_has_every_session_that_is_alive_once() {
    let (server, chat) = chat().await;
    let expired = |ms: i64| {
        let mut session = session(9, ID);
        session["id"] = json!(format!("e{:025}", ms.unsigned_abs()));
        session["expires_at"] = json!(DATE_MS + ms);
        session
    };
    server.then([list(&[
        session(1, ID),
        session(2, ID),
        session(1, ID),
        expired(-1),
        expired(1),
        expired(-86_400_000),
    ])]);
    let look = seen(&chat).await;
    let ids: Vec<_> = look.sessions.iter().map(|session| session.id.clone()).collect();
    assert_eq!(ids, [sid(1), sid(2), format!("e{:025}", 1)]);
    assert!(look.complete);
    assert_eq!(look.at.map(|at| at.as_millisecond()), Some(DATE_MS + 999));
    let first = &look.sessions[0];
    assert_eq!(first.created_at.map(|at| at.as_millisecond()), Some(DATE_MS - 1000));
    assert_eq!((first.expires_at, first.device), (None, Some(Device::Web)));
    assert_eq!(first.client.as_deref(), Some("Firefox/147.0 on Linux"));
    assert!(!format!("{look:?}").contains("geheim"));
    // Without the server's time nothing is known to have expired.
    server.then([Canned::new(200, Value::from(vec![expired(-1)]).to_string()).header("date", "soon")]);
    assert_eq!(seen(&chat).await.sessions.len(), 1);
    server.then([list(&[])]);
    assert_eq!(seen(&chat).await.sessions, []);
}

#[tokio::test]
async fn a_session_tells_what_made_it() {
    let (server, chat) = chat().await;
    let with = |number: usize, change: fn(&mut Value)| {
        let mut session = session(number, ID);
        change(&mut session);
        session
    };
    server.then([list(&[
        with(1, |s| s["props"] = json!({"type":"UserAccessToken","user_access_token_id":"tok1"})),
        with(2, |s| s["props"] = json!({"type":"UserAccessToken","is_bot":"true"})),
        with(3, |s| s["is_oauth"] = true.into()),
        with(4, |s| s["props"] = Value::Null),
        with(5, |s| s["device_id"] = "apple_rn:1".into()),
        with(6, |s| s["props"]["browser"] = "Desktop App/6.0".into()),
        with(7, |s| s["props"]["browser"] = format!("x\u{7}{}", "y".repeat(5000)).into()),
    ])]);
    let page = chat.list_sessions(&account(ID), &ListQuery::default()).await.expect("a list").expect("a page");
    assert_eq!((page.total, page.next_cursor), (Some(7), None));
    let clients: Vec<_> = page.sessions[..6].iter().map(|session| session.client.as_deref()).collect();
    let expected = [
        Some("personal access token tok1"),
        Some("personal access token, bot"),
        Some("OAuth app, Firefox/147.0 on Linux"),
        None,
        Some("Firefox/147.0 on Linux"),
        Some("Desktop App/6.0 on Linux"),
    ];
    assert_eq!(clients, expected);
    let devices: Vec<_> = page.sessions[..6].iter().map(|session| session.device).collect();
    assert_eq!(devices, [None, None, Some(Device::Web), None, Some(Device::Mobile), None]);
    let long = page.sessions[6].client.as_deref().expect("a client");
    assert!(!long.contains('\u{7}') && long.chars().count() <= 301);
}

#[tokio::test]
async fn a_list_that_is_not_the_accounts_is_not_believed() {
    for answer in [
        list(&[session(1, ID), session(2, OTHER)]),
        list(&[json!({"id":"../x","user_id":ID})]),
        list(&[json!({"id":sid(1)})]),
        Canned::new(200, "null"),
        Canned::new(200, "{}"),
        Canned::new(200, "[{"),
    ] {
        let (server, chat) = chat().await;
        server.then([answer]);
        let error = chat.sessions(&account(ID)).await.expect_err("not believed");
        assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    }
}

#[tokio::test]
async fn a_429_waits_by_retry_after_or_the_reset_in_either_form_and_only_its_own_call() {
    let limited = || Canned::new(429, "limit exceeded\n").header("content-type", "text/plain");
    for (answer, seconds) in [
        (limited(), None),
        (limited().header("retry-after", "4").header("x-ratelimit-reset", "10"), Some(4)),
        (limited().header("x-ratelimit-reset", "10"), Some(10)),
        (limited().header("x-ratelimit-reset", "3").header("x-ratelimit-reset", "11"), Some(11)),
        (limited().header("date", DATE).header("x-ratelimit-reset", "1768464030"), Some(31)),
        (limited().header("retry-after", "soon").header("x-ratelimit-reset", "-"), None),
        (limited().header("retry-after", "soon").header("x-ratelimit-reset", "9"), Some(9)),
        (limited().header("x-ratelimit-reset", "99999999"), Some(900)),
        (limited().header("retry-after", "-1"), Some(1)),
    ] {
        let (server, chat) = chat().await;
        server.then([answer]);
        let error = chat.sessions(&account(ID)).await.expect_err("throttled");
        let ProviderError::Throttled { retry_after, .. } = &error else { panic!("{error:?}") };
        assert_eq!(*retry_after, seconds.map(Duration::from_secs));
        assert_eq!(chat.wait(), None, "a look holds no revocation up");
        server.then([ana(), yes(), tokens(0..0)]);
        assert!(chat.revoke(&account(ID), &all(), None).await.is_ok());
        if seconds.is_some_and(|seconds| seconds > 2) {
            let calls = server.seen().len();
            assert!(matches!(chat.sessions(&account(ID)).await, Err(ProviderError::Throttled { .. })));
            assert_eq!(server.seen().len(), calls, "a closed operation is not called");
        }
    }
}

#[tokio::test]
async fn a_throttled_revocation_holds_the_next_ones() {
    let (server, chat) = chat().await;
    server.then([ana(), Canned::new(429, "limit exceeded").header("retry-after", "30")]);
    assert!(chat.revoke(&account(ID), &all(), None).await.is_err());
    assert!(chat.wait().is_some_and(|wait| wait > Duration::from_secs(25)));
}

#[tokio::test]
async fn what_is_left_of_a_limit_holds_nothing_up() {
    let (server, chat) = chat().await;
    server.then([ana(), yes().header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", "10"), tokens(0..0)]);
    assert!(chat.revoke(&account(ID), &all(), None).await.is_ok());
    assert_eq!(chat.wait(), None);
}

#[tokio::test]
async fn an_id_is_read_and_has_to_be_the_id() {
    let (server, chat) = chat().await;
    server.then([ana()]);
    let found = chat.resolve(&Subject { email: Some("bob@example.com".into()), ..by_id(ID) }).await;
    let found = found.expect("an answer").expect("an account");
    assert_eq!((found.id.as_str(), found.identifiers), (ID, vec![ID.into(), "ana".into(), "ana@example.com".into()]));
    server.then([nobody()]);
    assert!(matches!(chat.resolve(&by_id(OTHER)).await, Err(ProviderError::UnknownAccount(_))));
    server.then([ana()]);
    assert!(matches!(chat.resolve(&by_id(OTHER)).await, Err(ProviderError::Unavailable(_))), "somebody else");
    server.then([Canned::new(404, "<html>").header("content-type", "text/html")]);
    assert!(matches!(chat.resolve(&by_id(OTHER)).await, Err(ProviderError::Misconfigured(_))));
    assert_eq!(server.lines()[0], format!("GET /api/v4/users/{ID}"));
    // No id of Mattermost's is no user, and nothing to ask about.
    for id in ["ana", "ana@example.com", "U1V2W3X4Y5Z6A7B8C9D0E1F2G3", "u1v2"] {
        assert!(matches!(chat.resolve(&by_id(id)).await, Err(ProviderError::UnknownAccount(_))), "{id}");
    }
    assert_eq!(server.seen().len(), 4);
}

#[tokio::test]
async fn an_address_is_encoded_and_compared_in_any_case() {
    let (server, chat) = chat().await;
    server.then([ana(), user(ID, "kate", "kate@example.com"), nobody()]);
    assert!(chat.resolve(&by_email("Ana@Example.com")).await.expect("an answer").is_some());
    // The server lower-cases the Kelvin sign to `k`; a name that only looks alike is somebody else's.
    assert_eq!(chat.resolve(&by_email("\u{212a}ate@example.com")).await.expect("an answer"), None);
    assert_eq!(chat.resolve(&by_email("a+b@example.com")).await.expect("an answer"), None);
    let lines = server.lines();
    assert_eq!(lines[0], "GET /api/v4/users/email/Ana%40Example.com");
    assert_eq!(lines[2], "GET /api/v4/users/email/a%2Bb%40example.com");
}

#[tokio::test]
async fn a_user_name_is_asked_for_in_lower_case() {
    let (server, chat) = chat().await;
    server.then([ana(), error(404, "app.user.get_by_username.app_error"), user(ID, "anna", "ana@example.com")]);
    assert!(chat.resolve(&by_username("ANA")).await.expect("an answer").is_some());
    assert_eq!(chat.resolve(&by_username("bob.x-y_z")).await.expect("an answer"), None);
    assert_eq!(chat.resolve(&by_username("ana")).await.expect("an answer"), None, "not the name that was asked for");
    let lines = server.lines();
    assert_eq!(lines[..2], ["GET /api/v4/users/username/ana", "GET /api/v4/users/username/bob.x-y_z"]);
    // The server's route takes none of these: it would answer that there is no such page.
    for name in ["ana@example.com", "ACME\\ana", "änä", "a/b", "a b"] {
        assert!(matches!(chat.resolve(&by_username(name)).await, Err(ProviderError::Unclear(_))), "{name}");
    }
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn one_usable_name_is_enough_and_two_have_to_agree() {
    let (server, chat) = chat().await;
    let both = |email: &str, name: &str| Subject { username: Some(name.to_owned()), ..by_email(email) };
    server.then([ana()]);
    assert!(chat.resolve(&both("ana@example.com", "ACME\\ana")).await.expect("an answer").is_some());
    server.then([error(400, "api.context.invalid_url_param.app_error"), ana()]);
    assert!(chat.resolve(&both("ana", "ana")).await.expect("an answer").is_some());
    server.then([nobody(), ana()]);
    assert!(chat.resolve(&both("old@example.com", "ana")).await.expect("an answer").is_some());
    server.then([ana(), ana()]);
    assert!(chat.resolve(&both("ana@example.com", "ana")).await.expect("an answer").is_some());
    server.then([ana(), user(OTHER, "bob", "bob@example.com")]);
    assert!(matches!(chat.resolve(&both("ana@example.com", "bob")).await, Err(ProviderError::Unclear(_))));
    server.then([error(400, "api.context.invalid_url_param.app_error")]);
    assert!(matches!(chat.resolve(&both("ana", "ä")).await, Err(ProviderError::Unclear(_))));
    let (server, chat) = self::chat().await;
    assert!(matches!(chat.resolve(&Subject::default()).await, Err(ProviderError::Unclear(_))));
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn an_account_whose_address_is_hidden_is_not_acted_on() {
    let (server, chat) = chat().await;
    for subject in [by_id(ID), by_username("ana"), by_email("ana@example.com")] {
        server.then([user(ID, "ana", "")]);
        let error = chat.resolve(&subject).await.expect_err("it may be protected");
        assert!(matches!(&error, ProviderError::Refused(_)) && error.to_string().contains("hidden"), "{error:?}");
    }
    server.then([error(403, "api.user.get_user_by_email.permissions.app_error")]);
    assert!(matches!(chat.resolve(&by_email("ana@example.com")).await, Err(ProviderError::Refused(_))));
}

#[tokio::test]
async fn given_sessions_end_if_they_are_listed_and_the_others_are_left_alone() {
    let (server, chat) = chat().await;
    server.then([list(&[session(1, ID), session(2, ID), session(3, ID)]), yes(), yes()]);
    let request = given(&[&sid(2), &sid(1), &sid(2), &sid(7)]);
    let revocation = chat.revoke(&account(ID), &request, None).await.expect("a yes").expect("a revocation");
    assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Confirmed, Some(2)));
    assert!(revocation.survives.iter().any(|text| text.starts_with("1 given")), "{:?}", revocation.survives);
    let seen = server.seen();
    assert_eq!(seen.len(), 3);
    for (request, number) in seen[1..].iter().zip([1, 2]) {
        assert_eq!(request.line, format!("POST /api/v4/users/{ID}/sessions/revoke"));
        assert_eq!(request.headers["content-type"], "application/json");
        assert_eq!(request.body, format!(r#"{{"session_id":"{}"}}"#, sid(number)));
    }
}

#[tokio::test]
async fn a_session_that_is_gone_is_no_failure() {
    let (server, chat) = chat().await;
    server.then([list(&[session(1, ID), session(2, ID)])]);
    let look = seen(&chat).await;
    server.then([error(400, "app.session.get.app_error"), yes()]);
    let some = chat.revoke(&account(ID), &given(&[&sid(1), &sid(2)]), Some(&look)).await.expect("an answer");
    assert_eq!(some.expect("a revocation").sessions_ended, Some(1));
    server.then([error(400, "app.session.get.app_error")]);
    assert_eq!(chat.revoke(&account(ID), &given(&[&sid(1)]), Some(&look)).await.expect("an answer"), None);
    assert_eq!(chat.revoke(&account(ID), &given(&[&sid(5)]), Some(&look)).await.expect("an answer"), None);
    // Told apart from every other 400.
    for answer in [error(400, "api.context.invalid_url_param.app_error"), error(404, "app.session.get.app_error")] {
        server.then([answer]);
        assert!(chat.revoke(&account(ID), &given(&[&sid(1)]), Some(&look)).await.is_err());
    }
}

#[tokio::test]
async fn a_failure_in_the_middle_is_told_and_the_rest_ends_the_next_time() {
    let (server, chat) = chat().await;
    server.then([list(&[session(1, ID), session(2, ID)])]);
    let look = seen(&chat).await;
    server.then([yes(), error(401, "api.context.session_expired.app_error")]);
    let error = chat.revoke(&account(ID), &given(&[&sid(1), &sid(2)]), Some(&look)).await.expect_err("half");
    assert!(matches!(error, ProviderError::Unauthorized(_)), "{error:?}");
    server.then([self::error(400, "app.session.get.app_error"), yes()]);
    let some = chat.revoke(&account(ID), &given(&[&sid(1), &sid(2)]), Some(&look)).await.expect("an answer");
    assert_eq!(some.expect("a revocation").sessions_ended, Some(1));
}

#[tokio::test]
async fn what_is_no_session_id_is_refused_after_the_others_ended() {
    let (server, chat) = chat().await;
    server.then([list(&[session(1, ID)]), yes()]);
    let error = chat.revoke(&account(ID), &given(&["../all", &sid(1)]), None).await.expect_err("no id");
    assert!(matches!(&error, ProviderError::Refused(_)) && error.to_string().contains("1 ended"), "{error:?}");
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn access_tokens_that_live_on_are_counted() {
    for (answer, told) in [
        (tokens(0..1), "1 personal access token of"),
        (tokens(0..3), "3 personal access tokens of"),
        (forbidden(), "could not be counted"),
        (error(500, ""), "could not be counted"),
    ] {
        let (server, chat) = chat().await;
        server.then([ana(), yes(), answer]);
        let revocation = chat.revoke(&account(ID), &all(), None).await.expect("a yes").expect("a revocation");
        assert!(revocation.survives.iter().any(|text| text.contains(told)), "{told}: {:?}", revocation.survives);
        assert!(server.lines().iter().all(|line| !line.contains("tokens/revoke")));
    }
    let (server, chat) = chat().await;
    let off = json!([{"id":sid(1),"user_id":ID,"is_active":false}]);
    server.then([ana(), yes(), Canned::new(200, off.to_string())]);
    let revocation = chat.revoke(&account(ID), &all(), None).await.expect("a yes").expect("a revocation");
    assert_eq!(revocation.survives.len(), 1, "one that is switched off makes no session");
}

#[tokio::test]
async fn access_tokens_are_read_from_all_pages_which_end() {
    let (server, chat) = chat().await;
    server.then([ana(), yes(), tokens(0..200), tokens(199..399), tokens(399..399)]);
    let revocation = chat.revoke(&account(ID), &all(), None).await.expect("a yes").expect("a revocation");
    assert!(revocation.survives.iter().any(|text| text.starts_with("399 ")), "{:?}", revocation.survives);
    assert!(server.lines()[4].ends_with("/tokens?page=2&per_page=200"));
    server.then([ana(), yes()]);
    server.then(vec![tokens(0..200); 50]);
    let revocation = chat.revoke(&account(ID), &all(), None).await.expect("a yes").expect("a revocation");
    assert!(revocation.survives.iter().any(|text| text.starts_with("more than 200 ")), "{:?}", revocation.survives);
    assert_eq!(server.seen().len(), 17);
}

#[tokio::test]
async fn access_tokens_are_revoked_where_that_is_wanted_and_seen_to_go() {
    let (server, chat) = chat_with_tokens().await;
    server.then([list(&[session(1, ID)]), tokens(0..2)]);
    let look = seen(&chat).await;
    assert_eq!(look.sessions.len(), 3);
    assert!(look.complete && look.sessions[1].client.as_deref().is_some_and(|text| text.contains("token itself")));
    server.then([yes(), tokens(0..2), yes(), error(404, "app.user_access_token.get_by_user.app_error")]);
    let revocation = chat.revoke(&account(ID), &all(), Some(&look)).await.expect("a yes").expect("a revocation");
    assert_eq!(revocation.survives.len(), 1, "{:?}", revocation.survives);
    let calls = server.seen();
    assert_eq!(calls[2].line, format!("POST /api/v4/users/{ID}/sessions/revoke/all"), "what matters most comes first");
    assert_eq!(calls[4].line, "POST /api/v4/users/tokens/revoke");
    assert_eq!(calls[4].body, format!(r#"{{"token_id":"t{:025}"}}"#, 0));
    // What is left is ended by its own call, whichever it is.
    server.then([tokens(1..2), yes(), yes()]);
    let left = given(&[&sid(1), &format!("t{:025}", 1)]);
    let revocation = chat.revoke(&account(ID), &left, Some(&look)).await.expect("a yes").expect("a revocation");
    assert_eq!(revocation.sessions_ended, Some(2));
    let lines = server.lines();
    assert!(lines[7].ends_with("/sessions/revoke") && lines[8].ends_with("/tokens/revoke"), "{lines:?}");
}

#[tokio::test]
async fn a_token_that_stays_is_a_failure_where_it_should_go() {
    for answers in [vec![forbidden()], vec![tokens(0..1), forbidden()], vec![tokens(0..1), error(500, "")]] {
        let (server, chat) = chat_with_tokens().await;
        server.then([ana(), yes()]);
        server.then(answers);
        assert!(chat.revoke(&account(ID), &all(), None).await.is_err());
        assert!(server.lines().iter().any(|line| line.ends_with("/revoke/all")), "the sessions ended all the same");
    }
}

#[tokio::test]
async fn a_look_without_a_sight_of_tokens_is_not_complete() {
    let (server, chat) = chat_with_tokens().await;
    server.then([list(&[session(1, ID)]), forbidden()]);
    assert!(!seen(&chat).await.complete);
    server.then([list(&[session(1, ID)]), error(500, "")]);
    assert!(chat.sessions(&account(ID)).await.is_err(), "it may be seen the next time");
    let foreign = json!([{"id":sid(1),"user_id":OTHER,"is_active":true}]);
    server.then([list(&[session(1, ID)]), Canned::new(200, foreign.to_string())]);
    assert!(chat.sessions(&account(ID)).await.is_err(), "somebody else's");
}

#[tokio::test]
async fn web_and_mobile_are_refused_without_a_call() {
    let (server, chat) = chat().await;
    for scope in [Scope::Web, Scope::Mobile] {
        assert!(matches!(
            chat.revoke(&account(ID), &RevokeRequest::new(scope), None).await,
            Err(ProviderError::Refused(_))
        ));
    }
    assert!(server.seen().is_empty());
    assert!(!ProviderKind::Mattermost.supports(ScopeKind::Web));
    assert!(ProviderKind::Mattermost.supports(ScopeKind::Sessions));
    assert!(ProviderKind::Mattermost.list_parameters().is_empty());
}

#[tokio::test]
async fn the_check_says_who_we_are_and_what_is_lacking() {
    let owner = |roles: &str| {
        Canned::new(200, json!({"id":ID,"username":"sever","email":"s@example.com","roles":roles}).to_string())
    };
    let (server, chat) = chat().await;
    server.then([owner("system_user system_admin"), list(&[]), tokens(0..0)]);
    let report = chat.check().await.expect("checked");
    assert_eq!((report.identity.as_str(), report.missing.len(), report.unchecked.len()), ("sever", 0, 0));
    assert!(report.excess[0].starts_with("system_admin"));
    assert_eq!(server.lines()[0], "GET /api/v4/users/me");
    server.then([owner("system_user"), list(&[]), forbidden()]);
    assert_eq!(chat.check().await.expect("checked").missing.len(), 2, "nobody's sessions but its own");
    server.then([owner("system_user system_user_manager"), list(&[]), forbidden()]);
    let report = chat.check().await.expect("checked");
    assert!(report.missing[0].starts_with("read_user_access_token") && report.excess.is_empty(), "{report:?}");
    assert!(report.unchecked.iter().any(|text| text.starts_with("manage_system")));
    server.then([error(401, "api.context.session_expired.app_error")]);
    assert!(matches!(chat.check().await, Err(ProviderError::Unauthorized(_))));
    server.then([owner("system_user"), error(403, "api.context.mfa_required.app_error")]);
    assert!(matches!(chat.check().await, Err(ProviderError::Unauthorized(_))), "users/me alone would not tell");
    server.then([Canned::new(200, "<html>").header("content-type", "text/html")]);
    assert!(matches!(chat.check().await, Err(ProviderError::Misconfigured(_))));
    assert!(server.lines().iter().all(|line| line.starts_with("GET ")));
}

#[tokio::test]
async fn no_secret_shows_in_what_is_printed() {
    let (server, chat) = chat().await;
    assert!(!format!("{chat:?}").contains(TOKEN));
    server.then([Canned::new(418, format!("Bearer {TOKEN}")).header("x-request-id", TOKEN)]);
    let error = chat.sessions(&account(ID)).await.expect_err("refused");
    assert!(!format!("{error:?} {error}").contains(TOKEN), "{error:?}");
}

#[tokio::test]
async fn a_large_body_is_not_read_and_a_dead_host_is_unavailable() {
    let (server, chat) = chat().await;
    server.then([Canned::new(200, format!("[{}]", " ".repeat(9 << 20)))]);
    let error = chat.sessions(&account(ID)).await.expect_err("too large");
    assert!(error.to_string().contains("8 MiB"), "{error}");
    drop(server);
    tokio::task::yield_now().await;
    let error = chat.sessions(&account(ID)).await.expect_err("nobody is there");
    assert!(matches!(error, ProviderError::Unavailable(_)) && !format!("{error:?}").contains(ID), "{error:?}");
}

/// Paths that a hostile name may lead to at most: one user by one name.
fn is_harmless(line: &str) -> bool {
    let Some(rest) = line.strip_prefix("GET /api/v4/users/") else { return false };
    let one_segment = |text: &str| !text.is_empty() && !text.contains(['/', '?', '#', ';', '\\']);
    match rest.split_once('/') {
        Some(("email" | "username", name)) => one_segment(name) && !matches!(name, "me" | "." | ".."),
        Some(_) => false,
        None => rest.len() == 26,
    }
}

/// Somebody else than the client, whom every hostile id is put to.
async fn try_everywhere(chat: &Mattermost, name: &str) {
    for subject in [by_id(name), by_email(name), by_username(name)] {
        assert!(chat.resolve(&subject).await.is_err(), "the script ends in 599");
    }
    // With something seen, nothing is read before the call.
    let look = Look { sessions: vec![crate::domain::Session::default()], ..Look::default() };
    for seen in [None, Some(&look)] {
        assert!(chat.revoke(&account(name), &all(), seen).await.is_err());
    }
    assert!(chat.revoke(&account(name), &given(&[&sid(1)]), None).await.is_err());
    assert!(chat.sessions(&account(name)).await.is_err());
    assert!(!matches!(chat.revoke(&account(ID), &given(&[name]), Some(&Look::default())).await, Ok(Some(_))));
}

#[tokio::test]
async fn no_hostile_name_ever_leaves() {
    let (server, chat) = chat().await;
    for name in [
        "",
        " ",
        ".",
        "..",
        "me",
        "ME",
        "%2e%2e",
        "%6de",
        "a\nb",
        "a\u{202e}b",
        " a",
        "sessions/revoke/all",
        "a/../b",
        "a%2fb",
        "a;b",
        "a?b",
        "a#b",
        "..\\x",
        "%00",
        "*",
    ] {
        try_everywhere(&chat, name).await;
    }
    assert_eq!(server.lines(), Vec::<String>::new());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_a_name_is_it_stays_in_its_segment(
        name in prop_oneof![
            "[a-z./%;?#\\\\@ -]{0,30}",
            "\\PC{0,20}",
            "(\\.\\./|%2e|/|me|all|sessions|revoke|users){1,6}",
            "[a-z0-9]{25}.",
        ],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let lines = runtime.block_on(async {
            let (server, chat) = chat().await;
            try_everywhere(&chat, &name).await;
            server.lines()
        });
        let is_id = name.len() == 26 && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        for line in lines {
            prop_assert!(is_harmless(&line) || is_id, "{name:?} led to {line}");
        }
    }
}
