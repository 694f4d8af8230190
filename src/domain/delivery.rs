//! What a transport hands in, before anyone has looked at it.

use bytes::Bytes;
use http::{HeaderMap, Method, Uri};
use jiff::Timestamp;

use super::SourceName;

/// Bytes and headers as they came, from a webhook or a queue.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// The source it claims to be from: the path of the webhook or the queue.
    pub source: SourceName,
    /// Its headers. A name may occur several times.
    pub headers: HeaderMap,
    /// The exact bytes received.
    pub body: Bytes,
    /// When it was received, by the wall clock.
    pub received_at: Timestamp,
    /// How it was asked for over HTTP; `None` from a queue. Some schemes sign it.
    pub request: Option<HttpRequest>,
}

impl Delivery {
    /// A delivery that did not come over HTTP, or by a scheme that does not ask how.
    #[must_use]
    pub fn new(source: SourceName, headers: HeaderMap, body: Bytes, received_at: Timestamp) -> Self {
        Self { source, headers, body, received_at, request: None }
    }

    /// The same, asked for like this.
    #[must_use]
    pub fn requested(self, request: HttpRequest) -> Self {
        Self { request: Some(request), ..self }
    }
}

/// Method and address, as the sender wrote them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRequest {
    /// The method.
    pub method: Method,
    /// The whole address, as the sender knows us; `None` where nothing says which host was meant.
    pub url: Option<Uri>,
}
