//! A server that says yes in Slack's shapes and keeps every request, for tests that are about requests alone.

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub(super) const USER: &str = "W0123ABCD";
pub(super) const TEAM: &str = "T0123ABCD";

/// A session's id that a float would change.
pub(super) const SESSION: &str = "9007199254740993";

/// A request that came, its arguments taken apart.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Recorded {
    pub(super) http_method: String,
    /// The Web API method.
    pub(super) method: String,
    pub(super) media: String,
    pub(super) authorization: String,
    /// Of the query.
    pub(super) query: Vec<(String, String)>,
    /// Of the form.
    pub(super) form: Vec<(String, String)>,
}

pub(super) struct Recorder {
    pub(super) url: String,
    requests: Arc<Mutex<Vec<Recorded>>>,
    _task: JoinSet<()>,
}

impl Recorder {
    pub(super) async fn start() -> Self {
        let requests = Arc::new(Mutex::new(Vec::new()));
        let app = Router::new().fallback(answer).with_state(Arc::clone(&requests));
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let url = format!("http://{}/api", listener.local_addr().expect("an address"));
        let mut task = JoinSet::new();
        task.spawn(async move { axum::serve(listener, app).await.expect("a server") });
        Self { url, requests, _task: task }
    }

    /// Everything so far, which is then forgotten.
    pub(super) fn take(&self) -> Vec<Recorded> {
        std::mem::take(&mut *self.requests.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

async fn answer(State(requests): State<Arc<Mutex<Vec<Recorded>>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
    let header =
        |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
    let method = parts.uri.path().trim_start_matches("/api/").to_owned();
    let recorded = Recorded {
        http_method: parts.method.to_string(),
        media: header("content-type").to_lowercase().replace(' ', ""),
        authorization: header("authorization"),
        query: pairs(parts.uri.query().unwrap_or_default()),
        form: pairs(&String::from_utf8_lossy(&body)),
        method: method.clone(),
    };
    requests.lock().unwrap_or_else(PoisonError::into_inner).push(recorded);
    Response::builder()
        .header("content-type", "application/json")
        .body(Body::from(yes(&method).to_string()))
        .expect("one")
}

fn yes(method: &str) -> Value {
    let user = json!({"id": USER, "name": "ana", "profile": {"email": "ana@example.com"},
        "enterprise_user": {"teams": [TEAM]}});
    let session: Value = serde_json::from_str(SESSION).expect("a number");
    let row = json!({"user_id": USER, "session_id": session, "team_id": TEAM, "created": {}});
    match method {
        "users.info" | "users.lookupByEmail" => json!({"ok": true, "user": user}),
        "admin.users.session.list" => json!({"ok": true, "active_sessions": [row]}),
        "auth.test" => json!({"ok": true, "user": "grace", "user_id": "W1", "is_enterprise_install": true}),
        _ => json!({"ok": true}),
    }
}

fn pairs(text: &str) -> Vec<(String, String)> {
    let url = reqwest::Url::parse(&format!("http://x/?{text}")).expect("a form");
    url.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
}
