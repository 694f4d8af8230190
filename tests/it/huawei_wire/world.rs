//! An identity store, a client of it, and short names for what is asked.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::domain::{Account, RevokeRequest, Scope, SessionRef, Subject};
use sever::provider::{Provider, ProviderSettings};
use sever::sandbox::HuaweiSandbox;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::huawei::{Operation, Person, Quirks};

use crate::testapp::clock;

pub(super) const AK: &str = "AKIDOFTHETESTS0000001";
pub(super) const SK: &str = "sk/OfTheTests+Key=00000000000000000001";

pub(super) struct World {
    pub(super) huawei: HuaweiSandbox,
    pub(super) clock: Arc<ManualClock>,
    pub(super) client: Arc<dyn Provider>,
}

impl World {
    pub(super) async fn new() -> Self {
        Self::with(json!({})).await
    }

    /// With more settings than the necessary ones.
    pub(super) async fn with(more: Value) -> Self {
        let (huawei, clock) = store().await;
        let client = client(&huawei, &clock, more);
        Self { huawei, clock, client }
    }

    /// Somebody with so many sessions.
    pub(super) fn person(&self, name: &str, sessions: usize) -> Person {
        let person = Person::new(name);
        self.huawei.add_person(person.clone());
        for _ in 0..sessions {
            self.huawei.sign_in(&person.id);
        }
        person
    }

    pub(super) async fn account(&self, person: &Person) -> Account {
        self.client.resolve(&id(&person.id)).await.expect("resolved").expect("found")
    }

    pub(super) fn quirks(&self, change: impl FnOnce(&mut Quirks)) {
        let mut quirks = Quirks::default();
        change(&mut quirks);
        self.huawei.set_quirks(quirks);
    }

    /// Strikes the next calls that end sessions.
    pub(super) fn strike(&self, fault: Fault) {
        self.huawei.faults().inject(Injection::once(fault).on(Operation::BatchDeleteSessions));
    }

    /// How many calls reached this operation.
    pub(super) fn calls(&self, operation: Operation) -> usize {
        let end = operation.template().rsplit('/').next().unwrap_or_default().to_owned();
        let is = |path: &str| path.ends_with(&end) || (end == "{user_id}" && path.rsplit('/').nth(1) == Some("users"));
        self.huawei.ledger().iter().filter(|call| call.method == operation.method() && is(&call.path)).count()
    }
}

/// An empty store that takes our key.
pub(super) async fn store() -> (HuaweiSandbox, Arc<ManualClock>) {
    let clock = clock();
    let shared: Arc<dyn Clock> = clock.clone();
    let huawei = HuaweiSandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), shared).await.expect("a port");
    huawei.accept_key(AK, SK);
    (huawei, clock)
}

/// The settings that lead to a store, and more.
pub(super) fn settings(huawei: &HuaweiSandbox, more: Value) -> Value {
    let mut settings = json!({
        "kind": "huawei_identity_center", "url": huawei.url(), "timeout": "1s",
        "credentials": {"access_key": {"value": AK}, "secret_key": {"value": SK}},
        "identity_store_id": huawei.identity_store_id(),
    });
    for (key, value) in more.as_object().into_iter().flatten() {
        settings[key] = value.clone();
    }
    settings
}

pub(super) fn client(huawei: &HuaweiSandbox, clock: &Arc<ManualClock>, more: Value) -> Arc<dyn Provider> {
    let settings: ProviderSettings = serde_json::from_value(settings(huawei, more)).expect("settings");
    let clock: Arc<dyn Clock> = clock.clone();
    settings.build(&"cloud".parse().expect("a name"), clock).unwrap_or_else(|problems| panic!("{problems:?}"))
}

pub(super) fn email(address: &str) -> Subject {
    Subject { email: Some(address.to_owned()), ..Subject::default() }
}

pub(super) fn id(id: &str) -> Subject {
    Subject { id: Some(id.to_owned()), ..Subject::default() }
}

pub(super) fn username(name: &str) -> Subject {
    Subject { username: Some(name.to_owned()), ..Subject::default() }
}

pub(super) fn all() -> RevokeRequest {
    RevokeRequest::new(Scope::All)
}

pub(super) fn given(ids: &[String]) -> RevokeRequest {
    RevokeRequest::new(Scope::Sessions(ids.iter().cloned().map(SessionRef::Id).collect()))
}
