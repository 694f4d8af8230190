//! How long something takes.

use std::time::{Duration, Instant};

/// A stopwatch that runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Watch(Instant);

impl Watch {
    #[expect(clippy::disallowed_methods, reason = "a measurement reads the machine's clock")]
    pub(crate) fn start() -> Self {
        Self(Instant::now())
    }

    pub(crate) fn elapsed(self) -> Duration {
        self.0.elapsed()
    }

    /// How much later than this one the other was started.
    pub(crate) fn until(self, later: Self) -> Duration {
        later.0.saturating_duration_since(self.0)
    }

    /// As if it had been started so much later.
    pub(crate) fn later(self, by: Duration) -> Self {
        Self(self.0 + by)
    }
}
