//! What is measured, done again and again: one alert after another through the alert listener's routes, one job after
//! another through the worker, each alone in its commits.
//!
//! Always the same: the clock stands still, and people, ids and secrets are numbered. Only UUIDs of version 7 and the key of
//! the log's digests are drawn.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::json;
use sever::app::App;
use sever::clock::{Clock, ManualClock};
use sever::config::Loaded;
use sever::domain::JobState;
use sever::lifecycle::Lifecycle;
use sever::verify::{Signer, VerifySettings};
use tempfile::TempDir;
use tower::ServiceExt;

use crate::config::{store_of, write_config};
use crate::meter::{Meter, Phase};
use crate::person::{SECRET, Subject, body};
use crate::schema::Schema;
use crate::wire::Wire;
use crate::{Costs, Counts};

/// As somebody has it who is no sender.
const WRONG_SECRET: &str = "whsec_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// When all of this happens.
const NOW: &str = "2026-11-21T22:00:00Z";

/// How often each is done. Trees of the database grow a page now and then: of that many, few.
const TIMES: usize = 60;

/// Before anything counts: statements are prepared, connections open, buffers grown.
const WARM_UP: usize = 20;

/// Never gets as far as a store.
const FORGED: &str = "forged alert";

/// A service of which nothing runs by itself.
struct Stage {
    app: App,
    router: Router,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

/// Under Valgrind: what was counted goes to whoever started this, line by line.
pub(crate) fn on_sqlite() {
    let folder = folder();
    let store = format!("sqlite://{}", store_of(folder.path()).display());
    let phases = run(folder, &store, "", Counts::new);
    phases.iter().for_each(|phase| crate::say(&serde_json::to_string(phase).expect("a line")));
}

/// Counts what goes over the wire to this server.
pub(crate) fn on_postgres(server: &str) -> Costs {
    let (wire, schema) = (Wire::to(server), Schema::new(server));
    let phases = run(folder(), &schema.url_through(wire.address()), ", PostgreSQL", || wire.counts());
    let costs = phases.into_iter().map(|phase| (phase.name, phase.counts));
    costs.filter(|(name, _)| !name.starts_with(FORGED)).collect()
}

fn run(folder: TempDir, store: &str, on: &str, counters: impl Fn() -> Counts) -> Vec<Phase> {
    log_to_nowhere();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async { Stage::set(folder, store).await.phases(on, counters).await })
}

impl Stage {
    async fn set(folder: TempDir, store: &str) -> Self {
        let provider = format!("http://{}", crate::answers::start());
        // One job at a time.
        let file = write_config(folder.path(), &provider, 1);
        let text = std::fs::read_to_string(&file).expect("the config");
        let ours = format!("sqlite://{}", store_of(folder.path()).display());
        std::fs::write(&file, text.replace(&ours, store)).expect("the config is written");
        let clock = Arc::new(ManualClock::new(NOW.parse().expect("a time")));
        let shared: Arc<dyn Clock> = clock.clone();
        let loaded = Loaded::from_file(&file, &shared).unwrap_or_else(|problems| panic!("{problems}"));
        let app = App::new(loaded, shared, Lifecycle::new()).await.expect("an app");
        app.begin_telling().await.expect("a store that works");
        Self { router: app.alert_router(), app, clock, _folder: folder }
    }

    /// Each thing that is measured, after all of them were warmed up.
    async fn phases(&self, on: &str, further: impl Fn() -> Counts) -> Vec<Phase> {
        let counters = || further().into_iter().chain(commits(&self.app.metrics.render())).collect::<Counts>();
        let warm_up = self.people(0..WARM_UP);
        self.send(self.requests(SECRET, &warm_up), StatusCode::ACCEPTED).await;
        self.send(self.requests(SECRET, &warm_up), StatusCode::OK).await;
        self.send(self.requests(WRONG_SECRET, &warm_up), StatusCode::UNAUTHORIZED).await;
        self.work(WARM_UP).await;
        let people = self.people(WARM_UP..WARM_UP + TIMES);
        let mut phases = Vec::new();
        for (name, secret, expected) in [
            ("alert", SECRET, StatusCode::ACCEPTED),
            ("redelivery", SECRET, StatusCode::OK),
            (FORGED, WRONG_SECRET, StatusCode::UNAUTHORIZED),
        ] {
            let requests = self.requests(secret, &people);
            let meter = Meter::start(&counters);
            self.send(requests, expected).await;
            phases.push(meter.stop(&format!("{name}{on}"), TIMES));
        }
        let meter = Meter::start(&counters);
        self.work(TIMES).await;
        phases.push(meter.stop(&format!("job{on}"), TIMES));
        assert_eq!(self.done().await, (WARM_UP + TIMES) as u64, "every job is done");
        let meter = Meter::start(&counters);
        self.look(TIMES).await;
        phases.push(meter.stop(&format!("nothing due{on}"), TIMES));
        phases
    }

    fn people(&self, numbers: std::ops::Range<usize>) -> Vec<Subject> {
        numbers.map(Subject::numbered).collect()
    }

    /// One signed request for each of these people, the same every time.
    fn requests(&self, secret: &str, people: &[Subject]) -> Vec<Request<Body>> {
        let settings = json!({"scheme": "standard-webhooks", "secrets": [{"value": secret}]});
        let settings: VerifySettings = serde_json::from_value(settings).expect("settings");
        let signer = Signer::new(&settings).expect("a signer");
        let request = |(number, person): (usize, &Subject)| {
            let (now, id) = (self.clock.now(), format!("msg_{}", person.id));
            let body = body(person, now);
            // Whoever forges many is told to wait: each comes from somebody else.
            let peer = IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number as u32));
            let mut request = Request::post("/v1/alerts/edr")
                .header("host", "sever")
                .header("content-type", "application/json")
                .header("content-length", body.len())
                .extension(ConnectInfo(SocketAddr::from((peer, 443))));
            for (name, value) in signer.sign(&id, now, body.as_bytes()).expect("signed") {
                request = request.header(name, value);
            }
            request.body(Body::from(body)).expect("a request")
        };
        people.iter().enumerate().map(request).collect()
    }

    async fn send(&self, requests: Vec<Request<Body>>, expected: StatusCode) {
        for request in requests {
            let Ok(answer) = self.router.clone().oneshot(request).await;
            assert_eq!(answer.status(), expected);
            answer.into_body().collect().await.expect("a body");
        }
    }

    async fn work(&self, jobs: usize) {
        for _ in 0..jobs {
            let started = self.app.worker.step().await;
            assert_eq!(started.len(), 1, "one job at a time");
            for attempt in started {
                attempt.await.expect("it ends well");
            }
        }
    }

    /// What a worker does ten times a second while there is no job.
    async fn look(&self, times: usize) {
        for _ in 0..times {
            assert!(self.app.worker.step().await.is_empty(), "no job is left");
        }
    }

    async fn done(&self) -> u64 {
        let backlog = self.app.store.backlog().await.expect("a backlog");
        backlog.jobs.iter().filter(|(_, state, _)| *state == JobState::Done).map(|(.., jobs)| jobs).sum()
    }
}

/// Transactions, and what was handed to the thread that makes them, from the service's own metrics.
fn commits(metrics: &str) -> Counts {
    let value = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{name} is among the metrics"))
    };
    [("commits", "sever_commit_seconds_count"), ("changes", "sever_commit_batch_size_sum")]
        .map(|(what, name)| (what.to_owned(), value(name)))
        .into()
}

/// On the disk of the build, not in memory.
fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// Lines are made as in the service, and thrown away.
fn log_to_nowhere() {
    let builder = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink);
    builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
}
