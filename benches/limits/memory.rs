//! What the service keeps in memory, as a process of its own.

use std::path::Path;
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
use crate::process::{Process, mebi};
use crate::report::Line;
use crate::service::{CONCURRENCY, folder, store_of, write_config};

/// Signed at once; more would be in the way of what is measured.
const PORTION: usize = 20_000;

/// Measures.
pub(crate) fn measure(runtime: &Runtime, scale: Scale) -> Vec<Line> {
    let folder = folder();
    let config = write_config(folder.path(), "http://127.0.0.1:9", CONCURRENCY);
    runtime.block_on(pause(folder.path()));
    let (process, alerts) = Process::serve(&config);
    std::thread::sleep(Duration::from_secs(1));
    let idle = process.resident("VmRSS");
    let mut first = 0;
    while first < scale.queued {
        let last = (first + PORTION).min(scale.queued);
        send_all(alerts, requests((first..last).map(Subject::numbered)));
        first = last;
    }
    let peak = process.resident("VmHWM");
    std::thread::sleep(Duration::from_secs(1));
    let queued = process.resident("VmRSS");
    drop(process);
    let line =
        |what: &str, kib: u64, most: u64| Line::new(what, "-", mebi(kib), "-".to_owned()).within(most, kib / 1024);
    vec![
        line("resident memory, idle", idle, 24),
        line("resident memory, highest under load", peak, 64),
        line(&format!("resident memory, {} jobs queued", scale.queued), queued, 64),
    ]
}

/// What is paused stays paused over a start.
async fn pause(folder: &Path) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let url = StoreUrl::Sqlite(store_of(folder));
    let store = sever::store::open(&url, clock, Arc::new(Metrics::new())).await.expect("a store");
    store.pause(None, Actor::operator("bench"), "measuring".to_owned()).await.expect("paused");
}
