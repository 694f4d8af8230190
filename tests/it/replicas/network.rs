//! The ways from one replica to PostgreSQL and to RabbitMQ: proxies on loopback, each of which can be cut, fall silent and
//! be healed.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What becomes of bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// They pass.
    Open,
    /// Every connection is reset, also each new one.
    Cut,
    /// Connections stay and new ones are accepted; nothing passes, and nobody is told.
    Silent,
}

/// The way to one server.
pub(super) struct Proxy {
    port: u16,
    way: watch::Sender<Way>,
    _carriers: JoinSet<()>,
}

impl Proxy {
    pub(super) async fn before(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let (way, seen) = watch::channel(Way::Open);
        let mut carriers = JoinSet::new();
        carriers.spawn(accept(listener, SocketAddr::from(([127, 0, 0, 1], server)), seen));
        Self { port, way, _carriers: carriers }
    }

    /// Where it listens, also while it is cut.
    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    pub(super) fn set(&self, way: Way) {
        self.way.send_replace(way);
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, way: watch::Receiver<Way>) {
    let mut carriers = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((near, _)) => drop(carriers.spawn(carry(near, server, way.clone()))),
            // Too many are open.
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One connection, from end to end.
async fn carry(mut near: TcpStream, server: SocketAddr, way: watch::Receiver<Way>) {
    let mut seen = way.clone();
    let is_open = seen.wait_for(|way| *way != Way::Silent).await.is_ok_and(|way| *way == Way::Open);
    if !is_open {
        return reset(&near);
    }
    let Ok(mut far) = TcpStream::connect(server).await else { return reset(&near) };
    // A network holds no small packet back; a socket does, for 40 ms, and each transaction would take a tenth of a second.
    [&near, &far].into_iter().for_each(|end| drop(end.set_nodelay(true)));
    let is_cut = {
        let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
        tokio::select! {
            _ = seen.wait_for(|way| *way == Way::Cut) => true,
            () = pass(near_in, far_out, way.clone()) => false,
            () = pass(far_in, near_out, way) => false,
        }
    };
    if is_cut {
        reset(&near);
        reset(&far);
    }
}

/// Until one of them has no more to say.
async fn pass(mut from: impl AsyncReadExt + Unpin, mut to: impl AsyncWriteExt + Unpin, mut way: watch::Receiver<Way>) {
    let mut buffer = vec![0; 16 << 10];
    while let Ok(read) = from.read(&mut buffer).await
        && read > 0
    {
        if way.wait_for(|way| *way != Way::Silent).await.is_err() || to.write_all(&buffer[..read]).await.is_err() {
            return;
        }
    }
}

/// What is closed without waiting for anything sends RST instead of FIN.
fn reset(stream: &TcpStream) {
    let _ = stream.set_zero_linger();
}

/// The ways of one replica.
pub(super) struct Network {
    pub(super) postgres: Proxy,
    pub(super) rabbit: Proxy,
}

impl Network {
    pub(super) async fn before(postgres: u16, rabbit: u16) -> Self {
        Self { postgres: Proxy::before(postgres).await, rabbit: Proxy::before(rabbit).await }
    }
}

/// Far more than any of it takes.
const SOON: Duration = Duration::from_secs(30);

/// Sends back what it is sent.
async fn echo() -> (u16, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let mut echoes = JoinSet::new();
    echoes.spawn(async move {
        let mut echoes = JoinSet::new();
        while let Ok((mut stream, _)) = listener.accept().await {
            echoes.spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
            });
        }
    });
    (port, echoes)
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).await.expect("accepted")
}

async fn answer(stream: &mut TcpStream) -> std::io::Result<u8> {
    let answer = async {
        stream.write_u8(7).await?;
        stream.read_u8().await
    };
    tokio::time::timeout(SOON, answer).await.expect("in time")
}

#[tokio::test]
async fn what_is_cut_is_reset_what_is_silent_waits_and_both_heal() {
    let (server, _echoes) = echo().await;
    let proxy = Proxy::before(server).await;
    let mut old = connect(&proxy).await;
    assert_eq!(answer(&mut old).await.expect("passed"), 7);

    proxy.set(Way::Silent);
    let mut new = connect(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_u8(8).await.expect("taken");
        let nothing = tokio::time::timeout(Duration::from_millis(300), stream.read_u8()).await;
        assert!(nothing.is_err(), "{nothing:?}");
    }
    proxy.set(Way::Open);
    for stream in [&mut old, &mut new] {
        assert_eq!(tokio::time::timeout(SOON, stream.read_u8()).await.expect("in time").expect("passed on"), 8);
    }

    proxy.set(Way::Cut);
    assert_eq!(old.read_u8().await.expect_err("cut").kind(), std::io::ErrorKind::ConnectionReset);
    assert!(answer(&mut connect(&proxy).await).await.is_err(), "cut as well");
    proxy.set(Way::Open);
    assert_eq!(answer(&mut connect(&proxy).await).await.expect("passed"), 7);
}
