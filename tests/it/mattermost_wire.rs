//! Our Mattermost client against the strict sandbox, which was written from the server's source and not from the client,
//! and stories of the whole service around it.

mod client;
mod stories;

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::domain::{Account, RevokeRequest, Scope, SessionRef, Subject};
use sever::provider::{Provider, ProviderSettings};
use sever::sandbox::mattermost::{MattermostSandbox, Person, Role};

use crate::testapp::clock;

const TOKEN: &str = "q7tfx9b1sdrg5yk3nuc4wemozh";
const NOBODY: &str = "n0b0dyn0b0dyn0b0dyn0b0dy26";

/// A server with a bot of ours that is a system admin and holds [`TOKEN`].
struct Chat {
    server: MattermostSandbox,
    clock: Arc<ManualClock>,
}

impl Chat {
    async fn start() -> Self {
        let clock = clock();
        let shared: Arc<dyn Clock> = clock.clone();
        let server = MattermostSandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), shared).await.expect("a port");
        server.add_person(Person::new("sever").role(Role::SystemAdmin).bot());
        server.accept_token(TOKEN, "sever");
        Self { server, clock }
    }

    fn settings(&self, token: &str) -> Value {
        json!({"kind": "mattermost", "url": self.server.url(), "credentials": {"token": {"value": token}},
            "timeout": "1s"})
    }

    fn settings_with_tokens(&self) -> Value {
        let mut settings = self.settings(TOKEN);
        settings["revoke_access_tokens"] = true.into();
        settings
    }

    fn client(&self) -> Arc<dyn Provider> {
        self.client_of(self.settings(TOKEN))
    }

    fn client_of(&self, settings: Value) -> Arc<dyn Provider> {
        let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
        let clock: Arc<dyn Clock> = self.clock.clone();
        settings.build(&"chat".parse().expect("a name"), clock).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    /// A client whose token belongs to a user manager.
    fn manager(&self) -> Arc<dyn Provider> {
        self.server.add_person(Person::new("manager").role(Role::UserManager));
        let (_, token) = self.server.issue_token("manager");
        self.client_of(self.settings(&token))
    }

    /// Somebody with so many sessions.
    fn person(&self, name: &str, sessions: usize) -> Person {
        let person = Person::new(name).email(&format!("{name}@example.com"));
        self.server.add_person(person.clone());
        for _ in 0..sessions {
            self.server.sign_in(&person.id);
        }
        person
    }

    /// How many calls went to a path with this end.
    fn calls(&self, end: &str) -> usize {
        self.server.ledger().iter().filter(|call| call.path.ends_with(end)).count()
    }
}

async fn find(client: &dyn Provider, person: &Person) -> Account {
    client.resolve(&id(&person.id)).await.expect("resolved").expect("found")
}

fn email(address: &str) -> Subject {
    Subject { email: Some(address.to_owned()), ..Subject::default() }
}

fn id(id: &str) -> Subject {
    Subject { id: Some(id.to_owned()), ..Subject::default() }
}

fn username(name: &str) -> Subject {
    Subject { username: Some(name.to_owned()), ..Subject::default() }
}

fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

fn given(ids: &[String]) -> RevokeRequest {
    RevokeRequest::new(Scope::Sessions(ids.iter().cloned().map(SessionRef::Id).collect()))
}
