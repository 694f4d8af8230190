//! Growth: what a million queued jobs cost, beside a thousand, in the same run and by turns.

use std::time::Duration;

use sever::domain::JobState;
use sever::store::JobFilter;
use tokio::runtime::Runtime;

use crate::Scale;
use crate::alerts::Subject;
use crate::cpu::Cpu;
use crate::home::{Home, Kind};
use crate::intake::send;
use crate::report::{Line, Rounds, millis};
use crate::service::Service;
use crate::watch::Watch;
use crate::work::settle;

/// Jobs of the smaller store.
const FEW: usize = 1_000;

/// Settled at a time, and then as many alerts sent, so that the backlog stays what it is.
const PORTION: usize = FEW / 2;

/// Portions of a round.
const PORTIONS: usize = 6;

/// How often each question is asked in a round.
const QUESTIONS: usize = 20;

/// Jobs on a page, as the operator API has them by default.
const PAGE: u32 = 100;

/// Measures and compares.
pub(crate) fn measure(runtime: &Runtime, scale: Scale) -> Vec<Line> {
    Kind::all().iter().flat_map(|kind| runtime.block_on(at(kind, scale))).collect()
}

async fn at(kind: &Kind, scale: Scale) -> Vec<Line> {
    let (mut many, mut few) = (Side::new(kind, scale.growth).await, Side::new(kind, FEW).await);
    for round in 0..scale.rounds {
        for turn in 0..2 {
            if (round + turn) % 2 == 0 { many.round().await } else { few.round().await }
        }
    }
    let lines = lines(kind, scale.growth, &many, &few);
    many.end().await;
    few.end().await;
    lines
}

fn lines(kind: &Kind, jobs: usize, many: &Side, few: &Side) -> Vec<Line> {
    let (beside, name) = (format!("{FEW} queued"), kind.name());
    let rate = |times: &[f64]| format!("{:.0}/s", (PORTION * PORTIONS) as f64 / Rounds::of(times.to_vec()).median());
    let cost = |work: &Work| {
        let [rest, log] = [0, 1].map(|part| Rounds::of(work.cpu.iter().map(|cost| cost[part]).collect()).median());
        format!("{}, CPU {rest:.0} + {log:.0} us", rate(&work.times))
    };
    let line = |what: &str, ours: String, theirs: String, many: &[f64], few: &[f64]| {
        let what = format!("growth, {name}, {jobs} queued: {what}");
        Line::new(&what, &beside, ours, theirs).at_most(1.2, 1.2, Rounds::ratios(many, few))
    };
    let work = |what: &str, many: &Work, few: &Work| line(what, cost(many), cost(few), &many.times, &few.times);
    let mut lines =
        vec![work("claim + settle", &many.settling, &few.settling), work("intake", &many.intake, &few.intake)];
    for (place, (what, _)) in questions().iter().enumerate() {
        let wait = |waits: &[f64]| millis(Duration::from_secs_f64(Rounds::of(waits.to_vec()).median()));
        let (many, few) = (&many.asking[place], &few.asking[place]);
        lines.push(line(what, wait(many), wait(few), many, few));
    }
    lines
}

/// What operators ask. `None`: how things stand.
fn questions() -> Vec<(&'static str, Option<JobFilter>)> {
    let page = JobFilter { limit: PAGE, ..JobFilter::default() };
    let state = |state| Some(JobFilter { state: Some(state), ..page.clone() });
    vec![
        ("status", None),
        ("first page of jobs", Some(page.clone())),
        ("first page, queued", state(JobState::Queued)),
        ("first page, held, of which there are none", state(JobState::Held)),
        ("first page, dead, of which there are none", state(JobState::Dead)),
        ("first page, done", state(JobState::Done)),
    ]
}

/// The thread that moves the log into the store's file.
const LOG: &str = "store-log";

/// What was used in between, for each job or alert of a round.
fn add(sum: &mut [f64; 2], after: &Cpu, before: &Cpu) {
    let each = |time: Duration| time.as_secs_f64() * 1e6 / (PORTION * PORTIONS) as f64;
    let (all, log) = (each(after.all_since(before)), each(after.since(before, LOG)));
    sum[0] += all - log;
    sum[1] += log;
}

/// The rounds of one kind of work.
#[derive(Default)]
struct Work {
    /// Seconds.
    times: Vec<f64>,
    /// Microseconds on a processor for each, of all threads but the one that moves the log, and of that one.
    cpu: Vec<[f64; 2]>,
}

impl Work {
    fn add(&mut self, time: f64, cpu: [f64; 2]) {
        self.times.push(time);
        self.cpu.push(cpu);
    }
}

/// One of the two stores, and what each round took.
struct Side {
    home: Home,
    service: Service,
    next: usize,
    settling: Work,
    intake: Work,
    asking: Vec<Vec<f64>>,
}

impl Side {
    async fn new(kind: &Kind, jobs: usize) -> Self {
        let home = Home::with_jobs(kind, jobs - 1).await;
        let service = Service::taking_in(&home.url()).await;
        let asking = questions().iter().map(|_| Vec::new()).collect();
        let [settling, intake] = <[Work; 2]>::default();
        let mut side = Self { home, service, next: 1, settling, intake, asking };
        // Whatever is done once is done before.
        side.round().await;
        (side.settling, side.intake) = Default::default();
        side.asking.iter_mut().for_each(Vec::clear);
        side
    }

    async fn round(&mut self) {
        let stores = [self.service.app.store.clone()];
        let (mut settling, mut intake) = (0.0, 0.0);
        let (mut settling_cpu, mut intake_cpu) = ([0.0; 2], [0.0; 2]);
        for _ in 0..PORTIONS {
            let before = Cpu::used();
            settling += settle(&stores, PORTION).await.as_secs_f64();
            let between = Cpu::used();
            let people = (self.next..self.next + PORTION).map(Subject::numbered);
            self.next += PORTION;
            intake += send(self.service.addresses.alerts, people).await.took.as_secs_f64();
            add(&mut settling_cpu, &between, &before);
            add(&mut intake_cpu, &Cpu::used(), &between);
        }
        self.settling.add(settling, settling_cpu);
        self.intake.add(intake, intake_cpu);
        for (place, (_, filter)) in questions().into_iter().enumerate() {
            let waits = self.ask(filter).await;
            self.asking[place].push(waits);
        }
    }

    /// The median of several answers.
    async fn ask(&self, filter: Option<JobFilter>) -> f64 {
        let store = &self.service.app.store;
        let mut waits = Vec::new();
        for _ in 0..QUESTIONS {
            let started = Watch::start();
            match filter.clone() {
                Some(filter) => drop(store.jobs(filter).await.expect("a page")),
                None => drop(store.status().await.expect("how things stand")),
            }
            waits.push(started.elapsed().as_secs_f64());
        }
        Rounds::of(waits).median()
    }

    async fn end(self) {
        self.service.stop().await;
        self.home.end().await;
    }
}
