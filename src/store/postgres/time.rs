//! Whose clock counts: the server's, for leases and due times are compared by several replicas whose clocks may differ.
//!
//! A worker goes by its own steady clock all the same, so what it is told is turned into that: a lease counts from before
//! it was asked for, and ends no later there than here; an age is taken over as an age.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use crate::clock::Clock;

/// The server's time, unless a test gave us one: `$1` the wall clock, `$2` the steady one.
pub(super) const NOW: &str = "SELECT coalesce($1::bigint, server.t) AS wall, coalesce($2::bigint, server.t) AS steady
     FROM (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS t) AS server";

/// Where the time comes from.
#[derive(Clone)]
pub(super) struct Timing {
    /// This process's own.
    pub(super) clock: Arc<dyn Clock>,
    by_hand: bool,
}

impl Timing {
    /// The server's clock decides.
    pub(super) fn server(clock: Arc<dyn Clock>) -> Self {
        Self { clock, by_hand: false }
    }

    /// `clock` decides, which a test moves.
    pub(super) fn by_hand(clock: Arc<dyn Clock>) -> Self {
        Self { clock, by_hand: true }
    }

    /// What stands in for the server's time: the wall clock and the steady one.
    pub(super) fn given(&self) -> (Option<i64>, Option<i64>) {
        let wall = self.by_hand.then(|| self.clock.now().as_microsecond());
        (wall, self.by_hand.then(|| self.clock.steady().as_microsecond()))
    }

    /// How much longer than its time a guard is kept: the clocks of replicas that check a signature's time may differ.
    pub(super) fn guard_margin(&self) -> SignedDuration {
        if self.by_hand { SignedDuration::ZERO } else { SignedDuration::from_hours(1) }
    }
}

/// One moment, by the clock that counts and by our own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Moment {
    /// Microseconds, for records.
    pub(super) wall: i64,
    /// Microseconds, for due times and leases.
    pub(super) steady: i64,
    /// Our own steady clock.
    pub(super) local: Timestamp,
}

impl Moment {
    /// A past time of the clock that counts, by our own.
    pub(super) fn to_local(self, then: i64) -> Timestamp {
        let ago = SignedDuration::from_micros(self.steady.saturating_sub(then));
        self.local.checked_sub(ago).unwrap_or(Timestamp::MIN)
    }
}
