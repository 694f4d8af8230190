//! The rate limit: one bucket per operation, renewed sixty seconds after its first call.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::operation::Operation;

/// Okta renews counters about every minute, not aligned to the clock's minutes (Okta rate limits reference).
const WINDOW_S: i64 = 60;

/// High enough that only a test that lowers it meets the limit.
const DEFAULT_LIMIT: u32 = 1_000_000;

/// The buckets.
#[derive(Debug)]
pub(super) struct Quota {
    pub(super) limit: u32,
    buckets: BTreeMap<Option<Operation>, Bucket>,
}

#[derive(Debug, Clone, Copy)]
struct Bucket {
    resets_at_s: i64,
    used: u32,
}

/// What the three `X-Rate-Limit-*` headers say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing {
    pub(super) limit: u32,
    pub(super) remaining: u32,
    pub(super) resets_at_s: i64,
    pub(super) exceeded: bool,
}

impl Default for Quota {
    fn default() -> Self {
        Self { limit: DEFAULT_LIMIT, buckets: BTreeMap::new() }
    }
}

impl Quota {
    /// Counts one call.
    pub(super) fn spend(&mut self, operation: Option<Operation>, now: Timestamp) -> Standing {
        let fresh = Bucket { resets_at_s: now.as_second() + WINDOW_S, used: 0 };
        let bucket = self.buckets.entry(operation).or_insert(fresh);
        if bucket.resets_at_s <= now.as_second() {
            *bucket = fresh;
        }
        bucket.used = bucket.used.saturating_add(1);
        Standing {
            limit: self.limit,
            remaining: self.limit.saturating_sub(bucket.used),
            resets_at_s: bucket.resets_at_s,
            exceeded: bucket.used > self.limit,
        }
    }
}
