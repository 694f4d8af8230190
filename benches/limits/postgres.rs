//! PostgreSQL, with one replica and with four: alerts taken in beside the same done bare. All replicas, the server and the
//! sender share the machine.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};

use crate::Scale;
use crate::alerts::{Subject, requests};
use crate::cpu::{Cpu, Processes, Shares};
use crate::home::{Home, Kind, server};
use crate::intake::Side;
use crate::limit::{LARGEST_BATCH, Limit, Queued, Taken};
use crate::load::{CONNECTIONS, Heard, send_among};
use crate::pg_drain;
use crate::pg_rows::{Patterns, connect};
use crate::report::{Line, Rounds};
use crate::service::Service;

/// Replicas on one store.
const REPLICAS: usize = 4;

/// Numbers of rows that one bare handler has to itself.
const APART: i64 = 1_000_000_000;

/// Measures and compares, where a server is named.
pub(crate) fn measure(runtime: &Runtime, scale: Scale) -> Vec<Line> {
    let Some(server) = server() else { return Vec::new() };
    let kind = Kind::Postgres(server);
    let mut lines = intake(runtime, &kind, scale);
    lines.extend(pg_drain::measure(runtime, &kind, scale));
    lines
}

/// What a round came to: what was heard, and what this process and the server used of the processors.
struct Sent {
    heard: Heard,
    ours: Duration,
    server: Duration,
}

/// The rounds of one side.
#[derive(Default)]
struct Carried {
    side: Side,
    shares: Shares,
}

impl Carried {
    fn add(&mut self, Sent { heard, ours, server }: Sent) {
        self.shares.add(heard.accepted, ours, server);
        self.side.add((heard, 0));
    }

    fn words(&self) -> String {
        format!("{}, {}", self.side.words(), self.shares.words())
    }
}

fn intake(runtime: &Runtime, kind: &Kind, scale: Scale) -> Vec<Line> {
    let patterns = runtime.block_on(pattern(kind));
    let [mut one, mut four, mut bare, mut bare_four] = <[Carried; 4]>::default();
    for round in 0..scale.rounds {
        for turn in 0..if scale.alone { 1 } else { 4 } {
            match (if scale.alone { 0 } else { round + turn }) % 4 {
                0 => one.add(runtime.block_on(replicas(kind, 1, scale.alerts))),
                1 => four.add(runtime.block_on(replicas(kind, REPLICAS, scale.alerts))),
                2 => bare.add(runtime.block_on(bare_handlers(kind, &patterns, 1, scale.alerts))),
                _ => bare_four.add(runtime.block_on(bare_handlers(kind, &patterns, REPLICAS, scale.alerts))),
            }
        }
    }
    let what = |replicas: &str| format!("PostgreSQL, {replicas}: intake, {CONNECTIONS} connections, 1 KiB");
    let beside = "same rows, bare handler";
    vec![
        Line::new(&what("1 replica"), beside, one.words(), bare.words()).at_least(
            0.5,
            0.5,
            Rounds::ratios(&one.side.rates, &bare.side.rates),
        ),
        Line::new(&what("4 replicas"), beside, four.words(), bare.words()).at_least(
            0.5,
            0.5,
            Rounds::ratios(&four.side.rates, &bare.side.rates),
        ),
        Line::new(&what("4 replicas"), "1 replica", four.words(), one.words()).at_least(
            1.0,
            1.0,
            Rounds::ratios(&four.side.rates, &one.side.rates),
        ),
        Line::new(&what("4 replicas"), "same rows, four bare handlers", four.words(), bare_four.words())
            .told(Rounds::ratios(&four.side.rates, &bare_four.side.rates)),
        Line::new(&what("four bare handlers"), "one bare handler", bare_four.words(), bare.words())
            .told(Rounds::ratios(&bare_four.side.rates, &bare.side.rates)),
    ]
}

/// The rows that one alert leaves behind.
async fn pattern(kind: &Kind) -> Patterns {
    let home = Home::with_jobs(kind, 0).await;
    let patterns = Patterns::of(&connect(&home.url()).await).await;
    home.end().await;
    patterns
}

async fn replicas(kind: &Kind, count: usize, alerts: usize) -> Sent {
    let home = Home::new(kind).await;
    let mut services = Vec::new();
    for _ in 0..count {
        services.push(Service::taking_in(&home.url()).await);
    }
    let sent = send(services.iter().map(|service| service.addresses.alerts).collect(), alerts).await;
    for service in services {
        service.stop().await;
    }
    demand_rows(&home, alerts).await;
    home.end().await;
    sent
}

/// Each with a thread and a connection of its own, as replicas have them.
async fn bare_handlers(kind: &Kind, patterns: &Patterns, count: usize, alerts: usize) -> Sent {
    let home = Home::new(kind).await;
    drop(home.open().await);
    let mut limits = Vec::new();
    for number in 0..count {
        let (url, patterns, after) = (home.url(), patterns.clone(), number as i64 * APART);
        limits.push(Limit::over(move |taken| write(&url, &patterns, after, taken)).await);
    }
    let sent = send(limits.iter().map(|limit| limit.address).collect(), alerts).await;
    for limit in limits {
        limit.stop().await;
    }
    demand_rows(&home, alerts).await;
    home.end().await;
    sent
}

async fn send(to: Vec<std::net::SocketAddr>, alerts: usize) -> Sent {
    let requests = requests((0..alerts).map(Subject::numbered));
    let (before, server) = (Cpu::used(), Processes::used("postgres"));
    let heard = tokio::task::spawn_blocking(move || send_among(to, requests)).await.expect("sent");
    assert_eq!(heard.accepted, alerts, "every alert is accepted");
    Sent { heard, ours: Cpu::used().all_since(&before), server: Processes::used("postgres").since(&server) }
}

/// What was answered is there, or nothing was measured.
async fn demand_rows(home: &Home, alerts: usize) {
    let db = connect(&home.url()).await;
    for table in ["deliveries", "delivery_guards", "alerts", "alert_jobs", "jobs"] {
        let count: i64 = db.query_one(&format!("SELECT count(*) FROM {table}"), &[]).await.expect("counted").get(0);
        assert_eq!(count, alerts as i64, "rows of {table}");
    }
}

/// A connection of its own, and everything that has queued in one transaction, in one flight.
fn write(url: &str, patterns: &Patterns, after: i64, taken: &Receiver<Queued>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = connect(url).await;
        let mut insert = patterns.prepare(&db).await.after(after);
        while let Ok(first) = taken.recv() {
            let rest = std::iter::from_fn(|| taken.try_recv().ok());
            let (rows, replies): (Vec<Taken>, Vec<_>) = std::iter::once(first).chain(rest).take(LARGEST_BATCH).unzip();
            insert.all(&db, &rows).await;
            for reply in replies {
                let _ = reply.send(());
            }
        }
    });
}
