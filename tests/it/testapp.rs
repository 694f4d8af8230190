//! The whole service around a manual clock, a real store and the strict sandbox.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use sever::app::App;
use sever::clock::{Clock, ManualClock};
use sever::config::Loaded;
use sever::domain::{JobId, JobState};
use sever::lifecycle::Lifecycle;
use sever::sandbox::Sandbox;
use sever::sandbox::okta::{OktaSandbox, Person};
use sever::store::{JobDetail, JobFilter};
use sever::verify::{Signer, VerifySettings};
use tempfile::TempDir;
use tower::ServiceExt;

pub(crate) const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo=";
pub(crate) const TOKEN: &str = "00testTokenThatTheSandboxTakes0123456789";

/// Starts at a round time, so that failures are easy to read.
pub(crate) const START: &str = "2026-11-21T22:00:00Z";

pub(crate) struct TestApp {
    pub(crate) app: App,
    pub(crate) sandbox: Sandbox,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) folder: TempDir,
    pub(crate) lifecycle: Lifecycle,
    signer: Signer,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: axum::http::HeaderMap,
    pub(crate) body: Value,
}

impl Answer {
    #[track_caller]
    pub(crate) fn assert_accepted(self) -> Self {
        assert_eq!(self.status, StatusCode::ACCEPTED, "{}", self.body);
        assert_eq!(self.body["status"], "accepted", "{}", self.body);
        self
    }

    /// The id of the only job.
    #[track_caller]
    pub(crate) fn job(&self) -> JobId {
        let jobs: Vec<&Value> = self.body["alerts"]
            .as_array()
            .into_iter()
            .flatten()
            .flat_map(|alert| alert["jobs"].as_array())
            .flatten()
            .collect();
        assert_eq!(jobs.len(), 1, "one job was expected: {}", self.body);
        jobs[0]["id"].as_str().and_then(|id| id.parse().ok()).expect("a job id")
    }
}

/// A config around the sandbox; `{okta}` and `{dir}` are filled in.
pub(crate) const CONFIG: &str = r#"
listen: 127.0.0.1:0
store: sqlite://{dir}/sever.db
sources:
  edr:
    verify: {scheme: standard-webhooks, secrets: [{value: "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSwMfKQ9r8GKYo="}]}
providers:
  okta:
    kind: okta
    url: {okta}
    credentials: {api_token: {value: 00testTokenThatTheSandboxTakes0123456789}}
    timeout: 2s
rules:
  - name: stolen session
    when: alert.severity >= high && alert.kind == "session_stolen"
    revoke: [{provider: okta}]
guardrails:
  protected: [{email: "breakglass-*@example.com"}, {provider: okta, id: 00uprotected00000000}]
"#;

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::with(CONFIG).await
    }

    pub(crate) async fn with(config: &str) -> Self {
        Self::adjusted(config, |_| ()).await
    }

    /// With parts of the loaded config replaced.
    pub(crate) async fn adjusted(config: &str, adjust: impl FnOnce(&mut Loaded)) -> Self {
        Self::on(clock(), config, adjust).await
    }

    /// Around one provider of another kind. Its stand-in runs on `clock`, and `settings` (with `kind` and `url`) lead to
    /// it; the rule of [`CONFIG`] ends every session there.
    pub(crate) async fn with_provider(clock: Arc<ManualClock>, name: &str, settings: Value) -> Self {
        Self::with_target(clock, json!({"provider": name}), settings).await
    }

    /// The same, where the rule asks for what `target` says, such as `{"provider": "chat", "scope": "sessions"}`.
    pub(crate) async fn with_target(clock: Arc<ManualClock>, target: Value, settings: Value) -> Self {
        Self::on(clock, &config_for(&target, &settings), |_| ()).await
    }

    async fn on(clock: Arc<ManualClock>, config: &str, adjust: impl FnOnce(&mut Loaded)) -> Self {
        let shared: Arc<dyn Clock> = clock.clone();
        let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&shared)).await.expect("a port");
        let admin = Person::new("admin@example.com");
        let admin_id = admin.id.clone();
        sandbox.okta().add_person(admin);
        sandbox.okta().accept_ssws(TOKEN, &admin_id);
        let folder = tempfile::tempdir().expect("a folder");
        let lifecycle = Lifecycle::new();
        let app = Self::open(config, &sandbox, &folder, &shared, &lifecycle, adjust).await;
        let signer = Signer::new(&signing()).expect("a signer");
        Self { app, sandbox, clock, folder, lifecycle, signer }
    }

    async fn open(
        config: &str,
        sandbox: &Sandbox,
        folder: &TempDir,
        clock: &Arc<dyn Clock>,
        lifecycle: &Lifecycle,
        adjust: impl FnOnce(&mut Loaded),
    ) -> App {
        let dir = folder.path().to_str().expect("a path");
        let text = config.replace("{okta}", &sandbox.okta().url()).replace("{dir}", dir);
        let file = folder.path().join("sever.yaml");
        std::fs::write(&file, text).expect("the config is written");
        let mut loaded = Loaded::from_file(&file, clock).unwrap_or_else(|problems| panic!("{problems}"));
        adjust(&mut loaded);
        App::new(loaded, Arc::clone(clock), lifecycle.clone()).await.expect("an app")
    }

    /// Ends this process's part and begins again on the same file, as a new process would, perhaps with other rules.
    pub(crate) async fn restart_with(self, config: &str) -> Self {
        let Self { app, sandbox, clock, folder, signer, .. } = self;
        drop(app);
        let lifecycle = Lifecycle::new();
        let shared: Arc<dyn Clock> = clock.clone();
        let app = Self::open(config, &sandbox, &folder, &shared, &lifecycle, |_| ()).await;
        Self { app, sandbox, clock, folder, lifecycle, signer }
    }

    pub(crate) fn okta(&self) -> &OktaSandbox {
        self.sandbox.okta()
    }

    /// Somebody with so many sessions.
    pub(crate) fn person(&self, login: &str, sessions: usize) -> Person {
        let person = Person::new(login);
        self.okta().add_person(person.clone());
        for _ in 0..sessions {
            self.okta().sign_in(&person.id);
        }
        person
    }

    /// Signs an alert and posts it.
    pub(crate) async fn deliver(&self, alert: Value) -> Answer {
        self.deliver_as(&uuid(), alert).await
    }

    pub(crate) async fn deliver_as(&self, delivery: &str, alert: Value) -> Answer {
        let body = alert.to_string();
        let headers = self.signer.sign(delivery, self.clock.now(), body.as_bytes()).expect("signed");
        self.post("edr", headers, body.into_bytes()).await
    }

    pub(crate) async fn post(
        &self,
        source: &str,
        headers: Vec<(axum::http::HeaderName, axum::http::HeaderValue)>,
        body: Vec<u8>,
    ) -> Answer {
        let mut request = Request::post(format!("/v1/alerts/{source}"))
            .header("content-type", "application/json")
            .body(Body::from(body))
            .expect("a request");
        request.headers_mut().extend(headers);
        self.send(request).await
    }

    pub(crate) async fn send(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 9], 4711))));
        let response = self.app.alert_router().oneshot(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a body").to_bytes();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        Answer { status: parts.status, headers: parts.headers, body }
    }

    /// Works until nothing is due at this time of the manual clock.
    pub(crate) async fn drain(&self) {
        for _ in 0..1000 {
            let started = self.app.worker.step().await;
            if started.is_empty() {
                return;
            }
            for task in started {
                task.await.expect("an attempt panicked");
            }
        }
        panic!("jobs stay due however often they are tried");
    }

    pub(crate) async fn wait_and_drain(&self, time: Duration) {
        self.clock.advance(time);
        self.drain().await;
    }

    pub(crate) async fn job(&self, job: JobId) -> JobDetail {
        self.app.store.job(job).await.expect("the store answers").expect("the job is there")
    }

    pub(crate) async fn jobs(&self, state: Option<JobState>) -> Vec<sever::store::JobView> {
        let filter = JobFilter { state, limit: 1000, ..JobFilter::default() };
        self.app.store.jobs(filter).await.expect("the store answers").items
    }

    /// Every job is over.
    pub(crate) async fn assert_nothing_open(&self) {
        let open: Vec<_> = self.jobs(None).await.into_iter().filter(|job| !job.state.is_final()).collect();
        assert!(open.is_empty(), "left behind: {open:#?}");
    }

    /// The events of the audit record, in order.
    pub(crate) async fn audit(&self) -> Vec<String> {
        let page = self.app.store.audit(None, 1000).await.expect("the store answers");
        page.items.into_iter().map(|row| row.event).collect()
    }

    #[track_caller]
    pub(crate) fn assert_untouched(&self, person: &Person, sessions: usize) {
        assert_eq!(self.okta().sessions_of(&person.id), sessions, "sessions of {}", person.login);
        assert_eq!(self.okta().revocations_of(&person.id), 0, "calls for {}", person.login);
    }

    pub(crate) async fn gates(&self) -> Vec<String> {
        self.app.store.gates().await.expect("gates").into_iter().map(|gate| gate.reason.to_string()).collect()
    }
}

/// A clock at [`START`], moved by hand.
pub(crate) fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::new(START.parse().expect("a time")))
}

/// [`CONFIG`] with another provider in Okta's place. JSON is YAML.
pub(crate) fn config_for(target: &Value, settings: &Value) -> String {
    let name = target["provider"].as_str().expect("the target names its provider");
    let (before, rest) = CONFIG.split_once("providers:").expect("providers");
    let (_, rules) = rest.split_once("rules:").expect("rules");
    let of_okta = ", {provider: okta, id: 00uprotected00000000}";
    let rules = rules.replace("{provider: okta}", &target.to_string()).replace(of_okta, "");
    format!("{before}providers:\n  {name}: {settings}\nrules:{rules}")
}

pub(crate) fn uuid() -> String {
    format!("msg_{}", JobId::new().0.simple())
}

/// The settings of the `edr` source, as a sender has them.
pub(crate) fn signing() -> VerifySettings {
    serde_json::from_value(json!({"scheme": "standard-webhooks", "secrets": [{"value": SECRET}]})).expect("settings")
}

/// An alert that the rule of [`CONFIG`] matches.
pub(crate) fn stolen(id: &str, subjects: Value) -> Value {
    json!({
        "id": id, "kind": "session_stolen", "severity": "critical", "occurred_at": "2026-11-21T21:59:30Z",
        "subjects": subjects, "reason": "infostealer cookie seen for sale",
    })
}

pub(crate) fn by_email(id: &str, email: &str) -> Value {
    stolen(id, json!([{"email": email}]))
}
