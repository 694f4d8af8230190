//! How often each method is called: at most so many times in any minute, as Slack counts.
//!
//! Slack's answers do not tell what is left, so we count ourselves. A bucket that refills while it is emptied would let
//! twice as many out in its first minute.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Operation;
use crate::clock::Clock;
use crate::settings::Rate;

/// The calls of the last minute.
#[derive(Debug)]
pub(super) struct Quota {
    rate: Option<Rate>,
    clock: Arc<dyn Clock>,
    made: Mutex<BTreeMap<Operation, VecDeque<Timestamp>>>,
}

/// Slack's tiers, in calls a minute (Slack, "Rate limits"). The numbers are floors: more is sometimes let through.
fn tier(operation: Operation) -> Option<Rate> {
    let per_minute = match operation {
        // Tier 2.
        Operation::List | Operation::Reset | Operation::ResetBulk | Operation::Invalidate => 20,
        // Tier 3.
        Operation::LookupByEmail => 50,
        // Tier 4.
        Operation::UserInfo => 100,
        // "Special": hundreds a minute, and we make few.
        Operation::AuthTest => return None,
    };
    let count = NonZeroU32::new(per_minute)?;
    Some(Rate { count, per: crate::settings::Duration::from_secs(60) })
}

/// How often the methods that end and list sessions may be called where the config says nothing.
pub(super) const SESSION_CALLS_A_MINUTE: usize = 20;

impl Quota {
    /// At most `rate` of each method; `None`: what Slack's tiers allow.
    pub(super) fn new(rate: Option<Rate>, clock: Arc<dyn Clock>) -> Self {
        Self { rate, clock, made: Mutex::default() }
    }

    /// Counts so many calls that are about to be made, all or none, or tells how long they have to wait.
    pub(super) fn take(&self, operation: Operation, count: usize) -> Result<(), Duration> {
        self.judge(operation, count, |calls, now| calls.extend(std::iter::repeat_n(now, count)))
    }

    /// How long a call would have to wait; `None`: it may be made.
    pub(super) fn wait(&self, operation: Operation) -> Option<Duration> {
        self.judge(operation, 1, |_, _| ()).err()
    }

    fn judge(
        &self,
        operation: Operation,
        count: usize,
        note: impl FnOnce(&mut VecDeque<Timestamp>, Timestamp),
    ) -> Result<(), Duration> {
        let Some(rate) = tier(operation).map(|tier| self.rate.unwrap_or(tier)) else { return Ok(()) };
        let now = self.clock.steady();
        let age = |then: &Timestamp| Duration::try_from(now.duration_since(*then)).unwrap_or_default();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let calls = made.entry(operation).or_default();
        while calls.front().is_some_and(|first| age(first) >= rate.per.0) {
            calls.pop_front();
        }
        // So many of the earlier ones have to be a minute old first. More than a minute takes are never asked for.
        let too_many = (calls.len() + count).saturating_sub(rate.count.get() as usize).min(calls.len());
        match too_many.checked_sub(1).and_then(|last| calls.get(last)) {
            Some(last) => Err(rate.per.0.saturating_sub(age(last))),
            None => {
                note(calls, now);
                Ok(())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn quota(rate: Option<&str>) -> (Quota, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        (Quota::new(rate.map(|rate| rate.parse().expect("a rate")), clock.clone()), clock)
    }

    #[test]
    fn no_minute_sees_more_calls_than_its_tier() {
        for (operation, most) in
            [(Operation::Reset, SESSION_CALLS_A_MINUTE), (Operation::LookupByEmail, 50), (Operation::UserInfo, 100)]
        {
            let (quota, clock) = quota(None);
            let mut let_out = Vec::new();
            for second in 0..300_u64 {
                let_out.extend((0..9).filter(|_| quota.take(operation, 1).is_ok()).map(|_| second));
                clock.advance(Duration::from_secs(1));
            }
            for start in 0..300 {
                let within = let_out.iter().filter(|second| (start..start + 60).contains(*second)).count();
                assert!(within <= most, "{operation:?}: {within} calls in the minute from second {start}");
            }
            assert_eq!(let_out.len(), most * 5, "and none is given away: {operation:?}");
        }
    }

    #[test]
    fn calls_that_belong_together_are_let_out_together_or_not_at_all() {
        let (quota, clock) = quota(Some("5/1m"));
        assert!(quota.take(Operation::List, 2).is_ok());
        clock.advance(Duration::from_secs(10));
        assert!(quota.take(Operation::List, 2).is_ok());
        assert_eq!(quota.take(Operation::List, 2), Err(Duration::from_secs(50)), "when the first is a minute old");
        assert_eq!(quota.take(Operation::List, 5), Err(Duration::from_secs(60)), "when the last is");
        assert!(quota.take(Operation::List, 1).is_ok(), "and nothing was counted meanwhile");
        assert!(quota.take(Operation::List, 1).is_err());
    }

    #[test]
    fn methods_count_by_themselves_and_a_rate_of_the_config_holds_for_each() {
        let (quota, clock) = quota(Some("2/1m"));
        for operation in [Operation::Reset, Operation::ResetBulk, Operation::UserInfo] {
            assert_eq!(quota.wait(operation), None);
            assert!(quota.take(operation, 1).is_ok());
            clock.advance(Duration::from_secs(1));
            assert!(quota.take(operation, 1).is_ok());
            assert_eq!(quota.take(operation, 1), Err(Duration::from_secs(59)));
            assert_eq!(quota.wait(operation), Some(Duration::from_secs(59)));
        }
        assert!((0..1000).all(|_| quota.take(Operation::AuthTest, 1).is_ok()));
        clock.advance(Duration::from_secs(60));
        assert_eq!(quota.wait(Operation::Reset), None);
    }
}
