//! Bytes as a delivery: lines of headers, an empty line, the body.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use jiff::Timestamp;
use sever::domain::{Delivery, HttpRequest, SourceName};

/// When every delivery is judged: the hour of the recorded signatures.
pub fn now() -> Timestamp {
    Timestamp::from_second(1_790_000_000).expect("a time")
}

/// The source of every delivery.
pub fn source() -> SourceName {
    "edr".parse().expect("a name")
}

/// Where deliveries go.
pub fn url() -> Uri {
    Uri::from_static("https://hooks.example.com/v1/alerts/edr")
}

/// A delivery as it would come by HTTP. Lines that are no header are left out, as a server would refuse them.
pub fn delivery(input: &[u8]) -> Delivery {
    let (head, body) = split(input, b"\n\n");
    with_headers(headers(head), Bytes::copy_from_slice(body))
}

/// The same with headers of one's own.
pub fn with_headers(headers: HeaderMap, body: Bytes) -> Delivery {
    let request = HttpRequest { method: Method::POST, url: Some(url()) };
    Delivery::new(source(), headers, body, now()).requested(request)
}

/// Headers from lines `name: value`.
pub fn headers(lines: &[u8]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let (name, value) = split(line, b": ");
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            // There is a most to what a map of headers holds, and a server stops long before.
            let _ = headers.try_append(name, value);
        }
    }
    headers
}

/// What stands before and behind the first `mark`.
pub fn split<'i>(input: &'i [u8], mark: &[u8]) -> (&'i [u8], &'i [u8]) {
    match input.windows(mark.len()).position(|window| window == mark) {
        Some(at) => (&input[..at], &input[at + mark.len()..]),
        None => (input, &[]),
    }
}
