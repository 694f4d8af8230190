//! What the trace of a delivery tells. It begins once the delivery has proved to be authentic: what strangers send has no
//! place in anybody's trace.

use super::intake::{Intake, Taken, result_word};
use super::refusal::Refusal;
use super::source::SourceIntake;
use super::webhook;
use crate::domain::TraceContext;
use crate::store::Receipt;
use crate::telemetry::trace::{Kind, Span};
use crate::verify::Verified;

/// Where requests come in, with the source left open.
const ROUTE: &str = "/v1/alerts/{source}";

impl Intake {
    /// An authentic request.
    pub(super) fn request_span(&self, source: &SourceIntake, verified: &Verified) -> Span {
        let parent = TraceContext::from_headers(verified.headers());
        let name = || format!("POST {ROUTE}");
        let mut span = self.tracer.arrival(Kind::Server, name, parent, verified.received_at());
        span.record(|said| {
            said.text("http.request.method", "POST");
            said.text("http.route", ROUTE);
            said.text("source.name", source.name.to_string());
        });
        span
    }

    /// An authentic message.
    pub(super) fn message_span(&self, source: &SourceIntake, verified: &Verified) -> Span {
        let parent = TraceContext::from_headers(verified.headers());
        let queue = source.queue.as_deref().unwrap_or_default();
        let name = || format!("process {queue}");
        let mut span = self.tracer.arrival(Kind::Consumer, name, parent, verified.received_at());
        span.record(|said| {
            said.text("messaging.system", "rabbitmq");
            said.text("messaging.operation.name", "process");
            said.text("messaging.operation.type", "process");
            said.text("messaging.destination.name", queue.to_owned());
            said.text("source.name", source.name.to_string());
        });
        span
    }
}

/// How a request was answered.
pub(super) fn answered(mut span: Span, source: &SourceIntake, taken: &Result<Taken, Refusal>) {
    span.record(|said| {
        let (result, status) = match taken {
            Ok(Taken::Stored(receipt)) => {
                (result_word(receipt), webhook::status(receipt.status, source.on_undecodable))
            }
            Ok(Taken::Answered(_)) => ("challenge", axum::http::StatusCode::OK),
            Err(refusal) => (refusal.result(), refusal.status()),
        };
        said.text("result", result);
        said.number("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            said.error(status.as_u16().to_string());
        }
    });
    span.end();
}

/// What became of a message; `Err`: it could not be stored.
pub(super) fn stored(mut span: Span, taken: Result<&Receipt, ()>) {
    span.record(|said| match taken {
        Ok(receipt) => said.text("result", result_word(receipt)),
        Err(()) => said.error("unavailable"),
    });
    span.end();
}
