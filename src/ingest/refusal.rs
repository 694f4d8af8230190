//! Deliveries that were not taken: what the sender is told, and what the operator can read.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::SourceName;
use crate::verify::Reason;

/// Refusals kept for each source.
const KEPT: usize = 100;

/// Why a delivery was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    /// Not from who it says.
    Forged(Reason),
    /// Authentic, and too old or too new.
    Stale(Reason),
    /// Nobody can tell now whether it is authentic: the sender should come back.
    Undecided(Reason),
    /// There is no such source.
    UnknownSource,
    /// Not by this method.
    Method {
        /// The methods taken, as `Allow` lists them.
        allow: &'static str,
    },
    /// The body is larger than the source's `max_body`.
    TooLarge,
    /// The body took too long.
    TooSlow,
    /// Not JSON.
    UnsupportedType,
    /// The request cannot be read.
    Malformed,
    /// Too many.
    Limited {
        /// How long to wait.
        retry_after: Duration,
    },
    /// Our trouble: the sender should come back.
    Unavailable,
}

/// A problem as RFC 9457 has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Problem {
    /// Stable: `urn:sever:problem:` and a word.
    #[serde(rename = "type")]
    pub kind: String,
    /// The problem in a few words.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What happened here and how to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How many they are, where another number was expected.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

impl Problem {
    /// A problem without detail.
    #[must_use]
    pub fn new(status: StatusCode, word: &str, title: &str) -> Self {
        Self {
            kind: format!("urn:sever:problem:{word}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            count: None,
        }
    }

    /// With what happened here.
    #[must_use]
    pub fn detail(self, detail: impl Into<String>) -> Self {
        Self { detail: Some(detail.into()), ..self }
    }

    /// With how many they are.
    #[must_use]
    pub fn count(self, count: u64) -> Self {
        Self { count: Some(count), ..self }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, Json(self)).into_response();
        let kind = HeaderValue::from_static("application/problem+json");
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
        response
    }
}

impl Refusal {
    /// What the sender is told. Bad signatures of every kind, and stale ones, look the same.
    fn problem(&self) -> Problem {
        let (status, word, title) = match self {
            Self::Forged(_) | Self::Stale(_) => {
                (StatusCode::UNAUTHORIZED, "not-authenticated", "The delivery could not be authenticated")
            }
            Self::UnknownSource => (StatusCode::NOT_FOUND, "unknown-source", "There is no such source"),
            Self::Method { .. } => {
                (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Deliveries are sent by POST")
            }
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is larger than this source takes"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "The body took too long to arrive"),
            Self::UnsupportedType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "This source takes JSON"),
            Self::Malformed => (StatusCode::BAD_REQUEST, "malformed", "The request could not be read"),
            Self::Limited { .. } => (StatusCode::TOO_MANY_REQUESTS, "too-many", "Too many deliveries; try again later"),
            Self::Undecided(_) | Self::Unavailable => {
                (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now; try again later")
            }
        };
        Problem::new(status, word, title)
    }

    /// The status of the answer.
    pub(super) fn status(&self) -> StatusCode {
        StatusCode::from_u16(self.problem().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The word for metrics.
    #[must_use]
    pub fn result(&self) -> &'static str {
        match self {
            Self::Limited { .. } => "limited",
            Self::Undecided(_) | Self::Unavailable => "unavailable",
            Self::Forged(_)
            | Self::Stale(_)
            | Self::UnknownSource
            | Self::Method { .. }
            | Self::TooLarge
            | Self::TooSlow
            | Self::UnsupportedType
            | Self::Malformed => "refused",
        }
    }

    /// The word for operators.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Forged(reason) | Self::Stale(reason) | Self::Undecided(reason) => reason.as_str(),
            Self::UnknownSource => "unknown_source",
            Self::Method { .. } => "method_not_allowed",
            Self::TooLarge => "too_large",
            Self::TooSlow => "too_slow",
            Self::UnsupportedType => "unsupported_type",
            Self::Malformed => "malformed_request",
            Self::Limited { .. } => "too_many",
            Self::Unavailable => "unavailable",
        }
    }

    fn retry_after(&self) -> Option<u64> {
        match self {
            Self::Limited { retry_after } => Some(retry_after.as_secs() + 1),
            Self::Undecided(_) | Self::Unavailable => Some(5),
            Self::Forged(_)
            | Self::Stale(_)
            | Self::UnknownSource
            | Self::Method { .. }
            | Self::TooLarge
            | Self::TooSlow
            | Self::UnsupportedType
            | Self::Malformed => None,
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = self.problem().into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after() {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if let Self::Method { allow } = self {
            headers.insert(header::ALLOW, HeaderValue::from_static(allow));
        }
        // The rest of the body is not wanted.
        if matches!(self, Self::TooLarge | Self::TooSlow) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

/// A refusal as operators see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RefusalView {
    /// When.
    #[schemars(with = "String")]
    pub at: Timestamp,
    /// Which check failed.
    pub reason: String,
    /// The address it came from.
    pub peer: Option<String>,
    /// The size of its body.
    pub size_bytes: u64,
}

/// The last refusals of each source, in memory.
#[derive(Debug, Default)]
pub struct Refusals(Mutex<HashMap<SourceName, VecDeque<RefusalView>>>);

impl Refusals {
    /// Remembers one. The oldest goes.
    pub fn push(&self, source: &SourceName, refusal: RefusalView) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let kept = all.entry(source.clone()).or_default();
        if kept.len() == KEPT {
            kept.pop_front();
        }
        kept.push_back(refusal);
    }

    /// Newest first.
    #[must_use]
    pub fn of(&self, source: &SourceName) -> Vec<RefusalView> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.get(source).map(|kept| kept.iter().rev().cloned().collect()).unwrap_or_default()
    }
}
