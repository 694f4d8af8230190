//! The operator API over a real store: who gets in, what each route answers, and who is recorded for what.

mod bulk;
mod changes;
mod doors;
mod logs;
mod looks;
mod openapi;
mod recorded;
mod replays;
mod revocations;
mod sessions;
mod settings;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::request::Builder;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sever::admin::{AdminSettings, AdminState, Gauges, Hosts, ProviderInfo, Tokens, metrics_router, router};
use sever::clock::{Clock, ManualClock};
use sever::decode::Decoder;
use sever::domain::{Claim, Delivery, ProviderName, ScopeKind, SourceName};
use sever::ingest::{Intake, Planning, Refusal, SourceIntake, SourceSettings};
use sever::policy::{Policy, PolicySettings};
use sever::provider::{LimitSettings, ProviderKind, Providers};
use sever::store::{ClaimRequest, JobStore, Operations, Receipt, SqliteStore};
use sever::telemetry::Metrics;
use sever::verify::{Signer, Verifier};
use tower::ServiceExt;

const OPERATOR: &str = "operator-token-0123456789abcdef";
const VIEWER: &str = "viewer-token-0123456789abcdef";
const HOST: &str = "127.0.0.1:8081";

/// A rule that works with the alerts below, and one that meets an attribute which they do not have.
const SOUND: &str = "alert.severity >= high";
const FAILING: &str = r#"alert.attributes.ip == "203.0.113.9""#;

/// The service without listeners and workers.
struct World {
    store: Arc<SqliteStore>,
    clock: Arc<ManualClock>,
    metrics: Arc<Metrics>,
    intake: Arc<Intake>,
    clients: Arc<Providers>,
    router: Router,
    _folder: tempfile::TempDir,
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    text: String,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// An RFC 9457 problem of this status and kind; its detail.
    #[track_caller]
    fn problem(&self, status: u16, word: &str) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["type"], format!("urn:sever:problem:{word}"));
        assert_eq!(problem["status"], status);
        problem["detail"].as_str().unwrap_or_default().to_owned()
    }

    #[track_caller]
    fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        self.json()
    }
}

fn source() -> SourceName {
    "edr".parse().expect("a name")
}

fn okta() -> ProviderName {
    "okta".parse().expect("a name")
}

fn source_settings() -> SourceSettings {
    let secret = format!("whsec_{}", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
    serde_json::from_value(json!({"verify": {"scheme": "standard-webhooks", "secrets": [{"value": secret}]}}))
        .expect("settings")
}

fn admin_settings() -> AdminSettings {
    serde_json::from_value(json!({"hosts": ["sever.acme.com"], "tokens": [
        {"name": "oncall", "role": "operator", "secret": {"value": OPERATOR}},
        {"name": "screen", "role": "viewer", "secret": {"value": VIEWER}},
    ]}))
    .expect("settings")
}

fn policy(when: &str) -> Policy {
    let settings: PolicySettings =
        serde_json::from_value(json!({"rules": [{"name": "stolen", "when": when, "revoke": [{"provider": "okta"}]}]}))
            .expect("settings");
    Policy::new(&settings, &BTreeMap::from([(okta(), vec![ScopeKind::All])])).expect("a policy")
}

fn intake(store: &Arc<SqliteStore>, clock: &Arc<ManualClock>, metrics: &Arc<Metrics>, when: &str) -> Intake {
    let settings = source_settings();
    let verifier = Verifier::new(source(), &settings.verify).expect("a verifier");
    let decoder = Decoder::new(None, None).expect("a decoder");
    let planning = Planning::new(Arc::new(policy(when)), Default::default());
    let rules = Arc::clone(&planning);
    let source = SourceIntake::new(source(), &settings, verifier, decoder, rules, Arc::clone(clock) as Arc<dyn Clock>);
    let (store, clock) = (Arc::clone(store), Arc::clone(clock));
    Intake::new(vec![source], planning, store, clock, Arc::clone(metrics))
}

impl World {
    fn new() -> Self {
        Self::with_rule(SOUND)
    }

    fn with_rule(when: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new("2026-11-21T22:15:00Z".parse().expect("a time")));
        let metrics = Arc::new(Metrics::new());
        let path = folder.path().join("sever.db");
        let store = SqliteStore::open(&path, Arc::clone(&clock) as Arc<dyn Clock>, Arc::clone(&metrics));
        let store = Arc::new(store.expect("a store"));
        let intake = Arc::new(intake(&store, &clock, &metrics, when));
        let clients = Arc::default();
        let mut world = Self { store, clock, metrics, intake, clients, router: Router::new(), _folder: folder };
        world.router = router(world.state());
        world
    }

    /// The config is mended; the store stays.
    fn change_rule(&mut self, when: &str) {
        self.intake = Arc::new(intake(&self.store, &self.clock, &self.metrics, when));
        self.router = router(self.state());
    }

    fn system_clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn set_clients(&mut self, clients: Providers) {
        self.clients = Arc::new(clients);
        self.router = router(self.state());
    }

    fn state(&self) -> AdminState {
        let settings = admin_settings();
        let info = ProviderInfo { kind: ProviderKind::Okta, dry_run: false, limits: LimitSettings::default() };
        AdminState {
            operations: Arc::clone(&self.store) as Arc<dyn Operations>,
            intake: Arc::clone(&self.intake),
            providers: Arc::new(BTreeMap::from([(okta(), info)])),
            clients: Arc::clone(&self.clients),
            sources: Arc::new(BTreeSet::from([source()])),
            gauges: self.gauges(),
            tokens: Arc::new(Tokens::new(&settings).expect("tokens")),
            hosts: Arc::new(Hosts::new(&settings, settings.listen)),
            clock: Arc::clone(&self.clock) as Arc<dyn Clock>,
        }
    }

    fn gauges(&self) -> Arc<Gauges> {
        let operations = Arc::clone(&self.store) as Arc<dyn Operations>;
        Arc::new(Gauges::new(Arc::clone(&self.metrics), operations, [okta()], [source()]))
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.expect("a router never fails");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a body").to_bytes();
        let text = String::from_utf8(body.to_vec()).expect("text");
        for token in [OPERATOR, VIEWER] {
            assert!(!text.contains(token) && !format!("{:?}", parts.headers).contains(token), "a token leaked");
        }
        Answer { status: parts.status, headers: parts.headers, text }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(request(Method::GET, path, OPERATOR).body(Body::empty()).expect("a request")).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        let request = request(Method::POST, path, OPERATOR).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).expect("a request")).await
    }

    async fn post_nothing(&self, path: &str) -> Answer {
        self.send(request(Method::POST, path, OPERATOR).body(Body::empty()).expect("a request")).await
    }

    /// A delivery, signed as its sender would.
    async fn deliver(&self, id: &str, body: impl Into<Vec<u8>>) -> Result<Receipt, Refusal> {
        let body: Vec<u8> = body.into();
        let signer = Signer::new(&source_settings().verify).expect("a signer");
        let headers = signer.sign(id, self.clock.now(), &body).expect("signed").into_iter().collect();
        self.deliver_with(headers, body).await
    }

    async fn deliver_with(&self, headers: HeaderMap, body: Vec<u8>) -> Result<Receipt, Refusal> {
        let received_at = self.clock.now();
        let delivery = Delivery::new(source(), headers, body.into(), received_at);
        let taken = self.intake.receive(&self.intake.source("edr").expect("the source"), delivery, None).await?;
        Ok(taken.receipt().expect("no question"))
    }

    /// The id of the job of an alert about this person.
    async fn job(&self, email: &str) -> String {
        let receipt = self.deliver(&email.replace(['@', '.'], "-"), alert(email)).await.expect("a receipt");
        receipt.alerts[0].jobs[0].id.to_string()
    }

    async fn claim(&self) -> Vec<Claim> {
        let request = ClaimRequest { provider: okta(), limit: 10, lease: Duration::from_secs(60) };
        self.store.claim(request).await.expect("claims")
    }

    /// Everything on record, as (event, actor).
    async fn audit(&self) -> Vec<(String, String)> {
        let page = self.store.audit(None, 1000).await.expect("the record");
        page.items.into_iter().map(|row| (row.event, row.actor)).collect()
    }
}

fn request(method: Method, path: &str, token: &str) -> Builder {
    let builder = Request::builder().method(method).uri(path).header("host", HOST);
    builder.header("authorization", format!("Bearer {token}"))
}

fn alert(email: &str) -> String {
    json!({
        "id": format!("alert-{email}"), "kind": "session_stolen", "severity": "critical",
        "occurred_at": "2026-11-21T22:14:07Z", "subjects": [{"email": email}],
    })
    .to_string()
}
