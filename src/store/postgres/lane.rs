//! A lane: one task that writes. It takes whatever has queued while the last commit ran, applies it in one transaction,
//! and answers everyone after its commit.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::Object;
use futures_util::FutureExt;
use tokio::sync::{mpsc, oneshot, watch};

use super::batch::{Asked, Batch, Change};
use super::chains;
use super::connect::Sessions;
use super::fault::Fault;
use super::hints::Hints;
use super::opening::Opening;
use super::time::Timing;
use super::tx::{Chain, Committed};
use crate::store::spacing::Spacing;
use crate::store::{QuarantineCap, Routes, StoreError};
use crate::telemetry::Metrics;

/// Changes in one transaction. More would make the first of them wait too long for the last, and other replicas for its
/// locks.
const LARGEST_BATCH: usize = 256;

/// Rounds of the scheduler at most before a transaction begins, in which whoever is about to ask may do so.
const PATIENCE: usize = 8;

/// See [`Spacing`]. One replica and four stored 9 to 17 % more deliveries a second with it (two turns with and without, on two
/// cores).
const ENOUGH: usize = 64;
const APART: Duration = Duration::from_millis(2);

/// Changes that may wait; beyond it senders are told to come back.
const QUEUE: usize = 10_000;

/// How long one transaction may take, from its first word to its commit.
const COMMIT_WITHIN: Duration = Duration::from_secs(8);

/// How long whoever asked waits at most. What was asked may still be done later: the answer is that we do not know.
const ANSWER_WITHIN: Duration = Duration::from_secs(15);

/// How often a transaction that clashed with another replica's is run.
const TRIES: u32 = 5;

/// Hands changes to the task.
pub(super) struct Lane(mpsc::Sender<Change>);

/// What the task works with.
pub(super) struct Parts {
    pub(super) sessions: Sessions,
    pub(super) timing: Timing,
    pub(super) metrics: Arc<Metrics>,
    pub(super) hints: Arc<Hints>,
    pub(super) cap: QuarantineCap,
    /// Who is told of what, as set last.
    pub(super) routes: watch::Receiver<Arc<Routes>>,
}

impl Lane {
    /// The task ends once the store is gone and everything that queued is answered.
    #[expect(clippy::disallowed_methods, reason = "must outlive the drain, in which attempts are still settled")]
    pub(super) fn start(parts: Parts) -> Self {
        let (queue, changes) = mpsc::channel(QUEUE);
        tokio::spawn(Writer { parts, chain: None }.run(changes));
        Self(queue)
    }

    pub(super) async fn ask<T, R>(&self, what: T, change: fn(Asked<T, R>) -> Change) -> Result<R, StoreError> {
        let unavailable = |text: &str| StoreError::Unavailable(text.to_owned());
        let (reply, answer) = oneshot::channel();
        let asked = change(Asked { what, result: None, reply });
        self.0.try_send(asked).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => unavailable("too many changes are waiting"),
            mpsc::error::TrySendError::Closed(_) => unavailable("closed"),
        })?;
        match tokio::time::timeout(ANSWER_WITHIN, answer).await {
            Ok(Ok(result)) => result,
            Ok(Err(_)) => Err(unavailable("closed")),
            Err(_) => Err(unavailable("PostgreSQL did not answer in time")),
        }
    }
}

struct Writer {
    parts: Parts,
    /// Where its chain stands, and the connection that keeps others from it.
    chain: Option<(u64, Chain)>,
}

impl Writer {
    async fn run(mut self, mut changes: mpsc::Receiver<Change>) {
        let (mut spacing, clock) = (Spacing::new(ENOUGH, APART), Arc::clone(&self.parts.timing.clock));
        while let Some(first) = changes.recv().await {
            let mut batch = Batch::default();
            batch.add(first);
            gather(&changes).await;
            while let Some(next) = next(&mut changes, batch.len(), |count| spacing.left(count, clock.steady())).await {
                batch.add(next);
            }
            let count = batch.len();
            self.commit(batch).await;
            spacing.committed(count, clock.steady());
        }
    }

    async fn commit(&mut self, mut batch: Batch) {
        match self.try_commit(&mut batch).await {
            Err(fault) if batch.len() > 1 && fault.is_about_data() => {
                tracing::warn!(error = %StoreError::from(fault), "a change could not be written; its batch is taken apart");
                self.commit_singly(batch).await;
            }
            ended => {
                let failed = ended.err().map(|fault| told(fault, batch.len()));
                batch.answer(failed.as_ref());
            }
        }
    }

    /// One that cannot be written must not keep its neighbours from being. Where the server is gone, it is for all.
    async fn commit_singly(&mut self, batch: Batch) {
        let mut gone = None;
        for mut single in batch.split() {
            if gone.is_none()
                && let Err(fault) = self.try_commit(&mut single).await
            {
                let is_its_own = fault.is_about_data();
                let error = told(fault, 1);
                if is_its_own {
                    single.answer(Some(&error));
                    continue;
                }
                gone = Some(error);
            }
            single.answer(gone.as_ref());
        }
    }

    async fn try_commit(&mut self, batch: &mut Batch) -> Result<(), Fault> {
        let started = self.parts.timing.clock.steady();
        let mut tries = 1;
        let wake = loop {
            match self.attempt(batch).await {
                Err(fault) if fault.is_clash() && tries < TRIES => tries += 1,
                ended => break ended?,
            }
        };
        let took = Duration::try_from(self.parts.timing.clock.steady() - started).unwrap_or_default();
        self.parts.metrics.commit(took, batch.len());
        if wake {
            self.parts.hints.tell();
        }
        Ok(())
    }

    /// A connection on which anything went wrong is closed: what it had begun is undone with it. Whether its commit was
    /// still made is not known then; the next connection finds out, or goes on with another chain. Whether workers are to
    /// be woken.
    async fn attempt(&mut self, batch: &mut Batch) -> Result<bool, Fault> {
        let unavailable = |text: String| Fault::Said(StoreError::Unavailable(text));
        let (db, session) = self.parts.sessions.get().await?;
        // A change that panics would otherwise take the lane with it, and every later alert would be refused.
        let work = AssertUnwindSafe(self.transact(&db, session, batch)).catch_unwind();
        let ended = match tokio::time::timeout(COMMIT_WITHIN, work).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(_)) => Err(unavailable("a change made no sense to this sever; the log has more".to_owned())),
            Err(_) => Err(unavailable("PostgreSQL did not answer in time".to_owned())),
        };
        match ended {
            Ok(committed) => {
                self.chain = Some((session, committed.chain));
                Ok(committed.wake)
            }
            Err(fault) => {
                drop(Object::take(db));
                self.chain = None;
                Err(fault)
            }
        }
    }

    async fn transact(&self, db: &Object, session: u64, batch: &mut Batch) -> Result<Committed, Fault> {
        let routes = Arc::clone(&self.parts.routes.borrow());
        let chain = match &self.chain {
            Some((of, chain)) if *of == session => chain.clone(),
            _ => chains::take(db).await?,
        };
        let timing = &self.parts.timing;
        let mut opening = Opening::new(db, timing, &batch.needs()).await?;
        let looks = batch.look(&mut opening.flight, timing.given().1).await?;
        let (mut tx, mut answers) = opening.begin(chain, timing, routes).await?;
        batch.apply(&mut tx, looks, &mut answers, &self.parts).await?;
        tx.finish().await
    }
}

/// Lets others go on as long as that makes more changes. A commit answers many at once, and the first of them to ask again
/// would have the next transaction to itself.
async fn gather<T>(changes: &mpsc::Receiver<T>) {
    for _ in 0..PATIENCE {
        let before = changes.len();
        // One is taken out already.
        if before + 1 >= LARGEST_BATCH {
            return;
        }
        tokio::task::yield_now().await;
        if changes.len() == before {
            return;
        }
    }
}

/// One more change for a transaction of so many: one that is there, or comes in the time that is `left` to them.
async fn next<T>(changes: &mut mpsc::Receiver<T>, count: usize, left: impl Fn(usize) -> Duration) -> Option<T> {
    if count >= LARGEST_BATCH {
        return None;
    }
    if let Ok(change) = changes.try_recv() {
        return Some(change);
    }
    let left = left(count);
    if left.is_zero() { None } else { tokio::time::timeout(left, changes.recv()).await.ok().flatten() }
}

fn told(fault: Fault, changes: usize) -> StoreError {
    let error = StoreError::from(fault);
    tracing::error!(error = %error, changes, "a commit failed; nothing of it was acknowledged");
    error
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many changes are there once a transaction may begin, if `count` are asked for one after another and `ahead` were
    /// there before.
    async fn gathered(ahead: usize, count: usize) -> usize {
        let (queue, changes) = mpsc::channel(QUEUE);
        let ask = || queue.try_send(()).expect("room");
        (0..ahead).for_each(|_| ask());
        let asking = async {
            for _ in 0..count {
                ask();
                tokio::task::yield_now().await;
            }
        };
        let gathering = async {
            gather(&changes).await;
            changes.len()
        };
        tokio::join!(biased; gathering, asking).0
    }

    #[tokio::test]
    async fn a_transaction_begins_when_nobody_else_is_about_to_ask_and_before_long() {
        assert_eq!(gathered(0, 0).await, 0);
        assert_eq!(gathered(0, 3).await, 3);
        assert_eq!(gathered(0, 100).await, PATIENCE);
        let rest = LARGEST_BATCH - 1;
        assert_eq!(gathered(rest, 3).await, rest, "a whole batch, with the one that was taken out, waits for nobody");
    }

    #[tokio::test]
    async fn a_change_that_comes_in_the_time_that_is_left_shares_the_transaction() {
        let (queue, mut changes) = mpsc::channel(QUEUE);
        let late = |_| {
            // Nothing was there when it was looked for.
            queue.try_send(1).expect("room");
            Duration::from_secs(60)
        };
        assert_eq!(next(&mut changes, 1, late).await, Some(1));
        let left = |_| Duration::from_millis(1);
        assert_eq!(next(&mut changes, 2, left).await, None, "nobody came");
        queue.try_send(2).expect("room");
        assert_eq!(next(&mut changes, LARGEST_BATCH, left).await, None, "it is full");
        assert_eq!(next(&mut changes, 2, |_| Duration::ZERO).await, Some(2), "what is there comes in any case");
        assert_eq!(next(&mut changes, 2, |_| Duration::ZERO).await, None, "with no time left, nobody is waited for");
    }
}
