//! How fast a provider is called: our own rate, and what it asked for.
//!
//! A short wait is slept through before the call, a long one is handed back as [`ProviderError::Throttled`], so that
//! the job waits in the queue and not in memory. Time comes from the steady clock alone.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::bucket::Bucket;
use super::{CallReport, ProviderError, Share};
use crate::clock::Clock;
use crate::settings::Rate;

/// A call may sleep so long in all before it is made: less than the margin that a lease has over a timeout.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where calls come further apart, an attempt that has to wait for each of its calls would run out of patience, and its
/// job would begin anew each time.
const SLOW: Duration = Duration::from_secs(1);

/// What a job takes: its account is found and read, its sessions are looked at, and ended.
const CALLS_OF_A_JOB: u32 = 4;

/// Where a limit comes without a wait. Providers that say nothing count by the second (Huawei Cloud) or by the minute.
const FIRST_UNEXPLAINED: Duration = Duration::from_secs(1);
const LONGEST_UNEXPLAINED: Duration = Duration::from_secs(60);

/// Without a part of the limits a job is better off in the queue, where others find it, so this is longer than a call
/// sleeps.
const WITHOUT_SHARE: Duration = Duration::from_secs(3);
pub(super) const NO_SHARE: &str = "it is not known which part of `limits` other replicas leave to this one";

/// The pace of one provider.
pub(super) struct Pace {
    clock: Arc<dyn Clock>,
    bucket: Option<Mutex<Bucket>>,
    share: Mutex<Share>,
    closed: Mutex<BTreeMap<&'static str, Closure>>,
}

/// Until when an operation waits.
#[derive(Debug, Clone, Copy)]
struct Closure {
    until: Timestamp,
    /// Limits met in a row without a word of how long to wait.
    unexplained: u32,
}

impl std::fmt::Debug for Pace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pace").field("closed", &self.closed).finish_non_exhaustive()
    }
}

impl Pace {
    /// A pace of at most `rate` calls; `None`: as fast as the provider takes them.
    #[must_use]
    pub(super) fn new(rate: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        let bucket = rate.map(|rate| Mutex::new(Bucket::new(rate, clock.steady())));
        Self { clock, bucket, share: Mutex::new(Share::WHOLE), closed: Mutex::default() }
    }

    /// From now on this part of `rate`.
    pub(super) fn divide(&self, share: Share) {
        if let Some(bucket) = &self.bucket {
            lock(bucket).divide(share, self.clock.steady());
        }
        *lock(&self.share) = share;
    }

    /// How long to wait where this process has no part of the limits.
    pub(super) fn without_share(&self) -> Option<Duration> {
        (!lock(&self.share).holds(self.clock.steady())).then_some(WITHOUT_SHARE)
    }

    /// How many jobs may be at work: at a slow rate as many as have their calls together.
    pub(super) fn room(&self) -> usize {
        let Some(bucket) = &self.bucket else { return usize::MAX };
        let mut bucket = lock(bucket);
        if bucket.interval() <= SLOW { usize::MAX } else { bucket.holds(CALLS_OF_A_JOB, self.clock.steady()) }
    }

    /// Among how many what a provider has left is divided.
    #[must_use]
    pub(super) fn workers(&self) -> u32 {
        lock(&self.share).workers.get()
    }

    /// Returns once `operation` may be called, or with the wait that is too long to sleep through.
    pub(super) async fn ready(&self, operation: &'static str) -> Result<(), ProviderError> {
        let mut patience = PATIENCE;
        while let Some((wait, why)) = self.obstacle(operation) {
            // Sleeping uses patience up, so that this ends even if the clock stands still.
            patience = patience.checked_sub(wait).ok_or_else(|| throttled(operation, wait, why))?;
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    fn obstacle(&self, operation: &'static str) -> Option<(Duration, &'static str)> {
        if let Some(wait) = self.closed_for(operation) {
            return Some((wait, "the provider asked us to wait"));
        }
        if let Some(wait) = self.without_share() {
            return Some((wait, NO_SHARE));
        }
        let wait = lock(self.bucket.as_ref()?).take(self.clock.steady()).err()?;
        // A wait of nothing would spin.
        Some((wait.max(Duration::from_millis(1)), "our own `limits.rate` is used up"))
    }

    /// Lets no call of `operation` out for `wait`. A longer wait that was asked for before stays.
    pub(super) fn close(&self, operation: &'static str, wait: Duration) {
        let until = self.until(wait);
        let mut closed = lock(&self.closed);
        let known = closed.entry(operation).or_insert(Closure { until, unexplained: 0 });
        known.until = until.max(known.until);
    }

    /// The limit of `operation` was met, and its answer says how long to wait, or it does not. Then every call of it waits
    /// a second, and each time in a row twice as long: jobs that back off each for themselves would go on knocking.
    pub(super) fn limit_met(&self, operation: &'static str, asked: Option<Duration>) {
        if let Some(wait) = asked {
            return self.close(operation, wait);
        }
        // Answers to calls that went out together are one limit.
        if self.closed_for(operation).is_some() {
            return;
        }
        let mut closed = lock(&self.closed);
        let known = closed.entry(operation).or_insert(Closure { until: Timestamp::MIN, unexplained: 0 });
        let wait = FIRST_UNEXPLAINED.saturating_mul(1 << known.unexplained.min(10)).min(LONGEST_UNEXPLAINED);
        *known = Closure { until: self.until(wait), unexplained: known.unexplained.saturating_add(1) };
    }

    /// `operation` was answered, and its limit not met.
    pub(super) fn flows(&self, operation: &'static str) {
        if let Some(known) = lock(&self.closed).get_mut(operation) {
            known.unexplained = 0;
        }
    }

    fn until(&self, wait: Duration) -> Timestamp {
        self.clock.steady().saturating_add(wait).unwrap_or(Timestamp::MAX)
    }

    /// The longest wait that any of `operations` was asked to make and that is not over yet.
    #[must_use]
    pub(super) fn wait(&self, operations: &[&'static str]) -> Option<Duration> {
        operations.iter().filter_map(|operation| self.closed_for(operation)).max()
    }

    fn closed_for(&self, operation: &'static str) -> Option<Duration> {
        let until = lock(&self.closed).get(operation)?.until;
        Duration::try_from(until.duration_since(self.clock.steady())).ok().filter(|wait| !wait.is_zero())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn throttled(operation: &'static str, wait: Duration, why: &str) -> ProviderError {
    let report = CallReport { operation, message: format!("not called: {why}"), ..CallReport::default() };
    ProviderError::Throttled { retry_after: Some(wait), report }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn pace(rate: Option<&str>) -> (Pace, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        (Pace::new(rate.map(|rate| rate.parse().expect("a rate")), clock.clone()), clock)
    }

    fn wait_of(result: Result<(), ProviderError>) -> Option<Duration> {
        match result {
            Err(ProviderError::Throttled { retry_after, .. }) => retry_after,
            other => panic!("not throttled: {other:?}"),
        }
    }

    #[tokio::test]
    async fn an_operation_is_closed_as_long_as_the_provider_asked() {
        let (pace, clock) = pace(None);
        pace.close("search", Duration::from_secs(30));
        pace.close("search", Duration::from_secs(10));
        assert_eq!(wait_of(pace.ready("search").await), Some(Duration::from_secs(30)));
        assert!(pace.ready("revoke").await.is_ok());
        assert_eq!(pace.wait(&["revoke", "search"]), Some(Duration::from_secs(30)));
        assert_eq!(pace.wait(&["revoke"]), None);
        clock.set_wall(Timestamp::UNIX_EPOCH + Duration::from_secs(1_000_000));
        assert!(pace.wait(&["search"]).is_some(), "the wall clock has no say");
        clock.advance(Duration::from_secs(30));
        assert_eq!(pace.wait(&["search"]), None);
        assert!(pace.ready("search").await.is_ok());
    }

    #[tokio::test]
    async fn our_own_rate_lets_a_burst_out_and_grows_back() {
        let (pace, clock) = pace(Some("2/1m"));
        assert!(pace.ready("a").await.is_ok());
        assert!(pace.ready("b").await.is_ok());
        assert_eq!(wait_of(pace.ready("a").await), Some(Duration::from_secs(30)));
        clock.advance(Duration::from_secs(30));
        assert!(pace.ready("a").await.is_ok());
        assert!(pace.ready("a").await.is_err());
    }

    #[tokio::test]
    async fn nothing_is_called_once_a_share_is_over() {
        let (pace, clock) = pace(None);
        let until = clock.steady() + Duration::from_secs(10);
        pace.divide(Share { until, ..Share::WHOLE });
        assert!(pace.ready("a").await.is_ok());
        clock.advance(Duration::from_secs(10));
        assert_eq!(wait_of(pace.ready("a").await), Some(WITHOUT_SHARE));
        pace.divide(Share::WHOLE);
        assert!(pace.ready("a").await.is_ok());
    }

    #[tokio::test]
    async fn at_a_slow_rate_a_job_begins_when_it_can_end() {
        let (pace, clock) = pace(Some("12/1m"));
        assert_eq!(pace.room(), 3);
        for left in [2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0] {
            assert!(pace.ready("a").await.is_ok());
            assert_eq!(pace.room(), left);
        }
        clock.advance(Duration::from_secs(20));
        assert_eq!(pace.room(), 1);
        // Where fewer than those ever fit, all that fit have to be there.
        pace.divide(Share { workers: std::num::NonZeroU32::new(6).expect("not zero"), ..Share::WHOLE });
        assert_eq!(pace.room(), 1);
        assert_eq!(super::tests::pace(Some("10/1s")).0.room(), usize::MAX);
    }

    #[tokio::test]
    async fn a_clock_that_stands_still_does_not_hold_a_call_for_ever() {
        let (pace, _clock) = pace(None);
        pace.close("a", Duration::from_millis(1100));
        assert!(pace.ready("a").await.is_err());
    }

    #[test]
    fn a_limit_without_a_word_slows_every_call_down_more_each_time() {
        let (pace, clock) = pace(None);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            // Eight were on their way.
            (0..8).for_each(|_| pace.limit_met("a", None));
            assert_eq!(pace.wait(&["a"]), Some(Duration::from_secs(seconds)));
            assert_eq!(pace.wait(&["b"]), None);
            clock.advance(Duration::from_secs(seconds));
        }
        pace.flows("a");
        pace.limit_met("a", None);
        assert_eq!(pace.wait(&["a"]), Some(Duration::from_secs(1)), "it flowed, so this is a new limit");
        pace.limit_met("a", Some(Duration::from_secs(30)));
        assert_eq!(pace.wait(&["a"]), Some(Duration::from_secs(30)));
    }

    #[test]
    fn a_wait_beyond_the_end_of_time_does_not_panic() {
        let (pace, _clock) = pace(None);
        pace.close("a", Duration::MAX);
        assert!(pace.wait(&["a"]).is_some());
    }
}
