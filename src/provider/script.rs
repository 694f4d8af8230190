//! A server for tests that gives canned answers in order and keeps every request.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::HeaderMap;
use http_body_util::BodyExt;
use tokio::net::TcpListener;
use tokio::task::JoinSet;

/// An answer in waiting.
#[derive(Debug, Clone)]
pub(super) struct Canned {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
    delay: Duration,
}

impl Canned {
    pub(super) fn new(status: u16, body: impl Into<String>) -> Self {
        Self { status, headers: Vec::new(), body: body.into(), delay: Duration::ZERO }
    }

    pub(super) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(super) fn delay(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }
}

/// A request that came.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    /// Method, path and query, as `GET /a?b=c`.
    pub(super) line: String,
    pub(super) headers: HeaderMap,
    pub(super) body: String,
}

#[derive(Debug, Default)]
struct Script {
    answers: VecDeque<Canned>,
    seen: Vec<Seen>,
}

/// The server. It ends when it is dropped.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    script: Arc<Mutex<Script>>,
    _task: JoinSet<()>,
}

impl Server {
    pub(super) async fn start() -> Self {
        let script = Arc::new(Mutex::new(Script::default()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&script));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.expect("a server") });
        Self { address, script, _task: task }
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Puts answers at the end of the queue. Where it is empty, the answer is 599.
    pub(super) fn then(&self, answers: impl IntoIterator<Item = Canned>) {
        self.lock().answers.extend(answers);
    }

    pub(super) fn seen(&self) -> Vec<Seen> {
        self.lock().seen.clone()
    }

    /// The request lines so far.
    pub(super) fn lines(&self) -> Vec<String> {
        self.seen().into_iter().map(|seen| seen.line).collect()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let seen = Seen {
        line: format!("{} {}", parts.method, parts.uri),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    let canned = {
        let mut script = script.lock().unwrap_or_else(PoisonError::into_inner);
        script.seen.push(seen);
        script.answers.pop_front().unwrap_or_else(|| Canned::new(599, "the script is at its end"))
    };
    tokio::time::sleep(canned.delay).await;
    let mut response = Response::builder().status(canned.status);
    for (name, value) in &canned.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(canned.body)).expect("a response")
}
