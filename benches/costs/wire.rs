//! A wire to PostgreSQL that counts what goes over it, by the frontend/backend protocol 3.0.
//!
//! Takes what it counts out of fixed buffers, so that it adds nothing to the allocations.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use reqwest::Url;

use crate::Counts;

/// Of PostgreSQL, where the URL names none.
const PORT: u16 = 5432;

/// A proxy on loopback, until the process ends.
pub(crate) struct Wire {
    address: SocketAddr,
    counted: Arc<Counted>,
}

#[derive(Default)]
struct Counted {
    statements: AtomicU64,
    trips: AtomicU64,
    bytes: AtomicU64,
}

/// One connection's conversation.
struct Talk {
    counted: Arc<Counted>,
    /// Questions without an answer.
    open: AtomicU64,
}

impl Wire {
    pub(crate) fn to(server: &str) -> Self {
        let url = Url::parse(server).expect("a URL");
        let server = format!("{}:{}", url.host_str().unwrap_or("localhost"), url.port().unwrap_or(PORT));
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port");
        let address = listener.local_addr().expect("its address");
        let counted = Arc::new(Counted::default());
        let counting = Arc::clone(&counted);
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                join(client, TcpStream::connect(&server).expect("the server takes a connection"), &counting);
            }
        });
        Self { address, counted }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn counts(&self) -> Counts {
        let Counted { statements, trips, bytes } = &*self.counted;
        [("statements", statements), ("round trips", trips), ("bytes sent", bytes)]
            .map(|(what, count)| (what.to_owned(), count.load(Ordering::SeqCst) as f64))
            .into()
    }
}

fn join(client: TcpStream, server: TcpStream, counted: &Arc<Counted>) {
    // The start is a question as well: the server says when it is ready.
    let asked = Arc::new(Talk { counted: Arc::clone(counted), open: AtomicU64::new(1) });
    let answered = Arc::clone(&asked);
    let both = |stream: &TcpStream| {
        let _ = stream.set_nodelay(true);
        stream.try_clone().expect("a second handle")
    };
    let (from_client, from_server) = (both(&client), both(&server));
    std::thread::spawn(move || carry(from_client, server, Frames::starting(), |kind, bytes| asked.asks(kind, bytes)));
    std::thread::spawn(move || carry(from_server, client, Frames::started(), |kind, _| answered.answers(kind)));
}

impl Talk {
    /// Counts a message of the client: Parse, Bind and so on come before an Execute, and Sync or Query asks for an answer.
    fn asks(&self, kind: u8, bytes: u64) {
        self.counted.bytes.fetch_add(bytes, Ordering::SeqCst);
        if matches!(kind, b'E' | b'Q') {
            self.counted.statements.fetch_add(1, Ordering::SeqCst);
        }
        // What is asked before the last answer is there travels along.
        if matches!(kind, b'S' | b'Q') && self.open.fetch_add(1, Ordering::SeqCst) == 0 {
            self.counted.trips.fetch_add(1, Ordering::SeqCst);
        }
    }

    /// ReadyForQuery ends an answer.
    fn answers(&self, kind: u8) {
        if kind == b'Z' {
            self.open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn carry(mut from: TcpStream, mut to: TcpStream, mut frames: Frames, mut seen: impl FnMut(u8, u64)) {
    let mut buffer = [0; 16 << 10];
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        frames.take(&buffer[..read], &mut seen);
        if to.write_all(&buffer[..read]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

/// Finds messages in a stream: a byte that says which, four with the length, itself included, and the rest.
struct Frames {
    head: [u8; 5],
    have: usize,
    skip: usize,
}

impl Frames {
    /// The first message of a client has no kind.
    fn starting() -> Self {
        Self { head: [0; 5], have: 1, skip: 0 }
    }

    fn started() -> Self {
        Self { head: [0; 5], have: 0, skip: 0 }
    }

    fn take(&mut self, mut bytes: &[u8], seen: &mut impl FnMut(u8, u64)) {
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len());
            (self.skip, bytes) = (self.skip - skipped, &bytes[skipped..]);
            let Some((first, rest)) = bytes.split_first() else { return };
            (self.head[self.have], self.have, bytes) = (*first, self.have + 1, rest);
            if self.have == self.head.len() {
                let [kind, length @ ..] = self.head;
                let length = u32::from_be_bytes(length);
                seen(kind, u64::from(length) + 1);
                (self.have, self.skip) = (0, length as usize - 4);
            }
        }
    }
}
