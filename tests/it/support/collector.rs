//! A collector of OpenTelemetry traces on loopback: takes OTLP over HTTP and reads it by the published messages.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// A span as the collector has it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) name: String,
    pub(crate) trace: String,
    pub(crate) id: String,
    /// Empty at the beginning of a trace.
    pub(crate) parent: String,
    pub(crate) kind: i32,
    pub(crate) state: String,
    pub(crate) flags: u32,
    pub(crate) links: Vec<String>,
    pub(crate) said: BTreeMap<String, String>,
    pub(crate) is_error: bool,
    pub(crate) took: std::time::Duration,
}

#[derive(Default)]
struct Received {
    bodies: Mutex<Vec<(HeaderMap, Bytes)>>,
    /// What it answers; 0: 200.
    status: AtomicU16,
}

/// Listens until it is dropped with its runtime.
pub(crate) struct Collector {
    pub(crate) address: SocketAddr,
    received: Arc<Received>,
}

impl Collector {
    pub(crate) async fn start() -> Self {
        let received = Arc::new(Received::default());
        let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&received));
        Self { address: serve(router).await, received }
    }

    /// What a config says to send traces here.
    pub(crate) fn config(&self, more: &str) -> String {
        format!("telemetry: {{otlp: {{endpoint: \"http://{}\"{more}}}}}\n", self.address)
    }

    /// Answers so from now on.
    pub(crate) fn answer(&self, status: u16) {
        self.received.status.store(status, Ordering::Relaxed);
    }

    /// What came, as it came, also what was answered with an error.
    pub(crate) fn received(&self) -> Vec<(HeaderMap, Bytes)> {
        self.received.bodies.lock().expect("bodies").clone()
    }

    fn requests(&self) -> Vec<ExportTraceServiceRequest> {
        self.received().into_iter().map(|(_, body)| ExportTraceServiceRequest::decode(body).expect("OTLP")).collect()
    }

    /// Of whom the spans tell, one for each request.
    pub(crate) fn resources(&self) -> Vec<BTreeMap<String, String>> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        resources.map(|spans| said(spans.resource.expect("a resource").attributes)).collect()
    }

    /// Every span, in the order in which they ended.
    pub(crate) fn spans(&self) -> Vec<Told> {
        let resources = self.requests().into_iter().flat_map(|request| request.resource_spans);
        resources.flat_map(|spans| spans.scope_spans).flat_map(|scope| scope.spans).map(Told::from).collect()
    }

    /// The only span of this name.
    #[track_caller]
    pub(crate) fn only(&self, name: &str) -> Told {
        let spans = self.spans();
        let found: Vec<_> = spans.iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "{name}: {spans:#?}");
        found[0].clone()
    }
}

/// Serves on a port of its own until the runtime ends.
#[expect(clippy::disallowed_methods, reason = "nothing waits for a stand-in")]
pub(crate) async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::task::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn take(State(received): State<Arc<Received>>, headers: HeaderMap, body: Bytes) -> (StatusCode, Vec<u8>) {
    received.bodies.lock().expect("bodies").push((headers, body));
    match received.status.load(Ordering::Relaxed) {
        0 => (StatusCode::OK, ExportTraceServiceResponse::default().encode_to_vec()),
        status => (StatusCode::from_u16(status).expect("a status"), Vec::new()),
    }
}

impl From<Span> for Told {
    fn from(span: Span) -> Self {
        Self {
            trace: hex::encode(span.trace_id),
            id: hex::encode(span.span_id),
            parent: hex::encode(span.parent_span_id),
            name: span.name,
            kind: span.kind,
            state: span.trace_state,
            flags: span.flags,
            links: span.links.into_iter().map(|link| hex::encode(link.span_id)).collect(),
            said: said(span.attributes),
            is_error: span.status.is_some_and(|status| status.code == 2),
            took: std::time::Duration::from_nanos(span.end_time_unix_nano - span.start_time_unix_nano),
        }
    }
}

fn said(attributes: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Value| match value {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        other => panic!("{other:?}"),
    };
    let pair = |pair: KeyValue| (pair.key, text(pair.value.expect("a value").value.expect("a value")));
    attributes.into_iter().map(pair).collect()
}
