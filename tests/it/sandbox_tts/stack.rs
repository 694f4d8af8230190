//! A network to test against, and a client that sends exactly what a test says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use serde_json::Value;
use sever::clock::{Clock, ManualClock};
use sever::sandbox::the_things_stack::{Person, TtsSandbox};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// 39 and 52 characters behind the kind, as real keys have them.
pub(super) const KEY: &str =
    "NNSXS.VEEBURF3KR77ZR3RTNT3FPPHGV6RPOB4EZUAQYQ.QTN3C5ZJ7M2XW4KH6DRAVYLS2GFPE7BIOUNC3T5ZJ7M2XW4KH6DR";
pub(super) const START_S: i64 = 1_768_465_800;

/// A network with an admin, who owns the key and has every right, and Zoe, who is signed in twice.
pub(super) struct Stack {
    pub(super) tts: TtsSandbox,
    pub(super) clock: Arc<ManualClock>,
    client: reqwest::Client,
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
        self.all(name).first().cloned().unwrap_or_default()
    }

    pub(super) fn all(&self, name: &str) -> Vec<String> {
        self.headers.get_all(name).iter().map(|value| value.to_str().expect("ASCII").to_owned()).collect()
    }

    /// Name of the error in the details; empty where there are none.
    pub(super) fn name(&self) -> String {
        self.json()["details"][0]["name"].as_str().unwrap_or_default().to_owned()
    }

    /// Status, name and gRPC code of an error.
    pub(super) fn error(&self) -> (u16, String, i64) {
        (self.status, self.name(), self.json()["code"].as_i64().unwrap_or_default())
    }

    /// One field of every element of a listing.
    pub(super) fn column(&self, list: &str, pointer: &str) -> Vec<String> {
        let body = self.json();
        let rows = body[list].as_array().cloned().unwrap_or_default();
        rows.iter().map(|row| row.pointer(pointer).and_then(Value::as_str).expect("a text").to_owned()).collect()
    }

    pub(super) fn session_ids(&self) -> Vec<String> {
        self.column("sessions", "/session_id")
    }

    pub(super) fn user_ids(&self) -> Vec<String> {
        self.column("users", "/ids/user_id")
    }
}

impl Stack {
    pub(super) async fn start() -> Self {
        let clock = Arc::new(ManualClock::new(Timestamp::from_second(START_S).expect("a valid time")));
        let any_port: SocketAddr = ([127, 0, 0, 1], 0).into();
        let tts = TtsSandbox::start(any_port, Arc::clone(&clock) as Arc<dyn Clock>).await.expect("a free port");
        let stack = Self { tts, clock, client: client() };
        stack.tts.add_person(Person::new("admin").admin());
        stack.tts.give_admins_all_rights(true);
        stack.tts.accept_key(KEY, "admin");
        stack.tts.add_person(Person::new("zoe").email("Zoe@Example.com").name("Zoe Example"));
        stack.tts.sign_in("zoe");
        stack.tts.sign_in("zoe");
        stack
    }

    /// `path` is below `/api/v3`.
    pub(super) async fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> reqwest::Result<Reply> {
        let method = method.parse().expect("a method");
        let mut request = self.client.request(method, format!("{}/api/v3{path}", self.tts.url()));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = if body.is_empty() { request } else { request.body(body.to_owned()) };
        let answer = request.send().await?;
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Ok(Reply { status, headers, text: answer.text().await? })
    }

    pub(super) async fn send(&self, method: &str, path: &str, headers: &[(&str, &str)]) -> Reply {
        self.try_send(method, path, headers, "").await.expect("an answer")
    }

    pub(super) async fn with(&self, token: &str, method: &str, path: &str) -> Reply {
        self.send(method, path, &[("authorization", &format!("Bearer {token}"))]).await
    }

    /// With the admin's key.
    pub(super) async fn call(&self, method: &str, path: &str) -> Reply {
        self.with(KEY, method, path).await
    }

    pub(super) async fn get(&self, path: &str) -> Reply {
        self.call("GET", path).await
    }

    pub(super) async fn end(&self, user: &str, session: &str) -> Reply {
        self.call("DELETE", &format!("/users/{user}/sessions/{session}")).await
    }

    pub(super) fn first_session(&self) -> String {
        self.tts.session_ids_of("zoe").remove(0)
    }

    /// Sends the whole path as it is; a URL library would tidy it up.
    pub(super) async fn raw_status(&self, method: &str, path: &str) -> u16 {
        let url = self.tts.url();
        let mut stream = TcpStream::connect(url.trim_start_matches("http://")).await.expect("a connection");
        let head =
            format!("{method} {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {KEY}\r\nconnection: close\r\n\r\n");
        stream.write_all(head.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("an answer");
        answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default()
    }
}

#[expect(clippy::disallowed_methods, reason = "the stand-in is driven without our own client")]
fn client() -> reqwest::Client {
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    builder.timeout(Duration::from_secs(10)).build().expect("a client")
}

pub(super) fn strings(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}
