//! Messages to others: signed, at least once, one for a storm, and nothing lost by a crash.

mod broker;
mod delivery;
mod messages;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;

use crate::testapp::{CONFIG, TestApp};

pub(crate) const SECRET: &str = "whsec_bm90aWZ5LW1lLXBsZWFzZS13aXRoLTMyLWJ5dGVz";

/// What a receiver does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reply {
    Status(u16),
    /// Nothing, for longer than anybody waits.
    Hang,
    /// Takes the message, and the answer is lost.
    Lost,
    /// Sends it elsewhere.
    Redirect,
}

#[derive(Debug, Clone)]
struct Received {
    headers: HeaderMap,
    body: String,
}

impl Received {
    fn id(&self) -> &str {
        self.headers["webhook-id"].to_str().expect("text")
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }

    fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }
}

#[derive(Default)]
struct Script {
    /// In turn; when they are used up, every message is taken.
    replies: Vec<Reply>,
    received: Vec<Received>,
    elsewhere: usize,
}

/// Somebody who is told.
#[derive(Clone)]
struct Receiver {
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Receiver {
    fn start(replies: &[Reply]) -> Self {
        let script = Arc::new(Mutex::new(Script { replies: replies.to_vec(), ..Script::default() }));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("an address");
        let state = Arc::clone(&script);
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
                axum::serve(listener, Router::new().fallback(take).with_state(state)).await.expect("served");
            });
        });
        Self { address, script }
    }

    fn url(&self) -> String {
        format!("http://{}/told?key=k", self.address)
    }

    fn received(&self) -> Vec<Received> {
        self.script.lock().expect("the script").received.clone()
    }

    fn of_kind(&self, kind: &str) -> Vec<Received> {
        self.received().into_iter().filter(|message| message.kind() == kind).collect()
    }

    async fn until(&self, what: &str, done: impl Fn(&[Received]) -> bool) {
        for _ in 0..1200 {
            if done(&self.received()) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited a minute in vain: {what}; there is {:?}", self.received());
    }
}

async fn take(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    if parts.uri.path() != "/told" {
        script.lock().expect("the script").elsewhere += 1;
        return Response::new(Body::empty());
    }
    let bytes = body.collect().await.expect("a body").to_bytes();
    let reply = {
        let mut script = script.lock().expect("the script");
        let body = String::from_utf8(bytes.to_vec()).expect("text");
        script.received.push(Received { headers: parts.headers, body });
        if script.replies.is_empty() { Reply::Status(204) } else { script.replies.remove(0) }
    };
    let answer = Response::builder();
    match reply {
        Reply::Status(status) => answer.status(status).body(Body::from("no secret is told here")),
        Reply::Hang => {
            tokio::time::sleep(Duration::from_secs(120)).await;
            answer.body(Body::empty())
        }
        // A body that breaks off before its head is sent breaks the connection.
        Reply::Lost => panic!("the answer is lost"),
        Reply::Redirect => answer.status(StatusCode::FOUND).header("location", "/elsewhere").body(Body::empty()),
    }
    .expect("a response")
}

/// [`CONFIG`], with these targets, and more settings of the source.
fn config(notify: &str) -> String {
    CONFIG.replace("sources:\n", &format!("notify:\n{notify}sources:\n"))
}

fn target(name: &str, receiver: &Receiver, more: &str) -> String {
    format!("  {name}: {{url: \"{}\", secret: {{value: {SECRET}}}, timeout: 1s{more}}}\n", receiver.url())
}

/// A service that tells this receiver.
async fn telling(receiver: &Receiver, more: &str) -> TestApp {
    let app = TestApp::with(&config(&target("soc", receiver, more))).await;
    app.app.begin_telling().await.expect("begun");
    app
}

impl TestApp {
    /// Sends what is due at this time of the manual clock; how many messages were tried.
    async fn tell(&self) -> usize {
        self.app.notifier.step().await.expect("the store answers")
    }
}
