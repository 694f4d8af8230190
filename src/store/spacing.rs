//! How far apart commits are while many changes come in.
//!
//! A commit has a price however little is in it: the pages at the end of each table and index are written to the log anew, the
//! disk is asked to sync, and threads wake up; on PostgreSQL there are round trips as well. Where every commit is followed by
//! the next one at once, a thousand are made each second, of a few changes each, and the processors have less time for alerts.
//! Each store says what was measured with it. On an idle service nothing waits.

use std::time::Duration;

use jiff::Timestamp;

/// After a commit of so many changes, more are expected soon.
const MANY: usize = 4;

/// What a transaction waits for.
#[derive(Debug)]
pub(super) struct Spacing {
    /// So many changes are worth a commit.
    enough: usize,
    /// Fewer wait for more until so long after the commit before.
    apart: Duration,
    /// The latest commit: how many changes, and when, by the steady clock.
    latest: (usize, Timestamp),
}

impl Spacing {
    pub(super) fn new(enough: usize, apart: Duration) -> Self {
        Self { enough, apart, latest: (0, Timestamp::default()) }
    }

    /// So many changes were committed.
    pub(super) fn committed(&mut self, changes: usize, at: Timestamp) {
        self.latest = (changes, at);
    }

    /// How long so many changes wait for another one.
    pub(super) fn left(&self, changes: usize, now: Timestamp) -> Duration {
        let (before, at) = self.latest;
        if before < MANY || changes >= self.enough {
            return Duration::ZERO;
        }
        self.apart.saturating_sub(Duration::try_from(now - at).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_changes_wait_for_more_only_after_a_commit_of_many_and_only_so_long() {
        let millis = Duration::from_millis;
        let mut spacing = Spacing::new(16, millis(4));
        let at = Timestamp::UNIX_EPOCH + Duration::from_secs(1000);
        let left = |spacing: &Spacing, changes, now| spacing.left(changes, at + millis(now));
        assert_eq!(left(&spacing, 1, 0), Duration::ZERO, "nothing was committed");

        spacing.committed(MANY - 1, at);
        assert_eq!(left(&spacing, 1, 0), Duration::ZERO, "on an idle service nothing waits");

        spacing.committed(MANY, at);
        assert_eq!([0, 3, 4, 5000].map(|now| left(&spacing, 15, now)), [4, 1, 0, 0].map(millis));
        assert_eq!(left(&spacing, 16, 0), Duration::ZERO, "these are worth a commit");
        assert_eq!(spacing.left(1, at - millis(500)), millis(4), "a clock that goes back makes nobody wait longer");
    }
}
