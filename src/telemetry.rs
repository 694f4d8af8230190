//! Logs, metrics and traces: the subscriber, every metric's name, and the digest that stands for a person in logs.

pub mod trace;

use std::io::IsTerminal;
use std::sync::atomic::{AtomicI64, AtomicU64};
use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};
use sha2::Sha256;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use crate::domain::{AttemptClass, Outcome, ProviderName, SourceName, Subject, fold};

/// How log lines are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// Libraries that say nothing in our logs.
const SILENT: [&str; 3] = ["lapin", "amq_protocol_tcp", "amq_protocol"];

/// Sends log lines to stderr. `RUST_LOG` narrows or widens them; the default is `info`.
pub fn init_logs(format: LogFormat) {
    // Colours would be noise in a file or in a collector of logs.
    init_logs_to(format, std::io::stderr, std::io::stderr().is_terminal());
}

/// Sends log lines elsewhere, under the same filter.
pub fn init_logs_to<W>(format: LogFormat, writer: W, colours: bool)
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // It would log frames, passwords among them, and tell as errors what we handle and tell ourselves.
    let filter = SILENT.iter().fold(filter, |filter, target| match format!("{target}=off").parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    });
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(writer).with_ansi(colours);
    match format {
        LogFormat::Json => builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init(),
        LogFormat::Text => builder.with_target(false).init(),
    }
}

/// Stands for a person in logs: the same person gives the same digest within one process, and nobody without the
/// key can find the name from it.
#[derive(Clone)]
pub struct SubjectDigest(Hmac<Sha256>);

impl SubjectDigest {
    /// With a key of this process alone.
    #[must_use]
    pub fn new() -> Self {
        Self::with_key(uuid::Uuid::new_v4().as_bytes())
    }

    /// With a given key, for tests.
    #[must_use]
    pub fn with_key(key: &[u8]) -> Self {
        Self(Hmac::new_from_slice(key).expect("HMAC takes keys of any length"))
    }

    /// The digest, 16 hex digits.
    #[must_use]
    pub fn of(&self, subject: &Subject) -> String {
        let mut mac = self.0.clone();
        let name = subject.email.as_deref().or(subject.username.as_deref()).map(fold);
        mac.update(name.or_else(|| subject.id.clone()).unwrap_or_default().as_bytes());
        hex::encode(&mac.finalize().into_bytes()[..8])
    }
}

impl Default for SubjectDigest {
    fn default() -> Self {
        Self::new()
    }
}

/// Labels of `sever_deliveries_total`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct DeliveryLabels {
    /// The source.
    pub source: String,
    /// `accepted`, `not_kept` (accepted, and the quarantine had no room for the rest), `duplicate`, `ignored`,
    /// `quarantined`, `challenge`, `refused`, `limited` or `unavailable`.
    pub result: &'static str,
}

/// A provider and one word about it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderState {
    /// The provider.
    pub provider: String,
    /// The state.
    pub state: &'static str,
}

/// A provider and why its jobs are held.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderReason {
    /// The provider.
    pub provider: String,
    /// The reason.
    pub reason: &'static str,
}

/// A provider and how an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderClass {
    /// The provider.
    pub provider: String,
    /// The class.
    pub class: &'static str,
}

/// A provider and what was seen.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderOutcome {
    /// The provider.
    pub provider: String,
    /// The outcome.
    pub outcome: &'static str,
}

/// A provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ProviderOnly {
    /// The provider.
    pub provider: String,
}

/// Somebody who is told.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TargetOnly {
    /// The target.
    pub target: String,
}

/// Somebody who is told, and how an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct TargetResult {
    /// The target.
    pub target: String,
    /// `delivered`, `failed` or `dead`.
    pub result: &'static str,
}

/// What became of spans.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SpanResult {
    /// `sent`, `refused` by the collector, `failed` to reach it, or `no_room` in the queue.
    pub result: &'static str,
}

/// A source.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct SourceOnly {
    /// The source.
    pub source: String,
}

/// A listener, by its key in the config.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerOnly {
    /// The listener.
    pub listener: &'static str,
}

/// A listener and how a handshake ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ListenerResult {
    /// The listener.
    pub listener: &'static str,
    /// `ok`, `failed` or `too_slow`.
    pub result: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;
type Count = Gauge<i64, AtomicI64>;

/// Every metric, each under the name it is exported by.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// `sever_deliveries_total`
    pub deliveries: Family<DeliveryLabels, Counter>,
    /// `sever_jobs`, set when scraped
    pub jobs: Family<ProviderState, Count>,
    /// `sever_held_jobs`, set when scraped
    pub held: Family<ProviderReason, Count>,
    /// `sever_oldest_due_seconds`, set when scraped
    pub oldest_due: Family<ProviderOnly, Seconds>,
    /// `sever_provider_circuit`, set when scraped: 1 for the state that the circuit is in
    pub circuit: Family<ProviderState, Count>,
    /// `sever_quarantine`, set when scraped
    pub quarantine: Family<SourceOnly, Count>,
    /// `sever_amqp_connected`
    pub amqp_connected: Family<SourceOnly, Count>,
    /// `sever_notify_waiting`, set when scraped
    pub notify_waiting: Family<TargetOnly, Count>,
    /// `sever_notify_dead`, set when scraped
    pub notify_dead: Family<TargetOnly, Count>,
    notify: Family<TargetResult, Counter>,
    /// `sever_replicas_live`, set when scraped
    pub replicas_live: Count,
    /// `sever_config_reload_ok`
    pub reload_ok: Count,
    /// `sever_config_reload_timestamp_seconds`
    pub reloaded_at: Count,
    /// `sever_tls_handshakes_total`
    pub tls_handshakes: Family<ListenerResult, Counter>,
    /// `sever_tls_reload_ok`
    pub tls_reload_ok: Family<ListenerOnly, Count>,
    /// `sever_tls_not_after_seconds`
    pub tls_not_after: Family<ListenerOnly, Count>,
    spans: Family<SpanResult, Counter>,
    attempts: Family<ProviderClass, Counter>,
    revoked: Family<ProviderOnly, Histogram>,
    revocation: Family<ProviderOutcome, Histogram>,
    exposure: Family<ProviderOnly, Histogram>,
    commit: Histogram,
    commit_batch: Histogram,
}

/// From 5 ms to 45 hours, doubling and more: revocations take milliseconds, and days where a provider is down.
fn long_buckets() -> Histogram {
    Histogram::new(exponential_buckets(0.005, 2.5, 19))
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Registers every metric.
    #[must_use]
    pub fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("sever"),
            deliveries: Family::default(),
            jobs: Family::default(),
            held: Family::default(),
            oldest_due: Family::default(),
            circuit: Family::default(),
            quarantine: Family::default(),
            amqp_connected: Family::default(),
            notify_waiting: Family::default(),
            notify_dead: Family::default(),
            notify: Family::default(),
            replicas_live: Count::default(),
            reload_ok: Count::default(),
            reloaded_at: Count::default(),
            tls_handshakes: Family::default(),
            tls_reload_ok: Family::default(),
            tls_not_after: Family::default(),
            spans: Family::default(),
            attempts: Family::default(),
            revoked: Family::new_with_constructor(long_buckets),
            revocation: Family::new_with_constructor(long_buckets),
            exposure: Family::new_with_constructor(long_buckets),
            commit: Histogram::new(exponential_buckets(0.000_1, 2.0, 18)),
            commit_batch: Histogram::new(exponential_buckets(1.0, 2.0, 11)),
        };
        metrics.register();
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        registry.register("deliveries", "Deliveries by what became of them", self.deliveries.clone());
        registry.register("jobs", "Jobs by state", self.jobs.clone());
        registry.register("held_jobs", "Held jobs by reason", self.held.clone());
        registry.register_with_unit("oldest_due", "Age of the oldest due job", Unit::Seconds, self.oldest_due.clone());
        registry.register("provider_circuit", "1 for the state that a circuit is in", self.circuit.clone());
        registry.register("quarantine", "Deliveries kept in quarantine", self.quarantine.clone());
        registry.register("amqp_connected", "Whether the queue is consumed", self.amqp_connected.clone());
        registry.register("notify", "Attempts to deliver messages, by how they ended", self.notify.clone());
        registry.register("notify_waiting", "Messages that were not taken yet", self.notify_waiting.clone());
        registry.register("notify_dead", "Messages that were given up", self.notify_dead.clone());
        let alive = "Processes that are alive and share the store";
        registry.register("replicas_live", alive, self.replicas_live.clone());
        registry.register("config_reload_ok", "Whether the config in use is the one on disk", self.reload_ok.clone());
        let taken = "When the config in use was taken on, since 1970";
        registry.register_with_unit("config_reload_timestamp", taken, Unit::Seconds, self.reloaded_at.clone());
        registry.register("tls_handshakes", "Handshakes by how they ended", self.tls_handshakes.clone());
        registry.register(
            "tls_reload_ok",
            "Whether the files for TLS in use are those on disk",
            self.tls_reload_ok.clone(),
        );
        let ends = "When the certificate ends, since 1970";
        registry.register_with_unit("tls_not_after", ends, Unit::Seconds, self.tls_not_after.clone());
        registry.register("trace_spans", "Spans of traces by what became of them", self.spans.clone());
        registry.register("attempts", "Attempts by how they ended", self.attempts.clone());
        let seconds = || Unit::Seconds;
        registry.register_with_unit("revoked", "Received to the provider's yes", seconds(), self.revoked.clone());
        registry.register_with_unit("revocation", "Received to done", seconds(), self.revocation.clone());
        registry.register_with_unit("exposure", "Occurred to done", seconds(), self.exposure.clone());
        registry.register_with_unit("commit", "Time of one group commit", seconds(), self.commit.clone());
        registry.register("commit_batch_size", "Changes in one group commit", self.commit_batch.clone());
    }

    /// Counts a delivery.
    pub fn delivery(&self, source: &SourceName, result: &'static str) {
        self.deliveries.get_or_create(&DeliveryLabels { source: source.to_string(), result }).inc();
    }

    /// Counts an attempt.
    pub fn attempt(&self, provider: &ProviderName, class: AttemptClass) {
        let labels = ProviderClass { provider: provider.to_string(), class: class.as_str() };
        self.attempts.get_or_create(&labels).inc();
    }

    /// Counts spans.
    pub fn spans(&self, result: &'static str, count: usize) {
        if count > 0 {
            self.spans.get_or_create(&SpanResult { result }).inc_by(count as u64);
        }
    }

    /// Counts an attempt to deliver a message.
    pub fn notified(&self, target: &str, result: &'static str) {
        self.notify.get_or_create(&TargetResult { target: target.to_owned(), result }).inc();
    }

    /// Records how long it took from receipt to the provider's yes.
    pub fn revoked(&self, provider: &ProviderName, received: Duration) {
        let labels = ProviderOnly { provider: provider.to_string() };
        self.revoked.get_or_create(&labels).observe(received.as_secs_f64());
    }

    /// Records how long it took until a job was done.
    pub fn done(&self, provider: &ProviderName, outcome: Outcome, since_received: Duration, since_occurred: Duration) {
        let labels = ProviderOutcome { provider: provider.to_string(), outcome: outcome.as_str() };
        self.revocation.get_or_create(&labels).observe(since_received.as_secs_f64());
        let labels = ProviderOnly { provider: provider.to_string() };
        self.exposure.get_or_create(&labels).observe(since_occurred.as_secs_f64());
    }

    /// Records one group commit.
    pub fn commit(&self, took: Duration, changes: usize) {
        self.commit.observe(took.as_secs_f64());
        self.commit_batch.observe(changes as f64);
    }

    /// The exposition text (OpenMetrics).
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        // Writing to a String cannot fail.
        let _ = encode(&mut text, &self.registry);
        text
    }
}
