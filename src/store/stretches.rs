//! One decision about many jobs, made a stretch at a time: a transaction for all of them could take longer than a
//! transaction may, and alerts would wait for it.
//!
//! They are counted before anything is changed, and nobody is decided about who was not counted. Whoever has moved on by
//! the time of their stretch is left and told, so what was changed and what was left make up the count. Where it ends in
//! the middle, for a crash or for whoever asked being gone, whole stretches are done and the rest is as it was: asked
//! again, with the number that is left, it goes on there, for what was changed is not picked again.

use std::future::Future;

use super::{BulkDone, BulkOrder, LeftJob, StoreError};
use crate::domain::JobId;

/// Jobs in one transaction. A hundred more changes may share it and be kept waiting; on PostgreSQL a job may cost two
/// statements, and the transaction has 8 s.
const STRETCH: usize = 500;

/// Jobs that are told one by one where they were left.
const MOST_TOLD: usize = 100;

/// Why a job was left that the filter had picked.
pub(super) const MOVED_ON: &str = "it has moved on since it was counted";

/// Decides about all of them, if they are as many as expected.
pub(super) async fn decide<F>(
    order: &BulkOrder,
    picked: &[i64],
    stretch: impl Fn(Vec<i64>) -> F + Send,
) -> Result<BulkDone, StoreError>
where
    F: Future<Output = Result<BulkDone, StoreError>> + Send,
{
    if picked.len() as u64 != order.expect_count {
        return Err(StoreError::Miscounted(picked.len() as u64));
    }
    let mut done = BulkDone::nothing();
    for rows in picked.chunks(STRETCH) {
        match stretch(rows.to_vec()).await {
            Ok(more) => done.add(more),
            Err(error) => {
                tracing::error!(decision = ?order.decision, changed = done.changed, of = order.expect_count, error = %error,
                    "a decision about many jobs has ended in the middle; ask for it again with the number that is left");
                return Err(error);
            }
        }
    }
    Ok(done)
}

impl BulkDone {
    pub(super) const fn nothing() -> Self {
        Self { changed: 0, left_count: 0, left: Vec::new() }
    }

    /// One that this decision cannot be made about.
    pub(super) fn leave(&mut self, id: JobId, reason: String) {
        self.left_count += 1;
        if self.left.len() < MOST_TOLD {
            self.left.push(LeftJob { id, reason });
        }
    }

    fn add(&mut self, more: Self) {
        self.changed += more.changed;
        self.left_count += more.left_count;
        self.left.extend(more.left);
        self.left.truncate(MOST_TOLD);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::audit::Actor;
    use crate::store::{Decision, JobFilter};

    fn order(expect_count: u64) -> BulkOrder {
        let (filter, reason) = (JobFilter::default(), String::new());
        BulkOrder {
            decision: Decision::Approve,
            filter,
            expect_count,
            actor: Actor::system(),
            reason,
            four_eyes: false,
        }
    }

    #[tokio::test]
    async fn a_stretch_that_fails_is_the_last_one() {
        let (picked, seen): (Vec<i64>, _) = ((0..1700).collect(), Mutex::new(Vec::new()));
        let stretch = |rows: Vec<i64>| {
            let mut seen = seen.lock().expect("no panic");
            seen.push((rows[0], rows.len()));
            let answer =
                if seen.len() < 3 { Ok(BulkDone::nothing()) } else { Err(StoreError::Unavailable(String::new())) };
            std::future::ready(answer)
        };
        assert!(matches!(decide(&order(1701), &picked, stretch).await, Err(StoreError::Miscounted(1700))));
        assert!(matches!(decide(&order(1700), &picked, stretch).await, Err(StoreError::Unavailable(_))));
        assert_eq!(*seen.lock().expect("no panic"), [(0, 500), (500, 500), (1000, 500)]);
    }
}
