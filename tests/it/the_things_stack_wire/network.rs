//! A network with an admin, whose key the client holds.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::domain::{Account, RevokeRequest, Scope, SessionRef, Subject};
use sever::provider::{Provider, ProviderSettings};
use sever::sandbox::the_things_stack::{Person, TtsSandbox};

use crate::testapp;

/// As long as real keys are.
pub(super) const KEY: &str =
    "NNSXS.VEEBURF3KR77ZR3RTNT3FPPHGV6RPOB4EZUAQYQ.QTN3C5ZJ7M2XW4KH6DRAVYLS2GFPE7BIOUNC3T5ZJ7M2XW4KH6DR";

pub(super) struct Network {
    pub(super) tts: TtsSandbox,
    pub(super) clock: Arc<ManualClock>,
}

impl Network {
    pub(super) async fn start() -> Self {
        let clock = testapp::clock();
        let shared: Arc<dyn Clock> = clock.clone();
        let tts = TtsSandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), shared).await.expect("a port");
        tts.add_person(Person::new("admin").admin());
        tts.give_admins_all_rights(true);
        tts.accept_key(KEY, "admin");
        Self { tts, clock }
    }

    pub(super) fn settings(&self) -> Value {
        json!({"kind": "the_things_stack", "url": self.tts.url(), "credentials": {"api_key": {"value": KEY}}, "timeout": "1s"})
    }

    pub(super) fn client(&self) -> Arc<dyn Provider> {
        self.client_with(&json!({}))
    }

    pub(super) fn client_with(&self, more: &Value) -> Arc<dyn Provider> {
        let mut settings = self.settings();
        settings.as_object_mut().expect("an object").extend(more.as_object().cloned().unwrap_or_default());
        let settings: ProviderSettings = serde_json::from_value(settings).expect("settings");
        let clock: Arc<dyn Clock> = self.clock.clone();
        settings.build(&"lorawan".parse().expect("a name"), clock).unwrap_or_else(|problems| panic!("{problems:?}"))
    }

    pub(super) fn client_of(&self, key: &str) -> Arc<dyn Provider> {
        self.client_with(&json!({"credentials": {"api_key": {"value": key}}}))
    }

    /// Somebody with so many sessions.
    pub(super) fn person(&self, name: &str, sessions: usize) -> Person {
        let person = Person::new(name);
        self.tts.add_person(person.clone());
        for _ in 0..sessions {
            self.tts.sign_in(&person.id);
        }
        person
    }

    /// The calls so far, without their queries.
    pub(super) fn calls(&self) -> Vec<String> {
        self.tts.ledger().iter().map(|call| format!("{} {}", call.method, call.path)).collect()
    }
}

pub(super) fn account(person: &Person) -> Account {
    Account::new(&person.id, vec![person.id.clone(), person.email.clone()])
}

pub(super) fn by_email(email: &str) -> Subject {
    Subject { email: Some(email.to_owned()), ..Subject::default() }
}

pub(super) fn by_id(id: &str) -> Subject {
    Subject { id: Some(id.to_owned()), ..Subject::default() }
}

pub(super) fn by_username(name: &str) -> Subject {
    Subject { username: Some(name.to_owned()), ..Subject::default() }
}

pub(super) fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

pub(super) fn given(ids: &[String]) -> RevokeRequest {
    RevokeRequest::new(Scope::Sessions(ids.iter().cloned().map(SessionRef::Id).collect()))
}
