//! Requests that were not done: what the operator is told.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use crate::ingest::Problem;
use crate::store::StoreError;

/// Seconds after which a store that was not available is worth another try.
const RETRY_AFTER_SECONDS: u64 = 5;

/// Why a request was not done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// A parameter or the body is wrong; says which and how to mend it.
    Malformed(String),
    /// No token, or none that we know.
    Unauthenticated,
    /// The token's role does not suffice.
    Forbidden,
    /// `Host` or `Origin` names someone else.
    ForeignHost,
    /// There is no such thing; says what.
    NotFound(String),
    /// Another method.
    Method,
    /// The body took too long.
    TooSlow,
    /// What it is about does not allow it now; says why.
    Conflict(String),
    /// A filter picks so many, and not as many as expected.
    Miscounted(u64),
    /// The body is too large.
    TooLarge,
    /// The body is not JSON.
    UnsupportedType,
    /// The provider's trouble, or ours with it; says which.
    Provider(String),
    /// Our trouble.
    Unavailable,
}

impl Fault {
    fn words(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, "malformed", "The request could not be read"),
            Self::Unauthenticated => (StatusCode::UNAUTHORIZED, "not-authenticated", "A token is needed"),
            Self::Forbidden => (StatusCode::FORBIDDEN, "forbidden", "This token may not do that"),
            Self::ForeignHost => (StatusCode::FORBIDDEN, "foreign-host", "The request is addressed to someone else"),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "There is no such thing"),
            Self::Method => (StatusCode::METHOD_NOT_ALLOWED, "method-not-allowed", "Another method is needed"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "The body took too long to arrive"),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "This cannot be done now"),
            Self::Miscounted(_) => (StatusCode::CONFLICT, "count-mismatch", "They are not as many as expected"),
            Self::TooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "The body is too large"),
            Self::UnsupportedType => (StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported-type", "The body is not JSON"),
            Self::Provider(_) => (StatusCode::BAD_GATEWAY, "provider", "The provider did not do what was asked"),
            Self::Unavailable => (StatusCode::SERVICE_UNAVAILABLE, "unavailable", "Not now; try again later"),
        }
    }

    fn detail(&self) -> Option<&str> {
        match self {
            Self::Malformed(detail) | Self::NotFound(detail) | Self::Conflict(detail) | Self::Provider(detail) => {
                Some(detail)
            }
            Self::Unauthenticated => {
                Some("send `Authorization: Bearer TOKEN` with a token of `admin.tokens` in the config")
            }
            Self::Forbidden => Some("it takes a token whose `role` is `operator`"),
            Self::ForeignHost => {
                Some("`Host`, and `Origin` where there is one, must name the listen address or one of `admin.hosts`")
            }
            Self::Miscounted(_) => {
                Some("nothing was changed; look at what `filter` picks, and send its `count` as `expect_count`")
            }
            Self::TooLarge => Some("at most 64 KiB are taken"),
            Self::UnsupportedType => Some("send `Content-Type: application/json`"),
            Self::Method | Self::TooSlow | Self::Unavailable => None,
        }
    }
}

impl IntoResponse for Fault {
    fn into_response(self) -> Response {
        let (status, word, title) = self.words();
        let problem = Problem::new(status, word, title);
        let problem = match self.detail() {
            Some(detail) => problem.detail(detail),
            None => problem,
        };
        let problem = match self {
            Self::Miscounted(found) => problem.count(found),
            _ => problem,
        };
        let mut response = problem.into_response();
        let headers = response.headers_mut();
        match self {
            Self::Unauthenticated => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            Self::Unavailable => {
                headers.insert(header::RETRY_AFTER, RETRY_AFTER_SECONDS.into());
            }
            // The rest of the body is not wanted.
            Self::TooLarge | Self::TooSlow => {
                headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Self::Malformed(_)
            | Self::Forbidden
            | Self::ForeignHost
            | Self::NotFound(_)
            | Self::Method
            | Self::Conflict(_)
            | Self::Miscounted(_)
            | Self::Provider(_)
            | Self::UnsupportedType => {}
        }
        response
    }
}

impl From<StoreError> for Fault {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(reason) => Self::Conflict(reason),
            StoreError::Miscounted(found) => Self::Miscounted(found),
            StoreError::NotFound(what) => Self::NotFound(format!("there is no such {what}")),
            StoreError::QuarantineFull(_) | StoreError::LeaseLost => Self::Conflict(error.to_string()),
            StoreError::Unavailable(_) => {
                // The reason may hold paths and more of our insides.
                tracing::error!(error = %error, "the store did not answer an operator");
                Self::Unavailable
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;

    #[tokio::test]
    async fn our_own_trouble_is_told_without_our_insides() {
        let response = Fault::from(StoreError::Unavailable("disk I/O error in /var/lib/sever".to_owned()));
        let (parts, body) = response.into_response().into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        assert_eq!((parts.status, &parts.headers["retry-after"]), (StatusCode::SERVICE_UNAVAILABLE, &5.into()));
        assert_eq!(parts.headers["content-type"], "application/problem+json");
        assert!(!String::from_utf8_lossy(&body).contains("/var"), "{body:?}");
    }
}
