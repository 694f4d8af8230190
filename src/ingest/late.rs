//! Whoever is told to wait, and comes by no trusted proxy, is told so late. A flood that waits for its answers then sends less, and
//! leaves the processors to everybody else.

use std::ops::RangeInclusive;
use std::time::Duration;

use tokio::sync::Semaphore;

/// How late: 64 connections that wait for their answers then send 320 requests a second, and not tens of thousands. Each
/// waits for another time, or they would all come back together.
const BY: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_millis(300);

/// How many answers may be late at once.
pub(super) struct Late(Semaphore);

impl Late {
    /// So many: each keeps its connection meanwhile, and whoever comes by the same address needs some as well.
    pub(super) fn new(most: usize) -> Self {
        Self(Semaphore::new(most))
    }

    /// Returns when whoever is told to wait may be told so. At once where there is no room for another late answer.
    pub(super) async fn hold(&self) {
        if let Ok(_seat) = self.0.try_acquire() {
            let (least, most) = BY.into_inner();
            tokio::time::sleep(least + (most - least).mul_f64(fastrand::f64())).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use tokio::time::Instant;

    use super::*;

    #[tokio::test]
    async fn no_more_connections_are_kept_than_there_is_room_for() {
        let (late, before) = (Late::new(2), Instant::now());
        let mut first = Box::pin(late.hold());
        let mut second = Box::pin(late.hold());
        assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
        assert!(late.hold().now_or_never().is_some());
        // Whoever hangs up needs none any more.
        drop(first);
        assert!(late.hold().now_or_never().is_none());
        second.await;
        assert!(before.elapsed() >= *BY.start());
    }
}
