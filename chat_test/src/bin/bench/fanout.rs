//! A thousand streams in one chat: what a delivery costs the server at steady
//! rates, and how many a core delivers when it is given all it can take.

use crate::{
    controls::nchan,
    process::{Server, pinned, sibling},
    report::Report,
    streams::{Lines, Streams},
    world::World,
};
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, interval},
};

const STREAMS: usize = 1_000;
const WINDOW: Duration = Duration::from_secs(4);

/// How often events are due in a steady run; several may be due at once.
const TICK: Duration = Duration::from_millis(5);

/// Who publishes to a server.
pub(crate) enum Source<'a> {
    /// Confab: the log.
    Log(&'a World),
    /// A control: its own HTTP publisher.
    Http(String),
}

pub(crate) async fn run(report: &mut Report) {
    let world = World::create(i32::try_from(STREAMS).unwrap_or(i32::MAX)).await;
    let confab = world.notify_server();
    let heads = world.people.iter().map(|user| world.head(*user, None)).collect();
    let ours = measure(report, "Confab", &confab, heads, Lines(4), &Source::Log(&world)).await;
    drop(confab);

    let plain = || vec!["GET /events HTTP/1.1\r\nHost: bench\r\nAccept: text/event-stream\r\n\r\n".to_owned(); STREAMS];
    let folder = tempfile::tempdir().expect("a folder");
    match nchan::start(folder.path()) {
        Some(server) => {
            let source = Source::Http(server.address.clone());
            let theirs = measure(report, "nchan", &server, plain(), Lines(3), &source).await;
            report.row(
                "fan-out",
                "Confab / nchan, deliveries per core at saturation",
                ours.saturated / theirs.saturated,
                "×",
            );
            report.row("fan-out", "Confab / nchan, CPU per delivery at 80 events/s", ours.at_80 / theirs.at_80, "×");
        }
        None => eprintln!("nchan is not installed (Debian: nginx libnginx-mod-nchan); left out"),
    }
    let mut control = pinned(sibling("bench"));
    control.arg("control-axum");
    let server = Server::start(control);
    let source = Source::Http(server.address.clone());
    let theirs = measure(report, "axum Sse + broadcast", &server, plain(), Lines(4), &source).await;
    report.row("fan-out", "Confab / axum, deliveries per core at saturation", ours.saturated / theirs.saturated, "×");
}

/// The figures that are compared.
struct Measured {
    /// Deliveries per second of the server's processor time.
    saturated: f64,
    /// Microseconds of processor time per delivery.
    at_80: f64,
}

async fn measure(
    report: &mut Report,
    name: &str,
    server: &Server,
    heads: Vec<String>,
    lines: Lines,
    source: &Source<'_>,
) -> Measured {
    let streams = Streams::open(&server.address, heads, lines).await;
    let mut at_80 = f64::NAN;
    for rate in [20, 80, 400] {
        let (deliveries, cpu) = window(server, &streams, publish_steadily(source, rate)).await;
        let micros = cpu / deliveries * 1e6;
        report.row("fan-out", &format!("{name}: CPU per delivery at {rate} events/s"), micros, "µs");
        if rate == 80 {
            at_80 = micros;
        }
    }
    let (deliveries, cpu) = window(server, &streams, publish_flat_out(source)).await;
    let saturated = deliveries / cpu;
    report.row("fan-out", &format!("{name}: deliveries per core-second, saturated"), saturated, "/s");
    Measured { saturated, at_80 }
}

/// Deliveries and the server's processor seconds while something is published.
async fn window(server: &Server, streams: &Streams, publish: impl Future<Output = ()>) -> (f64, f64) {
    let (deliveries, cpu) = (streams.deliveries(), server.cpu_seconds());
    publish.await;
    // What was published last is still on its way.
    tokio::time::sleep(Duration::from_millis(300)).await;
    (streams.deliveries() - deliveries, server.cpu_seconds() - cpu)
}

async fn publish_steadily(source: &Source<'_>, per_second: u32) {
    let mut publisher = Publisher::open(source).await;
    let (begun, mut ticks, mut said) = (Instant::now(), interval(TICK), 0);
    while begun.elapsed() < WINDOW {
        ticks.tick().await;
        let due = (begun.elapsed().as_secs_f64() * f64::from(per_second)) as i32;
        // One at a time, as people send: each is an event of its own in time.
        while said < due {
            publisher.publish(1).await;
            said += 1;
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
    Log(&'a World),
    Http(TcpStream, Vec<u8>),
}

impl<'a> Publisher<'a> {
    async fn open(source: &'a Source<'a>) -> Self {
        match source {
            Source::Log(world) => Self::Log(world),
            Source::Http(address) => {
                // As long as the JSON of a message from the log.
                let data = "x".repeat(330);
                let request =
                    format!("POST /publish HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{data}", data.len());
                let stream = TcpStream::connect(address).await.expect("connected");
                stream.set_nodelay(true).expect("a socket");
                Self::Http(stream, request.into_bytes())
            }
        }
    }

    async fn publish(&mut self, count: i32) {
        match self {
            Self::Log(world) => world.say(count).await,
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
