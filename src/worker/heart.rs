//! This process among those that share the work: tells them that it lives, and divides the limits of providers by those
//! who do.
//!
//! At no time do the parts of all processes make up more than the whole, as long as the database's clock and ours go at the
//! same speed. Nobody takes more than it said before: a part that shrinks is said afterwards, one that grows is said first.
//! Somebody new has its full part once all others have said that they count it, and until then what they leave: one who died
//! never says so. Nobody leaves anyone out before that one's own part is over. A part is over [`LIVE_FOR`](crate::store::LIVE_FOR) after the last
//! sign of life was sent: a process that hung, or was cut off from the database, then calls nobody until it is counted again.
//! Until then it goes on with what it knew last.

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use super::Worker;
use super::standing::{Pulsing, Standing};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::provider::Share;
use crate::store::{Beat, JobStore, Replica, ReplicaRole, StoreError};

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
        let (sent, counts) = (clock.steady(), standing.counts().to_vec());
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
