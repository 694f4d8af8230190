//! The body of a request: nothing, or a small JSON object without unknown fields.

use std::time::Duration;

use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::de::DeserializeOwned;

use super::fault::Fault;

/// Operators send a few words.
const LARGEST_BODY: usize = 64 * 1024;

/// The longest that a body may take: no request holds a connection for ever.
const BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// A body; nothing at all stands for every default.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned + Default> FromRequest<S> for Body<T> {
    type Rejection = Fault;

    async fn from_request(request: Request, _: &S) -> Result<Self, Fault> {
        let (parts, body) = request.into_parts();
        let bytes = read(body).await?;
        if bytes.is_empty() {
            return Ok(Self(T::default()));
        }
        // A page can make a browser send a form without asking; JSON it cannot.
        if !is_json(&parts.headers) {
            return Err(Fault::UnsupportedType);
        }
        // serde would take a list for an object whose fields it knows the order of.
        if !bytes.trim_ascii_start().starts_with(b"{") {
            return Err(Fault::Malformed("the body is not a JSON object; send one, or nothing at all".to_owned()));
        }
        let mut reader = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| malformed(&error))?;
        reader.end().map_err(|error| Fault::Malformed(format!("the body goes on after its end: {error}")))?;
        Ok(Self(value))
    }
}

async fn read(body: axum::body::Body) -> Result<Bytes, Fault> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, LARGEST_BODY).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(Fault::TooLarge),
        Ok(Err(_)) => Err(Fault::Malformed("the body ended early".to_owned())),
        Err(_) => Err(Fault::TooSlow),
    }
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let essence = kind.split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

fn malformed(error: &serde_path_to_error::Error<serde_json::Error>) -> Fault {
    match error.path().to_string().as_str() {
        "." => Fault::Malformed(format!("the body: {}", error.inner())),
        path => Fault::Malformed(format!("`{path}` in the body: {}", error.inner())),
    }
}
