//! Parts of the limits: what each process takes as others come, hang, leave and die, and that all of them are never more than
//! the whole.

use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn pulse(joined: i64, workers: &[(i64, &[i64])]) -> Pulse {
    let workers = workers.iter().map(|(joined, counts)| Peer { joined: *joined, counts: counts.to_vec() }).collect();
    Pulse::Shared { joined, workers }
}

fn share(workers: u32, term: u64) -> Share {
    Share { workers: workers.try_into().expect("not zero"), until: NOW + LIVE_FOR, term, is_counted: true }
}

fn leftover(workers: u32, term: u64) -> Share {
    Share { is_counted: false, ..share(workers, term) }
}

#[test]
fn whoever_is_alone_has_everything_at_once() {
    let mut standing = Standing::new(true);
    assert_eq!(standing.take(&Pulse::Alone, NOW), (Share::WHOLE, Pulsing::Steady));
    let mut standing = Standing::new(true);
    assert_eq!(standing.take(&pulse(4, &[(4, &[])]), NOW), (share(1, 0), Pulsing::Soon));
    assert_eq!(standing.take(&pulse(4, &[(4, &[4])]), NOW), (share(1, 0), Pulsing::Steady));
}

#[test]
fn somebody_new_waits_until_everyone_counts_it() {
    let mut standing = Standing::new(true);
    for others in [[&[1, 2][..], &[1, 2]], [&[1, 2, 3], &[1, 2]]] {
        let seen = pulse(3, &[(1, others[0]), (2, others[1]), (3, &[])]);
        assert_eq!(standing.take(&seen, NOW).1, Pulsing::Soon);
    }
    // One says so, the other is gone. That we are fewer is said before we go by it.
    let seen = pulse(3, &[(1, &[1, 2, 3]), (3, &[1, 2, 3])]);
    assert_eq!(standing.take(&seen, NOW).0.workers.get(), 3);
    assert_eq!(standing.counts(), [1, 3]);
    assert_eq!(standing.take(&pulse(3, &[(1, &[1, 3]), (3, &[1, 3])]), NOW).0.workers.get(), 2);
    // Once counted, it stays counted, whoever comes.
    let (seen, pulsing) = standing.take(&pulse(3, &[(1, &[1, 3]), (3, &[1, 3]), (4, &[])]), NOW);
    assert_eq!((seen.workers.get(), seen.is_counted, pulsing), (3, true, Pulsing::Soon));
}

#[test]
fn somebody_new_has_what_the_living_leave_beside_the_dead() {
    let mut standing = Standing::new(true);
    let dead: &[i64] = &[1, 2, 3];
    // Nobody else has answered yet: each may still have a third.
    assert_eq!(standing.take(&pulse(4, &[(1, dead), (2, dead), (3, dead), (4, &[])]), NOW).0, Share::NONE);
    let all: &[i64] = &[1, 2, 3, 4];
    // Two go by quarters, and the dead one's third lies idle.
    let seen = pulse(4, &[(1, dead), (2, all), (3, all), (4, all)]);
    assert_eq!(standing.take(&seen, NOW), (leftover(6, 1), Pulsing::Soon));
    // It is over: full parts, once they are said, with nothing saved up twice.
    let living: &[i64] = &[2, 3, 4];
    assert_eq!(standing.take(&pulse(4, &[(2, living), (3, living), (4, all)]), NOW).0, share(4, 1));
    assert_eq!(standing.take(&pulse(4, &[(2, living), (3, living), (4, living)]), NOW).0, share(3, 1));
}

#[test]
fn who_died_alone_leaves_nothing_before_its_part_is_over() {
    let mut standing = Standing::new(true);
    assert_eq!(standing.take(&pulse(2, &[(1, &[1]), (2, &[])]), NOW), (Share::NONE, Pulsing::Soon));
    assert_eq!(standing.take(&pulse(2, &[(1, &[1]), (2, &[1, 2])]), NOW), (Share::NONE, Pulsing::Soon));
    assert_eq!(standing.take(&pulse(2, &[(2, &[1, 2])]), NOW).0, share(2, 1));
    assert_eq!(standing.take(&pulse(2, &[(2, &[2])]), NOW).0, share(1, 1));
}

#[test]
fn whoever_was_gone_comes_back_as_somebody_new() {
    let mut standing = Standing::new(true);
    standing.take(&pulse(1, &[(1, &[])]), NOW);
    assert_eq!(standing.take(&pulse(7, &[(2, &[2]), (7, &[1])]), NOW), (Share::NONE, Pulsing::Soon));
    assert_eq!(standing.take(&pulse(7, &[(2, &[2, 7]), (7, &[2, 7])]), NOW).0, share(2, 1));
    assert_eq!(standing.take(&pulse(9, &[(9, &[2, 7])]), NOW).0, share(2, 2), "others may have used it meanwhile");
}

#[test]
fn whoever_does_not_work_waits_for_nobody() {
    let mut standing = Standing::new(false);
    assert_eq!(standing.take(&pulse(3, &[(1, &[1]), (2, &[1, 2])]), NOW).0, share(2, 1));
    assert_eq!(standing.take(&pulse(3, &[]), NOW).0, share(2, 1));
    assert_eq!(standing.take(&pulse(3, &[]), NOW).0, share(1, 1));
}

/// What may befall one of several processes.
#[derive(Debug, Clone, Copy)]
enum Event {
    Come,
    Beat(usize),
    /// Its row is written and read, and the answer takes effect only at its next event.
    Ask(usize),
    Die(usize),
    /// It ends in good order.
    Leave(usize),
    /// The oldest of the dead counts as gone.
    Expire,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        2 => Just(Event::Come),
        9 => (0usize..8).prop_map(Event::Beat),
        3 => (0usize..8).prop_map(Event::Ask),
        2 => (0usize..8).prop_map(Event::Die),
        2 => (0usize..8).prop_map(Event::Leave),
        2 => Just(Event::Expire),
    ]
}

struct Process {
    joined: i64,
    standing: Standing,
    share: Share,
    asked: Option<Pulse>,
    is_dead: bool,
}

/// Processes and the table that they share.
#[derive(Default)]
struct World {
    processes: Vec<Process>,
    rows: Vec<Peer>,
    last: i64,
}

impl World {
    fn apply(&mut self, event: Event) {
        match event {
            Event::Come if self.processes.len() < 9 => self.come(),
            Event::Come => {}
            Event::Beat(at) => {
                if let Some(at) = self.living(at) {
                    self.ask(at);
                    self.hear(at);
                }
            }
            Event::Ask(at) => {
                if let Some(at) = self.living(at) {
                    self.hear(at);
                    self.ask(at);
                }
            }
            Event::Die(at) => {
                if let Some(at) = self.living(at) {
                    // It may have heard what it does not act on any more, so its part is at most what it was.
                    self.hear(at);
                    self.processes[at].is_dead = true;
                }
            }
            Event::Leave(at) => {
                if let Some(at) = self.living(at) {
                    self.remove(at);
                }
            }
            Event::Expire => {
                if let Some(at) = self.processes.iter().position(|it| it.is_dead) {
                    self.remove(at);
                }
            }
        }
    }

    fn come(&mut self) {
        self.last += 1;
        let (joined, standing) = (self.last, Standing::new(true));
        self.processes.push(Process { joined, standing, share: Share::NONE, asked: None, is_dead: false });
        self.ask(self.processes.len() - 1);
    }

    fn remove(&mut self, at: usize) {
        let gone = self.processes.remove(at);
        self.rows.retain(|row| row.joined != gone.joined);
    }

    fn living(&self, at: usize) -> Option<usize> {
        self.processes.get(at).filter(|it| !it.is_dead).map(|_| at)
    }

    fn ask(&mut self, at: usize) {
        let process = &mut self.processes[at];
        let counts = process.standing.counts().to_vec();
        match self.rows.iter_mut().find(|row| row.joined == process.joined) {
            Some(row) => row.counts = counts,
            None => self.rows.push(Peer { joined: process.joined, counts }),
        }
        process.asked = Some(Pulse::Shared { joined: process.joined, workers: self.rows.clone() });
    }

    fn hear(&mut self, at: usize) {
        let process = &mut self.processes[at];
        if let Some(pulse) = process.asked.take() {
            process.share = process.standing.take(&pulse, NOW).0;
        }
    }

    fn sum(&self) -> f64 {
        let holding = self.processes.iter().filter(|it| it.share.holds(NOW));
        holding.map(|it| 1.0 / f64::from(it.share.workers.get())).sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    #[test]
    fn parts_never_make_up_more_than_the_whole(events in prop::collection::vec(event(), 1..100)) {
        let mut world = World::default();
        for (number, event) in events.iter().enumerate() {
            world.apply(*event);
            prop_assert!(world.sum() <= 1.0 + 1e-6, "{} after {:?}", world.sum(), &events[..=number]);
        }
        // And once everyone who lives has heard of everyone, nothing lies idle.
        while world.processes.iter().any(|it| it.is_dead) {
            world.apply(Event::Expire);
        }
        for _ in 0..4 {
            (0..world.processes.len()).for_each(|at| world.apply(Event::Beat(at)));
        }
        prop_assert!(world.processes.is_empty() || (world.sum() - 1.0).abs() < 1e-6, "{}", world.sum());
    }
}
