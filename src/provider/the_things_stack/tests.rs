//! The client against scripted answers, over a real socket.

use serde_json::{Value, json};

use super::settings::TheThingsStackSettings;
use super::*;
use crate::clock::SystemClock;
use crate::domain::{Outcome, Session, SessionRef};
use crate::provider::script::{Canned, Server};

const KEY: &str = "NNSXS.IDIDIDIDIDID.CANARYCANARYCANARY";
const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";

fn id(number: usize) -> String {
    format!("857c66da-304a-4378-b71f-{number:012}")
}

fn client(server: &Server, more: &Value) -> TheThingsStack {
    let mut settings = json!({"url": server.url(), "credentials": {"api_key": {"value": KEY}}, "timeout": "700ms"});
    settings.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
    let settings: TheThingsStackSettings = serde_json::from_value(settings).expect("settings");
    settings.build(&"lorawan".parse().expect("a name"), Arc::new(SystemClock::new())).expect("a client")
}

async fn stack() -> (Server, TheThingsStack) {
    let server = Server::start().await;
    let client = client(&server, &json!({}));
    (server, client)
}

fn ok(body: &Value) -> Canned {
    Canned::new(200, body.to_string()).header("date", DATE)
}

fn done() -> Canned {
    ok(&json!({}))
}

fn session_of(user: &str, number: usize) -> Value {
    json!({"user_ids": {"user_id": user}, "session_id": id(number), "created_at": "1994-11-01T08:00:00.123456Z",
           "updated_at": "1994-11-01T08:00:00.123456Z"})
}

fn listed(numbers: impl IntoIterator<Item = usize>) -> Canned {
    let rows: Vec<Value> = numbers.into_iter().map(|number| session_of("zoe", number)).collect();
    if rows.is_empty() { ok(&json!({})) } else { ok(&json!({"sessions": rows})) }
}

/// One page of a list of so many.
fn counted(numbers: impl IntoIterator<Item = usize>, total: usize) -> Canned {
    listed(numbers).header("x-total-count", total.to_string())
}

fn user_json(id: &str, email: &str) -> Value {
    json!({"ids": {"user_id": id}, "created_at": "2025-05-01T10:00:00Z", "updated_at": "2025-06-01T10:00:00Z",
           "primary_email_address": email})
}

fn user(id: &str, email: &str) -> Canned {
    ok(&user_json(id, email))
}

fn users(rows: &[(&str, &str)], total: usize) -> Canned {
    let rows: Vec<Value> = rows.iter().map(|(id, email)| user_json(id, email)).collect();
    ok(&json!({"users": rows})).header("x-total-count", total.to_string())
}

fn error(status: u16, grpc: i64, namespace: &str, name: &str) -> Canned {
    let details = json!([{"namespace": namespace, "name": name, "code": grpc}]);
    Canned::new(status, json!({"code": grpc, "message": "m", "details": details}).to_string())
}

fn gone() -> Canned {
    error(404, 5, "pkg/identityserver/store", "user_session_not_found")
}

fn nobody() -> Canned {
    error(404, 5, "pkg/identityserver/store", "user_not_found")
}

fn trouble() -> Canned {
    error(500, 2, "pkg/util/store", "driver")
}

fn zoe() -> Account {
    Account::new("zoe", vec!["zoe".to_owned(), "zoe@example.com".to_owned()])
}

fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

fn given(ids: &[&str]) -> RevokeRequest {
    RevokeRequest::new(Scope::Sessions(ids.iter().map(|id| SessionRef::Id((*id).to_owned())).collect()))
}

fn seen(numbers: &[usize]) -> Look {
    let sessions = numbers.iter().map(|number| Session { id: id(*number), ..Session::default() });
    Look { sessions: sessions.collect(), complete: true, at: None }
}

fn by(id: Option<&str>, email: Option<&str>, username: Option<&str>) -> Subject {
    let [id, email, username] = [id, email, username].map(|name| name.map(str::to_owned));
    Subject { id, email, username }
}

fn by_id(id: &str) -> Subject {
    by(Some(id), None, None)
}

fn by_email(email: &str) -> Subject {
    by(None, Some(email), None)
}

const LIST: &str = "GET /api/v3/users/zoe/sessions?order=created_at&limit=1000&page=";

fn delete(number: usize) -> String {
    format!("DELETE /api/v3/users/zoe/sessions/{}", id(number))
}

#[tokio::test]
async fn what_is_sent_is_what_is_documented_and_nothing_else() {
    let (server, stack) = stack().await;
    server.then([counted([1], 1), done(), counted([], 0)]);
    stack.revoke(&zoe(), &all(), None).await.expect("a yes").expect("a revocation");
    assert_eq!(server.lines(), [format!("{LIST}1"), delete(1), format!("{LIST}1")]);
    for seen in server.seen() {
        assert_eq!(seen.headers["authorization"], format!("Bearer {KEY}"));
        assert_eq!(seen.headers["accept"], "application/json");
        assert!(seen.headers.get("content-type").is_none() && seen.body.is_empty());
    }
}

#[tokio::test]
async fn an_address_is_sent_only_where_the_settings_say_so() {
    let server = Server::start().await;
    let stack = client(&server, &json!({"send_email": true}));
    server.then([counted([1], 1), done(), counted([], 0)]);
    stack.revoke(&zoe(), &all(), None).await.expect("a yes");
    let email = "user_ids.email=zoe%40example.com";
    let list = format!("GET /api/v3/users/zoe/sessions?{email}&order=created_at&limit=1000&page=1");
    assert_eq!(server.lines(), [list.clone(), format!("{}?{email}", delete(1)), list]);
    // An account that a person let through unread has no address.
    server.then([counted([], 0)]);
    stack.sessions(&Account::new("zoe", vec!["zoe".to_owned()])).await.expect("a look");
    assert_eq!(server.lines()[3], format!("{LIST}1"));
}

#[tokio::test]
async fn a_look_shows_what_is_alive_by_the_servers_own_clock() {
    let (server, stack) = stack().await;
    let mut rows = [1, 2, 3].map(|number| session_of("zoe", number));
    rows[1]["expires_at"] = "1994-11-06T08:49:37Z".into();
    rows[2]["expires_at"] = "1994-11-06T08:49:38Z".into();
    let page = ok(&json!({"sessions": rows})).header("x-total-count", "3");
    server.then([page]);
    let look = stack.sessions(&zoe()).await.expect("an answer").expect("a look");
    let ids: Vec<_> = look.sessions.iter().map(|session| session.id.clone()).collect();
    assert_eq!(ids, [id(1), id(3)], "the second has just expired");
    assert_eq!(look.at.map(|at| at.to_string()).as_deref(), Some("1994-11-06T08:49:37.999999Z"));
    assert_eq!(look.sessions[0].created_at.map(|at| at.to_string()).as_deref(), Some("1994-11-01T08:00:00.123456Z"));
    assert!(look.complete);
    // Without its clock nothing is known to have expired, and ending one that has does no harm.
    let undated = Canned::new(200, json!({"sessions": rows}).to_string()).header("date", "yesterday");
    server.then([undated.header("x-total-count", "3")]);
    let look = stack.sessions(&zoe()).await.expect("an answer").expect("a look");
    assert_eq!((look.sessions.len(), look.at), (3, None));
}

#[tokio::test]
async fn all_pages_are_read_whatever_their_size() {
    let (server, stack) = stack().await;
    let table = [
        ("full pages and a count", vec![counted(0..1000, 1500), counted(1000..1500, 1500)], 1500),
        ("full pages without a count", vec![listed(0..1000), listed(1000..1500), listed([])], 1500),
        ("exactly one full page", vec![counted(0..1000, 1000), counted([], 1000)], 1000),
        (
            "a server that caps pages at 100",
            vec![counted(0..100, 250), counted(100..200, 250), counted(200..250, 250)],
            250,
        ),
        ("a server that caps pages and does not count", vec![listed(0..100), listed(100..150), listed([])], 150),
        ("a count that is no number", vec![listed(0..3).header("x-total-count", "three"), listed([])], 3),
        ("one that comes twice", vec![counted(0..1000, 1400), counted(999..1400, 1400)], 1400),
    ];
    for (what, pages, sessions) in table {
        let before = server.seen().len();
        let calls = pages.len();
        server.then(pages);
        let look = stack.sessions(&zoe()).await.expect("an answer").expect("a look");
        assert_eq!((look.sessions.len(), look.complete), (sessions, true), "{what}");
        assert_eq!(server.seen().len() - before, calls, "{what}");
    }
}

#[tokio::test]
async fn a_list_that_moved_is_read_again_and_not_believed_if_it_never_stands_still() {
    let (server, stack) = stack().await;
    // Between the two pages one of the first page ended, so the first of the second page slipped to the first.
    server.then([counted(0..1000, 1500), counted(1001..1500, 1499), counted([], 1499)]);
    server.then([counted(1..1000, 1499), counted(1000..1500, 1499)]);
    let look = stack.sessions(&zoe()).await.expect("an answer").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (1499, true));
    // The same page again and again, whichever is asked for.
    server.then((0..6).map(|_| counted(0..100, 250)));
    let look = stack.sessions(&zoe()).await.expect("an answer").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (100, false));
    // More pages than anybody reads.
    server.then((0..11).map(|page| counted(page * 1000..(page + 1) * 1000, 11_000)));
    let look = stack.sessions(&zoe()).await.expect("an answer").expect("a look");
    assert_eq!((look.sessions.len(), look.complete), (10_000, false));
}

#[tokio::test]
async fn what_is_not_such_a_list_is_not_an_empty_one() {
    for body in [
        "<html>Sign in</html>",
        "",
        "[]",
        "null",
        r#"{"error":"no"}"#,
        r#"{"code":5,"message":"no","details":[]}"#,
        r#"{"sessions":{}}"#,
        r#"{"sessions":[{"session_id":"857c66da-304a-4378-b71f-000000000001"}]}"#,
        r#"{"sessions":[{"user_ids":{"user_id":"zoe"}}]}"#,
        r#"{"sessions":[{"user_ids":{"user_id":"zoe"},"session_id":"s1"}]}"#,
        r#"{"sessions":[{"user_ids":{"user_id":"bob"},"session_id":"857c66da-304a-4378-b71f-000000000001"}]}"#,
        r#"{"sessions":[{"user_ids":{"user_id":"zoe"},"session_id":"857c66da-304a-4378-b71f-000000000001","created_at":"soon"}]}"#,
        r#"{"sessions":["#,
    ] {
        let (server, stack) = stack().await;
        server.then([Canned::new(200, body).header("x-total-count", "0")]);
        let error = stack.revoke(&zoe(), &all(), None).await.expect_err("no list");
        assert!(matches!(error, ProviderError::Unavailable(_)), "{body}: {error:?}");
        assert_eq!(server.seen().len(), 1, "nothing is ended: {body}");
    }
}

#[tokio::test]
async fn what_was_seen_is_ended_and_then_whatever_is_new() {
    let (server, stack) = stack().await;
    server.then([done(), gone(), counted([2, 3], 2), done(), counted([3], 1)]);
    let told = stack.revoke(&zoe(), &all(), Some(&seen(&[1, 2]))).await.expect("a yes").expect("a revocation");
    assert_eq!((told.outcome, told.sessions_ended), (Outcome::Confirmed, Some(2)), "what stays listed is for a look");
    assert_eq!(server.lines(), [delete(1), delete(2), format!("{LIST}1"), delete(3), format!("{LIST}1")]);
    for part in ["OAuth", "API keys"] {
        assert!(told.survives.iter().any(|text| text.contains(part)), "{part}: {:?}", told.survives);
    }
}

#[tokio::test]
async fn nothing_to_end_is_told_without_another_call() {
    let (server, stack) = stack().await;
    assert_eq!(stack.revoke(&zoe(), &all(), Some(&seen(&[]))).await.expect("an answer"), None);
    assert!(server.seen().is_empty());
    server.then([counted([], 0)]);
    assert_eq!(stack.revoke(&zoe(), &all(), None).await.expect("an answer"), None);
    // What nobody could see in whole is looked at once more.
    let partial = Look { complete: false, ..seen(&[]) };
    server.then([counted([7], 1), done(), counted([], 0)]);
    assert!(stack.revoke(&zoe(), &all(), Some(&partial)).await.expect("an answer").is_some());
}

#[tokio::test]
async fn somebody_who_signs_in_for_ever_does_not_keep_us() {
    let (server, stack) = stack().await;
    server.then((0..100).flat_map(|number| [done(), counted([number + 1], 1)]));
    let told = stack.revoke(&zoe(), &all(), Some(&seen(&[0]))).await.expect("an answer").expect("a revocation");
    assert_eq!((told.outcome, told.sessions_ended), (Outcome::Accepted, Some(5)));
    assert_eq!(server.seen().len(), 10);
}

#[tokio::test]
async fn only_an_empty_message_says_yes() {
    for (answer, class) in [
        (Canned::new(200, "<html>Sign in</html>"), "unavailable"),
        (Canned::new(200, ""), "unavailable"),
        (Canned::new(200, "[]"), "unavailable"),
        (Canned::new(200, r#"{"error":"no"}"#), "unavailable"),
        (Canned::new(200, r#"{"code":7,"message":"no","details":[]}"#), "unavailable"),
        (Canned::new(202, "{}"), "unavailable"),
        (Canned::new(204, ""), "unavailable"),
        (Canned::new(302, "").header("location", "/api/v3/elsewhere"), "misconfigured"),
        (Canned::new(404, r#"{"code":5,"message":"Not Found","details":[]}"#), "misconfigured"),
        (Canned::new(404, "<html>not here</html>"), "misconfigured"),
        (nobody(), "refused"),
        (error(403, 7, "pkg/auth/rights", "insufficient_user_rights"), "unauthorized"),
        (error(403, 7, "pkg/auth/rights", "no_user_rights"), "refused"),
        (done().delay(Duration::from_secs(5)), "unavailable"),
    ] {
        let (server, stack) = stack().await;
        server.then([answer.clone()]);
        let error = stack.revoke(&zoe(), &given(&[&id(1)]), Some(&seen(&[1]))).await.expect_err("no yes");
        assert_eq!(error.class().as_str(), class, "{answer:?}: {error:?}");
        assert_eq!(server.lines(), [delete(1)], "{answer:?}");
    }
}

#[tokio::test]
async fn one_that_fails_does_not_keep_the_others_alive() {
    let (server, stack) = stack().await;
    server.then([done(), trouble(), done()]);
    let error = stack.revoke(&zoe(), &all(), Some(&seen(&[1, 2, 3]))).await.expect_err("one is left");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    assert_eq!(server.lines(), [delete(1), delete(2), delete(3)]);
    // Three in a row are the server's trouble.
    server.then((0..9).map(|_| trouble()));
    assert!(stack.revoke(&zoe(), &all(), Some(&seen(&[1, 2, 3, 4, 5]))).await.is_err());
    assert_eq!(server.seen().len(), 6);
}

#[tokio::test]
async fn a_batch_stops_where_the_next_call_would_fare_no_better() {
    let cases = [
        (error(401, 16, "pkg/identityserver", "api_key_not_found"), "unauthorized"),
        (error(429, 8, "pkg/ratelimit", "rate_limit_exceeded"), "throttled"),
        (done().delay(Duration::from_secs(5)), "unavailable"),
    ];
    for (answer, class) in cases {
        let (server, stack) = stack().await;
        server.then([done(), answer]);
        let error = stack.revoke(&zoe(), &all(), Some(&seen(&[1, 2, 3]))).await.expect_err("stopped");
        assert_eq!((error.class().as_str(), server.seen().len()), (class, 2), "{error:?}");
    }
}

#[tokio::test]
async fn a_second_list_that_fails_takes_nothing_back() {
    let (server, stack) = stack().await;
    server.then([done(), trouble()]);
    let told = stack.revoke(&zoe(), &all(), Some(&seen(&[1]))).await.expect("a yes").expect("a revocation");
    assert_eq!((told.outcome, told.sessions_ended), (Outcome::Accepted, Some(1)));
    // Where nothing was ended, there is nothing to say yes to.
    server.then([trouble()]);
    assert!(stack.revoke(&zoe(), &all(), None).await.is_err());
}

#[tokio::test]
async fn given_sessions_end_only_if_they_are_listed_as_theirs() {
    let (server, stack) = stack().await;
    let (first, second, foreign) = (id(1), id(2), id(9));
    server.then([counted([1, 2, 3], 3), done(), gone()]);
    let told = stack.revoke(&zoe(), &given(&[&first, &second, &foreign, &first]), None).await;
    let told = told.expect("a yes").expect("a revocation");
    assert_eq!((told.outcome, told.sessions_ended), (Outcome::Confirmed, Some(1)));
    assert!(told.survives[0].contains("other sessions"), "{:?}", told.survives);
    assert!(told.survives[3].contains("somebody else's"), "{:?}", told.survives);
    assert_eq!(server.lines(), [format!("{LIST}1"), delete(1), delete(2)], "the foreign one is not called");
    // All gone already.
    assert_eq!(stack.revoke(&zoe(), &given(&[&first]), Some(&seen(&[3]))).await.expect("an answer"), None);
    assert_eq!(server.seen().len(), 3);
}

#[tokio::test]
async fn a_given_session_without_a_uuid_is_refused_after_the_others_were_ended() {
    for wrong in ["s1", "..", "857C66DA-304A-4378-B71F-000000000001", "857c66da304a4378b71f000000000001", "a/../b"] {
        let (server, stack) = stack().await;
        server.then([done()]);
        let refused = stack.revoke(&zoe(), &given(&[wrong, &id(1)]), Some(&seen(&[1]))).await.expect_err("refused");
        assert!(matches!(&refused, ProviderError::Refused(_)), "{wrong}: {refused:?}");
        assert!(refused.to_string().contains("1 given") && refused.to_string().contains("1 ended"), "{refused}");
        assert_eq!(server.lines(), [delete(1)]);
    }
}

#[tokio::test]
async fn an_absent_session_is_not_gone_if_the_list_was_not_whole() {
    let (server, stack) = stack().await;
    let partial = Look { complete: false, ..seen(&[1]) };
    server.then([done()]);
    let error = stack.revoke(&zoe(), &given(&[&id(1), &id(2)]), Some(&partial)).await.expect_err("not known");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    assert_eq!(server.lines(), [delete(1)]);
}

#[tokio::test]
async fn web_and_mobile_are_refused_without_a_call() {
    let (server, stack) = stack().await;
    for scope in [Scope::Web, Scope::Mobile] {
        let refused = stack.revoke(&zoe(), &RevokeRequest::new(scope.clone()), None).await.expect_err("refused");
        assert!(matches!(refused, ProviderError::Refused(_)) && !stack.kind().supports(scope.kind()), "{refused:?}");
    }
    assert!(server.seen().is_empty());
}

#[tokio::test]
async fn a_page_for_people_is_the_servers_own() {
    let (server, stack) = stack().await;
    let query = |order: Option<&str>, limit, page| ListQuery {
        order: order.map(str::to_owned),
        limit,
        page,
        ..ListQuery::default()
    };
    server.then([counted([1, 2], 7), counted([], 7)]);
    let page = stack.list_sessions(&zoe(), &query(Some("-created_at"), Some(2), Some(3))).await;
    let page = page.expect("an answer").expect("a page");
    assert_eq!((page.sessions.len(), page.next_cursor, page.total), (2, None, Some(7)));
    stack.list_sessions(&zoe(), &query(None, None, None)).await.expect("an answer");
    let path = "GET /api/v3/users/zoe/sessions";
    assert_eq!(server.lines(), [format!("{path}?order=-created_at&limit=2&page=3"), path.to_owned()]);
    for wrong in [query(Some("name"), None, None), query(None, Some(1001), None), query(None, None, Some(0))] {
        let refused = stack.list_sessions(&zoe(), &wrong).await.expect_err("refused");
        assert!(matches!(refused, ProviderError::Refused(_)), "{wrong:?}: {refused:?}");
    }
    assert_eq!(server.seen().len(), 2);
}

#[tokio::test]
async fn an_id_is_read_with_every_name_and_has_to_be_the_id() {
    let (server, stack) = stack().await;
    server.then([user("zoe", "Zoe@Example.com")]);
    let found = stack.resolve(&by(Some("zoe"), Some("bob@example.com"), Some("bob"))).await;
    let found = found.expect("an answer").expect("an account");
    assert_eq!((found.id.as_str(), &found.identifiers[..]), ("zoe", &["zoe".into(), "Zoe@Example.com".into()][..]));
    assert_eq!(server.lines(), ["GET /api/v3/users/zoe?field_mask=primary_email_address"], "an id wins");
    for (answer, class) in [
        (nobody(), "refused"),
        (user("bob", "bob@example.com"), "unavailable"),
        (Canned::new(200, "<html>"), "unavailable"),
        (ok(&json!({})), "unavailable"),
        (Canned::new(404, r#"{"code":5,"message":"Not Found","details":[]}"#), "misconfigured"),
        (error(403, 7, "pkg/auth/rights", "no_user_rights"), "refused"),
    ] {
        server.then([answer.clone()]);
        let error = stack.resolve(&by_id("zoe")).await.expect_err("not read");
        assert_eq!(error.class().as_str(), class, "{answer:?}: {error:?}");
        assert!(!error.to_string().contains("zoe"), "{error}");
    }
    server.then([nobody()]);
    assert!(matches!(stack.resolve(&by_id("zoe")).await, Err(ProviderError::UnknownAccount(_))));
    // Without the address nobody knows whether a guardrail protects this account.
    server.then([ok(&json!({"ids": {"user_id": "zoe"}}))]);
    let unseen = stack.resolve(&by_id("zoe")).await.expect_err("not seen in whole");
    assert!(matches!(&unseen, ProviderError::Refused(_)) && unseen.to_string().contains("RIGHT_USER_ALL"), "{unseen}");
}

#[tokio::test]
async fn a_user_name_is_the_user_id_and_a_stranger_is_nobody() {
    let (server, stack) = stack().await;
    server.then([user("zoe", "zoe@example.com"), nobody()]);
    let by_name = |name| by(None, None, Some(name));
    assert_eq!(stack.resolve(&by_name("zoe")).await.expect("an answer").expect("an account").id, "zoe");
    assert_eq!(stack.resolve(&by_name("nobody")).await.expect("an answer"), None);
    for name in ["Zoe", "zoe.b", "corp\\zoe", "zoe@example.com", "z"] {
        assert!(matches!(stack.resolve(&by_name(name)).await, Err(ProviderError::Unclear(_))), "{name}");
    }
    assert_eq!(server.seen().len(), 2);
    // The address still tells who is meant.
    server.then([users(&[("zoe", "zoe@example.com")], 1), user("zoe", "zoe@example.com")]);
    let found = stack.resolve(&by(None, Some("zoe@example.com"), Some("zoe.b"))).await;
    assert_eq!(found.expect("an answer").expect("an account").id, "zoe");
}

#[tokio::test]
async fn an_address_is_compared_with_every_page_of_users_and_read_again() {
    let (server, stack) = stack().await;
    let many: Vec<String> = (0..1000).map(|number| format!("user-{number}")).collect();
    let page: Vec<(&str, &str)> = many.iter().map(|id| (id.as_str(), "other@example.com")).collect();
    let near = [("near", "zoe@example.com.evil.example"), ("zoe", "Zoe@Example.com"), ("plus", "zoe+1@example.com")];
    server.then([users(&page, 1003), users(&near, 1003), user("zoe", "Zoe@Example.com")]);
    let found = stack.resolve(&by_email("zoe@example.com")).await.expect("an answer").expect("an account");
    assert_eq!(found.id, "zoe");
    let list = "GET /api/v3/users?field_mask=primary_email_address&limit=1000&page=";
    let read = "GET /api/v3/users/zoe?field_mask=primary_email_address".to_owned();
    assert_eq!(server.lines(), [format!("{list}1"), format!("{list}2"), read]);
    // Whoever was found has another address by now, or is gone.
    for now in [user("zoe", "new@example.com"), nobody()] {
        server.then([users(&near, 3), now]);
        assert_eq!(stack.resolve(&by_email("zoe@example.com")).await.expect("an answer"), None);
    }
    // The server's own page size is not taken for the end.
    server.then([users(&page[..100], 103), users(&near, 103), user("zoe", "zoe@example.com")]);
    assert!(stack.resolve(&by_email("zoe@example.com")).await.expect("an answer").is_some());
}

#[tokio::test]
async fn two_who_share_an_address_are_unclear_also_across_pages() {
    let (server, stack) = stack().await;
    let pages = || [users(&[("zoe", "zoe@example.com")], 2), users(&[("zoe-2", "ZOE@example.com")], 2)];
    server.then(pages());
    let unclear = stack.resolve(&by_email("zoe@example.com")).await.expect_err("ambiguous");
    assert!(
        matches!(&unclear, ProviderError::Unclear(_)) && unclear.to_string().starts_with("2 accounts"),
        "{unclear}"
    );
    assert!(!unclear.to_string().contains("zoe"));
}

#[tokio::test]
async fn nobody_is_believed_only_if_everybody_was_asked() {
    let (server, stack) = stack().await;
    server.then([users(&[("bob", "bob@example.com")], 1)]);
    assert_eq!(stack.resolve(&by_email("zoe@example.com")).await.expect("an answer"), None);
    // A list that loses somebody at each reading.
    let moving = || [users(&[("bob", "bob@example.com")], 3), ok(&json!({})).header("x-total-count", "2")];
    server.then((0..3).flat_map(|_| moving()));
    let error = stack.resolve(&by_email("zoe@example.com")).await.expect_err("not known");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
    assert_eq!(server.seen().len(), 7);
    // One who was found is found, whatever else moved.
    server.then([users(&[("zoe", "zoe@example.com")], 3), ok(&json!({})), user("zoe", "zoe@example.com")]);
    assert!(stack.resolve(&by_email("zoe@example.com")).await.expect("an answer").is_some());
}

#[tokio::test]
async fn a_network_of_too_many_users_needs_ids() {
    let (server, stack) = stack().await;
    let pages = (0..101).map(|page| {
        let ids: Vec<String> = (0..1000).map(|number| format!("u{page}-{number}")).collect();
        let rows: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), "")).collect();
        users(&rows, 101_000)
    });
    server.then(pages);
    let unclear = stack.resolve(&by_email("zoe@example.com")).await.expect_err("too many");
    assert!(matches!(unclear, ProviderError::Unclear(_)), "{unclear:?}");
    assert_eq!(server.seen().len(), 100);
}

#[tokio::test]
async fn an_address_and_a_user_name_have_to_agree() {
    let (server, stack) = stack().await;
    let both = by(None, Some("zoe@example.com"), Some("bob"));
    let find_zoe = || [users(&[("zoe", "zoe@example.com")], 1), user("zoe", "zoe@example.com")];
    server.then([user("bob", "bob@example.com")]);
    server.then(find_zoe());
    assert!(matches!(stack.resolve(&both).await, Err(ProviderError::Unclear(_))));
    server.then([nobody()]);
    server.then(find_zoe());
    assert_eq!(stack.resolve(&both).await.expect("an answer").expect("an account").id, "zoe");
}

#[tokio::test]
async fn no_hostile_name_ever_leaves() {
    let (server, stack) = stack().await;
    let hostile = ["", " ", ".", "..", "me", "ME", "*", "%2e%2e", "%6de", "a\nb", "a\u{202e}b", " zoe"];
    let unusable = ["a/../b", "zoe/sessions", "zoe%2F..", "zoe;x", "zoe?a", "zoe#", "..\\x", "Zoe", "zo", "-zo"];
    for name in hostile {
        for subject in [by_id(name), by_email(name), by(None, None, Some(name))] {
            let refused = stack.resolve(&subject).await.expect_err("hostile");
            assert!(matches!(refused, ProviderError::Unclear(_)), "{name:?}: {refused:?}");
        }
    }
    for name in hostile.into_iter().chain(unusable).filter(|name| !matches!(*name, "me" | "zo")) {
        assert!(matches!(stack.resolve(&by_id(name)).await, Err(ProviderError::Unclear(_))), "{name:?}");
        let account = Account::new(name, vec![name.to_owned()]);
        assert!(matches!(stack.sessions(&account).await, Err(ProviderError::Unclear(_))), "{name:?}");
        let refused = stack.revoke(&account, &all(), Some(&seen(&[1]))).await.expect_err("hostile");
        assert!(matches!(refused, ProviderError::Unclear(_)), "{name:?}: {refused:?}");
        let refused = stack.revoke(&zoe(), &given(&[name]), Some(&seen(&[]))).await.expect_err("hostile");
        assert!(matches!(refused, ProviderError::Refused(_)), "{name:?}: {refused:?}");
        // Also if a look of ours had let it through.
        let bad = Session { id: name.to_owned(), ..Session::default() };
        let look = Look { sessions: vec![bad], complete: true, at: None };
        assert!(stack.revoke(&zoe(), &all(), Some(&look)).await.is_err(), "{name:?}");
    }
    assert!(matches!(stack.resolve(&Subject::default()).await, Err(ProviderError::Unclear(_))));
    assert_eq!(server.lines(), Vec::<String>::new());
}

fn auth_info(rights: &Value, is_admin: bool) -> Value {
    json!({"api_key": {"api_key": {"id": "KEYID", "rights": ["RIGHT_USER_ALL"]}, "entity_ids": {"user_ids": {"user_id": "admin"}}},
           "universal_rights": {"rights": rights}, "is_admin": is_admin})
}

#[tokio::test]
async fn the_body_says_whether_we_are_somebody() {
    let (server, stack) = stack().await;
    for rights in [json!(["RIGHT_USER_INFO", "RIGHT_USER_ALL"]), json!([1, 14]), json!(["RIGHT_ALL"]), json!([55])] {
        server.then([ok(&auth_info(&rights, true))]);
        let report = stack.check().await.expect("a report");
        assert_eq!(report.identity, "admin (API key KEYID)");
        assert!(report.missing.is_empty() && report.excess.is_empty() && report.unchecked.is_empty(), "{report:?}");
    }
    let lines = server.lines();
    assert!(lines.iter().all(|line| line == "GET /api/v3/auth_info"), "{lines:?}");
    for (body, words) in [
        (json!({}), "signs nobody in"),
        (json!({"is_admin": true, "universal_rights": {"rights": ["RIGHT_USER_ALL"]}}), "signs nobody in"),
        (auth_info(&json!(["RIGHT_USER_INFO", "RIGHT_USER_DELETE"]), true), "is.admin-rights.all: true"),
        (auth_info(&json!([1, 2, 13]), true), "is.admin-rights.all: true"),
        (json!({"api_key": {}}), "RIGHT_USER_ALL"),
        (json!({"user_session": {"session_id": "x"}}), "RIGHT_USER_ALL"),
    ] {
        server.then([ok(&body)]);
        let error = stack.check().await.expect_err("no use");
        assert!(
            matches!(&error, ProviderError::Unauthorized(_)) && error.to_string().contains(words),
            "{body}: {error}"
        );
    }
    server.then([ok(&auth_info(&json!(["RIGHT_USER_INFO"]), true)).header("x-warning", "Restricted rights")]);
    assert!(stack.check().await.expect_err("no use").to_string().contains("Restricted rights"));
    server.then([ok(&auth_info(&json!(["RIGHT_USER_ALL"]), false))]);
    assert!(stack.check().await.expect("a report").missing[0].contains("e-mail"));
    server.then([Canned::new(200, "<html>")]);
    assert!(matches!(stack.check().await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn what_a_key_has_too_much_is_told() {
    let (server, stack) = stack().await;
    let mut info = auth_info(&json!(["RIGHT_USER_ALL"]), true);
    info["api_key"]["api_key"]["rights"] =
        json!(["RIGHT_USER_ALL", "RIGHT_ALL", "RIGHT_GATEWAY_DELETE", 14, 3, 55, 37]);
    server.then([ok(&info)]);
    let report = stack.check().await.expect("a report");
    assert_eq!(report.excess, ["RIGHT_ALL", "RIGHT_GATEWAY_DELETE", "RIGHT_ALL", "right number 37"]);
}

type Headers = &'static [(&'static str, &'static str)];

fn throttled(headers: Headers) -> Canned {
    let answer = error(429, 8, "pkg/ratelimit", "rate_limit_exceeded").header("date", DATE);
    headers.iter().fold(answer, |answer, (name, value)| answer.header(&format!("x-rate-limit-{name}"), *value))
}

#[tokio::test]
async fn a_429_waits_as_long_as_its_headers_say_from_now() {
    let table: [(Headers, Option<u64>); 11] = [
        (&[("available", "0"), ("reset", "60"), ("retry", "5")], Some(5)),
        (&[("retry", "0")], Some(1)),
        (&[("retry", "-1")], Some(1)),
        (&[("reset", "40")], Some(40)),
        (&[("retry", "soon"), ("reset", "40")], Some(40)),
        (&[("retry", "4"), ("retry", "70")], Some(70)),
        (&[("retry", "1784111807")], Some(900)),
        (&[("retry", "99999999999999999999")], None),
        (&[("retry", "1.5")], None),
        (&[("retry", "")], None),
        (&[], None),
    ];
    for (headers, seconds) in table {
        let (server, stack) = stack().await;
        server.then([throttled(headers)]);
        let error = stack.sessions(&zoe()).await.expect_err("throttled");
        let ProviderError::Throttled { retry_after, .. } = error else { panic!("{headers:?}: {error:?}") };
        assert_eq!(retry_after, seconds.map(Duration::from_secs), "{headers:?}");
        // Without a word, a pace of our own.
        let closed_for = Duration::from_secs(seconds.unwrap_or(1));
        assert!(stack.wait().is_some_and(|wait| wait <= closed_for), "{headers:?}");
    }
}

#[tokio::test]
async fn a_limit_of_looks_does_not_slow_revocations() {
    let (server, stack) = stack().await;
    server.then([throttled(&[("retry", "30")]), done()]);
    assert!(stack.sessions(&zoe()).await.is_err());
    assert!(stack.sessions(&zoe()).await.is_err());
    assert_eq!(server.seen().len(), 1, "a closed operation is not called");
    let told = stack.revoke(&zoe(), &all(), Some(&seen(&[1]))).await.expect("a yes").expect("a revocation");
    assert_eq!(told.sessions_ended, Some(1), "the second list is what has to wait");
}

#[tokio::test]
async fn the_last_call_of_a_burst_holds_the_next_only_for_a_wait_that_is_told() {
    let one = |headers: &[(&str, &str)]| {
        headers
            .iter()
            .fold(counted([], 0), |answer, (name, value)| answer.header(&format!("x-rate-limit-{name}"), *value))
    };
    for (headers, waits) in [
        (&[("available", "0"), ("reset", "60"), ("retry", "30")][..], true),
        (&[("available", "0"), ("reset", "60"), ("retry", "0")], false),
        (&[("available", "0"), ("reset", "60")], false),
        (&[("available", "3"), ("retry", "30")], false),
        (&[("available", "none"), ("retry", "30")], false),
    ] {
        let (server, stack) = stack().await;
        server.then([one(headers)]);
        assert!(stack.sessions(&zoe()).await.is_ok());
        assert_eq!(stack.wait().is_some(), waits, "{headers:?}");
    }
}

#[tokio::test]
async fn a_malformed_key_is_our_credential_although_it_is_a_400() {
    let (server, stack) = stack().await;
    server.then([error(400, 3, "pkg/auth", "token"), error(400, 3, "pkg/auth", "token")]);
    assert!(matches!(stack.sessions(&zoe()).await, Err(ProviderError::Unauthorized(_))));
    assert!(matches!(stack.check().await, Err(ProviderError::Unauthorized(_))));
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read_even_if_it_would_make_sense() {
    let (server, stack) = stack().await;
    let mut large = user_json("zoe", "zoe@example.com");
    large["description"] = "x".repeat(1 << 20).into();
    server.then([ok(&large)]);
    let error = stack.resolve(&by_id("zoe")).await.expect_err("too large");
    assert!(matches!(&error, ProviderError::Unavailable(_)) && error.to_string().contains("1 MiB"), "{error:?}");
}

#[tokio::test]
async fn nothing_secret_shows_in_an_error() {
    let echo = format!("Bearer {KEY} CANARYCANARYCANARY");
    let details = json!([{"namespace": "pkg/x", "name": echo, "message_format": echo, "correlation_id": echo}]);
    let body = json!({"code": 9, "message": echo, "details": details}).to_string();
    let (server, stack) = stack().await;
    for status in [200, 302, 400, 401, 403, 404, 418, 429, 500, 503] {
        server.then([Canned::new(status, body.clone()).header("x-warning", echo.clone())]);
        let error = stack.sessions(&zoe()).await.expect_err("an echo");
        assert!(!format!("{error:?} {error}").contains("CANARY"), "{status}: {error:?}");
    }
    server.then([ok(&auth_info(&json!([]), true)).header("x-warning", echo.clone())]);
    let error = stack.check().await.expect_err("no rights");
    assert!(!format!("{error:?} {stack:?}").contains("CANARY"), "{error:?}");
    let mut info = auth_info(&json!([14]), true);
    info["api_key"]["entity_ids"]["user_ids"]["user_id"] = echo.clone().into();
    info["api_key"]["api_key"]["rights"] = json!([echo]);
    server.then([ok(&info)]);
    assert!(!format!("{:?}", stack.check().await.expect("a report")).contains("CANARY"));
}

#[tokio::test]
async fn a_dead_host_is_unavailable() {
    let (server, stack) = stack().await;
    drop(server);
    tokio::task::yield_now().await;
    let error = stack.revoke(&zoe(), &all(), Some(&seen(&[1]))).await.expect_err("nobody is there");
    assert_eq!(error.class().as_str(), "unavailable");
    assert!(!format!("{error:?}").contains("zoe"), "{error:?}");
}
