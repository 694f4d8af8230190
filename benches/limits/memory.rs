//! What the service keeps in memory, as a process of its own.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use sever::audit::Actor;
use sever::clock::{Clock, SystemClock};
use sever::store::StoreUrl;
use sever::telemetry::Metrics;
use tokio::runtime::Runtime;

use crate::Scale;
use crate::alerts::{Subject, requests};
use crate::load::send_all;
use crate::report::Line;
use crate::service::{CONCURRENCY, folder, store_of, write_config};

/// Signed at once; more would be in the way of what is measured.
const PORTION: usize = 20_000;

/// Measures.
pub(crate) fn measure(runtime: &Runtime, scale: Scale) -> Vec<Line> {
    let folder = folder();
    let config = write_config(folder.path(), "http://127.0.0.1:9", CONCURRENCY);
    runtime.block_on(pause(folder.path()));
    let (process, alerts) = serve(&config);
    std::thread::sleep(Duration::from_secs(1));
    let idle = resident(&process, "VmRSS");
    let mut first = 0;
    while first < scale.queued {
        let last = (first + PORTION).min(scale.queued);
        send_all(alerts, requests((first..last).map(Subject::numbered)));
        first = last;
    }
    let peak = resident(&process, "VmHWM");
    std::thread::sleep(Duration::from_secs(1));
    let queued = resident(&process, "VmRSS");
    end(process);
    let line =
        |what: &str, kib: u64, most: u64| Line::new(what, "-", mebi(kib), "-".to_owned()).within(most, kib / 1024);
    vec![
        line("resident memory, idle", idle, 24),
        line("resident memory, highest under load", peak, 64),
        line(&format!("resident memory, {} jobs queued", scale.queued), queued, 64),
    ]
}

pub(crate) fn mebi(kib: u64) -> String {
    format!("{:.1} MiB", kib as f64 / 1024.0)
}

/// What is paused stays paused over a start.
async fn pause(folder: &Path) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let url = StoreUrl::Sqlite(store_of(folder));
    let store = sever::store::open(&url, clock, Arc::new(Metrics::new())).await.expect("a store");
    store.pause(None, Actor::operator("bench"), "measuring".to_owned()).await.expect("paused");
}

/// A process, and where it takes alerts.
pub(crate) fn serve(config: &Path) -> (Child, SocketAddr) {
    let mut process = Command::new(env!("CARGO_BIN_EXE_sever"))
        .args(["serve", "--config"])
        .arg(config)
        .stderr(Stdio::piped())
        .spawn()
        .expect("the service starts");
    let mut lines = BufReader::new(process.stderr.take().expect("its log")).lines();
    let alerts = lines.by_ref().map_while(Result::ok).find_map(|line| address(&line)).expect("it listens");
    // Somebody has to read on, or the service would wait for its log.
    std::thread::spawn(move || lines.map_while(Result::ok).for_each(drop));
    (process, alerts)
}

fn address(line: &str) -> Option<SocketAddr> {
    let line: serde_json::Value = serde_json::from_str(line).ok()?;
    line["alerts"].as_str()?.parse().ok()
}

/// Without a chance to say goodbye.
pub(crate) fn end(mut process: Child) {
    let _ = process.kill();
    let _ = process.wait();
}

/// In KiB.
pub(crate) fn resident(process: &Child, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id())).expect("its status");
    let line = status.lines().find(|line| line.starts_with(field)).expect("its size");
    line.split_whitespace().nth(1).and_then(|number| number.parse().ok()).expect("a number")
}
