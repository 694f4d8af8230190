//! Spans: where each stands in its trace, and what it says. A span that ends is handed to the exporter, however it ended.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::task::futures::TaskLocalFuture;
use uuid::Uuid;

use super::exporter::Exporter;
use super::{Attributes, Collector, Kind};
use crate::clock::Clock;
use crate::domain::{TraceContext, Traces};
use crate::telemetry::Metrics;

tokio::task_local! {
    /// The work that a task is at, for the calls below it.
    static CURRENT: Option<Place>;
}

/// A place in a trace that is recorded.
#[derive(Clone)]
struct Place {
    exporter: Arc<Exporter>,
    context: TraceContext,
}

/// Where spans come from. Cheap to clone.
#[derive(Clone, Default)]
pub struct Tracer(Option<Arc<Exporter>>);

impl Tracer {
    /// Records for this collector, or nothing.
    pub fn to(collector: Option<Collector>, clock: &Arc<dyn Clock>, metrics: &Arc<Metrics>) -> Result<Self, String> {
        let Some(collector) = collector else { return Ok(Self(None)) };
        let exporter = Exporter::new(collector, Arc::clone(clock), Arc::clone(metrics))?;
        Ok(Self(Some(Arc::new(exporter))))
    }

    /// Whether anything is recorded.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// What came from outside at `at`: at the sender's place in a trace, if it named one, else at the beginning of one of
    /// ours. Whether a trace of the sender's is recorded is the sender's to say.
    #[must_use]
    pub fn arrival(
        &self,
        kind: Kind,
        name: impl FnOnce() -> String,
        parent: Option<TraceContext>,
        at: Timestamp,
    ) -> Span {
        let Some(exporter) = &self.0 else { return Span::silent(parent) };
        let context = match &parent {
            Some(parent) if parent.is_sampled() => parent.child(span_id()),
            Some(_) => return Span::silent(parent),
            None => root(exporter),
        };
        if !context.is_sampled() {
            return Span::silent(Some(context));
        }
        let place = Place { exporter: Arc::clone(exporter), context };
        Span::recorded(Recording { parent, is_remote: true, ..Recording::new(place, kind, name(), at) })
    }

    /// Goes on with what was stored: below the first of `traces` that is recorded, and linked with each where there are
    /// several.
    #[must_use]
    pub fn continuation(&self, name: impl FnOnce() -> String, traces: &Traces, at: Timestamp) -> Span {
        let Some(exporter) = &self.0 else { return Span::silent(None) };
        let parent = traces.iter().find(|trace| trace.is_sampled()).cloned();
        let context = match &parent {
            Some(parent) => parent.child(span_id()),
            None if traces.is_empty() => root(exporter),
            None => return Span::silent(None),
        };
        if !context.is_sampled() {
            return Span::silent(None);
        }
        let links = if traces.len() > 1 { traces.iter().cloned().collect() } else { Vec::new() };
        let place = Place { exporter: Arc::clone(exporter), context };
        let recording = Recording::new(place, Kind::Internal, name(), at);
        Span::recorded(Recording { parent, is_remote: true, links, ..recording })
    }

    /// Sends what is recorded, until `draining` is over.
    pub async fn run(&self, draining: impl Future<Output = ()>) {
        match &self.0 {
            Some(exporter) => exporter.run(draining).await,
            None => draining.await,
        }
    }

    /// Sends the rest, within bounds.
    pub async fn flush(&self) {
        if let Some(exporter) = &self.0 {
            exporter.flush().await;
        }
    }
}

/// A trace of our own, perhaps one that is recorded.
fn root(exporter: &Exporter) -> TraceContext {
    let trace_id = Uuid::new_v4().into_bytes();
    TraceContext::root(trace_id, span_id(), exporter.samples(trace_id))
}

/// Never zero: a UUID has a bit there that is set.
fn span_id() -> [u8; 8] {
    let mut id = [0; 8];
    id.copy_from_slice(&Uuid::new_v4().into_bytes()[8..]);
    id
}

/// A piece of work that is recorded.
pub(super) struct Recording {
    place: Place,
    pub(super) parent: Option<TraceContext>,
    /// The parent may be of another process.
    pub(super) is_remote: bool,
    pub(super) kind: Kind,
    pub(super) name: String,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) links: Vec<TraceContext>,
    pub(super) said: Attributes,
}

impl Recording {
    fn new(place: Place, kind: Kind, name: String, at: Timestamp) -> Self {
        let said = Attributes::default();
        let (parent, links) = (None, Vec::new());
        Self { place, parent, is_remote: false, kind, name, began: at, ended: at, links, said }
    }

    pub(super) fn context(&self) -> &TraceContext {
        &self.place.context
    }

    /// The clock may have been set back meanwhile.
    fn finish(mut self) {
        let exporter = Arc::clone(&self.place.exporter);
        self.ended = exporter.now().max(self.began);
        exporter.push(self);
    }
}

/// A piece of work, recorded or not. It is over when this is dropped.
pub struct Span {
    context: Option<TraceContext>,
    recording: Option<Box<Recording>>,
}

impl Span {
    fn silent(context: Option<TraceContext>) -> Self {
        Self { context, recording: None }
    }

    fn recorded(recording: Recording) -> Self {
        Self { context: Some(recording.context().clone()), recording: Some(Box::new(recording)) }
    }

    /// Where whoever goes on with the work takes up its trace.
    #[must_use]
    pub fn context(&self) -> Option<&TraceContext> {
        self.context.as_ref()
    }

    /// Says more of it, if it is recorded.
    pub fn record(&mut self, tell: impl FnOnce(&mut Attributes)) {
        if let Some(recording) = &mut self.recording {
            tell(&mut recording.said);
        }
    }

    /// The work itself: calls that it makes are told below this.
    pub fn scope<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        let scoped: TaskLocalFuture<_, F> =
            CURRENT.scope(self.recording.as_ref().map(|recording| recording.place.clone()), work);
        scoped
    }

    /// It is over.
    pub fn end(self) {}
}

impl Drop for Span {
    fn drop(&mut self) {
        if let Some(recording) = self.recording.take() {
            recording.finish();
        }
    }
}

impl std::fmt::Debug for Span {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Span").field("context", &self.context).finish_non_exhaustive()
    }
}

/// The same, where the piece is a call that may fail, and the error's kind is told.
pub async fn part<T, E>(
    name: &'static str,
    work: impl Future<Output = Result<T, E>>,
    kind: fn(&E) -> &'static str,
) -> Result<T, E> {
    let mut span = call(Kind::Internal, || name.to_owned());
    let result = span.scope(work).await;
    if let Err(error) = &result {
        span.record(|said| said.error(kind(error)));
    }
    result
}

/// A piece of the work that the task is at; of work that is not recorded nothing is.
#[must_use]
pub fn call(kind: Kind, name: impl FnOnce() -> String) -> Span {
    let Ok(Some(above)) = CURRENT.try_with(Clone::clone) else { return Span::silent(None) };
    let place = Place { exporter: Arc::clone(&above.exporter), context: above.context.child(span_id()) };
    let at = above.exporter.now();
    Span::recorded(Recording { parent: Some(above.context), ..Recording::new(place, kind, name(), at) })
}
