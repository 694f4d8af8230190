//! The client against scripted answers, over a real socket.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::domain::{Outcome, SessionRef};
use crate::provider::script::{Canned, Server};

const STORE: &str = "d-1234567890";
const ID: &str = "1a2b3c4d-0000-1111-2222-333344445555";
const OTHER: &str = "9f8e7d6c-0000-1111-2222-333344445555";
const AK: &str = "AKIDEXAMPLE0000000001";
const SK: &str = "sk/ExampleSecret+Key=0000000001";
const TOKEN: &str = "ggpjbi1ub3J0aC00TEMPORARYTOKEN/abc+def==";

fn settings(server: &Server) -> HuaweiSettings {
    serde_json::from_value(json!({
        "url": server.url(),
        "credentials": {"access_key": {"value": AK}, "secret_key": {"value": SK}},
        "identity_store_id": STORE,
        "timeout": "700ms",
    }))
    .expect("settings")
}

fn built(settings: &HuaweiSettings, clock: Arc<dyn Clock>) -> HuaweiIdentityCenter {
    settings.build(&"cloud".parse().expect("a name"), clock).expect("a client")
}

async fn huawei() -> (Server, HuaweiIdentityCenter) {
    let server = Server::start().await;
    let client = built(&settings(&server), Arc::new(SystemClock::new()));
    (server, client)
}

async fn with_issuer() -> (Server, HuaweiIdentityCenter) {
    let server = Server::start().await;
    let settings = HuaweiSettings { external_id_issuer: Some("https://idp.example".to_owned()), ..settings(&server) };
    let client = built(&settings, Arc::new(SystemClock::new()));
    (server, client)
}

fn answer(body: &Value) -> Canned {
    Canned::new(200, body.to_string()).header("content-type", "application/json")
}

fn user_json(id: &str, name: &str, email: &str) -> Value {
    json!({"user_id": id, "user_name": name, "display_name": "D", "enabled": true, "identity_store_id": STORE,
           "emails": [{"primary": true, "type": "work", "value": email}], "created_at": 1_750_000_000_000_i64})
}

fn user(id: &str, name: &str, email: &str) -> Canned {
    answer(&user_json(id, name, email))
}

fn page(users: &[Value], next: Option<&str>) -> Canned {
    answer(&json!({"users": users, "page_info": {"next_marker": next, "current_count": users.len()}}))
}

fn found(id: &str) -> Canned {
    answer(&json!({"identity_store_id": STORE, "user_id": id}))
}

fn session_json(id: &str) -> Value {
    json!({"session_id": id, "user_id": ID, "creation_time": 1_753_858_567, "session_not_valid_after": 4_000_000_000_i64,
           "ip_address": "203.0.113.7", "user_agent": "Mozilla/5.0"})
}

fn sessions<I: AsRef<str>>(ids: &[I]) -> Canned {
    let list: Vec<_> = ids.iter().map(|id| session_json(id.as_ref())).collect();
    answer(&json!({"session_list": list}))
}

fn none() -> Canned {
    sessions::<&str>(&[])
}

fn ok() -> Canned {
    Canned::new(200, "")
}

fn error(status: u16, code: &str) -> Canned {
    Canned::new(status, json!({"error_code": code, "error_msg": "m", "request_id": "r"}).to_string())
}

fn account() -> Account {
    Account::new(ID, vec![ID.to_owned()])
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

fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("s{number:03}")).collect()
}

/// The batches sent, in order.
fn batches(server: &Server) -> Vec<Vec<String>> {
    let deletes = server.seen().into_iter().filter(|seen| seen.line.ends_with("/batch-delete"));
    let ids = |body: &str| serde_json::from_str::<Value>(body).expect("JSON")["session_ids"].clone();
    deletes.map(|seen| serde_json::from_value(ids(&seen.body)).expect("ids")).collect()
}

fn path(rest: &str) -> String {
    format!("/v1/identity-stores/{STORE}/users{rest}")
}

#[tokio::test]
async fn calls_are_as_documented_and_signed() {
    let server = Server::start().await;
    let mut settings = settings(&server);
    settings.credentials.security_token = Some(crate::settings::SecretRef::Value(TOKEN.to_owned()));
    settings.project_id = Some("0123456789abcdef0123456789abcdef".to_owned());
    let client = built(&settings, Arc::new(SystemClock::new()));
    server.then([page(&[], None), sessions(&["s1"]), ok(), none(), found(ID), user(ID, "zoë+1", "z@example.com")]);
    assert_eq!(client.resolve(&by_email("z@example.com")).await.expect("an answer"), None);
    client.revoke(&account(), &all(), None).await.expect("a yes").expect("a revocation");
    client.resolve(&by_username("zoë+1")).await.expect("an answer").expect("an account");
    let lines = [
        format!("GET {}?limit=100", path("")),
        format!("GET {}", path(&format!("/{ID}/sessions"))),
        format!("POST {}", path(&format!("/{ID}/sessions/batch-delete"))),
        format!("GET {}", path(&format!("/{ID}/sessions"))),
        format!("POST {}", path("/retrieve-user-id")),
        format!("GET {}", path(&format!("/{ID}"))),
    ];
    assert_eq!(server.lines(), lines);
    let seen = server.seen();
    assert_eq!(seen[2].body, r#"{"session_ids":["s1"]}"#);
    let question =
        r#"{"alternate_identifier":{"unique_attribute":{"attribute_path":"user_name","attribute_value":"zoë+1"}}}"#;
    assert_eq!(seen[4].body, question);
    for seen in seen {
        let header = |name: &str| seen.headers[name].to_str().expect("text").to_owned();
        assert_eq!(header("content-type"), "application/json");
        assert_eq!(header("accept"), "application/json");
        assert_eq!(header("x-security-token"), TOKEN);
        assert_eq!(header("x-project-id"), "0123456789abcdef0123456789abcdef");
        assert_eq!(header("host"), server.address.to_string());
        let signed = "SignedHeaders=content-type;host;x-project-id;x-sdk-date;x-security-token, Signature=";
        let begins = format!("SDK-HMAC-SHA256 Access={AK}, {signed}");
        assert!(header("authorization").starts_with(&begins), "{}", header("authorization"));
        let date = header("x-sdk-date");
        assert!(date.len() == 16 && &date[8..9] == "T" && date.ends_with('Z'), "{date}");
        assert!(seen.headers.get("x-sdk-content-sha256").is_none() && seen.headers.get("x-domain-id").is_none());
    }
}

#[tokio::test]
async fn everything_ends_in_batches_until_none_is_left() {
    let (server, client) = huawei().await;
    let ids = names(45);
    server.then([sessions(&ids), ok(), ok(), Canned::new(200, "{}"), sessions(&["late"]), ok(), none()]);
    let revocation = client.revoke(&account(), &all(), None).await.expect("a yes").expect("a revocation");
    assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Confirmed, Some(46)));
    let told = revocation.survives.join(" ");
    assert!(["console", "password", "access keys"].iter().all(|part| told.contains(part)), "{told}");
    let sent = batches(&server);
    assert_eq!(sent.iter().map(Vec::len).collect::<Vec<_>>(), [20, 20, 5, 1]);
    let mut sent: Vec<String> = sent.into_iter().flatten().collect();
    sent.sort();
    assert_eq!(sent, [vec!["late".to_owned()], ids].concat());
}

#[tokio::test]
async fn what_was_seen_just_now_is_not_listed_again_and_nothing_is_nothing() {
    let (server, client) = huawei().await;
    let seen = |ids: &[&str]| Look {
        sessions: ids.iter().map(|id| crate::domain::Session { id: (*id).to_owned(), ..Default::default() }).collect(),
        complete: true,
        at: None,
    };
    server.then([ok(), none()]);
    let some = client.revoke(&account(), &all(), Some(&seen(&["s1"]))).await.expect("a yes").expect("a revocation");
    assert_eq!(some.sessions_ended, Some(1));
    assert_eq!(server.seen().len(), 2);
    assert_eq!(client.revoke(&account(), &all(), Some(&seen(&[]))).await.expect("a yes"), None);
    assert_eq!(server.seen().len(), 2);
    server.then([none()]);
    assert_eq!(client.revoke(&account(), &all(), None).await.expect("a yes"), None);
    assert!(batches(&server).iter().all(|batch| !batch.is_empty()));
}

#[tokio::test]
async fn sessions_that_come_back_for_ever_come_to_an_end() {
    let (server, client) = huawei().await;
    for number in 0..20 {
        server.then([sessions(&[format!("s{number}")]), ok()]);
    }
    let revocation = client.revoke(&account(), &all(), None).await.expect("a yes").expect("a revocation");
    assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Accepted, Some(5)));
    assert_eq!(batches(&server).len(), 5);
}

#[tokio::test]
async fn a_session_that_stays_listed_is_not_ended_twice_and_not_counted() {
    let (server, client) = huawei().await;
    server.then([sessions(&["s1", "s2"]), ok(), sessions(&["s1"])]);
    let revocation = client.revoke(&account(), &all(), None).await.expect("a yes").expect("a revocation");
    assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Accepted, None));
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_list_that_fails_after_the_yes_does_not_undo_it() {
    let (server, client) = huawei().await;
    server.then([sessions(&["s1"]), ok(), error(500, "IIC.1209")]);
    let revocation = client.revoke(&account(), &all(), None).await.expect("a yes").expect("a revocation");
    assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Accepted, None));
}

#[tokio::test]
async fn only_an_empty_200_is_a_yes() {
    for (refusal, class) in [
        (Canned::new(302, "").header("location", "/v1/elsewhere"), "misconfigured"),
        (error(401, "APIGW.0307"), "unauthorized"),
        (error(403, "IIC.1000"), "refused"),
        (error(429, "APIGW.0308"), "throttled"),
        (ok().delay(Duration::from_secs(5)), "unavailable"),
    ] {
        let (server, client) = huawei().await;
        server.then([sessions(&["s1"]), refusal]);
        let error = client.revoke(&account(), &all(), None).await.expect_err("no yes");
        assert_eq!(error.class().as_str(), class, "{error:?}");
        assert_eq!(server.seen().len(), 2, "it did nothing, so nothing is listed after it: {error:?}");
    }
    for odd in [
        Canned::new(200, "<html>Sign in</html>").header("content-type", "text/html"),
        answer(&json!({"error_code": "IIC.400", "error_msg": "m"})),
        answer(&json!([])),
        answer(&json!(null)),
        answer(&json!({"deleted": 0})),
        Canned::new(202, ""),
        Canned::new(204, ""),
        error(500, "IIC.1209"),
    ] {
        let (server, client) = huawei().await;
        server.then([sessions(&["s1"]), odd.clone(), sessions(&["s1"])]);
        let error = client.revoke(&account(), &all(), None).await.expect_err("no yes");
        assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
        assert_eq!((error.report().operation, server.seen().len()), ("delete_sessions", 3));
        let (server, client) = huawei().await;
        server.then([sessions(&["s1"]), odd, none(), none()]);
        let gone = client.revoke(&account(), &all(), None).await.expect("seen to be gone").expect("a revocation");
        assert_eq!((gone.outcome, gone.sessions_ended), (Outcome::Confirmed, Some(1)));
    }
}

#[tokio::test]
async fn after_any_other_4xx_a_list_says_whether_they_are_gone() {
    let refusals = [
        (404, "IIC.404", "unavailable"),
        (404, "IIC.400", "refused"),
        (404, "IIC.1002", "refused"),
        (400, "IIC.400", "refused"),
        (400, "IIC.9999", "refused"),
        (409, "IIC.1006", "unavailable"),
        (410, "IIC.9999", "refused"),
        (404, "APIGW.0101", "misconfigured"),
    ];
    for (status, code, class) in refusals {
        let (server, client) = huawei().await;
        server.then([sessions(&["s1"]), error(status, code), none(), none()]);
        let gone = client.revoke(&account(), &all(), None).await.expect("done").expect("a revocation");
        assert_eq!((gone.outcome, gone.sessions_ended), (Outcome::Confirmed, Some(1)), "{status} {code}");
        let (server, client) = huawei().await;
        server.then([sessions(&["s1"]), error(status, code), sessions(&["s1"])]);
        let left = client.revoke(&account(), &all(), None).await.expect_err("still there");
        assert_eq!(left.class().as_str(), class, "{status} {code}");
        assert_eq!(left.report().code.as_deref(), Some(code));
        assert_eq!(server.seen().len(), 3);
    }
    let (server, client) = huawei().await;
    server.then([sessions(&["s1"]), error(404, "IIC.404"), error(404, "IIC.404")]);
    let gone = client.revoke(&account(), &all(), None).await.expect_err("the user is gone");
    assert!(matches!(gone, ProviderError::UnknownAccount(_)), "{gone:?}");
}

#[tokio::test]
async fn one_that_is_gone_does_not_keep_the_others_alive() {
    let (server, client) = huawei().await;
    server.then([sessions(&["s1", "s2", "s3"]), error(404, "IIC.404"), sessions(&["s1", "s3"]), ok(), none()]);
    let revocation = client.revoke(&account(), &all(), None).await.expect("a yes").expect("a revocation");
    assert_eq!(revocation.sessions_ended, Some(3));
    assert_eq!(batches(&server)[1], ["s1", "s3"]);
}

#[tokio::test]
async fn one_that_is_not_taken_does_not_keep_the_others_alive() {
    let (server, client) = huawei().await;
    let four = || sessions(&["s1", "s2", "s3", "s4"]);
    // The list lags and goes on showing all four; s3 is the one that is refused.
    server.then([four(), error(404, "IIC.404"), four(), ok()]);
    server.then([error(404, "IIC.404"), four(), error(404, "IIC.404"), four(), ok()]);
    let left = client.revoke(&account(), &all(), None).await.expect_err("one is left");
    assert!(matches!(left, ProviderError::Unavailable(_)), "{left:?}");
    let sent: Vec<String> = batches(&server).iter().map(|batch| batch.join(" ")).collect();
    assert_eq!(sent, ["s1 s2 s3 s4", "s1 s2", "s3 s4", "s3", "s4"]);
}

#[tokio::test]
async fn a_service_that_refuses_everything_is_not_asked_for_ever() {
    let (server, client) = huawei().await;
    let ids = names(200);
    server.then([sessions(&ids)]);
    for _ in 0..200 {
        server.then([error(400, "IIC.400"), sessions(&ids)]);
    }
    let refused = client.revoke(&account(), &all(), None).await.expect_err("refused");
    assert!(matches!(refused, ProviderError::Refused(_)), "{refused:?}");
    assert_eq!(batches(&server).len(), 17);
}

#[tokio::test]
async fn given_sessions_end_only_if_they_are_listed() {
    let (server, client) = huawei().await;
    server.then([sessions(&["s1", "s2", "s3"]), ok(), sessions(&["s3"])]);
    let request = given(&["s1", "s2", "s2", "foreign"]);
    let revocation = client.revoke(&account(), &request, None).await.expect("a yes").expect("a revocation");
    assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Confirmed, Some(2)));
    assert!(revocation.survives[0].contains("other portal sessions"));
    assert!(revocation.survives.iter().any(|text| text.starts_with("1 given sessions that are not listed")));
    assert_eq!(batches(&server), [["s1", "s2"]]);
    server.then([sessions(&["s3"])]);
    assert_eq!(client.revoke(&account(), &given(&["s1", "foreign"]), None).await.expect("gone"), None);
    assert_eq!(batches(&server).len(), 1);
}

#[tokio::test]
async fn web_and_mobile_are_refused_without_a_call() {
    let (server, client) = huawei().await;
    for scope in [Scope::Web, Scope::Mobile] {
        assert!(client.revoke(&account(), &RevokeRequest::new(scope), None).await.is_err());
    }
    assert!(server.seen().is_empty());
    let kind = ProviderKind::HuaweiIdentityCenter;
    assert!(!kind.supports(crate::domain::ScopeKind::Web) && kind.list_parameters().is_empty());
}

#[tokio::test]
async fn a_look_shows_what_is_alive_by_the_providers_clock() {
    let (server, client) = huawei().await;
    let date = "Sun, 06 Nov 1994 08:49:37 GMT"; // 784111777
    let at = |id: &str, from: i64, until: Value| json!({"session_id": id, "creation_time": from, "session_not_valid_after": until, "user_agent": "a\u{1b}[31m\u{202e}b"});
    let list = json!([
        at("alive", 784_111_000, json!(784_111_778)),
        at("alive", 784_111_000, json!(784_111_778)),
        at("milliseconds", 784_111_000_123, json!(784_111_778_000_i64)),
        at("without end", 784_111_000, json!(null)),
        at("strange end", 784_111_000, json!("soon")),
        at("over", 784_111_000, json!(784_111_777)),
        at("over too", 784_111_000, json!(784_111_777_000_i64)),
    ]);
    server.then([answer(&json!({"session_list": list})).header("date", date)]);
    let look = client.sessions(&account()).await.expect("an answer").expect("a look");
    let seen: Vec<_> = look.sessions.iter().map(|session| session.id.as_str()).collect();
    assert_eq!(seen, ["alive", "milliseconds", "without end", "strange end"]);
    assert!(look.complete);
    assert_eq!(look.at.map(Timestamp::as_second), Some(784_111_777));
    assert_eq!(look.sessions[0].created_at.map(Timestamp::as_second), Some(784_111_000));
    assert_eq!(look.sessions[1].created_at.map(Timestamp::as_millisecond), Some(784_111_000_123));
    assert_eq!(look.sessions[1].expires_at.map(Timestamp::as_second), Some(784_111_778));
    assert_eq!(look.sessions[0].client.as_deref(), Some("a[31mb"));
    server.then([sessions(&["s1", "s2"])]);
    let page = client.list_sessions(&account(), &ListQuery::default()).await.expect("an answer").expect("a page");
    assert_eq!((page.sessions.len(), page.next_cursor, page.total), (2, None, Some(2)));
}

#[tokio::test]
async fn nothing_but_a_list_is_a_list() {
    let (server, client) = huawei().await;
    for empty in [json!({"session_list": []}), json!({"session_list": null}), json!({}), json!({"request_id": "r"})] {
        server.then([answer(&empty)]);
        let look = client.sessions(&account()).await.expect("an answer").expect("a look");
        assert!(look.sessions.is_empty() && look.complete, "{empty}");
    }
    let foreign = json!({"session_list": [{"session_id": "s1", "user_id": OTHER}]});
    for nonsense in [
        json!({"sessions": []}),
        json!({"status": "ok"}),
        json!({"error_code": "IIC.404", "error_msg": "m"}),
        json!({"session_list": [], "error": {"code": "IIC.1209", "message": "m"}}),
        json!({"session_list": [{"session_id": ""}]}),
        json!({"session_list": [{"session_id": "a\nb"}]}),
        json!({"session_list": [{"session_id": 7}]}),
        json!({"session_list": {}}),
        json!([]),
        json!(null),
        foreign,
    ] {
        server.then([answer(&nonsense)]);
        let error = client.sessions(&account()).await.expect_err("nonsense");
        assert!(matches!(error, ProviderError::Unavailable(_)), "{nonsense}: {error:?}");
        server.then([answer(&nonsense)]);
        assert!(client.revoke(&account(), &all(), None).await.is_err(), "{nonsense}");
    }
    assert!(batches(&server).is_empty());
    server.then([answer(&json!({"session_list": [], "page_info": {"next_marker": "AAAA"}}))]);
    assert!(!client.sessions(&account()).await.expect("an answer").expect("a look").complete);
}

#[tokio::test]
async fn a_user_id_is_read_and_has_to_be_the_id() {
    let (server, client) = huawei().await;
    server.then([user(ID, "zoe", "Zoe@example.com")]);
    let subject = Subject { email: Some("bob@example.com".to_owned()), ..by_id(ID) };
    let found = client.resolve(&subject).await.expect("an answer").expect("an account");
    assert_eq!((found.id.as_str(), found.identifiers.len()), (ID, 3));
    assert_eq!(server.lines(), [format!("GET {}", path(&format!("/{ID}")))], "an id wins over the other names");
    server.then([user(OTHER, "zoe", "zoe@example.com")]);
    assert!(matches!(client.resolve(&by_id(ID)).await, Err(ProviderError::Unavailable(_))));
    server.then([error(404, "IIC.404"), page(&[], None)]);
    assert!(matches!(client.resolve(&by_id(ID)).await, Err(ProviderError::UnknownAccount(_))));
    server.then([error(404, "IIC.404"), error(404, "IIC.404")]);
    let no_store = client.resolve(&by_id(ID)).await.expect_err("no store");
    assert!(matches!(&no_store, ProviderError::Misconfigured(_)) && no_store.to_string().contains("identity_store_id"));
    server.then([error(404, "IIC.400")]);
    assert!(matches!(client.resolve(&by_id(ID)).await, Err(ProviderError::Refused(_))));
    server.then([Canned::new(404, "<html>")]);
    assert!(matches!(client.resolve(&by_id(ID)).await, Err(ProviderError::Unavailable(_))), "a proxy's 404");
}

#[tokio::test]
async fn an_external_id_is_one_only_with_its_issuer() {
    let (server, client) = with_issuer().await;
    let known = |id: &str, external: Option<&str>| {
        let mut user = user_json(id, "zoe", "zoe@example.com");
        user["external_id"] = json!(external);
        answer(&user)
    };
    server.then([error(404, "IIC.404"), found(ID), known(ID, Some("00u1"))]);
    let zoe = client.resolve(&by_id("00u1")).await.expect("an answer").expect("an account");
    assert!(zoe.id == ID && zoe.identifiers.contains(&"00u1".to_owned()));
    let question = r#"{"alternate_identifier":{"external_id":{"id":"00u1","issuer":"https://idp.example"}}}"#;
    assert_eq!(server.seen()[1].body, question);
    // What is no user id at all never comes into a path.
    server.then([found(ID), known(ID, None)]);
    assert!(client.resolve(&by_id("corp/zoe@example.com")).await.expect("an answer").is_some());
    assert_eq!(server.lines()[3], format!("POST {}", path("/retrieve-user-id")));
    server.then([found(ID), known(ID, Some("somebody else")), page(&[], None)]);
    assert!(matches!(client.resolve(&by_id("corp/zoe")).await, Err(ProviderError::UnknownAccount(_))));
    server.then([known(OTHER, None), found(ID), known(ID, None)]);
    let two = client.resolve(&by_id(OTHER)).await.expect_err("two people");
    assert!(matches!(two, ProviderError::Unclear(_)), "{two:?}");
    server.then([known(ID, None), error(403, "IIC.1000")]);
    assert!(client.resolve(&by_id(ID)).await.expect("known all the same").is_some());
    server.then([error(404, "IIC.404"), error(403, "IIC.1000")]);
    assert!(matches!(client.resolve(&by_id("00u1")).await, Err(ProviderError::Forbidden(_))));
}

#[tokio::test]
async fn a_user_name_is_asked_for_and_then_looked_for() {
    let (server, client) = huawei().await;
    server.then([found(ID), user(ID, "Zoe", "zoe@example.com")]);
    let zoe = client.resolve(&by_username("zoe")).await.expect("an answer").expect("an account");
    assert_eq!(zoe.id, ID, "the provider said that it is hers, whatever the case");
    let near = [user_json(OTHER, "zoel", "l@example.com"), user_json(ID, "zoe", "zoe@example.com")];
    for not_taken in [error(400, "IIC.400"), error(404, "IIC.400"), error(403, "IIC.1000"), error(404, "IIC.404")] {
        let before = server.seen().len();
        server.then([not_taken, page(&near, None), user(ID, "zoe", "zoe@example.com")]);
        let zoe = client.resolve(&by_username("zoe")).await.expect("an answer").expect("an account");
        assert_eq!(zoe.id, ID);
        assert_eq!(server.lines()[before + 1], format!("GET {}?limit=100&user_name=zoe", path("")));
    }
    // Somebody else's answer, a near miss, another case in the list: nobody.
    server.then([found(OTHER), user(OTHER, "zoel", "l@example.com"), page(&near[..1], None)]);
    assert_eq!(client.resolve(&by_username("zoe")).await.expect("an answer"), None);
    server.then([error(404, "IIC.404"), page(&[user_json(ID, "ZOE", "z@example.com")], None)]);
    assert_eq!(client.resolve(&by_username("zoe")).await.expect("an answer"), None);
    server.then([error(404, "IIC.404"), error(404, "IIC.404")]);
    let no_store = client.resolve(&by_username("zoe")).await.expect_err("no store");
    assert!(matches!(no_store, ProviderError::Misconfigured(_)), "{no_store:?}");
    for broken in [error(500, "IIC.1209"), found("../x"), answer(&json!({})), Canned::new(200, "<html>")] {
        server.then([broken]);
        assert!(matches!(client.resolve(&by_username("zoe")).await, Err(ProviderError::Unavailable(_))));
    }
}

#[tokio::test]
async fn an_address_is_looked_for_on_every_page_and_read_again() {
    let (server, client) = huawei().await;
    let others = [user_json(OTHER, "zoe@example.com", "l@example.com"), json!({"user_id": "no-name-1"})];
    let zoe = || user_json(ID, "z1", "Zoe@Example.com");
    server.then([page(&others, Some("AAAA BBBB==")), page(&[], Some("m2")), page(&[zoe()], Some(""))]);
    server.then([answer(&zoe())]);
    let found = client.resolve(&by_email("zoe@example.com")).await.expect("an answer").expect("an account");
    assert_eq!(found.id, ID);
    let list = path("");
    let lines = [
        format!("GET {list}?limit=100"),
        format!("GET {list}?limit=100&marker=AAAA%20BBBB%3D%3D"),
        format!("GET {list}?limit=100&marker=m2"),
        format!("GET {list}/{ID}"),
    ];
    assert_eq!(server.lines(), lines);
    // The page has an address that the user no longer has.
    server.then([page(&[zoe()], None), user(ID, "z1", "new@example.com")]);
    assert_eq!(client.resolve(&by_email("zoe@example.com")).await.expect("an answer"), None);
    // The same user on two pages that moved is one.
    server.then([page(&[zoe()], Some("m2")), page(&[zoe()], None), answer(&zoe())]);
    assert!(client.resolve(&by_email("zoe@example.com")).await.expect("an answer").is_some());
    server.then([page(&[zoe()], Some("m2")), page(&[user_json(OTHER, "z2", "ZOE@example.com")], None)]);
    let two = client.resolve(&by_email("zoe@example.com")).await.expect_err("two");
    assert!(matches!(two, ProviderError::Unclear(_)) && two.to_string().starts_with("2 accounts"), "{two}");
    assert!(!two.to_string().contains("zoe"));
    for nonsense in [json!({"users": null}), json!({"page_info": {}}), json!([]), json!({"users": [{"name": "x"}]})] {
        server.then([answer(&nonsense)]);
        let error = client.resolve(&by_email("zoe@example.com")).await.expect_err("nonsense");
        assert!(matches!(error, ProviderError::Unavailable(_)), "{nonsense}: {error:?}");
    }
}

#[tokio::test]
async fn pages_end() {
    let (server, client) = huawei().await;
    server.then([page(&[], Some("m1")), page(&[], Some("m1")), page(&[], Some("m1"))]);
    assert!(matches!(client.resolve(&by_email("zoe@example.com")).await, Err(ProviderError::Unclear(_))));
    assert_eq!(server.seen().len(), 2, "a page that names itself is not followed");
    let (server, client) = huawei().await;
    server.then((0..600).map(|number| page(&[], Some(&format!("m{number}")))));
    assert!(matches!(client.resolve(&by_email("zoe@example.com")).await, Err(ProviderError::Unclear(_))));
    assert_eq!(server.seen().len(), 500);
}

#[tokio::test]
async fn an_address_and_a_user_name_have_to_agree() {
    let (server, client) = huawei().await;
    let zoe = user_json(ID, "zoe", "zoe@example.com");
    let both = Subject { username: Some("bob".to_owned()), ..by_email("zoe@example.com") };
    server.then([
        page(std::slice::from_ref(&zoe), None),
        answer(&zoe),
        found(OTHER),
        user(OTHER, "bob", "b@example.com"),
    ]);
    assert!(matches!(client.resolve(&both).await, Err(ProviderError::Unclear(_))));
    let both = Subject { username: Some("zoe".to_owned()), ..by_email("zoe@example.com") };
    server.then([page(std::slice::from_ref(&zoe), None), answer(&zoe), found(ID), answer(&zoe)]);
    assert!(client.resolve(&both).await.expect("an answer").is_some());
}

#[tokio::test]
async fn no_hostile_name_ever_leaves() {
    let (server, client) = huawei().await;
    let hostile = ["", " ", ".", "..", "me", "ME", "%2e%2e", "%6de", "a\nb", "a\u{202e}b", " a", "*"];
    for name in hostile {
        for subject in [by_id(name), by_email(name), by_username(name)] {
            let refused = client.resolve(&subject).await.expect_err("hostile");
            assert!(matches!(refused, ProviderError::Unclear(_)), "{name:?}: {refused:?}");
        }
    }
    let ids =
        ["a/../b", "1a2b/disable", "1a2b%2F..", "1a2b;x", "1a2b?a", "..\\x", "retrieve-user-id", "Batch-Query", "a.b"];
    for id in hostile.iter().chain(&ids) {
        let account = Account::new(*id, Vec::new());
        assert!(matches!(client.resolve(&by_id(id)).await, Err(ProviderError::Unclear(_))), "{id}");
        assert!(matches!(client.sessions(&account).await, Err(ProviderError::Unclear(_))), "{id}");
        assert!(matches!(client.revoke(&account, &all(), None).await, Err(ProviderError::Unclear(_))), "{id}");
    }
    let long = "x".repeat(256);
    assert!(matches!(client.resolve(&by_username(&long)).await, Err(ProviderError::Unclear(_))));
    assert!(matches!(client.resolve(&Subject::default()).await, Err(ProviderError::Unclear(_))));
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_429_waits_for_a_header_that_makes_sense_and_no_other() {
    for (header, seconds) in [(Some("30"), Some(30)), (Some("0"), Some(1)), (Some("later"), None), (None, None)] {
        let (server, client) = huawei().await;
        let limited = error(429, "APIGW.0308");
        let limited = header.into_iter().fold(limited, |answer, value| answer.header("retry-after", value));
        server.then([sessions(&["s1"]), limited, sessions(&["s1"])]);
        let throttled = client.revoke(&account(), &all(), None).await.expect_err("throttled");
        let ProviderError::Throttled { retry_after, .. } = &throttled else { panic!("{throttled:?}") };
        assert_eq!(*retry_after, seconds.map(Duration::from_secs), "{header:?}");
        if seconds == Some(30) {
            assert!(client.wait().is_some_and(|wait| wait > Duration::from_secs(25)));
            assert!(client.sessions(&account()).await.is_ok(), "another operation goes on");
            server.then([sessions(&["s1"])]);
            assert!(client.revoke(&account(), &all(), None).await.is_err());
            assert_eq!(batches(&server).len(), 1, "a closed operation is not called");
        }
    }
}

#[tokio::test]
async fn a_clock_that_is_off_is_mended_by_the_answers_own() {
    let server = Server::start().await;
    let clock = Arc::new(ManualClock::new("2026-11-21T22:00:00Z".parse().expect("a time")));
    let client = built(&settings(&server), clock.clone());
    let ahead = "Sat, 21 Nov 2026 23:00:05 GMT";
    for code in ["APIGW.0301", "APIGW.0303"] {
        server.then([error(401, code).header("date", ahead), none()]);
        clock.set_wall("2026-11-21T22:00:00Z".parse().expect("a time"));
        assert!(client.sessions(&account()).await.is_ok(), "{code}");
        server.then([none()]);
        assert!(client.sessions(&account()).await.is_ok(), "what was learned is kept");
        clock.set_wall("2026-11-21T23:00:05Z".parse().expect("a time"));
        server.then([error(401, code).header("date", ahead), none()]);
        assert!(client.sessions(&account()).await.is_ok(), "and forgotten once the clock is right");
    }
    let dates: Vec<_> =
        server.seen().iter().map(|seen| seen.headers["x-sdk-date"].to_str().expect("text").to_owned()).collect();
    let (wrong, right, later) = ("20261121T220000Z", "20261121T230005Z", "20261122T000010Z");
    assert_eq!(dates[..5], [wrong, right, right, later, right]);
    assert_eq!(dates[5..], [wrong, right, right, later, right]);
    let signatures: std::collections::BTreeSet<_> =
        server.seen().iter().map(|seen| seen.headers["authorization"].to_str().expect("text").to_owned()).collect();
    assert_eq!(signatures.len(), 3, "each date has a signature of its own");
}

#[tokio::test]
async fn a_credential_that_is_refused_twice_is_refused() {
    let server = Server::start().await;
    let clock = Arc::new(ManualClock::new("2026-11-21T22:00:00Z".parse().expect("a time")));
    let client = built(&settings(&server), clock);
    let refused = || error(401, "APIGW.0301").header("date", "Sat, 21 Nov 2026 23:00:00 GMT");
    server.then([refused(), refused()]);
    let error = client.sessions(&account()).await.expect_err("refused");
    assert!(matches!(&error, ProviderError::Unauthorized(_)) && error.to_string().contains("3600 s apart"), "{error}");
    assert_eq!(server.seen().len(), 2, "signed once more, and not again");
    server.then([self::error(401, "APIGW.0305")]);
    assert!(matches!(client.sessions(&account()).await, Err(ProviderError::Unauthorized(_))));
    assert_eq!(server.seen().len(), 3, "another 401 is not about the date");
}

#[tokio::test]
async fn an_echoed_request_does_not_come_back_to_us() {
    let server = Server::start().await;
    let mut settings = settings(&server);
    settings.credentials.security_token = Some(crate::settings::SecretRef::Value(TOKEN.to_owned()));
    let client = built(&settings, Arc::new(SystemClock::new()));
    let hidden = |shown: &str| {
        let secrets = [AK, SK, TOKEN, "TEMPORARY", "zoe%40example", "zoe@example", "x-sdk-date:"];
        assert!(!secrets.iter().any(|secret| shown.contains(secret)), "{shown}");
        assert!(shown.len() < 2000);
    };
    let canonical = format!(
        "GET|{}/|limit=100&user_name=zoe%40example.com|x-sdk-date:20261121T220000Z|x-security-token:{TOKEN}||host",
        path("")
    );
    for message in [
        format!("verify aksk signature fail, canonicalRequest:{canonical}"),
        format!("verify aksk signature fail {}", canonical.replace('|', "\n")),
        format!("Get secretKey failed,ak:{AK},err:ak not exist {TOKEN}"),
        format!("bad {AK} {SK} {TOKEN} of zoe@example.com"),
    ] {
        for (status, code) in [(401, "APIGW.0301"), (401, "APIGW.9999"), (400, "IIC.9999"), (503, "x"), (200, "x")] {
            let body = json!({"error_code": format!("{code} {AK}"), "error_msg": message, "request_id": TOKEN});
            let echo = || Canned::new(status, body.to_string()).header("x-request-id", TOKEN);
            server.then([echo(), echo(), echo(), echo()]);
            for error in [
                client.resolve(&by_email("zoe@example.com")).await.err(),
                client.revoke(&account(), &all(), None).await.err(),
            ] {
                hidden(&format!("{:?} {}", error, error.as_ref().expect("an error")));
            }
        }
    }
    // The signature of the very call.
    let seen = server.seen();
    let signature = seen[0].headers["authorization"].to_str().expect("text").rsplit('=').next().expect("a signature");
    assert_eq!(signature.len(), 64);
}

#[tokio::test]
async fn a_look_at_the_credential_changes_nothing() {
    let (server, client) = huawei().await;
    let zoe = user_json(ID, "zoe", "zoe@example.com");
    server.then([page(std::slice::from_ref(&zoe), None), answer(&zoe), none(), found(ID)]);
    let report = client.check().await.expect("a report");
    assert!(report.identity.contains(STORE) && !report.identity.contains(AK), "{report:?}");
    assert!(report.missing.is_empty() && report.unchecked[0].contains("batchDeleteSession"));
    let lines = server.lines();
    assert_eq!(lines[0], format!("GET {}?limit=1", path("")));
    assert_eq!(lines.len(), 4);
    assert!(batches(&server).is_empty());
    server.then([page(&[], None)]);
    assert_eq!(client.check().await.expect("a report").unchecked.len(), 2);
    server.then([page(std::slice::from_ref(&zoe), None), answer(&zoe), none(), error(403, "IIC.1000")]);
    let missing = client.check().await.expect("a report").missing;
    assert!(missing.len() == 1 && missing[0].starts_with("IdentityCenter:user:getUserId: "), "{missing:?}");
    server.then([page(std::slice::from_ref(&zoe), None), answer(&zoe), none(), error(400, "IIC.400")]);
    let unchecked = client.check().await.expect("a report").unchecked;
    assert!(unchecked[1].contains("`attribute_path: user_name`"), "{unchecked:?}");
    for refusals in [
        vec![error(403, "IIC.1000")],
        vec![page(std::slice::from_ref(&zoe), None), error(403, "IIC.1000")],
        vec![page(std::slice::from_ref(&zoe), None), answer(&zoe), error(403, "IIC.1001")],
    ] {
        server.then(refusals);
        assert!(matches!(client.check().await, Err(ProviderError::Forbidden(_))));
    }
    server.then([error(404, "IIC.404")]);
    assert!(matches!(client.check().await, Err(ProviderError::Misconfigured(_))));
    server.then([Canned::new(200, "<html>")]);
    assert!(matches!(client.check().await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn a_list_that_a_thief_made_long_is_read_all_the_same() {
    let (server, client) = huawei().await;
    // One page holds them all, and whoever signs in writes the user agent.
    let mut list: Vec<Value> = names(300).iter().map(|id| session_json(id)).collect();
    list.iter_mut().for_each(|session| session["user_agent"] = "x".repeat(8000).into());
    server.then([answer(&json!({"session_list": list}))]);
    let look = client.sessions(&account()).await.expect("a look").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (300, true));
}

#[tokio::test]
async fn without_the_providers_time_nothing_has_run_out() {
    let (server, client) = huawei().await;
    let mut session = session_json("s1");
    // Over by our clock, which may be wrong.
    session["session_not_valid_after"] = 1_753_887_367.into();
    let list = answer(&json!({"session_list": [session]}));
    server.then([list.clone().header("date", "soon"), list]);
    let look = client.sessions(&account()).await.expect("a look").expect("a look");
    assert_eq!((look.sessions.len(), look.at), (1, None));
    let look = client.sessions(&account()).await.expect("a look").expect("a look");
    assert_eq!(look.sessions.len(), 0, "by the provider's own clock it is");
}

#[tokio::test]
async fn a_session_of_the_second_of_the_look_began_before_it() {
    let (server, client) = huawei().await;
    server.then([none().header("date", "Wed, 30 Jul 2025 06:56:07 GMT")]);
    let look = client.sessions(&account()).await.expect("a look").expect("a look");
    // Times may come in milliseconds, and `Date` is cut to the second.
    assert!(look.at.is_some_and(|at| at.as_millisecond() >= 1_753_858_567_999), "{look:?}");
}

#[tokio::test]
async fn markers_that_go_round_are_left_at_once() {
    let (server, client) = huawei().await;
    server.then(["a", "b", "a", "b", "a"].map(|marker| page(&[], Some(marker))));
    let error = client.resolve(&by_email("zoe@example.com")).await.expect_err("no end");
    assert!(matches!(error, ProviderError::Unclear(_)), "{error:?}");
    assert_eq!(server.seen().len(), 3);
}
