//! What every request passes before anything is done for it.

use axum::extract::{FromRequestParts, MatchedPath, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::AdminState;
use super::fault::Fault;
use super::settings::Role;
use crate::audit::Actor;
use crate::tls::TlsPeer;

/// Who asks. Only [`authenticate`] makes one, so a handler that takes one cannot be reached without a token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    actor: Actor,
    role: Role,
}

impl Caller {
    /// As the audit record calls them.
    pub(super) fn actor(&self) -> Actor {
        self.actor.clone()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Fault;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Fault> {
        parts.extensions.get().cloned().ok_or(Fault::Unauthenticated)
    }
}

/// Gives the request an id, and writes one line about it when it is over: no query and no body, for they name people.
pub(super) async fn observe(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let began = state.clock.steady();
    let id = uuid::Uuid::now_v7().to_string();
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().map_or("", MatchedPath::as_str).to_owned();
    let span = tracing::info_span!("admin", request.id = %id);
    let mut response = next.run(request).instrument(span.clone()).await;
    let duration_ms = state.clock.steady().duration_since(began).as_millis();
    span.in_scope(|| log(&method, &route, &response, duration_ms));
    seal(response.headers_mut(), &id);
    response
}

fn log(method: &Method, route: &str, response: &Response, duration_ms: i128) {
    let status = response.status().as_u16();
    let actor = response.extensions().get::<Caller>().map(|caller| caller.actor.as_str());
    if matches!(response.status(), StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        tracing::warn!(%method, route, status, actor, duration_ms, "an operator's request was refused");
    } else if is_look(method) {
        tracing::debug!(%method, route, status, actor, duration_ms, "an operator looked");
    } else {
        tracing::info!(%method, route, status, actor, duration_ms, "an operator asked for a change");
    }
}

fn is_look(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

/// Answers name people: nobody keeps them, and no browser takes them for a page.
fn seal(headers: &mut HeaderMap, id: &str) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if let Ok(id) = HeaderValue::from_str(id) {
        headers.insert("x-request-id", id);
    }
}

/// Refuses what is addressed to someone else.
pub(super) async fn check_host(State(state): State<AdminState>, request: Request, next: Next) -> Response {
    let scheme = if request.extensions().get::<TlsPeer>().is_some() { "https" } else { "http" };
    if state.hosts.admit(scheme, request.uri(), request.headers()) {
        next.run(request).await
    } else {
        Fault::ForeignHost.into_response()
    }
}

/// Refuses whoever has no token.
pub(super) async fn authenticate(State(state): State<AdminState>, mut request: Request, next: Next) -> Response {
    let holder = bearer(request.headers()).and_then(|token| state.tokens.holder(token));
    let Some((name, role)) = holder else { return Fault::Unauthenticated.into_response() };
    let caller = Caller { actor: Actor::operator(name), role };
    request.extensions_mut().insert(caller.clone());
    let mut response = next.run(request).await;
    // For the log line.
    response.extensions_mut().insert(caller);
    response
}

/// The token of `Authorization: Bearer`, whose scheme is case-insensitive (RFC 9110 section 11.1).
fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let (scheme, token) = value.as_bytes().split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii())
}

/// Refuses whoever may not do this.
pub(super) async fn authorize(needed: Role, caller: Caller, request: Request, next: Next) -> Response {
    if caller.role >= needed { next.run(request).await } else { Fault::Forbidden.into_response() }
}
