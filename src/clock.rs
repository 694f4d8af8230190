//! The only file that reads the clock.
//!
//! Two readings, because a host's wall clock can be set while we run: [`Clock::now`] is what other machines would
//! agree with (signatures, records), [`Clock::steady`] never jumps (due times, leases, rate limits).

use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

use jiff::Timestamp;

/// Where every part of the program gets its time from.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Wall-clock time. May jump in either direction.
    fn now(&self) -> Timestamp;

    /// Wall-clock time as it was when the process started, plus the time that has passed since. Never jumps.
    fn steady(&self) -> Timestamp;
}

/// The clock of the machine.
#[derive(Debug)]
pub struct SystemClock {
    started_wall: Timestamp,
    started: Instant,
}

impl SystemClock {
    /// Anchors the steady reading at the present wall-clock time.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "the home of clock reads")]
    pub fn new() -> Self {
        Self { started_wall: wall(), started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        wall()
    }

    fn steady(&self) -> Timestamp {
        self.started_wall + self.started.elapsed()
    }
}

#[expect(clippy::disallowed_methods, reason = "the home of clock reads")]
fn wall() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// A clock that tests move by hand.
#[derive(Debug)]
pub struct ManualClock(Mutex<Readings>);

#[derive(Debug, Clone, Copy)]
struct Readings {
    wall: Timestamp,
    steady: Timestamp,
}

impl ManualClock {
    /// Both readings start at `at`.
    #[must_use]
    pub fn new(at: Timestamp) -> Self {
        Self(Mutex::new(Readings { wall: at, steady: at }))
    }

    /// Lets time pass.
    pub fn advance(&self, by: Duration) {
        let mut readings = self.lock();
        readings.wall += by;
        readings.steady += by;
    }

    /// Sets the wall clock as an administrator or NTP would; no time passes.
    pub fn set_wall(&self, to: Timestamp) {
        self.lock().wall = to;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Readings> {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        self.lock().wall
    }

    fn steady(&self) -> Timestamp {
        self.lock().steady
    }
}

/// The longest rest: what took longer was not busy all the time.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Waits for as long as something took: who has much to do leaves others half of the time.
pub async fn rest(took: Duration) {
    tokio::time::sleep(took.min(LONGEST_REST)).await;
}

/// How long ago that was, by the steady clock.
pub fn time_since(clock: &dyn Clock, began: Timestamp) -> Duration {
    Duration::try_from(clock.steady() - began).unwrap_or_default()
}
