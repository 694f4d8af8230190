//! Our Okta client against the strict sandbox, which was written from Okta's documents and not from the client.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::domain::{Outcome, RevokeRequest, Scope, SessionRef, Subject};
use sever::provider::{Provider, ProviderError, ProviderSettings};
use sever::sandbox::Sandbox;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::ledger::Call;
use sever::sandbox::okta::{Algorithm, App, OktaSandbox, Operation, Permission, Person, Status};

use crate::sandbox_okta::openapi::{described, query_parameters};
use crate::testapp::{START, TOKEN};

struct Wire {
    sandbox: Sandbox,
    clock: Arc<ManualClock>,
}

impl Wire {
    async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(START.parse().expect("a time")));
        let shared: Arc<dyn Clock> = clock.clone();
        let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), shared).await.expect("a port");
        let admin = Person::new("admin@example.com");
        sandbox.okta().add_person(admin.clone());
        sandbox.okta().accept_ssws(TOKEN, &admin.id);
        Self { sandbox, clock }
    }

    fn okta(&self) -> &OktaSandbox {
        self.sandbox.okta()
    }

    fn client(&self, credentials: Value) -> Arc<dyn Provider> {
        let settings = json!({"kind": "okta", "url": self.okta().url(), "credentials": credentials, "timeout": "1s"});
        let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
        let clock: Arc<dyn Clock> = self.clock.clone();
        settings.build(&"okta".parse().expect("a name"), clock).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    fn with_token(&self) -> Arc<dyn Provider> {
        self.client(json!({"api_token": {"value": TOKEN}}))
    }

    fn with_app(&self, app: App, key: &str) -> Arc<dyn Provider> {
        let oauth = json!({"client_id": app.client_id, "key_id": app.key_id, "private_key": {"value": key}});
        self.okta().register_app(app);
        self.client(json!({"oauth": oauth}))
    }

    fn person(&self, login: &str, sessions: usize) -> Person {
        let person = Person::new(login);
        self.okta().add_person(person.clone());
        for _ in 0..sessions {
            self.okta().sign_in(&person.id);
        }
        person
    }
}

fn email(address: &str) -> Subject {
    Subject { email: Some(address.to_owned()), ..Subject::default() }
}

fn id(id: &str) -> Subject {
    Subject { id: Some(id.to_owned()), ..Subject::default() }
}

fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

fn rsa_app(client_id: &str) -> (App, String) {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/keys");
    let read = |name: &str| std::fs::read_to_string(format!("{folder}/{name}")).expect("a key");
    let (app, _) = App::with_fresh_key(client_id);
    (App { public_key_pem: read("rsa-public.pem"), algorithm: Algorithm::Rs256, ..app }, read("rsa-pkcs8.pem"))
}

#[tokio::test]
async fn every_kind_of_credential_finds_and_ends() {
    let wire = Wire::new().await;
    let (es, es_key) = App::with_fresh_key("0oaes256");
    let (rs, rs_key) = rsa_app("0oars256");
    let clients = [wire.with_token(), wire.with_app(es, &es_key), wire.with_app(rs, &rs_key)];
    for (number, client) in clients.iter().enumerate() {
        let ana = wire.person(&format!("ana{number}@example.com"), 2);
        wire.okta().issue_tokens(&ana.id, "mobile");
        wire.okta().remember_device(&ana.id);
        for subject in
            [email(&ana.email), id(&ana.id), Subject { username: Some(ana.login.clone()), ..Subject::default() }]
        {
            let account = client.resolve(&subject).await.expect("resolved").expect("found");
            assert_eq!(account.id, ana.id);
            assert!(account.identifiers.contains(&ana.email) && account.identifiers.contains(&ana.login));
        }
        let account = client.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
        let revoked = client.revoke(&account, &all(), None).await.expect("revoked").expect("something");
        assert_eq!(revoked.outcome, Outcome::Confirmed);
        let left = (wire.okta().sessions_of(&ana.id), wire.okta().tokens_of(&ana.id));
        assert_eq!((left, wire.okta().remembered_devices_of(&ana.id)), ((0, 0), 1), "credential {number}");
        client.revoke(&account, &all(), None).await.expect("safe to repeat");
    }
}

#[tokio::test]
async fn both_flags_do_what_they_say_on_both_engines() {
    for classic in [false, true] {
        let wire = Wire::new().await;
        if classic {
            wire.okta().use_classic_engine();
        }
        for (oauth_tokens, forget_devices) in [(false, false), (false, true), (true, false), (true, true)] {
            let ana = wire.person(&format!("ana-{oauth_tokens}-{forget_devices}@example.com"), 1);
            wire.okta().issue_tokens(&ana.id, "mobile");
            wire.okta().remember_device(&ana.id);
            let client = wire.with_token();
            let account = client.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
            let request =
                RevokeRequest { oauth_tokens: Some(oauth_tokens), forget_devices: Some(forget_devices), ..all() };
            client.revoke(&account, &request, None).await.expect("revoked");
            assert_eq!(wire.okta().tokens_of(&ana.id) == 0, oauth_tokens);
            assert_eq!(wire.okta().remembered_devices_of(&ana.id) == 0, forget_devices, "classic: {classic}");
        }
    }
}

#[tokio::test]
async fn one_token_serves_many_calls_and_is_fetched_anew_when_it_ends() {
    let wire = Wire::new().await;
    let (app, key) = App::with_fresh_key("0oaapp");
    let client = wire.with_app(app, &key);
    let ana = wire.person("ana@example.com", 1);
    let tokens = || wire.okta().ledger().iter().filter(|call| call.path == "/oauth2/v1/token").count();
    for _ in 0..5 {
        client.resolve(&id(&ana.id)).await.expect("resolved");
    }
    assert_eq!(tokens(), 1);
    wire.clock.advance(Duration::from_secs(3601));
    client.resolve(&id(&ana.id)).await.expect("resolved");
    assert_eq!(tokens(), 2);
    wire.okta().expire_access_tokens();
    client.resolve(&id(&ana.id)).await.expect("one refresh on a 401");
    assert_eq!(tokens(), 3);
}

#[tokio::test]
async fn what_an_app_lacks_is_told_in_words() {
    let wire = Wire::new().await;
    let ana = wire.person("ana@example.com", 1);

    let (app, key) = App::with_fresh_key("0oadpop");
    let dpop = wire.with_app(App { requires_dpop: true, ..app }, &key);
    let error = dpop.resolve(&id(&ana.id)).await.expect_err("refused");
    assert!(matches!(error, ProviderError::Misconfigured(_)) && error.to_string().contains("DPoP"), "{error}");

    let (app, key) = App::with_fresh_key("0oanorole");
    let no_role = wire.with_app(App { has_admin_role: false, ..app }, &key);
    assert!(no_role.check().await.is_err());

    let (app, _) = App::with_fresh_key("0oakey");
    let (_, foreign_key) = App::with_fresh_key("0oaother");
    let wrong_key = wire.with_app(app, &foreign_key);
    let error = wrong_key.check().await.expect_err("refused");
    assert!(matches!(error, ProviderError::Unauthorized(_)), "{error}");

    let (app, key) = App::with_fresh_key("0oafew");
    let granted_scopes = vec!["okta.users.read".to_owned(), "okta.users.manage".to_owned()];
    let few = wire.with_app(App { granted_scopes, ..app }, &key);
    let account = few.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
    few.revoke(&account, &all(), None).await.expect("ending all needs no session scope");
    let missing = few.check().await.expect("checked").missing.join(" ");
    assert!(missing.contains("okta.sessions.manage"), "{missing}");
}

#[tokio::test]
async fn a_lacking_permission_is_about_us() {
    let wire = Wire::new().await;
    let ana = wire.person("ana@example.com", 1);
    let client = wire.with_token();
    let account = client.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
    wire.okta().deny(TOKEN, Permission::UsersManage);
    let error = client.revoke(&account, &all(), None).await.expect_err("refused");
    assert!(matches!(error, ProviderError::Forbidden(_) | ProviderError::Unauthorized(_)), "{error:?}");
    assert_eq!(wire.okta().sessions_of(&ana.id), 1);
}

#[tokio::test]
async fn all_forms_of_429_wait_and_none_for_ever() {
    let forms = [
        (Fault::RateLimit { reset_in_s: 20 }, Some(20..=22)),
        (Fault::ConcurrencyLimit { reset_in_s: -5 }, Some(1..=5)),
        (Fault::ThrottleWithoutHint, None),
        (Fault::RepeatedReset { resets_in_s: vec![300, 10, 60] }, Some(10..=12)),
        (Fault::RateLimit { reset_in_s: 1_000_000_000 }, Some(60..=900)),
    ];
    for (form, expected) in forms {
        let wire = Wire::new().await;
        let ana = wire.person("ana@example.com", 1);
        let client = wire.with_token();
        let account = client.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
        // The two clocks disagree by an hour: only the server's own counts.
        wire.okta().shift_clock(jiff::SignedDuration::from_hours(1));
        wire.okta().faults().inject(Injection::once(form.clone()).on(Operation::RevokeUserSessions));
        let error = client.revoke(&account, &all(), None).await.expect_err("throttled");
        let ProviderError::Throttled { retry_after, .. } = error else { panic!("{form:?} gave {error:?}") };
        match expected {
            Some(range) => {
                let seconds = retry_after.expect("a hint").as_secs();
                assert!(range.contains(&seconds), "{form:?} gave {seconds}");
            }
            None => assert_eq!(retry_after, None, "{form:?}"),
        }
    }
}

#[tokio::test]
async fn no_answer_but_204_is_a_success() {
    let faults = [
        Fault::Html,
        Fault::MalformedJson,
        Fault::HugeBody { size_bytes: 8 << 20 },
        Fault::SlowBody { size_bytes: 100, every_ms: 500 },
        Fault::LateAnswer { duration_ms: 3000 },
        Fault::LostBefore,
        Fault::LostAfter,
        Fault::Redirect { to: "http://127.0.0.1:9/".to_owned() },
        Fault::Error { status: 500, code: "E0000009".to_owned() },
        Fault::Error { status: 502, code: String::new() },
        Fault::Error { status: 503, code: "E0000010".to_owned() },
        Fault::Error { status: 423, code: "E0000239".to_owned() },
    ];
    for fault in faults {
        let wire = Wire::new().await;
        let ana = wire.person("ana@example.com", 1);
        let client = wire.with_token();
        let account = client.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
        wire.okta().faults().inject(Injection::once(fault.clone()).on(Operation::RevokeUserSessions));
        let error = client.revoke(&account, &all(), None).await.expect_err("no success");
        let retryable = matches!(error, ProviderError::Unavailable(_) | ProviderError::Misconfigured(_));
        assert!(retryable, "{fault:?} gave {error:?}");
        client.revoke(&account, &all(), None).await.expect("the next call works");
    }
}

#[tokio::test]
async fn an_address_that_two_have_is_nobodys() {
    let wire = Wire::new().await;
    for login in ["ana1", "ana2"] {
        wire.okta().add_person(Person::new(login).email("ana@example.com"));
    }
    let error = wire.with_token().resolve(&email("ana@example.com")).await.expect_err("ambiguous");
    assert!(matches!(error, ProviderError::Unclear(_)), "{error:?}");
}

#[tokio::test]
async fn a_login_given_as_id_and_a_short_name_are_nobody() {
    let wire = Wire::new().await;
    let ana = wire.person("ana@example.com", 1);
    let client = wire.with_token();
    assert!(matches!(client.resolve(&id(&ana.login)).await, Err(ProviderError::UnknownAccount(_))));
    let short = Subject { username: Some("ana".to_owned()), ..Subject::default() };
    assert!(matches!(client.resolve(&short).await, Ok(None)), "`ana` is not `ana@example.com`");
    assert!(matches!(client.resolve(&email("nobody@example.com")).await, Ok(None)));
}

#[tokio::test]
async fn people_who_left_are_found_and_names_with_quotes_are_nothing_special() {
    let wire = Wire::new().await;
    let gone = Person::new("gone").email(r#"o"brien\x@example.com"#).status(Status::Deprovisioned);
    wire.okta().add_person(gone.clone());
    let account = wire.with_token().resolve(&email(&gone.email)).await.expect("resolved").expect("found");
    assert_eq!(account.id, gone.id);
}

#[tokio::test]
async fn given_sessions_end_only_if_they_are_the_accounts_own() {
    let wire = Wire::new().await;
    let (ana, bob) = (wire.person("ana@example.com", 3), wire.person("bob@example.com", 1));
    let client = wire.with_token();
    let account = client.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
    let refs = |ids: &[String]| RevokeRequest::new(Scope::Sessions(ids.iter().cloned().map(SessionRef::Id).collect()));
    let hers = wire.okta().session_ids_of(&ana.id);
    let revoked = client.revoke(&account, &refs(&hers[..2]), None).await.expect("revoked").expect("something");
    assert_eq!(revoked.sessions_ended, Some(2));
    assert_eq!(wire.okta().sessions_of(&ana.id), 1);
    assert!(
        client.revoke(&account, &refs(&hers[..2]), None).await.expect("safe to repeat").is_none(),
        "nothing is left of them"
    );
    let his = wire.okta().session_ids_of(&bob.id);
    assert!(matches!(client.revoke(&account, &refs(&his), None).await, Err(ProviderError::Refused(_))));
    assert_eq!(wire.okta().sessions_of(&bob.id), 1);
}

/// The operation that a call names in the published description: method, path and query parameters.
fn published(root: &Value, call: &Call) -> Option<String> {
    let sent: Vec<&str> = call.path.split('/').collect();
    let names: Vec<String> = reqwest::Url::parse(&format!("http://x/?{}", call.query))
        .expect("a query")
        .query_pairs()
        .map(|(name, _)| name.into_owned())
        .collect();
    let (_, _, operation) = described(root).into_iter().find(|(path, method, operation)| {
        let parts: Vec<&str> = path.split('/').collect();
        let known = query_parameters(root, operation);
        *method == call.method
            && parts.len() == sent.len()
            && parts.iter().zip(&sent).all(|(part, sent)| part == sent || (part.starts_with('{') && !sent.is_empty()))
            && names.iter().all(|name| known.contains(name))
    })?;
    operation["operationId"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn every_request_is_one_of_the_published_ones() {
    let description = include_str!("../fixtures/openapi/okta.yaml");
    let root: Value = serde_saphyr::from_str(description).expect("YAML");
    let wire = Wire::new().await;
    let ana = wire.person("ana@example.com", 3);
    let client = wire.with_token();
    client.check().await.expect("a report");
    for subject in [email(&ana.email), id(&ana.id), Subject { username: Some(ana.login.clone()), ..Subject::default() }]
    {
        client.resolve(&subject).await.expect("resolved").expect("found");
    }
    let account = client.resolve(&id(&ana.id)).await.expect("resolved").expect("found");
    let given = Scope::Sessions(vec![SessionRef::Id(wire.okta().session_ids_of(&ana.id)[0].clone())]);
    client.revoke(&account, &RevokeRequest::new(given), None).await.expect("revoked");
    client.revoke(&account, &all(), None).await.expect("revoked");
    let mut used = BTreeSet::new();
    for call in wire.okta().ledger() {
        let what = format!("{} {}?{}", call.method, call.path, call.query);
        assert_eq!(call.body_len, 0, "{what}");
        used.insert(published(&root, &call).unwrap_or_else(|| panic!("{what} is not described")));
    }
    let expected = ["getSession", "getUser", "listUsers", "revokeSession", "revokeUserSessions"];
    assert_eq!(used.iter().map(String::as_str).collect::<Vec<_>>(), expected);
}
