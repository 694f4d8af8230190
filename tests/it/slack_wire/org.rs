//! An organization in the sandbox, and our client of it.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::domain::{Account, RevokeRequest, Scope, SessionRef, Subject, TeamSession};
use sever::provider::{Provider, ProviderSettings};
use sever::sandbox::SlackSandbox;
use sever::sandbox::slack::{Device, Person, Role};

use crate::testapp::START;

pub(super) const TOKEN: &str = "xoxp-canary-1234567890";

/// An Org Admin owns the token; there is a primary owner, a bot, and two workspaces.
pub(super) struct Org {
    pub(super) slack: SlackSandbox,
    pub(super) clock: Arc<ManualClock>,
    pub(super) teams: [String; 2],
}

impl Org {
    pub(super) async fn new() -> Self {
        let clock = Arc::new(ManualClock::new(START.parse().expect("a time")));
        let shared: Arc<dyn Clock> = clock.clone();
        let slack = SlackSandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), shared).await.expect("a port");
        slack.add_person(Person::new("admin@example.com").role(Role::OrgAdmin));
        slack.add_person(Person::new("owner@example.com").role(Role::PrimaryOwner));
        slack.add_person(Person::new("bot@example.com").bot());
        slack.accept_token(TOKEN, "admin@example.com");
        let teams = slack.teams();
        Self { teams: [teams[0].id.clone(), teams[1].id.clone()], slack, clock }
    }

    pub(super) fn client(&self) -> Arc<dyn Provider> {
        self.client_with(json!({}))
    }

    /// A client that looks into both workspaces, unless `more` says otherwise.
    pub(super) fn client_with(&self, more: Value) -> Arc<dyn Provider> {
        let url = format!("{}/api", self.slack.url());
        client(&url, &json!(self.teams), more, self.clock.clone())
    }

    /// A member of both workspaces who is signed in on the web and on a phone in the first, and on the web in the other.
    pub(super) fn person(&self, email: &str) -> Person {
        let [one, other] = &self.teams;
        let person = Person::new(email).team(one).team(other);
        self.slack.add_person(person.clone());
        self.slack.sign_in_to(&person.id, one, Device::Web);
        self.slack.sign_in_to(&person.id, one, Device::Mobile);
        self.slack.sign_in_to(&person.id, other, Device::Web);
        person
    }

    /// Calls that reached `method`.
    pub(super) fn calls(&self, method: &str) -> usize {
        let path = format!("/api/{method}");
        self.slack.ledger().iter().filter(|call| call.path == path).count()
    }

    /// Nothing was called that no honest client calls.
    #[track_caller]
    pub(super) fn assert_honest(&self) {
        assert_eq!(self.slack.tripwires(), []);
        let path = |call: &sever::sandbox::ledger::Call| call.path.trim_start_matches("/api/").to_owned();
        let strange: Vec<_> = self.slack.ledger().iter().map(path).filter(|path| !METHODS.contains(&&**path)).collect();
        assert_eq!(strange, [""; 0]);
    }
}

const METHODS: [&str; 7] = [
    "auth.test",
    "users.lookupByEmail",
    "users.info",
    "admin.users.session.list",
    "admin.users.session.reset",
    "admin.users.session.resetBulk",
    "admin.users.session.invalidate",
];

pub(super) fn client(url: &str, team_ids: &Value, more: Value, clock: Arc<ManualClock>) -> Arc<dyn Provider> {
    let mut settings = json!({"kind": "slack", "url": url, "credentials": {"token": {"value": TOKEN}},
        "team_ids": team_ids, "timeout": "1s"});
    settings.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
    settings.build(&"slack".parse().expect("a name"), clock).unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub(super) async fn account(client: &Arc<dyn Provider>, person: &Person) -> Account {
    client.resolve(&id(&person.id)).await.expect("resolved").expect("found")
}

pub(super) fn email(address: &str) -> Subject {
    Subject { email: Some(address.to_owned()), ..Subject::default() }
}

pub(super) fn id(id: &str) -> Subject {
    Subject { id: Some(id.to_owned()), ..Subject::default() }
}

pub(super) fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

pub(super) fn given<'a>(sessions: impl IntoIterator<Item = (&'a String, &'a String)>) -> RevokeRequest {
    let session = |(id, team_id): (&String, &String)| TeamSession { id: id.clone(), team_id: team_id.clone() };
    let references = sessions.into_iter().map(session).map(SessionRef::InTeam);
    RevokeRequest::new(Scope::Sessions(references.collect()))
}
