//! The sending half of a WebSocket: writes events, replies and the close frame, and
//! detects a client that accepts nothing.

use crate::{
    frame,
    transport::{Disconnect, STALL_TIMEOUT, Transport},
};
use bytes::Bytes;
use futures_util::{SinkExt, stream::SplitSink};
use serde_json::Value;
use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Mutex,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message, Utf8Bytes,
        protocol::{CloseFrame, frame::coding::CloseCode},
    },
};
use tokio_util::sync::CancellationToken;

/// The number of bytes that a connection has accepted.
type Progress = Arc<AtomicU64>;

/// The sending half. The connection and the command reader both write to it.
pub(super) struct WsTransport<S> {
    sink: Mutex<SplitSink<WebSocketStream<S>, Message>>,
    progress: Progress,
    closed: CancellationToken,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> WsTransport<S> {
    pub(super) fn new(sink: SplitSink<WebSocketStream<S>, Message>, progress: Progress) -> Self {
        Self { sink: Mutex::new(sink), progress, closed: CancellationToken::new() }
    }

    /// Sends one JSON object.
    pub(super) async fn send_json(&self, object: &Value) -> io::Result<()> {
        self.write([Message::text(object.to_string())]).await
    }

    /// Pings the client.
    pub(super) async fn send_ping(&self) -> io::Result<()> {
        self.write([Message::Ping(Bytes::new())]).await
    }

    /// Marks the client as disconnected.
    pub(super) fn mark_closed(&self) {
        self.closed.cancel();
    }

    /// Sends a close frame with the reason to a client that violates the protocol.
    pub(super) async fn close_for_error(&self, error: &Error) {
        match error {
            Error::Capacity(_) => self.send_close(1009, "message too large").await,
            Error::Utf8(_) => self.send_close(1007, "text is not UTF-8").await,
            Error::Protocol(_) => self.send_close(1002, "WebSocket protocol violation").await,
            _ => {}
        }
    }

    async fn send_close(&self, code: u16, reason: &'static str) {
        let close = CloseFrame { code: CloseCode::from(code), reason: Utf8Bytes::from_static(reason) };
        let _ = timeout(super::CLOSE_TIMEOUT, self.write([Message::Close(Some(close))])).await;
    }

    async fn write(&self, messages: impl IntoIterator<Item = Message>) -> io::Result<()> {
        let mut sink = self.sink.lock().await;
        for message in messages {
            self.with_stall_timeout(sink.feed(message)).await?;
        }
        self.with_stall_timeout(sink.flush()).await
    }

    /// Waits for a write. Fails if the client accepts no bytes for `STALL_TIMEOUT`.
    async fn with_stall_timeout(&self, write: impl Future<Output = Result<(), Error>>) -> io::Result<()> {
        let mut write = std::pin::pin!(write);
        loop {
            let before = self.progress.load(Ordering::Relaxed);
            match timeout(STALL_TIMEOUT, write.as_mut()).await {
                Ok(result) => return result.map_err(into_io_error),
                Err(_) if self.progress.load(Ordering::Relaxed) > before => {}
                Err(_) => return Err(io::ErrorKind::TimedOut.into()),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send> Transport for WsTransport<S> {
    async fn send(&self, frames: &[Bytes]) -> io::Result<()> {
        // This server encoded the JSON, so it is UTF-8.
        let text = |object: Bytes| Utf8Bytes::try_from(object).ok().map(Message::Text);
        let messages: Vec<Message> = frames.iter().flat_map(frame::json_objects).filter_map(text).collect();
        self.write(messages).await
    }

    async fn client_closed(&self) {
        self.closed.cancelled().await;
    }

    async fn close(&self, disconnect: Disconnect) {
        let (code, reason) = match disconnect {
            Disconnect::ClientGone => return,
            Disconnect::InvalidMessage => (1008, "the first message is invalid"),
            Disconnect::Unauthorized => (4001, "unauthorized"),
            Disconnect::SessionRevoked => (4002, "session revoked"),
            Disconnect::SlowConsumer => (4003, "too slow"),
            Disconnect::TooManyConnections => (4008, "too many connections"),
            Disconnect::Reconnect => (1001, "going away: reconnect after a short random delay"),
        };
        self.send_close(code, reason).await;
    }
}

/// Keeps the kind of an I/O error, such as a write that waited too long.
fn into_io_error(error: Error) -> io::Error {
    match error {
        Error::Io(error) => error,
        other => io::Error::other(other),
    }
}

/// A connection that counts the bytes that it accepts.
pub(super) struct ProgressIo<S> {
    io: S,
    progress: Progress,
}

impl<S> ProgressIo<S> {
    pub(super) fn new(io: S) -> (Self, Progress) {
        let progress = Progress::default();
        (Self { io, progress: Arc::clone(&progress) }, progress)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for ProgressIo<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, to)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for ProgressIo<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.io).poll_write(cx, from);
        if let Poll::Ready(Ok(bytes)) = result {
            self.progress.fetch_add(bytes as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
