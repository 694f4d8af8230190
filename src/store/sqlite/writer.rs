//! The one thread that writes.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::{Notify, oneshot};

use super::checkpoint::Checkpoints;
use super::tx::{Chain, Leases, Tx};
use crate::clock::Clock;
use crate::store::StoreError;
use crate::telemetry::Metrics;

/// Changes in one transaction. More would make the first of them wait too long for the last.
const LARGEST_BATCH: usize = 512;

/// Changes that may wait. At 20,000 a second this is half a second; beyond it senders are told to come back.
const QUEUE: usize = 10_000;

type Queued = Box<dyn Change>;

/// A change on its way through the writer.
trait Change: Send {
    /// Makes the change; `false` undoes it. May be called again where everything before was undone.
    fn apply(&mut self, tx: &mut Tx<'_>) -> bool;

    /// Tells whoever does not wait for the commit.
    fn answer_ahead(&mut self);

    /// Tells whoever asked. `failed`: the commit did not happen.
    fn answer(self: Box<Self>, failed: Option<&StoreError>);
}

struct Pending<T, F> {
    change: F,
    result: Option<Result<T, StoreError>>,
    reply: Option<oneshot::Sender<Result<T, StoreError>>>,
    when: When,
}

/// When whoever asked is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum When {
    /// After the commit.
    Durable,
    /// Just before the commit: for what nobody may rely on until a later change is durable, which then this one is too.
    Applied,
}

impl<T, F> Change for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, tx: &mut Tx<'_>) -> bool {
        self.result = Some((self.change)(tx));
        matches!(self.result, Some(Ok(_)))
    }

    fn answer_ahead(&mut self) {
        if self.when == When::Applied
            && let (Some(reply), Some(result)) = (self.reply.take(), self.result.take())
        {
            let _ = reply.send(result);
        }
    }

    fn answer(self: Box<Self>, failed: Option<&StoreError>) {
        let Some(reply) = self.reply else { return };
        let result = match (failed, self.result) {
            (Some(error), _) => Err(error.clone()),
            (None, Some(result)) => result,
            (None, None) => Err(StoreError::Unavailable("the writer skipped a change".to_owned())),
        };
        // Whoever asked may have gone away; the change stands all the same.
        let _ = reply.send(result);
    }
}

/// Hands changes to the thread.
pub(super) struct Writer {
    queue: Option<SyncSender<Queued>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        checkpoints: Option<Checkpoints>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        due: Arc<Notify>,
    ) -> anyhow::Result<Self> {
        let chain = Chain::resume(&connection)?;
        let (queue, changes) = sync_channel(QUEUE);
        let run = Loop { connection, checkpoints, clock, metrics, due, chain, leases: Leases::default() };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || run.run(&changes))?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn run<T, F>(&self, when: When, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queued = Box::new(Pending { change, result: None, reply: Some(reply), when });
        let closed = || StoreError::Unavailable("closed".to_owned());
        match self.queue.as_ref().ok_or_else(closed)?.try_send(queued) {
            Ok(()) => answer.await.map_err(|_| closed())?,
            Err(TrySendError::Full(_)) => Err(StoreError::Unavailable("too many changes are waiting".to_owned())),
            Err(TrySendError::Disconnected(_)) => Err(closed()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

struct Loop {
    connection: Connection,
    /// `None`: in memory, without a log.
    checkpoints: Option<Checkpoints>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    due: Arc<Notify>,
    chain: Chain,
    leases: Leases,
}

impl Loop {
    fn run(mut self, changes: &Receiver<Queued>) {
        let mut batch = VecDeque::with_capacity(LARGEST_BATCH);
        while let Ok(first) = changes.recv() {
            batch.push_back(first);
            while batch.len() < LARGEST_BATCH
                && let Ok(next) = changes.try_recv()
            {
                batch.push_back(next);
            }
            let failed = self.commit(&mut batch).err();
            if let Some(error) = &failed {
                tracing::error!(error = %error, changes = batch.len(), "a commit failed; nothing of it was kept");
            }
            batch.drain(..).for_each(|change| change.answer(failed.as_ref()));
            if let Some(checkpoints) = &mut self.checkpoints {
                checkpoints.committed(&self.connection);
            }
        }
        drop(self.checkpoints.take());
        // What a crash would leave to the next start is done here: the file stands alone after an orderly end.
        let _ = self.connection.pragma_update(None, "wal_checkpoint", "truncate");
    }

    fn commit(&mut self, batch: &mut VecDeque<Queued>) -> Result<(), StoreError> {
        let started = self.clock.steady();
        let before = self.chain.clone();
        // A change that panics would otherwise take the writer with it, and every later alert would be refused.
        let applied = catch_unwind(AssertUnwindSafe(|| self.apply(batch)));
        match applied.unwrap_or_else(|_| Err(rusqlite::Error::UnwindingPanic)) {
            Ok(wake) => {
                let took = std::time::Duration::try_from(self.clock.steady() - started).unwrap_or_default();
                self.metrics.commit(took, batch.len());
                if wake {
                    self.due.notify_one();
                }
                Ok(())
            }
            Err(error) => {
                self.chain = before;
                self.leases.burn();
                if !self.connection.is_autocommit() {
                    let _ = self.connection.execute_batch("ROLLBACK");
                }
                Err(error.into())
            }
        }
    }

    /// A savepoint for each change costs a copy of every page it touches. Hardly any change fails after it has written
    /// something; only then is everything undone and done again, with savepoints.
    fn apply(&mut self, batch: &mut VecDeque<Queued>) -> rusqlite::Result<bool> {
        let before = self.chain.clone();
        if let Some(wake) = self.transact(batch, Care::Trusting)? {
            return Ok(wake);
        }
        self.chain = before;
        self.transact(batch, Care::Guarding).map(Option::unwrap_or_default)
    }

    /// `None`: it was undone, because a change that failed may have left something behind.
    fn transact(&mut self, batch: &mut VecDeque<Queued>, care: Care) -> rusqlite::Result<Option<bool>> {
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut tx = Tx::new(&self.connection, self.clock.as_ref(), &mut self.chain, &mut self.leases);
        for change in batch.iter_mut() {
            let fine = match care {
                Care::Trusting => tx.trusting(|tx| change.apply(tx)),
                Care::Guarding => tx.guarded(|tx| change.apply(tx))?,
            };
            if !fine {
                if !self.connection.is_autocommit() {
                    self.connection.execute_batch("ROLLBACK")?;
                }
                return Ok(None);
            }
        }
        let wake = tx.finish()?;
        batch.iter_mut().for_each(|change| change.answer_ahead());
        self.connection.prepare_cached("COMMIT")?.execute([])?;
        Ok(Some(wake))
    }
}

/// How the changes of a transaction are kept apart.
#[derive(Debug, Clone, Copy)]
enum Care {
    /// Not at all, as long as none leaves anything half done.
    Trusting,
    /// Each behind a savepoint.
    Guarding,
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::SystemClock;
    use crate::domain::JobState;

    fn writer() -> Writer {
        let mut connection = Connection::open_in_memory().expect("a database");
        super::super::schema::migrate(&mut connection).expect("a schema");
        let (clock, metrics) = (Arc::new(SystemClock::new()), Arc::new(Metrics::new()));
        Writer::start(connection, None, clock, metrics, Arc::new(Notify::new())).expect("a writer")
    }

    fn gate(name: &'static str, fails: bool) -> impl FnMut(&mut Tx<'_>) -> Result<(), StoreError> + Send {
        move |tx| {
            let sql = "INSERT INTO gates (provider, reason, note, closed_at) VALUES (?1, 'paused', '', 0)";
            tx.sql(sql)?.execute([name])?;
            tx.count(&name.parse().expect("a name"), None, Some(JobState::Queued));
            if fails { Err(StoreError::NotFound("job")) } else { Ok(()) }
        }
    }

    fn names(table: &'static str) -> impl FnMut(&mut Tx<'_>) -> Result<Vec<String>, StoreError> + Send {
        move |tx| {
            let mut statement = tx.connection().prepare(&format!("SELECT provider FROM {table} ORDER BY 1"))?;
            let names = statement.query_map([], |row| row.get(0))?;
            Ok(names.collect::<Result<_, _>>()?)
        }
    }

    #[tokio::test]
    async fn a_change_that_fails_late_is_undone_and_its_neighbours_stand() {
        let writer = writer();
        // While the first one dawdles, the others gather into one batch.
        let dawdling = writer.run(When::Durable, |_| {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        });
        let (first, last) = (gate("first", false), gate("last", false));
        let (_, first, failed, last) = tokio::join!(
            dawdling,
            writer.run(When::Durable, first),
            writer.run(When::Durable, gate("failed", true)),
            writer.run(When::Durable, last)
        );

        assert!(first.is_ok() && last.is_ok() && matches!(failed, Err(StoreError::NotFound(_))));
        for table in ["gates", "job_counts"] {
            assert_eq!(writer.run(When::Durable, names(table)).await.expect("names"), ["first", "last"], "{table}");
        }
    }
}
