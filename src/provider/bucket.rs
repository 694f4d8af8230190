//! A token bucket of which this process has a part: of what fits into it, and of what grows back.
//!
//! The parts of all processes never let more out than one whole bucket would: a change of their number takes effect at
//! once and adds no call, and whoever joins begins with nothing. A bucket of `governor` cannot be divided while it is in
//! use, and a new one begins full.

use std::time::Duration;

use jiff::Timestamp;

use super::Share;
use crate::settings::Rate;

/// Counted so that nothing is ever rounded: one call is as much as grows in `per` for each of those who share, and so
/// much as the rate's count grows in a nanosecond.
#[derive(Debug)]
pub(super) struct Bucket {
    count: u128,
    per: u128,
    share: Share,
    level: u128,
    at: Timestamp,
}

impl Bucket {
    /// All of it, and full.
    pub(super) fn new(rate: Rate, now: Timestamp) -> Self {
        let (count, per) = (u128::from(rate.count.get()), rate.per.0.as_nanos());
        let mut bucket = Self { count, per, share: Share::WHOLE, level: 0, at: now };
        bucket.level = bucket.most();
        bucket
    }

    /// Takes a call out, or tells how long that has to wait.
    pub(super) fn take(&mut self, now: Timestamp) -> Result<(), Duration> {
        self.grow(now);
        match self.level.checked_sub(self.call()) {
            Some(rest) => {
                self.level = rest;
                Ok(())
            }
            None => {
                let missing = (self.call() - self.level).div_ceil(self.count);
                Err(Duration::from_nanos(u64::try_from(missing).unwrap_or(u64::MAX)))
            }
        }
    }

    /// How many times so many calls are there to be taken; where as many never are, as many as ever are.
    pub(super) fn holds(&mut self, calls: u32, now: Timestamp) -> usize {
        self.grow(now);
        let wanted = (u128::from(calls) * self.call()).min(self.most() / self.call() * self.call());
        usize::try_from(self.level / wanted).unwrap_or(usize::MAX)
    }

    /// The time that one call takes to grow back.
    pub(super) fn interval(&self) -> Duration {
        Duration::from_nanos(u64::try_from(self.call() / self.count).unwrap_or(u64::MAX))
    }

    /// From now on this part of it. Calls that were saved up are kept as far as they fit.
    pub(super) fn divide(&mut self, share: Share, now: Timestamp) {
        self.grow(now);
        let before = self.workers();
        let kept = if share.term == self.share.term { self.level } else { 0 };
        self.share = share;
        self.level = (kept * self.workers() / before).min(self.most());
    }

    fn grow(&mut self, now: Timestamp) {
        let passed = u128::try_from(now.duration_since(self.at).as_nanos()).unwrap_or(0);
        self.level = passed.saturating_mul(self.count).saturating_add(self.level).min(self.most());
        self.at = self.at.max(now);
    }

    fn workers(&self) -> u128 {
        u128::from(self.share.workers.get())
    }

    fn call(&self) -> u128 {
        self.per * self.workers()
    }

    /// The part of the whole burst, and at least one call.
    fn most(&self) -> u128 {
        (self.per * self.count).max(self.call())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bucket(rate: &str) -> Bucket {
        Bucket::new(rate.parse().expect("a rate"), Timestamp::UNIX_EPOCH)
    }

    fn second(number: u64) -> Timestamp {
        Timestamp::UNIX_EPOCH + Duration::from_secs(number)
    }

    fn among(workers: u32, term: u64) -> Share {
        Share { workers: workers.try_into().expect("not zero"), until: Timestamp::MAX, term, is_counted: true }
    }

    fn let_out(bucket: &mut Bucket, now: Timestamp) -> usize {
        (0..1000).take_while(|_| bucket.take(now).is_ok()).count()
    }

    #[test]
    fn a_part_lets_out_its_part_of_the_burst_and_of_the_rate() {
        for (workers, burst, wait) in [(1, 12, 5), (2, 6, 10), (3, 4, 15), (5, 2, 25), (12, 1, 60), (20, 1, 100)] {
            let mut bucket = bucket("12/1m");
            bucket.divide(among(workers, 0), second(0));
            assert_eq!(let_out(&mut bucket, second(0)), burst, "of {workers}");
            // What did not make up a whole call stays for the next one.
            let mut calls = 0;
            (1..=600).for_each(|number| calls += let_out(&mut bucket, second(number)));
            let ten_minutes = 120 / workers as usize;
            assert!((ten_minutes..=ten_minutes + 1).contains(&calls), "of {workers}: {calls}");
            assert!(bucket.take(second(600)).is_err_and(|it| it <= Duration::from_secs(wait)), "of {workers}");
        }
    }

    #[test]
    fn a_change_of_their_number_adds_no_call() {
        let mut bucket = bucket("12/1m");
        bucket.divide(among(3, 0), second(0));
        bucket.divide(among(1, 0), second(0));
        assert_eq!(let_out(&mut bucket, second(0)), 4, "what was saved up stays as it was");
        bucket.divide(among(6, 0), second(60));
        assert_eq!(let_out(&mut bucket, second(60)), 2, "and goes where it does not fit");
        bucket.divide(among(1, 0), second(60));
        assert_eq!(let_out(&mut bucket, second(60)), 0);
        assert_eq!(let_out(&mut bucket, second(120)), 12);
    }

    #[test]
    fn time_before_a_change_counts_as_it_was_then() {
        let mut bucket = bucket("12/1m");
        bucket.divide(among(12, 0), second(0));
        assert_eq!(let_out(&mut bucket, second(0)), 1);
        bucket.divide(among(1, 0), second(600));
        assert_eq!(let_out(&mut bucket, second(600)), 1, "one of twelve had no room for more");
    }

    #[test]
    fn whoever_joins_has_saved_up_nothing() {
        let mut bucket = bucket("12/1m");
        bucket.divide(among(2, 1), second(300));
        assert_eq!(bucket.take(second(300)), Err(Duration::from_secs(10)));
        assert_eq!(let_out(&mut bucket, second(310)), 1);
    }
}
