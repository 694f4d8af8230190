//! How much a source may send, and how often one peer may be wrong.

use std::net::IpAddr;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use governor::clock::{Clock as GovernorClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::clock::Clock;
use crate::listener::household;
use crate::settings::Rate;

/// Forged deliveries that one peer may send at once before it is told to wait; one more is allowed each second.
const FORGED_BURST: NonZeroU32 = NonZeroU32::new(20).expect("not zero");

/// Refusals of one source that are told at once, and how many more each second, whoever causes them: more than one peer alone
/// can cause, so that it leaves the others some.
const TOLD_BURST: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const TOLD_EACH_SECOND: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

/// Peers remembered. Beyond it, those that have been quiet are forgotten.
const PEERS: usize = 10_000;

/// How often those are looked for: with each delivery, a flood from ten thousand addresses would cost more than what it sends.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Our clock, as the limiter reads it: nanoseconds since the limiter was made.
#[derive(Debug, Clone)]
struct SteadyClock {
    clock: Arc<dyn Clock>,
    epoch: jiff::Timestamp,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Since(Duration);

impl std::ops::Add<Nanos> for Since {
    type Output = Self;

    fn add(self, by: Nanos) -> Self {
        Self(self.0.saturating_add(by.into()))
    }
}

impl Reference for Since {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }

    fn saturating_sub(&self, by: Nanos) -> Self {
        Self(self.0.saturating_sub(by.into()))
    }
}

impl GovernorClock for SteadyClock {
    type Instant = Since;

    fn now(&self) -> Since {
        Since(Duration::try_from(self.clock.steady() - self.epoch).unwrap_or_default())
    }
}

impl SteadyClock {
    fn new(clock: Arc<dyn Clock>) -> Self {
        let epoch = clock.steady();
        Self { clock, epoch }
    }
}

/// How much one source may send. Counts authentic deliveries only, so that nobody else can use it up.
pub(super) struct SourceLimit {
    limiter: RateLimiter<NotKeyed, InMemoryState, SteadyClock, NoOpMiddleware<Since>>,
    clock: SteadyClock,
}

impl SourceLimit {
    pub(super) fn new(rate: &Rate, clock: Arc<dyn Clock>) -> Option<Self> {
        let quota = Quota::with_period(rate.interval())?.allow_burst(rate.count);
        let clock = SteadyClock::new(clock);
        Some(Self { limiter: RateLimiter::direct_with_clock(quota, clock.clone()), clock })
    }

    /// `Err`: how long to wait.
    pub(super) fn take(&self) -> Result<(), Duration> {
        self.limiter.check().map_err(|wait| wait.wait_time_from(self.clock.now()))
    }
}

/// Which refusals of a source are told.
pub(super) struct ToldRefusals {
    limiter: RateLimiter<NotKeyed, InMemoryState, SteadyClock, NoOpMiddleware<Since>>,
    untold: AtomicU64,
}

impl ToldRefusals {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let quota = Quota::per_second(TOLD_EACH_SECOND).allow_burst(TOLD_BURST);
        let limiter = RateLimiter::direct_with_clock(quota, SteadyClock::new(clock));
        Self { limiter, untold: AtomicU64::new(0) }
    }

    /// Whether one more is told, and how many were not since the last one that was.
    pub(super) fn take(&self) -> Option<u64> {
        if self.limiter.check().is_ok() {
            return Some(self.untold.swap(0, Ordering::Relaxed));
        }
        self.untold.fetch_add(1, Ordering::Relaxed);
        None
    }
}

/// How often one peer may be wrong.
pub struct PeerLimit {
    limiter: RateLimiter<IpAddr, HashMapStateStore<IpAddr>, SteadyClock, NoOpMiddleware<Since>>,
    clock: SteadyClock,
    swept: Mutex<Since>,
}

impl PeerLimit {
    /// With the built-in limits.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        let quota = Quota::per_second(NonZeroU32::MIN).allow_burst(FORGED_BURST);
        let clock = SteadyClock::new(clock);
        let state = HashMapStateStore::default();
        Self { limiter: RateLimiter::new(quota, state, clock.clone()), clock, swept: Mutex::default() }
    }

    /// Counts a forged delivery. `Err`: the peer has sent too many, and how long it should wait.
    pub(super) fn take(&self, peer: IpAddr) -> Result<(), Duration> {
        if self.limiter.len() > PEERS && self.is_time_to_sweep() {
            self.limiter.retain_recent();
        }
        self.limiter.check_key(&household(peer)).map_err(|wait| wait.wait_time_from(self.clock.now()))
    }

    /// True once in [`SWEEP_EVERY`].
    fn is_time_to_sweep(&self) -> bool {
        let now = self.clock.now();
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        let is_time = now.0.saturating_sub(swept.0) >= SWEEP_EVERY;
        if is_time {
            *swept = now;
        }
        is_time
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn what_was_not_told_is_counted_until_one_is() {
        let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
        let told = ToldRefusals::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let burst = TOLD_BURST.get();
        assert!((0..burst).all(|_| told.take() == Some(0)));
        assert_eq!([told.take(), told.take()], [None, None]);
        clock.advance(Duration::from_secs(1));
        assert_eq!([told.take(), told.take()], [Some(2), Some(0)]);
    }

    #[test]
    fn a_flood_of_many_addresses_is_swept_once_a_second_and_forgotten_once_it_is_over() {
        let clock = Arc::new(ManualClock::new(jiff::Timestamp::UNIX_EPOCH));
        let limit = PeerLimit::new(Arc::clone(&clock) as Arc<dyn Clock>);
        let peer = |number: usize| IpAddr::from(u32::try_from(number).expect("small").to_be_bytes());
        clock.advance(SWEEP_EVERY);
        for number in 0..=PEERS {
            assert_eq!(limit.take(peer(number)), Ok(()));
        }
        assert_eq!(limit.take(peer(0)), Ok(()));
        assert!(!limit.is_time_to_sweep(), "it was swept just now");
        clock.advance(SWEEP_EVERY * 30);
        assert_eq!(limit.take(peer(PEERS + 1)), Ok(()));
        assert_eq!(limit.limiter.len(), 1, "the quiet ones are forgotten");
    }
}
