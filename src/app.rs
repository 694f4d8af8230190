//! The only place that knows every concrete type: wires a loaded config into a running service.

mod role;

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;

use crate::admin::{self, AdminSettings, AdminState, Gauges, Hosts, ProviderInfo};
use crate::clock::Clock;
use crate::config::{Config, Loaded};
use crate::domain::{HoldReason, ProviderName, SourceName};
use crate::ingest::{
    self, AmqpSettings, DetailedListen, Intake, QueueConsumer, QueueHealth, QueueParts, SourceIntake, TrustedProxies,
    WebhookLimits,
};
use crate::lifecycle::Lifecycle;
use crate::listener::{self, ListenerLimits};
use crate::notify::Notifier;
use crate::provider::{Configured, Providers};
use crate::sealer::Sealer;
use crate::store::{self, JobStore, Operations, Outbox, Retention, Routes, Store};
use crate::telemetry::Metrics;
use crate::worker::{LEASE, ProofPolicy, RetryPolicy, Station, Worker};
pub use role::Role;

/// How long running requests and attempts may take to finish once the end has begun. With the time that letting go
/// takes, this stays below the 25 s that `sever serve` promises, and Kubernetes's default of 30 s.
const DRAIN: Duration = Duration::from_secs(18);

/// How long letting go may take after that.
const LET_GO: Duration = Duration::from_secs(4);

/// How long the store may take to say that it works.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// Old records are looked for this often.
const PRUNE_EVERY: Duration = Duration::from_secs(600);

/// The most connections to the operator API at once.
const ADMIN_CONNECTIONS: usize = 128;

/// Every part, joined.
pub struct App {
    /// The way in.
    pub intake: Arc<Intake>,
    /// Where jobs are kept.
    pub store: Arc<dyn Store>,
    /// Works on them.
    pub worker: Worker,
    /// What is measured.
    pub metrics: Arc<Metrics>,
    /// How the queues stand.
    pub queue_health: Arc<QueueHealth>,
    /// Tells others what became of alerts.
    pub notifier: Arc<Notifier>,
    routes: Routes,
    /// Seals the audit record, where there is a key.
    pub sealer: Option<Arc<Sealer>>,
    lifecycle: Lifecycle,
    clock: Arc<dyn Clock>,
    listen: DetailedListen,
    providers: BTreeSet<ProviderName>,
    admin: Option<(AdminSettings, AdminState)>,
    retention: Retention,
    queues: BTreeMap<SourceName, AmqpSettings>,
    /// No source takes webhooks, so without a broker no alert can come in.
    queues_only: bool,
    role: Role,
}

/// Where a running service can be reached.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Alerts.
    pub alerts: SocketAddr,
    /// Operators.
    pub admin: Option<SocketAddr>,
}

impl App {
    /// Joins the parts and opens the store. Nothing runs yet.
    pub async fn new(loaded: Loaded, clock: Arc<dyn Clock>, lifecycle: Lifecycle) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::new());
        let store = store::open(&loaded.store, Arc::clone(&clock), Arc::clone(&metrics)).await?;
        let jobs: Arc<dyn JobStore> = store.clone();
        let operations: Arc<dyn Operations> = store.clone();
        let policy = Arc::new(loaded.policy);
        let mut decoders = loaded.decoders;
        let sources = loaded.verifiers.into_iter().filter_map(|(name, verifier)| {
            let settings = loaded.config.sources.get(&name)?;
            let decoder = decoders.remove(&name)?;
            Some(SourceIntake::new(name, settings, verifier, decoder, Arc::clone(&clock)))
        });
        let intake = Arc::new(Intake::new(
            sources.collect(),
            loaded.providers.iter().filter(|(_, it)| it.common.dry_run).map(|(name, _)| name.clone()).collect(),
            Arc::clone(&policy),
            Arc::clone(&jobs),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        ));
        let stations = loaded.providers.iter().map(|(name, provider)| (name.clone(), station(provider))).collect();
        let worker = Worker::new(
            Arc::clone(&jobs),
            stations,
            policy,
            Arc::clone(&clock),
            Arc::clone(&metrics),
            lifecycle.clone(),
        );
        let admin = loaded.config.admin.clone().zip(loaded.tokens).map(|(settings, tokens)| {
            let gauges = Gauges::new(
                Arc::clone(&metrics),
                Arc::clone(&operations),
                loaded.config.providers.keys().cloned(),
                loaded.config.sources.keys().cloned(),
            );
            let state = AdminState {
                operations,
                intake: Arc::clone(&intake),
                providers: Arc::new(provider_infos(&loaded.config, &loaded.providers)),
                clients: Arc::new(loaded.providers.clone()),
                sources: Arc::new(loaded.config.sources.keys().cloned().collect()),
                gauges: Arc::new(gauges),
                tokens: Arc::new(tokens),
                hosts: Arc::new(Hosts::new(&settings, settings.listen)),
                clock: Arc::clone(&clock),
            };
            (settings, state)
        });
        let providers = loaded.config.providers.keys().cloned().collect();
        let listen = loaded.config.listen.detailed();
        let retention = loaded.retention;
        let notifier = Notifier::new(store.clone(), loaded.targets, Arc::clone(&clock), Arc::clone(&metrics));
        let keep = loaded.config.retention.audit.0;
        let sealer =
            loaded.audit_keys.signing.map(|key| Arc::new(Sealer::new(store.clone(), key, keep, Arc::clone(&clock))));
        let sources = &loaded.config.sources;
        let queues: BTreeMap<_, _> =
            sources.iter().filter_map(|(name, source)| Some((name.clone(), source.amqp.clone()?))).collect();
        let queue_health = Arc::new(QueueHealth::new(queues.keys().cloned(), Arc::clone(&metrics)));
        let queues_only = !queues.is_empty() && queues.len() == sources.len();
        Ok(Self {
            intake,
            store,
            worker,
            metrics,
            lifecycle,
            clock,
            listen,
            providers,
            admin,
            retention,
            notifier: Arc::new(notifier),
            routes: loaded.routes,
            sealer,
            queues,
            queue_health,
            queues_only,
            role: Role::All,
        })
    }

    /// Does only a part of the work; other processes on the same store do the rest.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// Binds the listeners and starts everything.
    pub async fn start(&self) -> anyhow::Result<Addresses> {
        self.begin_telling().await?;
        if self.role.works() {
            self.hold_orphans().await?;
        }
        let alerts = bind(self.listen.address).await?;
        let mut addresses = Addresses { alerts: alerts.local_addr()?, admin: None };
        if let Some((settings, state)) = &self.admin {
            let listener = bind(settings.listen).await?;
            let bound = listener.local_addr()?;
            addresses.admin = Some(bound);
            let limits = ListenerLimits {
                connections: ADMIN_CONNECTIONS,
                connections_per_peer: ADMIN_CONNECTIONS,
                header_timeout: self.listen.header_timeout.0,
            };
            // The port is known only now, where the config left it open.
            let state = AdminState { hosts: Arc::new(Hosts::new(settings, bound)), ..state.clone() };
            let router = admin::router(state);
            let serving = listener::serve(listener, router, limits, self.lifecycle.clone());
            self.lifecycle.spawn_vital("operator API", serving);
        }
        let serving = listener::serve(alerts, self.alert_router(), self.alert_limits(), self.lifecycle.clone());
        self.lifecycle.spawn_vital("alert listener", serving);
        if self.role.takes_in() {
            self.consume_queues();
        }
        if self.role.works() {
            let worker = self.worker.clone();
            self.lifecycle.spawn_vital("worker", async move { worker.run().await });
            let (store, retention, lifecycle) = (Arc::clone(&self.store), self.retention, self.lifecycle.clone());
            self.lifecycle.spawn_vital("retention", async move { prune_forever(store, retention, lifecycle).await });
            self.notifier.start(&self.lifecycle);
            if let Some(sealer) = self.sealer.clone() {
                self.lifecycle.spawn_vital("sealer", sealer.run(self.lifecycle.clone()));
            }
        }
        let (store, lifecycle) = (Arc::clone(&self.store), self.lifecycle.clone());
        self.lifecycle.spawn_vital("store", async move {
            tokio::select! {
                () = lifecycle.draining() => {}
                () = store.lost() => {}
            }
        });
        Ok(addresses)
    }

    /// Before anything may change: what becomes of jobs is told only from then on.
    pub async fn begin_telling(&self) -> anyhow::Result<()> {
        Ok(self.store.set_routes(self.routes.clone()).await?)
    }

    /// One consumer for each queue. Whether its broker is there is its own concern.
    pub fn consume_queues(&self) {
        for (name, settings) in &self.queues {
            let Some(source) = self.intake.source(name.as_str()) else { continue };
            let parts = QueueParts {
                intake: Arc::clone(&self.intake),
                health: Arc::clone(&self.queue_health),
                clock: Arc::clone(&self.clock),
                lifecycle: self.lifecycle.clone(),
            };
            let consumer = QueueConsumer::new(parts, Arc::clone(source), settings.clone());
            self.lifecycle.spawn_vital("queue consumer", consumer.run());
        }
    }

    /// Jobs of a provider that left the config say what they wait for. Once it is back, the gate is probed open.
    async fn hold_orphans(&self) -> anyhow::Result<()> {
        let backlog = self.store.backlog().await?;
        let open = backlog.jobs.iter().filter(|(_, state, count)| !state.is_final() && *count > 0);
        let orphaned: BTreeSet<&ProviderName> =
            open.map(|(provider, ..)| provider).filter(|provider| !self.providers.contains(*provider)).collect();
        for provider in orphaned {
            let note = "it is not in the config any more: put it back, or cancel its jobs".to_owned();
            tracing::error!(provider.name = %provider, "jobs wait for a provider that is not in the config");
            self.store.close_gate(provider, HoldReason::Misconfigured, note).await?;
        }
        Ok(())
    }

    /// Waits until everything has stopped, letting go of what does not finish in time.
    pub async fn finish(&self) {
        self.lifecycle.finish(DRAIN, LET_GO).await;
    }

    /// The alert listener's routes. One that only works answers nothing but whether it is ready.
    pub fn alert_router(&self) -> Router {
        let limits = WebhookLimits {
            body_timeout: self.listen.body_timeout.0,
            trusted_proxies: TrustedProxies::new(self.listen.trusted_proxies.clone()),
            public_url: self.listen.public_url.clone(),
        };
        let ready = get(ready).with_state(Readiness {
            store: Arc::clone(&self.store),
            lifecycle: self.lifecycle.clone(),
            queues: self.role.takes_in().then(|| Arc::clone(&self.queue_health)),
            queues_only: self.queues_only,
        });
        if !self.role.takes_in() {
            return Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", ready);
        }
        ingest::router(Arc::clone(&self.intake), limits, Arc::clone(&self.clock), self.lifecycle.clone(), ready)
    }

    fn alert_limits(&self) -> ListenerLimits {
        // A proxy brings everyone's connections; without one, a single peer gets a quarter.
        let share = if self.listen.trusted_proxies.is_empty() { 4 } else { 1 };
        ListenerLimits {
            connections: self.listen.max_connections,
            connections_per_peer: self.listen.max_connections.div_ceil(share),
            header_timeout: self.listen.header_timeout.0,
        }
    }
}

fn station(configured: &Configured) -> Station {
    let common = &configured.common;
    Station {
        provider: Arc::clone(&configured.provider),
        concurrency: common.limits.concurrency.get() as usize,
        retry: RetryPolicy {
            first: common.retry.first.0,
            factor: common.retry.factor,
            longest: common.retry.longest.0,
            spread: RetryPolicy::SPREAD,
            give_up_after: common.retry.give_up_after.0,
        },
        proof: ProofPolicy { after: common.proof.after.0, times: common.proof.times },
        timeout: common.timeout.0,
        dry_run: common.dry_run,
    }
}

fn provider_infos(config: &Config, providers: &Providers) -> BTreeMap<ProviderName, ProviderInfo> {
    let info = |configured: &Configured| ProviderInfo {
        kind: configured.kind(),
        dry_run: configured.common.dry_run || config.guardrails.dry_run,
    };
    providers.iter().map(|(name, configured)| (name.clone(), info(configured))).collect()
}

async fn bind(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; is another process there? Change `listen`"))
}

#[derive(Clone)]
struct Readiness {
    store: Arc<dyn Store>,
    lifecycle: Lifecycle,
    /// `None`: takes in nothing.
    queues: Option<Arc<QueueHealth>>,
    queues_only: bool,
}

async fn ready(State(readiness): State<Readiness>) -> Response {
    if readiness.lifecycle.is_draining() {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "draining"}))).into_response();
    }
    // Goes through the writer, so that a locked or full disk shows.
    let works = tokio::time::timeout(READY_WITHIN, readiness.store.renew(Vec::new(), LEASE)).await;
    if !matches!(works, Ok(Ok(_))) {
        return (StatusCode::SERVICE_UNAVAILABLE, Json(json!({"status": "store unavailable"}))).into_response();
    }
    let gates = readiness.store.gates().await.unwrap_or_default();
    let gates = gates.iter().map(|gate| {
        let provider = gate.provider.as_ref().map_or("all providers", |name| name.as_str());
        format!("{provider}: {}", gate.reason)
    });
    let circuits = readiness.store.circuits().await.unwrap_or_default();
    let circuits = circuits.iter().map(|circuit| format!("{}: failing", circuit.provider));
    let queues = readiness.queues.as_deref();
    let queue_troubles = queues.map(|queues| queues.degraded()).into_iter().flatten();
    let degraded: Vec<String> = gates.chain(circuits).chain(queue_troubles).chain(readiness.store.troubles()).collect();
    if readiness.queues_only && queues.is_some_and(|queues| !queues.is_any_connected()) {
        let body = json!({"status": "no broker", "degraded": degraded});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    }
    Json(json!({"status": "ready", "degraded": degraded})).into_response()
}

async fn prune_forever(store: Arc<dyn Store>, retention: Retention, lifecycle: Lifecycle) {
    loop {
        tokio::select! {
            () = lifecycle.draining() => return,
            () = tokio::time::sleep(PRUNE_EVERY) => {}
        }
        loop {
            match store.prune(&retention).await {
                Ok(0) => break,
                Ok(removed) => tracing::info!(rows = removed, "removed old records"),
                Err(error) => {
                    tracing::warn!(error = %error, "old records could not be removed");
                    break;
                }
            }
            if lifecycle.is_draining() {
                return;
            }
        }
    }
}
