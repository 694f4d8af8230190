//! How long to wait after so many failures. The only place that touches the `backoff` crate; pure, so that a restart
//! changes nothing.

use std::time::Duration;

use backoff::ExponentialBackoff;
use backoff::backoff::Backoff;

/// Waits that grow.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    /// The first wait.
    pub first: Duration,
    /// Each wait is so many times the one before.
    pub factor: f64,
    /// No wait is longer, but for the randomisation.
    pub longest: Duration,
    /// Waits are spread by this part of themselves in both directions, so that those who wait do not come in step.
    pub spread: f64,
}

impl Schedule {
    /// The default spread; that of the `backoff` crate.
    pub const SPREAD: f64 = 0.5;

    /// The wait after so many failures, counted from 0. There is always another one.
    #[must_use]
    pub fn delay(&self, failures: u32) -> Duration {
        let steps = i32::try_from(failures.min(64)).unwrap_or(64);
        let raw = self.first.as_secs_f64() * self.factor.powi(steps);
        let current_interval = Duration::try_from_secs_f64(raw).unwrap_or(self.longest).min(self.longest);
        let mut schedule = ExponentialBackoff {
            current_interval,
            initial_interval: self.first,
            randomization_factor: self.spread,
            multiplier: self.factor,
            max_interval: self.longest,
            // The crate would stop after 15 minutes; when to give up is for whoever waits.
            max_elapsed_time: None,
            ..ExponentialBackoff::default()
        };
        schedule.next_backoff().unwrap_or(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_the_longest_and_never_end() {
        let schedule =
            Schedule { first: Duration::from_millis(200), factor: 2.0, longest: Duration::from_secs(5), spread: 0.0 };
        let waits: Vec<_> = (0..7).map(|failures| schedule.delay(failures).as_millis()).collect();
        assert_eq!(waits, [200, 400, 800, 1600, 3200, 5000, 5000]);
        assert_eq!(schedule.delay(u32::MAX), Duration::from_secs(5));
        let spread = Schedule { spread: Schedule::SPREAD, ..schedule };
        for _ in 0..100 {
            let wait = spread.delay(40);
            assert!((2_500..=7_500).contains(&wait.as_millis()), "{wait:?}");
        }
    }
}
