//! A start with a full backlog: how long until the process is ready, and what it keeps in memory then and under load.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use sever::audit::Actor;
use tokio::runtime::Runtime;

use crate::Scale;
use crate::alerts::{Subject, requests};
use crate::home::{Home, Kind};
use crate::load::send_all;
use crate::process::{Process, mebi};
use crate::report::{Line, Rounds, millis};
use crate::service::{CONCURRENCY, NOWHERE, folder, write_config_on};
use crate::watch::Watch;

/// From the start of the process until it says that it is ready.
const READY_WITHIN: Duration = Duration::from_millis(500);

/// What the process may keep in memory, in MiB.
const MOST_MIB: u64 = 64;

/// Alerts that come in after the last start.
const ALERTS: usize = 20_000;

/// Measures.
pub(crate) fn measure(runtime: &Runtime, scale: Scale) -> Vec<Line> {
    Kind::all().iter().flat_map(|kind| at(runtime, kind, scale)).collect()
}

fn at(runtime: &Runtime, kind: &Kind, scale: Scale) -> Vec<Line> {
    let home = runtime.block_on(paused(kind, scale.growth));
    let folder = folder();
    let config = write_config_on(folder.path(), &home.url(), NOWHERE, CONCURRENCY);
    let what = format!("{}, {} jobs queued", kind.name(), scale.growth);
    let mut lines = starts(&config, &what, scale.rounds);
    let (process, alerts, _) = started(&config);
    send_all(alerts, requests((0..ALERTS).map(Subject::numbered)));
    lines.push(memory(&format!("resident memory, highest under load, {what}"), process.resident("VmHWM")));
    drop(process);
    if let Kind::Sqlite = kind {
        let people = scale.growth / 10;
        home.count_people(people);
        lines.extend(starts(&config, &format!("{what}, {people} people in three budgets"), scale.rounds));
    }
    runtime.block_on(home.end());
    lines
}

/// How long until it is ready, and what it keeps in memory then.
fn starts(config: &std::path::Path, what: &str, rounds: usize) -> Vec<Line> {
    let mut waits = Vec::new();
    for _ in 0..rounds {
        let (process, _, wait) = started(config);
        waits.push(wait.as_secs_f64());
        // As after a crash.
        drop(process);
    }
    let (process, ..) = started(config);
    std::thread::sleep(Duration::from_secs(1));
    let ready = process.resident("VmRSS");
    let waits = Rounds::of(waits);
    let (median, most) = (Duration::from_secs_f64(waits.median()), Duration::from_secs_f64(waits.most()));
    let words = format!("{}, at most {}", millis(median), millis(most));
    vec![
        Line::new(&format!("start to ready, {what}"), "-", words, "-".to_owned()).below(READY_WITHIN, most),
        memory(&format!("resident memory, ready, {what}"), ready),
    ]
}

fn memory(what: &str, kib: u64) -> Line {
    Line::new(what, "-", mebi(kib), "-".to_owned()).within(MOST_MIB, kib / 1024)
}

/// What is paused stays paused over a start.
async fn paused(kind: &Kind, jobs: usize) -> Home {
    let home = Home::with_jobs(kind, jobs - 1).await;
    let store = home.open().await;
    store.pause(None, Actor::operator("bench"), "measuring".to_owned()).await.expect("paused");
    home
}

/// A process that is ready, where it takes alerts, and how long it took.
fn started(config: &std::path::Path) -> (Process, SocketAddr, Duration) {
    let watch = Watch::start();
    let (process, alerts) = Process::serve(config);
    while !is_ready(alerts) {
        std::thread::sleep(Duration::from_millis(1));
    }
    (process, alerts, watch.elapsed())
}

fn is_ready(to: SocketAddr) -> bool {
    let mut stream = TcpStream::connect(to).expect("it listens");
    stream.write_all(b"GET /readyz HTTP/1.1\r\nhost: sever\r\nconnection: close\r\n\r\n").expect("sent");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    answer.starts_with("HTTP/1.1 200 ")
}
