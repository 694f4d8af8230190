//! An answer of a stand-in before it goes out, with what the ledger wants to know.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use hyper::Response;
use serde_json::Value;

use super::ledger::Effect;

/// Status, headers, body, and what the ledger wants to know.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Body,
    pub(super) error_code: Option<String>,
    pub(super) effect: Effect,
    /// Whether the stand-in adds its usual hints, such as `Date` and the rate limit.
    pub(super) hints: bool,
}

impl Answer {
    pub(super) fn empty(status: u16) -> Self {
        let (headers, body) = (HeaderMap::new(), Body::empty());
        Self { status, headers, body, error_code: None, effect: Effect::None, hints: true }
    }

    pub(super) fn json(status: u16, body: &Value) -> Self {
        Self::with_body(status, "application/json", Body::from(body.to_string()))
    }

    pub(super) fn page(status: u16, title: &str) -> Self {
        let page = format!("<!doctype html><html><head><title>{title}</title></head><body>{title}</body></html>");
        Self::with_body(status, "text/html;charset=utf-8", Body::from(page))
    }

    pub(super) fn with_body(status: u16, content_type: &str, body: Body) -> Self {
        Self { body, ..Self::empty(status) }.header("content-type", content_type)
    }

    /// 204 of a call that changed something.
    pub(super) fn done(effect: Effect) -> Self {
        Self { effect, ..Self::empty(204) }
    }

    pub(super) fn effect(self, effect: Effect) -> Self {
        Self { effect, ..self }
    }

    pub(super) fn coded(self, code: &str) -> Self {
        Self { error_code: Some(code.to_owned()), ..self }
    }

    /// Adds a header line; one that HTTP cannot carry is left out.
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.append(HeaderName::from_static(name), value);
        }
        self
    }

    pub(super) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(self.body);
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        *response.headers_mut() = self.headers;
        response
    }
}
