//! Many open streams, read as fast as they come and counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

/// How many lines an event has, its blank one included.
#[derive(Clone, Copy)]
pub(crate) struct Lines(pub(crate) u64);

/// Open streams; dropping them hangs up.
pub(crate) struct Streams {
    lines: Arc<AtomicU64>,
    per_event: Lines,
    _readers: JoinSet<()>,
}

impl Streams {
    /// Opens a stream for each request head, and returns once all are open.
    pub(crate) async fn open(address: &str, heads: impl IntoIterator<Item = String>, per_event: Lines) -> Self {
        let lines = Arc::new(AtomicU64::new(0));
        let mut readers = JoinSet::new();
        let mut opening = JoinSet::new();
        for head in heads {
            let address = address.to_owned();
            opening.spawn(async move {
                let mut stream = TcpStream::connect(&address).await.expect("connected");
                stream.write_all(head.as_bytes()).await.expect("asked");
                let mut answer = vec![0u8; 1024];
                let n = stream.read(&mut answer).await.expect("answered");
                let answer = String::from_utf8_lossy(answer.get(..n).unwrap_or_default()).into_owned();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                stream
            });
            // A listen queue holds some hundreds.
            if opening.len() >= 100 {
                let stream = opening.join_next().await.expect("one").expect("opened");
                readers.spawn(read(stream, Arc::clone(&lines)));
            }
        }
        while let Some(stream) = opening.join_next().await {
            readers.spawn(read(stream.expect("opened"), Arc::clone(&lines)));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        Self { lines, per_event, _readers: readers }
    }

    /// Events that have reached all streams together, so far.
    pub(crate) fn deliveries(&self) -> f64 {
        self.lines.load(Ordering::Relaxed) as f64 / self.per_event.0 as f64
    }
}

async fn read(stream: TcpStream, lines: Arc<AtomicU64>) {
    // One buffer for all would need unsafe sharing; a small one each, made only
    // when there is something to read, keeps idle streams cheap.
    loop {
        if stream.readable().await.is_err() {
            return;
        }
        let mut buffer = [0u8; 16 * 1024];
        match stream.try_read(&mut buffer) {
            Ok(0) => return,
            Ok(n) => {
                let fresh = buffer.get(..n).unwrap_or_default();
                let count = fresh.iter().filter(|byte| **byte == b'\n').count();
                lines.fetch_add(count as u64, Ordering::Relaxed);
            }
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
