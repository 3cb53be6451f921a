//! The latency from the commit of a message to the moment a device reads it, with a
//! thousand streams in one chat. Messages are sent when they are due, even if earlier
//! ones are late.

use crate::{
    environment::Environment,
    report::Report,
    streams::{LatencyProbe, LinesPerEvent, Streams},
};
use hdrhistogram::Histogram;
use std::time::Duration;
use tokio::time::{Instant, interval};

const STREAMS: usize = 1_000;

/// Number of streams that measure latency. The others are read too.
pub(crate) const TIMED: usize = 20;

const WINDOW: Duration = Duration::from_secs(4);
const TICK: Duration = Duration::from_millis(1);

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(i32::try_from(STREAMS).unwrap_or(i32::MAX)).await;
    let server = env.notify_server();
    let others = env.users.iter().skip(TIMED).map(|user| env.stream_request(*user, None));
    let others = Streams::open(&server.address, others, LinesPerEvent(4)).await;
    for rate in [1, 200, 1_000] {
        let latencies = measure_at_rate(&env, &server.address, rate).await;
        for (name, quantile) in QUANTILES {
            let ms = latencies.value_at_quantile(quantile) as f64 / 1000.0;
            report.add_row("latency", &format!("commit → device, {rate} messages/s, {name}"), ms, "ms");
        }
    }
    drop(others);
}

pub(crate) const QUANTILES: [(&str, f64); 3] = [("p50", 0.50), ("p95", 0.95), ("p99", 0.99)];

/// Measures the latency of messages at this rate, in microseconds, on the streams of
/// the first [`TIMED`] users at a server.
pub(crate) async fn measure_at_rate(env: &Environment, address: &str, rate: u32) -> Histogram<u64> {
    let timed =
        LatencyProbe::open(address, env.users.iter().take(TIMED).map(|user| env.stream_request(*user, None))).await;
    let window = if rate == 1 { WINDOW * 2 } else { WINDOW };
    let (from, mut ticks, mut sent) = (Instant::now(), interval(TICK), 0);
    while from.elapsed() < window {
        ticks.tick().await;
        // Messages that are due at the same time share a statement, as in the writer.
        let due = (from.elapsed().as_secs_f64() * f64::from(rate)) as i32;
        if due > sent {
            env.insert_messages(due - sent).await;
            sent = due;
        }
    }
    tokio::time::sleep(Duration::from_secs(2)).await;
    let latencies = timed.finish().await;
    assert_eq!(latencies.len(), sent as u64 * TIMED as u64, "all of them arrive");
    latencies
}
