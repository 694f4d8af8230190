//! The plots: how long alerts wait at which load, and what a job costs with how many queued.

use std::time::Duration;

use crate::STAND_IN;
use crate::Scale;
use crate::alerts::{Subject, crowds, requests};
use crate::cpu::Cpu;
use crate::drain::done;
use crate::load::{quantile, send_all};
use crate::open_loop::send_at;
use crate::plot::{Plot, Series};
use crate::process::Process;
use crate::service::{CONCURRENCY, Service, folder, write_config};
use crate::sink::Sink;
use crate::watch::Watch;

/// Shares of what is carried at most.
const SHARES: [f64; 9] = [0.02, 0.05, 0.1, 0.2, 0.4, 0.6, 0.8, 0.9, 1.1];

/// What is carried is found out with so many alerts.
const FLOOD: usize = 20_000;

/// Whoever makes no call for so long will not make one.
const QUIET: Duration = Duration::from_secs(30);

/// How often the service is asked how far it is.
const LOOK: Duration = Duration::from_millis(5);

/// Far longer than the jobs take.
const TOO_LONG: Duration = Duration::from_secs(120);

/// Latency against offered load.
pub(crate) fn latency(scale: Scale) -> Plot {
    let (sink, folder) = (Sink::start(), folder());
    let (_process, to) = Process::serve(&write_config(folder.path(), &sink.url(), CONCURRENCY));
    let mut people = 0..;
    let mut next = |count: usize| people.by_ref().take(count).map(Subject::numbered).collect::<Vec<_>>();
    let crowd = next(FLOOD);
    let (alerts, started) = (requests(crowd.iter().cloned()), Watch::start());
    send_all(to, alerts);
    assert_eq!(sink.wait_for(&crowd, QUIET), crowd.len(), "every alert arrives");
    let carried = crowd.len() as f64 / started.elapsed().as_secs_f64();
    let mut series = ["p50", "p99"].map(|name| Series { name: name.to_owned(), points: Vec::new() });
    for rate in SHARES.map(|share| share * carried) {
        sink.forget();
        let crowd = next((rate * scale.offered.as_secs_f64()) as usize);
        let offered = send_at(to, rate, requests(crowd.iter().cloned()));
        assert_eq!(sink.wait_for(&crowd, QUIET), crowd.len(), "every alert arrives");
        let wait = |(number, person)| Some(offered.due(number).until(sink.calls(person)?.0));
        let mut waits: Vec<Duration> = crowd.iter().enumerate().filter_map(wait).collect();
        waits.sort_unstable();
        for (series, share) in series.iter_mut().zip([0.5, 0.99]) {
            series.points.push((rate, quantile(&waits, share).as_secs_f64() * 1000.0));
        }
    }
    Plot {
        title: "Latency against offered load".to_owned(),
        across: "alerts a second, offered in an open loop".to_owned(),
        up: "ms from when it was to be sent until the provider is called".to_owned(),
        from_zero: false,
        series: series.into(),
    }
}

/// Jobs whose cost is taken, whatever waits behind them.
const DRAINED: u64 = 3_000;

/// Accounts that an alert names, so that many jobs are queued soon.
const CROWD: usize = 100;

/// Cost of a job against backlog.
pub(crate) fn backlog(runtime: &tokio::runtime::Runtime, scale: Scale) -> Plot {
    let sink = Sink::start();
    let mut series = ["time", "CPU"].map(|name| Series { name: name.to_owned(), points: Vec::new() });
    for queued in scale.backlogs {
        let costs = runtime.block_on(cost(&sink, *queued));
        for (series, cost) in series.iter_mut().zip(costs) {
            series.points.push((*queued as f64, cost.as_secs_f64() * 1e6));
        }
    }
    Plot {
        title: "Cost of a job against backlog".to_owned(),
        across: "jobs queued".to_owned(),
        up: "us for each job done, 32 at once".to_owned(),
        from_zero: true,
        series: series.into(),
    }
}

/// Of one job, with so many queued: how long, and how much of the processors.
async fn cost(sink: &Sink, queued: usize) -> [Duration; 2] {
    let service = Service::start(&sink.url(), CONCURRENCY).await;
    service.pause().await;
    let to = service.addresses.alerts;
    tokio::task::spawn_blocking(move || {
        for first in (0..queued).step_by(CROWD * 1000) {
            let people = (first..queued.min(first + CROWD * 1000)).map(Subject::numbered);
            send_all(to, crowds(people, CROWD));
        }
    })
    .await
    .expect("sent");
    let (before, started) = (Cpu::used(), Watch::start());
    service.resume().await;
    let done = loop {
        assert!(started.elapsed() < TOO_LONG, "jobs do not get done");
        let done = done(&service).await;
        if done >= DRAINED.min(queued as u64) {
            break u32::try_from(done).expect("a small number");
        }
        tokio::time::sleep(LOOK).await;
    };
    let (time, after) = (started.elapsed(), Cpu::used());
    let used = after.all_since(&before).saturating_sub(after.since(&before, STAND_IN));
    service.pause().await;
    service.stop().await;
    [time / done, used / done]
}
