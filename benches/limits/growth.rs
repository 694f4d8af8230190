//! Growth: what a million queued jobs cost, beside a thousand, in the same run and by turns.

use std::time::Duration;

use sever::domain::JobState;
use sever::store::JobFilter;
use tokio::runtime::Runtime;

use crate::Scale;
use crate::alerts::Subject;
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
    let line = |what: &str, words: &dyn Fn(&[f64]) -> String, many: &[f64], few: &[f64]| {
        let what = format!("growth, {name}, {jobs} queued: {what}");
        Line::new(&what, &beside, words(many), words(few)).at_most(1.2, 1.2, Rounds::ratios(many, few))
    };
    let mut lines = vec![
        line("claim + settle", &rate, &many.settling, &few.settling),
        line("intake", &rate, &many.intake, &few.intake),
    ];
    for (place, (what, _)) in questions().iter().enumerate() {
        let wait = |waits: &[f64]| millis(Duration::from_secs_f64(Rounds::of(waits.to_vec()).median()));
        lines.push(line(what, &wait, &many.asking[place], &few.asking[place]));
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

/// One of the two stores, and what each round took.
struct Side {
    home: Home,
    service: Service,
    next: usize,
    settling: Vec<f64>,
    intake: Vec<f64>,
    asking: Vec<Vec<f64>>,
}

impl Side {
    async fn new(kind: &Kind, jobs: usize) -> Self {
        let home = Home::with_jobs(kind, jobs - 1).await;
        let service = Service::taking_in(&home.url()).await;
        let asking = questions().iter().map(|_| Vec::new()).collect();
        let mut side = Self { home, service, next: 1, settling: Vec::new(), intake: Vec::new(), asking };
        // Whatever is done once is done before.
        side.round().await;
        side.settling.clear();
        side.intake.clear();
        side.asking.iter_mut().for_each(Vec::clear);
        side
    }

    async fn round(&mut self) {
        let stores = [self.service.app.store.clone()];
        let (mut settling, mut intake) = (0.0, 0.0);
        for _ in 0..PORTIONS {
            settling += settle(&stores, PORTION).await.as_secs_f64();
            let people = (self.next..self.next + PORTION).map(Subject::numbered);
            self.next += PORTION;
            intake += send(self.service.addresses.alerts, people).await.took.as_secs_f64();
        }
        self.settling.push(settling);
        self.intake.push(intake);
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
