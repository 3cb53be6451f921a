//! A connection whose first bytes were already read and must be read again, and that
//! fails if its client does not read.

use bytes::{Buf, BytesMut};
use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};

/// How long a write may wait for a client that reads nothing. Longer than the limit of
/// event streams, which close with a reason of their own.
const STALL_TIMEOUT: Duration = Duration::from_secs(15);

/// Reads `buffer` first, then the rest of `stream`.
pub(crate) struct Rewind {
    buffer: BytesMut,
    stream: TcpStream,
    /// The timeout of the write that waits, if one does.
    stall: Option<Pin<Box<Sleep>>>,
}

impl AsyncRead for Rewind {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.buffer.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, to);
        }
        let n = self.buffer.len().min(to.remaining());
        to.put_slice(self.buffer.get(..n).unwrap_or_default());
        self.buffer.advance(n);
        if self.buffer.is_empty() {
            // Free the memory: the connection may live for hours.
            self.buffer = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl Rewind {
    pub(crate) fn new(buffer: BytesMut, stream: TcpStream) -> Self {
        Self { buffer, stream, stall: None }
    }

    /// Fails a write that has waited too long for the client to read.
    fn with_stall_timeout<T>(&mut self, cx: &mut Context<'_>, write: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if write.is_ready() {
            self.stall = None;
            return write;
        }
        let stall = self.stall.get_or_insert_with(|| Box::pin(sleep(STALL_TIMEOUT)));
        stall.as_mut().poll(cx).map(|()| Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write(cx, from);
        self.with_stall_timeout(cx, write)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let write = Pin::new(&mut self.stream).poll_write_vectored(cx, from);
        self.with_stall_timeout(cx, write)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flush = Pin::new(&mut self.stream).poll_flush(cx);
        self.with_stall_timeout(cx, flush)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
