//! How frames reach a client: over a bare socket, in a response body that axum sends,
//! or as WebSocket messages.

use crate::frame;
use bytes::{Bytes, BytesMut};
use std::{
    future::Future,
    io::{self, IoSlice},
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

/// How long a client may accept nothing before it is disconnected.
pub(crate) const STALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Maximum size of a chunk that is passed to axum, in bytes.
const CHUNK_BYTES: usize = 64 * 1024;

/// Maximum number of buffers that one write passes to the kernel.
const MAX_SLICES: usize = 64;

/// The sending side of a connection.
pub(crate) trait Transport: Send + Sync {
    /// Sends frames in order, in as few writes as possible. An error is final: the client
    /// has disconnected, or accepted nothing for `STALL_TIMEOUT`.
    fn send(&self, frames: &[Bytes]) -> impl Future<Output = io::Result<()>> + Send;

    /// Waits until the client closes the connection.
    fn client_closed(&self) -> impl Future<Output = ()> + Send;

    /// Tells the client how the connection ends.
    fn close(&self, disconnect: Disconnect) -> impl Future<Output = ()> + Send;
}

/// How a connection ends, as reported to its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disconnect {
    /// The client closed the connection.
    ClientGone,
    /// The client accepted nothing for too long.
    SlowConsumer,
    /// The client is not authenticated.
    Unauthorized,
    /// The client's first message is invalid.
    InvalidMessage,
    /// The session has ended, so the client must not reconnect.
    SessionRevoked,
    /// The user has too many connections.
    TooManyConnections,
    /// The client should reconnect soon.
    Reconnect,
}

/// Tells the client of an event stream when to reconnect, unless it must not reconnect.
async fn send_retry(transport: &impl Transport, disconnect: Disconnect) {
    let retry = match disconnect {
        Disconnect::ClientGone
        | Disconnect::SlowConsumer
        | Disconnect::Unauthorized
        | Disconnect::InvalidMessage
        | Disconnect::SessionRevoked => return,
        // A tab that reconnects too early would close another tab's connection.
        Disconnect::TooManyConnections => 60_000..120_000,
        Disconnect::Reconnect => 250..2_500,
    };
    let _ = transport.send(&[frame::retry(retry)]).await;
}

/// A TCP socket, served without hyper.
#[derive(Debug)]
pub(crate) struct SocketTransport(pub(crate) TcpStream);

impl Transport for SocketTransport {
    async fn send(&self, frames: &[Bytes]) -> io::Result<()> {
        let mut pending = PendingWrite { frames, offset: 0 };
        while !pending.frames.is_empty() {
            match pending.write_to(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(()) => continue,
            }
            timeout(STALL_TIMEOUT, self.0.writable()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        Ok(())
    }

    async fn client_closed(&self) {
        let mut discarded = [0u8; 64];
        loop {
            if self.0.readable().await.is_err() {
                return;
            }
            match self.0.try_read(&mut discarded) {
                Ok(0) => return,
                Ok(_) => {} // Bytes that a client sends on an event stream are ignored.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    async fn close(&self, disconnect: Disconnect) {
        send_retry(self, disconnect).await;
    }
}

/// The frames that are still to be written, except the first `offset` bytes of the first
/// frame.
struct PendingWrite<'a> {
    frames: &'a [Bytes],
    offset: usize,
}

impl PendingWrite<'_> {
    /// Writes as much as the socket accepts at once.
    fn write_to(&mut self, socket: &TcpStream) -> io::Result<()> {
        match self.write_some(socket)? {
            0 => Err(io::ErrorKind::WriteZero.into()),
            written => {
                self.skip(written);
                Ok(())
            }
        }
    }

    fn write_some(&self, socket: &TcpStream) -> io::Result<usize> {
        // `send` is cheaper than `writev`.
        if let [frame] = self.frames {
            return socket.try_write(frame.get(self.offset..).unwrap_or_default());
        }
        let mut slices = [IoSlice::new(&[]); MAX_SLICES];
        let mut count = 0;
        for (slice, frame) in slices.iter_mut().zip(self.frames) {
            let from = if count == 0 { self.offset } else { 0 };
            *slice = IoSlice::new(frame.get(from..).unwrap_or_default());
            count += 1;
        }
        socket.try_write_vectored(slices.get(..count).unwrap_or_default())
    }

    /// Skips the written bytes: complete frames, then a part of one.
    fn skip(&mut self, mut written: usize) {
        while let Some((frame, rest)) = self.frames.split_first() {
            let pending = frame.len() - self.offset;
            if written < pending {
                self.offset += written;
                return;
            }
            written -= pending;
            (self.frames, self.offset) = (rest, 0);
        }
    }
}

/// A response body that axum sends.
#[derive(Debug)]
pub(crate) struct BodyTransport(pub(crate) mpsc::Sender<io::Result<Bytes>>);

impl Transport for BodyTransport {
    async fn send(&self, frames: &[Bytes]) -> io::Result<()> {
        let mut chunk = BytesMut::new();
        for (index, frame) in frames.iter().enumerate() {
            chunk.extend_from_slice(frame);
            if chunk.len() < CHUNK_BYTES && index + 1 < frames.len() {
                continue;
            }
            // Send a large frame in parts, so that the stall timeout can detect
            // progress.
            while !chunk.is_empty() {
                let part = chunk.split_to(chunk.len().min(CHUNK_BYTES)).freeze();
                match timeout(STALL_TIMEOUT, self.0.send(Ok(part))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                    Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                }
            }
        }
        Ok(())
    }

    async fn client_closed(&self) {
        self.0.closed().await;
    }

    async fn close(&self, disconnect: Disconnect) {
        send_retry(self, disconnect).await;
    }
}
