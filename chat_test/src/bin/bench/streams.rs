//! Many open streams. They are read as fast as possible, and their events are counted.

use chat_core::{Time, time};
use hdrhistogram::Histogram;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpStream,
    task::JoinSet,
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// Number of lines per event, including the blank one.
#[derive(Clone, Copy)]
pub(crate) struct LinesPerEvent(pub(crate) u64);

/// Open streams. Dropping this closes them.
pub(crate) struct Streams {
    lines: Arc<AtomicU64>,
    per_event: LinesPerEvent,
    _readers: JoinSet<()>,
}

impl Streams {
    /// Opens a stream for each request head, and returns once all are open.
    pub(crate) async fn open(
        address: &str,
        requests: impl IntoIterator<Item = String>,
        per_event: LinesPerEvent,
    ) -> Self {
        let lines = Arc::new(AtomicU64::new(0));
        let mut readers = JoinSet::new();
        let mut opening = JoinSet::new();
        for request in requests {
            let address = address.to_owned();
            opening.spawn(async move {
                let mut stream = send_request(&address, &request).await;
                let mut answer = vec![0u8; 1024];
                let n = stream.read(&mut answer).await.expect("answered");
                let answer = String::from_utf8_lossy(answer.get(..n).unwrap_or_default()).into_owned();
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                stream
            });
            // A listen queue holds only a few hundred connections.
            if opening.len() >= 100 {
                let stream = opening.join_next().await.expect("one").expect("opened");
                readers.spawn(count_lines(stream, Arc::clone(&lines)));
            }
        }
        while let Some(stream) = opening.join_next().await {
            readers.spawn(count_lines(stream.expect("opened"), Arc::clone(&lines)));
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
        Self { lines, per_event, _readers: readers }
    }

    /// Returns the number of events that all streams together have received so far.
    pub(crate) fn deliveries(&self) -> f64 {
        self.lines.load(Ordering::Relaxed) as f64 / self.per_event.0 as f64
    }
}

/// Streams that measure latency: the clock minus the timestamp of each event.
pub(crate) struct LatencyProbe {
    readers: JoinSet<Histogram<u64>>,
    stop: CancellationToken,
}

impl LatencyProbe {
    /// Opens a stream for each request head and waits until all are ready.
    pub(crate) async fn open(address: &str, requests: impl IntoIterator<Item = String>) -> Self {
        let (mut readers, stop) = (JoinSet::new(), CancellationToken::new());
        for request in requests {
            let mut stream = BufReader::new(send_request(address, &request).await);
            let mut line = String::new();
            while !line.starts_with("event: ready") {
                line.clear();
                stream.read_line(&mut line).await.expect("answered");
            }
            readers.spawn(record_latencies(stream, stop.clone()));
        }
        sleep(Duration::from_millis(500)).await;
        Self { readers, stop }
    }

    /// Closes the streams and returns the latencies of all events, in microseconds.
    pub(crate) async fn finish(self) -> Histogram<u64> {
        self.stop.cancel();
        let mut all = Histogram::new(3).expect("a histogram");
        for one in self.readers.join_all().await {
            all.add(one).expect("the same form");
        }
        all
    }
}

async fn record_latencies(mut stream: BufReader<TcpStream>, stop: CancellationToken) -> Histogram<u64> {
    let mut latencies = Histogram::new(3).expect("a histogram");
    let mut line = String::new();
    loop {
        line.clear();
        tokio::select! {
            () = stop.cancelled() => return latencies,
            read = stream.read_line(&mut line) => assert!(read.expect("read") > 0, "the stream goes on"),
        }
        let at = line.strip_prefix("data: {\"type\":\"message.new\"").and_then(|rest| rest.split_once("\"at\":"));
        if let Some((_, at)) = at {
            let mut values = serde_json::Deserializer::from_str(at).into_iter::<Time>();
            let Time(at) = values.next().expect("a time").expect("a time");
            let late = (time::now() - at).num_microseconds().unwrap_or(0);
            latencies.record(late.max(0) as u64).expect("it grows");
        }
    }
}

/// Opens a stream for each request head, all at once. Reads each stream until it
/// contains `line`, and returns the number of streams that did.
pub(crate) async fn open_until(address: &str, requests: impl IntoIterator<Item = String>, line: &'static str) -> usize {
    let mut opening = JoinSet::new();
    for request in requests {
        let address = address.to_owned();
        opening.spawn(async move {
            let mut stream = send_request(&address, &request).await;
            let mut text = Vec::new();
            while !text.windows(line.len()).any(|window| window == line.as_bytes()) {
                if stream.read_buf(&mut text).await.expect("answered") == 0 {
                    return None;
                }
            }
            // Keep the stream open, so that no disconnect is measured.
            Some(stream)
        });
    }
    opening.join_all().await.iter().filter(|stream| stream.is_some()).count()
}

/// Opens a connection and sends a request on it.
async fn send_request(address: &str, request: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("sent");
    stream
}

async fn count_lines(stream: TcpStream, lines: Arc<AtomicU64>) {
    // One buffer for all streams would need unsafe code. A small buffer per stream,
    // created only when there is data to read, keeps idle streams cheap.
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
