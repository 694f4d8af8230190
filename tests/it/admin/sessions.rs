//! A person's sessions through the API, over a provider that pages by cursor.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde_json::json;
use sever::domain::{Account, Look, Revocation, RevokeRequest, Session, Subject};
use sever::provider::{
    CallReport, CredentialReport, LimitSettings, ListQuery, Provider, ProviderError, ProviderKind, ProviderSettings,
    Providers, SessionPage, Share,
};

use sever::admin::{ProviderInfo, router};

use super::{World, okta};

/// Knows Ana, and two people who share a mailbox. `paging`: `None` where it lists nobody's sessions.
struct Directory {
    lists: bool,
}

#[async_trait]
impl Provider for Directory {
    fn kind(&self) -> ProviderKind {
        ProviderKind::Okta
    }

    async fn resolve(&self, subject: &Subject) -> Result<Option<Account>, ProviderError> {
        let report = |message: &str| CallReport { message: message.to_owned(), ..CallReport::default() };
        match subject.email.as_deref() {
            Some("ana@example.com") => Ok(Some(Account::new("u1", vec!["u1".to_owned(), "ana".to_owned()]))),
            Some("shared@example.com") => Err(ProviderError::Unclear(report("two accounts have this address"))),
            Some("down@example.com") => Err(ProviderError::Unavailable(report("no answer within 10s"))),
            _ => Ok(None),
        }
    }

    async fn sessions(&self, _account: &Account) -> Result<Option<Look>, ProviderError> {
        Ok(None)
    }

    async fn list_sessions(&self, account: &Account, _query: &ListQuery) -> Result<Option<SessionPage>, ProviderError> {
        let session =
            Session { id: format!("s-{}", account.id), ip: Some("203.0.113.9".to_owned()), ..Session::default() };
        let page = SessionPage { sessions: vec![session], next_cursor: Some("c2".to_owned()), total: Some(3) };
        Ok(self.lists.then_some(page))
    }

    async fn revoke(
        &self,
        _account: &Account,
        _request: &RevokeRequest,
        _seen: Option<&Look>,
    ) -> Result<Option<Revocation>, ProviderError> {
        panic!("listing ends nothing")
    }

    async fn check(&self) -> Result<CredentialReport, ProviderError> {
        panic!("listing checks nothing")
    }

    fn wait(&self) -> Option<Duration> {
        None
    }

    fn divide(&self, _: Share) {}
}

fn world(lists: bool) -> World {
    let mut world = World::new();
    let settings = json!({"kind": "okta", "url": "https://a.okta.com", "credentials": {"api_token": {"value": "x"}}});
    let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
    let mut clients = Providers::build(&BTreeMap::new(), &world.system_clock()).expect("none");
    clients.insert(okta(), Arc::new(Directory { lists }), settings.common());
    world.set_clients(clients);
    world
}

#[tokio::test]
async fn a_persons_sessions_are_shown_as_the_provider_pages_them() {
    let answer = world(true).get("/v1/providers/okta/sessions?email=ana@example.com").await.ok();
    let expected = json!({"items": [{"id": "s-u1", "ip": "203.0.113.9"}], "next_cursor": "c2", "total": 3,
        "account_id": "u1", "identifiers": ["u1", "ana"]});
    assert_eq!(answer, expected);
}

#[tokio::test]
async fn what_cannot_be_listed_says_why() {
    let world = world(true);
    let get = async |query: &str| world.get(&format!("/v1/providers/okta/sessions?{query}")).await;
    for query in ["", "email=a@x&id=1", "email=me", "email=", "who=ana", "email=ana@example.com&limit=x"] {
        get(query).await.problem(400, "malformed");
    }
    let ana = "email=ana@example.com";
    for parameter in ["order=created_at", "limit=5", "page=2", "cursor=c2"] {
        let name = parameter.split('=').next().expect("a name");
        let detail = get(&format!("{ana}&{parameter}")).await.problem(400, "malformed");
        assert!(detail.contains(&format!("`{name}`")), "{detail}");
    }
    assert!(get("email=bo@example.com").await.problem(404, "not-found").contains("nobody"));
    assert!(get("email=shared@example.com").await.problem(409, "conflict").contains("two accounts"));
    assert!(get("email=down@example.com").await.problem(502, "provider").contains("10s"));
    world.get("/v1/providers/slack/sessions?email=a@x").await.problem(404, "not-found");
    let blind = self::world(false);
    let detail = blind.get(&format!("/v1/providers/okta/sessions?{ana}")).await.problem(400, "malformed");
    assert!(detail.contains("no way to list"), "{detail}");
}

#[tokio::test]
async fn values_that_the_provider_does_not_take_are_told_before_it_is_asked() {
    let mut world = world(true);
    let mut state = world.state();
    let info = ProviderInfo { kind: ProviderKind::TheThingsStack, dry_run: false, limits: LimitSettings::default() };
    state.providers = Arc::new(BTreeMap::from([(okta(), info)]));
    world.router = router(state);
    let get =
        async |query: &str| world.get(&format!("/v1/providers/okta/sessions?email=ana@example.com&{query}")).await;
    get("order=-created_at&limit=1000&page=2").await.ok();
    get("order=created_at").await.ok();
    for (query, name) in [
        ("order=name", "`order`"),
        ("limit=0", "`limit`"),
        ("limit=1001", "`limit`"),
        ("page=0", "`page`"),
        ("page=-1", "`page`"),
        ("cursor=c2", "`cursor`"),
    ] {
        let detail = get(query).await.problem(400, "malformed");
        assert!(detail.contains(name), "{query}: {detail}");
    }
}
