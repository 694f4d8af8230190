//! The client against scripted answers, over a real socket.

use std::sync::Arc;
use std::time::Duration;

use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde_json::{Value, json};

use super::settings::{OktaCredentials, OktaOauth, OktaSettings};
use super::*;
use crate::clock::SystemClock;
use crate::domain::{Outcome, SessionRef};
use crate::provider::script::{Canned, Server};
use crate::provider::settings::{CommonSettings, LimitSettings, ProofSettings, RetrySettings};
use crate::settings::SecretRef;

const TOKEN: &str = "00QCjAl4MlV-WPXM";
const ID: &str = "00ub0oNGTSWTBKOLGLNR";
const OTHER: &str = "00ub0oNGTSWTBKOLGLNS";

async fn okta_with(server: &Server, credentials: OktaCredentials) -> Okta {
    let settings = OktaSettings {
        url: server.url(),
        credentials,
        oauth_tokens: true,
        forget_devices: false,
        timeout: crate::settings::Duration(Duration::from_millis(700)),
        limits: LimitSettings::default(),
        retry: RetrySettings::default(),
        proof: ProofSettings::default(),
        dry_run: false,
    };
    let _: CommonSettings = settings.common();
    settings.build(&"okta".parse().expect("a name"), Arc::new(SystemClock::new())).expect("a client")
}

async fn okta() -> (Server, Okta) {
    let server = Server::start().await;
    let okta = okta_with(&server, OktaCredentials::ApiToken(SecretRef::Value(TOKEN.to_owned()))).await;
    (server, okta)
}

fn key(file: &str) -> SecretRef {
    SecretRef::File(format!("{}/tests/fixtures/keys/{file}", env!("CARGO_MANIFEST_DIR")).into())
}

fn app(file: &str) -> OktaCredentials {
    OktaCredentials::Oauth(OktaOauth {
        client_id: "0oa1".to_owned(),
        private_key: key(file),
        key_id: "kid1".to_owned(),
        algorithm: None,
    })
}

async fn okta_app() -> (Server, Okta) {
    let server = Server::start().await;
    let okta = okta_with(&server, app("ec-pkcs8.pem")).await;
    (server, okta)
}

fn token(text: &str) -> Canned {
    let scope = "okta.users.manage okta.users.read okta.sessions.manage okta.sessions.read";
    Canned::new(200, json!({"token_type":"Bearer","expires_in":3600,"access_token":text,"scope":scope}).to_string())
}

fn user_json(id: &str, login: &str, email: &str) -> Value {
    json!({"id":id,"status":"ACTIVE","profile":{"login":login,"email":email,"secondEmail":null}})
}

fn user(id: &str, login: &str, email: &str) -> Canned {
    Canned::new(200, user_json(id, login, email).to_string())
}

fn users(users: &[Value]) -> Canned {
    Canned::new(200, Value::from(users.to_vec()).to_string())
}

fn session(id: &str, user_id: &str) -> Canned {
    Canned::new(200, json!({"id":id,"login":"l","userId":user_id,"status":"ACTIVE"}).to_string())
}

fn error(status: u16, code: &str) -> Canned {
    let body = json!({"errorCode":code,"errorSummary":"s","errorLink":code,"errorId":"i","errorCauses":[]});
    Canned::new(status, body.to_string())
}

fn none() -> Canned {
    error(404, "E0000007")
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

#[tokio::test]
async fn everything_ends_with_both_flags_explicit_and_nothing_else_in_the_request() {
    for (request, line) in [
        (all(), "oauthTokens=true&forgetDevices=false"),
        (RevokeRequest { oauth_tokens: Some(false), ..all() }, "oauthTokens=false&forgetDevices=false"),
        (RevokeRequest { forget_devices: Some(true), ..all() }, "oauthTokens=true&forgetDevices=true"),
    ] {
        let (server, okta) = okta().await;
        server.then([Canned::new(204, "")]);
        let revocation = okta.revoke(&account(ID), &request, None).await.expect("a yes").expect("a revocation");
        assert_eq!((revocation.outcome, revocation.sessions_ended), (Outcome::Confirmed, None));
        let told = |part: &str| revocation.survives.iter().any(|text| text.contains(part));
        assert!(told("apps made") || told("native apps"));
        assert_eq!(told("`oauth_tokens` is off"), line.contains("oauthTokens=false"));
        assert_eq!(told("remembered devices"), line.contains("forgetDevices=false"));
        let seen = server.seen();
        assert_eq!(seen[0].line, format!("DELETE /api/v1/users/{ID}/sessions?{line}"));
        assert_eq!(seen[0].headers["authorization"], format!("SSWS {TOKEN}"));
        assert_eq!(seen[0].headers["accept"], "application/json");
        assert!(seen[0].headers.get("content-type").is_none() && seen[0].body.is_empty());
    }
}

#[tokio::test]
async fn only_a_204_is_a_yes() {
    for (answer, class) in [
        (Canned::new(200, "<html>Sign in</html>").header("content-type", "text/html"), "unavailable"),
        (Canned::new(200, "{}"), "unavailable"),
        (Canned::new(202, ""), "unavailable"),
        (Canned::new(302, "").header("location", "/api/v1/elsewhere"), "misconfigured"),
        (none(), "refused"),
        (error(403, "E0000006"), "refused"),
        (error(500, "E0000009"), "unavailable"),
        (Canned::new(204, "").delay(Duration::from_secs(5)), "unavailable"),
    ] {
        let (server, okta) = okta().await;
        server.then([answer]);
        let error = okta.revoke(&account(ID), &all(), None).await.expect_err("no yes");
        assert_eq!(error.class().as_str(), class, "{error:?}");
        assert_eq!(server.seen().len(), 1, "{error:?}");
    }
}

#[tokio::test]
async fn a_body_beyond_the_limit_is_not_read_even_if_it_would_make_sense() {
    let (server, okta) = okta().await;
    let mut large = user_json(ID, "ana@example.com", "ana@example.com");
    large["profile"]["about"] = "x".repeat(1 << 20).into();
    server.then([Canned::new(200, large.to_string())]);
    let error = okta.resolve(&by_id(ID)).await.expect_err("too large");
    assert!(matches!(&error, ProviderError::Unavailable(_)) && error.to_string().contains("1 MiB"), "{error:?}");
    assert_eq!(error.report().status, Some(200));
}

#[tokio::test]
async fn a_dead_host_is_unavailable() {
    let (server, okta) = okta().await;
    drop(server);
    tokio::task::yield_now().await;
    let error = okta.revoke(&account(ID), &all(), None).await.expect_err("nobody is there");
    assert_eq!(error.class().as_str(), "unavailable");
    assert!(!format!("{error:?}").contains(ID), "{error:?}");
}

#[tokio::test]
async fn a_429_waits_as_long_as_okta_says_by_its_own_clock() {
    let (server, okta) = okta().await;
    let limited = error(429, "E0000047")
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("x-rate-limit-reset", "784111807")
        .header("x-rate-limit-remaining", "0")
        .header("x-rate-limit-limit", "100");
    server.then([limited]);
    let throttled = okta.revoke(&account(ID), &all(), None).await.expect_err("throttled");
    let ProviderError::Throttled { retry_after, .. } = &throttled else { panic!("{throttled:?}") };
    assert_eq!(*retry_after, Some(Duration::from_secs(31)));
    assert!(okta.wait().is_some_and(|wait| wait > Duration::from_secs(25)));
    let again = okta.revoke(&account(ID), &all(), None).await.expect_err("still closed");
    assert_eq!(again.class().as_str(), "throttled");
    assert_eq!(server.seen().len(), 1, "a closed operation is not called");
}

#[tokio::test]
async fn a_429_without_a_hint_has_none_and_the_last_call_of_a_window_closes_it() {
    let (server, okta) = okta().await;
    server.then([error(429, "E0000047")]);
    let throttled = okta.revoke(&account(ID), &all(), None).await.expect_err("throttled");
    assert!(matches!(throttled, ProviderError::Throttled { retry_after: None, .. }));
    let last = Canned::new(204, "")
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("x-rate-limit-reset", "784111807")
        .header("x-rate-limit-remaining", "0");
    server.then([last]);
    assert!(okta.revoke(&account(ID), &all(), None).await.is_ok());
    assert!(okta.wait().is_some());
}

#[tokio::test]
async fn what_okta_has_left_is_left_for_everyone_who_shares_it() {
    let (server, okta) = okta().await;
    let left = |left: &str| {
        Canned::new(204, "")
            .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
            .header("x-rate-limit-reset", "784111807")
            .header("x-rate-limit-remaining", left)
    };
    okta.divide(Share { workers: std::num::NonZeroU32::new(3).expect("not zero"), ..Share::WHOLE });
    server.then([left("3"), left("2")]);
    assert!(okta.revoke(&account(ID), &all(), None).await.is_ok());
    assert_eq!(okta.wait(), None, "one for each");
    assert!(okta.revoke(&account(ID), &all(), None).await.is_ok());
    assert!(okta.wait().is_some_and(|wait| wait > Duration::from_secs(25)), "none for us");
}

#[tokio::test]
async fn the_concurrency_limit_closes_every_call_for_a_moment() {
    let (server, okta) = okta().await;
    let limited = error(429, "E0000047")
        .header("date", "Sun, 06 Nov 1994 08:49:37 GMT")
        .header("x-rate-limit-reset", "784111700")
        .header("x-rate-limit-remaining", "0")
        .header("x-rate-limit-limit", "0");
    server.then([limited]);
    let throttled = okta.resolve(&by_email("ana@example.com")).await.expect_err("throttled");
    assert!(
        matches!(throttled, ProviderError::Throttled { retry_after: Some(wait), .. } if wait == Duration::from_secs(1))
    );
    assert!(okta.wait().is_some());
}

#[tokio::test]
async fn an_id_is_read_and_has_to_be_the_id() {
    let (server, okta) = okta().await;
    server.then([user(ID, "ana@example.com", "ana@example.com")]);
    let found = okta.resolve(&by_id(ID)).await.expect("an answer").expect("an account");
    assert_eq!(found.id, ID);
    assert_eq!(found.identifiers, [ID, "ana@example.com", "ana"]);
    for login in ["ana@example.com", "ana"] {
        server.then([user(ID, "ana@example.com", "ana@example.com")]);
        let refused = okta.resolve(&by_id(login)).await.expect_err("a login is no id");
        assert!(matches!(refused, ProviderError::UnknownAccount(_)), "{refused:?}");
    }
    server.then([none()]);
    assert!(matches!(okta.resolve(&by_id(OTHER)).await, Err(ProviderError::UnknownAccount(_))));
    server.then([Canned::new(200, "<html>")]);
    assert!(matches!(okta.resolve(&by_id(OTHER)).await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn an_id_wins_over_the_other_names() {
    let (server, okta) = okta().await;
    server.then([user(ID, "ana@example.com", "ana@example.com")]);
    let subject = Subject { email: Some("bob@example.com".to_owned()), ..by_id(ID) };
    assert_eq!(okta.resolve(&subject).await.expect("an answer").expect("an account").id, ID);
    assert_eq!(server.lines(), [format!("GET /api/v1/users/{ID}")]);
}

#[tokio::test]
async fn a_short_name_is_not_a_user_name() {
    let (server, okta) = okta().await;
    server.then([user(ID, "ana@example.com", "ana@example.com"), users(&[])]);
    assert_eq!(okta.resolve(&by_username("ana")).await.expect("an answer"), None);
    let ana = || user(ID, "ana@example.com", "ana@example.com");
    server.then([ana(), ana()]);
    let found = okta.resolve(&by_username("ANA@example.com")).await.expect("an answer").expect("an account");
    assert_eq!(found.id, ID);
    assert_eq!(
        server.lines()[2..],
        ["GET /api/v1/users/ANA%40example.com".to_owned(), format!("GET /api/v1/users/{ID}")]
    );
}

#[tokio::test]
async fn a_login_with_a_slash_is_searched_for() {
    let (server, okta) = okta().await;
    let ana = user_json(ID, "corp/ana", "ana@example.com");
    server.then([users(std::slice::from_ref(&ana)), Canned::new(200, ana.to_string())]);
    assert!(okta.resolve(&by_username("corp/ana")).await.expect("an answer").is_some());
    let line = "GET /api/v1/users?search=profile%2Elogin%20eq%20%22corp%2Fana%22".to_owned();
    assert_eq!(server.lines(), [line, format!("GET /api/v1/users/{ID}")]);
}

#[tokio::test]
async fn an_address_is_compared_exactly_and_read_again() {
    let (server, okta) = okta().await;
    let hits = [user_json(OTHER, "x", "ana@example.com.evil.example"), user_json(ID, "a1", "Ana@Example.com")];
    server.then([users(&hits), user(ID, "a1", "ana@example.com")]);
    let found = okta.resolve(&by_email("ana@example.com")).await.expect("an answer").expect("an account");
    assert_eq!(found.id, ID);
    assert_eq!(
        server.lines(),
        [
            "GET /api/v1/users?search=profile%2Eemail%20eq%20%22ana%40example%2Ecom%22".to_owned(),
            format!("GET /api/v1/users/{ID}")
        ]
    );
    // The index still has an address that the user no longer has, and nobody else has it.
    server.then([users(&hits[1..]), user(ID, "a1", "ana.new@example.com"), none()]);
    assert_eq!(okta.resolve(&by_email("ana@example.com")).await.expect("an answer"), None);
}

#[tokio::test]
async fn an_address_that_the_index_does_not_know_yet_is_found_as_a_login() {
    let (server, okta) = okta().await;
    let ana = || user(ID, "ana@example.com", "ana@home.example");
    server.then([users(&[]), ana(), ana()]);
    assert!(okta.resolve(&by_email("ana@example.com")).await.expect("an answer").is_some());
    server.then([users(&[]), user(ID, "ana@example.com", "ana@example.com")]);
    assert_eq!(okta.resolve(&by_email("ana")).await.expect("an answer"), None, "a short name is no address");
}

#[tokio::test]
async fn two_accounts_of_one_address_are_unclear_also_across_pages() {
    let (server, okta) = okta().await;
    let one = user_json(ID, "a1", "ana@example.com");
    let two = user_json(OTHER, "a2", "ANA@example.com");
    server.then([users(&[one.clone(), two.clone()])]);
    let unclear = okta.resolve(&by_email("ana@example.com")).await.expect_err("ambiguous");
    assert!(matches!(unclear, ProviderError::Unclear(_)) && unclear.to_string().starts_with("2 accounts"), "{unclear}");
    assert!(!unclear.to_string().contains("ana"));
    let next = format!("<{}/api/v1/users?after=x1&limit=200>; rel=\"next\"", server.url());
    server.then([users(&[one]).header("link", next), users(&[two])]);
    assert!(matches!(okta.resolve(&by_email("ana@example.com")).await, Err(ProviderError::Unclear(_))));
    assert_eq!(server.lines()[2], "GET /api/v1/users?after=x1&limit=200");
}

#[tokio::test]
async fn a_page_elsewhere_is_not_fetched_and_pages_end() {
    let foreign = Server::start().await;
    let (server, okta) = okta().await;
    let own = server.address;
    for target in [
        format!("{}/api/v1/users?after=x", foreign.url()),
        format!("http://localhost:{}/api/v1/users?after=x", own.port()),
        format!("http://{own}/api/v1/groups?after=x"),
        format!("http://user:pass@{own}/api/v1/users?after=x"),
        "/api/v1/users?after=x".to_owned(),
    ] {
        server.then([users(&[]).header("link", format!("<{target}>; rel=\"next\""))]);
        let refused = okta.resolve(&by_email("ana@example.com")).await.expect_err("a foreign page");
        assert!(matches!(refused, ProviderError::Unavailable(_)), "{target}: {refused:?}");
    }
    assert!(foreign.seen().is_empty());
    assert_eq!(server.seen().len(), 5);
    let again = format!("<http://{own}/api/v1/users?after=x>; rel=\"next\"");
    server.then(vec![users(&[]).header("link", again); 50]);
    assert!(matches!(okta.resolve(&by_email("ana@example.com")).await, Err(ProviderError::Unclear(_))));
    assert_eq!(server.seen().len(), 10);
}

#[tokio::test]
async fn an_address_and_a_user_name_have_to_agree() {
    let (server, okta) = okta().await;
    let ana = user_json(ID, "ana", "ana@example.com");
    let find_ana = || [users(std::slice::from_ref(&ana)), Canned::new(200, ana.to_string())];
    let both = |name: &str| Subject { username: Some(name.to_owned()), ..by_email("ana@example.com") };
    server.then(find_ana());
    server.then([user(OTHER, "bob", "b@example.com"), user(OTHER, "bob", "b@example.com")]);
    assert!(matches!(okta.resolve(&both("bob")).await, Err(ProviderError::Unclear(_))));
    server.then(find_ana());
    server.then([Canned::new(200, ana.to_string()), Canned::new(200, ana.to_string())]);
    assert!(okta.resolve(&both("ana")).await.expect("an answer").is_some());
}

#[tokio::test]
async fn no_hostile_name_ever_leaves() {
    let (server, okta) = okta().await;
    let hostile = ["", " ", ".", "..", "me", "ME", "%2e%2e", "%6de", "a\nb", "a\u{202e}b", " a"];
    for name in hostile {
        for subject in [by_id(name), by_email(name), by_username(name)] {
            let refused = okta.resolve(&subject).await.expect_err("hostile");
            assert!(matches!(refused, ProviderError::Unclear(_)), "{name:?}: {refused:?}");
        }
        let refused = okta.revoke(&account(name), &all(), None).await.expect_err("hostile");
        assert!(matches!(refused, ProviderError::Unclear(_)), "{name:?}: {refused:?}");
        let refused = okta.revoke(&account(ID), &given(&[name]), None).await.expect_err("hostile");
        assert!(matches!(refused, ProviderError::Refused(_)), "{name:?}: {refused:?}");
    }
    for id in ["a/../b", "00u1/sessions", "00u1%2F..", "00u1;x", "00u1?a", "..\\x"] {
        assert!(matches!(okta.resolve(&by_id(id)).await, Err(ProviderError::Unclear(_))), "{id}");
        assert!(matches!(okta.revoke(&account(id), &all(), None).await, Err(ProviderError::Unclear(_))), "{id}");
    }
    assert!(matches!(okta.resolve(&Subject::default()).await, Err(ProviderError::Unclear(_))));
    assert_eq!(server.lines(), Vec::<String>::new());
}

#[tokio::test]
async fn a_session_of_somebody_else_is_left_alone_and_the_others_end() {
    let (server, okta) = okta().await;
    server.then([
        session("s1", ID),
        Canned::new(204, ""),
        session("s2", OTHER),
        session("s3", ID),
        Canned::new(204, ""),
    ]);
    let refused = okta.revoke(&account(ID), &given(&["s1", "s2", "s3"]), None).await.expect_err("one is foreign");
    assert!(matches!(refused, ProviderError::Refused(_)) && refused.to_string().contains("2 ended"), "{refused}");
    let deleted: Vec<_> = server.lines().into_iter().filter(|line| line.starts_with("DELETE")).collect();
    assert_eq!(deleted, ["DELETE /api/v1/sessions/s1", "DELETE /api/v1/sessions/s3"]);
}

#[tokio::test]
async fn a_session_that_is_gone_is_no_failure() {
    let (server, okta) = okta().await;
    server.then([none(), session("s2", ID), none()]);
    assert_eq!(okta.revoke(&account(ID), &given(&["s1", "s2", "s1"]), None).await.expect("an answer"), None);
    server.then([none(), session("s2", ID), Canned::new(204, "")]);
    let some = okta.revoke(&account(ID), &given(&["s1", "s2"]), None).await.expect("an answer").expect("a revocation");
    assert_eq!((some.outcome, some.sessions_ended), (Outcome::Confirmed, Some(1)));
    server.then([Canned::new(404, "<html>not here</html>")]);
    let error = okta.revoke(&account(ID), &given(&["s1"]), None).await.expect_err("a proxy's 404");
    assert!(matches!(error, ProviderError::Unavailable(_)), "{error:?}");
}

#[tokio::test]
async fn web_and_mobile_are_refused_without_a_call() {
    let (server, okta) = okta().await;
    for scope in [Scope::Web, Scope::Mobile] {
        assert!(okta.revoke(&account(ID), &RevokeRequest::new(scope), None).await.is_err());
    }
    assert!(server.seen().is_empty());
    assert!(!ProviderKind::Okta.supports(crate::domain::ScopeKind::Web));
}

#[tokio::test]
async fn an_app_signs_in_with_an_assertion_that_its_public_key_verifies() {
    for (file, public, algorithm) in [
        ("rsa-pkcs8.pem", "rsa-public.pem", Algorithm::RS256),
        ("rsa-pkcs1.pem", "rsa-public.pem", Algorithm::RS256),
        ("ec-pkcs8.pem", "ec-public.pem", Algorithm::ES256),
        ("ec-sec1.pem", "ec-public.pem", Algorithm::ES256),
    ] {
        let server = Server::start().await;
        let okta = okta_with(&server, app(file)).await;
        server.then([token("eyJ1"), Canned::new(204, ""), Canned::new(204, "")]);
        for _ in 0..2 {
            okta.revoke(&account(ID), &all(), None).await.expect("a yes");
        }
        let seen = server.seen();
        assert_eq!(seen.len(), 3, "the token is kept");
        assert_eq!(seen[1].headers["authorization"], "Bearer eyJ1");
        assert_eq!(seen[0].line, "POST /oauth2/v1/token");
        assert_eq!(seen[0].headers["content-type"], "application/x-www-form-urlencoded");
        let form: Vec<(String, String)> = form(&seen[0].body);
        assert_eq!(form[0], ("grant_type".to_owned(), "client_credentials".to_owned()));
        assert!(form[1].1.starts_with("okta.users.manage okta.users.read"));
        assert_eq!(form[2].1, "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
        check_assertion(&form[3].1, public, algorithm, &format!("{}/oauth2/v1/token", server.url()));
    }
}

fn form(body: &str) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://x/?{body}")).expect("a form");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}

fn check_assertion(jwt: &str, public: &str, algorithm: Algorithm, audience: &str) {
    let path = format!("{}/tests/fixtures/keys/{public}", env!("CARGO_MANIFEST_DIR"));
    let pem = std::fs::read(path).expect("a public key");
    let key = match algorithm {
        Algorithm::RS256 => DecodingKey::from_rsa_pem(&pem),
        _ => DecodingKey::from_ec_pem(&pem),
    };
    let mut validation = Validation::new(algorithm);
    validation.set_audience(&[audience]);
    let data = jsonwebtoken::decode::<Value>(jwt, &key.expect("a key"), &validation).expect("a good signature");
    let claims = data.claims;
    assert_eq!(data.header.kid.as_deref(), Some("kid1"));
    assert_eq!((claims["iss"].as_str(), claims["sub"].as_str()), (Some("0oa1"), Some("0oa1")));
    assert_eq!(claims["exp"].as_i64().zip(claims["iat"].as_i64()).map(|(exp, iat)| exp - iat), Some(300));
    assert!(claims["jti"].as_str().is_some_and(|jti| jti.len() == 36));
}

#[tokio::test]
async fn assertions_are_never_the_same_twice() {
    let (server, okta) = okta_app().await;
    server.then([token("eyJ1"), error(401, "E0000011"), token("eyJ2"), Canned::new(204, "")]);
    assert!(okta.revoke(&account(ID), &all(), None).await.is_ok());
    let seen = server.seen();
    assert_ne!(form(&seen[0].body)[3].1, form(&seen[2].body)[3].1);
    assert_eq!(seen[3].headers["authorization"], "Bearer eyJ2");
}

#[tokio::test]
async fn a_token_that_is_turned_down_twice_is_our_credential() {
    let (server, okta) = okta_app().await;
    server.then([token("eyJ1"), error(401, "E0000011"), token("eyJ2"), error(401, "E0000011")]);
    let error = okta.revoke(&account(ID), &all(), None).await.expect_err("turned down");
    assert!(matches!(error, ProviderError::Unauthorized(_)), "{error:?}");
    assert_eq!(server.seen().len(), 4);
    let (server, okta) = self::okta().await;
    server.then([self::error(401, "E0000011")]);
    assert!(matches!(okta.revoke(&account(ID), &all(), None).await, Err(ProviderError::Unauthorized(_))));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn one_token_request_serves_everyone_who_waits_also_when_it_fails() {
    let (server, okta) = okta_app().await;
    server.then([token("eyJ1").delay(Duration::from_millis(100))]);
    server.then(vec![Canned::new(204, ""); 3]);
    let (one, two) = (account(ID), account(OTHER));
    let request = all();
    let (a, b, c) = tokio::join!(
        okta.revoke(&one, &request, None),
        okta.revoke(&two, &request, None),
        okta.revoke(&one, &request, None)
    );
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert_eq!(server.lines().iter().filter(|line| line.starts_with("POST")).count(), 1);
    let (server, okta) = okta_app().await;
    let refused = Canned::new(401, r#"{"error":"invalid_client","error_description":"no"}"#);
    server.then([refused.delay(Duration::from_millis(100))]);
    let (a, b) = tokio::join!(okta.revoke(&one, &request, None), okta.revoke(&two, &request, None));
    assert!(matches!((a, b), (Err(ProviderError::Unauthorized(_)), Err(ProviderError::Unauthorized(_)))));
    assert_eq!(server.seen().len(), 1);
}

#[tokio::test]
async fn an_app_without_the_session_scopes_still_ends_everything() {
    let (server, okta) = okta_app().await;
    let lacking = || Canned::new(400, r#"{"error":"invalid_scope","error_description":"no"}"#);
    let two = || {
        let scope = "okta.users.manage okta.users.read";
        Canned::new(
            200,
            json!({"token_type":"Bearer","expires_in":3600,"access_token":"eyJ","scope":scope}).to_string(),
        )
    };
    server.then([lacking(), two(), Canned::new(204, "")]);
    assert!(okta.revoke(&account(ID), &all(), None).await.is_ok());
    server.then([lacking(), two()]);
    let refused = okta.revoke(&account(ID), &given(&["s1"]), None).await.expect_err("no scope");
    assert!(
        matches!(&refused, ProviderError::Refused(_)) && refused.to_string().contains("okta.sessions"),
        "{refused}"
    );
    server.then([lacking(), two(), users(&[])]);
    let report = okta.check().await.expect("a report");
    assert_eq!(report.identity, "0oa1");
    assert_eq!(report.missing.len(), 2);
    server.then([lacking(), lacking()]);
    assert!(matches!(okta.check().await, Err(ProviderError::Misconfigured(_))));
}

#[tokio::test]
async fn a_token_in_an_error_does_not_come_back_to_us() {
    let (server, okta) = okta_app().await;
    server.then([token("eyJsecret"), error(400, "E0009999 eyJsecret").header("x-okta-request-id", "r eyJsecret")]);
    let shown = format!("{:?}", okta.revoke(&account(ID), &all(), None).await.expect_err("an echo"));
    assert!(!shown.contains("eyJsecret"), "{shown}");
    let escaped = r#"{"errorCode":"E0009999","errorSummary":"bad \u0065yJsecret"}"#;
    server.then([Canned::new(400, escaped)]);
    let shown = format!("{:?}", okta.revoke(&account(ID), &all(), None).await.expect_err("an echo"));
    assert!(!shown.contains("eyJsecret") && shown.contains("bad"), "{shown}");
    let (server, okta) = self::okta().await;
    server.then([Canned::new(400, format!(r#"{{"errorCode":"E0009999","errorSummary":"bad SSWS {TOKEN}"}}"#))]);
    let shown = format!("{:?}", okta.revoke(&account(ID), &all(), None).await.expect_err("an echo"));
    assert!(!shown.contains(TOKEN), "{shown}");
}

#[tokio::test]
async fn a_dpop_token_and_a_sign_in_page_are_no_token() {
    let (server, okta) = okta_app().await;
    server.then([Canned::new(200, r#"{"token_type":"DPoP","expires_in":3600,"access_token":"eyJ"}"#)]);
    let error = okta.revoke(&account(ID), &all(), None).await.expect_err("DPoP");
    assert!(matches!(&error, ProviderError::Misconfigured(_)) && error.to_string().contains("untick"), "{error}");
    server.then([Canned::new(200, "<html>")]);
    assert!(matches!(okta.revoke(&account(ID), &all(), None).await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn a_wrong_clock_is_named_where_an_assertion_is_refused() {
    let (server, okta) = okta_app().await;
    let refused = Canned::new(401, r#"{"error":"invalid_client","error_description":"expired"}"#);
    server.then([refused.header("date", "Sun, 06 Nov 1994 08:49:37 GMT")]);
    let error = okta.revoke(&account(ID), &all(), None).await.expect_err("refused");
    assert!(error.to_string().contains("s apart"), "{error}");
}

#[tokio::test]
async fn a_token_is_checked_without_a_change() {
    let (server, okta) = okta().await;
    server.then([user(ID, "admin@example.com", "admin@example.com"), users(&[])]);
    let report = okta.check().await.expect("a report");
    assert_eq!(report.identity, "admin@example.com");
    assert!(report.missing.is_empty() && !report.unchecked.is_empty());
    assert_eq!(server.lines(), ["GET /api/v1/users/me", "GET /api/v1/users?limit=1"]);
    server.then([error(401, "E0000011")]);
    assert!(matches!(okta.check().await, Err(ProviderError::Unauthorized(_))));
    server.then([user(ID, "admin@example.com", "admin@example.com"), Canned::new(200, "<html>")]);
    assert!(matches!(okta.check().await, Err(ProviderError::Unavailable(_))));
}

#[test]
fn a_key_that_cannot_sign_is_refused_with_the_mend() {
    let p384 = key("ec-p384.pem").resolve().expect("a key");
    assert!(assertion::SigningKey::read(&p384, None).expect_err("P-384").contains("P-256"));
    let rsa = key("rsa-pkcs8.pem").resolve().expect("a key");
    let wrong = assertion::SigningKey::read(&rsa, Some(SigningAlgorithm::Es256)).expect_err("not EC");
    assert!(wrong.contains("remove `algorithm`"));
    for (text, mend) in [
        ("{\"kty\":\"RSA\"}", "JWK"),
        ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----", "decrypt"),
        ("-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\nAAAA\n-----END RSA PRIVATE KEY-----", "decrypt"),
        ("-----BEGIN PRIVATE KEY-----\n!!\n-----END PRIVATE KEY-----", "damaged"),
        ("hello", "BEGIN PRIVATE KEY"),
    ] {
        let secret = crate::settings::Secret::new(text);
        let error = assertion::SigningKey::read(&secret, None).expect_err("no key");
        assert!(error.contains(mend), "{error}");
    }
}

#[tokio::test]
async fn a_name_that_merely_folds_to_the_same_is_somebody_else() {
    // Okta's index may take these for one; they are two people.
    for (asked, theirs) in [
        ("kim@example.com", "\u{212a}im@example.com"),
        ("strasse@example.com", "straße@example.com"),
        ("finance@example.com", "\u{fb01}nance@example.com"),
        ("ana@example.com", "\u{ff41}na@example.com"),
    ] {
        let (server, okta) = okta().await;
        server.then([
            users(&[user_json(OTHER, theirs, theirs)]),
            user(OTHER, theirs, theirs),
            user(OTHER, theirs, theirs),
        ]);
        assert_eq!(okta.resolve(&by_email(asked)).await.expect("an answer"), None, "{asked} {theirs}");
        let (server, okta) = self::okta().await;
        server.then([
            user(OTHER, theirs, theirs),
            users(&[user_json(OTHER, theirs, theirs)]),
            user(OTHER, theirs, theirs),
        ]);
        assert_eq!(okta.resolve(&by_username(asked)).await.expect("an answer"), None, "{asked} {theirs}");
    }
}

#[tokio::test]
async fn a_second_address_is_protected_and_names_nobody() {
    let (server, okta) = okta().await;
    let mut other = user_json(OTHER, "bob@example.com", "bob@example.com");
    other["profile"]["secondEmail"] = "ana@example.com".into();
    // An index that lags: the address was Bob's until just now, and is his way to be reached still.
    let read = Canned::new(200, other.to_string());
    server.then([users(&[user_json(OTHER, "bob@example.com", "ana@example.com")]), read.clone(), none()]);
    assert_eq!(okta.resolve(&by_email("ana@example.com")).await.expect("an answer"), None);
    server.then([read]);
    let account = okta.resolve(&by_id(OTHER)).await.expect("an answer").expect("an account");
    assert!(account.identifiers.contains(&"ana@example.com".to_owned()));
}
