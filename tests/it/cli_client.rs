//! The commands for operators and analysts, run as they run them: the real binary, against a service whose answers are
//! written here from the very types that the service writes them from.

use std::collections::HashMap;
use std::io::Write;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use serde_json::{Value, json};
use sever::domain::{AlertId, JobId, Outcome, Subject};
use sever::ingest::{Problem, RefusalView};
use sever::store::{AlertReceipt, AlertView, JobDetail, JobReceipt, Page, QuarantineView, Receipt, StatusView};
use sever::verify::{Verifier, VerifySettings};
use tempfile::TempDir;

use crate::verify::delivery;

const TOKEN: &str = "token-of-the-tests-0123456789";
const JOB: &str = "0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c11";
const OTHER_JOB: &str = "0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c12";
const ALERT: &str = "0199a7f0-3c1e-7a52-9d0b-5a4f0e6b7c99";
const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// Clears a screen, sets a title, turns text around, and hides some; the C1 control does without an ESC.
const HOSTILE: &str = "x\u{1b}[2J\u{1b}]0;owned\u{7}\u{9b}31m\u{202e}evil\u{200b}\rgone\nJob forged: done";

// ---- the service of these tests ------------------------------------------------------------------------------------

struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    body: String,
}

fn ok(body: &impl serde::Serialize) -> Answer {
    Answer { status: 200, headers: Vec::new(), body: serde_json::to_string(body).expect("JSON") }
}

fn problem(status: u16, word: &str, title: &str, detail: Option<&str>) -> Answer {
    let status = http::StatusCode::from_u16(status).expect("a status");
    let problem = Problem::new(status, word, title);
    let problem = detail.into_iter().fold(problem, Problem::detail);
    Answer { status: status.as_u16(), ..ok(&problem) }
}

#[derive(Debug, Clone)]
struct Seen {
    line: String,
    headers: HeaderMap,
    body: Vec<u8>,
}

#[derive(Default)]
struct Script {
    /// What to answer to `METHOD /path?query`, in turn; the last is repeated.
    answers: HashMap<String, Vec<Answer>>,
    seen: Vec<Seen>,
}

/// A service, the operator's token, and a config.
struct Scene {
    folder: TempDir,
    address: SocketAddr,
    script: Arc<Mutex<Script>>,
}

impl Scene {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("token"), format!("{TOKEN}\n")).expect("a token file");
        std::fs::write(folder.path().join("secret"), format!("{SECRET}\n")).expect("a secret file");
        let script = Arc::new(Mutex::new(Script::default()));
        let address = serve(Arc::clone(&script));
        Self { folder, address, script }
    }

    fn on(self, line: &str, answers: impl IntoIterator<Item = Answer>) -> Self {
        self.script.lock().expect("script").answers.insert(line.to_owned(), answers.into_iter().collect());
        self
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).expect("a file");
        path.display().to_string()
    }

    fn seen(&self) -> Vec<Seen> {
        self.script.lock().expect("script").seen.clone()
    }

    /// A client command, with the place and the token that it needs.
    fn client(&self, args: &[&str]) -> Ran {
        let (url, token) = (self.url(), self.folder.path().join("token").display().to_string());
        run(&[args, &["--url", &url, "--token-file", &token]].concat(), "")
    }

    /// `sever send` of an alert, with everything that it needs.
    fn send(&self, extra: &[&str]) -> Ran {
        let (url, token) = (self.url(), self.folder.path().join("token").display().to_string());
        let (config, alert) = (self.file("sever.yaml", &config(&self.secret())), self.file("alert.json", ALERT_BODY));
        let mut args = vec!["send", &alert, "-c", &config, "--url", &url];
        if extra.contains(&"--wait") {
            args.extend(["--admin-url", &url, "--token-file", &token]);
        }
        run(&[&args, extra].concat(), "")
    }

    fn secret(&self) -> String {
        format!("{{file: {}}}", self.folder.path().join("secret").display())
    }
}

fn serve(script: Arc<Mutex<Script>>) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    listener.set_nonblocking(true).expect("a listener");
    let address = listener.local_addr().expect("an address");
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("a listener");
            let router = Router::new().fallback(answer).with_state(script);
            axum::serve(listener, router).await.expect("served");
        });
    });
    address
}

async fn answer(State(script): State<Arc<Mutex<Script>>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    let body = to_bytes(body, usize::MAX).await.expect("a body").to_vec();
    let mut script = script.lock().expect("script");
    script.seen.push(Seen { line: line.clone(), headers: parts.headers, body });
    let answers = script.answers.entry(line.clone()).or_default();
    let answer = match answers.len() {
        0 => problem(404, "not-found", "There is no such thing", Some(&format!("not scripted: {line}"))),
        1 => Answer { headers: answers[0].headers.clone(), body: answers[0].body.clone(), status: answers[0].status },
        _ => answers.remove(0),
    };
    let mut response = Response::builder().status(answer.status);
    for (name, value) in answer.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(answer.body)).expect("a response")
}

// ---- the binary ----------------------------------------------------------------------------------------------------

#[derive(Debug)]
struct Ran {
    status: i32,
    out: String,
    err: String,
}

impl Ran {
    #[track_caller]
    fn fine(self) -> String {
        assert_eq!(self.status, 0, "{self:?}");
        assert_eq!(self.err, "");
        self.out
    }

    #[track_caller]
    fn failed(self, status: i32, words: &[&str]) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        assert!(self.err.starts_with("sever: ") || status == 2, "{}", self.err);
        for word in words {
            assert!(self.err.contains(word), "{word:?} is not in {:?}", self.err);
        }
        self
    }
}

fn run(args: &[&str], input: &str) -> Ran {
    run_in(std::env::temp_dir(), args, input)
}

fn run_in(folder: PathBuf, args: &[&str], input: &str) -> Ran {
    let mut child = Command::new(env!("CARGO_BIN_EXE_sever"))
        .args(args)
        .current_dir(folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sever runs");
    // A command that does not read its input closes it early.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let Output { status, stdout, stderr } = child.wait_with_output().expect("it ends");
    Ran {
        status: status.code().expect("a status"),
        out: String::from_utf8(stdout).expect("text"),
        err: String::from_utf8(stderr).expect("text"),
    }
}

#[track_caller]
fn assert_harmless(text: &str) {
    let harmful = |c: &char| *c != '\n' && (c.is_control() || matches!(*c, '\u{200b}' | '\u{202e}'));
    assert_eq!(text.chars().find(harmful), None, "{text:?}");
}

// ---- what it is asked about ----------------------------------------------------------------------------------------

const ALERT_BODY: &str = r#"{"id":"edr-2231","kind":"session_stolen","severity":"critical",
 "occurred_at":"2026-11-21T22:14:07Z","subjects":[{"email":"ana@example.com"}]}
"#;

fn config(secret: &str) -> String {
    format!(
        r#"
listen: 127.0.0.1:0
sources:
  edr:
    verify: {{scheme: standard-webhooks, secrets: [{secret}, {{env: SEVER_TEST_NOT_SET}}]}}
providers:
  okta:
    kind: okta
    url: https://example.okta.com
    credentials: {{api_token: {{env: SEVER_TEST_NOT_SET}}}}
rules:
  - name: stolen session
    when: alert.severity >= high && alert.kind == "session_stolen"
    revoke: [{{provider: okta}}]
  - name: ask first
    when: alert.kind == "suspicion"
    revoke: [{{provider: okta}}]
    approval: true
guardrails:
  protected: [{{email: "breakglass-*@example.com"}}]
"#
    )
}

fn at() -> Timestamp {
    "2026-11-21T22:14:07Z".parse().expect("a time")
}

fn subject() -> Subject {
    Subject { email: Some("ana@example.com".to_owned()), ..Subject::default() }
}

/// A job as the API gives it, with these fields changed.
fn job(id: &str, changes: &Value) -> JobDetail {
    let mut job = json!({
        "id": id, "state": "queued", "outcome": null, "hold_reason": null, "dead_reason": null, "note": null,
        "provider": "okta", "subject": subject(), "account_id": null, "scope": "all", "severity": "critical",
        "dry_run": false, "rules": ["stolen session"], "source": "edr", "alert_ids": [ALERT], "attempts": 0,
        "sessions_ended": null, "survives": [], "signed_in_again": [], "repeated": 0, "merged_into": null,
        "due_at": null, "received_at": at(), "finished_at": null, "history": [],
    });
    for (field, value) in changes.as_object().expect("fields") {
        job[field] = value.clone();
    }
    serde_json::from_value(job).expect("a job of the API")
}

fn done(outcome: Outcome) -> JobDetail {
    job(JOB, &json!({"state": "done", "outcome": outcome, "sessions_ended": 3}))
}

fn receipt(status: &str, jobs: &[&str]) -> Receipt {
    let job = |id: &&str| JobReceipt {
        id: id.parse::<JobId>().expect("an id"),
        provider: "okta".parse().expect("a name"),
        subject: subject(),
        state: sever::domain::JobState::Queued,
    };
    Receipt {
        status: serde_json::from_value(json!(status)).expect("a status"),
        delivery_id: "msg_1".to_owned(),
        alerts: vec![AlertReceipt {
            id: ALERT.parse::<AlertId>().expect("an id"),
            external_id: "edr-2231".to_owned(),
            jobs: jobs.iter().map(job).collect(),
            skipped: Vec::new(),
        }],
        quarantined: Vec::new(),
        not_kept: None,
    }
}

fn alert(reason: &str) -> AlertView {
    serde_json::from_value(json!({
        "id": ALERT, "external_id": "edr-2231", "source": "edr", "issuer": "edr", "kind": "session_stolen",
        "severity": "critical", "reason": reason, "occurred_at": at(), "received_at": at(),
        "jobs": receipt("accepted", &[JOB]).alerts[0].jobs, "skipped": [{"rule": "other", "reason": "no match"}],
    }))
    .expect("an alert of the API")
}

fn status(value: Value) -> StatusView {
    serde_json::from_value(value).expect("a status of the API")
}

fn page<T>(items: Vec<T>, next: Option<&str>) -> Page<T> {
    Page { items, next_cursor: next.map(str::to_owned) }
}

fn jobs_line(query: &str) -> String {
    format!("GET /v1/jobs?{query}")
}

fn job_line(id: &str) -> String {
    format!("GET /v1/jobs/{id}")
}

const SEND: &str = "POST /v1/alerts/edr";

// ---- help and usage ------------------------------------------------------------------------------------------------

/// Each command and each of its subcommands.
fn commands(before: &[String]) -> Vec<Vec<String>> {
    let args: Vec<&str> = before.iter().map(String::as_str).chain(["--help"]).collect();
    let help = run(&args, "").fine();
    let listed = help.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let named = listed.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = named.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help");
    let mut found = Vec::new();
    for name in names {
        let command = [before, &[name.to_owned()]].concat();
        found.extend(commands(&command));
        found.push(command);
    }
    found
}

#[test]
fn every_command_has_an_example() {
    let found = commands(&[]);
    for name in ["plan", "sign", "send", "status", "jobs", "approve", "alerts", "quarantine", "refusals", "providers"] {
        assert!(found.contains(&vec![name.to_owned()]), "{name} is not in {found:?}");
    }
    assert!(found.contains(&vec!["jobs".to_owned(), "show".to_owned()]), "{found:?}");
    for command in found {
        let args: Vec<&str> = command.iter().map(String::as_str).chain(["--help"]).collect();
        let help = run(&args, "").fine();
        assert!(help.contains("Example: sever "), "{command:?} has no example:\n{help}");
    }
}

#[test]
fn wrong_usage_is_status_2() {
    let table: &[&[&str]] = &[
        &[],
        &["jobs", "show"],
        &["jobs", "show", "not-an-id"],
        &["jobs", "--state", "sleeping"],
        &["jobs", "--limit", "0"],
        &["jobs", "--watch", "--json"],
        &["pause", "Not A Name"],
        &["audit", "verify", "-c", "/nowhere.yaml"],
        &["audit", "verify", "--seal", "/nowhere.json"],
        &["status", "--url", "ftp://127.0.0.1"],
        &["status", "--url", "http://user:pass@127.0.0.1"],
        &["sign", "--scheme", "rot13", "--secret-file", "x"],
        &["sign", "--scheme", "github"],
        &["sign", "--header", "x-sig"],
        &["send", "--timeout", "5s"],
        &["plan", "/nowhere.json", "-c", "/nowhere.yaml"],
    ];
    for args in table {
        assert_eq!(run(args, "").status, 2, "{args:?}");
    }
}

// ---- plan ----------------------------------------------------------------------------------------------------------

#[test]
fn plan_tells_what_would_happen_without_a_secret_on_the_machine() {
    let scene = Scene::new();
    let config = scene.file("sever.yaml", &config("{env: SEVER_TEST_NOT_SET}"));
    let out = run(&["plan", "-c", &config, &scene.file("alert.json", ALERT_BODY)], "").fine();
    assert!(out.contains("rule \"stolen session\": matched"), "{out}");
    assert!(out.contains("rule \"ask first\": not matched, for this is false: alert.kind == \"suspicion\""), "{out}");
    assert!(out.contains("ana@example.com") && out.contains("queued"), "{out}");

    let protected = ALERT_BODY.replace("ana@", "breakglass-1@");
    let out = run(&["plan", "-c", &config, "--source", "edr", "-"], &protected).fine();
    assert!(out.contains("dead: protected") && out.contains("breakglass-*@example.com"), "{out}");

    let out = run(&["plan", "-c", &config, "-"], &ALERT_BODY.replace("session_stolen", "suspicion")).fine();
    assert!(out.contains("held: approval"), "{out}");

    let out = run(&["plan", "-c", &config, "-"], &ALERT_BODY.replace("critical", "low")).fine();
    assert!(out.contains("alert.severity is low") && out.contains("No job"), "{out}");
}

#[test]
fn plan_as_json_is_the_whole_explanation() {
    let scene = Scene::new();
    let config = scene.file("sever.yaml", &config("{env: SEVER_TEST_NOT_SET}"));
    let out = run(&["plan", "--json", "-c", &config, "-"], ALERT_BODY).fine();
    let planned: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(planned["source"], "edr");
    let alert = &planned["alerts"][0];
    assert_eq!(alert["alert"]["id"], "edr-2231");
    assert_eq!(alert["rules"][0]["result"], "matched");
    assert_eq!(alert["jobs"][0]["provider"], "okta");
    assert_eq!(alert["jobs"][0]["state"], "queued");
}

#[test]
fn plan_tells_every_problem_of_a_body_and_of_a_config() {
    let scene = Scene::new();
    let good = scene.file("sever.yaml", &config("{env: SEVER_TEST_NOT_SET}"));
    let hostile = r#"[{"email":"a\u001b[2J@example.com"},{"username":"me"},{"email":"%2e%2e"}]"#;
    let body = ALERT_BODY.replace(r#"[{"email":"ana@example.com"}]"#, hostile);
    let ran = run(&["plan", "-c", &good, "-"], &body);
    let ran = ran.failed(2, &["standard input", "subjects[0].email", "subjects[1].username", "subjects[2].email"]);
    assert!(ran.err.lines().count() > 2, "{}", ran.err);
    assert_harmless(&ran.err);
    run(&["plan", "-c", &good, "/nowhere.json"], "").failed(2, &["/nowhere.json could not be read"]);
    run(&["plan", "-c", &good, "--source", "siem", "-"], ALERT_BODY).failed(2, &["has no source siem; it has edr"]);

    let bad = config("{env: SEVER_TEST_NOT_SET}").replace("alert.severity >=", "alert.severty >=");
    run(&["plan", "-c", &scene.file("bad.yaml", &bad), "-"], ALERT_BODY).failed(2, &["rules[0].when", "severty"]);
    let two = good.replace("sever.yaml", "two.yaml");
    let second = "sources:\n  siem:\n    verify: {scheme: github, secrets: [{env: SEVER_TEST_NOT_SET}]}\n";
    let text = config("{env: SEVER_TEST_NOT_SET}").replace("sources:\n", second);
    std::fs::write(&two, text).expect("a file");
    run(&["plan", "-c", &two, "-"], ALERT_BODY).failed(2, &["several sources", "edr, siem"]);
}

// ---- sign ----------------------------------------------------------------------------------------------------------

/// The signed headers among those printed.
fn printed(out: &str) -> Vec<(HeaderName, HeaderValue)> {
    let pair = |line: &str| {
        let (name, value) = line.split_once(": ").expect("name: value");
        (name.parse().expect("a name"), value.parse().expect("a value"))
    };
    out.lines().map(pair).collect()
}

fn assert_verifies(out: &str, body: &str, settings: Value, now: Timestamp) {
    let settings: VerifySettings = serde_json::from_value(settings).expect("settings");
    let verifier = Verifier::new("edr".parse().expect("a name"), &settings).expect("a verifier");
    let headers = printed(out);
    verifier.verify(delivery(&headers, body.as_bytes()), now).expect("it verifies");
    verifier.verify(delivery(&headers, b"other"), now).expect_err("of another body it does not");
}

#[test]
fn what_sign_prints_verifies() {
    let scene = Scene::new();
    let (config, body) = (scene.file("sever.yaml", &config(&scene.secret())), scene.file("alert.json", ALERT_BODY));
    let time = "2026-11-21T22:14:07Z";
    let secret = |text: &str| json!([{"value": text}]);

    let out = run(&["sign", "-c", &config, "--source", "edr", "--id", "msg_7", "--time", time, &body], "").fine();
    assert!(out.contains("webhook-id: msg_7\n") && out.contains("content-type: application/json\n"), "{out}");
    assert_verifies(&out, ALERT_BODY, json!({"scheme": "standard-webhooks", "secrets": secret(SECRET)}), at());

    let plain = scene.file("plain", "an-hmac-secret-of-some-length-0123");
    let out = run(&["sign", "--scheme", "github", "--secret-file", &plain], ALERT_BODY).fine();
    let shared = secret("an-hmac-secret-of-some-length-0123");
    assert_verifies(&out, ALERT_BODY, json!({"scheme": "github", "secrets": shared}), at());

    let hmac = ["sign", "--scheme", "hmac", "--secret-file", &plain, "--header", "x-sig", "--prefix", "v0="];
    let more = ["--signed", "{timestamp}.{body}", "--timestamp-header", "x-time", "--algorithm", "sha512"];
    let rest = ["--encoding", "base64", "--timestamp-format", "rfc3339", "--time", time];
    let out = run(&[&hmac[..], &more, &rest].concat(), ALERT_BODY).fine();
    let settings = json!({"scheme": "hmac", "secrets": shared, "header": "x-sig", "prefix": "v0=",
        "signed": "{timestamp}.{body}", "timestamp_header": "x-time", "algorithm": "sha512", "encoding": "base64",
        "timestamp_format": "rfc3339"});
    assert_verifies(&out, ALERT_BODY, settings, at());
}

#[test]
fn sign_knows_the_schemes_of_products() {
    let scene = Scene::new();
    let time = "2026-11-21T22:14:07Z";
    let plain = scene.file("plain", "sever:an-hmac-secret");
    let shared = json!([{"value": "sever:an-hmac-secret"}]);
    for (scheme, args) in [("slack", &["--time", time][..]), ("stripe", &["--time", time]), ("pagerduty", &[])] {
        let out = run(&[&["sign", "--scheme", scheme, "--secret-file", &plain], args].concat(), ALERT_BODY).fine();
        assert_verifies(&out, ALERT_BODY, json!({"scheme": scheme, "secrets": shared}), at());
    }
    let out = run(&["sign", "--scheme", "basic", "--secret-file", &plain], ALERT_BODY).fine();
    assert!(out.contains("authorization: Basic c2V2ZXI6YW4taG1hYy1zZWNyZXQ=\n"), "{out}");

    let coded = scene.file("coded", "whsec_YSBwbGFpbiBzZWNyZXQ=");
    let rfc9421 = ["sign", "--scheme", "rfc9421", "--secret-file", &coded, "--key-id", "siem", "--time", time];
    let url = ["--url", "https://hooks.example.com/v1/alerts/edr"];
    let out = run(&[&rfc9421[..], &url].concat(), ALERT_BODY).fine();
    let settings =
        json!({"scheme": "rfc9421", "secrets": [{"value": "whsec_YSBwbGFpbiBzZWNyZXQ="}], "key_ids": ["siem"]});
    assert_verifies(&out, ALERT_BODY, settings, at());
    run(&rfc9421, ALERT_BODY).failed(2, &["component_missing", "URL"]);
    run(&["sign", "--scheme", "aws-sns", "--secret-file", &coded], ALERT_BODY).failed(2, &["shares no secret"]);
}

#[test]
fn sign_refuses_what_it_would_ignore_and_what_no_verifier_takes() {
    let scene = Scene::new();
    let plain = scene.file("plain", "an-hmac-secret-of-some-length-0123");
    let github = ["sign", "--scheme", "github", "--secret-file", &plain];
    run(&[&github[..], &["--id", "7"]].concat(), "{}").failed(2, &["signs no id"]);
    run(&[&github[..], &["--time", "2026-11-21T22:14:07Z"]].concat(), "{}").failed(2, &["signs no time"]);
    run(&github, "").failed(2, &["empty_body"]);
    run(&["sign", "--scheme", "github", "--secret-file", "/nowhere"], "{}").failed(2, &["/nowhere"]);
}

// ---- looking and deciding ------------------------------------------------------------------------------------------

#[test]
fn status_tells_who_shares_the_work() {
    let replica = |id: &str, roles: &[&str]| json!({"id": id, "roles": roles, "version": "1.2.3", "started_at": at(), "seen_at": at()});
    let shared = |replicas: Value, shares: Value| {
        status(json!({"jobs": {}, "held": {}, "gates": [], "oldest_due_seconds": {}, "quarantine": {},
            "replicas": replicas, "shares": shares}))
    };
    let one = json!([replica("019a", &["worker"])]);
    let two = json!([replica("019a", &["worker"]), replica("019b", &["intake", "worker"])]);
    let whole = json!({"okta": {"workers": 1, "concurrency": 8, "rate": "600/1m"}});
    let half = json!({"okta": {"workers": 2, "concurrency": 4, "rate": "600/2m"},
        "slack": {"workers": 2, "concurrency": 50, "rate": null}});
    let scene = Scene::new().on("GET /v1/status", [ok(&shared(one, whole)), ok(&shared(two, half))]);
    assert!(!scene.client(&["status"]).fine().contains("019a"), "one alone shares with nobody");
    let out = scene.client(&["status"]).fine();
    for part in ["019a", "019b", "intake, worker", "1.2.3", "2 workers", "600/2m", "as the provider asks"] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
}

#[test]
fn status_tells_what_is_open_and_says_so_when_nothing_is() {
    let open = status(json!({
        "jobs": {"okta": {"queued": 4, "held": 3, "dead": 2, "done": 9}},
        "held": {"okta": {"approval": 2, "budget": 1}},
        "gates": [{"provider": "okta", "reason": "credential", "note": "E0000011 invalid token", "since": at()},
                  {"provider": null, "reason": "paused", "note": "", "since": at()}],
        "oldest_due_seconds": {"okta": 75.4}, "quarantine": {"edr": 6, "siem": 0},
    }));
    let quiet = json!({"jobs": {"okta": {"done": 9}}, "held": {}, "gates": [], "oldest_due_seconds": {"okta": 0.0},
        "quarantine": {"edr": 0}});
    let scene = Scene::new().on("GET /v1/status", [ok(&open), ok(&status(quiet))]);
    let out = scene.client(&["status"]).fine();
    for part in
        ["Open: 7 jobs, 2 closed gates, 6 deliveries in quarantine. Given up: 2", "1m 15s", "approval", "budget"]
    {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    for part in ["credential: E0000011 invalid token", "since 2026-11-21 22:14:07Z", "every provider", "edr"] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
    assert!(!out.contains("siem"), "{out}");
    assert!(scene.client(&["status"]).fine().starts_with("Nothing is open."));
    let seen = scene.seen();
    assert_eq!(seen[0].line, "GET /v1/status");
    assert_eq!(seen[0].headers["authorization"], format!("Bearer {TOKEN}"));
}

#[test]
fn jobs_are_listed_by_filter_and_to_the_last_page() {
    let first = page(vec![job(JOB, &json!({"state": "held", "hold_reason": "approval"})).job], Some("7"));
    let last = page(vec![done(Outcome::UnknownAccount).job], None);
    let filter = "state=held&provider=okta&subject=ana%40example.com";
    let scene = Scene::new()
        .on(&jobs_line(&format!("{filter}&limit=5")), [ok(&first)])
        .on(&jobs_line("limit=1000"), [ok(&first)])
        .on(&jobs_line("limit=1000&cursor=7"), [ok(&last)]);
    let args = ["jobs", "--state", "held", "--provider", "okta", "--subject", "ana@example.com", "--limit", "5"];
    let out = scene.client(&args).fine();
    assert!(out.contains("held: approval") && out.contains("There are more"), "{out}");
    let out = scene.client(&["jobs", "--all"]).fine();
    assert!(out.contains("done: unknown_account") && out.contains("1 of them found nobody"), "{out}");
    assert!(!out.contains("There are more"), "{out}");
    let all: Value = serde_json::from_str(&scene.client(&["jobs", "--all", "--json"]).fine()).expect("JSON");
    assert_eq!(all["items"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["next_cursor"], Value::Null);
}

#[test]
fn a_job_tells_its_whole_story() {
    let attempts = json!([
        {"number": 1, "started_at": at(), "duration_ms": 124, "class": "throttled", "operation": "users.sessions.delete",
         "status": 429, "code": "E0000047", "message": "API call exceeded rate limit", "request_id": "req-1"},
        {"number": 2, "started_at": at(), "duration_ms": 80, "class": "ok", "message": "ended"},
    ]);
    let story = job(
        JOB,
        &json!({"state": "done", "outcome": "confirmed", "attempts": 2, "history": attempts,
        "survives": ["access tokens of apps until they expire"], "repeated": 1, "account_id": "00u1"}),
    );
    let scene = Scene::new()
        .on(&job_line(JOB), [ok(&story)])
        .on(&format!("GET /v1/alerts/{ALERT}"), [ok(&alert("cookie for sale"))]);
    let out = scene.client(&["jobs", "show", JOB]).fine();
    for part in [
        "done: confirmed",
        "it offers no way to look",
        "edr-2231",
        "cookie for sale",
        "stolen session",
        "ana@example.com",
        "00u1",
        "#1 2026-11-21 22:14:07Z 124 ms throttled: users.sessions.delete 429 E0000047 API call exceeded rate limit",
        "(request req-1)",
        "#2 2026-11-21 22:14:07Z 80 ms ok: ended",
        "access tokens of apps until they expire",
        "1 call made although",
    ] {
        assert!(out.contains(part), "{part:?} is not in\n{out}");
    }
}

#[test]
fn decisions_carry_their_reason() {
    let held = job(JOB, &json!({"state": "queued"}));
    let mut scene = Scene::new();
    for what in ["requeue", "cancel", "approve"] {
        scene = scene.on(&format!("POST /v1/jobs/{JOB}/{what}"), [ok(&held)]);
    }
    scene.client(&["jobs", "requeue", JOB, "--reason", "scope granted"]).fine();
    scene.client(&["jobs", "cancel", JOB]).fine();
    let out = scene.client(&["approve", JOB, "--account-id", "00u1", "--reason", "asked Ana"]).fine();
    assert!(out.contains(&format!("Job {JOB} is now queued")), "{out}");
    let bodies: Vec<Value> =
        scene.seen().iter().map(|seen| serde_json::from_slice(&seen.body).expect("JSON")).collect();
    let approval = json!({"reason": "asked Ana", "account_id": "00u1"});
    assert_eq!(bodies, [json!({"reason": "scope granted"}), json!({"reason": ""}), approval]);
    assert!(scene.seen().iter().all(|seen| seen.headers["content-type"] == "application/json"));
}

#[test]
fn alerts_quarantine_refusals_and_providers_are_shown() {
    let kept: QuarantineView = serde_json::from_value(json!({"id": 17, "source": "edr", "delivery_id": "msg_1",
        "reason": "severity is missing", "size_bytes": 12, "received_at": at()}))
    .expect("a view");
    let mut body = serde_json::to_value(&kept).expect("JSON");
    body["headers"] = json!([{"name": "user-agent", "value": "edr/1"}]);
    body["body_encoding"] = json!("text");
    body["body"] = json!("{\n  \"a\": 1}");
    let refusal = RefusalView {
        at: at(),
        reason: "signature_mismatch".to_owned(),
        peer: Some("203.0.113.9".to_owned()),
        size_bytes: 5,
    };
    let provider = json!({"name": "okta", "kind": "okta", "dry_run": false, "jobs": {"held": 2},
        "gates": [{"provider": "okta", "reason": "paused", "note": "their incident", "since": at()}]});
    let scene = Scene::new()
        .on("GET /v1/alerts?limit=50", [ok(&page(vec![alert("r")], None))])
        .on(&format!("GET /v1/alerts/{ALERT}"), [ok(&alert("cookie for sale"))])
        .on(&format!("POST /v1/alerts/{ALERT}/replay"), [ok(&receipt("accepted", &[JOB]))])
        .on("GET /v1/quarantine?limit=50", [ok(&page(vec![kept], None))])
        .on("GET /v1/quarantine/17", [ok(&body)])
        .on("POST /v1/quarantine/17/replay", [ok(&receipt("accepted", &[JOB])), ok(&receipt("quarantined", &[]))])
        .on("GET /v1/sources/edr/refusals", [ok(&page(vec![refusal], None))])
        .on("GET /v1/providers", [ok(&page(vec![provider.clone()], None))])
        .on("POST /v1/providers/okta/pause", [ok(&provider)])
        .on(
            "POST /v1/resume",
            [ok(&json!({"jobs": {}, "held": {}, "gates": [], "oldest_due_seconds": {},
            "quarantine": {}}))],
        );
    let table: &[(&[&str], &[&str])] = &[
        (&["alerts"], &[ALERT, "edr-2231", "session_stolen"]),
        (&["alerts", "show", ALERT], &["cookie for sale", JOB, "no job from rule \"other\": no match"]),
        (&["alerts", "replay", ALERT], &["Accepted", JOB]),
        (&["quarantine", "list"], &["17", "severity is missing"]),
        (&["quarantine", "show", "17"], &["severity is missing", "user-agent: edr/1", "  \"a\": 1}"]),
        (&["quarantine", "replay", "17"], &["Accepted", JOB]),
        (&["refusals", "edr"], &["signature_mismatch", "203.0.113.9"]),
        (&["providers"], &["okta", "no, paused: their incident", "2 held"]),
        (&["pause", "okta", "--reason", "their incident"], &["okta is not called", "their incident"]),
        (&["resume"], &["Every provider is called again."]),
    ];
    for (args, parts) in table {
        let out = scene.client(args).fine();
        for part in *parts {
            assert!(out.contains(part), "{args:?}: {part:?} is not in\n{out}");
        }
    }
    scene.client(&["quarantine", "replay", "17"]).failed(1, &["still cannot be decoded"]);
}

#[test]
fn json_is_passed_through() {
    // A field that this version does not know, and numbers as they were written.
    let text = r#"{"jobs": {}, "held": {}, "gates": [], "new_in_2": 1.50, "oldest_due_seconds": {}, "quarantine": {}}"#;
    let scene = Scene::new().on("GET /v1/status", [Answer { status: 200, headers: Vec::new(), body: text.to_owned() }]);
    assert_eq!(scene.client(&["status", "--json"]).fine(), format!("{text}\n"));
    scene.client(&["status"]).fine();
}

// ---- hostile and broken answers ------------------------------------------------------------------------------------

#[test]
fn no_terminal_obeys_what_an_attacker_wrote() {
    let attempt = json!({"number": 1, "started_at": at(), "duration_ms": 1, "class": "refused", "operation": HOSTILE,
        "status": 403, "code": HOSTILE, "message": HOSTILE, "request_id": HOSTILE});
    let bad = job(
        JOB,
        &json!({"state": "dead", "dead_reason": "refused", "note": HOSTILE, "account_id": HOSTILE,
        "subject": {"email": HOSTILE, "id": HOSTILE}, "rules": [HOSTILE], "survives": [HOSTILE],
        "signed_in_again": [{"id": HOSTILE, "ip": HOSTILE, "client": HOSTILE}], "sessions": [HOSTILE], "history": [attempt]}),
    );
    let mut bad_alert = alert(HOSTILE);
    bad_alert.external_id = HOSTILE.to_owned();
    bad_alert.kind = HOSTILE.to_owned();
    let gates = json!({"jobs": {}, "held": {}, "oldest_due_seconds": {}, "quarantine": {}, "gates":
        [{"provider": "okta", "reason": "credential", "note": HOSTILE, "since": at()}]});
    let kept = json!({"id": 17, "source": "edr", "delivery_id": HOSTILE, "reason": HOSTILE, "size_bytes": 1,
        "received_at": at(), "headers": [{"name": HOSTILE, "value": HOSTILE}], "body_encoding": "text", "body": HOSTILE});
    let mut replayed = receipt("accepted", &[JOB]);
    replayed.delivery_id = HOSTILE.to_owned();
    replayed.alerts[0].external_id = HOSTILE.to_owned();
    replayed.alerts[0].jobs[0].subject.email = Some(HOSTILE.to_owned());
    let scene = Scene::new()
        .on("GET /v1/status", [ok(&gates)])
        .on(&jobs_line("limit=50"), [ok(&page(vec![bad.job.clone()], None))])
        .on(&jobs_line("limit=1000"), [ok(&page(vec![bad.job.clone()], None))])
        .on(&job_line(JOB), [ok(&bad)])
        .on("GET /v1/alerts?limit=50", [ok(&page(vec![bad_alert.clone()], None))])
        .on(&format!("GET /v1/alerts/{ALERT}"), [ok(&bad_alert)])
        .on("GET /v1/quarantine?limit=50", [ok(&page(vec![kept.clone()], None))])
        .on("GET /v1/quarantine/17", [ok(&kept)])
        .on("POST /v1/quarantine/17/replay", [ok(&replayed)])
        .on(&format!("POST /v1/jobs/{JOB}/cancel"), [problem(409, "conflict", HOSTILE, Some(HOSTILE))])
        .on(SEND, [ok(&replayed)]);
    let table: &[&[&str]] = &[
        &["status"],
        &["status", "--json"],
        &["jobs"],
        &["jobs", "--json"],
        &["jobs", "--all", "--json"],
        &["jobs", "show", JOB],
        &["alerts"],
        &["alerts", "show", ALERT],
        &["quarantine", "list"],
        &["quarantine", "show", "17"],
        &["quarantine", "replay", "17"],
        &["jobs", "cancel", JOB],
    ];
    let check = |args: &[&str], ran: Ran| {
        assert_harmless(&ran.out);
        assert_harmless(&ran.err);
        assert!(!ran.out.lines().chain(ran.err.lines()).any(|line| line.starts_with("Job forged")), "{args:?} {ran:?}");
        assert!(ran.out.contains("1b") || ran.err.contains("1b"), "{args:?} hides that it was there: {ran:?}");
    };
    for args in table {
        // The lines of a quarantined body are shown as lines.
        if args != &["quarantine", "show", "17"] {
            check(args, scene.client(args));
        } else {
            assert_harmless(&scene.client(args).fine());
        }
    }
    check(&["send"], scene.send(&["--wait"]));
    check(&["send", "--json"], scene.send(&["--wait", "--json"]));
}

#[test]
fn a_problem_becomes_one_sentence_with_its_mend() {
    let table = [
        (401, "A token is needed", "--token-file"),
        (403, "This token may not do that", "--token-file"),
        (404, "There is no such thing", "`sever jobs --all`"),
        (409, "This cannot be done now", "`sever jobs show ID`"),
        (503, "Not now; try again later", "wait a few seconds"),
    ];
    for (status, title, mend) in table {
        let line = format!("POST /v1/jobs/{JOB}/requeue");
        let scene = Scene::new().on(&line, [problem(status, "word", title, Some("it is leased"))]);
        let ran = scene.client(&["jobs", "requeue", JOB]).failed(1, &[title, ": it is leased", mend]);
        assert_eq!(ran.err.lines().count(), 1, "{}", ran.err);
        assert_eq!(ran.out, "");
        assert!(!ran.err.contains(TOKEN));
    }
}

#[test]
fn an_answer_that_is_not_severs_is_named_as_such() {
    let html = |status| Answer { status, headers: Vec::new(), body: "<html>\u{1b}[2Jlogin</html>".to_owned() };
    let scene = Scene::new().on("GET /v1/status", [html(200), html(502)]);
    let ran = scene.client(&["status"]).failed(1, &["answered 200, and not as sever does"]);
    assert_harmless(&ran.err);
    scene.client(&["status"]).failed(1, &["answered 502, and not as sever does"]);

    let away = Scene::new().on("GET /v1/status", [ok(&json!({}))]);
    let elsewhere = vec![("location", format!("{}/v1/status", away.url()))];
    let moved = Answer { status: 307, headers: elsewhere, body: String::new() };
    Scene::new().on("GET /v1/status", [moved]).client(&["status"]).failed(1, &["answered 307"]);
    assert!(away.seen().is_empty(), "the redirect was followed, with the token");
}

#[test]
fn where_nobody_serves_it_says_so_and_without_a_token_nothing_is_asked() {
    let scene = Scene::new();
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address");
    let token = scene.folder.path().join("token").display().to_string();
    let url = format!("http://{free}");
    run(&["status", "--url", &url, "--token-file", &token], "").failed(1, &[&url, "is sever serving there?"]);
    run(&["status", "--url", &scene.url(), "--token-file", "/nowhere"], "").failed(2, &["/nowhere"]);
    let ran = run_in(scene.folder.path().to_owned(), &["status", "--url", &scene.url()], "");
    ran.failed(2, &["--token-file"]);
    assert!(scene.seen().is_empty());
}

#[test]
fn the_token_that_init_writes_is_found() {
    let quiet = json!({"jobs": {}, "held": {}, "gates": [], "oldest_due_seconds": {}, "quarantine": {}});
    let scene = Scene::new().on("GET /v1/status", [ok(&quiet)]);
    std::fs::create_dir(scene.folder.path().join("secrets")).expect("a folder");
    std::fs::write(scene.folder.path().join("secrets/oncall"), "found\n").expect("a file");
    run_in(scene.folder.path().to_owned(), &["status", "--url", &scene.url()], "").fine();
    assert_eq!(scene.seen()[0].headers["authorization"], "Bearer found");
}

// ---- send ----------------------------------------------------------------------------------------------------------

fn accepted(jobs: &[&str]) -> Answer {
    Answer { status: 202, ..ok(&receipt("accepted", jobs)) }
}

#[test]
fn send_delivers_a_body_that_verifies_and_prints_the_receipt() {
    let scene = Scene::new().on(SEND, [accepted(&[JOB])]);
    let out = scene.send(&["--id", "msg_7", "--time", "2026-11-21T22:14:07Z"]).fine();
    assert!(out.contains("Accepted: delivery msg_1") && out.contains(JOB), "{out}");
    let seen = &scene.seen()[0];
    assert_eq!(seen.body, ALERT_BODY.as_bytes());
    assert_eq!(seen.headers["content-type"], "application/json");
    let settings = json!({"scheme": "standard-webhooks", "secrets": [{"value": SECRET}]});
    let verifier = Verifier::new(
        "edr".parse().expect("a name"),
        &serde_json::from_value::<VerifySettings>(settings).expect("settings"),
    );
    let headers: Vec<_> = seen.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    verifier.expect("a verifier").verify(delivery(&headers, &seen.body), at()).expect("it verifies");

    let json: Value = serde_json::from_str(&scene.send(&["--json"]).fine()).expect("JSON");
    assert_eq!(json, serde_json::to_value(receipt("accepted", &[JOB])).expect("JSON"));
}

#[test]
fn send_waits_and_tells_each_change_of_state() {
    let leased = job(JOB, &json!({"state": "leased"}));
    let proving = job(JOB, &json!({"state": "proving"}));
    let states = [ok(&job(JOB, &json!({}))), ok(&leased), ok(&leased), ok(&proving), ok(&done(Outcome::Verified))];
    let scene = Scene::new().on(SEND, [accepted(&[JOB])]).on(&job_line(JOB), states);
    let out = scene.send(&["--wait"]).fine();
    let told: Vec<&str> = out.lines().filter(|line| line.contains("s  okta  ana@example.com  ")).collect();
    let ends = ["queued", "leased", "proving", "done: verified, 3 sessions ended"];
    assert_eq!(told.len(), ends.len(), "{out}");
    for (line, end) in told.iter().zip(ends) {
        assert!(line.ends_with(end), "{line:?} does not end with {end:?}");
    }
}

/// What `send --wait` ends with, for a job that stands so.
fn waited(job: &JobDetail) -> Ran {
    Scene::new().on(SEND, [accepted(&[JOB])]).on(&job_line(JOB), [ok(job)]).send(&["--wait"])
}

#[test]
fn send_succeeds_with_every_outcome_but_an_unknown_account() {
    for outcome in Outcome::ALL {
        let ran = waited(&done(*outcome));
        match outcome {
            Outcome::UnknownAccount => {
                ran.failed(1, &["nobody called ana@example.com was found at okta (unknown_account)"]);
            }
            Outcome::Verified | Outcome::Confirmed | Outcome::Accepted | Outcome::NothingToRevoke | Outcome::DryRun => {
                assert_eq!(ran.status, 0, "{outcome}: {ran:?}");
            }
        }
    }
}

#[test]
fn send_fails_when_a_job_ends_otherwise() {
    for (changes, words) in [
        (json!({"state": "held", "hold_reason": "approval"}), "held: approval"),
        (json!({"state": "dead", "dead_reason": "refused"}), "dead: refused"),
        (json!({"state": "cancelled"}), "cancelled"),
    ] {
        waited(&job(JOB, &changes)).failed(1, &["1 of 1 jobs did not end well", words]);
    }
    let scene = Scene::new()
        .on(SEND, [accepted(&[JOB, OTHER_JOB])])
        .on(&job_line(JOB), [ok(&done(Outcome::Verified))])
        .on(&job_line(OTHER_JOB), [ok(&job(OTHER_JOB, &json!({"state": "leased"})))]);
    scene.send(&["--wait", "--timeout", "1s"]).failed(1, &["1 of 2 jobs", "still leased after 1s", OTHER_JOB]);
    let ignored = Answer { status: 202, ..ok(&receipt("ignored", &[])) };
    let scene = Scene::new().on(SEND, [ignored]);
    scene.send(&["--wait"]).failed(1, &["no job came of it"]);
    scene.send(&[]).fine();
}

#[test]
fn send_waits_for_the_job_that_does_the_work_of_a_merged_one() {
    let merged = job(JOB, &json!({"state": "cancelled", "merged_into": OTHER_JOB}));
    let scene = |outcome: Outcome| {
        let other = job(OTHER_JOB, &json!({"state": "done", "outcome": outcome}));
        Scene::new()
            .on(SEND, [accepted(&[JOB])])
            .on(&job_line(JOB), [ok(&merged)])
            .on(&job_line(OTHER_JOB), [ok(&other)])
            .send(&["--wait"])
    };
    assert!(scene(Outcome::Confirmed).fine().contains("done: confirmed"));
    scene(Outcome::UnknownAccount).failed(1, &["unknown_account"]);
}

#[test]
fn send_as_json_prints_the_receipt_and_then_the_jobs() {
    let scene = Scene::new().on(SEND, [accepted(&[JOB])]).on(&job_line(JOB), [ok(&done(Outcome::Verified))]);
    let ran = scene.send(&["--wait", "--json"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    let lines: Vec<Value> = ran.out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(lines[0]["status"], "accepted");
    assert_eq!(lines[1]["items"][0]["outcome"], "verified");
    assert!(ran.err.contains("done: verified"), "{}", ran.err);
}

#[test]
fn send_tells_a_refusal_and_repeats_only_when_asked_to_wait() {
    let refused = || problem(401, "not-authenticated", "The delivery could not be authenticated", None);
    Scene::new().on(SEND, [refused()]).send(&["--wait"]).failed(1, &["not be authenticated", "`sever refusals edr`"]);
    let kept = problem(422, "quarantined", "The delivery is in quarantine", Some("an operator can replay it"));
    Scene::new().on(SEND, [kept]).send(&[]).failed(1, &["in quarantine", "`sever quarantine list`"]);
    let quarantined = Answer { status: 202, ..ok(&receipt("quarantined", &[])) };
    Scene::new().on(SEND, [quarantined]).send(&[]).failed(1, &["nothing was done"]);

    let busy = |seconds: &str| Answer {
        headers: vec![("retry-after", seconds.to_owned())],
        ..problem(503, "unavailable", "Not now; try again later", None)
    };
    let scene = Scene::new().on(SEND, [busy("0"), accepted(&[JOB])]);
    scene.send(&[]).failed(1, &["Not now", "--wait"]);
    let scene = Scene::new().on(SEND, [busy("1"), accepted(&[JOB])]).on(&job_line(JOB), [ok(&done(Outcome::Verified))]);
    let ran = scene.send(&["--wait"]);
    assert_eq!(ran.status, 0, "{ran:?}");
    assert!(ran.err.contains("trying again in 1 s"), "{}", ran.err);
    let ids: Vec<_> = scene.seen().iter().filter_map(|seen| seen.headers.get("webhook-id").cloned()).collect();
    assert_eq!(ids.len(), 2);
    assert_eq!(ids[0], ids[1], "a repeat is known by its id");
    let scene = Scene::new().on(SEND, [busy("3600")]);
    scene.send(&["--wait", "--timeout", "2s"]).failed(1, &["Not now"]);
}

#[test]
fn send_without_a_token_sends_nothing_when_it_is_to_wait() {
    let scene = Scene::new().on(SEND, [accepted(&[JOB])]);
    let config = scene.file("sever.yaml", &config(&scene.secret()));
    let args = ["send", "-c", &config, "--url", &scene.url(), "--wait"];
    run_in(scene.folder.path().to_owned(), &args, ALERT_BODY).failed(2, &["--token-file"]);
    assert!(scene.seen().is_empty());
}
