//! What this process may use of a provider's limits, where several processes share them.

use std::num::NonZeroU32;

use jiff::Timestamp;

/// One part of every limit, for a while. What others hold meanwhile is theirs: parts of processes that know of each other
/// never make up more than the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// Among so many the limits are divided.
    pub workers: NonZeroU32,
    /// By the steady clock: from then on it is not known whether others still leave us our part.
    pub until: Timestamp,
    /// Counts how often this process began to have a part. Whoever begins has nothing saved up: others may have used it.
    pub term: u64,
    /// All others leave us as much as each of them has. Else we live on what they happen to leave for now.
    pub is_counted: bool,
}

impl Share {
    /// Everything, for ever: nobody else is there, nor ever was.
    pub const WHOLE: Self = Self { workers: NonZeroU32::MIN, until: Timestamp::MAX, term: 0, is_counted: true };

    /// Nothing, for now.
    pub const NONE: Self = Self { until: Timestamp::MIN, ..Self::WHOLE };

    /// Whether it counts at this time.
    #[must_use]
    pub fn holds(&self, now: Timestamp) -> bool {
        now < self.until
    }

    /// The part of a number that cannot be divided at will; at least one, or nothing would ever be done.
    #[must_use]
    pub fn of(&self, number: u32) -> u32 {
        (number / self.workers).max(1)
    }

    /// The same of what others may have all of: none, where they leave less than one.
    #[must_use]
    pub fn left_of(&self, number: u32) -> u32 {
        if self.is_counted { self.of(number) } else { number / self.workers }
    }
}
