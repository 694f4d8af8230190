//! One HTTP/1.1 listener, the same for every stand-in.
//!
//! Nothing is added to what a handler answers, not even `Date`, so that a stand-in can leave out what a bad server
//! leaves out, and close a connection without a word.

use std::io;
use std::net::SocketAddr;

use axum::body::Body;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Far above what a provider call needs; a longer request is cut off.
const LARGEST_REQUEST_BYTES: usize = 1 << 20;

/// The connection is to be closed without an answer.
#[derive(Debug, thiserror::Error)]
#[error("closed without an answer")]
pub(super) struct Lost;

/// Answers the requests of one listener.
pub(super) trait Respond: Clone + Send + Sync + 'static {
    /// The answer to `request`, whose body is complete, or the order to close the connection.
    fn respond(self, request: Request<Bytes>) -> impl Future<Output = Result<Response<Body>, Lost>> + Send;
}

/// A port that is taken but not yet served, so that a handler can know its own address.
pub(super) struct Bound {
    socket: TcpListener,
    addr: SocketAddr,
}

impl Bound {
    pub(super) async fn to(addr: SocketAddr) -> io::Result<Self> {
        let socket = TcpListener::bind(addr).await?;
        let addr = socket.local_addr()?;
        Ok(Self { socket, addr })
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    pub(super) fn serve(self, handler: impl Respond) -> Listener {
        let listener = Listener { addr: self.addr, stop: CancellationToken::new(), tasks: TaskTracker::new() };
        listener.tasks.spawn(accept(self.socket, handler, listener.clone()));
        listener
    }
}

/// A served port.
#[derive(Debug, Clone)]
pub(super) struct Listener {
    addr: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

impl Listener {
    pub(super) fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub(super) fn stop(&self) {
        self.stop.cancel();
        self.tasks.close();
    }

    pub(super) async fn shutdown(&self) {
        self.stop();
        self.tasks.wait().await;
    }
}

async fn accept(socket: TcpListener, handler: impl Respond, listener: Listener) {
    loop {
        tokio::select! {
            () = listener.stop.cancelled() => return,
            accepted = socket.accept() => if let Ok((stream, _)) = accepted {
                listener.tasks.spawn(converse(stream, handler.clone(), listener.clone()));
            },
        }
    }
}

async fn converse(stream: TcpStream, handler: impl Respond, listener: Listener) {
    // Without it a small answer waits for the peer's delayed acknowledgement.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| answer(request, handler.clone(), listener.clone()));
    let connection = http1::Builder::new().auto_date_header(false).serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = listener.stop.cancelled() => {},
        _ = connection => {},
    }
}

/// Runs the handler as a task: a server goes on with a request whose client has hung up.
async fn answer(request: Request<Incoming>, handler: impl Respond, listener: Listener) -> Result<Response<Body>, Lost> {
    let (head, body) = request.into_parts();
    let body = Limited::new(body, LARGEST_REQUEST_BYTES).collect().await.map_err(|_| Lost)?.to_bytes();
    let stop = listener.stop.clone();
    let task = async move {
        tokio::select! {
            () = stop.cancelled() => Err(Lost),
            answer = handler.respond(Request::from_parts(head, body)) => answer,
        }
    };
    listener.tasks.spawn(task).await.unwrap_or(Err(Lost))
}
