//! Sends spans to a collector: OTLP over HTTP, protobuf.
//!
//! Always holds: whoever ends a span waits for nothing, memory is bounded, and every span is counted as sent or as not. A
//! batch that a collector does not take for now is tried a few times and then given up; meanwhile newer spans wait, as far
//! as there is room.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use prost::Message;
use tokio::sync::{Mutex, mpsc};
use uuid::Uuid;

use super::Collector;
use super::otlp::{KeyValue, Request, Resource, ResourceSpans, Response, Scope, ScopeSpans, Span};
use super::recording::Recording;
use crate::clock::Clock;
use crate::telemetry::Metrics;

/// Spans that wait: as many as SDKs of OpenTelemetry let wait by default, about 2 MiB.
const QUEUE: usize = 2048;

/// Spans of one request, likewise.
const BATCH: usize = 512;

/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);

/// How often a batch is tried that the collector does not take for now.
const TRIES: u32 = 3;

/// The wait after the first failure, twice as long after each further one.
const FIRST_WAIT: Duration = Duration::from_secs(1);

/// The longest that a collector may have us wait.
const LONGEST_WAIT: Duration = Duration::from_secs(30);

/// How long the end of the process may wait for a collector.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// More of an answer is not read.
const MOST_READ_BYTES: usize = 16 * 1024;

/// The queue and its way out.
pub(super) struct Exporter {
    queue: mpsc::Sender<Span>,
    waiting: Mutex<Waiting>,
    client: reqwest::Client,
    collector: Collector,
    resource: Resource,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// What was not sent yet.
struct Waiting {
    queue: mpsc::Receiver<Span>,
    batch: Vec<Span>,
    /// Tries of this batch that failed.
    failures: u32,
    /// The last request failed, and it was told.
    is_down: bool,
}

/// Why a batch was not taken.
enum Trouble {
    /// It may be taken later.
    NotNow { why: String, wait: Option<Duration> },
    /// It will never be taken.
    Never(String),
}

impl Exporter {
    #[expect(
        clippy::disallowed_methods,
        reason = "goes to the collector, never to a provider; the limits are the same"
    )]
    pub(super) fn new(collector: Collector, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Result<Self, String> {
        let client = reqwest::Client::builder()
            .user_agent(concat!("sever/", env!("CARGO_PKG_VERSION")))
            .timeout(collector.timeout)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .no_proxy()
            .referer(false)
            .build()
            .map_err(|_| "the HTTP client for traces cannot start".to_owned())?;
        let (queue, receiver) = mpsc::channel(QUEUE);
        let waiting = Waiting { queue: receiver, batch: Vec::new(), failures: 0, is_down: false };
        Ok(Self { queue, waiting: Mutex::new(waiting), client, collector, resource: resource(), clock, metrics })
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Whether a trace that begins here is recorded: decided by the 7 bytes of its id that are random, so that whoever
    /// decides by the same rule decides alike.
    pub(super) fn samples(&self, trace_id: [u8; 16]) -> bool {
        let random = trace_id[9..].iter().fold(0_u64, |number, byte| number << 8 | u64::from(*byte));
        (random as f64) < self.collector.sample_ratio * (1_u64 << 56) as f64
    }

    /// Takes a span that has ended, if there is room.
    pub(super) fn push(&self, recording: Recording) {
        if self.queue.try_send(Span::from(&recording)).is_err() {
            self.metrics.spans("no_room", 1);
        }
    }

    /// Sends until `draining` is over. What is not sent by then is left to [`Self::flush`].
    pub(super) async fn run(&self, draining: impl Future<Output = ()>) {
        tokio::select! {
            () = draining => {}
            () = self.send_forever() => {}
        }
    }

    async fn send_forever(&self) {
        let mut waiting = self.waiting.lock().await;
        loop {
            waiting.gather().await;
            if let Some(wait) = self.send(&mut waiting).await {
                tokio::time::sleep(wait).await;
            }
        }
    }

    /// Sends the rest while there is time, and counts what there was no time for.
    pub(super) async fn flush(&self) {
        let _ = tokio::time::timeout(LAST_WORDS, self.send_rest()).await;
        // Only whoever flushes before the drain finds it locked: then it is being sent.
        let Ok(mut waiting) = self.waiting.try_lock() else { return };
        let mut unsent = waiting.batch.len();
        waiting.batch.clear();
        while waiting.queue.try_recv().is_ok() {
            unsent += 1;
        }
        self.metrics.spans("failed", unsent);
    }

    async fn send_rest(&self) {
        let mut waiting = self.waiting.lock().await;
        loop {
            waiting.fill();
            if waiting.batch.is_empty() || self.send(&mut waiting).await.is_some() {
                return;
            }
        }
    }

    /// One try of the batch that waits. Answers how long to wait before the next.
    async fn send(&self, waiting: &mut Waiting) -> Option<Duration> {
        let outcome = self.post(&waiting.batch).await;
        let count = waiting.batch.len();
        match outcome {
            Ok(refused) => {
                let refused = refused.min(count);
                self.metrics.spans("refused", refused);
                self.metrics.spans("sent", count - refused);
                waiting.works();
                None
            }
            Err(Trouble::Never(why)) => {
                waiting.tell(&why);
                self.metrics.spans("refused", count);
                waiting.give_up();
                None
            }
            Err(Trouble::NotNow { why, wait }) => {
                waiting.tell(&why);
                let wait = wait.unwrap_or_default().max(FIRST_WAIT * (1 << waiting.failures)).min(LONGEST_WAIT);
                waiting.failures += 1;
                if waiting.failures >= TRIES {
                    self.metrics.spans("failed", count);
                    waiting.give_up();
                }
                Some(wait)
            }
        }
    }

    /// Answers how many spans the collector refused.
    async fn post(&self, batch: &[Span]) -> Result<usize, Trouble> {
        let request = self.client.post(self.collector.url.clone()).headers(self.collector.headers.clone());
        let request = request.header(header::CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let response =
            request.body(self.message(batch).encode_to_vec()).send().await.map_err(|error| no_answer(&error))?;
        let (status, wait) = (response.status(), retry_after(response.headers()));
        if status.is_success() {
            return Ok(refused(response).await);
        }
        let why = format!("it answered {}", status.as_u16());
        // OTLP 1.x, "Failures": these may be tried again, and no other.
        Err(match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => Trouble::NotNow { why, wait },
            _ => Trouble::Never(why),
        })
    }

    fn message(&self, batch: &[Span]) -> Request {
        let (name, version) = ("sever".to_owned(), env!("CARGO_PKG_VERSION").to_owned());
        let scope_spans = vec![ScopeSpans { scope: Some(Scope { name, version }), spans: batch.to_vec() }];
        let resource_spans = vec![ResourceSpans { resource: Some(self.resource.clone()), scope_spans }];
        Request { resource_spans }
    }
}

impl Waiting {
    /// Waits for a span, and then a moment for more. What has come stays here also if nobody waits any longer.
    async fn gather(&mut self) {
        while self.batch.is_empty() {
            match self.queue.recv().await {
                Some(span) => self.batch.push(span),
                // Never: the other end is beside this one.
                None => return std::future::pending().await,
            }
        }
        // A batch that failed has waited long enough.
        if self.failures == 0 && self.batch.len() < BATCH {
            let _ = tokio::time::timeout(GATHER, self.gather_more()).await;
        }
    }

    async fn gather_more(&mut self) {
        while self.batch.len() < BATCH {
            let Some(span) = self.queue.recv().await else { return };
            self.batch.push(span);
        }
    }

    fn fill(&mut self) {
        while self.batch.len() < BATCH {
            let Ok(span) = self.queue.try_recv() else { return };
            self.batch.push(span);
        }
    }

    fn give_up(&mut self) {
        self.batch.clear();
        self.failures = 0;
    }

    fn works(&mut self) {
        self.give_up();
        if std::mem::take(&mut self.is_down) {
            tracing::info!("the collector of traces takes spans again");
        }
    }

    /// Once for each time that it goes down: the metric counts the rest.
    fn tell(&mut self, why: &str) {
        if !std::mem::replace(&mut self.is_down, true) {
            tracing::warn!(error = why, "the collector of traces does not take spans; nothing but traces is lost");
        }
    }
}

fn resource() -> Resource {
    let instance = Uuid::new_v4().to_string();
    let said =
        [("service.name", "sever"), ("service.version", env!("CARGO_PKG_VERSION")), ("service.instance.id", &instance)];
    Resource { attributes: said.map(|(key, value)| KeyValue::text(key, value)).to_vec() }
}

/// Where it is not told, everything was taken.
async fn refused(mut response: reqwest::Response) -> usize {
    let mut body = Vec::new();
    while let Ok(Some(chunk)) = response.chunk().await {
        body.extend_from_slice(&chunk);
        if body.len() > MOST_READ_BYTES {
            return 0;
        }
    }
    let partial = Response::decode(&body[..]).ok().and_then(|answer| answer.partial_success);
    usize::try_from(partial.map_or(0, |partial| partial.rejected_spans)).unwrap_or(0)
}

/// Its own text would name the address, which the config may hold a secret in.
fn no_answer(error: &reqwest::Error) -> Trouble {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    let why = if error.is_timeout() {
        "it did not answer in time".to_owned()
    } else if std::ptr::addr_eq(cause, std::ptr::from_ref(error)) {
        "the request failed".to_owned()
    } else {
        format!("no answer: {cause}")
    };
    Trouble::NotNow { why, wait: None }
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}
