//! The one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::{Notify, oneshot};

use super::checkpoint::Checkpoints;
use super::people::People;
use super::sync::{Commit, Durable, SyncLog, Syncs};
use super::tx::{Chain, Leases, Tx};
use crate::clock::Clock;
use crate::store::spacing::Spacing;
use crate::store::{Routes, StoreError};
use crate::telemetry::Metrics;

/// Changes in one transaction. More would make the first of them wait too long for the last.
const LARGEST_BATCH: usize = 512;

/// See [`Spacing`]. Queued jobs were worked off 6 to 10 % faster and deliveries stored 7 % faster with it (medians of seven
/// turns with and without, on two cores).
const ENOUGH: usize = 16;
const APART: Duration = Duration::from_millis(4);

/// Changes that may wait. At 20,000 a second this is half a second; beyond it senders are told to come back.
const QUEUE: usize = 10_000;

pub(super) type Queued = Box<dyn Change>;

/// What reaches the thread.
enum Message {
    Change(Queued),
    /// The sync of the last commit has ended.
    Synced,
    /// Nothing more will come.
    Close,
}

/// A change on its way through the writer.
pub(super) trait Change: Send {
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
    /// As soon as it is made: for what nobody may rely on until a later change is durable, which then this one is too.
    Applied,
}

impl<T, F> Change for Pending<T, F>
where
    T: Send,
    F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send,
{
    fn apply(&mut self, tx: &mut Tx<'_>) -> bool {
        if self.when == When::Applied && self.reply.is_none() {
            // It was told, and undone since.
            return true;
        }
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
    queue: SyncSender<Message>,
    durable: Arc<Durable>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn start(
        connection: Connection,
        people: Arc<Mutex<People>>,
        checkpoints: Option<Checkpoints>,
        sync: SyncLog,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        due: Arc<Notify>,
    ) -> anyhow::Result<Self> {
        let chain = Chain::resume(&connection)?;
        let (queue, messages) = sync_channel(QUEUE);
        let durable = Arc::new(Durable::default());
        let (tell, time) = (queue.clone(), Arc::clone(&clock));
        let ended = move |commit: &Commit| {
            // A thread that has a full queue before it does not wait for this.
            let _ = tell.try_send(Message::Synced);
            let took = Duration::try_from(time.steady() - commit.began).unwrap_or_default();
            metrics.commit(took, commit.changes.len());
        };
        let syncs = Syncs::start(sync, Arc::clone(&durable), ended)?;
        let run = Loop {
            connection,
            checkpoints,
            clock,
            due,
            chain,
            leases: Leases::default(),
            routes: Routes::default(),
            people,
            syncs,
            durable: Arc::clone(&durable),
            spacing: Spacing::new(ENOUGH, APART),
        };
        let inbox = Inbox { queue: messages, closed: false };
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || run.run(inbox))?;
        Ok(Self { queue, durable, thread: Some(thread) })
    }

    pub(super) async fn run<T, F>(&self, when: When, change: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnMut(&mut Tx<'_>) -> Result<T, StoreError> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let queued = Box::new(Pending { change, result: None, reply: Some(reply), when });
        let closed = || StoreError::Unavailable("closed".to_owned());
        match self.queue.try_send(Message::Change(queued)) {
            Ok(()) => answer.await.map_err(|_| closed())?,
            Err(TrySendError::Full(_)) => Err(StoreError::Unavailable("too many changes are waiting".to_owned())),
            Err(TrySendError::Disconnected(_)) => Err(closed()),
        }
    }

    /// How far its commits are on disk.
    pub(super) fn durable(&self) -> &Durable {
        &self.durable
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        let _ = self.queue.send(Message::Close);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Changes as they come in.
struct Inbox {
    queue: Receiver<Message>,
    closed: bool,
}

impl Inbox {
    /// Waits for a change. `None`: there will be none.
    fn first(&mut self) -> Option<Queued> {
        self.next(|| true)
    }

    /// A change that is there, or that comes while `waits`.
    fn next(&mut self, waits: impl Fn() -> bool) -> Option<Queued> {
        while !self.closed {
            let message = match self.queue.try_recv() {
                Ok(message) => message,
                // The end of what was to be waited for comes as a message as well.
                Err(_) if waits() => self.queue.recv().ok()?,
                Err(_) => return None,
            };
            match message {
                Message::Change(change) => return Some(change),
                Message::Synced => {}
                Message::Close => self.closed = true,
            }
        }
        None
    }

    /// A change that comes before nothing is left of the time.
    fn within(&mut self, left: impl Fn() -> Duration) -> Option<Queued> {
        while !self.closed {
            let left = left();
            if left.is_zero() {
                return None;
            }
            match self.queue.recv_timeout(left) {
                Ok(Message::Change(change)) => return Some(change),
                Ok(Message::Synced) => {}
                Ok(Message::Close) | Err(RecvTimeoutError::Disconnected) => self.closed = true,
                Err(RecvTimeoutError::Timeout) => return None,
            }
        }
        None
    }
}

struct Loop {
    connection: Connection,
    /// `None`: in memory, without a log.
    checkpoints: Option<Checkpoints>,
    clock: Arc<dyn Clock>,
    due: Arc<Notify>,
    chain: Chain,
    leases: Leases,
    routes: Routes,
    people: Arc<Mutex<People>>,
    syncs: Syncs,
    durable: Arc<Durable>,
    spacing: Spacing,
}

impl Loop {
    fn run(mut self, mut inbox: Inbox) {
        while let Some(first) = inbox.first() {
            let (mut changes, began) = (vec![first], self.clock.steady());
            match self.commit(&mut changes, &mut inbox) {
                Ok(Committed { number, wrote: true }) => {
                    self.spacing.committed(changes.len(), self.clock.steady());
                    self.syncs.hand_in(Commit { number, changes, began });
                    if let Some(checkpoints) = &mut self.checkpoints {
                        checkpoints.committed(&self.connection);
                    }
                }
                // A sync would do nothing but make the disk flush its cache: whatever these changes saw is on disk.
                Ok(Committed { number, wrote: false }) => {
                    self.durable.reached(number);
                    changes.into_iter().for_each(|change| change.answer(None));
                }
                Err(error) => {
                    tracing::error!(error = %error, changes = changes.len(), "a commit failed; nothing of it was kept");
                    changes.into_iter().for_each(|change| change.answer(Some(&error)));
                }
            }
        }
        let synced = self.syncs.wait();
        drop(self.checkpoints.take());
        match synced {
            // What a crash would leave to the next start is done here: the file stands alone after an orderly end.
            Ok(()) => drop(self.connection.pragma_update(None, "wal_checkpoint", "truncate")),
            // What cannot be read back from the log must not be moved into the file; the next start looks at it again.
            Err(_) => drop(self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)),
        }
    }

    /// Writes the changes, and those that come in meanwhile, to the log.
    fn commit(&mut self, changes: &mut Vec<Queued>, inbox: &mut Inbox) -> Result<Committed, StoreError> {
        let before = self.chain.clone();
        let shared = Arc::clone(&self.people);
        let people = &mut *shared.lock().unwrap_or_else(PoisonError::into_inner);
        // A change that panics would otherwise take the writer with it, and every later alert would be refused.
        let applied = catch_unwind(AssertUnwindSafe(|| self.apply(changes, inbox, people)));
        let committed = applied.unwrap_or_else(|_| Err(rusqlite::Error::UnwindingPanic.into())).inspect_err(|_| {
            self.chain = before;
            people.go_back(0);
            self.leases.burn();
            if !self.connection.is_autocommit() {
                let _ = self.connection.execute_batch("ROLLBACK");
            }
        });
        people.settle();
        committed
    }

    /// A savepoint for each change costs a copy of every page it touches. Hardly any change fails after it has written
    /// something; only then is everything undone and done again, with savepoints.
    fn apply(
        &mut self,
        changes: &mut Vec<Queued>,
        inbox: &mut Inbox,
        people: &mut People,
    ) -> Result<Committed, StoreError> {
        let before = self.chain.clone();
        if let Some(committed) = self.transact(changes, inbox, people, Care::Trusting)? {
            return Ok(committed);
        }
        self.chain = before;
        people.go_back(0);
        self.leases.burn();
        self.transact(changes, inbox, people, Care::Guarding).map(Option::unwrap_or_default)
    }

    /// `None`: it was undone, because a change that failed may have left something behind.
    fn transact(
        &mut self,
        changes: &mut Vec<Queued>,
        inbox: &mut Inbox,
        people: &mut People,
        care: Care,
    ) -> Result<Option<Committed>, StoreError> {
        // Nobody is to be told ahead of what will not be stored.
        self.syncs.check()?;
        let written_before = self.connection.total_changes();
        self.connection.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let (chain, leases, routes) = (&mut self.chain, &mut self.leases, &mut self.routes);
        let left = |changes| self.spacing.left(changes, self.clock.steady());
        let mut tx = Tx::new(&self.connection, self.clock.as_ref(), chain, leases, routes, people);
        let mut applied = 0;
        while applied < changes.len() || gather(changes, inbox, &self.syncs, left) {
            // It may have been asked because of an answer to one before it.
            tx.look_at(self.clock.as_ref());
            let change = &mut changes[applied];
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
            change.answer_ahead();
            applied += 1;
        }
        // The log must not go on behind something that is not on disk.
        self.syncs.wait()?;
        let wake = tx.finish()?;
        let (number, wrote) = (self.durable.begin(), self.connection.total_changes() != written_before);
        let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        if let Err(error) = committed {
            self.durable.reached(number);
            return Err(error.into());
        }
        self.leases.stand();
        if wake {
            // Workers may look already: nothing that they do comes before this in the log.
            self.due.notify_one();
        }
        Ok(Some(Committed { number, wrote }))
    }
}

/// Takes one more change into an open transaction: one that is there, or comes while the commit before is synced, or in the
/// time that is `left` to so many changes.
fn gather(changes: &mut Vec<Queued>, inbox: &mut Inbox, syncs: &Syncs, left: impl Fn(usize) -> Duration) -> bool {
    let count = changes.len();
    if count >= LARGEST_BATCH {
        return false;
    }
    let next = inbox.next(|| syncs.is_busy()).or_else(|| inbox.within(|| left(count)));
    changes.extend(next);
    changes.len() > count
}

/// A transaction that has ended. What came before it is on disk.
#[derive(Debug, Default)]
struct Committed {
    /// From [`Durable::begin`].
    number: u64,
    /// Whether anything of it is in the log.
    wrote: bool,
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
mod tests;
