//! What a batch promises to those who share it.

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

fn nothing() -> Message {
    let change = |_: &mut Tx<'_>| Ok::<(), StoreError>(());
    Message::Change(Box::new(Pending { change, result: None, reply: None, when: When::Durable }))
}

#[test]
fn a_change_that_comes_in_the_time_that_is_left_shares_the_commit() {
    let (queue, messages) = sync_channel(QUEUE);
    let mut inbox = Inbox { queue: messages, closed: false };
    let syncs = Syncs::start(Box::new(|| Ok(())), Arc::default(), |_| {}).expect("a thread");
    let send = |message| queue.send(message).expect("somebody reads");
    let (mut changes, late) = (Vec::new(), std::cell::Cell::new(vec![nothing(), Message::Synced]));
    let late = |_| {
        // Nothing was there when it was looked for.
        late.take().into_iter().rev().for_each(send);
        Duration::from_millis(500)
    };
    assert!(gather(&mut changes, &mut inbox, &syncs, late) && changes.len() == 1);

    assert!(!gather(&mut changes, &mut inbox, &syncs, |_| Duration::ZERO), "with no time left, nobody is waited for");
    let soon = |_| Duration::from_millis(1);
    assert!(!gather(&mut changes, &mut inbox, &syncs, soon), "nobody came");

    changes.resize_with(LARGEST_BATCH, || match nothing() {
        Message::Change(change) => change,
        Message::Synced | Message::Close => unreachable!(),
    });
    send(nothing());
    assert!(!gather(&mut changes, &mut inbox, &syncs, soon), "it is full");
    assert!(inbox.within(|| soon(0)).is_some());

    send(Message::Close);
    assert!(inbox.within(|| Duration::from_secs(60)).is_none() && inbox.closed, "the end is not waited for");
}
