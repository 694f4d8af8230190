//! PostgreSQL, with one replica and with four: jobs claimed and settled, beside the same done bare; and what the connections
//! of the replicas spend their time with. All replicas and the server share the machine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Notify;

use crate::Scale;
use crate::cpu::{Cpu, Processes, Shares};
use crate::home::{Home, Kind};
use crate::pg_bare::{self, Writes};
use crate::pg_rows::connect;
use crate::report::{Line, Rounds};
use crate::service::CONCURRENCY;
use crate::work::settle;

/// Replicas, or connections of a bare loop.
const COUNTS: [usize; 2] = [1, 4];

/// How often it is looked what connections do.
const LOOK: Duration = Duration::from_millis(10);

#[derive(Debug, Clone, Copy)]
enum Side {
    Ours,
    Bare(Writes),
}

const SIDES: [Side; 3] = [Side::Ours, Side::Bare(Writes::Little), Side::Bare(Writes::Same)];

/// What a round took.
struct Cost {
    time: Duration,
    ours: Duration,
    server: Duration,
}

/// The rounds of one side.
#[derive(Default)]
struct Rates {
    rates: Vec<f64>,
    shares: Shares,
}

impl Rates {
    fn add(&mut self, jobs: usize, cost: &Cost) {
        self.rates.push(jobs as f64 / cost.time.as_secs_f64());
        self.shares.add(jobs, cost.ours, cost.server);
    }

    fn words(&self) -> String {
        format!("{:.0} jobs/s, {}", Rounds::of(self.rates.clone()).median(), self.shares.words())
    }
}

/// Measures and compares.
pub(crate) fn measure(runtime: &Runtime, kind: &Kind, scale: Scale) -> Vec<Line> {
    let turns: Vec<(Side, usize)> = SIDES.into_iter().flat_map(|side| COUNTS.map(|count| (side, count))).collect();
    let mut rates: [Rates; 6] = Default::default();
    for round in 0..scale.rounds {
        for turn in 0..if scale.alone { 1 } else { turns.len() } {
            let place = if scale.alone { 0 } else { (round + turn) % turns.len() };
            let (side, count) = turns[place];
            rates[place].add(scale.jobs, &runtime.block_on(drained(kind, side, count, scale.jobs)));
        }
    }
    let mut lines = lines(&rates);
    if !scale.alone {
        lines.extend(COUNTS.map(|count| runtime.block_on(spent(kind, count, scale.jobs))));
    }
    lines
}

fn lines([one, four, little_one, little_four, same_one, same_four]: &[Rates; 6]) -> Vec<Line> {
    let line = |what: &str, beside: &str, ours: &Rates, theirs: &Rates| {
        let what = format!("PostgreSQL, {what}: claim + settle, {CONCURRENCY} calls at once each");
        (Line::new(&what, beside, ours.words(), theirs.words()), Rounds::ratios(&ours.rates, &theirs.rates))
    };
    let least = |(line, ratios): (Line, Rounds), least: f64| line.at_least(least, least, ratios);
    let told = |(line, ratios): (Line, Rounds)| line.told(ratios);
    vec![
        least(line("1 replica", "bare SKIP LOCKED claim and update, 1 connection", one, little_one), 0.5),
        least(line("4 replicas", "bare SKIP LOCKED claim and update, 4 connections", four, little_four), 0.5),
        least(line("4 replicas", "1 replica", four, one), 1.0),
        told(line("1 replica", "bare loop that writes the same rows, 1 connection", one, same_one)),
        told(line("4 replicas", "bare loop that writes the same rows, 4 connections", four, same_four)),
    ]
}

async fn drained(kind: &Kind, side: Side, count: usize, jobs: usize) -> Cost {
    let home = Home::with_jobs(kind, jobs - 1).await;
    let cost = match side {
        Side::Ours => {
            let stores = open(&home, count).await;
            costing(async { (settle(&stores, jobs).await, stores) }).await
        }
        Side::Bare(writes) => costing(pg_bare::drain(&home, count, writes)).await,
    };
    demand_done(&home, jobs).await;
    home.end().await;
    cost
}

async fn open(home: &Home, count: usize) -> Vec<Arc<dyn sever::store::Store>> {
    let mut stores = Vec::new();
    for _ in 0..count {
        stores.push(home.open().await);
    }
    stores
}

/// Whoever has connections keeps them until the end: what a process used is not known once it is gone.
async fn costing<T>(work: impl Future<Output = (Duration, T)>) -> Cost {
    let (before, server) = (Cpu::used(), Processes::used("postgres"));
    let (time, _connections) = work.await;
    Cost { time, ours: Cpu::used().all_since(&before), server: Processes::used("postgres").since(&server) }
}

async fn demand_done(home: &Home, jobs: usize) {
    let db = connect(&home.url()).await;
    let done = db.query_one("SELECT count(*) FROM jobs WHERE state = 4 AND attempts = 1", &[]).await.expect("counted");
    assert_eq!(done.get::<_, i64>(0), jobs as i64, "every job is done, once");
}

/// What the connections of replicas were seen at, in a round of its own: looking costs time.
async fn spent(kind: &Kind, count: usize, jobs: usize) -> Line {
    let home = Home::with_jobs(kind, jobs - 1).await;
    let (stores, db, ended) = (open(&home, count).await, connect(&home.url()).await, Notify::new());
    let work = async {
        settle(&stores, jobs).await;
        ended.notify_one();
    };
    let look = async {
        let mut seen: BTreeMap<String, i64> = BTreeMap::new();
        loop {
            for row in db.query(SPENT, &[]).await.expect("what they do") {
                *seen.entry(row.get(0)).or_default() += row.get::<_, i64>(1);
            }
            tokio::select! {
                () = ended.notified() => return seen,
                () = tokio::time::sleep(LOOK) => {}
            }
        }
    };
    let ((), seen) = tokio::join!(work, look);
    drop(stores);
    home.end().await;
    let all: i64 = seen.values().sum();
    let mut parts: Vec<(i64, String)> = seen.into_iter().map(|(what, times)| (times, what)).collect();
    parts.sort_by(|one, other| other.cmp(one));
    let share = |times: i64| 100.0 * times as f64 / all as f64;
    let words: Vec<String> = parts
        .iter()
        .filter(|(times, _)| share(*times) >= 2.0)
        .map(|(times, what)| format!("{what} {:.0} %", share(*times)))
        .collect();
    let what = format!("PostgreSQL, {count} replicas: what its connections are at within a transaction");
    Line::new(&what.replace("1 replicas", "1 replica"), "-", words.join(", "), "-".to_owned())
}

/// Between transactions a connection waits for us, and nobody waits for it.
const SPENT: &str = "SELECT coalesce(wait_event_type || ' ' || wait_event, 'processor'), count(*) FROM pg_stat_activity
     WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
     AND state <> 'idle' GROUP BY 1";
