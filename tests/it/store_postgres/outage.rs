//! A server that dies, hangs, or has no connection to spare: answers come in time, and nothing acknowledged is lost.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sever::clock::{Clock, ManualClock, SystemClock};
use sever::domain::{Next, Outcome};
use sever::store::{Admitted, JobFilter, JobStore, Operations, PostgresStore, QuarantineCap, StoreError};
use sever::telemetry::Metrics;
use tokio::net::{TcpListener, TcpStream};

use super::{Pair, claim};
use crate::support::postgres::{Schema, connect, run};
use crate::support::postgres_server::OwnServer;
use crate::support::store::{Mail, first_break, okta, settlement, start};

/// No answer may take longer; the store's own limit is below.
const IN_TIME: Duration = Duration::from_secs(20);

fn open(schema: &Schema) -> Arc<PostgresStore> {
    let (url, clock) = (schema.parsed(), Arc::new(ManualClock::new(start())));
    let store = PostgresStore::open_by_hand(&url, clock, Arc::new(Metrics::new()), QuarantineCap::default());
    Arc::new(run(store).expect("a store"))
}

fn mail(number: usize) -> Mail {
    Mail::new(&format!("d{number}")).alert(&format!("a{number}"), [okta(&format!("p{number}@x"))])
}

/// Sends until it is acknowledged, as a sender does.
async fn send(store: &PostgresStore, number: usize) {
    for _ in 0..600 {
        let answer = tokio::time::timeout(IN_TIME, store.admit(mail(number).admission(start()))).await;
        match answer.expect("an answer in time") {
            Ok(Admitted::New(_) | Admitted::Duplicate(_)) => return,
            Err(StoreError::Unavailable(_)) => tokio::time::sleep(Duration::from_millis(100)).await,
            Err(error) => panic!("{error}"),
        }
    }
    panic!("{number} was never taken");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_killed_loses_nothing_acknowledged() {
    let server = Arc::new(OwnServer::start());
    let schema = Schema::at(&server.url("postgres", "127.0.0.1"));
    let store = open(&schema);
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..12 {
        let store = Arc::clone(&store);
        senders.spawn(async move {
            for round in 0..60 {
                send(&store, number * 1000 + round).await;
            }
        });
    }
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_millis(400)).await;
        let server = Arc::clone(&server);
        tokio::task::spawn_blocking(move || {
            server.kill();
            server.launch();
        })
        .await
        .expect("killed and restarted");
    }
    while let Some(ended) = senders.join_next().await {
        ended.expect("every alert was acknowledged");
    }
    let jobs = store.jobs(JobFilter { limit: 1000, ..JobFilter::default() }).await.expect("jobs").items;
    assert_eq!(jobs.len(), 12 * 60, "an acknowledged alert has no job, or two");
    let mut rows = Vec::new();
    loop {
        let page = store.audit(rows.last().map(|row: &sever::store::AuditView| row.seq), 1000).await.expect("a page");
        if page.items.is_empty() {
            break;
        }
        rows.extend(page.items);
    }
    assert_eq!(rows.iter().filter(|row| row.event == "admitted").count(), 12 * 60);
    assert_eq!(first_break(&rows), None);
    for claim in claim(&store, 1000).await {
        store.settle(&claim, &settlement(&claim, Next::Done(Outcome::Confirmed))).await.expect("settled");
    }
    drop(store);
    drop(schema);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_locked_by_others_is_answered_in_time_and_works_again() {
    let pair = Pair::new();
    let (store, clock) = (&pair.one, SystemClock::new());
    let other = connect(&pair.schema.url()).await;
    other
        .batch_execute("BEGIN; LOCK TABLE delivery_guards, jobs, gates IN ACCESS EXCLUSIVE MODE")
        .await
        .expect("locked");
    let began = clock.steady();
    // More than there are connections.
    let reads = (0..12).map(|_| store.jobs(JobFilter { limit: 1, ..JobFilter::default() }));
    let (reads, written) = tokio::join!(futures_util::future::join_all(reads), store.admit(mail(1).admission(start())));
    let took = Duration::try_from(clock.steady() - began).unwrap_or_default();
    assert!(reads.iter().all(|read| matches!(read, Err(StoreError::Unavailable(_)))), "{reads:?}");
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    assert!(took < IN_TIME, "{took:?}");
    other.batch_execute("ROLLBACK").await.expect("unlocked");
    send(store, 1).await;
    assert_eq!(store.jobs(JobFilter { limit: 9, ..JobFilter::default() }).await.expect("jobs").items.len(), 1);
}

/// Stands between the store and the server, and passes nothing on while it is frozen.
struct Freezer {
    port: u16,
    frozen: Arc<AtomicBool>,
    _pipes: tokio::task::JoinSet<()>,
}

impl Freezer {
    async fn before(server: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let frozen = Arc::new(AtomicBool::new(false));
        let (flag, mut pipes) = (Arc::clone(&frozen), tokio::task::JoinSet::new());
        pipes.spawn(async move {
            let mut pipes = tokio::task::JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect(&server).await.expect("the server");
                let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
                pipes.spawn(pipe(near_in, far_out, Arc::clone(&flag)));
                pipes.spawn(pipe(far_in, near_out, Arc::clone(&flag)));
            }
        });
        Self { port, frozen, _pipes: pipes }
    }
}

async fn pipe(
    mut from: tokio::net::tcp::OwnedReadHalf,
    mut to: tokio::net::tcp::OwnedWriteHalf,
    frozen: Arc<AtomicBool>,
) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer).await
        && read > 0
    {
        while frozen.load(Ordering::Relaxed) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_falls_silent_is_answered_for_in_time() {
    let server = OwnServer::start();
    let freezer = Freezer::before(format!("127.0.0.1:{}", server.port())).await;
    let schema = Schema::at(&server.url("postgres", "127.0.0.1"));
    let url = schema.url().replace(&format!(":{}/", server.port()), &format!(":{}/", freezer.port));
    let clock = Arc::new(ManualClock::new(start()));
    let parsed = url.parse().expect("a URL");
    let store = run(PostgresStore::open_by_hand(&parsed, clock, Arc::new(Metrics::new()), QuarantineCap::default()));
    let store = store.expect("a store");
    send(&store, 1).await;
    freezer.frozen.store(true, Ordering::Relaxed);
    let clock = SystemClock::new();
    let began = clock.steady();
    let (written, read) = tokio::join!(store.admit(mail(2).admission(start())), store.gates());
    let took = Duration::try_from(clock.steady() - began).unwrap_or_default();
    assert!(matches!(written, Err(StoreError::Unavailable(_))), "{written:?}");
    assert!(matches!(read, Err(StoreError::Unavailable(_))), "{read:?}");
    assert!(took < IN_TIME, "{took:?}");
    freezer.frozen.store(false, Ordering::Relaxed);
    send(&store, 2).await;
    assert_eq!(store.jobs(JobFilter { limit: 9, ..JobFilter::default() }).await.expect("jobs").items.len(), 2);
}
