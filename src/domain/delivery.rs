//! What a transport hands in, before anyone has looked at it.

use bytes::Bytes;
use http::HeaderMap;
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
}
