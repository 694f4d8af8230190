//! The service as a process: from `init` to a clean end, and what it must never say.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use serde_json::json;
use sever::clock::{Clock, SystemClock};
use sever::sandbox::Sandbox;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::okta::{Operation, Person};
use sever::settings::SecretRef;
use sever::verify::{Signer, VerifySettings};
use tempfile::TempDir;

use crate::process::{Server, sever};
use crate::testapp::{by_email, uuid};

pub(crate) const OKTA_TOKEN: &str = "00canaryOktaTokenThatMustNeverBeSeen000001";

/// What `sever init` writes, pointed at the sandbox.
pub(crate) struct Setup {
    pub(crate) folder: TempDir,
    pub(crate) sandbox: Sandbox,
}

impl Setup {
    pub(crate) async fn new() -> Self {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock).await.expect("a port");
        let admin = Person::new("admin@example.com");
        sandbox.okta().add_person(admin.clone());
        sandbox.okta().accept_ssws(OKTA_TOKEN, &admin.id);
        let folder = tempfile::tempdir().expect("a folder");
        let init = sever().arg("init").arg(folder.path()).output().expect("it runs");
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let file = folder.path().join("sever.yaml");
        let text = std::fs::read_to_string(&file).expect("the config");
        let text = text
            .replace("https://your-org.okta.com", &sandbox.okta().url())
            .replace("0.0.0.0:8080", "127.0.0.1:0")
            .replace("127.0.0.1:8081", "127.0.0.1:0");
        std::fs::write(&file, text).expect("written");
        Self { folder, sandbox }
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.folder.path().join("sever.yaml")
    }

    pub(crate) fn secret(&self, name: &str) -> String {
        let text = std::fs::read_to_string(self.folder.path().join("secrets").join(name)).expect("a secret");
        text.trim_end().to_owned()
    }

    pub(crate) fn serve(&self, more: &[(&str, &str)]) -> Server {
        let environment: Vec<_> = more.iter().copied().chain([("OKTA_TOKEN", OKTA_TOKEN)]).collect();
        Server::start_with(&self.config(), &environment).expect("it starts")
    }

    pub(crate) fn signer(&self) -> Signer {
        let secret = SecretRef::File(self.folder.path().join("secrets/edr"));
        let settings = json!({"scheme": "standard-webhooks", "secrets": [secret]});
        let settings: VerifySettings = serde_json::from_value(settings).expect("settings");
        Signer::new(&settings).expect("a signer")
    }

    pub(crate) async fn deliver(&self, server: &Server, body: &serde_json::Value) -> (u16, String) {
        let body = body.to_string();
        let now = SystemClock::new().now();
        let mut request = client().post(format!("http://{}/v1/alerts/edr", server.alerts)).body(body.clone());
        for (name, value) in self.signer().sign(&uuid(), now, body.as_bytes()).expect("signed") {
            request = request.header(name, value);
        }
        let answer = request.send().await.expect("an answer");
        (answer.status().as_u16(), answer.text().await.expect("a body"))
    }

    pub(crate) async fn admin(&self, server: &Server, path: &str, token: &str) -> String {
        let url = format!("http://{}{path}", server.admin.expect("an operator API"));
        client().get(url).bearer_auth(token).send().await.expect("an answer").text().await.expect("a body")
    }

    pub(crate) async fn wait_until(&self, what: &str, done: impl Fn(&Sandbox) -> bool) {
        for _ in 0..600 {
            if done(&self.sandbox) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        panic!("waited half a minute in vain: {what}");
    }
}

#[expect(clippy::disallowed_methods, reason = "a sender of alerts, not a client of a provider")]
pub(crate) fn client() -> reqwest::Client {
    reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(10)).build().expect("a client")
}

/// The interpreter that has the vendors' packages.
#[expect(clippy::disallowed_methods, reason = "tests/run says where it put the package")]
pub(crate) fn python() -> String {
    std::env::var("SEVER_TEST_PYTHON").unwrap_or_else(|_| {
        panic!("SEVER_TEST_PYTHON names no Python with the vendors' packages; run tests/run, which installs them")
    })
}

const SENDER: &str = r#"
import datetime, sys, urllib.request
from standardwebhooks.webhooks import Webhook
url, secret, body = sys.argv[1:]
now = datetime.datetime.now(tz=datetime.timezone.utc)
signature = Webhook(secret).sign("msg_official_1", now, body)
request = urllib.request.Request(url, data=body.encode(), method="POST", headers={
    "content-type": "application/json", "webhook-id": "msg_official_1",
    "webhook-timestamp": str(int(now.timestamp())), "webhook-signature": signature})
print(urllib.request.urlopen(request).status)
"#;

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_of_the_official_package_revokes_under_a_config_of_init() {
    let setup = Setup::new().await;
    let ana = Person::new("ana@example.com");
    setup.sandbox.okta().add_person(ana.clone());
    setup.sandbox.okta().sign_in(&ana.id);
    let server = setup.serve(&[]);
    let url = format!("http://{}/v1/alerts/edr", server.alerts);
    let body = by_email("edr-1", "ana@example.com").to_string();
    let sent =
        Command::new(python()).args(["-c", SENDER, &url, &setup.secret("edr"), &body]).output().expect("it runs");
    assert_eq!(String::from_utf8_lossy(&sent.stdout).trim(), "202", "{}", String::from_utf8_lossy(&sent.stderr));
    setup.wait_until("the session ends", |world| world.okta().sessions_of(&ana.id) == 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_leaves_the_process() {
    let setup = Setup::new().await;
    let server = setup.serve(&[("RUST_LOG", "trace")]);
    let (webhook, operator) = (setup.secret("edr"), setup.secret("oncall"));
    let faults = setup.sandbox.okta().faults();
    faults.inject(Injection::once(Fault::Html).on(Operation::RevokeUserSessions));
    faults.inject(Injection::once(Fault::Error { status: 401, code: "E0000011".into() }).on(Operation::ListUsers));
    let ana = Person::new("ana@example.com");
    setup.sandbox.okta().add_person(ana.clone());
    setup.sandbox.okta().sign_in(&ana.id);

    let mut said = vec![setup.deliver(&server, &by_email("edr-1", "ana@example.com")).await.1];
    said.push(setup.deliver(&server, &json!({"wrong": "shape"})).await.1);
    let forged = client().post(format!("http://{}/v1/alerts/edr", server.alerts)).body("{}").send().await;
    said.push(forged.expect("an answer").text().await.expect("a body"));
    setup.wait_until("the session ends", |world| world.okta().sessions_of(&ana.id) == 0).await;
    for path in [
        "/v1/status",
        "/v1/jobs",
        "/v1/alerts",
        "/v1/quarantine",
        "/v1/quarantine/1",
        "/v1/quarantine/2",
        "/v1/providers",
        "/v1/sources/edr/refusals",
        "/v1/audit",
        "/metrics",
    ] {
        said.push(setup.admin(&server, path, &operator).await);
    }
    said.push(setup.admin(&server, "/v1/status", "wrong-token-wrong-token").await);
    assert!(said.iter().any(|text| text.contains("wrong")), "the quarantine was read");
    said.extend(server.log());
    assert!(said.iter().any(|line| line.contains("attempt ended")), "the log is among what was said");
    let (status, _) = server.terminate();
    assert_eq!(status, Some(0));
    said.push(String::from_utf8_lossy(&check(&setup, &[]).stdout).into_owned());
    said.push(String::from_utf8_lossy(&check(&setup, &["--online"]).stderr).into_owned());
    for entry in std::fs::read_dir(setup.folder.path()).expect("the folder").flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_file()) {
            said.push(String::from_utf8_lossy(&std::fs::read(entry.path()).expect("read")).into_owned());
        }
    }
    let key = webhook.trim_start_matches("whsec_").to_owned();
    let raw = base64::engine::general_purpose::STANDARD.decode(&key).expect("base64");
    let audit_key = setup.secret("audit-key").lines().nth(1).expect("PEM").to_owned();
    let canaries = [OKTA_TOKEN.to_owned(), operator, key, hex::encode(&raw), format!("{raw:?}"), audit_key];
    for canary in &canaries {
        let leak = said.iter().find(|text| text.contains(canary.as_str()));
        assert!(leak.is_none(), "a secret was said: {}", leak.expect("found").chars().take(2000).collect::<String>());
    }
}

fn check(setup: &Setup, more: &[&str]) -> Output {
    sever()
        .args(["check", "-c"])
        .arg(setup.config())
        .args(more)
        .env("OKTA_TOKEN", OKTA_TOKEN)
        .output()
        .expect("it runs")
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_finishes_what_runs_and_ends_in_time() {
    let setup = Setup::new().await;
    let slow = Fault::Latency { duration_ms: 1500 };
    setup.sandbox.okta().faults().inject(Injection::once(slow).on(Operation::RevokeUserSessions));
    let ana = Person::new("ana@example.com");
    setup.sandbox.okta().add_person(ana.clone());
    setup.sandbox.okta().sign_in(&ana.id);
    let server = setup.serve(&[]);
    let (status, _) = setup.deliver(&server, &by_email("edr-1", "ana@example.com")).await;
    assert_eq!(status, 202);
    setup.wait_until("the account is read", |world| !world.okta().ledger().is_empty()).await;
    let (status, took) = server.terminate();
    assert_eq!(status, Some(0));
    assert!(took < Duration::from_secs(25), "{took:?}");
    assert_eq!(setup.sandbox.okta().sessions_of(&ana.id), 0, "the running attempt was finished");

    // Nothing is left to do, and nothing is done twice.
    let calls = setup.sandbox.okta().revocations_of(&ana.id);
    let server = setup.serve(&[]);
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(setup.sandbox.okta().revocations_of(&ana.id), calls);
    drop(server);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_server_on_the_same_store_refuses_to_start() {
    let setup = Setup::new().await;
    let _first = setup.serve(&[]);
    let second = sever()
        .args(["serve", "-c"])
        .arg(setup.config())
        .env("OKTA_TOKEN", OKTA_TOKEN)
        .stdin(Stdio::null())
        .output()
        .expect("it runs");
    assert_eq!(second.status.code(), Some(1));
    let said = String::from_utf8_lossy(&second.stderr);
    assert!(said.contains("is in use by another sever process"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn init_writes_over_nothing_and_its_secrets_are_for_one_user() {
    use std::os::unix::fs::PermissionsExt;
    let setup = Setup::new().await;
    let before = setup.secret("edr");
    let again = sever().arg("init").arg(setup.folder.path()).output().expect("it runs");
    assert_eq!(again.status.code(), Some(2), "{}", String::from_utf8_lossy(&again.stderr));
    assert_eq!(setup.secret("edr"), before);
    for name in ["secrets/edr", "secrets/oncall", "secrets/audit-key"] {
        let mode = mode_of(&setup.folder.path().join(name));
        assert_eq!(mode & 0o077, 0, "{name}: {mode:o}");
    }
    fn mode_of(path: &Path) -> u32 {
        std::fs::metadata(path).expect("the file").permissions().mode()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn check_tries_each_credential_and_tells_every_problem() {
    let setup = Setup::new().await;
    let fine = check(&setup, &["--online"]);
    assert!(fine.status.success(), "{}", String::from_utf8_lossy(&fine.stderr));
    assert!(String::from_utf8_lossy(&fine.stdout).contains("admin@example.com"));
    assert!(String::from_utf8_lossy(&fine.stderr).contains("no `notify`"));

    setup.sandbox.okta().revoke_ssws(OKTA_TOKEN);
    let refused = check(&setup, &["--online"]);
    assert_eq!(refused.status.code(), Some(1));

    let text = std::fs::read_to_string(setup.config()).expect("the config");
    let broken =
        text.replace("scheme: standard-webhooks", "scheme: standard-webhook").replace("when: alert.", "when: alrt.");
    let broken = broken.replace("forget_devices: false", "forget_device: false");
    std::fs::write(setup.config(), broken).expect("written");
    let wrong = check(&setup, &[]);
    assert_eq!(wrong.status.code(), Some(2));
    let said = String::from_utf8_lossy(&wrong.stderr);
    for mend in ["standard-webhook", "forget_device"] {
        assert!(said.contains(mend), "{mend} is not in: {said}");
    }
}
