//! How bytes of a stream reach a device: over our own socket, in a body that axum
//! is sending, or as a WebSocket's messages.

use crate::frame;
use bytes::{Bytes, BytesMut};
use std::{
    future::Future,
    io::{self, IoSlice},
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

/// How long a device may take nothing before it is given up.
pub(crate) const NO_PROGRESS: Duration = Duration::from_secs(10);

/// How much is handed to axum at once, in bytes.
const CHUNK: usize = 64 * 1024;

/// The most buffers that one write hands to the kernel.
const MAX_SLICES: usize = 64;

/// A device's end of a stream.
pub(crate) trait Wire: Send + Sync {
    /// Sends these bytes in order, in as few writes as possible. An error is the
    /// end: the device is gone, or took nothing for `NO_PROGRESS`.
    fn send(&self, frames: &[Bytes]) -> impl Future<Output = io::Result<()>> + Send;

    /// Returns when the device hangs up.
    fn hung_up(&self) -> impl Future<Output = ()> + Send;

    /// Says a last word.
    fn part(&self, parting: Parting) -> impl Future<Output = ()> + Send;
}

/// How a stream ends, as far as its device should know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parting {
    /// The device went first.
    Gone,
    /// The device took nothing for too long.
    TooSlow,
    /// Nobody knows whose it is.
    Unauthorized,
    /// What it said first makes no sense.
    Unreadable,
    /// Its session has ended: it need not come back.
    Revoked,
    /// It was one of too many.
    TooMany,
    /// It should come back soon.
    ComeBack,
}

/// The last word of an event stream: when to come back.
async fn say_when(wire: &impl Wire, parting: Parting) {
    let retry = match parting {
        Parting::Gone | Parting::TooSlow | Parting::Unauthorized | Parting::Unreadable | Parting::Revoked => return,
        // One tab too many would only push out the next: let it wait.
        Parting::TooMany => 60_000..120_000,
        Parting::ComeBack => 250..2_500,
    };
    let _ = wire.send(&[frame::retry(retry)]).await;
}

/// A connection that is ours.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

impl Wire for Socket {
    async fn send(&self, frames: &[Bytes]) -> io::Result<()> {
        let mut left = Left { frames, offset: 0 };
        while !left.frames.is_empty() {
            match left.write_to(&self.0) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
                Ok(()) => continue,
            }
            timeout(NO_PROGRESS, self.0.writable()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
        Ok(())
    }

    async fn hung_up(&self) {
        let mut scrap = [0u8; 64];
        loop {
            if self.0.readable().await.is_err() {
                return;
            }
            match self.0.try_read(&mut scrap) {
                Ok(0) => return,
                Ok(_) => {} // Nothing a client says on a stream means anything.
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    async fn part(&self, parting: Parting) {
        say_when(self, parting).await;
    }
}

/// What is still to be written: all of these frames but the first bytes of the
/// first.
struct Left<'a> {
    frames: &'a [Bytes],
    offset: usize,
}

impl Left<'_> {
    /// Writes as much as the socket takes at once.
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
        // `send` costs the kernel less than `writev`.
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

    /// Leaves out what was taken: whole frames, then a part of one.
    fn skip(&mut self, mut written: usize) {
        while let Some((frame, rest)) = self.frames.split_first() {
            let left = frame.len() - self.offset;
            if written < left {
                self.offset += written;
                return;
            }
            written -= left;
            (self.frames, self.offset) = (rest, 0);
        }
    }
}

/// The body of an answer that axum sends.
#[derive(Debug)]
pub(crate) struct Body(pub(crate) mpsc::Sender<io::Result<Bytes>>);

impl Wire for Body {
    async fn send(&self, frames: &[Bytes]) -> io::Result<()> {
        let mut chunk = BytesMut::new();
        for (nth, frame) in frames.iter().enumerate() {
            chunk.extend_from_slice(frame);
            if chunk.len() < CHUNK && nth + 1 < frames.len() {
                continue;
            }
            // A large frame goes in pieces, so that progress can be seen.
            while !chunk.is_empty() {
                let piece = chunk.split_to(chunk.len().min(CHUNK)).freeze();
                match timeout(NO_PROGRESS, self.0.send(Ok(piece))).await {
                    Ok(Ok(())) => {}
                    Ok(Err(_)) => return Err(io::ErrorKind::BrokenPipe.into()),
                    Err(_) => return Err(io::ErrorKind::TimedOut.into()),
                }
            }
        }
        Ok(())
    }

    async fn hung_up(&self) {
        self.0.closed().await;
    }

    async fn part(&self, parting: Parting) {
        say_when(self, parting).await;
    }
}
