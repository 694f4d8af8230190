//! Work on large bodies, kept off the threads that serve everybody.
//!
//! Always holds: what is small is done where it is asked for and waits for nothing; of what is large, no more is done at
//! once than there are processors, so that a flood of it leaves the small ones their share.

use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::Semaphore;

use super::refusal::Refusal;

/// A body up to this size is verified, read and planned in well under a millisecond; one of 1 MiB takes ten and more.
pub(super) const QUICK_BODY_BYTES: usize = 16 << 10;

/// Who may work on something large now.
pub(super) struct Heavy {
    permits: Arc<Semaphore>,
}

impl Heavy {
    /// As many at once as there are processors.
    pub(super) fn new() -> Self {
        Self { permits: Arc::new(Semaphore::new(available_parallelism().map_or(1, std::num::NonZero::get))) }
    }

    /// Does `work` on a body of this size. The only refusal is that the process ends.
    pub(super) async fn run<T, W>(&self, body_bytes: usize, work: W) -> Result<T, Refusal>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        if body_bytes <= QUICK_BODY_BYTES {
            return Ok(work());
        }
        let permit = Arc::clone(&self.permits).acquire_owned().await.map_err(|_| Refusal::Unavailable)?;
        // Work that was begun goes on though nobody waits for it any more, and so the permit goes with it.
        let working = tokio::task::spawn_blocking(move || {
            let done = work();
            drop(permit);
            done
        });
        working.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(_) => Refusal::Unavailable,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::panic::AssertUnwindSafe;
    use std::sync::mpsc::{Sender, channel};

    use futures_util::FutureExt;

    use super::*;

    /// Work that ends once it is told to.
    fn gated() -> (Sender<()>, impl FnOnce() + Send) {
        let (open, gate) = channel();
        (open, move || assert!(gate.recv().is_err(), "it is opened by being dropped"))
    }

    #[tokio::test]
    async fn what_is_small_is_done_while_all_that_may_be_large_is() {
        let heavy = Arc::new(Heavy { permits: Arc::new(Semaphore::new(2)) });
        let (gates, large): (Vec<_>, Vec<_>) = (0..3).map(|_| gated()).unzip();
        let mut tasks: Vec<_> = large
            .into_iter()
            .map(|work| {
                Box::pin({
                    let heavy = Arc::clone(&heavy);
                    async move { heavy.run(QUICK_BODY_BYTES + 1, work).await }
                })
            })
            .collect();
        for task in &mut tasks {
            assert!(task.as_mut().now_or_never().is_none(), "one thread, and it is free");
        }
        assert_eq!(heavy.permits.available_permits(), 0, "the third one waits");
        assert_eq!(heavy.run(QUICK_BODY_BYTES, || 7).await, Ok(7));
        drop(gates);
        for task in tasks {
            assert_eq!(task.await, Ok(()));
        }
        assert_eq!(heavy.permits.available_permits(), 2);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_any_more_keeps_its_permit_and_a_panic_gives_it_back() {
        let heavy = Heavy { permits: Arc::new(Semaphore::new(1)) };
        let (gate, work) = gated();
        let mut given_up = Box::pin(heavy.run(QUICK_BODY_BYTES + 1, work));
        assert!(given_up.as_mut().now_or_never().is_none());
        drop(given_up);
        assert_eq!(heavy.permits.available_permits(), 0, "it goes on");
        drop(gate);
        drop(heavy.permits.acquire().await);

        let failing = heavy.run::<(), _>(QUICK_BODY_BYTES + 1, || panic!("a mistake of ours"));
        let caught = AssertUnwindSafe(failing).catch_unwind().await;
        assert!(caught.is_err(), "whoever asked for it hears of it, as with what is small");
        assert_eq!(heavy.permits.available_permits(), 1);
    }
}
