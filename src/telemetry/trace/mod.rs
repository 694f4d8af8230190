//! Traces in OpenTelemetry's model, sent to a collector over OTLP: what a delivery, an attempt and each call took.
//!
//! They are no part of the log, and need the cargo feature `otel`. Without it `nothing.rs` stands for all of this: a
//! [`Span`] then carries the sender's place in its trace to the store, and that is all. Nothing waits for a collector: what
//! finds no room in the queue is counted and gone.

mod attributes;
#[cfg(feature = "otel")]
mod exporter;
#[cfg(not(feature = "otel"))]
mod nothing;
#[cfg(feature = "otel")]
mod otlp;
#[cfg(feature = "otel")]
mod recording;
mod settings;

pub use attributes::{Attributes, Kind};
#[cfg(not(feature = "otel"))]
pub use nothing::{Span, Tracer, call, part};
#[cfg(feature = "otel")]
pub use recording::{Span, Tracer, call, part};
pub use settings::{Collector, OtlpProtocol, OtlpSettings, TelemetrySettings};
