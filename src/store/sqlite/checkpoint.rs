//! Moves pages from the log into the file beside the thread that writes. Done by that thread, it made the slowest commits.
//!
//! The log starts over only where all of it was moved, and while commits come in something is always left. So when
//! little is, the thread that writes moves the rest between two commits.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;

/// From so many pages on the log is moved: 100 MB. A page that was written again and again is moved once, and those of
/// indexes at random places make up most of it where many jobs wait: at 16 MB, 1.4 times as much is moved as at 40. Each
/// time, commits wait until the disk has taken what was moved (7 to 9 ms in the median at 40 MB, where the sync of a commit
/// takes 0.3). A process that was killed leaves as much to the next start: 135 MB took 0.15 s.
const MANY: i64 = 25_000;

/// So few are moved between two commits: 2 MB.
const FEW: i64 = 500;

/// Rounds, each of which moves what came in during the one before, until few are left. A disk that falls behind even so
/// is asked again after some more commits.
const ROUNDS: u32 = 8;

/// Commits between two looks at the log.
const COMMITS: u32 = 32;

/// The thread beside, as the one that writes knows it.
pub(super) struct Checkpoints {
    commits: u32,
    few_left: Arc<AtomicBool>,
    ask: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Checkpoints {
    pub(super) fn start(path: &Path) -> anyhow::Result<Self> {
        let connection = super::connect(path)?;
        let (few_left, (ask, asked)) = (Arc::new(AtomicBool::new(false)), sync_channel(1));
        let told = Arc::clone(&few_left);
        let run = move || run(&connection, &asked, &told);
        let thread = std::thread::Builder::new().name("store-log".to_owned()).spawn(run)?;
        Ok(Self { commits: 0, few_left, ask: Some(ask), thread: Some(thread) })
    }

    /// Comes after every commit, from the thread that writes.
    pub(super) fn committed(&mut self, connection: &Connection) {
        if self.few_left.swap(false, Ordering::Relaxed) {
            report(checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)"));
        }
        self.commits = self.commits.wrapping_add(1);
        if self.commits.is_multiple_of(COMMITS)
            && let Some(ask) = &self.ask
        {
            // Where it is asked already, it looks soon.
            let _ = ask.try_send(());
        }
    }
}

impl Drop for Checkpoints {
    fn drop(&mut self) {
        self.ask.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, asked: &Receiver<()>, few_left: &AtomicBool) {
    while asked.recv().is_ok() {
        if report(move_most(connection)) == Some(true) {
            few_left.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether so many pages were moved that few are left.
fn move_most(connection: &Connection) -> rusqlite::Result<bool> {
    if pages_left(connection)? < MANY {
        return Ok(false);
    }
    for _ in 0..ROUNDS {
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        if pages_left(connection)? < FEW {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Pages in the log that are not in the file.
fn pages_left(connection: &Connection) -> rusqlite::Result<i64> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

/// Waits for nobody, and nobody waits for it.
fn checkpoint(connection: &Connection, pragma: &'static str) -> rusqlite::Result<i64> {
    connection.prepare_cached(pragma)?.query_row([], |row| Ok(row.get::<_, i64>(1)? - row.get::<_, i64>(2)?))
}

/// A log that cannot be moved now is moved later; nothing is lost with it.
fn report<T>(done: rusqlite::Result<T>) -> Option<T> {
    if let Err(error) = &done {
        tracing::warn!(error = %error, "the log could not be moved into the store's file; will try again");
    }
    done.ok()
}
