//! How often each method is called: at most so many times in any minute, as Slack counts.
//!
//! Slack's answers do not tell what is left, so we count ourselves. A bucket that refills while it is emptied would let
//! twice as many out in its first minute. Where several processes share the number, what changes hands between them is
//! used a minute later: until then whoever had it before may have used it.

use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use super::Operation;
use crate::clock::Clock;
use crate::provider::Share;
use crate::settings::Rate;

/// The calls of the last minute.
#[derive(Debug)]
pub(super) struct Quota {
    rate: Option<Rate>,
    clock: Arc<dyn Clock>,
    made: Mutex<Made>,
}

/// What counts.
#[derive(Debug)]
struct Made {
    share: Share,
    /// Calls, and those that others may have made of what is ours now. A call beyond a part that is too small for what
    /// belongs together stands in the future: it is taken from what comes then.
    calls: BTreeMap<Operation, VecDeque<Timestamp>>,
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
        let made = Made { share: Share::WHOLE, calls: BTreeMap::new() };
        Self { rate, clock, made: Mutex::new(made) }
    }

    /// From now on this part of each number.
    pub(super) fn divide(&self, share: Share) {
        let now = self.clock.steady();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut made.share, share);
        for (operation, rate) in Operation::ALL.iter().filter_map(|it| Some((*it, self.rate(*it)?))) {
            let calls = made.calls.entry(operation).or_default();
            let kept = if share.term == before.term {
                before.of(rate.count.get())
            } else {
                calls.clear();
                0
            };
            let more = share.of(rate.count.get()).saturating_sub(kept);
            let at = calls.back().map_or(now, |last| now.max(*last));
            calls.extend(std::iter::repeat_n(at, more as usize));
        }
    }

    fn rate(&self, operation: Operation) -> Option<Rate> {
        tier(operation).map(|tier| self.rate.unwrap_or(tier))
    }

    /// Counts so many calls that are about to be made, all or none, or tells how long they have to wait.
    pub(super) fn take(&self, operation: Operation, count: usize) -> Result<(), Duration> {
        self.judge(operation, count, |calls, most, per, now| {
            // `count` is more than the part only where that was whole.
            let at = |number: usize| {
                now.saturating_add(per.saturating_mul(u32::try_from(number / most).unwrap_or(u32::MAX)))
            };
            calls.extend((0..count).map(|number| at(number).unwrap_or(Timestamp::MAX)));
        })
    }

    /// How long a call would have to wait; `None`: it may be made.
    pub(super) fn wait(&self, operation: Operation) -> Option<Duration> {
        self.judge(operation, 1, |_, _, _, _| ()).err()
    }

    fn judge(
        &self,
        operation: Operation,
        count: usize,
        note: impl FnOnce(&mut VecDeque<Timestamp>, usize, Duration, Timestamp),
    ) -> Result<(), Duration> {
        let Some(rate) = self.rate(operation) else { return Ok(()) };
        let (now, per) = (self.clock.steady(), rate.per.0);
        let left = |then: &Timestamp| {
            let over = then.saturating_add(per).unwrap_or(Timestamp::MAX);
            Duration::try_from(over.duration_since(now)).unwrap_or_default()
        };
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        let most = made.share.of(rate.count.get()) as usize;
        let calls = made.calls.entry(operation).or_default();
        while calls.front().is_some_and(|first| left(first).is_zero()) {
            calls.pop_front();
        }
        // So many of the earlier ones have to be a minute old first. More than a minute takes are never asked for, but
        // where that is divided, more than a part of it may be.
        let too_many = (calls.len() + count).saturating_sub(most).min(calls.len());
        match too_many.checked_sub(1).and_then(|last| calls.get(last)) {
            Some(last) => Err(left(last)),
            None => {
                note(calls, most, per, now);
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

    fn among(workers: u32, term: u64) -> Share {
        Share { workers: workers.try_into().expect("not zero"), until: Timestamp::MAX, term, is_counted: true }
    }

    fn let_out(quota: &Quota) -> usize {
        (0..1000).take_while(|_| quota.take(Operation::Reset, 1).is_ok()).count()
    }

    #[test]
    fn those_who_share_never_make_more_calls_in_a_minute_than_one_alone() {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        let quotas: Vec<_> = (0..3).map(|_| Quota::new(None, clock.clone())).collect();
        let mut made: Vec<u64> = Vec::new();
        // Who is there from which second on: one, three, two, one, three.
        for second in 0..400_u64 {
            let here: &[usize] = match second {
                0..30 => &[0],
                30..100 => &[0, 1, 2],
                100..150 => &[0, 2],
                150..250 => &[2],
                _ => &[0, 1, 2],
            };
            for one in here {
                // Those who come back begin anew.
                let term = match one {
                    2 => u64::from(second >= 30),
                    _ => u64::from(second >= 30 && *one == 1) + u64::from(second >= 250),
                };
                quotas[*one].divide(among(here.len() as u32, term));
                made.extend((0..let_out(&quotas[*one])).map(|_| second));
            }
            clock.advance(Duration::from_secs(1));
        }
        for start in 0..400 {
            let within = made.iter().filter(|second| (start..start + 60).contains(*second)).count();
            assert!(within <= SESSION_CALLS_A_MINUTE, "{within} calls in the minute from second {start}");
        }
        assert!(made.len() > 4 * SESSION_CALLS_A_MINUTE, "and they are used: {}", made.len());
    }

    #[test]
    fn what_belongs_together_is_let_out_also_where_a_part_is_too_small_for_it() {
        let (quota, clock) = quota(Some("6/1m"));
        quota.divide(among(3, 0));
        assert!(quota.take(Operation::List, 5).is_ok(), "of a part of 2");
        assert_eq!(quota.take(Operation::List, 5), Err(Duration::from_secs(180)), "and pays for it later");
        clock.advance(Duration::from_secs(120));
        assert!(quota.take(Operation::List, 1).is_ok());
    }
}
