//! The rate limit: Mattermost's GCRA limiter with its four headers (server/channels/app/ratelimit.go and the
//! `throttled` library it uses). Off on a fresh server.

use std::collections::HashMap;

use jiff::Timestamp;

use super::super::answer::Answer;

pub(super) const LIMIT: &str = "x-ratelimit-limit";
pub(super) const REMAINING: &str = "x-ratelimit-remaining";
pub(super) const RESET: &str = "x-ratelimit-reset";
pub(super) const RETRY_AFTER: &str = "retry-after";

const NANOS_PER_S: i128 = 1_000_000_000;

/// What the limiter counts by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LimitBy {
    /// The caller's address: everybody together, here.
    RemoteAddress,
    /// The token and, in a second limiter, the user behind it; the headers then stand on answers twice.
    User,
    /// The value of this request header.
    Header(String),
}

/// The limiters, which share their counters.
#[derive(Debug)]
pub(super) struct Limiter {
    pub(super) by: LimitBy,
    /// `X-RateLimit-Reset` as a time since 1970 instead of a delta.
    pub(super) reset_as_epoch: bool,
    emission_interval_ns: i128,
    burst: u32,
    /// Key to the theoretical arrival time of the next call, in nanoseconds since 1970.
    arrivals: HashMap<String, i128>,
}

/// What the headers say about one call.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    limit: u32,
    remaining: i128,
    reset_after_s: i128,
    retry_after_s: Option<i128>,
    epoch_s: Option<i64>,
}

impl Limiter {
    pub(super) fn new(per_second: u32, burst: u32, by: LimitBy) -> Self {
        let emission_interval_ns = NANOS_PER_S / i128::from(per_second.max(1));
        Self { by, reset_as_epoch: false, emission_interval_ns, burst, arrivals: HashMap::new() }
    }

    /// Counts one call.
    pub(super) fn spend(&mut self, key: &str, now: Timestamp) -> Standing {
        let (now_ns, interval) = (now.as_nanosecond(), self.emission_interval_ns);
        let tolerance = interval * (i128::from(self.burst) + 1);
        let arrival = self.arrivals.get(key).copied().unwrap_or(now_ns);
        let next_arrival = arrival.max(now_ns) + interval;
        let wait = next_arrival - tolerance - now_ns;
        let limited = wait > 0;
        if !limited {
            self.arrivals.insert(key.to_owned(), next_arrival);
        }
        let until_reset = if limited { arrival } else { next_arrival } - now_ns;
        Standing {
            limit: self.burst.saturating_add(1),
            remaining: ((tolerance - until_reset) / interval).max(0),
            reset_after_s: seconds(until_reset),
            retry_after_s: limited.then(|| seconds(wait)),
            epoch_s: self.reset_as_epoch.then(|| now.as_second()),
        }
    }
}

impl Standing {
    pub(super) fn exceeded(self) -> bool {
        self.retry_after_s.is_some()
    }

    pub(super) fn stamp(self, answer: Answer) -> Answer {
        let reset = self.reset_after_s + i128::from(self.epoch_s.unwrap_or_default());
        let answer = answer.header(LIMIT, &self.limit.to_string());
        let answer = answer.header(REMAINING, &self.remaining.to_string()).header(RESET, &reset.to_string());
        match self.retry_after_s {
            Some(wait) => answer.header(RETRY_AFTER, &wait.to_string()),
            None => answer,
        }
    }
}

/// Rounded up, as the headers are.
fn seconds(nanos: i128) -> i128 {
    (nanos + NANOS_PER_S - 1).div_euclid(NANOS_PER_S)
}
