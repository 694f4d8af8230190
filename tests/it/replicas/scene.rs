//! Servers, providers and the config that joins them.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};
use sever::clock::{Clock, SystemClock};
use sever::sandbox::Sandbox;
use sever::sandbox::faults::{Fault, Injection};
use sever::sandbox::mattermost::{LimitBy, MattermostSandbox, Operation, Person, Role};
use sever::sandbox::okta;
use sever::store::PostgresUrl;
use sever::verify::Signer;
use tempfile::TempDir;
use tokio::sync::Mutex;

use super::load::Sent;
use super::network::Network;
use crate::process::sever;
use crate::support::broker::{Broker, Node, until};
use crate::support::postgres_server::OwnServer;
use crate::testapp::{SECRET, TOKEN, signing};

pub(super) const REPLICAS: usize = 3;
/// So many people may lose their sessions for alerts of the source `small`.
pub(super) const BUDGET: usize = 12;
const CHAT_TOKEN: &str = "q7tfx9b1sdrg5yk3nuc4wemozh";
const QUEUE: &str = "alerts";
const SLOW: Fault = Fault::Latency { duration_ms: 20 };
/// Not as long as a call may take.
const HANGING: Fault = Fault::Latency { duration_ms: 4000 };

/// Every provider in the config that is a Mattermost.
pub(super) const CHATS: [&str; 4] = ["chat", "busy", "gone", "liar"];
/// Those where everything ends well.
pub(super) const WELL: [&str; 3] = ["okta", "chat", "busy"];

pub(super) struct Scene {
    pub(super) postgres: Arc<OwnServer>,
    pub(super) rabbit: Node,
    /// Each replica's ways to both.
    pub(super) networks: [Network; REPLICAS],
    sandbox: Sandbox,
    chats: BTreeMap<&'static str, MattermostSandbox>,
    folder: TempDir,
    signer: Signer,
    clock: SystemClock,
    /// Where each replica listens, as far as a sender can know: one that hangs does not say so.
    pub(super) replicas: [Mutex<Option<SocketAddr>>; REPLICAS],
    publisher: Mutex<Option<Broker>>,
    pub(super) sent: Mutex<Vec<Sent>>,
}

impl Scene {
    pub(super) async fn start() -> Self {
        let rabbit = Node::prepare("[].", "");
        let postgres = tokio::task::spawn_blocking(OwnServer::start).await.expect("a server");
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let sandbox = Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), Arc::clone(&clock)).await.expect("ports");
        let mut chats = BTreeMap::new();
        for name in CHATS {
            chats.insert(name, chat(Arc::clone(&clock)).await);
        }
        let network = || Network::before(postgres.port(), rabbit.port);
        let networks = [network().await, network().await, network().await];
        let scene = Self {
            postgres: Arc::new(postgres),
            rabbit,
            networks,
            sandbox,
            chats,
            folder: tempfile::tempdir().expect("a folder"),
            signer: Signer::new(&signing()).expect("a signer"),
            clock: SystemClock::new(),
            replicas: Default::default(),
            publisher: Mutex::default(),
            sent: Mutex::default(),
        };
        scene.set_tempers();
        scene.write_configs();
        scene.rabbit.ready().await;
        Broker::at(&scene.rabbit.url()).await.queues(QUEUE).await;
        scene
    }

    /// Calls of those who are well take a while, so that faults strike in their middle.
    fn set_tempers(&self) {
        let admin = okta::Person::new("admin@example.com");
        self.sandbox.okta().add_person(admin.clone());
        self.sandbox.okta().accept_ssws(TOKEN, &admin.id);
        self.sandbox.okta().faults().inject(Injection::once(SLOW).until_cleared());
        self.chat("chat").faults().inject(Injection::once(SLOW).until_cleared());
        self.limit_busy(10);
        self.sicken();
    }

    fn sicken(&self) {
        let down = Fault::Error { status: 503, code: String::new() };
        self.chat("gone").faults().inject(Injection::once(down).until_cleared());
        for operation in [Operation::RevokeAllSessions, Operation::RevokeSession] {
            self.chat("liar").faults().inject(Injection::once(Fault::LyingSuccess).on(operation).until_cleared());
        }
    }

    /// Those that are sick hang besides, and the one that throttles takes a call a second.
    pub(super) fn worsen(&self) {
        for name in ["gone", "liar"] {
            self.chat(name).faults().inject(Injection::once(HANGING).until_cleared());
        }
        self.limit_busy(1);
    }

    /// As before, but that what has piled up at the one that throttles may go.
    pub(super) fn relieve(&self) {
        for name in ["gone", "liar"] {
            self.chat(name).faults().clear();
        }
        self.sicken();
        self.limit_busy(1000);
    }

    /// The provider that throttles takes so many calls a second, from all replicas together.
    fn limit_busy(&self, per_second: u32) {
        self.chat("busy").limit_rate(per_second, 5, LimitBy::RemoteAddress);
    }

    fn write_configs(&self) {
        let init = sever().arg("init").arg(self.folder.path()).output().expect("it runs");
        assert!(init.status.success(), "{}", String::from_utf8_lossy(&init.stderr));
        let write = |path: PathBuf, postgres: u16, rabbit: u16| {
            // JSON is YAML.
            std::fs::write(path, self.settings(postgres, rabbit).to_string()).expect("written");
        };
        for (number, network) in self.networks.iter().enumerate() {
            write(self.config_of(number), network.postgres.port(), network.rabbit.port());
        }
        write(self.config(), self.postgres.port(), self.rabbit.port);
    }

    fn settings(&self, postgres: u16, rabbit: u16) -> Value {
        let verify = json!({"scheme": "standard-webhooks", "secrets": [{"value": SECRET}], "tolerance": "1h"});
        let mut providers: serde_json::Map<String, Value> = serde_json::Map::new();
        let common = json!({"timeout": "5s", "proof": {"after": "300ms", "times": 3},
            "retry": {"first": "200ms", "longest": "2s"}});
        let okta = json!({"kind": "okta", "url": self.sandbox.okta().url(),
            "credentials": {"api_token": {"value": TOKEN}}});
        providers.insert("okta".to_owned(), merged(okta, &common));
        for (name, chat) in &self.chats {
            let chat =
                json!({"kind": "mattermost", "url": chat.url(), "credentials": {"token": {"value": CHAT_TOKEN}}});
            providers.insert((*name).to_owned(), merged(chat, &common));
        }
        let broker = format!("amqp://guest:guest@127.0.0.1:{rabbit}");
        let everywhere: Vec<Value> =
            WELL.iter().chain(&["gone", "liar"]).map(|name| json!({"provider": name})).collect();
        json!({
            "listen": "127.0.0.1:0",
            "store": format!("postgres://postgres@127.0.0.1:{postgres}/postgres"),
            "audit": {"signing_key": {"file": self.folder.path().join("secrets/audit-key")}},
            "sources": {
                "edr": {"issuer": "soc", "verify": verify},
                "small": {"issuer": "soc", "verify": verify},
                "queue": {"issuer": "soc", "verify": verify, "amqp": {"urls": [broker], "queue": QUEUE}},
            },
            "providers": providers,
            "rules": [
                {"name": "stolen session", "when": "alert.kind == \"session_stolen\"",
                    "revoke": [{"provider": "okta"}, {"provider": "chat"}]},
                {"name": "stolen account", "when": "alert.kind == \"account_compromised\"", "revoke": everywhere},
            ],
            "guardrails": {
                "protected": [{"email": "breakglass-*@example.com"}],
                "budgets": [{"source": "small", "users": BUDGET, "per": "24h"}],
            },
        })
    }

    /// For commands: the straight ways.
    pub(super) fn config(&self) -> PathBuf {
        self.folder.path().join("sever.yaml")
    }

    /// For a replica, through its network.
    pub(super) fn config_of(&self, replica: usize) -> PathBuf {
        self.folder.path().join(format!("replica-{replica}.yaml"))
    }

    pub(super) fn database(&self) -> PostgresUrl {
        self.postgres.url("postgres", "127.0.0.1").parse().expect("a URL")
    }

    pub(super) fn chat(&self, name: &str) -> &MattermostSandbox {
        &self.chats[name]
    }

    /// Somebody with a session at each of these providers; the ids of the accounts.
    pub(super) fn sign_in(&self, email: &str, providers: &[&'static str]) -> BTreeMap<&'static str, String> {
        providers.iter().map(|name| (*name, self.sign_in_at(email, name))).collect()
    }

    fn sign_in_at(&self, email: &str, provider: &str) -> String {
        if provider == "okta" {
            let person = okta::Person::new(email);
            self.sandbox.okta().add_person(person.clone());
            self.sandbox.okta().sign_in(&person.id);
            self.sandbox.okta().sign_in(&person.id);
            return person.id;
        }
        // One session: those left by a call that may have worked are ended one by one, and each would count as a call.
        let person = Person::new(email);
        self.chat(provider).add_person(person.clone());
        self.chat(provider).sign_in(&person.id);
        person.id
    }

    pub(super) fn sessions_of(&self, provider: &str, id: &str) -> usize {
        if provider == "okta" { self.sandbox.okta().sessions_of(id) } else { self.chat(provider).sessions_of(id) }
    }

    /// The calls that reached each account of a provider.
    pub(super) fn calls(&self, provider: &str) -> BTreeMap<String, usize> {
        let ledger = if provider == "okta" { self.sandbox.okta().ledger() } else { self.chat(provider).ledger() };
        let mut calls = BTreeMap::new();
        for id in ledger.iter().filter_map(|call| call.effect.revoked_user()) {
            *calls.entry(id.to_owned()).or_default() += 1;
        }
        calls
    }

    pub(super) fn tripwires(&self) -> usize {
        let chats: usize = self.chats.values().map(|chat| chat.tripwires().len()).sum();
        chats + self.sandbox.okta().tripwires().len()
    }

    pub(super) fn signed(&self, id: &str, body: &str) -> Vec<(http::HeaderName, http::HeaderValue)> {
        self.signer.sign(id, self.clock.now(), body.as_bytes()).expect("signed")
    }

    /// Publishes until the broker confirms. The connection is one for all senders, and made anew when it breaks.
    pub(super) async fn publish(&self, message: &crate::support::broker::Outgoing) {
        until("the broker confirms", async || {
            let mut publisher = self.publisher.lock().await;
            if publisher.is_none() {
                *publisher = Broker::try_at(&self.rabbit.url()).await.ok();
            }
            let broker = publisher.as_ref()?;
            let confirmed = tokio::time::timeout(std::time::Duration::from_secs(5), broker.try_publish(QUEUE, message));
            if matches!(confirmed.await, Ok(true)) {
                return Some(());
            }
            *publisher = None;
            None
        })
        .await;
    }

    /// Nothing is left in the queue, and nothing of it was refused.
    pub(super) async fn assert_all_taken(&self) {
        let broker = Broker::at(&self.rabbit.url()).await;
        broker.assert_empty(QUEUE).await;
        broker.assert_empty(&format!("{QUEUE}.dead")).await;
    }
}

async fn chat(clock: Arc<dyn Clock>) -> MattermostSandbox {
    let chat = MattermostSandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock).await.expect("a port");
    chat.add_person(Person::new("sever").role(Role::SystemAdmin).bot());
    chat.accept_token(CHAT_TOKEN, "sever");
    chat
}

fn merged(mut settings: Value, more: &Value) -> Value {
    for (key, value) in more.as_object().expect("an object") {
        settings[key] = value.clone();
    }
    settings
}
