//! When the next alert is to be sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;

/// An alert to be sent, and when: waits are counted from then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Turn {
    pub(super) number: u64,
    pub(super) at: Timestamp,
}

/// Shared by all connections.
pub(super) struct Pace {
    rate: Option<u32>,
    started: Timestamp,
    ends: Timestamp,
    next: AtomicU64,
    clock: Arc<dyn Clock>,
}

impl Pace {
    /// Begins now. Without a rate, whoever asks may send at once.
    pub(super) fn new(rate: Option<u32>, length: Duration, clock: Arc<dyn Clock>) -> Self {
        let started = clock.steady();
        Self { rate, started, ends: started + length, next: AtomicU64::new(0), clock }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.steady()
    }

    pub(super) fn started(&self) -> Timestamp {
        self.started
    }

    /// The wall clock, for signatures.
    pub(super) fn wall(&self) -> Timestamp {
        self.clock.now()
    }

    /// The next turn; `None` once the time is over. With a rate, returns when it is time, or at once if that is past.
    pub(super) async fn turn(&self) -> Option<Turn> {
        let turn = self.draw()?;
        if let Ok(wait) = Duration::try_from(turn.at.duration_since(self.now())) {
            // The runtime's timer rounds up to whole milliseconds, which would count as the service's.
            let _ = tokio::task::spawn_blocking(move || std::thread::sleep(wait)).await;
        }
        Some(turn)
    }

    fn draw(&self) -> Option<Turn> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let at = match self.rate {
            None => self.now(),
            Some(rate) => self.started + Duration::from_secs_f64(number as f64 / f64::from(rate)),
        };
        (at < self.ends).then_some(Turn { number, at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    fn pace(rate: Option<u32>) -> (Pace, Arc<ManualClock>) {
        let clock = Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH));
        (Pace::new(rate, Duration::from_secs(1), clock.clone()), clock)
    }

    #[test]
    fn with_a_rate_turns_come_on_time_however_late_they_are_taken() {
        let (pace, clock) = pace(Some(4));
        clock.advance(Duration::from_secs(60));
        let turns: Vec<_> = std::iter::from_fn(|| pace.draw()).collect();
        let at: Vec<_> = turns.iter().map(|turn| turn.at.as_millisecond()).collect();
        assert_eq!(at, [0, 250, 500, 750], "a stall of the service delays no turn");
    }

    #[test]
    fn without_a_rate_a_turn_comes_when_it_is_asked_for() {
        let (pace, clock) = pace(None);
        assert_eq!(pace.draw().map(|turn| turn.at.as_millisecond()), Some(0));
        clock.advance(Duration::from_millis(999));
        assert_eq!(pace.draw().map(|turn| turn.at.as_millisecond()), Some(999));
        clock.advance(Duration::from_millis(1));
        assert_eq!(pace.draw(), None);
    }
}
