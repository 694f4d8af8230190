//! Moves pages from the log into the file beside the thread that writes. Done by that thread, it made the slowest commits.
//!
//! The log starts over only where all of it was moved and nobody reads from it, and while commits come in something is always
//! left. So when little is, the thread that writes moves the rest between two commits; where somebody was reading, again a
//! little later. Left to grow, the log would come to a length at which that thread moves all of it.

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
        if report(move_most(connection, MANY)) == Some(true) {
            few_left.store(true, Ordering::Relaxed);
        }
    }
}

/// Whether the log has so many pages, and all but a few of them were moved.
fn move_most(connection: &Connection, many: i64) -> rusqlite::Result<bool> {
    let mut log = look(connection)?;
    for _ in 0..ROUNDS {
        if log.pages < many || log.left() < FEW {
            break;
        }
        checkpoint(connection, "PRAGMA wal_checkpoint(PASSIVE)")?;
        log = look(connection)?;
    }
    Ok(log.pages >= many && log.left() < FEW)
}

/// Pages since the log started over.
struct Log {
    pages: i64,
    /// They are in the file.
    moved: i64,
}

impl Log {
    fn left(&self) -> i64 {
        self.pages - self.moved
    }
}

fn look(connection: &Connection) -> rusqlite::Result<Log> {
    checkpoint(connection, "PRAGMA wal_checkpoint(NOOP)")
}

/// Waits for nobody, and nobody waits for it.
fn checkpoint(connection: &Connection, pragma: &'static str) -> rusqlite::Result<Log> {
    let read = |row: &rusqlite::Row<'_>| Ok(Log { pages: row.get(1)?, moved: row.get(2)? });
    connection.prepare_cached(pragma)?.query_row([], read)
}

/// A log that cannot be moved now is moved later; nothing is lost with it.
fn report<T>(done: rusqlite::Result<T>) -> Option<T> {
    if let Err(error) = &done {
        tracing::warn!(error = %error, "the log could not be moved into the store's file; will try again");
    }
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_that_somebody_reads_from_starts_over_once_nobody_does() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("sever.db");
        let [writer, beside, reader] = [(); 3].map(|()| super::super::connect(&path).expect("a connection"));
        writer.execute_batch("CREATE TABLE pages (body BLOB)").expect("a table");
        let pages = || look(&beside).expect("a look").pages;
        let many = 900;
        assert!(!move_most(&beside, many).expect("a look"), "it is short");

        writer.execute("INSERT INTO pages VALUES (randomblob(4000000))", []).expect("written");
        reader.execute_batch("BEGIN; SELECT count(*) FROM pages").expect("a reader");
        let mut before = pages();
        for _ in 0..2 {
            assert!(move_most(&beside, many).expect("moved"), "few pages are left, whoever reads");
            checkpoint(&writer, "PRAGMA wal_checkpoint(PASSIVE)").expect("moved");
            writer.execute("INSERT INTO pages VALUES ('')", []).expect("written");
            assert!(pages() > before, "it cannot start over while somebody reads from it");
            before = pages();
        }

        reader.execute_batch("COMMIT").expect("the end");
        assert!(move_most(&beside, many).expect("moved"), "it is long, however little of it is left");
        checkpoint(&writer, "PRAGMA wal_checkpoint(PASSIVE)").expect("moved");
        writer.execute("INSERT INTO pages VALUES ('')", []).expect("written");
        assert!(pages() < 10, "it starts over");
    }
}
