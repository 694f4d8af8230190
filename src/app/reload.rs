//! Follows the config file: notices that it, or a secret that it refers to, was changed, and has it taken on.
//!
//! A file that is wrong changes nothing. It is told once in the log, and in `/readyz` and the metrics until it is mended.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};

use super::running::{Refused, Running};
use crate::clock::Clock;
use crate::config::{Loaded, Problems, secret_files};
use crate::lifecycle::Lifecycle;
use crate::settings::Files;
use crate::telemetry::Metrics;

/// How often the file is read. A mounted ConfigMap is a link to a folder that is replaced, so what it says is compared, and
/// not how it looks.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Deliveries that were planned before a provider left the config may add jobs for it afterwards.
const ORPHANS_EVERY: u32 = 30;

/// Why the config on disk is not the one in use.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// It is wrong.
    #[error("{0}")]
    Wrong(Problems),
    /// It is right, and changes what a running process cannot.
    #[error("{0}")]
    Restart(String),
    /// The store does not record it now; it is tried again.
    #[error("{0}")]
    Unrecorded(String),
}

/// Follows one file.
pub struct Reloader {
    path: PathBuf,
    running: Arc<Running>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    seen: Mutex<Seen>,
    /// One reload at a time, or one that read the file earlier could win over one that read it later.
    turn: tokio::sync::Mutex<()>,
    trouble: Mutex<Option<String>>,
}

/// What was looked at last.
struct Seen {
    /// The content that was tried, whatever came of it; `None`: it could not be read.
    tried: Option<[u8; 32]>,
    /// Another content, seen once.
    fresh: Option<Option<[u8; 32]>>,
    secrets: Files,
    try_again: bool,
}

impl Reloader {
    pub(super) fn new(
        path: PathBuf,
        digest: [u8; 32],
        running: Arc<Running>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
    ) -> Self {
        let secrets = Files::new(secret_files(&path));
        let seen = Mutex::new(Seen { tried: Some(digest), fresh: None, secrets, try_again: false });
        metrics.reload_ok.set(1);
        metrics.reloaded_at.set(clock.now().as_second());
        Self { path, running, clock, metrics, seen, turn: tokio::sync::Mutex::default(), trouble: Mutex::default() }
    }

    /// Looks again and again until the drain begins.
    pub(super) async fn run(&self, lifecycle: &Lifecycle) {
        for turn in 1_u32.. {
            tokio::select! {
                () = lifecycle.draining() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
            if self.is_changed() {
                // Whatever comes of it is told where it happens.
                let _ = self.reload().await;
            }
            if turn.is_multiple_of(ORPHANS_EVERY) {
                self.hold_orphans().await;
            }
        }
    }

    /// Whether there is something new to try. A file is tried once it says the same for the second time: half of one that is
    /// being written may be a whole config without its guardrails.
    #[must_use]
    pub fn is_changed(&self) -> bool {
        let content = digest(&self.path);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if content != seen.tried {
            let is_settled = seen.fresh == Some(content);
            seen.fresh = Some(content);
            return is_settled;
        }
        seen.fresh = None;
        let is_secret = seen.secrets.changed();
        is_secret || seen.try_again
    }

    /// Reads the file now and takes it on: the names of what changed. On an error nothing has changed.
    pub async fn reload(&self) -> Result<Vec<String>, ReloadError> {
        let _turn = self.turn.lock().await;
        // Before anything is read: a change in between is then noticed.
        let (content, secrets) = (digest(&self.path), Files::new(secret_files(&self.path)));
        let result = self.take().await;
        let try_again = matches!(result, Err(ReloadError::Unrecorded(_)));
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) =
            Seen { tried: content, fresh: None, secrets, try_again };
        self.tell(&result);
        if result.is_ok() {
            self.hold_orphans().await;
        }
        result
    }

    async fn take(&self) -> Result<Vec<String>, ReloadError> {
        let (path, clock) = (self.path.clone(), Arc::clone(&self.clock));
        // Clients of providers read the system's certificates, which takes its time.
        let loaded = tokio::task::spawn_blocking(move || Loaded::from_file(&path, &clock)).await;
        let loaded = loaded.map_err(|_| ReloadError::Unrecorded("the config could not be read through".to_owned()))?;
        let loaded = loaded.map_err(ReloadError::Wrong)?;
        for warning in loaded.warnings.iter() {
            tracing::warn!(path = %warning.path, line = warning.line, "{}", warning.message);
        }
        self.running.take(loaded).await.map_err(|refused| match refused {
            Refused::Restart(_) => ReloadError::Restart(refused.to_string()),
            Refused::Unrecorded(_) => ReloadError::Unrecorded(refused.to_string()),
        })
    }

    fn tell(&self, result: &Result<Vec<String>, ReloadError>) {
        let file = self.path.display();
        match result {
            Ok(changed) if changed.is_empty() => tracing::info!(%file, "the config is the one in use"),
            Ok(changed) => {
                self.metrics.reloaded_at.set(self.clock.now().as_second());
                tracing::info!(%file, changed = changed.join(", "), "the changed config is in use");
            }
            Err(error) => {
                let problems = error.to_string();
                tracing::error!(%file, problems, "the changed config is not in use; the old one stays");
            }
        }
        self.metrics.reload_ok.set(i64::from(result.is_ok()));
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = result.as_ref().err().map(public);
    }

    async fn hold_orphans(&self) {
        if let Err(error) = self.running.hold_orphans().await {
            tracing::warn!(error = %error, "it could not be seen whether jobs wait for a provider that is gone");
        }
    }

    /// What is wrong, in words that may be shown to anybody.
    #[must_use]
    pub fn degraded(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Values and messages stay in the log, for anybody may ask.
fn public(error: &ReloadError) -> String {
    match error {
        ReloadError::Wrong(problems) => {
            let count = problems.iter().filter(|problem| problem.severity == crate::config::Severity::Error).count();
            format!("config: the changed file is not in use, {count} problem(s); the log has them")
        }
        ReloadError::Restart(message) => format!("config: the changed file is not in use; {message}"),
        ReloadError::Unrecorded(_) => "config: the changed file is not in use, for the store does not work".to_owned(),
    }
}

fn digest(path: &Path) -> Option<[u8; 32]> {
    std::fs::read(path).ok().map(|content| Sha256::digest(content).into())
}
