//! The control API: sets faults, adds people and sessions and shows the ledger, for those who use a sandbox from
//! outside the process. It has its own listener, so that the providers' paths stay strict.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{Router, get, post};
use bytes::Bytes;
use hyper::Request;
use serde::Deserialize;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::faults::{Fault, Injection};
use super::okta::{OktaSandbox, Operation, Person, Status};
use super::server::{Lost, Respond};

/// Serves `/_sandbox/...`.
#[derive(Clone)]
pub(super) struct Control(Router);

impl Control {
    pub(super) fn new(okta: OktaSandbox) -> Self {
        let router = Router::new()
            .route("/_sandbox/faults", post(add_fault).delete(clear_faults))
            .route("/_sandbox/ledger", get(show_ledger).delete(clear_ledger))
            .route("/_sandbox/people", get(list_people).post(add_person))
            .route("/_sandbox/sessions", post(add_sessions));
        Self(router.with_state(okta))
    }
}

impl Respond for Control {
    async fn respond(self, request: Request<Bytes>) -> Result<Response, Lost> {
        self.0.oneshot(request.map(Body::from)).await.map_err(|never| match never {})
    }
}

/// `times` defaults to 1 and is ignored with `until_cleared`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaultRequest {
    fault: Fault,
    on: Option<Operation>,
    times: Option<u32>,
    #[serde(default)]
    until_cleared: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PersonRequest {
    login: String,
    id: Option<String>,
    email: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    status: Option<Status>,
}

/// `user` is an id, a login or an e-mail address.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SessionsRequest {
    user: String,
    count: Option<usize>,
}

async fn add_fault(State(okta): State<OktaSandbox>, Json(request): Json<FaultRequest>) -> StatusCode {
    let mut injection = Injection::once(request.fault).times(request.times.unwrap_or(1));
    if let Some(operation) = request.on {
        injection = injection.on(operation);
    }
    okta.faults().inject(if request.until_cleared { injection.until_cleared() } else { injection });
    StatusCode::NO_CONTENT
}

async fn clear_faults(State(okta): State<OktaSandbox>) -> StatusCode {
    okta.faults().clear();
    StatusCode::NO_CONTENT
}

async fn show_ledger(State(okta): State<OktaSandbox>) -> Response {
    Json(okta.ledger()).into_response()
}

async fn clear_ledger(State(okta): State<OktaSandbox>) -> StatusCode {
    okta.clear_ledger();
    StatusCode::NO_CONTENT
}

async fn list_people(State(okta): State<OktaSandbox>) -> Json<Value> {
    Json(okta.people().iter().map(|person| described(&okta, person)).collect())
}

async fn add_person(State(okta): State<OktaSandbox>, Json(request): Json<PersonRequest>) -> (StatusCode, Json<Value>) {
    let mut person = Person::new(&request.login);
    person.id = request.id.unwrap_or(person.id);
    person.email = request.email.unwrap_or(person.email);
    person.first_name = request.first_name.unwrap_or(person.first_name);
    person.last_name = request.last_name.unwrap_or(person.last_name);
    person.status = request.status.unwrap_or(person.status);
    let answer = described(&okta, &person);
    okta.add_person(person);
    (StatusCode::CREATED, Json(answer))
}

async fn add_sessions(State(okta): State<OktaSandbox>, Json(request): Json<SessionsRequest>) -> Response {
    if okta.person(&request.user).is_none() {
        return (StatusCode::NOT_FOUND, Json(json!({"error": "nobody has this id, login or e-mail address"})))
            .into_response();
    }
    let ids: Vec<String> = (0..request.count.unwrap_or(1)).map(|_| okta.sign_in(&request.user)).collect();
    (StatusCode::CREATED, Json(json!({"ids": ids}))).into_response()
}

fn described(okta: &OktaSandbox, person: &Person) -> Value {
    json!({
        "id": person.id, "login": person.login, "email": person.email, "status": person.status,
        "first_name": person.first_name, "last_name": person.last_name,
        "sessions": okta.sessions_of(&person.id), "tokens": okta.tokens_of(&person.id),
        "remembered_devices": okta.remembered_devices_of(&person.id),
    })
}
