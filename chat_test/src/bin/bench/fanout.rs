//! A thousand streams in one chat: the server's cost per delivery at steady rates,
//! and the deliveries per core at saturation.

use crate::{
    controls::nchan,
    environment::Environment,
    process::{Server, pinned_command, sibling_binary},
    report::Report,
    streams::{LinesPerEvent, Streams},
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, interval},
};

const STREAMS: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(4);

/// The tick of a steady run. Several events may be due on one tick.
const TICK: Duration = Duration::from_millis(5);

/// The source of a server's events.
pub(crate) enum Source<'a> {
    /// Confab: rows inserted into the database.
    Log(&'a Environment),
    /// A control: its own HTTP publish endpoint.
    Http(String),
}

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(i32::try_from(STREAMS).unwrap_or(i32::MAX)).await;
    let confab = env.notify_server();
    let requests = env.users.iter().map(|user| env.stream_request(*user, None)).collect();
    let ours = measure(report, "Confab", &confab, requests, LinesPerEvent(4), &Source::Log(&env)).await;
    drop(confab);

    let plain =
        || vec!["GET /events HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n".to_owned(); STREAMS];
    let folder = tempfile::tempdir().expect("a directory");
    match nchan::start(folder.path()) {
        Some(server) => {
            let source = Source::Http(server.address.clone());
            let theirs = measure(report, "nchan", &server, plain(), LinesPerEvent(3), &source).await;
            report.add_row(
                "fan-out",
                "Confab / nchan, deliveries per core at saturation",
                ours.saturated / theirs.saturated,
                "×",
            );
            report.add_row(
                "fan-out",
                "Confab / nchan, CPU per delivery at 80 events/s",
                ours.at_80 / theirs.at_80,
                "×",
            );
        }
        None => eprintln!("nchan is not installed (Debian: nginx libnginx-mod-nchan); left out"),
    }
    let mut control = pinned_command(sibling_binary("bench"));
    control.arg("control-axum");
    let server = Server::start(control);
    let source = Source::Http(server.address.clone());
    let theirs = measure(report, "axum Sse + broadcast", &server, plain(), LinesPerEvent(4), &source).await;
    report.add_row(
        "fan-out",
        "Confab / axum, deliveries per core at saturation",
        ours.saturated / theirs.saturated,
        "×",
    );
}

/// The results that are compared.
struct Measurement {
    /// Deliveries per second of the server's CPU time.
    saturated: f64,
    /// Microseconds of CPU time per delivery at 80 events per second.
    at_80: f64,
}

async fn measure(
    report: &mut Report,
    name: &str,
    server: &Server,
    requests: Vec<String>,
    lines_per_event: LinesPerEvent,
    source: &Source<'_>,
) -> Measurement {
    let streams = Streams::open(&server.address, requests, lines_per_event).await;
    let mut at_80 = f64::NAN;
    for rate in [20, 80, 400] {
        let (deliveries, cpu) = measure_window(server, &streams, publish_steadily(source, rate)).await;
        let micros = cpu / deliveries * 1e6;
        report.add_row("fan-out", &format!("{name}: CPU per delivery at {rate} events/s"), micros, "µs");
        if rate == 80 {
            at_80 = micros;
        }
    }
    let (deliveries, cpu) = measure_window(server, &streams, publish_flat_out(source)).await;
    let saturated = deliveries / cpu;
    report.add_row("fan-out", &format!("{name}: deliveries per core-second, saturated"), saturated, "/s");
    Measurement { saturated, at_80 }
}

/// Returns the deliveries and the server's CPU seconds while `publish` runs.
async fn measure_window(server: &Server, streams: &Streams, publish: impl Future<Output = ()>) -> (f64, f64) {
    let (deliveries, cpu) = (streams.deliveries(), server.cpu_seconds());
    publish.await;
    // The last events are still in flight.
    tokio::time::sleep(Duration::from_millis(300)).await;
    (streams.deliveries() - deliveries, server.cpu_seconds() - cpu)
}

async fn publish_steadily(source: &Source<'_>, per_second: u32) {
    let mut publisher = Publisher::open(source).await;
    let (begun, mut ticks, mut sent) = (Instant::now(), interval(TICK), 0);
    while begun.elapsed() < WINDOW {
        ticks.tick().await;
        let due = (begun.elapsed().as_secs_f64() * f64::from(per_second)) as i32;
        // One message per statement, as users send them, so that events are not batched.
        while sent < due {
            publisher.publish(1).await;
            sent += 1;
        }
    }
}

pub(crate) async fn publish_flat_out(source: &Source<'_>) {
    let mut publisher = Publisher::open(source).await;
    let begun = Instant::now();
    while begun.elapsed() < WINDOW {
        publisher.publish(100).await;
    }
}

enum Publisher<'a> {
    Log(&'a Environment),
    Http(TcpStream, Vec<u8>),
}

impl<'a> Publisher<'a> {
    async fn open(source: &'a Source<'a>) -> Self {
        match source {
            Source::Log(env) => Self::Log(env),
            Source::Http(address) => {
                // As many bytes as the JSON of a message from the log.
                let data = "x".repeat(330);
                let request = format!(
                    "POST /publish HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{data}",
                    data.len()
                );
                let stream = TcpStream::connect(address).await.expect("connected");
                stream.set_nodelay(true).expect("a socket");
                Self::Http(stream, request.into_bytes())
            }
        }
    }

    async fn publish(&mut self, count: i32) {
        match self {
            Self::Log(env) => env.insert_messages(count).await,
            Self::Http(stream, request) => {
                for _ in 0..count {
                    stream.write_all(request).await.expect("published");
                    let mut answer = [0u8; 1024];
                    assert!(stream.read(&mut answer).await.expect("answered") > 0);
                }
            }
        }
    }
}
