//! From start to a clean end: what may be spawned, when to stop taking work, and when to let go of it.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Shared by everything that runs. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lifecycle {
    drain: CancellationToken,
    /// The process's, of which `drain` may be a part.
    whole: CancellationToken,
    abort: CancellationToken,
    failed: CancellationToken,
    tracker: TaskTracker,
}

impl Default for Lifecycle {
    fn default() -> Self {
        Self::new()
    }
}

impl Lifecycle {
    /// Running.
    #[must_use]
    pub fn new() -> Self {
        let whole = CancellationToken::new();
        Self {
            drain: whole.clone(),
            whole,
            abort: CancellationToken::new(),
            failed: CancellationToken::new(),
            tracker: TaskTracker::new(),
        }
    }

    /// A part that may end before the whole does, and ends with it. A vital task of it that fails ends the whole.
    #[must_use]
    pub fn part(&self) -> Self {
        Self { drain: self.drain.child_token(), ..self.clone() }
    }

    /// Spawns a task that the end waits for.
    #[expect(clippy::disallowed_methods, reason = "the home of spawning")]
    pub fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        tokio::spawn(self.tracker.track_future(task))
    }

    /// Spawns a task that lives as long as the process: if it stops unasked, everything stops, with a failing status.
    pub fn spawn_vital<F>(&self, name: &'static str, task: F)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let lifecycle = self.clone();
        let handle = self.spawn(task);
        self.spawn(async move {
            let ended = handle.await;
            if !lifecycle.is_draining() {
                tracing::error!(task = name, panicked = ended.is_err(), "a task that must not stop has stopped");
                lifecycle.failed.cancel();
                lifecycle.whole.cancel();
            }
        });
    }

    /// Finish what you hold, take nothing new.
    pub fn start_drain(&self) {
        self.drain.cancel();
    }

    /// Whether the end has begun.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.drain.is_cancelled()
    }

    /// Whether a vital task has stopped unasked.
    #[must_use]
    pub fn has_failed(&self) -> bool {
        self.failed.is_cancelled()
    }

    /// Returns once the end begins.
    pub async fn draining(&self) {
        self.drain.cancelled().await;
    }

    /// Returns once what is held must be let go.
    pub async fn aborting(&self) {
        self.abort.cancelled().await;
    }

    /// Waits for every task: so long for them to finish, then so long for them to let go.
    pub async fn finish(&self, patience: Duration, let_go: Duration) {
        self.start_drain();
        self.tracker.close();
        if tokio::time::timeout(patience, self.tracker.wait()).await.is_err() {
            self.abort.cancel();
            let _ = tokio::time::timeout(let_go, self.tracker.wait()).await;
        }
    }
}
