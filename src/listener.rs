//! Serves HTTP/1.1 so that no peer can hold it up: caps on connections, time limits on heads, a clean drain.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::lifecycle::Lifecycle;
use crate::telemetry::Metrics;
use crate::tls::{HandshakeError, ServerTls, TlsPeer};

/// What peers may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at once. Beyond it, new ones are closed at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_peer: usize,
    /// The longest that a handshake or a request's head may take, and that a connection may idle.
    pub header_timeout: Duration,
}

/// TLS on a listener, and where its handshakes are counted.
#[derive(Clone)]
pub struct Secured {
    /// Our side of it.
    pub tls: Arc<ServerTls>,
    /// The counters.
    pub metrics: Arc<Metrics>,
}

/// Accepts until the drain begins, then lets running requests finish. With `secured`, nothing is taken in the clear.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    limits: ListenerLimits,
    secured: Option<Secured>,
    lifecycle: Lifecycle,
) {
    let peers = Arc::new(Peers::default());
    loop {
        let accepted = tokio::select! {
            () = lifecycle.draining() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(seat) = Peers::seat(&peers, peer.ip(), &limits) else { continue };
                let connection = welcome(stream, peer, router.clone(), limits, secured.clone(), lifecycle.clone());
                lifecycle.spawn(async move {
                    connection.await;
                    drop(seat);
                });
            }
            Err(error) => {
                // Out of file descriptors, most likely; some will be free again soon.
                tracing::warn!(error = %error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn welcome(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ListenerLimits,
    secured: Option<Secured>,
    lifecycle: Lifecycle,
) {
    // Answers are small and awaited: never hold them back to fill a packet.
    let _ = stream.set_nodelay(true);
    let Some(Secured { tls, metrics }) = secured else {
        return converse(stream, peer, None, router, limits, lifecycle).await;
    };
    let accepted = tokio::select! {
        () = lifecycle.draining() => return,
        accepted = tls.accept(stream, limits.header_timeout) => accepted,
    };
    match accepted {
        Ok((stream, other)) => {
            tls.count(&metrics, "ok");
            converse(stream, peer, Some(other), router, limits, lifecycle).await;
        }
        Err(error) => {
            tls.count(&metrics, if matches!(error, HandshakeError::TooSlow) { "too_slow" } else { "failed" });
            tracing::debug!(%peer, error = %error, "no TLS connection came about");
        }
    }
}

async fn converse<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    stream: S,
    peer: SocketAddr,
    secured: Option<TlsPeer>,
    router: Router,
    limits: ListenerLimits,
    lifecycle: Lifecycle,
) {
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        if let Some(secured) = &secured {
            request.extensions_mut().insert(secured.clone());
        }
        request.map(axum::body::Body::new)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(64 * 1024)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service));
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = lifecycle.draining() => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                ended = connection => ended,
                () = lifecycle.aborting() => Ok(()),
            }
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %error, "a connection ended early");
    }
}

/// Who is connected how often.
#[derive(Default)]
struct Peers(Mutex<Seats>);

#[derive(Default)]
struct Seats {
    taken: HashMap<IpAddr, usize>,
    total: usize,
}

struct Seat {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    fn seat(peers: &Arc<Self>, peer: IpAddr, limits: &ListenerLimits) -> Option<Seat> {
        let peer = household(peer);
        let mut seats = peers.lock();
        let taken = seats.taken.get(&peer).copied().unwrap_or_default();
        // Whoever is turned away leaves nothing behind.
        if seats.total >= limits.connections || taken >= limits.connections_per_peer {
            return None;
        }
        seats.taken.insert(peer, taken + 1);
        seats.total += 1;
        Some(Seat { peers: Arc::clone(peers), peer })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Seats> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.peers.lock();
        seats.total -= 1;
        if let Some(taken) = seats.taken.get_mut(&self.peer) {
            *taken -= 1;
            if *taken == 0 {
                seats.taken.remove(&self.peer);
            }
        }
    }
}

/// One household has one IPv6 /64 (RFC 6177): its 2^64 addresses count as one peer.
#[must_use]
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_household_counts_once() {
        let of = |text: &str| household(text.parse().expect("an address")).to_string();
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2::1"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:203.0.113.5"), "203.0.113.5");
    }

    #[test]
    fn whoever_is_turned_away_leaves_nothing_behind() {
        let limits = ListenerLimits { connections: 2, connections_per_peer: 1, header_timeout: Duration::from_secs(1) };
        let peers = Arc::new(Peers::default());
        let seat = |peer: &str| Peers::seat(&peers, peer.parse().expect("an address"), &limits);
        let first = seat("2001:db8::1").expect("room");
        assert!(seat("2001:db8::2").is_none(), "the same household");
        let second = seat("203.0.113.1").expect("room");
        for number in 0..100 {
            assert!(seat(&format!("203.0.113.{number}")).is_none(), "all are taken");
        }
        assert_eq!(peers.lock().taken.len(), 2);
        drop((first, second));
        let left = peers.lock();
        assert_eq!((left.taken.len(), left.total), (0, 0));
    }
}
