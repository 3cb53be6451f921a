//! Memory per idle stream, up to the number of streams that one replica is designed for.

use crate::{
    environment::Environment,
    report::Report,
    streams::{LinesPerEvent, Streams},
};

/// The number of streams that fits into the limit of 20,000 open files.
const MAX_STREAMS: i32 = 18_000;

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(MAX_STREAMS).await;
    let server = env.notify_server();
    let empty = server.resident_bytes();
    // All streams stay open while more are opened.
    let (mut open, mut users) = (Vec::new(), env.users.iter());
    for (count, more) in [(1_000, 1_000), (10_000, 9_000), (18_000, 8_000)] {
        let requests = users.by_ref().take(more).map(|user| env.stream_request(*user, None));
        open.push(Streams::open(&server.address, requests, LinesPerEvent(4)).await);
        let each = (server.resident_bytes() - empty) / f64::from(count) / 1024.0;
        report.add_row("memory", &format!("per idle stream at {count}"), each, "KiB");
    }
}
