//! What goes wrong, and when: each part of the machinery, and each replica's ways to it, has a fate of its own, all drawn
//! from one seed.

use std::collections::BTreeMap;
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::join_all;
use jiff::Timestamp;
use sever::clock::{Clock, SystemClock};
use tokio::task::spawn_blocking;

use super::network::{Network, Way};
use super::scene::{REPLICAS, Scene};
use crate::process::Server;

/// Longer than a lease. Only in runs that last for minutes.
const LONG_STOP: Duration = Duration::from_secs(66);

/// Some long silences in a row, each of which one process waits for in vain.
const START_WITHIN: Duration = Duration::from_secs(600);

pub(super) struct Faults {
    seed: u64,
    clock: SystemClock,
    ends_at: Timestamp,
    injected: Mutex<BTreeMap<&'static str, usize>>,
}

impl std::fmt::Display for Faults {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "faults: {:?}", self.injected.lock().expect("no panic"))
    }
}

impl Faults {
    pub(super) fn new(seed: u64, lasts: Duration) -> Self {
        let clock = SystemClock::new();
        let ends_at = clock.steady() + lasts;
        Self { seed, clock, ends_at, injected: Mutex::default() }
    }

    /// The random numbers of one actor.
    pub(super) fn random(&self, actor: u64) -> Rng {
        Rng::with_seed(self.seed.wrapping_add(actor))
    }

    pub(super) fn are_over(&self) -> bool {
        self.left().is_zero()
    }

    fn left(&self) -> Duration {
        Duration::try_from(self.ends_at - self.clock.steady()).unwrap_or_default()
    }

    pub(super) fn count(&self) -> usize {
        self.injected.lock().expect("no panic").values().sum()
    }

    fn note(&self, kind: &'static str) {
        *self.injected.lock().expect("no panic").entry(kind).or_default() += 1;
    }

    /// Waits for the next fault; whether there is to be one.
    async fn next(&self, random: &mut Rng, ms: std::ops::Range<u64>) -> bool {
        tokio::time::sleep(Duration::from_millis(random.u64(ms)).min(self.left())).await;
        !self.are_over()
    }

    /// Strikes until it is over and everything works again; the replicas that run then.
    pub(super) async fn strike(&self, scene: &Scene) -> Vec<Server> {
        let replicas = join_all((0..REPLICAS).map(|number| replica(self, scene, number)));
        let networks = join_all((0..REPLICAS).map(|number| network(self, scene, number)));
        tokio::join!(replicas, networks, postgres(self, scene), rabbit(self, scene)).0
    }
}

/// One replica loses its way to the database, to the broker, or to both, while the others keep theirs.
async fn network(faults: &Faults, scene: &Scene, number: usize) {
    let mut random = faults.random(30 + number as u64);
    let Network { postgres, rabbit } = &scene.networks[number];
    while faults.next(&mut random, 2000..9000).await {
        let ways = match random.u32(0..3) {
            0 => vec![postgres],
            1 => vec![rabbit],
            _ => vec![postgres, rabbit],
        };
        let (way, kind, lasts) = network_fault(faults, &mut random);
        faults.note(kind);
        ways.iter().for_each(|proxy| proxy.set(way));
        tokio::time::sleep(lasts).await;
        ways.iter().for_each(|proxy| proxy.set(Way::Open));
    }
}

fn network_fault(faults: &Faults, random: &mut Rng) -> (Way, &'static str, Duration) {
    let a_while = Duration::from_millis(random.u64(300..4000));
    match random.u32(0..6) {
        0..3 => (Way::Cut, "network cut", a_while),
        3 if faults.left() > LONG_STOP => (Way::Silent, "network silent for longer than leases", LONG_STOP),
        _ => (Way::Silent, "network silent for a while", a_while),
    }
}

async fn replica(faults: &Faults, scene: &Scene, number: usize) -> Server {
    let mut random = faults.random(number as u64);
    let mut server = start(scene, number).await;
    while faults.next(&mut random, 1500..7000).await {
        if random.u32(0..5) < 3 {
            faults.note("replica killed");
            *scene.replicas[number].lock().await = None;
            server.kill();
            tokio::time::sleep(Duration::from_millis(random.u64(0..1500))).await;
            server = start(scene, number).await;
        } else {
            hang(faults, &server, &mut random).await;
        }
    }
    server
}

/// As a supervisor does: again and again, for the database may be away, or silent for longer than a process waits for it,
/// and that several times in a row.
async fn start(scene: &Scene, number: usize) -> Server {
    let starting = async {
        loop {
            let config = scene.config_of(number);
            match spawn_blocking(move || Server::start(&config)).await.expect("no panic") {
                Ok(server) => return server,
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    };
    let server = tokio::time::timeout(START_WITHIN, starting).await.expect("a replica starts");
    *scene.replicas[number].lock().await = Some(server.alerts);
    server
}

async fn hang(faults: &Faults, server: &Server, random: &mut Rng) {
    let is_long = random.u32(0..3) == 0 && faults.left() > LONG_STOP;
    let (kind, lasts) = if is_long {
        ("replica stopped for longer than its leases", LONG_STOP)
    } else {
        ("replica stopped for a while", Duration::from_millis(random.u64(500..4000)))
    };
    faults.note(kind);
    signal("STOP", server.pid());
    tokio::time::sleep(lasts).await;
    signal("CONT", server.pid());
}

fn signal(name: &str, pid: u32) {
    let status = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).status().expect("kill runs");
    assert!(status.success(), "no such process");
}

async fn postgres(faults: &Faults, scene: &Scene) {
    let mut random = faults.random(10);
    while faults.next(&mut random, 4000..12_000).await {
        faults.note("PostgreSQL killed");
        let (server, pause) = (Arc::clone(&scene.postgres), random.u64(0..2000));
        let restarted = spawn_blocking(move || {
            server.kill();
            std::thread::sleep(Duration::from_millis(pause));
            server.launch();
        });
        restarted.await.expect("killed and restarted");
    }
}

async fn rabbit(faults: &Faults, scene: &Scene) {
    let mut random = faults.random(20);
    while faults.next(&mut random, 4000..15_000).await {
        if random.bool() {
            faults.note("RabbitMQ killed");
            scene.rabbit.kill().await;
            scene.rabbit.start();
        } else {
            faults.note("RabbitMQ stopped for a while");
            scene.rabbit.suspend().await;
            tokio::time::sleep(Duration::from_millis(random.u64(500..4000))).await;
            scene.rabbit.resume().await;
        }
        scene.rabbit.ready().await;
    }
}
