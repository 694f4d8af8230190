//! The messages of OTLP 1.x for traces, as far as we fill them. Numbers and names are those of
//! `opentelemetry/proto/trace/v1/trace.proto` and `collector/trace/v1/trace_service.proto`.

use jiff::Timestamp;
use prost::{Message, Oneof};

use super::recording::Recording;
use super::{Attributes, Kind};
use crate::domain::TraceContext;

/// `Span.flags` beside those of W3C: whether it is known that the parent is of another process, and that it is.
const HAS_IS_REMOTE: u32 = 0x100;
const IS_REMOTE: u32 = 0x200;

/// `STATUS_CODE_ERROR`
const ERROR: i32 = 2;

#[derive(Clone, PartialEq, Message)]
pub(super) struct Request {
    #[prost(message, repeated, tag = "1")]
    pub(super) resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    pub(super) scope_spans: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Resource {
    #[prost(message, repeated, tag = "1")]
    pub(super) attributes: Vec<KeyValue>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    pub(super) scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    pub(super) spans: Vec<Span>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Scope {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) version: String,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time_unix_nano: u64,
    #[prost(fixed64, tag = "8")]
    end_time_unix_nano: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<KeyValue>,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "3")]
    code: i32,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct KeyValue {
    #[prost(string, tag = "1")]
    key: String,
    #[prost(message, optional, tag = "2")]
    value: Option<AnyValue>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(oneof = "Value", tags = "1, 3")]
    value: Option<Value>,
}

#[derive(Clone, PartialEq, Oneof)]
enum Value {
    #[prost(string, tag = "1")]
    Text(String),
    #[prost(int64, tag = "3")]
    Number(i64),
}

/// What a collector answers with 200.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Response {
    #[prost(message, optional, tag = "1")]
    pub(super) partial_success: Option<PartialSuccess>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct PartialSuccess {
    #[prost(int64, tag = "1")]
    pub(super) rejected_spans: i64,
}

impl KeyValue {
    pub(super) fn text(key: &str, value: impl Into<String>) -> Self {
        Self::new(key, Value::Text(value.into()))
    }

    fn new(key: &str, value: Value) -> Self {
        Self { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
    }
}

impl From<&Recording> for Span {
    fn from(recording: &Recording) -> Self {
        let (context, parent) = (recording.context(), recording.parent.as_ref());
        let is_remote = if recording.is_remote && parent.is_some() { IS_REMOTE } else { 0 };
        Self {
            trace_id: context.trace_id().to_vec(),
            span_id: context.span_id().to_vec(),
            trace_state: context.state().unwrap_or_default().to_owned(),
            parent_span_id: parent.map(|parent| parent.span_id().to_vec()).unwrap_or_default(),
            name: recording.name.clone(),
            kind: kind(recording.kind),
            start_time_unix_nano: nanoseconds(recording.began),
            end_time_unix_nano: nanoseconds(recording.ended),
            attributes: attributes(&recording.said),
            links: recording.links.iter().map(Link::from).collect(),
            status: recording.said.is_error.then_some(Status { code: ERROR }),
            flags: u32::from(context.flags()) | HAS_IS_REMOTE | is_remote,
        }
    }
}

impl From<&TraceContext> for Link {
    fn from(trace: &TraceContext) -> Self {
        Self {
            trace_id: trace.trace_id().to_vec(),
            span_id: trace.span_id().to_vec(),
            trace_state: trace.state().unwrap_or_default().to_owned(),
            flags: u32::from(trace.flags()) | HAS_IS_REMOTE | IS_REMOTE,
        }
    }
}

fn kind(kind: Kind) -> i32 {
    match kind {
        Kind::Internal => 1,
        Kind::Server => 2,
        Kind::Client => 3,
        Kind::Consumer => 5,
    }
}

fn nanoseconds(time: Timestamp) -> u64 {
    u64::try_from(time.as_nanosecond()).unwrap_or(0)
}

fn attributes(said: &Attributes) -> Vec<KeyValue> {
    let texts = said.texts.iter().map(|(key, value)| KeyValue::text(key, value.as_ref()));
    let numbers = said.numbers.iter().map(|(key, value)| KeyValue::new(key, Value::Number(*value)));
    texts.chain(numbers).collect()
}
