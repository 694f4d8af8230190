//! This process among those that share the work: tells them that it lives, and divides the limits of providers by those
//! who do.
//!
//! At no time do the parts of all processes make up more than the whole, as long as the database's clock and ours go at the
//! same speed. Whoever calls providers is counted by everyone who does: somebody new waits until all others have said that
//! they count it, and nobody leaves anyone out before that one's own part is over. A part is over [`LIVE_FOR`] after the
//! last sign of life was sent: a process that hung, or was cut off from the database, then calls nobody until it is counted
//! again. Until then it goes on with what it knew last.

use std::num::NonZeroU32;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Worker;
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::provider::Share;
use crate::store::{Beat, JobStore, LIVE_FOR, Pulse, Replica, ReplicaRole, StoreError};

/// How often this process tells that it lives.
const BEAT: Duration = Duration::from_secs(2);

/// How often while it waits to be counted, or has somebody new to count.
const BEAT_SOON: Duration = Duration::from_millis(250);

/// What one beat may take: others in a row must fit into the time that it counts for.
const BEAT_WITHIN: Duration = Duration::from_secs(4);

/// What the last beat may take, which only tells others sooner what they would find out.
const LEAVE_WITHIN: Duration = Duration::from_secs(2);

/// Tells that this process lives. Cheap to clone.
#[derive(Clone)]
pub struct Heart(Arc<Inner>);

struct Inner {
    store: Arc<dyn JobStore>,
    worker: Worker,
    replica: Replica,
    clock: Arc<dyn Clock>,
    /// One beat at a time.
    standing: tokio::sync::Mutex<Standing>,
    is_troubled: std::sync::Mutex<bool>,
}

/// Whether all is known that is to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pulsing {
    /// The next beat has time.
    Steady,
    /// Somebody waits for the next one: we to be counted, or others to hear that they are.
    Soon,
}

impl Heart {
    /// The worker's share follows what the store says about others.
    #[must_use]
    pub fn new(store: Arc<dyn JobStore>, worker: Worker, replica: Replica, clock: Arc<dyn Clock>) -> Self {
        let standing = tokio::sync::Mutex::new(Standing::new(replica.does(ReplicaRole::Worker)));
        Self(Arc::new(Inner { store, worker, replica, clock, standing, is_troubled: std::sync::Mutex::default() }))
    }

    /// Beats for the first time. Until it is known who else is there, this process calls nobody.
    pub async fn start(&self) {
        self.0.worker.divide(Share::NONE);
        self.beat_and_tell().await;
    }

    /// Beats until the drain begins.
    pub async fn run(&self, lifecycle: &Lifecycle) {
        tokio::select! {
            () = lifecycle.draining() => {}
            () = self.run_on() => {}
        }
    }

    /// Beats for as long as somebody polls this: also in the drain, in which attempts are finished.
    pub async fn run_on(&self) {
        loop {
            let wait = match self.beat_and_tell().await {
                Pulsing::Steady => BEAT,
                Pulsing::Soon => BEAT_SOON,
            };
            tokio::time::sleep(wait).await;
        }
    }

    /// Tells that this process is gone, once it calls nobody any more.
    pub async fn stop(&self) {
        self.0.worker.divide(Share::NONE);
        // If nobody is told, they find out.
        let _ = tokio::time::timeout(LEAVE_WITHIN, self.0.store.leave(&self.0.replica.id)).await;
    }

    /// One sign of life, and what follows from its answer.
    pub async fn beat(&self) -> Result<Pulsing, StoreError> {
        let Inner { store, worker, replica, clock, standing, .. } = self.0.as_ref();
        let mut standing = standing.lock().await;
        let (sent, counts) = (clock.steady(), standing.counts.clone());
        let pulse = store.beat(Beat { replica: replica.clone(), counts }).await?;
        let (share, pulsing) = standing.take(&pulse, sent);
        worker.divide(share);
        Ok(pulsing)
    }

    async fn beat_and_tell(&self) -> Pulsing {
        let late = || Err(StoreError::Unavailable("no answer in time".to_owned()));
        let ended = tokio::time::timeout(BEAT_WITHIN, self.beat()).await.unwrap_or_else(|_| late());
        let mut is_troubled = self.0.is_troubled.lock().unwrap_or_else(PoisonError::into_inner);
        match ended {
            Ok(pulsing) => {
                *is_troubled = false;
                pulsing
            }
            Err(error) => {
                // Once for all those in a row.
                if !std::mem::replace(&mut *is_troubled, true) {
                    tracing::warn!(error = %error, "other replicas could not be told that this one lives");
                }
                Pulsing::Soon
            }
        }
    }
}

/// Where we stand among those who share the work. Pure.
#[derive(Debug)]
struct Standing {
    works: bool,
    joined: Option<i64>,
    /// Whom the limits are divided by; said with the next beat, once it is so.
    counts: Vec<i64>,
    is_counted: bool,
    term: u64,
}

impl Standing {
    fn new(works: bool) -> Self {
        Self { works, joined: None, counts: Vec::new(), is_counted: false, term: 0 }
    }

    /// `sent`: the steady clock before the store was asked.
    fn take(&mut self, pulse: &Pulse, sent: Timestamp) -> (Share, Pulsing) {
        let Pulse::Shared { joined, workers } = pulse else { return (Share::WHOLE, Pulsing::Steady) };
        let is_first = self.joined.is_none();
        if self.joined.replace(*joined) != Some(*joined) {
            self.is_counted = false;
        }
        let mut others = workers.iter().filter(|peer| peer.joined != *joined);
        if !self.is_counted && (!self.works || others.all(|peer| peer.counts.contains(joined))) {
            self.is_counted = true;
            // Who comes first, and alone, has all that is saved up.
            self.term += u64::from(!is_first || workers.len() > 1);
        }
        let counts: Vec<i64> = workers.iter().map(|peer| peer.joined).collect();
        let has_news = counts != self.counts;
        self.counts = counts;
        if !self.is_counted {
            return (Share::NONE, Pulsing::Soon);
        }
        let count = u32::try_from(workers.len()).ok().and_then(NonZeroU32::new).unwrap_or(NonZeroU32::MIN);
        let until = sent.saturating_add(LIVE_FOR).unwrap_or(Timestamp::MAX);
        (Share { workers: count, until, term: self.term }, if has_news { Pulsing::Soon } else { Pulsing::Steady })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Peer;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn pulse(joined: i64, workers: &[(i64, &[i64])]) -> Pulse {
        let workers =
            workers.iter().map(|(joined, counts)| Peer { joined: *joined, counts: counts.to_vec() }).collect();
        Pulse::Shared { joined, workers }
    }

    fn share(workers: u32, term: u64) -> Share {
        Share { workers: workers.try_into().expect("not zero"), until: NOW + LIVE_FOR, term }
    }

    #[test]
    fn whoever_is_alone_has_everything_at_once() {
        let mut standing = Standing::new(true);
        assert_eq!(standing.take(&Pulse::Alone, NOW), (Share::WHOLE, Pulsing::Steady));
        let mut standing = Standing::new(true);
        assert_eq!(standing.take(&pulse(4, &[(4, &[])]), NOW), (share(1, 0), Pulsing::Soon));
        assert_eq!(standing.take(&pulse(4, &[(4, &[4])]), NOW), (share(1, 0), Pulsing::Steady));
    }

    #[test]
    fn somebody_new_waits_until_everyone_counts_it() {
        let mut standing = Standing::new(true);
        for others in [[&[1, 2][..], &[1, 2]], [&[1, 2, 3], &[1, 2]]] {
            let seen = pulse(3, &[(1, others[0]), (2, others[1]), (3, &[])]);
            assert_eq!(standing.take(&seen, NOW), (Share::NONE, Pulsing::Soon));
        }
        // One says so, the other is gone.
        assert_eq!(standing.take(&pulse(3, &[(1, &[1, 2, 3]), (3, &[1, 2, 3])]), NOW).0, share(2, 1));
        assert_eq!(standing.counts, [1, 3]);
        // Once counted, it stays counted, whoever comes.
        assert_eq!(
            standing.take(&pulse(3, &[(1, &[1, 3]), (3, &[1, 3]), (4, &[])]), NOW),
            (share(3, 1), Pulsing::Soon)
        );
    }

    #[test]
    fn whoever_was_gone_comes_back_as_somebody_new() {
        let mut standing = Standing::new(true);
        standing.take(&pulse(1, &[(1, &[])]), NOW);
        assert_eq!(standing.take(&pulse(7, &[(2, &[2]), (7, &[1])]), NOW), (Share::NONE, Pulsing::Soon));
        assert_eq!(standing.take(&pulse(7, &[(2, &[2, 7]), (7, &[2, 7])]), NOW).0, share(2, 1));
        assert_eq!(standing.take(&pulse(9, &[(9, &[2, 7])]), NOW).0, share(1, 2), "others may have used it meanwhile");
    }

    #[test]
    fn whoever_does_not_work_waits_for_nobody() {
        let mut standing = Standing::new(false);
        assert_eq!(standing.take(&pulse(3, &[(1, &[1]), (2, &[1, 2])]), NOW).0, share(2, 1));
        assert_eq!(standing.take(&pulse(3, &[]), NOW).0, share(1, 1));
    }
}
