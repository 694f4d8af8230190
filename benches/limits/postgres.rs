//! PostgreSQL, with one replica and with four: alerts taken in, and jobs claimed and settled, each beside the same done
//! bare. All replicas, the server and the sender share the machine.

use std::sync::mpsc::Receiver;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use crate::Scale;
use crate::alerts::{Subject, requests};
use crate::home::{Home, Kind, server};
use crate::intake::Side;
use crate::limit::{LARGEST_BATCH, Limit, Queued, Taken};
use crate::load::{CONNECTIONS, Heard, send_among};
use crate::pg_rows::{Patterns, connect};
use crate::report::{Line, Rounds};
use crate::service::{CONCURRENCY, Service};
use crate::watch::Watch;
use crate::work::settle;

/// Replicas on one store.
const REPLICAS: usize = 4;

/// Measures and compares, where a server is named.
pub(crate) fn measure(runtime: &Runtime, scale: Scale) -> Vec<Line> {
    let Some(server) = server() else { return Vec::new() };
    let kind = Kind::Postgres(server);
    let mut lines = intake(runtime, &kind, scale);
    lines.extend(drain(runtime, &kind, scale));
    lines
}

fn intake(runtime: &Runtime, kind: &Kind, scale: Scale) -> Vec<Line> {
    let patterns = runtime.block_on(pattern(kind));
    let (mut one, mut four, mut bare) = (Side::default(), Side::default(), Side::default());
    for round in 0..scale.rounds {
        for turn in 0..if scale.alone { 1 } else { 3 } {
            match (if scale.alone { 0 } else { round + turn }) % 3 {
                0 => one.add((runtime.block_on(replicas(kind, 1, scale.alerts)), 0)),
                1 => four.add((runtime.block_on(replicas(kind, REPLICAS, scale.alerts)), 0)),
                _ => bare.add((runtime.block_on(bare_handler(kind, &patterns, scale.alerts)), 0)),
            }
        }
    }
    let what = |replicas: &str| format!("PostgreSQL, {replicas}: intake, {CONNECTIONS} connections, 1 KiB");
    let beside = "same rows, bare handler";
    vec![
        Line::new(&what("1 replica"), beside, one.words(), bare.words()).at_least(
            0.5,
            0.5,
            Rounds::ratios(&one.rates, &bare.rates),
        ),
        Line::new(&what("4 replicas"), beside, four.words(), bare.words()).at_least(
            0.5,
            0.5,
            Rounds::ratios(&four.rates, &bare.rates),
        ),
        Line::new(&what("4 replicas"), "1 replica", four.words(), one.words()).at_least(
            1.0,
            1.0,
            Rounds::ratios(&four.rates, &one.rates),
        ),
    ]
}

/// The rows that one alert leaves behind.
async fn pattern(kind: &Kind) -> Patterns {
    let home = Home::with_jobs(kind, 0).await;
    let patterns = Patterns::of(&connect(&home.url()).await).await;
    home.end().await;
    patterns
}

async fn replicas(kind: &Kind, count: usize, alerts: usize) -> Heard {
    let home = Home::new(kind).await;
    let mut services = Vec::new();
    for _ in 0..count {
        services.push(Service::taking_in(&home.url()).await);
    }
    let heard = send(services.iter().map(|service| service.addresses.alerts).collect(), alerts).await;
    for service in services {
        service.stop().await;
    }
    demand_rows(&home, alerts).await;
    home.end().await;
    heard
}

async fn bare_handler(kind: &Kind, patterns: &Patterns, alerts: usize) -> Heard {
    let home = Home::new(kind).await;
    drop(home.open().await);
    let (url, patterns) = (home.url(), patterns.clone());
    let limit = Limit::over(move |taken| write(&url, &patterns, taken)).await;
    let heard = send(vec![limit.address], alerts).await;
    limit.stop().await;
    demand_rows(&home, alerts).await;
    home.end().await;
    heard
}

async fn send(to: Vec<std::net::SocketAddr>, alerts: usize) -> Heard {
    let requests = requests((0..alerts).map(Subject::numbered));
    let heard = tokio::task::spawn_blocking(move || send_among(to, requests)).await.expect("sent");
    assert_eq!(heard.accepted, alerts, "every alert is accepted");
    heard
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
fn write(url: &str, patterns: &Patterns, taken: &Receiver<Queued>) {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let db = connect(url).await;
        let mut insert = patterns.prepare(&db).await;
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

fn drain(runtime: &Runtime, kind: &Kind, scale: Scale) -> Vec<Line> {
    let mut rates: [Vec<f64>; 4] = Default::default();
    for round in 0..scale.rounds {
        for turn in 0..if scale.alone { 1 } else { 4 } {
            let side = (if scale.alone { 0 } else { round + turn }) % 4;
            let took = runtime.block_on(match side {
                0 => drained(kind, 1, scale.jobs, false),
                1 => drained(kind, REPLICAS, scale.jobs, false),
                2 => drained(kind, 1, scale.jobs, true),
                _ => drained(kind, REPLICAS, scale.jobs, true),
            });
            rates[side].push(scale.jobs as f64 / took.as_secs_f64());
        }
    }
    let [one, four, bare_one, bare_four] = &rates;
    let line = |what: &str, beside: &str, ours: &Vec<f64>, theirs: &Vec<f64>, least: f64| {
        let rate = |rates: &[f64]| format!("{:.0} jobs/s", Rounds::of(rates.to_vec()).median());
        let what = format!("PostgreSQL, {what}: claim + settle, {CONCURRENCY} at once each");
        Line::new(&what, beside, rate(ours), rate(theirs)).at_least(least, least, Rounds::ratios(ours, theirs))
    };
    vec![
        line("1 replica", "bare SKIP LOCKED claim and update, 1 connection", one, bare_one, 0.5),
        line("4 replicas", "bare SKIP LOCKED claim and update, 4 connections", four, bare_four, 0.5),
        line("4 replicas", "1 replica", four, one, 1.0),
    ]
}

async fn drained(kind: &Kind, replicas: usize, jobs: usize, bare: bool) -> Duration {
    let home = Home::with_jobs(kind, jobs - 1).await;
    let took = if bare {
        bare_workers(&home, replicas).await
    } else {
        let mut stores = Vec::new();
        for _ in 0..replicas {
            stores.push(home.open().await);
        }
        settle(&stores, jobs).await
    };
    let db = connect(&home.url()).await;
    let done = db.query_one("SELECT count(*) FROM jobs WHERE state = 4 AND attempts = 1", &[]).await.expect("counted");
    assert_eq!(done.get::<_, i64>(0), jobs as i64, "every job is done, once");
    home.end().await;
    took
}

/// As many jobs at once as a replica has.
async fn bare_workers(home: &Home, count: usize) -> Duration {
    let mut clients = Vec::new();
    for _ in 0..count {
        clients.push(connect(&home.url()).await);
    }
    let started = Watch::start();
    let mut workers = JoinSet::new();
    for db in clients {
        workers.spawn(async move {
            let claim = db.prepare(CLAIM).await.expect("prepared");
            let done = db.prepare(DONE).await.expect("prepared");
            let limit = CONCURRENCY as i64;
            loop {
                let rows = db.query(&claim, &[&limit]).await.expect("claims");
                if rows.is_empty() {
                    return;
                }
                let rows: Vec<i64> = rows.iter().map(|row| row.get(0)).collect();
                db.execute(&done, &[&rows]).await.expect("settled");
            }
        });
    }
    workers.join_all().await;
    started.elapsed()
}

/// All jobs of the measurement are critical ones, and due.
const CLAIM: &str =
    "WITH due AS (SELECT seq FROM jobs WHERE provider = 'okta' AND lane = 4 AND wake_at <= 4000000000000000
       ORDER BY wake_at LIMIT $1 FOR UPDATE SKIP LOCKED)
     UPDATE jobs SET state = 1, lane = 6, wake_at = wake_at + 60000000, attempts = attempts + 1 FROM due
     WHERE jobs.seq = due.seq RETURNING jobs.seq, jobs.id, jobs.subject, jobs.request";

const DONE: &str =
    "UPDATE jobs SET state = 4, lane = severity, wake_at = NULL, outcome = 'confirmed', account_id = '00u' || seq,
     finished_at = created_at WHERE seq = ANY($1)";
