//! How fast the service is, beside what this machine could do at best: each line with its limit, in the same run.
//!
//! `cargo bench --bench limits` prints the table. Arguments after `--`: names of lines (`intake`, `forged`, `amqp`, `drain`,
//! `postgres`, `growth`, `idle`, `memory`, `start`, `size`; default: all; `amqp` where SEVER_TEST_AMQP_URL names a broker, and
//! what is about PostgreSQL where SEVER_TEST_POSTGRES_URL names a server), `--quick` for fewer and shorter rounds, `--alone`
//! for the service without the sides that it is compared with, for a profiler, `--write` to put the table into
//! `docs/performance.md`.

mod alerts;
mod amqp;
mod config;
mod cpu;
mod curves;
mod drain;
mod drain_rows;
mod forged;
mod growth;
mod home;
mod idle;
mod intake;
mod limit;
mod load;
mod memory;
mod open_loop;
mod peer;
mod person;
mod pg_bare;
mod pg_drain;
mod pg_rows;
mod plot;
mod postgres;
mod process;
mod report;
mod rows;
mod service;
mod sink;
mod size;
mod soak;
mod start;
mod watch;
mod work;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use sever::clock::{Clock, SystemClock};
use sever::sandbox::Sandbox;
use sever::sandbox::okta::Person;
use tokio::runtime::{Builder, Runtime};

use report::Line;

/// As `sever` has it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// How long and how often.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    rounds: usize,
    /// Of the drain, whose rounds differ the most.
    drain_rounds: usize,
    alerts: usize,
    jobs: usize,
    idle: usize,
    queued: usize,
    /// Jobs that wait in the larger store.
    growth: usize,
    peer_rounds: usize,
    peer_alerts: usize,
    /// How long each load is offered.
    offered: Duration,
    backlogs: &'static [usize],
    /// Without the other sides.
    alone: bool,
}

const FULL: Scale = Scale {
    rounds: 7,
    drain_rounds: 15,
    alerts: 20_000,
    jobs: 20_000,
    idle: 200,
    queued: 100_000,
    growth: 1_000_000,
    peer_rounds: 5,
    peer_alerts: 6_000,
    offered: Duration::from_secs(5),
    backlogs: &[1_000, 10_000, 100_000, 1_000_000],
    alone: false,
};
const QUICK: Scale = Scale {
    rounds: 3,
    drain_rounds: 3,
    alerts: 8_000,
    jobs: 1_500,
    idle: 50,
    queued: 20_000,
    growth: 100_000,
    peer_rounds: 2,
    peer_alerts: 2_000,
    offered: Duration::from_secs(1),
    backlogs: &[1_000, 10_000],
    alone: false,
};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag: &str| arguments.iter().any(|argument| argument == flag);
    // Only `cargo bench` says so; a test run has nothing to measure here.
    if !has("--bench") {
        return;
    }
    log_to_nowhere();
    let scale = Scale { alone: has("--alone"), ..if has("--quick") { QUICK } else { FULL } };
    let names: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    match &names[..] {
        [name] if *name == "peer" => tell("peer", &report::table(&peer::measure(scale)), has("--write")),
        [name] if *name == "plots" => plots(scale, has("--write")),
        [name, ..] if *name == "soak" => soak(&arguments, has("--write")),
        names => {
            let wanted = |name: &str| names.is_empty() || names.iter().any(|given| *given == name);
            tell("figures", &report::table(&measure(scale, wanted)), has("--write"));
        }
    }
}

fn tell(name: &str, figures: &str, write: bool) {
    print(figures);
    if write {
        report::write(name, figures);
    }
}

fn plots(scale: Scale, write: bool) {
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    for (name, plot) in [("latency.svg", curves::latency(scale)), ("backlog.svg", curves::backlog(&runtime, scale))] {
        print(&plot.words());
        if write {
            plot.write(name);
        }
    }
}

/// Fails if anything grew.
fn soak(arguments: &[String], write: bool) {
    let minutes = arguments.iter().skip_while(|argument| *argument != "--minutes").nth(1);
    let minutes = minutes.map_or(20, |minutes| minutes.parse().expect("--minutes takes a number"));
    let (table, is_flat) = soak::run(minutes);
    tell("soak", &table, write);
    assert!(is_flat, "something grew: see the table");
}

fn measure(scale: Scale, wanted: impl Fn(&str) -> bool) -> Vec<Line> {
    let runtime = Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let (elsewhere, sandbox) = sandbox();
    let mut lines = Vec::new();
    if wanted("intake") {
        lines.extend(intake::measure(&runtime, scale));
    }
    if wanted("forged") {
        lines.extend(forged::measure(&runtime, scale));
    }
    if let Some(url) = amqp::url().filter(|_| wanted("amqp")) {
        lines.extend(amqp::measure(&runtime, &url, scale));
    }
    if wanted("drain") {
        lines.extend(drain::measure(&runtime, sandbox.okta(), scale));
    }
    if wanted("postgres") {
        lines.extend(postgres::measure(&runtime, scale));
    }
    if wanted("growth") {
        lines.extend(growth::measure(&runtime, scale));
    }
    if wanted("idle") {
        lines.extend(idle::measure(&runtime, sandbox.okta(), scale));
    }
    if wanted("memory") {
        lines.extend(memory::measure(&runtime, scale));
    }
    if wanted("start") {
        lines.extend(start::measure(&runtime, scale));
    }
    if wanted("size") {
        lines.extend(size::measure());
    }
    elsewhere.block_on(sandbox.shutdown());
    lines
}

/// The name of the stand-in's threads.
pub(crate) const STAND_IN: &str = "stand-in";

/// The stand-in has a thread of its own, as a provider has a machine of its own.
fn sandbox() -> (Runtime, Sandbox) {
    let runtime =
        Builder::new_multi_thread().worker_threads(1).thread_name(STAND_IN).enable_all().build().expect("a runtime");
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let sandbox = runtime.block_on(Sandbox::start(SocketAddr::from(([127, 0, 0, 1], 0)), clock)).expect("a port");
    let admin = Person::new("admin@example.com");
    let id = admin.id.clone();
    sandbox.okta().add_person(admin);
    sandbox.okta().accept_ssws(service::TOKEN, &id);
    (runtime, sandbox)
}

/// Lines are made as in the service, and thrown away.
fn log_to_nowhere() {
    let builder = tracing_subscriber::fmt().with_max_level(tracing::Level::INFO).with_writer(std::io::sink);
    builder.json().flatten_event(true).with_current_span(true).with_span_list(false).init();
}

#[expect(clippy::print_stdout, reason = "the table is what was asked for")]
fn print(table: &str) {
    println!("\n{table}");
}
