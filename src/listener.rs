//! Serves HTTP/1.1 so that no peer can hold it up: caps on connections, time limits on heads, a clean drain.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tower::ServiceExt;

use crate::lifecycle::Lifecycle;

/// What peers may use up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ListenerLimits {
    /// Connections at once. Beyond it, new ones are closed at once.
    pub connections: usize,
    /// Connections at once from one address.
    pub connections_per_peer: usize,
    /// The longest that a request's head may take, and that a connection may idle.
    pub header_timeout: Duration,
}

/// Accepts until the drain begins, then lets running requests finish.
pub async fn serve(listener: TcpListener, router: Router, limits: ListenerLimits, lifecycle: Lifecycle) {
    let peers = Arc::new(Peers::default());
    loop {
        let accepted = tokio::select! {
            () = lifecycle.draining() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, peer)) => {
                let Some(seat) = Peers::seat(&peers, peer.ip(), &limits) else { continue };
                let connection = converse(stream, peer, router.clone(), limits, lifecycle.clone());
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

async fn converse(stream: TcpStream, peer: SocketAddr, router: Router, limits: ListenerLimits, lifecycle: Lifecycle) {
    // Answers are small and awaited: never hold them back to fill a packet.
    let _ = stream.set_nodelay(true);
    let service = router.map_request(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
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
struct Peers(Mutex<HashMap<IpAddr, usize>>);

struct Seat {
    peers: Arc<Peers>,
    peer: IpAddr,
}

impl Peers {
    fn seat(peers: &Arc<Self>, peer: IpAddr, limits: &ListenerLimits) -> Option<Seat> {
        let mut seats = peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = seats.values().sum();
        let taken = seats.entry(peer).or_default();
        if total >= limits.connections || *taken >= limits.connections_per_peer {
            return None;
        }
        *taken += 1;
        Some(Seat { peers: Arc::clone(peers), peer })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.peers.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(taken) = seats.get_mut(&self.peer) {
            *taken -= 1;
            if *taken == 0 {
                seats.remove(&self.peer);
            }
        }
    }
}
