//! The one thread that writes.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rusqlite::Connection;
use rusqlite::config::DbConfig;
use tokio::sync::{Notify, oneshot};

use super::checkpoint::Checkpoints;
use super::people::People;
use super::sync::{Commit, Durable, SyncLog, Syncs};
use super::tx::{Chain, Leases, Tx};
use crate::clock::Clock;
use crate::store::{Routes, StoreError};
use crate::telemetry::Metrics;

/// Changes in one transaction. More would make the first of them wait too long for the last.
const LARGEST_BATCH: usize = 512;

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

    /// Tells whoever does not wait for the commit, if it is somebody.
    fn answer_ahead(&mut self) -> bool;

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

    fn answer_ahead(&mut self) -> bool {
        if self.when == When::Applied
            && let (Some(reply), Some(result)) = (self.reply.take(), self.result.take())
        {
            return reply.send(result).is_ok();
        }
        false
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
            let took = std::time::Duration::try_from(time.steady() - commit.began).unwrap_or_default();
            metrics.commit(took, commit.changes.len());
        };
        let syncs = Syncs::start(sync, Arc::clone(&durable), ended)?;
        let (leases, routes, told) = (Leases::default(), Routes::default(), Arc::clone(&durable));
        let run = Loop { connection, checkpoints, clock, due, chain, leases, routes, people, syncs, durable: told };
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
        self.next(|| true).map(|(change, _)| change)
    }

    /// A change that is there, or that comes while `waits`; and whether it was waited for.
    fn next(&mut self, waits: impl Fn() -> bool) -> Option<(Queued, bool)> {
        while !self.closed {
            let (message, waited) = match self.queue.try_recv() {
                Ok(message) => (message, false),
                // The end of what was to be waited for comes as a message as well.
                Err(_) if waits() => (self.queue.recv().ok()?, true),
                Err(_) => return None,
            };
            match message {
                Message::Change(change) => return Some((change, waited)),
                Message::Synced => {}
                Message::Close => self.closed = true,
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
}

impl Loop {
    fn run(mut self, mut inbox: Inbox) {
        while let Some(first) = inbox.first() {
            let (mut changes, began) = (vec![first], self.clock.steady());
            match self.commit(&mut changes, &mut inbox) {
                Ok(Committed { number, wrote: true }) => {
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
        let mut tx = Tx::new(&self.connection, self.clock.as_ref(), chain, leases, routes, people);
        // What follows an answer may have been asked because of it.
        let (mut applied, mut is_later) = (0, false);
        while applied < changes.len() || gather(changes, inbox, &self.syncs, &mut is_later) {
            if std::mem::take(&mut is_later) {
                tx.look_at(self.clock.as_ref());
            }
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
            is_later = change.answer_ahead();
            applied += 1;
        }
        // The log must not go on behind something that is not on disk.
        self.syncs.wait()?;
        let wake = tx.finish()?;
        let (number, wrote) = (self.durable.begin(), self.connection.total_changes() != written_before);
        let committed = self.connection.prepare_cached("COMMIT").and_then(|mut commit| commit.execute([]));
        // Workers may look already: nothing that they do comes before this in the log.
        match committed {
            Ok(_) if wake => self.due.notify_one(),
            Ok(_) => {}
            Err(_) => self.durable.reached(number),
        }
        Ok(committed.map(|_| Some(Committed { number, wrote }))?)
    }
}

/// Takes one more change into an open transaction: one that is there, or comes while the commit before is synced.
/// `is_later`: whether it came later than what the transaction takes for the present.
fn gather(changes: &mut Vec<Queued>, inbox: &mut Inbox, syncs: &Syncs, is_later: &mut bool) -> bool {
    if changes.len() >= LARGEST_BATCH {
        return false;
    }
    let Some((change, waited)) = inbox.next(|| syncs.is_busy()) else { return false };
    *is_later |= waited;
    changes.push(change);
    true
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
mod tests {
    use std::io;
    use std::pin::Pin;
    use std::time::Duration;

    use super::*;
    use crate::clock::{ManualClock, SystemClock};
    use crate::domain::JobState;

    fn writer(sync: SyncLog) -> Writer {
        writer_by(Arc::new(SystemClock::new()), sync)
    }

    fn writer_by(clock: Arc<dyn Clock>, sync: SyncLog) -> Writer {
        let mut connection = Connection::open_in_memory().expect("a database");
        super::super::schema::migrate(&mut connection).expect("a schema");
        let (metrics, due) = (Arc::new(Metrics::new()), Arc::new(Notify::new()));
        Writer::start(connection, Arc::default(), None, sync, clock, metrics, due).expect("a writer")
    }

    /// A disk that takes as long as it is held up; what it says then is given with each permission to go on.
    fn disk() -> (std::sync::mpsc::Sender<io::Result<()>>, SyncLog) {
        let (say, said) = std::sync::mpsc::channel();
        let longest = Duration::from_secs(5);
        (say, Box::new(move || said.recv_timeout(longest).expect("the test says how the sync ends")))
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
        let writer = writer(Box::new(|| Ok(())));
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

    type Told = Pin<Box<dyn Future<Output = Result<(), StoreError>>>>;

    fn ask(writer: &Arc<Writer>, change: impl FnMut(&mut Tx<'_>) -> Result<(), StoreError> + Send + 'static) -> Told {
        let writer = Arc::clone(writer);
        Box::pin(async move { writer.run(When::Durable, change).await })
    }

    /// Whether nothing comes of it in the time in which the threads beside do what they can.
    async fn is_pending(future: &mut (impl Future + Unpin)) -> bool {
        tokio::time::timeout(Duration::from_millis(100), future).await.is_err()
    }

    #[tokio::test]
    async fn nobody_is_told_before_the_sync_and_the_next_changes_are_applied_meanwhile() {
        let (say, log) = disk();
        let writer = Arc::new(writer(log));
        let mut first = ask(&writer, gate("first", false));
        assert!(is_pending(&mut first).await, "told before it was on disk");
        let mut second = ask(&writer, gate("second", false));
        assert!(is_pending(&mut second).await);
        let mut looked = Box::pin(writer.durable().all());
        assert!(is_pending(&mut looked).await, "readers are told of what is not on disk");

        say.send(Ok(())).expect("heard");
        assert!(first.await.is_ok());
        assert!(looked.await.is_ok());
        assert!(is_pending(&mut second).await, "another's sync stood for its own");
        say.send(Ok(())).expect("heard");
        assert!(second.await.is_ok());
        say.send(Ok(())).expect("heard");
        assert_eq!(writer.run(When::Durable, names("gates")).await.expect("names"), ["first", "second"]);
    }

    #[tokio::test]
    async fn what_nobody_may_rely_on_is_told_while_the_commit_before_is_synced() {
        let (say, log) = disk();
        let writer = Arc::new(writer(log));
        let mut first = ask(&writer, gate("first", false));
        assert!(is_pending(&mut first).await);
        assert!(writer.run(When::Applied, gate("second", false)).await.is_ok());
        for _ in 0..2 {
            say.send(Ok(())).expect("heard");
        }
        assert!(first.await.is_ok());
        assert_eq!(writer.run(When::Durable, names("gates")).await.expect("names"), ["first", "second"]);
    }

    #[tokio::test]
    async fn what_is_asked_after_an_answer_is_not_given_an_earlier_time() {
        let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
        let writer = writer_by(Arc::<ManualClock>::clone(&clock), Box::new(|| Ok(())));
        // Both are there before the first is answered, and time goes on in between.
        let dawdling = writer.run(When::Durable, |_| {
            std::thread::sleep(Duration::from_millis(100));
            Ok(())
        });
        let first = writer.run(When::Applied, move |tx| {
            clock.advance(Duration::from_secs(60));
            Ok(tx.steady)
        });
        let second = writer.run(When::Durable, |tx| Ok(tx.steady));
        let (_, first, second) = tokio::join!(dawdling, first, second);
        assert_eq!(second.expect("a time") - first.expect("a time"), 60_000_000);
    }

    #[tokio::test]
    async fn what_was_told_and_then_undone_is_not_made_again_and_its_number_is_nobodys() {
        let writer = writer(Box::new(|| Ok(())));
        let attempt = |name: &'static str, latest: u32| {
            move |tx: &mut Tx<'_>| {
                gate(name, false)(tx)?;
                Ok(tx.next_attempt(7, latest))
            }
        };
        let dawdling = writer.run(When::Durable, |_| {
            std::thread::sleep(Duration::from_millis(200));
            Ok(())
        });
        let (_, told, failed, beside) = tokio::join!(
            dawdling,
            writer.run(When::Applied, attempt("told", 0)),
            writer.run(When::Durable, gate("failed", true)),
            writer.run(When::Durable, gate("beside", false)),
        );

        assert!(matches!(told, Ok(1)) && failed.is_err() && beside.is_ok(), "{told:?}");
        assert_eq!(writer.run(When::Durable, names("gates")).await.expect("names"), ["beside"]);
        assert_eq!(writer.run(When::Applied, attempt("later", 0)).await.expect("a number"), 2, "given twice");
    }

    #[tokio::test]
    async fn what_writes_nothing_asks_for_no_sync_and_waits_for_the_one_before() {
        let (say, log) = disk();
        let writer = Arc::new(writer(log));
        let nothing = |_: &mut Tx<'_>| Ok(());
        // The disk says nothing yet: a sync would wait.
        assert!(ask(&writer, nothing).await.is_ok());
        let mut first = ask(&writer, gate("first", false));
        assert!(is_pending(&mut first).await);
        let mut second = ask(&writer, nothing);
        assert!(is_pending(&mut second).await, "it may have seen what is not on disk");

        say.send(Ok(())).expect("heard");
        assert!(first.await.is_ok() && second.await.is_ok());
        assert!(writer.durable().all().await.is_ok(), "readers wait for no sync that never comes");
    }

    #[tokio::test]
    async fn after_a_sync_that_failed_nothing_is_stored_and_everyone_is_told() {
        let (say, log) = disk();
        let writer = Arc::new(writer(log));
        let mut first = ask(&writer, gate("first", false));
        assert!(is_pending(&mut first).await);
        let mut second = ask(&writer, gate("second", false));
        assert!(is_pending(&mut second).await);
        say.send(Err(io::Error::other("broken"))).expect("heard");
        for told in [first.await, second.await] {
            let told = told.expect_err("an error");
            assert!(told.to_string().contains("broken") && told.to_string().contains("anew"), "{told}");
        }
        // The disk would say yes now; what it lost before is lost all the same.
        say.send(Ok(())).expect("heard");
        for _ in 0..2 {
            assert!(writer.run(When::Applied, gate("third", false)).await.is_err());
        }
        assert!(writer.durable().all().await.is_err());
        assert!(writer.durable().lost().await.to_string().contains("broken"));
    }
}
