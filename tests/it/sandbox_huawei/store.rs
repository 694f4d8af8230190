//! An identity store to test against.

use std::net::SocketAddr;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::sandbox::HuaweiSandbox;
use sever::sandbox::huawei::{Person, Quirks};

use super::wire::{Draft, Reply};

pub(super) const ACCESS_KEY: &str = "HPUAEXAMPLE000000001";
pub(super) const SECRET_KEY: &str = "secret/example+key=";
/// 2026-11-21T22:14:07Z
pub(super) const START_S: i64 = 1_795_299_247;

/// A store with Ana, who is signed in twice, and Ben, who is so once.
pub(super) struct Store {
    pub(super) huawei: HuaweiSandbox,
    pub(super) clock: Arc<ManualClock>,
    pub(super) ana: String,
    pub(super) ben: String,
}

impl Store {
    pub(super) async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(START_S).expect("a valid time")));
        let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
        let huawei = HuaweiSandbox::start(any_port, Arc::clone(&clock) as Arc<dyn Clock>).await.expect("a free port");
        let ana = Person::new("ana").email("Ana.Silva@Example.com").name("Ana", "Silva");
        let ana = ana.external_id("00uana", "https://idp.example");
        let ben = Person::new("ben").without_email();
        let store = Self { huawei, clock, ana: ana.id.clone(), ben: ben.id.clone() };
        store.huawei.accept_key(ACCESS_KEY, SECRET_KEY);
        [ana, ben].into_iter().for_each(|person| store.huawei.add_person(person));
        ["ana", "ana", "ben"].into_iter().for_each(|name| drop(store.huawei.sign_in(name)));
        store
    }

    pub(super) async fn with(quirks: Quirks) -> Self {
        let store = Self::start().await;
        store.huawei.set_quirks(quirks);
        store
    }

    pub(super) fn users_path(&self) -> String {
        format!("/v1/identity-stores/{}/users", self.huawei.identity_store_id())
    }

    pub(super) fn sessions_path(&self, user_id: &str) -> String {
        format!("{}/{user_id}/sessions", self.users_path())
    }

    pub(super) fn batch_path(&self) -> String {
        format!("{}/batch-delete", self.sessions_path(&self.ana))
    }

    /// With the headers of a right call.
    pub(super) fn draft(&self, method: &str, target: &str) -> Draft {
        let date = self.clock.now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let host = self.huawei.url().replace("http://", "");
        let draft = Draft::new(method, target).header("Host", &host).header("X-Sdk-Date", &date);
        draft.header("Content-Type", "application/json")
    }

    /// Signed with the store's key.
    pub(super) async fn try_send(&self, draft: &Draft) -> Option<Reply> {
        draft.send(&self.huawei.url(), Some(&draft.authorization(ACCESS_KEY, SECRET_KEY))).await
    }

    pub(super) async fn send(&self, draft: &Draft) -> Reply {
        self.try_send(draft).await.expect("an answer")
    }

    pub(super) async fn get(&self, target: &str) -> Reply {
        self.send(&self.draft("GET", target)).await
    }

    pub(super) async fn post(&self, target: &str, body: &str) -> Reply {
        self.send(&self.draft("POST", target).body(body)).await
    }

    pub(super) async fn list(&self) -> Reply {
        self.get(&self.sessions_path(&self.ana)).await
    }

    pub(super) async fn listed(&self) -> Vec<String> {
        let body = self.list().await.json();
        let rows = body["session_list"].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row["session_id"].as_str().expect("an id").to_owned()).collect()
    }

    /// Ends these sessions of Ana.
    pub(super) async fn end(&self, ids: &[String]) -> Reply {
        self.post(&self.batch_path(), &json!({"session_ids": ids}).to_string()).await
    }

    /// Ends those that Ana has.
    pub(super) async fn end_all(&self) -> Reply {
        self.end(&self.huawei.session_ids_of(&self.ana)).await
    }

    pub(super) async fn find(&self, identifier: &Value) -> Reply {
        let body = json!({"alternate_identifier": identifier});
        self.post(&format!("{}/retrieve-user-id", self.users_path()), &body.to_string()).await
    }

    pub(super) async fn find_name(&self, name: &str) -> Reply {
        self.find(&json!({"unique_attribute": {"attribute_path": "user_name", "attribute_value": name}})).await
    }
}

pub(super) fn user_names(reply: &Reply) -> Vec<String> {
    let users = reply.json()["users"].as_array().cloned().unwrap_or_else(|| panic!("no users: {}", reply.text));
    users.iter().map(|user| user["user_name"].as_str().expect("a name").to_owned()).collect()
}

pub(super) fn outcome(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}
