//! Room for attempts at one provider, which grows and shrinks with the number of processes that share it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long no job is claimed after one had to be put back without a call.
const REST: Duration = Duration::from_millis(20);

/// Room for attempts at one provider.
pub(super) struct Seats {
    turns: Arc<Semaphore>,
    starts: Arc<Semaphore>,
    jobs: Arc<Semaphore>,
    room: Mutex<Room>,
    /// Until when nothing is claimed, in microseconds of the steady clock.
    rest_until: AtomicI64,
}

/// A job's place. The part that lets it start goes back once the provider has done what it was asked, so that the next
/// job is claimed in the commit that writes this one down, and not only in the one after.
pub(super) struct Seat {
    pub(super) turns: Arc<Semaphore>,
    pub(super) start: OwnedSemaphorePermit,
    pub(super) job: OwnedSemaphorePermit,
}

/// How many permits of each kind there should be, and how many more are still about: those that are in use when the room
/// shrinks go once they come back, and until then nobody else is let in.
struct Room {
    turns: usize,
    surplus: [usize; 3],
}

/// Only so many have their turn at once. A quarter more are claimed, so that one is there when another's turn ends; and as
/// many as may start may wait besides for being written down: a store that fails stops the calls.
fn permits(turns: usize) -> [usize; 3] {
    let starts = turns + turns / 4;
    [turns, starts, 2 * starts]
}

impl Seats {
    pub(super) fn new(concurrency: u32) -> Self {
        let turns = concurrency as usize;
        let [turn, start, job] = permits(turns).map(|count| Arc::new(Semaphore::new(count)));
        let room = Mutex::new(Room { turns, surplus: [0; 3] });
        Self { turns: turn, starts: start, jobs: job, room, rest_until: AtomicI64::new(0) }
    }

    /// From now on so many at once.
    pub(super) fn resize(&self, concurrency: u32) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let turns = concurrency as usize;
        let (before, after) = (permits(room.turns), permits(turns));
        for (kind, semaphore) in self.kinds().into_iter().enumerate() {
            let surplus = &mut room.surplus[kind];
            *surplus += before[kind].saturating_sub(after[kind]);
            let more = after[kind].saturating_sub(before[kind]);
            let kept = more.min(*surplus);
            *surplus -= kept;
            semaphore.add_permits(more - kept);
        }
        room.turns = turns;
    }

    pub(super) fn is_resting(&self, now: Timestamp) -> bool {
        now.as_microsecond() < self.rest_until.load(Ordering::Relaxed)
    }

    /// A call was held back because its operation has to wait. Other jobs may need other operations, so claiming goes
    /// on, but not at the pace at which jobs can be put back.
    pub(super) fn rest(&self, now: Timestamp) {
        self.rest_until.store((now + REST).as_microsecond(), Ordering::Relaxed);
    }

    pub(super) fn take(&self, most: usize) -> Vec<Seat> {
        self.shrink();
        let seat = || {
            let job = Arc::clone(&self.jobs).try_acquire_owned().ok()?;
            let start = Arc::clone(&self.starts).try_acquire_owned().ok()?;
            Some(Seat { turns: Arc::clone(&self.turns), start, job })
        };
        std::iter::from_fn(seat).take(most).collect()
    }

    /// Jobs that may still call.
    pub(super) fn busy(&self) -> usize {
        let room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        let [_, starts, _] = permits(room.turns);
        (starts + room.surplus[1]).saturating_sub(self.starts.available_permits())
    }

    /// Takes away what came back since.
    fn shrink(&self) {
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        for (semaphore, surplus) in self.kinds().into_iter().zip(&mut room.surplus) {
            *surplus -= semaphore.forget_permits(*surplus);
        }
    }

    fn kinds(&self) -> [&Semaphore; 3] {
        [&self.turns, &self.starts, &self.jobs]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_that_shrinks_lets_nobody_in_until_enough_are_gone() {
        let seats = Seats::new(8);
        let mut taken = seats.take(usize::MAX);
        assert_eq!((taken.len(), seats.busy()), (10, 10));
        seats.resize(2);
        for left in (2..10).rev() {
            taken.pop();
            assert_eq!(seats.take(usize::MAX).len(), 0, "{left} are still at work");
            assert_eq!(seats.busy(), left);
        }
        taken.pop();
        assert_eq!(seats.take(usize::MAX).len(), 1);
        assert_eq!(seats.turns.available_permits(), 2);
    }

    #[test]
    fn room_that_grows_back_is_what_it_was() {
        let seats = Seats::new(8);
        let taken = seats.take(usize::MAX);
        for concurrency in [2, 4, 1, 8] {
            seats.resize(concurrency);
        }
        assert_eq!(seats.take(usize::MAX).len(), 0);
        drop(taken);
        assert_eq!(seats.take(usize::MAX).len(), 10);
        seats.resize(16);
        assert_eq!(seats.take(usize::MAX).len(), 20);
        assert_eq!(seats.turns.available_permits(), 16);
    }
}
