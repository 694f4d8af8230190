//! Rate limits as operators configure them: a leaky bucket per method, credential and entity. None by default.
//!
//! Source: `pkg/ratelimit`, which uses the generic cell rate algorithm of `throttled`.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;

use super::super::answer::Answer;
use super::operation::Operation;
use super::refusal::Refusal;

/// One bucket: method, credential or address, entity.
pub(super) type Key = (Operation, String, String);

/// A profile: this many calls per minute, and this many at once.
#[derive(Debug, Clone, Copy)]
pub(super) struct Profile {
    pub(super) max_per_min: u32,
    pub(super) max_burst: u32,
}

/// The profiles and the buckets.
#[derive(Debug, Default)]
pub(super) struct Quota {
    /// For every method.
    pub(super) general: Option<Profile>,
    /// For one method, before the general one.
    pub(super) own: HashMap<Operation, Profile>,
    /// When each bucket will have run empty.
    empty_at: HashMap<Key, Timestamp>,
}

/// What the four headers say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    resource: String,
    pub(super) limit: u32,
    pub(super) available: i64,
    pub(super) reset: SignedDuration,
    pub(super) retry: SignedDuration,
    pub(super) exceeded: bool,
}

impl Quota {
    /// Counts one call; `None` where no profile applies.
    pub(super) fn spend(&mut self, key: &Key, now: Timestamp) -> Option<Standing> {
        let profile = *self.own.get(&key.0).or(self.general.as_ref())?;
        let interval = SignedDuration::from_mins(1) / i32::try_from(profile.max_per_min.max(1)).unwrap_or(i32::MAX);
        let tolerance = interval * i32::try_from(profile.max_burst).unwrap_or(i32::MAX);
        let full = self.empty_at.get(key).map_or(now, |at| (*at).max(now));
        let level = full.duration_since(now);
        let exceeded = level + interval > tolerance;
        let (reset, retry) = match exceeded {
            true => (level, level + interval - tolerance),
            false => (level + interval, SignedDuration::ZERO),
        };
        if !exceeded {
            self.empty_at.insert(key.clone(), full + interval);
        }
        let available = ((tolerance - reset).as_nanos() / interval.as_nanos().max(1)).max(0);
        let available = i64::try_from(available).unwrap_or(i64::MAX);
        let resource = format!("grpc:method:{}:{}:{}", key.0.grpc_method(), key.1, key.2);
        Some(Standing { resource, limit: profile.max_burst, available, reset, retry, exceeded })
    }
}

impl Standing {
    /// The refusal of a call that was one too many. It names the resource, and so the id of the credential.
    pub(super) fn refusal(&self) -> Refusal {
        Refusal::named("rate_limit_exceeded", json!({"key": self.resource, "rate": self.limit}))
    }

    /// Adds the headers. Whole seconds, cut off: 0 can mean less than one.
    pub(super) fn stamp(&self, answer: Answer) -> Answer {
        let answer = answer.header(LIMIT, &self.limit.to_string()).header(AVAILABLE, &self.available.to_string());
        answer.header(RESET, &self.reset.as_secs().to_string()).header(RETRY, &self.retry.as_secs().to_string())
    }
}

pub(super) const LIMIT: &str = "x-rate-limit-limit";
pub(super) const AVAILABLE: &str = "x-rate-limit-available";
pub(super) const RESET: &str = "x-rate-limit-reset";
pub(super) const RETRY: &str = "x-rate-limit-retry";
