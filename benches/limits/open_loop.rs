//! The open loop: requests go out on time, whatever the answers. Waits are counted from the moment at which a request was
//! to be sent, so that a side that stalls is not flattered by a sender that waits for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::load::{Connection, on_this_thread};
use crate::watch::Watch;

/// Well below what the service allows one peer (256). Where all are busy, an alert waits for a free one, and that counts.
const CONNECTIONS: usize = 128;

/// What came of it.
pub(crate) struct Offered {
    started: Watch,
    rate: f64,
    /// How long each acknowledged request took, by its number.
    pub(crate) acknowledged: Vec<(usize, Duration)>,
}

impl Offered {
    /// When this request was to be sent.
    pub(crate) fn due(&self, number: usize) -> Watch {
        due(self.started, self.rate, number)
    }
}

fn due(started: Watch, rate: f64, number: usize) -> Watch {
    started.later(Duration::from_secs_f64(number as f64 / rate))
}

/// Sends so many of these requests a second.
pub(crate) fn send_at(to: SocketAddr, rate: f64, requests: Vec<Vec<u8>>) -> Offered {
    let sender = std::thread::spawn(move || on_this_thread(send(to, rate, Arc::new(requests))));
    sender.join().expect("the sender ended")
}

async fn send(to: SocketAddr, rate: f64, requests: Arc<Vec<Vec<u8>>>) -> Offered {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS.min(requests.len()) {
        connections.push(Connection::open(to).await.expect("a connection"));
    }
    let turns = Arc::new(Turns { requests, next: AtomicUsize::new(0), due: Semaphore::new(0) });
    let started = Watch::start();
    let pacer = pace(started, rate, Arc::clone(&turns));
    let mut senders = JoinSet::new();
    for connection in connections {
        senders.spawn(converse(connection, Arc::clone(&turns), move |number| due(started, rate, number)));
    }
    let acknowledged = senders.join_all().await.into_iter().flatten().collect();
    pacer.join().expect("the pacer ended");
    Offered { started, rate, acknowledged }
}

/// What is to be sent, a permit for each whose time has come.
struct Turns {
    requests: Arc<Vec<Vec<u8>>>,
    next: AtomicUsize,
    due: Semaphore,
}

impl Turns {
    async fn take(&self) -> Option<(usize, &Vec<u8>)> {
        self.due.acquire().await.expect("it stays open").forget();
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        Some((number, self.requests.get(number)?))
    }
}

/// A thread of its own sleeps to within the kernel's 50 us; the runtime's timer rounds up to whole milliseconds.
fn pace(started: Watch, rate: f64, turns: Arc<Turns>) -> std::thread::JoinHandle<()> {
    std::thread::spawn(move || {
        for number in 0..turns.requests.len() {
            std::thread::sleep(Watch::start().until(due(started, rate, number)));
            turns.due.add_permits(1);
        }
        // Everybody learns that there is nothing left.
        turns.due.add_permits(CONNECTIONS);
    })
}

/// Ends early where the other side is gone.
async fn converse(
    mut connection: Connection,
    turns: Arc<Turns>,
    due: impl Fn(usize) -> Watch,
) -> Vec<(usize, Duration)> {
    let mut waits = Vec::new();
    while let Some((number, request)) = turns.take().await {
        match connection.ask(request).await {
            Ok(202) => waits.push((number, due(number).elapsed())),
            Ok(_) => {}
            Err(_) => break,
        }
    }
    waits
}
