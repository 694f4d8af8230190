//! Bodies that a healthy server would not send: endless ones and trickling ones.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Interval, interval};

const CHUNK_BYTES: usize = 16 * 1024;

/// Blanks in pieces of 16 KiB, without a length announced.
pub(super) struct Huge {
    left_bytes: usize,
}

impl Huge {
    pub(super) fn new(size_bytes: usize) -> Self {
        Self { left_bytes: size_bytes }
    }
}

impl Body for Huge {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let size = self.left_bytes.min(CHUNK_BYTES);
        self.left_bytes -= size;
        Poll::Ready((size > 0).then(|| Ok(Frame::data(Bytes::from(vec![b' '; size])))))
    }
}

/// One blank per tick.
pub(super) struct Drip {
    left_bytes: usize,
    ticks: Interval,
}

impl Drip {
    pub(super) fn new(size_bytes: usize, every: Duration) -> Self {
        // Zero would make `interval` panic.
        Self { left_bytes: size_bytes, ticks: interval(every.max(Duration::from_millis(1))) }
    }
}

impl Body for Drip {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left_bytes == 0 {
            return Poll::Ready(None);
        }
        std::task::ready!(self.ticks.poll_tick(cx));
        self.left_bytes -= 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b" ")))))
    }
}
