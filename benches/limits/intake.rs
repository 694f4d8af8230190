//! Intake: the service's alert listener beside two bare handlers, under the same load.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use crate::Scale;
use crate::alerts::{Subject, requests};
use crate::limit::Limit;
use crate::load::{CONNECTIONS, Heard, send_all};
use crate::report::{Line, Rounds, millis};
use crate::rows::{Rows, TABLES};
use crate::service::{CONCURRENCY, NOWHERE, Service};

/// One side's rounds.
#[derive(Default)]
pub(crate) struct Side {
    pub(crate) rates: Vec<f64>,
    p50: Vec<f64>,
    p99: Vec<f64>,
    /// Of the store at the end, in bytes.
    size: u64,
}

impl Side {
    pub(crate) fn add(&mut self, (heard, size): (Heard, u64)) {
        self.size = size;
        self.rates.push(heard.per_second());
        self.p50.push(heard.quantile(0.5).as_secs_f64());
        self.p99.push(heard.quantile(0.99).as_secs_f64());
    }

    pub(crate) fn words(&self) -> String {
        let wait = |waits: &[f64]| millis(Duration::from_secs_f64(Rounds::of(waits.to_vec()).median()));
        let rate = Rounds::of(self.rates.clone()).median();
        format!("{rate:.0}/s, p50 {}, p99 {}", wait(&self.p50), wait(&self.p99))
    }
}

/// Measures and compares.
pub(crate) fn measure(runtime: &tokio::runtime::Runtime, scale: Scale) -> Vec<Line> {
    let rows = runtime.block_on(pattern());
    let (mut ours, mut same, mut one) = (Side::default(), Side::default(), Side::default());
    for round in 0..scale.rounds {
        // Whoever comes first in a round may find the machine in another mood.
        for turn in 0..if scale.alone { 1 } else { 3 } {
            match (if scale.alone { 0 } else { round + turn }) % 3 {
                0 => ours.add(runtime.block_on(service(scale.alerts))),
                1 => same.add(runtime.block_on(limit(rows.clone(), scale.alerts))),
                _ => one.add(runtime.block_on(limit(Rows::One, scale.alerts))),
            }
        }
    }
    assert!(scale.alone || ours.size.abs_diff(same.size) * 20 < ours.size, "both stores are of one size");
    lines(&ours, &same, &one)
}

fn lines(ours: &Side, same: &Side, one: &Side) -> Vec<Line> {
    let what = format!("intake, {CONNECTIONS} connections, 1 KiB");
    let line = |beside: &str, limit: &Side| Line::new(&what, beside, ours.words(), limit.words());
    vec![
        line("same rows, bare handler", same).at_least(0.5, 0.7, Rounds::ratios(&ours.rates, &same.rates)),
        line("one row, bare handler", one).at_least(0.0, 0.4, Rounds::ratios(&ours.rates, &one.rates)),
        Line::new(
            "intake, p99",
            "same rows, bare handler",
            millis(Duration::from_secs_f64(Rounds::of(ours.p99.clone()).median())),
            millis(Duration::from_secs_f64(Rounds::of(same.p99.clone()).median())),
        )
        .at_most(2.0, 2.0, Rounds::ratios(&ours.p99, &same.p99)),
    ]
}

/// The rows that one alert leaves behind.
async fn pattern() -> Rows {
    let service = Service::start(NOWHERE, CONCURRENCY).await;
    service.pause().await;
    send(service.addresses.alerts, people(1)).await;
    let (_folder, store) = service.stop().await;
    Rows::of(&store)
}

async fn service(alerts: usize) -> (Heard, u64) {
    let service = Service::start(NOWHERE, CONCURRENCY).await;
    service.pause().await;
    let heard = send(service.addresses.alerts, people(alerts)).await;
    let (_folder, store) = service.stop().await;
    // Pausing is on record as well.
    let size = demand_rows(&store, &TABLES[..5], alerts);
    (heard, size)
}

async fn limit(rows: Rows, alerts: usize) -> (Heard, u64) {
    let tables = rows.tables();
    let limit = Limit::start(rows).await;
    let heard = send(limit.address, people(alerts)).await;
    let (_folder, store) = limit.stop().await;
    let size = demand_rows(&store, tables, alerts);
    (heard, size)
}

fn people(count: usize) -> impl Iterator<Item = Subject> {
    (0..count).map(Subject::numbered)
}

/// An alert about each of them; every one has to be accepted.
pub(crate) async fn send(to: std::net::SocketAddr, people: impl Iterator<Item = Subject>) -> Heard {
    let requests = requests(people);
    let alerts = requests.len();
    let heard = tokio::task::spawn_blocking(move || send_all(to, requests)).await.expect("sent");
    assert_eq!(heard.accepted, alerts, "every alert is accepted");
    heard
}

/// What was answered is there, or nothing was measured. The size of the file, in bytes.
fn demand_rows(store: &Path, tables: &[&str], alerts: usize) -> u64 {
    let connection = Connection::open_with_flags(store, OpenFlags::SQLITE_OPEN_READ_ONLY).expect("a store");
    for table in tables {
        let sql = format!("SELECT count(*) FROM {table}");
        let rows: usize = connection.query_row(&sql, [], |row| row.get(0)).expect("counted");
        assert_eq!(rows, alerts, "rows of {table}");
    }
    std::fs::metadata(store).expect("a file").len()
}
