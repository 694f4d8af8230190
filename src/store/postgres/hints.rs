//! Hints between replicas that something is due, and a look at how far our clock is from the server's.
//!
//! A hint is sent after the commit, by a connection of its own: inside the transaction it would make all replicas commit
//! one after another. One that is lost costs nothing but the time until the next poll.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use futures_util::{StreamExt, stream};
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Notify;
use tokio_postgres::{AsyncMessage, Client};

use super::connect::Connections;
use super::fault::describe;
use crate::clock::Clock;

/// Clocks further apart than this are told: signatures are judged by ours.
const FAR: SignedDuration = SignedDuration::from_secs(30);

/// How often the clocks are compared.
const COMPARE_EVERY: Duration = Duration::from_secs(30);

/// The first and the longest wait before the connection is made anew.
const RECONNECT: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// What the lanes tell, and what workers and readiness ask.
#[derive(Default)]
pub(super) struct Hints {
    /// Wakes our own workers.
    pub(super) due: Notify,
    /// Wakes the task that tells the others.
    others: Notify,
    /// How far our clock is ahead, in microseconds.
    ahead: AtomicI64,
}

impl Hints {
    /// Something may be due.
    pub(super) fn tell(&self) {
        self.due.notify_one();
        self.others.notify_one();
    }

    /// How the clocks differ, where that is more than it may.
    pub(super) fn clock_trouble(&self) -> Option<String> {
        let ahead = SignedDuration::from_micros(self.ahead.load(Ordering::Relaxed));
        let way = if ahead.is_negative() { "behind" } else { "ahead of" };
        (ahead.abs() > FAR).then(|| format!("our clock is {} s {way} the database's", ahead.abs().as_secs()))
    }

    /// Listens, tells and compares until the store is gone.
    pub(super) async fn run(self: Arc<Self>, connections: Connections, clock: Arc<dyn Clock>) {
        let mut wait = RECONNECT.0;
        loop {
            let listened = clock.steady();
            if let Err(error) = self.session(&connections, clock.as_ref()).await {
                tracing::warn!(error = %describe(&error), "hints of due jobs are lost until PostgreSQL is back; polling goes on");
            }
            if Duration::try_from(clock.steady() - listened).is_ok_and(|lasted| lasted > RECONNECT.1) {
                wait = RECONNECT.0;
            }
            tokio::time::sleep(wait).await;
            wait = (wait * 2).min(RECONNECT.1);
        }
    }

    async fn session(&self, connections: &Connections, clock: &dyn Clock) -> Result<(), tokio_postgres::Error> {
        let (client, mut connection) = connections.apart().await?;
        let mut messages = stream::poll_fn(move |cx| connection.poll_message(cx));
        let hear = async {
            while let Some(message) = messages.next().await {
                if let AsyncMessage::Notification(_) = message? {
                    self.due.notify_one();
                }
            }
            Ok(())
        };
        tokio::select! {
            ended = hear => ended,
            ended = self.speak(&client, clock) => ended,
        }
    }

    async fn speak(&self, client: &Client, clock: &dyn Clock) -> Result<(), tokio_postgres::Error> {
        // A hint need not be on disk.
        client.batch_execute("SET synchronous_commit = off; SET statement_timeout = '5s'; LISTEN sever_due").await?;
        // Something may have come due while nobody listened.
        self.due.notify_one();
        let mut compare = tokio::time::interval(COMPARE_EVERY);
        loop {
            tokio::select! {
                () = self.others.notified() => client.batch_execute("NOTIFY sever_due").await?,
                _ = compare.tick() => self.compare(client, clock).await?,
            }
        }
    }

    async fn compare(&self, client: &Client, clock: &dyn Clock) -> Result<(), tokio_postgres::Error> {
        let before = clock.now();
        let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint";
        let row = client.query_one(sql, &[]).await?;
        let theirs = Timestamp::from_microsecond(row.try_get(0)?).unwrap_or(before);
        // Theirs was read between the two readings of ours.
        let ahead = before.duration_since(theirs) + clock.now().duration_since(before) / 2;
        self.ahead.store(i64::try_from(ahead.as_micros()).unwrap_or(i64::MAX), Ordering::Relaxed);
        if let Some(trouble) = self.clock_trouble() {
            tracing::warn!("{trouble}: fresh alerts may be taken for stale; keep both in step with NTP");
        }
        Ok(())
    }
}
