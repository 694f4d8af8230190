//! The real service, from a config file to its listener.

use std::path::PathBuf;
use std::sync::Arc;

use sever::app::{Addresses, App, Role};
use sever::audit::Actor;
use sever::clock::{Clock, SystemClock};
use sever::config::Loaded;
use sever::lifecycle::Lifecycle;
use tempfile::TempDir;

pub(crate) use crate::config::{TOKEN, store_of, write_config, write_config_on};

/// Attempts at once where nothing else is said.
pub(crate) const CONCURRENCY: usize = 32;

/// Nothing listens there, and nothing is sent there.
pub(crate) const NOWHERE: &str = "http://127.0.0.1:9";

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

    /// Takes alerts in on this store, and works on none.
    pub(crate) async fn taking_in(store: &str) -> Self {
        let folder = folder();
        let file = write_config_on(folder.path(), store, NOWHERE, CONCURRENCY);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let loaded = Loaded::from_file(&file, &clock).unwrap_or_else(|problems| panic!("{problems}"));
        let app = App::new(loaded, clock, Lifecycle::new()).await.expect("an app").with_role(Role::Intake);
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

/// On the disk of the build, not in memory.
pub(crate) fn folder() -> TempDir {
    TempDir::new_in(env!("CARGO_TARGET_TMPDIR")).expect("a folder")
}
