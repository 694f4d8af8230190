//! A flood of forged deliveries: how fast each is refused, and what honest senders notice of it.
//!
//! The flood comes from 127.0.0.2, honest alerts from 127.0.0.1: a peer that forges too much is told to wait, and nobody else. The
//! case that both have one address is measured as well, and the one that each forged delivery comes from another address, by a
//! proxy: then nobody is told to wait.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::task::JoinSet;

use crate::Scale;
use crate::alerts::{OTHER_PATH, PATH, Subject, forged, requests};
use crate::config::PROXY;
use crate::limit::Limit;
use crate::load::{CONNECTIONS, Connection, on_this_thread, send_over};
use crate::report::{Line, Rounds, millis};
use crate::rows::Rows;
use crate::service::{CONCURRENCY, Service};
use crate::watch::Watch;

/// Nothing listens there, and nothing is sent there.
const NOWHERE: &str = "http://127.0.0.1:9";

const HONEST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const STRANGER: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// Honest alerts under way at once: enough that some share a commit.
const HONEST_CONNECTIONS: usize = 8;

/// Forged requests that differ; each is sent again and again.
const DISTINCT: usize = 256;

/// How often what is refused is measured, compared with what is accepted: it takes less time.
const REFUSALS_PER_ALERT: usize = 5;

/// What honest senders waited, by what went on meanwhile.
#[derive(Default)]
struct Waits {
    quiet: Vec<f64>,
    same: Vec<f64>,
    other: Vec<f64>,
    near: Vec<f64>,
    many: Vec<f64>,
}

/// Measures and compares.
pub(crate) fn measure(runtime: &tokio::runtime::Runtime, scale: Scale) -> Vec<Line> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    let (mut waits, mut bare) = (Waits::default(), Waits::default());
    for round in 0..scale.rounds {
        // Whoever comes first in a round may find the machine in another mood.
        for turn in 0..if scale.alone { 1 } else { 2 } {
            if scale.alone || (round + turn) % 2 == 0 {
                ours.push(runtime.block_on(service(scale, round, &mut waits)));
            } else {
                theirs.push(runtime.block_on(limit(scale, round, &mut bare)));
            }
        }
    }
    lines(&ours, &theirs, &waits, &bare)
}

fn lines(ours: &[f64], theirs: &[f64], waits: &Waits, bare: &Waits) -> Vec<Line> {
    let rate = |rates: &[f64]| format!("{:.0}/s", Rounds::of(rates.to_vec()).median());
    let what = format!("refusing forged deliveries, {CONNECTIONS} connections, each from another address");
    let refusing = Line::new(&what, "bare handler with HMAC, 401", rate(ours), rate(theirs));
    let wait = |waits: &[f64]| format!("p99 {}", millis(Duration::from_secs_f64(Rounds::of(waits.to_vec()).median())));
    let honest = |what: &str, during: &[f64], quiet: &[f64]| {
        Line::new(&format!("honest senders, forged ones {what}"), "no flood", wait(during), wait(quiet))
    };
    let judged = |what: &str, during: &[f64]| {
        honest(what, during, &waits.quiet).at_most(2.0, 2.0, Rounds::ratios(during, &waits.quiet))
    };
    vec![
        refusing.at_least(0.7, 0.7, Rounds::ratios(ours, theirs)),
        judged("at the same source", &waits.same),
        judged("at another source", &waits.other),
        judged("from the same address", &waits.near),
        judged("each from another address", &waits.many),
        honest("at a bare handler", &bare.many, &bare.quiet).told(Rounds::ratios(&bare.many, &bare.quiet)),
    ]
}

/// Refusals in a second. What honest senders wait is measured in another order each time: the log of the store grows
/// meanwhile, and at some time it is moved.
async fn service(scale: Scale, round: usize, waits: &mut Waits) -> f64 {
    let service = Service::start(NOWHERE, CONCURRENCY).await;
    service.pause().await;
    let to = service.addresses.alerts;
    let rate = refuse(to, scale.alerts * REFUSALS_PER_ALERT).await;
    let mut cases = [
        (None, &mut waits.quiet),
        (Some((STRANGER, PATH)), &mut waits.same),
        (Some((STRANGER, OTHER_PATH)), &mut waits.other),
        (Some((HONEST, PATH)), &mut waits.near),
        (Some((PROXY, PATH)), &mut waits.many),
    ];
    cases.rotate_left(round % 5);
    measure_each(to, scale, cases).await;
    drop(service.stop().await);
    rate
}

async fn limit(scale: Scale, round: usize, waits: &mut Waits) -> f64 {
    let limit = Limit::start(Rows::One).await;
    let rate = refuse(limit.address, scale.alerts * REFUSALS_PER_ALERT).await;
    let mut cases = [(None, &mut waits.quiet), (Some((PROXY, PATH)), &mut waits.many)];
    cases.rotate_left(round % 2);
    measure_each(limit.address, scale, cases).await;
    drop(limit.stop().await);
    rate
}

/// Where a flood comes from, if there is one, and which way it takes.
type Origin = Option<(IpAddr, &'static str)>;

/// What honest senders wait in each of these floods.
async fn measure_each<const CASES: usize>(to: SocketAddr, scale: Scale, cases: [(Origin, &mut Vec<f64>); CASES]) {
    let mut people = (0..).map(Subject::numbered);
    honest(to, scale, &mut people, None).await;
    for (flood, waits) in cases {
        waits.push(honest(to, scale, &mut people, flood).await);
    }
}

async fn refuse(to: SocketAddr, count: usize) -> f64 {
    let flood = Flood::start(to, PROXY, PATH, count);
    tokio::task::spawn_blocking(move || flood.ended()).await.expect("sent")
}

/// Below which wait 99 of 100 honest requests stayed, in seconds, with a flood meanwhile or without one.
async fn honest(to: SocketAddr, scale: Scale, people: &mut impl Iterator<Item = Subject>, flood: Origin) -> f64 {
    let requests = requests(people.take(scale.alerts / 4));
    let sending = move || {
        let flood = flood.map(|(from, path)| Flood::start(to, from, path, usize::MAX));
        flood.iter().for_each(Flood::until_begun);
        let heard = send_over(to, HONEST_CONNECTIONS, requests);
        let _ = flood.map(Flood::ended);
        heard
    };
    tokio::task::spawn_blocking(sending).await.expect("sent").quantile(0.99).as_secs_f64()
}

/// Forged requests in a closed loop, from a thread of its own.
struct Flood {
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
    most: usize,
    sender: JoinHandle<Duration>,
}

impl Flood {
    /// At most so many, or until it is ended.
    fn start(to: SocketAddr, from: IpAddr, path: &'static str, most: usize) -> Self {
        let (over, sent) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let (stop, count) = (Arc::clone(&over), Arc::clone(&sent));
        let sender = std::thread::spawn(move || on_this_thread(pour(to, from, path, most, stop, count)));
        Self { over, sent, most, sender }
    }

    /// A single peer is beyond its burst by then, and everything is as it stays.
    fn until_begun(&self) {
        while self.sent.load(Ordering::Relaxed) < 10 * CONNECTIONS {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Ends it, if it does not end by itself; refusals in a second.
    fn ended(self) -> f64 {
        if self.most == usize::MAX {
            self.over.store(true, Ordering::Relaxed);
        }
        let took = self.sender.join().expect("the sender ended");
        self.sent.load(Ordering::Relaxed) as f64 / took.as_secs_f64()
    }
}

async fn pour(
    to: SocketAddr,
    from: IpAddr,
    path: &'static str,
    most: usize,
    over: Arc<AtomicBool>,
    sent: Arc<AtomicUsize>,
) -> Duration {
    let requests = Arc::new(forged(path, (0..DISTINCT).map(Subject::numbered)));
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(Connection::open_from(from, to).await.expect("a connection"));
    }
    let started = Watch::start();
    let mut senders = JoinSet::new();
    for mut connection in connections {
        let (requests, over, sent) = (Arc::clone(&requests), Arc::clone(&over), Arc::clone(&sent));
        senders.spawn(async move {
            let mut request = Vec::new();
            while !over.load(Ordering::Relaxed) {
                let number = sent.fetch_add(1, Ordering::Relaxed);
                if number >= most {
                    // It was not sent.
                    sent.fetch_sub(1, Ordering::Relaxed);
                    return;
                }
                requests[number % DISTINCT].write(number, &mut request);
                let status = connection.ask(&request).await.expect("an answer");
                // Whoever comes by the proxy is never the same, and so never over their allowance.
                let is_refused = status == 401 || (status == 429 && from != PROXY);
                assert!(is_refused, "a forged delivery is refused, and not answered {status}");
            }
        });
    }
    senders.join_all().await;
    started.elapsed()
}
