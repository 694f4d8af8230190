//! The real service, from a config file to its listener.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sever::app::{Addresses, App};
use sever::audit::Actor;
use sever::clock::{Clock, SystemClock};
use sever::config::Loaded;
use sever::lifecycle::Lifecycle;
use tempfile::TempDir;

use crate::alerts::SECRET;

/// Of a source from which nothing authentic comes.
const OTHER_SECRET: &str = "whsec_b3RoZXIgc291cmNlLCBvdGhlciBzZWNyZXQsIDMyYnk=";

/// What the sandbox takes.
pub(crate) const TOKEN: &str = "00testTokenThatTheSandboxTakes0123456789";

/// Attempts at once where nothing else is said.
pub(crate) const CONCURRENCY: usize = 32;

/// Accounts that no rule may touch.
const PROTECTED: usize = 100;

/// A running service with its files.
pub(crate) struct Service<A = Addresses> {
    pub(crate) app: App,
    pub(crate) addresses: A,
    folder: TempDir,
}

impl Service {
    pub(crate) async fn start(okta: &str, concurrency: usize) -> Self {
        let Service { app, folder, .. } = Service::idle(okta, concurrency, None).await;
        let addresses = app.start().await.expect("a port");
        Self { app, addresses, folder }
    }
}

impl Service<()> {
    /// Nothing runs yet. Its alerts come from a queue, where one is named.
    pub(crate) async fn idle(okta: &str, concurrency: usize, queue: Option<(&str, &str)>) -> Self {
        let folder = folder();
        let file = write_config(folder.path(), okta, concurrency);
        if let Some((url, queue)) = queue {
            let text = std::fs::read_to_string(&file).expect("the config");
            let amqp = format!("  edr:\n    amqp: {{urls: [\"{url}\"], queue: {queue}}}\n");
            std::fs::write(&file, text.replace("  edr:\n", &amqp)).expect("the config is written");
        }
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let loaded = Loaded::from_file(&file, &clock).unwrap_or_else(|problems| panic!("{problems}"));
        let app = App::new(loaded, clock, Lifecycle::new()).await.expect("an app");
        Self { app, addresses: (), folder }
    }
}

impl<A> Service<A> {
    /// Alerts are taken and nothing is sent.
    pub(crate) async fn pause(&self) {
        self.app.store.pause(None, Actor::operator("bench"), "measuring".to_owned()).await.expect("paused");
    }

    pub(crate) async fn resume(&self) {
        self.app.store.resume(None, Actor::operator("bench")).await.expect("resumed");
    }

    /// Stops it and leaves its store.
    pub(crate) async fn stop(self) -> (TempDir, PathBuf) {
        self.app.finish().await;
        let store = store_of(self.folder.path());
        (self.folder, store)
    }
}

pub(crate) fn store_of(folder: &Path) -> PathBuf {
    folder.join("sever.db")
}

/// On the disk of the build, not in memory.
pub(crate) fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}

/// Three rules of which one matches, budgets that have room for everyone, and accounts that are protected.
pub(crate) fn write_config(folder: &Path, okta: &str, concurrency: usize) -> PathBuf {
    let mut text = format!(
        r#"
listen: 127.0.0.1:0
store: sqlite://{store}
sources:
  edr:
    verify: {{scheme: standard-webhooks, secrets: [{{value: "{SECRET}"}}]}}
  other:
    verify: {{scheme: standard-webhooks, secrets: [{{value: "{OTHER_SECRET}"}}]}}
providers:
  okta:
    kind: okta
    url: {okta}
    credentials: {{api_token: {{value: {TOKEN}}}}}
    limits: {{concurrency: {concurrency}}}
rules:
  - name: stolen session
    when: alert.severity >= high && alert.kind == "session_stolen"
    revoke: [{{provider: okta}}]
  - name: impossible travel
    when: alert.severity >= medium && alert.kind in ["impossible_travel", "new_country"]
    revoke: [{{provider: okta}}]
  - name: known bad address
    when: alert.attributes.?ip.orValue("").startsWith("198.51.100.") && alert.kind != "test"
    revoke: [{{provider: okta}}]
guardrails:
  budgets:
    - {{users: 1000000, per: 10m}}
    - {{source: edr, users: 1000000, per: 10m}}
    - {{provider: okta, users: 1000000, per: 10m, reserve: {{severity: critical, users: 1000}}}}
  protected:
"#,
        store = store_of(folder).display()
    );
    for number in 0..PROTECTED {
        writeln!(text, "    - {{email: \"breakglass-{number:03}-*@example.com\"}}").expect("written");
    }
    let file = folder.join("sever.yaml");
    std::fs::write(&file, text).expect("the config is written");
    file
}
