//! Whether anything grows: `sever serve` at half of what it carries, with records that are kept for a minute, looked at
//! each minute.
//!
//! The first third is left out, in which the store fills up to what retention leaves; of the rest, the second half is compared
//! with the first.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::alerts::{Subject, requests};
use crate::load::{quantile, send_all};
use crate::open_loop::send_at;
use crate::process::{Memory, Process, mebi};
use crate::report::{Rounds, millis};
use crate::service::{CONCURRENCY, folder, store_of, write_config};
use crate::sink::Sink;
use crate::watch::Watch;

/// Alerts are signed at most so long before they are sent.
const SLICE: Duration = Duration::from_secs(5);

/// As many samples are taken at least, in a short run more often than each minute.
const SAMPLES: u32 = 12;

/// What is carried is found out with so many alerts.
const FLOOD: usize = 20_000;

/// Signed at once.
const PORTION: usize = 2_000;

/// Whoever makes no call for so long will not make one.
const QUIET: Duration = Duration::from_secs(30);

/// Old rows go at the latest a minute after that, with the next seal.
const RETENTION: &str = "retention: {jobs: 1m, ignored: 1m, quarantine: 1m, audit: 1m}\n";

/// Until then the store fills up.
const FILLED: Duration = Duration::from_secs(150);

/// Removing old records may make alerts wait, but not for long: seconds count in an incident.
const HIGHEST: f64 = 1.0;

/// One minute, or less in a short run.
struct Sample {
    at: Duration,
    resident: u64,
    file: u64,
    log: u64,
    p50: Duration,
    p99: Duration,
}

/// Runs for so many minutes; the table, and what grew.
pub(crate) fn run(minutes: u32) -> (String, bool) {
    let (sink, folder) = (Sink::start(), folder());
    let (process, alerts) = Process::serve(&config(folder.path(), &sink));
    let mut people = 0..;
    let mut next = |count: usize| people.by_ref().take(count).map(Subject::numbered).collect::<Vec<_>>();
    let rate = carried(alerts, &sink, next(FLOOD)) / 2.0;
    let length = Duration::from_secs(60) * minutes;
    let each = Duration::from_secs(60).min(length / SAMPLES).max(SLICE);
    let (started, mut samples) = (Watch::start(), Vec::new());
    while started.elapsed() < length {
        let (minute, mut waits) = (Watch::start(), Vec::new());
        while minute.elapsed() < each {
            sink.forget();
            waits.extend(slice(alerts, &sink, rate, next((rate * SLICE.as_secs_f64()) as usize)));
        }
        waits.sort_unstable();
        samples.push(sample(started, &process, folder.path(), &waits));
    }
    let figures = judge(&samples, FILLED.max(length / 3));
    (table(rate, &samples, &figures), figures.iter().all(Figure::is_flat))
}

fn config(folder: &Path, sink: &Sink) -> std::path::PathBuf {
    let file = write_config(folder, &sink.url(), CONCURRENCY);
    let text = std::fs::read_to_string(&file).expect("the config");
    let text = text
        .replace("scheme: standard-webhooks,", "scheme: standard-webhooks, tolerance: 30s,")
        .replace("users: 1000000, per: 10m", "users: 1000000, per: 1m");
    // Without a key the record is not sealed, and nothing of it is ever removed.
    let keys = folder.join("keys");
    let made = std::process::Command::new(env!("CARGO_BIN_EXE_sever")).arg("init").arg(&keys).output();
    assert!(made.is_ok_and(|made| made.status.success()), "sever init makes a key");
    let audit = format!("audit: {{signing_key: {{file: {}/secrets/audit-key}}}}\n", keys.display());
    std::fs::write(&file, format!("{text}{RETENTION}{audit}")).expect("the config is written");
    file
}

/// Alerts a second from end to end.
fn carried(to: std::net::SocketAddr, sink: &Sink, people: Vec<Subject>) -> f64 {
    let started = Watch::start();
    // Signed shortly before: a busy machine takes its time for all of them.
    for portion in people.chunks(PORTION) {
        send_all(to, requests(portion.iter().cloned()));
    }
    assert_eq!(sink.wait_for(&people, QUIET), people.len(), "every alert arrives");
    people.len() as f64 / started.elapsed().as_secs_f64()
}

/// Waits until the provider is called. None is lost.
fn slice(to: std::net::SocketAddr, sink: &Sink, rate: f64, people: Vec<Subject>) -> Vec<Duration> {
    let offered = send_at(to, rate, requests(people.iter().cloned()));
    assert_eq!(offered.acknowledged.len(), people.len(), "every alert is taken");
    assert_eq!(sink.wait_for(&people, QUIET), people.len(), "every alert arrives");
    people.iter().enumerate().filter_map(|(n, person)| Some(offered.due(n).until(sink.calls(person)?.0))).collect()
}

fn sample(started: Watch, process: &Process, folder: &Path, waits: &[Duration]) -> Sample {
    let store = store_of(folder);
    let size =
        |suffix: &str| std::fs::metadata(format!("{}{suffix}", store.display())).map_or(0, |file| file.len() / 1024);
    Sample {
        at: started.elapsed(),
        resident: Memory::of(&process.family()).resident,
        file: size(""),
        log: size("-wal"),
        p50: quantile(waits, 0.5),
        p99: quantile(waits, 0.99),
    }
}

/// How something went on.
struct Figure {
    what: &'static str,
    /// Median of the second half over that of the first, or the figure itself.
    ratio: f64,
    most: f64,
}

impl Figure {
    fn is_flat(&self) -> bool {
        self.ratio <= self.most
    }
}

/// Memory and files have nothing that should make them grow. Waits follow whatever else the machine does.
fn judge(samples: &[Sample], filled: Duration) -> Vec<Figure> {
    let flat: Vec<&Sample> = samples.iter().filter(|sample| sample.at > filled).collect();
    assert!(flat.len() >= 2, "give it more --minutes: after {filled:?} nothing is left to compare");
    let (first, second) = flat.split_at(flat.len() / 2);
    let figure = |what, most, of: &dyn Fn(&Sample) -> f64| {
        let median = |samples: &[&Sample]| Rounds::of(samples.iter().map(|it| of(it)).collect()).median();
        Figure { what, ratio: median(second) / median(first), most }
    };
    let highest = flat.iter().map(|it| it.p99.as_secs_f64()).fold(0.0, f64::max);
    vec![
        figure("resident memory", 1.1, &|it| it.resident as f64),
        figure("store", 1.1, &|it| it.file as f64),
        figure("its log (WAL)", 1.5, &|it| it.log as f64),
        figure("p50", 1.5, &|it| it.p50.as_secs_f64()),
        figure("p99", 2.0, &|it| it.p99.as_secs_f64()),
        Figure { what: "highest p99 of a minute, in seconds", ratio: highest, most: HIGHEST },
    ]
}

fn table(rate: f64, samples: &[Sample], figures: &[Figure]) -> String {
    let mut table = format!("At {rate:.0} alerts/s, half of what it carried.\n\n");
    table.push_str("| after | memory | store | log | p50 | p99 |\n|---|---|---|---|---|---|\n");
    for Sample { at, resident, file, log, p50, p99 } in samples {
        let sizes = [*resident, *file, *log].map(mebi).join(" | ");
        let (p50, p99) = (millis(*p50), millis(*p99));
        writeln!(table, "| {:.1} min | {sizes} | {p50} | {p99} |", at.as_secs_f64() / 60.0).expect("written");
    }
    table.push_str("\n| what | once filled: second half / first half | target |\n|---|---|---|\n");
    for figure in figures {
        let word = if figure.is_flat() { "PASS" } else { "miss" };
        let Figure { what, ratio, most } = figure;
        writeln!(table, "| {what} | {ratio:.2} | {word} <= {most} |").expect("written");
    }
    table
}
