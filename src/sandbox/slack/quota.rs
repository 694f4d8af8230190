//! The rate limit: a window of one minute per method. Refused credentials do not count, for they belong to no app.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::operation::Operation;

const WINDOW_S: i64 = 60;

/// How many calls a window holds.
#[derive(Debug, Clone, Copy, Default)]
pub(super) enum Limit {
    #[default]
    Off,
    /// The same for every method.
    Each(u32),
    /// The tier of each method.
    Tiers,
}

/// The windows.
#[derive(Debug, Default)]
pub(super) struct Quota {
    pub(super) limit: Limit,
    windows: BTreeMap<Operation, Window>,
}

#[derive(Debug, Clone, Copy)]
struct Window {
    ends_at_s: i64,
    used: u32,
}

impl Quota {
    /// Counts one call; `Some` are the seconds to wait when it was too many.
    pub(super) fn spend(&mut self, operation: Operation, now: Timestamp) -> Option<i64> {
        let limit = match self.limit {
            Limit::Off => return None,
            Limit::Each(calls) => calls,
            Limit::Tiers => operation.tier().calls_per_minute(),
        };
        let fresh = Window { ends_at_s: now.as_second() + WINDOW_S, used: 0 };
        let window = self.windows.entry(operation).or_insert(fresh);
        if window.ends_at_s <= now.as_second() {
            *window = fresh;
        }
        window.used = window.used.saturating_add(1);
        (window.used > limit).then(|| window.ends_at_s - now.as_second())
    }
}
