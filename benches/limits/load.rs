//! The sender, the same for every side: a closed loop over keep-alive connections, with requests made beforehand.
//!
//! It runs on a thread of its own and does as little as it can: what it costs is missing from the side it measures.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::watch::Watch;

/// As many as the targets are stated for.
pub(crate) const CONNECTIONS: usize = 64;

/// What a run of the load showed.
#[derive(Debug)]
pub(crate) struct Heard {
    /// Answers of 202.
    pub(crate) accepted: usize,
    /// From the first request to the last answer.
    pub(crate) took: Duration,
    waits: Vec<Duration>,
}

impl Heard {
    pub(crate) fn per_second(&self) -> f64 {
        self.accepted as f64 / self.took.as_secs_f64()
    }

    /// The wait that this share of the requests stayed below.
    pub(crate) fn quantile(&self, share: f64) -> Duration {
        quantile(&self.waits, share)
    }
}

/// Of sorted waits, the one that this share stayed below.
pub(crate) fn quantile(sorted: &[Duration], share: f64) -> Duration {
    let last = sorted.len().saturating_sub(1);
    sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
}

/// Sends every request once and waits for every answer.
pub(crate) fn send_all(to: SocketAddr, requests: Vec<Vec<u8>>) -> Heard {
    send_over(to, CONNECTIONS, requests)
}

/// The same to several services: each gets its share of the connections.
pub(crate) fn send_among(to: Vec<SocketAddr>, requests: Vec<Vec<u8>>) -> Heard {
    let sender = std::thread::spawn(move || on_this_thread(send(&to, CONNECTIONS, Arc::new(requests))));
    sender.join().expect("the sender ended")
}

/// The same over so many connections.
pub(crate) fn send_over(to: SocketAddr, connections: usize, requests: Vec<Vec<u8>>) -> Heard {
    let sender = std::thread::spawn(move || on_this_thread(send(&[to], connections, Arc::new(requests))));
    sender.join().expect("the sender ended")
}

/// Runs a sender on a runtime of its own.
pub(crate) fn on_this_thread<T>(sending: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(sending)
}

async fn send(to: &[SocketAddr], count: usize, requests: Arc<Vec<Vec<u8>>>) -> Heard {
    let mut connections = Vec::new();
    for to in to.iter().cycle().take(count) {
        connections.push(Connection::open(*to).await.expect("a connection"));
    }
    let next = Arc::new(AtomicUsize::new(0));
    let started = Watch::start();
    let mut senders = JoinSet::new();
    for connection in connections {
        senders.spawn(converse(connection, Arc::clone(&requests), Arc::clone(&next)));
    }
    let mut waits: Vec<Duration> = senders.join_all().await.into_iter().flatten().collect();
    let took = started.elapsed();
    waits.sort_unstable();
    Heard { accepted: waits.len(), took, waits }
}

async fn converse(mut connection: Connection, requests: Arc<Vec<Vec<u8>>>, next: Arc<AtomicUsize>) -> Vec<Duration> {
    let mut waits = Vec::new();
    while let Some(request) = requests.get(next.fetch_add(1, Ordering::Relaxed)) {
        let started = Watch::start();
        let status = connection.ask(request).await.expect("an answer");
        assert_eq!(status, 202, "{}", String::from_utf8_lossy(&connection.buffer));
        waits.push(started.elapsed());
    }
    waits
}

/// One keep-alive connection.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) async fn open(to: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// From this address, which the other side takes for the peer.
    pub(crate) async fn open_from(from: IpAddr, to: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.bind((from, 0).into())?;
        let stream = socket.connect(to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, buffer: Vec::with_capacity(4096) })
    }

    /// Sends a request and reads the whole answer; its status.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> io::Result<u16> {
        self.stream.write_all(request).await?;
        self.buffer.clear();
        loop {
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if let Some(status) = complete(&self.buffer) {
                return Ok(status);
            }
        }
    }
}

/// The status, once head and body are there.
fn complete(answer: &[u8]) -> Option<u16> {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = std::str::from_utf8(&answer[..end]).expect("a head in ASCII");
    let length: usize = head
        .lines()
        .filter_map(|line| line.split_once(": "))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .map_or(0, |(_, length)| length.parse().expect("a length"));
    if answer.len() < end + 4 + length {
        return None;
    }
    head.get(9..12)?.parse().ok()
}
