//! The same names without the feature `otel`: nothing is recorded, and nothing of it is left once it is compiled.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;

use super::{Attributes, Collector, Kind};
use crate::clock::Clock;
use crate::domain::{TraceContext, Traces};
use crate::telemetry::Metrics;

/// Where spans come from: here from nowhere.
#[derive(Debug, Clone, Default)]
pub struct Tracer(());

impl Tracer {
    /// `collector` is `None`: a config that names one is refused.
    pub fn to(_: Option<Collector>, _: &Arc<dyn Clock>, _: &Arc<Metrics>) -> Result<Self, String> {
        Ok(Self(()))
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        false
    }

    /// What came from outside, at the sender's place in a trace.
    #[must_use]
    pub fn arrival(&self, _: Kind, _: impl FnOnce() -> String, parent: Option<TraceContext>, _: Timestamp) -> Span {
        Span { context: parent }
    }

    /// Goes on with what was stored.
    #[must_use]
    pub fn continuation(&self, _: impl FnOnce() -> String, _: &Traces, _: Timestamp) -> Span {
        Span { context: None }
    }

    /// Sends what is recorded, until `draining` is over.
    pub async fn run(&self, draining: impl Future<Output = ()>) {
        draining.await;
    }

    /// Sends the rest, within bounds.
    pub async fn flush(&self) {}
}

/// A piece of work.
#[derive(Debug)]
pub struct Span {
    context: Option<TraceContext>,
}

impl Span {
    /// Where whoever goes on with the work takes up its trace.
    #[must_use]
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Says more of it, if it is recorded.
    pub fn record(&mut self, _: impl FnOnce(&mut Attributes)) {}

    /// The work itself.
    pub fn scope<F: Future>(&self, work: F) -> F {
        work
    }

    /// It is over.
    pub fn end(self) {}
}

/// The same, where the piece is a call that may fail.
pub fn part<T, E, F: Future<Output = Result<T, E>>>(_: &'static str, work: F, _: fn(&E) -> &'static str) -> F {
    work
}

/// A piece of the work that runs now.
#[must_use]
pub fn call(_: Kind, _: impl FnOnce() -> String) -> Span {
    Span { context: None }
}
