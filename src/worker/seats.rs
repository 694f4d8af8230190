//! Room for attempts at one provider, which grows and shrinks with the number of processes that share it.

use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long no job is claimed after one had to be put back without a call.
const REST: Duration = Duration::from_millis(20);

/// Room for attempts at one provider.
pub(super) struct Seats {
    turns: Arc<Semaphore>,
    jobs: Arc<Semaphore>,
    started: Arc<Started>,
    room: Mutex<Room>,
    /// Until when nothing is claimed, in microseconds of the steady clock.
    rest_until: AtomicI64,
}

/// A job's place. Its turn goes back once the provider has done what it was asked, so that the next job is claimed in
/// the commit that writes this one down, and not only in the one after.
pub(super) struct Seat {
    pub(super) turn: Turn,
    pub(super) job: OwnedSemaphorePermit,
}

/// Jobs that may still call.
#[derive(Default)]
struct Started {
    all: AtomicUsize,
    /// Those of them that wait for the store.
    away: AtomicUsize,
    /// How often one has given up its turn so far.
    gone: AtomicUsize,
}

/// A job's turn to call the provider, or its place among those that wait for theirs.
pub(super) struct Turn {
    turns: Arc<Semaphore>,
    started: Arc<Started>,
    held: Option<OwnedSemaphorePermit>,
    is_away: bool,
}

impl Turn {
    fn new(turns: Arc<Semaphore>, started: Arc<Started>) -> Self {
        started.all.fetch_add(1, Ordering::SeqCst);
        Self { turns, started, held: None, is_away: false }
    }

    /// Waits for it.
    pub(super) async fn take(&mut self) {
        self.come_back();
        // Nobody closes them.
        self.held = Arc::clone(&self.turns).acquire_owned().await.ok();
    }

    /// The job waits for the store: another may call meanwhile, and one more may be claimed.
    pub(super) fn lend(&mut self) {
        self.held = None;
        self.started.away.fetch_add(1, Ordering::SeqCst);
        self.started.gone.fetch_add(1, Ordering::SeqCst);
        self.is_away = true;
    }

    fn come_back(&mut self) {
        if std::mem::take(&mut self.is_away) {
            self.started.away.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if !self.is_away {
            self.started.gone.fetch_add(1, Ordering::SeqCst);
        }
        self.come_back();
        self.started.all.fetch_sub(1, Ordering::SeqCst);
    }
}

/// How many permits of each kind there should be, and how many more are still about: those that are in use when the room
/// shrinks go once they come back, and until then nobody else is let in.
struct Room {
    turns: usize,
    /// Turns that were given up while a claim was on its way, of late at most.
    given_up: usize,
    surplus: [usize; 2],
}

impl Room {
    /// Only so many have their turn at once. More are claimed, so that one is there when another's turn ends: as many as
    /// give up theirs while a claim is on its way. Half of those go to jobs that come back from the store, so they wait
    /// about as long as two claims take, and so does whoever comes later and is more urgent. Where there is one turn, none
    /// is claimed ahead, for it may take long.
    fn starts(&self) -> usize {
        match self.turns {
            1 => 1,
            turns => turns + ahead(turns).max(self.given_up.min(turns)),
        }
    }
}

/// So many are claimed ahead in any case: a quarter.
fn ahead(turns: usize) -> usize {
    if turns > 1 { turns.div_ceil(4) } else { 0 }
}

/// For each job that may call, so many wait at most for the store besides, before their call or after it. Where the store
/// takes three times as long as the provider, the provider is still called as often as it may be.
const AT_THE_STORE: usize = 3;

/// Turns, and jobs. A store that fails stops the calls.
fn permits(turns: usize) -> [usize; 2] {
    [turns, (1 + AT_THE_STORE) * (turns + ahead(turns))]
}

impl Seats {
    pub(super) fn new(concurrency: u32) -> Self {
        let turns = concurrency as usize;
        let [turn, job] = permits(turns).map(|count| Arc::new(Semaphore::new(count)));
        let room = Mutex::new(Room { turns, given_up: 0, surplus: [0; 2] });
        Self { turns: turn, jobs: job, started: Arc::default(), room, rest_until: AtomicI64::new(0) }
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
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        self.shrink(&mut room);
        let (all, away) = (self.busy(), self.started.away.load(Ordering::SeqCst));
        let free = room.starts().saturating_sub(all.saturating_sub(away));
        let seat = || {
            let job = Arc::clone(&self.jobs).try_acquire_owned().ok()?;
            Some(Seat { turn: Turn::new(Arc::clone(&self.turns), Arc::clone(&self.started)), job })
        };
        std::iter::from_fn(seat).take(most.min(free)).collect()
    }

    /// How often a turn was given up so far.
    pub(super) fn given_up(&self) -> usize {
        self.started.gone.load(Ordering::SeqCst)
    }

    /// A claim has come back. `before`: [`Self::given_up`] when it was sent.
    pub(super) fn claimed(&self, before: usize) {
        let meanwhile = self.given_up().wrapping_sub(before);
        let mut room = self.room.lock().unwrap_or_else(PoisonError::into_inner);
        room.given_up = meanwhile.max(room.given_up - room.given_up.div_ceil(8));
    }

    /// Jobs that may still call.
    pub(super) fn busy(&self) -> usize {
        self.started.all.load(Ordering::SeqCst)
    }

    /// Takes away what came back since.
    fn shrink(&self, room: &mut Room) {
        for (semaphore, surplus) in self.kinds().into_iter().zip(&mut room.surplus) {
            *surplus -= semaphore.forget_permits(*surplus);
        }
    }

    fn kinds(&self) -> [&Semaphore; 2] {
        [&self.turns, &self.jobs]
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
        for left in (3..10).rev() {
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

    #[test]
    fn jobs_that_are_written_down_leave_their_turns_to_others_until_too_many_wait() {
        let (seats, mut at_the_store) = (Seats::new(8), Vec::new());
        for round in 0..=AT_THE_STORE {
            let taken = seats.take(usize::MAX);
            assert_eq!(taken.len(), 10, "round {round}");
            at_the_store.extend(taken.into_iter().map(|seat| seat.job));
        }
        assert_eq!(seats.take(usize::MAX).len(), 0, "the store takes no more");
        at_the_store.truncate(37);
        assert_eq!(seats.take(usize::MAX).len(), 3);
    }

    /// Takes what it may, while so many that are at work give up their turns.
    fn claim(seats: &Seats, at_work: &mut Vec<Seat>, give_up: usize) -> usize {
        let taken = seats.take(usize::MAX);
        let (before, count) = (seats.given_up(), taken.len());
        at_work.truncate(at_work.len() - give_up);
        seats.claimed(before);
        at_work.extend(taken);
        count
    }

    #[test]
    fn as_many_are_claimed_ahead_as_give_up_their_turns_during_a_claim() {
        let (seats, mut at_work) = (Seats::new(8), Vec::new());
        assert_eq!(claim(&seats, &mut at_work, 0), 10);
        assert_eq!((claim(&seats, &mut at_work, 5), at_work.len()), (0, 5));
        assert_eq!(claim(&seats, &mut at_work, 0), 8, "five ahead of eight");
        assert_eq!((claim(&seats, &mut at_work, 12), at_work.len()), (0, 1));
        assert_eq!((claim(&seats, &mut at_work, 0), at_work.len()), (15, 16), "never more than have turns");
        for _ in 0..20 {
            claim(&seats, &mut at_work, 0);
        }
        at_work.clear();
        assert_eq!(claim(&seats, &mut at_work, 0), 10, "a slow provider's wait for their turns, not for a claim");
    }

    #[test]
    fn where_there_is_one_turn_none_is_claimed_ahead() {
        let (seats, mut at_work) = (Seats::new(1), Vec::new());
        assert_eq!(claim(&seats, &mut at_work, 0), 1);
        assert_eq!((claim(&seats, &mut at_work, 1), claim(&seats, &mut at_work, 0)), (0, 1));
    }

    #[tokio::test]
    async fn a_turn_is_given_up_once() {
        let seats = Seats::new(8);
        let mut taken = seats.take(usize::MAX);
        for _ in 0..2 {
            taken[0].turn.take().await;
            taken[0].turn.lend();
        }
        assert_eq!(seats.given_up(), 2);
        drop(taken.remove(0));
        assert_eq!(seats.given_up(), 2, "it had none when it ended");
        drop(taken.remove(0));
        assert_eq!(seats.given_up(), 3);
    }

    #[tokio::test]
    async fn a_job_that_waits_for_the_store_makes_room_for_another_until_it_is_back() {
        let seats = Seats::new(8);
        let mut taken = seats.take(usize::MAX);
        taken[0].turn.take().await;
        taken[0].turn.lend();
        let other = seats.take(usize::MAX);
        assert_eq!((other.len(), seats.busy(), seats.turns.available_permits()), (1, 11, 8));
        taken[0].turn.take().await;
        assert_eq!((seats.take(usize::MAX).len(), seats.turns.available_permits()), (0, 7));
        // Back again, there is one too many.
        drop(other);
        assert_eq!(seats.take(usize::MAX).len(), 0);
        taken[0].turn.lend();
        taken.clear();
        assert_eq!((seats.take(usize::MAX).len(), seats.turns.available_permits()), (10, 8));
    }
}
