//! The only place that knows every concrete type: wires a loaded config into a running service, and keeps it in step with
//! the config's file.

mod changes;
mod queues;
mod reload;
mod retention;
mod role;
mod running;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::admin::{self, AdminState, Gauges, Hosts, ProviderInfo};
use crate::clock::Clock;
use crate::config::{Config, Doors, Loaded};
use crate::decode::Decoder;
use crate::domain::{ProviderName, SourceName};
use crate::ingest::{
    self, AmqpSettings, DetailedListen, Intake, Planning, QueueHealth, QueueParts, SourceIntake, TrustedProxies,
    WebhookLimits,
};
use crate::lifecycle::Lifecycle;
use crate::listener::{self, ListenerLimits, Secured};
use crate::live::Live;
use crate::notify::Notifier;
use crate::provider::{Configured, Providers};
use crate::sealer::Sealer;
use crate::store::{self, JobStore, Operations, Replica, Routes, Store};
use crate::telemetry::Metrics;
use crate::telemetry::trace::Tracer;
use crate::tls::ServerTls;
use crate::verify::Verifier;
use crate::worker::{Heart, LEASE, ProofPolicy, RetryPolicy, Station, Worker};
use changes::Summary;
use queues::Queues;
pub use reload::{ReloadError, Reloader};
pub use role::Role;
use running::{AdminRoom, InUse, Running, dry};

/// How long running requests and attempts may take to finish once the end has begun. With the time that letting go
/// and the last traces take, this stays below the 25 s that `sever serve` promises, and Kubernetes's default of 30 s.
const DRAIN: Duration = Duration::from_secs(18);

/// How long letting go may take after that.
const LET_GO: Duration = Duration::from_secs(4);

/// How long the store may take to say that it works.
const READY_WITHIN: Duration = Duration::from_secs(3);

/// A changed certificate is noticed within this time.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The most connections to the operator API at once.
const ADMIN_CONNECTIONS: usize = 128;

/// The most connections for metrics at once; a scrape takes milliseconds.
const METRICS_CONNECTIONS: usize = 32;

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
    /// Records traces.
    pub tracer: Tracer,
    routes: Routes,
    /// Seals the audit record, where there is a key.
    pub sealer: Option<Arc<Sealer>>,
    lifecycle: Lifecycle,
    clock: Arc<dyn Clock>,
    listen: DetailedListen,
    doors: Arc<Doors>,
    /// Follows the config's file.
    pub reloader: Arc<Reloader>,
    running: Arc<Running>,
    heart: Heart,
    role: Role,
}

/// Where a running service can be reached.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// Alerts.
    pub alerts: SocketAddr,
    /// Operators.
    pub admin: Option<SocketAddr>,
    /// Metrics, where they have a listener of their own.
    pub metrics: Option<SocketAddr>,
}

impl App {
    /// Joins the parts and opens the store. Nothing runs yet.
    pub async fn new(loaded: Loaded, clock: Arc<dyn Clock>, lifecycle: Lifecycle) -> anyhow::Result<Self> {
        let summary = Summary::of(&loaded);
        let metrics = Arc::new(Metrics::new());
        let tracer = Tracer::to(loaded.collector, &clock, &metrics).map_err(anyhow::Error::msg)?;
        let store = store::open(&loaded.store, Arc::clone(&clock), Arc::clone(&metrics)).await?;
        let jobs: Arc<dyn JobStore> = store.clone();
        let operations: Arc<dyn Operations> = store.clone();
        let policy = Arc::new(loaded.policy);
        let planning = Planning::new(Arc::clone(&policy), dry(&loaded.providers));
        let intake = Intake::new(
            source_intakes(&loaded.config, loaded.verifiers, loaded.decoders, &planning, &clock),
            planning,
            Arc::clone(&jobs),
            Arc::clone(&clock),
            Arc::clone(&metrics),
        );
        let intake = Arc::new(intake.traced(tracer.clone()));
        let stations = loaded.providers.iter().map(|(name, provider)| (name.clone(), station(provider))).collect();
        let worker = Worker::traced(
            Arc::clone(&jobs),
            stations,
            policy,
            Arc::clone(&clock),
            Arc::clone(&metrics),
            lifecycle.clone(),
            tracer.clone(),
        );
        let gauges = Arc::new(Gauges::new(
            Arc::clone(&metrics),
            Arc::clone(&operations),
            loaded.config.providers.keys().cloned(),
            loaded.config.sources.keys().cloned(),
        ));
        let admin = loaded.config.admin.clone().zip(loaded.tokens).map(|(settings, tokens)| {
            let state = AdminState {
                operations,
                intake: Arc::clone(&intake),
                providers: Arc::new(provider_infos(&loaded.config, &loaded.providers)),
                clients: Arc::new(loaded.providers.clone()),
                sources: Arc::new(loaded.config.sources.keys().cloned().collect()),
                gauges: Arc::clone(&gauges),
                tokens: Arc::new(tokens),
                hosts: Arc::new(Hosts::new(&settings, settings.listen)),
                clock: Arc::clone(&clock),
            };
            AdminRoom { router: Live::new(admin::router(state.clone())), state: Live::new(state) }
        });
        let listen = loaded.config.listen.detailed();
        let notifier = Notifier::new(store.clone(), loaded.targets, Arc::clone(&clock), Arc::clone(&metrics));
        let keep = loaded.config.retention.audit.0;
        let sealer =
            loaded.audit_keys.signing.map(|key| Arc::new(Sealer::new(store.clone(), key, keep, Arc::clone(&clock))));
        let queues = queues_of(&loaded.config);
        let queue_health = Arc::new(QueueHealth::new(queues.into_keys(), Arc::clone(&metrics)));
        let parts = QueueParts {
            intake: Arc::clone(&intake),
            health: Arc::clone(&queue_health),
            clock: Arc::clone(&clock),
            lifecycle: lifecycle.clone(),
        };
        let running = Arc::new(Running {
            store: Arc::clone(&store),
            intake: Arc::clone(&intake),
            worker: worker.clone(),
            queues: Queues::new(parts),
            gauges,
            retention: Live::new(loaded.retention),
            admin,
            clock: Arc::clone(&clock),
            in_use: Live::new(InUse { config: loaded.config, providers: loaded.providers, summary }),
        });
        let heart = Heart::new(jobs, worker.clone(), replica(Role::All, &clock), Arc::clone(&clock));
        let (path, clock_of_reloads) = (loaded.path, Arc::clone(&clock));
        let reloader = Reloader::new(path, loaded.digest, Arc::clone(&running), clock_of_reloads, Arc::clone(&metrics));
        Ok(Self {
            intake,
            store,
            worker,
            metrics,
            lifecycle,
            clock,
            listen,
            notifier: Arc::new(notifier),
            tracer,
            routes: loaded.routes,
            sealer,
            heart,
            role: Role::All,
            doors: Arc::new(loaded.doors),
            reloader: Arc::new(reloader),
            running,
            queue_health,
        })
    }

    /// Does only a part of the work; other processes on the same store do the rest.
    #[must_use]
    pub fn with_role(mut self, role: Role) -> Self {
        self.role = role;
        let (store, clock) = (Arc::clone(&self.store), Arc::clone(&self.clock));
        self.heart = Heart::new(store, self.worker.clone(), replica(role, &clock), clock);
        self
    }

    /// Binds the listeners and starts everything.
    pub async fn start(&self) -> anyhow::Result<Addresses> {
        self.begin_telling().await?;
        self.send_traces();
        if self.role.works() {
            self.running.hold_orphans().await?;
        }
        self.heart.start().await;
        let alerts = bind(self.listen.address).await?;
        let mut addresses = Addresses { alerts: alerts.local_addr()?, admin: None, metrics: None };
        let in_use = self.running.in_use.get();
        if let Some((settings, room)) = in_use.config.admin.as_ref().zip(self.running.admin.as_ref()) {
            let listener = bind(settings.listen).await?;
            let bound = listener.local_addr()?;
            addresses.admin = Some(bound);
            let limits = self.limits_of(ADMIN_CONNECTIONS);
            // The port is known only now, where the config left it open.
            let state = room.state.get();
            room.furnish(AdminState { hosts: Arc::new(Hosts::new(settings, bound)), ..AdminState::clone(&state) });
            let router = self.admin_router();
            let secured = self.secured(self.doors.admin.as_ref());
            let serving = listener::serve(listener, router, limits, secured, self.lifecycle.clone());
            self.lifecycle.spawn_vital("operator API", serving);
        }
        if let Some(settings) = &in_use.config.metrics {
            let listener = bind(settings.listen).await?;
            addresses.metrics = Some(listener.local_addr()?);
            let router = admin::metrics_router(Arc::clone(&self.running.gauges));
            let (limits, secured) = (self.limits_of(METRICS_CONNECTIONS), self.secured(self.doors.metrics.as_ref()));
            let serving = listener::serve(listener, router, limits, secured, self.lifecycle.clone());
            self.lifecycle.spawn_vital("metrics listener", serving);
        }
        let (limits, secured) = (self.alert_limits(), self.secured(self.doors.alerts.as_ref()));
        let serving = listener::serve(alerts, self.alert_router(), limits, secured, self.lifecycle.clone());
        self.lifecycle.spawn_vital("alert listener", serving);
        self.watch_certificates();
        if self.role.takes_in() {
            self.consume_queues();
        }
        let (heart, lifecycle) = (self.heart.clone(), self.lifecycle.clone());
        self.lifecycle.spawn_vital("heart", async move { heart.run(&lifecycle).await });
        if self.role.works() {
            let worker = self.worker.clone();
            self.lifecycle.spawn_vital("worker", async move { worker.run().await });
            let (running, lifecycle) = (Arc::clone(&self.running), self.lifecycle.clone());
            self.lifecycle.spawn_vital("retention", async move { retention::prune_forever(running, lifecycle).await });
            self.notifier.start(&self.lifecycle);
            if let Some(sealer) = self.sealer.clone() {
                self.lifecycle.spawn_vital("sealer", sealer.run(self.lifecycle.clone()));
            }
        }
        let (reloader, lifecycle) = (Arc::clone(&self.reloader), self.lifecycle.clone());
        self.lifecycle.spawn_vital("config watch", async move { reloader.run(&lifecycle).await });
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

    /// No vital task: nothing but traces depends on it.
    fn send_traces(&self) {
        if self.tracer.is_on() {
            let (tracer, lifecycle) = (self.tracer.clone(), self.lifecycle.clone());
            self.lifecycle.spawn(async move { tracer.run(lifecycle.draining()).await });
        }
    }

    fn secured(&self, tls: Option<&Arc<ServerTls>>) -> Option<Secured> {
        Some(Secured { tls: Arc::clone(tls?), metrics: Arc::clone(&self.metrics) })
    }

    fn watch_certificates(&self) {
        let (doors, clock, metrics) = (Arc::clone(&self.doors), Arc::clone(&self.clock), Arc::clone(&self.metrics));
        let lifecycle = self.lifecycle.clone();
        self.lifecycle.spawn_vital("certificate watch", async move {
            while !lifecycle.is_draining() {
                doors.iter().for_each(|door| door.look(clock.now(), &metrics));
                tokio::select! {
                    () = lifecycle.draining() => {}
                    () = tokio::time::sleep(LOOK_EVERY) => {}
                }
            }
        });
    }

    /// One consumer for each queue. Whether its broker is there is its own concern.
    pub fn consume_queues(&self) {
        self.running.queues.consume(&queues_of(&self.running.in_use.get().config));
    }

    /// The operator API as it is at the time of each request.
    pub fn admin_router(&self) -> Router {
        let running = Arc::clone(&self.running);
        let now = move |request: Request| {
            let router = running.admin.as_ref().map(|room| Router::clone(&room.router.get()));
            async move {
                match router {
                    Some(router) => router.oneshot(request).await,
                    None => Ok::<_, Infallible>(StatusCode::NOT_FOUND.into_response()),
                }
            }
        };
        Router::new().fallback_service(tower::service_fn(now))
    }

    /// Waits until everything has stopped, letting go of what does not finish in time.
    pub async fn finish(&self) {
        tokio::select! {
            () = self.lifecycle.finish(DRAIN, LET_GO) => {}
            // What is under way may still have to call.
            () = self.heart.run_on() => {}
        }
        self.heart.stop().await;
        // Last, for what ended just now is among it.
        self.tracer.flush().await;
    }

    /// The alert listener's routes. One that only works answers nothing but whether it is ready.
    pub fn alert_router(&self) -> Router {
        let limits = WebhookLimits {
            body_timeout: self.listen.body_timeout.0,
            trusted_proxies: TrustedProxies::new(self.listen.trusted_proxies.clone()),
            public_url: self.listen.public_url.clone(),
            // Half of the share that a single peer gets where no proxy is trusted.
            late_answers: self.listen.max_connections / 8,
        };
        let ready = get(ready).with_state(Readiness {
            store: Arc::clone(&self.store),
            lifecycle: self.lifecycle.clone(),
            queues: self.role.takes_in().then(|| Arc::clone(&self.queue_health)),
            doors: Arc::clone(&self.doors),
            clock: Arc::clone(&self.clock),
            reloader: Arc::clone(&self.reloader),
            running: Arc::clone(&self.running),
        });
        if !self.role.takes_in() {
            return Router::new().route("/healthz", get(|| async { "ok\n" })).route("/readyz", ready);
        }
        ingest::router(Arc::clone(&self.intake), limits, Arc::clone(&self.clock), self.lifecycle.clone(), ready)
    }

    /// Of a listener that only a few of us use.
    fn limits_of(&self, connections: usize) -> ListenerLimits {
        ListenerLimits { connections, connections_per_peer: connections, header_timeout: self.listen.header_timeout.0 }
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

/// Every source that is whole.
fn source_intakes(
    config: &Config,
    verifiers: BTreeMap<SourceName, Verifier>,
    mut decoders: BTreeMap<SourceName, Decoder>,
    planning: &Arc<Planning>,
    clock: &Arc<dyn Clock>,
) -> Vec<SourceIntake> {
    let source = |(name, verifier): (SourceName, Verifier)| {
        let (settings, decoder) = (config.sources.get(&name)?, decoders.remove(&name)?);
        Some(SourceIntake::new(name, settings, verifier, decoder, Arc::clone(planning), Arc::clone(clock)))
    };
    verifiers.into_iter().filter_map(source).collect()
}

fn queues_of(config: &Config) -> BTreeMap<SourceName, AmqpSettings> {
    config.sources.iter().filter_map(|(name, source)| Some((name.clone(), source.amqp.clone()?))).collect()
}

fn replica(role: Role, clock: &Arc<dyn Clock>) -> Replica {
    Replica {
        id: uuid::Uuid::now_v7().to_string(),
        roles: role.parts(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started_at: clock.now(),
    }
}

fn station(configured: &Configured) -> Station {
    let common = &configured.common;
    Station {
        provider: Arc::clone(&configured.provider),
        concurrency: common.limits.concurrency.get(),
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
        limits: configured.common.limits,
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
    doors: Arc<Doors>,
    clock: Arc<dyn Clock>,
    reloader: Arc<Reloader>,
    running: Arc<Running>,
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
    let doors = readiness.doors.iter().filter_map(|door| door.degraded(readiness.clock.now()));
    let degraded: Vec<String> = gates
        .chain(circuits)
        .chain(queue_troubles)
        .chain(doors)
        .chain(readiness.reloader.degraded())
        .chain(readiness.store.troubles())
        .collect();
    if readiness.running.is_queues_only() && queues.is_some_and(|queues| !queues.is_any_connected()) {
        let body = json!({"status": "no broker", "degraded": degraded});
        return (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response();
    }
    Json(json!({"status": "ready", "degraded": degraded})).into_response()
}
