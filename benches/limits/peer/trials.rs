//! What each side has to go through, and what it showed.

use std::net::SocketAddr;
use std::time::Duration;

use super::sides::Side;
use crate::alerts::{Subject, requests};
use crate::load::{Connection, on_this_thread, quantile, send_all};
use crate::open_loop::send_at;
use crate::process::Memory;
use crate::report::Rounds;
use crate::sink::Sink;
use crate::watch::Watch;

/// Whoever makes no call for so long will not make one.
const QUIET: Duration = Duration::from_secs(60);

/// Between two alerts everything comes to rest.
const REST: Duration = Duration::from_millis(50);

/// Of a delivery that came again: far longer than one takes.
const SECOND_CALL: Duration = Duration::from_secs(3);

/// What both can carry.
const REPEATS_PER_SECOND: f64 = 50.0;

/// Everybody is named once, whatever is tried.
#[derive(Default)]
pub(crate) struct People(usize);

impl People {
    pub(crate) fn take(&mut self, count: usize) -> Vec<Subject> {
        let first = self.0;
        self.0 += count;
        (first..self.0).map(Subject::numbered).collect()
    }
}

/// How long it took until the provider was called.
#[derive(Default)]
pub(crate) struct Waits(Vec<Duration>);

impl Waits {
    fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        Self(waits)
    }

    pub(crate) fn quantile(&self, share: f64) -> Duration {
        quantile(&self.0, share)
    }
}

/// What one side showed.
#[derive(Default)]
pub(crate) struct Trials {
    /// Alerts a second that reached the provider, of each round.
    pub(crate) rates: Vec<f64>,
    pub(crate) idle: Waits,
    pub(crate) loaded: Waits,
    /// The most that was seen.
    pub(crate) memory: Memory,
    /// Of the crash.
    pub(crate) acknowledged: usize,
    pub(crate) lost: usize,
    pub(crate) repeated_by_crash: usize,
    /// Of deliveries that came twice.
    pub(crate) repeated: usize,
}

impl Trials {
    pub(crate) fn rate(&self) -> f64 {
        Rounds::of(self.rates.clone()).median()
    }

    /// One alert after the other, each after a rest. The first ones wait for a start, and are not counted.
    pub(crate) fn rest(&mut self, side: &dyn Side, sink: &Sink, people: Vec<Subject>) {
        let to = side.alerts();
        let warm = people.len() / 10;
        let waits = people.iter().map(|person| one(to, person, sink)).skip(warm).collect();
        self.idle = Waits::of(waits);
    }

    /// All at once over many connections, until the last has reached the provider.
    pub(crate) fn flood(&mut self, side: &dyn Side, sink: &Sink, people: Vec<Subject>) {
        let requests = requests(people.iter().cloned());
        let started = Watch::start();
        send_all(side.alerts(), requests);
        assert_eq!(sink.wait_for(&people, QUIET), people.len(), "every alert arrives");
        let last = people.iter().filter_map(|person| sink.calls(person)).map(|(at, _)| started.until(at)).max();
        self.rates.push(people.len() as f64 / last.expect("a call").as_secs_f64());
        self.memory = self.memory.max(Memory::of(&side.processes()));
    }

    /// So many a second, on time.
    pub(crate) fn load(&mut self, side: &dyn Side, sink: &Sink, people: Vec<Subject>, rate: f64) {
        let offered = send_at(side.alerts(), rate, requests(people.iter().cloned()));
        assert_eq!(sink.wait_for(&people, QUIET), people.len(), "every alert arrives");
        let called = |(number, person)| Some(offered.due(number).until(sink.calls(person)?.0));
        self.loaded = Waits::of(people.iter().enumerate().filter_map(called).collect());
        self.memory = self.memory.max(Memory::of(&side.processes()));
    }

    /// The same deliveries, to the last byte, come once more when the first are done.
    pub(crate) fn repeat(&mut self, side: &dyn Side, sink: &Sink, people: Vec<Subject>) {
        let requests = requests(people.iter().cloned());
        for _ in 0..2 {
            // Whatever is answered: a repeat need not be a 202.
            send_at(side.alerts(), REPEATS_PER_SECOND, requests.clone());
            assert_eq!(sink.wait_for(&people, QUIET), people.len(), "every alert arrives");
            sink.rest(SECOND_CALL);
        }
        self.repeated = repeated(sink, &people);
    }

    /// As many as it carries, until half of them are out and everything is killed; then a start.
    pub(crate) fn crash(&mut self, side: &mut dyn Side, sink: &Sink, people: Vec<Subject>) {
        let (to, rate, requests) = (side.alerts(), self.rate(), requests(people.iter().cloned()));
        let half = Duration::from_secs_f64(people.len() as f64 / rate / 2.0);
        let sending = std::thread::spawn(move || send_at(to, rate, requests));
        std::thread::sleep(half);
        side.crash();
        let offered = sending.join().expect("the sender ended");
        let kept: Vec<Subject> = offered.acknowledged.iter().map(|(number, _)| people[*number].clone()).collect();
        self.acknowledged = kept.len();
        self.lost = kept.len() - sink.wait_for(&kept, QUIET);
        sink.rest(SECOND_CALL);
        self.repeated_by_crash = repeated(sink, &people);
    }
}

/// From sending until the provider is called.
fn one(to: SocketAddr, person: &Subject, sink: &Sink) -> Duration {
    std::thread::sleep(REST);
    let request = requests(std::iter::once(person.clone())).remove(0);
    let sent = on_this_thread(async {
        let mut connection = Connection::open(to).await.expect("a connection");
        let sent = Watch::start();
        assert_eq!(connection.ask(&request).await.expect("an answer"), 202);
        sent
    });
    assert_eq!(sink.wait_for(std::slice::from_ref(person), QUIET), 1, "it arrives");
    sent.until(sink.calls(person).expect("a call").0)
}

/// Calls beyond the first.
fn repeated(sink: &Sink, people: &[Subject]) -> usize {
    people.iter().filter_map(|person| sink.calls(person)).map(|(_, calls)| calls as usize - 1).sum()
}
