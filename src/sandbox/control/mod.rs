//! The control API: sets faults, adds people and sessions and shows the ledger, for those who use a sandbox from
//! outside the process. It has its own listener, so that the providers' paths stay strict.
//!
//! `/_sandbox/{provider}/faults|ledger|people|sessions`, with the providers' names as in the demo's config; without a
//! name it is Okta that is meant.

mod stand_ins;

use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get, post};
use bytes::Bytes;
use hyper::Request;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::faults::{Fault, Faults, Injection};
use super::ledger::Call;
use super::server::{Lost, Respond};
use super::{HuaweiSandbox, MattermostSandbox, OktaSandbox, SlackSandbox, TtsSandbox};

/// A stand-in that can be set up from outside.
pub(super) trait Controlled: Clone + Send + Sync + 'static {
    /// Its operations, by their own names.
    type Operation: DeserializeOwned + Copy + PartialEq + Send;

    /// The fault switches.
    fn switches(&self) -> &Faults<Self::Operation>;

    /// Every call so far.
    fn calls(&self) -> Vec<Call>;

    /// Forgets the calls so far.
    fn forget_calls(&self);

    /// Everybody, with what is left of them.
    fn everybody(&self) -> Vec<Value>;

    /// Adds somebody, and tells what became of the names.
    fn move_in(&self, newcomer: Newcomer) -> Value;

    /// Opens a session; `None`: nobody has this name.
    fn open_session(&self, name: &str) -> Option<String>;
}

/// Somebody new. `login` is what the provider calls them: an e-mail address gives the rest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Newcomer {
    login: String,
    id: Option<String>,
    email: Option<String>,
}

/// Serves `/_sandbox/...`.
#[derive(Clone)]
pub(super) struct Control(Router);

impl Control {
    pub(super) fn new(
        okta: OktaSandbox,
        slack: SlackSandbox,
        mattermost: MattermostSandbox,
        huawei: HuaweiSandbox,
        things: TtsSandbox,
    ) -> Self {
        let router = Router::new()
            .nest("/_sandbox", routes(okta.clone()))
            .nest("/_sandbox/okta", routes(okta))
            .nest("/_sandbox/slack", routes(slack))
            .nest("/_sandbox/chat", routes(mattermost))
            .nest("/_sandbox/cloud", routes(huawei))
            .nest("/_sandbox/lorawan", routes(things));
        Self(router)
    }
}

impl Respond for Control {
    async fn respond(self, request: Request<Bytes>) -> Result<Response, Lost> {
        self.0.oneshot(request.map(Body::from)).await.map_err(|never| match never {})
    }
}

fn routes<C: Controlled>(stand_in: C) -> Router {
    Router::new()
        .route("/faults", post(add_fault::<C>).delete(clear_faults::<C>))
        .route("/ledger", get(show_ledger::<C>).delete(clear_ledger::<C>))
        .route("/people", get(list_people::<C>).post(add_person::<C>))
        .route("/sessions", post(add_sessions::<C>))
        .with_state(Arc::new(stand_in))
}

/// `times` defaults to 1 and is ignored with `until_cleared`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, bound = "O: DeserializeOwned")]
struct FaultRequest<O> {
    fault: Fault,
    on: Option<O>,
    times: Option<u32>,
    #[serde(default)]
    until_cleared: bool,
}

/// `user` is any name that the provider knows people by.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionsRequest {
    user: String,
    count: Option<usize>,
}

async fn add_fault<C: Controlled>(
    State(stand_in): State<Arc<C>>,
    Json(request): Json<FaultRequest<C::Operation>>,
) -> StatusCode {
    let mut injection = Injection::once(request.fault).times(request.times.unwrap_or(1));
    if let Some(operation) = request.on {
        injection = injection.on(operation);
    }
    stand_in.switches().inject(if request.until_cleared { injection.until_cleared() } else { injection });
    StatusCode::NO_CONTENT
}

async fn clear_faults<C: Controlled>(State(stand_in): State<Arc<C>>) -> StatusCode {
    stand_in.switches().clear();
    StatusCode::NO_CONTENT
}

async fn show_ledger<C: Controlled>(State(stand_in): State<Arc<C>>) -> Response {
    Json(stand_in.calls()).into_response()
}

async fn clear_ledger<C: Controlled>(State(stand_in): State<Arc<C>>) -> StatusCode {
    stand_in.forget_calls();
    StatusCode::NO_CONTENT
}

async fn list_people<C: Controlled>(State(stand_in): State<Arc<C>>) -> Json<Value> {
    Json(stand_in.everybody().into())
}

async fn add_person<C: Controlled>(
    State(stand_in): State<Arc<C>>,
    Json(newcomer): Json<Newcomer>,
) -> (StatusCode, Json<Value>) {
    (StatusCode::CREATED, Json(stand_in.move_in(newcomer)))
}

async fn add_sessions<C: Controlled>(State(stand_in): State<Arc<C>>, Json(request): Json<SessionsRequest>) -> Response {
    let opened = (0..request.count.unwrap_or(1)).map(|_| stand_in.open_session(&request.user));
    match opened.collect::<Option<Vec<String>>>() {
        Some(ids) => (StatusCode::CREATED, Json(json!({"ids": ids}))).into_response(),
        None => (StatusCode::NOT_FOUND, Json(json!({"error": "nobody has this name here"}))).into_response(),
    }
}
