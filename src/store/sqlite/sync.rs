//! Puts commits on disk beside the thread that writes: while one is synced, the next one is applied.
//!
//! Always holds: whoever asked is told after a sync that began when all of their commit was in the log, and one commit is
//! synced at a time, in order. After a sync that failed nobody can know what of the log is on disk, and to ask again
//! proves nothing (Linux reports an error once and forgets the pages): nothing is stored any more, and the process has
//! to be started anew.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use jiff::Timestamp;
use tokio::sync::watch;

use super::writer::Queued;
use crate::store::StoreError;

/// Waits until everything that was written to the log is on disk.
pub(super) type SyncLog = Box<dyn FnMut() -> io::Result<()> + Send>;

/// How far the log is on disk, for readers, who see a commit before it is.
pub(super) struct Durable {
    begun: AtomicU64,
    done: watch::Sender<Result<u64, StoreError>>,
}

impl Default for Durable {
    fn default() -> Self {
        Self { begun: AtomicU64::new(0), done: watch::Sender::new(Ok(0)) }
    }
}

impl Durable {
    /// A commit is about to be made; its number.
    pub(super) fn begin(&self) -> u64 {
        self.begun.fetch_add(1, Ordering::SeqCst) + 1
    }

    /// The commit of this number, and so every one before it, is on disk or was undone.
    pub(super) fn reached(&self, number: u64) {
        self.done.send_modify(|done| *done = done.clone().map(|before| before.max(number)));
    }

    fn fail(&self, error: StoreError) {
        self.done.send_modify(|done| *done = Err(error));
    }

    /// Returns once all that was committed before is on disk.
    pub(super) async fn all(&self) -> Result<(), StoreError> {
        let begun = self.begun.load(Ordering::SeqCst);
        let mut done = self.done.subscribe();
        let closed = |_| StoreError::Unavailable("closed".to_owned());
        let reached =
            done.wait_for(|done| done.as_ref().map_or(true, |number| *number >= begun)).await.map_err(closed)?;
        reached.clone().map(drop)
    }

    /// Returns once nothing can be stored any more, with the reason.
    pub(super) async fn lost(&self) -> StoreError {
        let mut done = self.done.subscribe();
        match done.wait_for(Result::is_err).await.as_deref() {
            Ok(Err(error)) => error.clone(),
            Ok(Ok(_)) | Err(_) => StoreError::Unavailable("closed".to_owned()),
        }
    }
}

/// A commit on its way to the disk.
pub(super) struct Commit {
    /// From [`Durable::begin`].
    pub(super) number: u64,
    /// Who is to be told.
    pub(super) changes: Vec<Queued>,
    /// When the first of them was taken up, by the steady clock.
    pub(super) began: Timestamp,
}

/// The thread that syncs, as the one that writes knows it.
pub(super) struct Syncs {
    commits: Option<SyncSender<Commit>>,
    state: Arc<State>,
    durable: Arc<Durable>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct State {
    now: Mutex<Now>,
    ended: Condvar,
}

#[derive(Default)]
struct Now {
    busy: bool,
    failed: Option<StoreError>,
}

impl Now {
    fn check(&self) -> Result<(), StoreError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None => Ok(()),
        }
    }
}

impl State {
    fn lock(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Syncs {
    /// `ended` is called after every sync, before anyone is told.
    pub(super) fn start(
        sync: SyncLog,
        durable: Arc<Durable>,
        ended: impl Fn(&Commit) + Send + 'static,
    ) -> io::Result<Self> {
        // One at a time: whoever hands in a commit has waited for the one before.
        let (commits, handed) = sync_channel(1);
        let state = Arc::new(State::default());
        let (told, reached) = (Arc::clone(&state), Arc::clone(&durable));
        let run = move || run(&handed, sync, &reached, &told, &ended);
        let thread = std::thread::Builder::new().name("store-sync".to_owned()).spawn(run)?;
        Ok(Self { commits: Some(commits), state, durable, thread: Some(thread) })
    }

    /// Whether a sync is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.state.lock().busy
    }

    /// An error means that no commit may follow.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        self.state.lock().check()
    }

    /// Waits for the end of the sync that is under way. An error means that no commit may follow.
    pub(super) fn wait(&self) -> Result<(), StoreError> {
        let idle = self.state.ended.wait_while(self.state.lock(), |now| now.busy);
        idle.unwrap_or_else(PoisonError::into_inner).check()
    }

    /// Syncs a commit and tells everyone. Comes after [`Self::wait`].
    pub(super) fn hand_in(&self, commit: Commit) {
        self.state.lock().busy = true;
        let Some(commits) = &self.commits else { return };
        if let Err(unsent) = commits.send(commit) {
            let error = StoreError::Unavailable("the thread that syncs is gone; start sever anew".to_owned());
            self.durable.fail(error.clone());
            *self.state.lock() = Now { busy: false, failed: Some(error.clone()) };
            answer(unsent.0.changes, Some(&error));
        }
    }
}

impl Drop for Syncs {
    fn drop(&mut self) {
        self.commits.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(handed: &Receiver<Commit>, mut sync: SyncLog, durable: &Durable, state: &State, ended: &impl Fn(&Commit)) {
    while let Ok(commit) = handed.recv() {
        // The thread that writes waits for the end of this, so there has to be one.
        let synced = catch_unwind(AssertUnwindSafe(&mut sync)).unwrap_or_else(|_| Err(io::Error::other("a bug")));
        let failed = synced.err().map(|error| explain(&error));
        match &failed {
            None => durable.reached(commit.number),
            Some(error) => {
                tracing::error!(error = %error, changes = commit.changes.len(), "a commit may not be on disk");
                durable.fail(error.clone());
            }
        }
        // The next commit goes first; whoever waits for this one is told meanwhile.
        *state.lock() = Now { busy: false, failed: failed.clone() };
        state.ended.notify_all();
        ended(&commit);
        answer(commit.changes, failed.as_ref());
    }
}

fn explain(error: &io::Error) -> StoreError {
    StoreError::Unavailable(format!(
        "the disk did not take what was written to the store's log ({error}); nothing more is stored until sever is started anew"
    ))
}

fn answer(changes: Vec<Queued>, failed: Option<&StoreError>) {
    changes.into_iter().for_each(|change| change.answer(failed));
}
