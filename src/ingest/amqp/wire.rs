//! The stream under lapin: TCP or TLS of our own, strained, and cut off when its owner lets go.
//!
//! lapin drives a connection on a thread of its own, which would wait for ever for a broker that hangs. Here every read
//! ends once the token is cancelled, so that the thread ends as well.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use async_rs::traits::Reactor;
use async_rs::util::{DummyIO, RuntimeParts};
use async_rs::{Runtime, Tokio};
use bytes::BufMut;
use futures_core::Stream;
use futures_io::{AsyncRead, AsyncWrite};
use tokio::io::ReadBuf;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::address::Address;
use super::strainer::{Strainer, drain_into};

/// Read from the socket at once.
const CHUNK_BYTES: usize = 32 << 10;

/// The executor of tokio and our reactor.
pub(super) type Kit = RuntimeParts<Tokio, WireReactor>;

/// A runtime for lapin.
pub(super) fn runtime() -> Runtime<Kit> {
    Runtime::new(RuntimeParts::new(Tokio::current(), WireReactor(Tokio::current())))
}

trait Duplex: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin {}

impl<T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin> Duplex for T {}

/// A connection to a broker.
pub(super) struct Wire {
    inner: Box<dyn Duplex>,
    strainer: Strainer,
    token: CancellationToken,
    /// Polled by reads alone: it wakes whoever polled it last, and lapin always waits for something to read.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
}

impl Wire {
    /// Connects, in TLS where `tls` is given.
    pub(super) async fn open(
        address: &Address,
        tls: Option<&TlsConnector>,
        max_body: u64,
        token: CancellationToken,
    ) -> io::Result<Self> {
        let stream = TcpStream::connect((address.host(), address.port())).await?;
        stream.set_nodelay(true)?;
        let inner: Box<dyn Duplex> = match tls {
            None => Box::new(stream),
            Some(connector) => {
                let name = ServerName::try_from(address.host().to_owned()).map_err(io::Error::other)?;
                Box::new(connector.connect(name, stream).await?)
            }
        };
        let cut = Box::pin(token.clone().cancelled_owned());
        Ok(Self { inner, strainer: Strainer::new(max_body), token, cut })
    }

    /// An error once the owner has let go.
    fn check(&self) -> io::Result<()> {
        if self.token.is_cancelled() { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }

    /// Reads once. `Ok(0)` at the end of the stream.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut chunk = [0; CHUNK_BYTES];
        let mut buffer = ReadBuf::new(&mut chunk);
        ready!(tokio::io::AsyncRead::poll_read(Pin::new(&mut self.inner), cx, &mut buffer))?;
        self.strainer.input().put_slice(buffer.filled());
        self.strainer.strain().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Poll::Ready(Ok(buffer.filled().len()))
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, target: &mut [u8]) -> Poll<io::Result<usize>> {
        if self.cut.as_mut().poll(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        while self.strainer.output().is_empty() {
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Ok(0));
            }
        }
        Poll::Ready(Ok(drain_into(self.strainer.output(), target)))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.inner), cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.inner), cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.inner), cx)
    }
}

/// Sleeps as tokio does. lapin gets its streams from us, and asks for none.
#[derive(Debug, Clone)]
pub(super) struct WireReactor(Tokio);

impl Reactor for WireReactor {
    type TcpStream = Wire;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: io::Read + io::Write + Send + 'static>(
        &self,
        _: H,
    ) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<DummyIO, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, time: Duration) -> Self::Sleep {
        self.0.sleep(time)
    }

    fn interval(&self, time: Duration) -> impl Stream<Item = Instant> + Send + 'static {
        self.0.interval(time)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Wire>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
