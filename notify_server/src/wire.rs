//! The two ways that bytes reach a device: our own socket, or a body that axum
//! is sending.

use bytes::Bytes;
use std::{
    future::Future,
    io::{self, IoSlice},
    time::Duration,
};
use tokio::{net::TcpStream, sync::mpsc, time::timeout};

/// How long a device may take nothing before it is given up.
const NO_PROGRESS: Duration = Duration::from_secs(10);

/// The most buffers that one write hands to the kernel.
const MAX_SLICES: usize = 256;

/// A device's end of a stream.
pub(crate) trait Wire: Send {
    /// Sends these bytes in order, in as few writes as possible. An error is the
    /// end: the device is gone, or took nothing for `NO_PROGRESS`.
    fn send(&mut self, frames: &[Bytes]) -> impl Future<Output = io::Result<()>> + Send;

    /// Returns when the device hangs up.
    fn hung_up(&mut self) -> impl Future<Output = ()> + Send;
}

/// A connection that is ours.
#[derive(Debug)]
pub(crate) struct Socket(pub(crate) TcpStream);

impl Wire for Socket {
    async fn send(&mut self, frames: &[Bytes]) -> io::Result<()> {
        let (mut first, mut offset) = (0, 0);
        while let Some(rest) = frames.get(first..).filter(|rest| !rest.is_empty()) {
            let slices: Vec<IoSlice<'_>> = rest
                .iter()
                .take(MAX_SLICES)
                .enumerate()
                .map(|(nth, frame)| {
                    IoSlice::new(if nth == 0 { frame.get(offset..).unwrap_or_default() } else { frame })
                })
                .collect();
            let mut written = self.write_some(&slices).await?;
            // Skip what was taken: whole frames, then a part of one.
            while let Some(frame) = frames.get(first) {
                let left = frame.len() - offset;
                if written < left {
                    offset += written;
                    break;
                }
                written -= left;
                (first, offset) = (first + 1, 0);
            }
        }
        Ok(())
    }

    async fn hung_up(&mut self) {
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
}

impl Socket {
    async fn write_some(&self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        loop {
            match self.0.try_write_vectored(slices) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                done => return done,
            }
            timeout(NO_PROGRESS, self.0.writable()).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        }
    }
}

/// The body of an answer that axum sends.
#[derive(Debug)]
pub(crate) struct Body(pub(crate) mpsc::Sender<io::Result<Bytes>>);

impl Wire for Body {
    async fn send(&mut self, frames: &[Bytes]) -> io::Result<()> {
        let chunk = match frames {
            [one] => one.clone(),
            many => Bytes::from(many.concat()),
        };
        match timeout(NO_PROGRESS, self.0.send(Ok(chunk))).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    async fn hung_up(&mut self) {
        self.0.closed().await;
    }
}
