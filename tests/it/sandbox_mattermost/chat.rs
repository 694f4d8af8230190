//! A server to test against, and a client that sends exactly what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use sever::clock::{Clock, ManualClock};
use sever::sandbox::ledger::Effect;
use sever::sandbox::mattermost::{MattermostSandbox, Person, Role};

pub(super) const TOKEN: &str = "q7tfx9b1sdrg5yk3nuc4wemozh";
pub(super) const ACCEPT: (&str, &str) = ("accept", "application/json");
pub(super) const JSON: (&str, &str) = ("content-type", "application/json");
pub(super) const AUTH: (&str, &str) = ("authorization", "Bearer q7tfx9b1sdrg5yk3nuc4wemozh");
pub(super) const START_S: i64 = 1_795_299_247;
pub(super) const NOBODY: &str = "n0b0dyn0b0dyn0b0dyn0b0dy26";

/// A server with a system admin, who holds the token, and Zoe, who is signed in twice.
pub(super) struct Chat {
    pub(super) server: MattermostSandbox,
    pub(super) clock: Arc<ManualClock>,
    pub(super) client: reqwest::Client,
    pub(super) zoe: String,
}

pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) headers: reqwest::header::HeaderMap,
    pub(super) text: String,
}

impl Reply {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|_| panic!("not JSON: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> String {
        self.all(name).into_iter().next().unwrap_or_default()
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect()
    }

    /// The `id` of an error; empty where there is none.
    pub(super) fn id(&self) -> String {
        let body: Value = serde_json::from_str(&self.text).unwrap_or_default();
        body["id"].as_str().unwrap_or_default().to_owned()
    }

    /// The ids of a list, in its order.
    pub(super) fn ids(&self) -> Vec<String> {
        let body = self.json();
        let rows = body.as_array().unwrap_or_else(|| panic!("not a list: {body}")).iter();
        rows.map(|row| row["id"].as_str().expect("an id").to_owned()).collect()
    }

    pub(super) fn assert_ok(&self) {
        assert_eq!((self.status, self.text.as_str()), (200, r#"{"status":"OK"}"#));
    }

    #[track_caller]
    pub(super) fn assert_refused(&self, status: u16, id: &str) {
        assert_eq!((self.status, self.id().as_str()), (status, id), "{}", self.text);
    }
}

impl Chat {
    pub(super) async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(START_S).expect("a valid time")));
        let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
        let server = MattermostSandbox::start(any_port, Arc::clone(&clock) as Arc<dyn Clock>).await;
        let zoe = Person::new("zoe").email("Zoe.Lang@Example.com");
        let chat = Self { server: server.expect("a free port"), clock, client: client(), zoe: zoe.id.clone() };
        chat.server.add_person(Person::new("admin").role(Role::SystemAdmin));
        chat.server.accept_token(TOKEN, "admin");
        chat.server.add_person(zoe);
        chat.server.sign_in("zoe");
        chat.server.sign_in("zoe");
        chat
    }

    /// Lets the holder of the token have this role instead.
    pub(super) async fn start_as(role: Role) -> Self {
        let chat = Self::start().await;
        chat.server.add_person(Person::new("agent").role(role));
        chat.server.revoke_token(TOKEN);
        chat.server.accept_token(TOKEN, "agent");
        chat
    }

    pub(super) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> reqwest::Result<Reply> {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}{path}", self.server.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = if body.is_empty() { request } else { request.body(body.to_owned()) };
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Reply { status, headers, text: answer.text().await? })
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Reply {
        self.try_send(method, path, headers, body).await.expect("an answer")
    }

    /// `path` is below `/api/v4`; the headers are those of a right client.
    pub(super) async fn get(&self, path: &str) -> Reply {
        self.send("GET", &format!("/api/v4{path}"), &[ACCEPT, AUTH], "").await
    }

    pub(super) async fn get_with(&self, token: &str, path: &str) -> Reply {
        let bearer = format!("Bearer {token}");
        self.send("GET", &format!("/api/v4{path}"), &[ACCEPT, ("authorization", &bearer)], "").await
    }

    pub(super) async fn post(&self, path: &str, body: Value) -> Reply {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        self.send("POST", &format!("/api/v4{path}"), &[ACCEPT, JSON, AUTH], &body).await
    }

    pub(super) fn sessions_path(&self) -> String {
        format!("/users/{}/sessions", self.zoe)
    }

    pub(super) async fn list(&self) -> Reply {
        self.get(&self.sessions_path()).await
    }

    pub(super) async fn revoke_all(&self) -> Reply {
        self.post(&format!("{}/revoke/all", self.sessions_path()), Value::Null).await
    }

    pub(super) async fn revoke(&self, session: &str) -> Reply {
        self.post(&format!("{}/revoke", self.sessions_path()), json!({"session_id": session})).await
    }

    pub(super) fn last_effect(&self) -> Effect {
        self.server.ledger().pop().expect("a call").effect
    }
}

#[expect(clippy::disallowed_methods, reason = "the stand-in is driven without our own client")]
fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.timeout(Duration::from_secs(10)).build().expect("a client")
}
