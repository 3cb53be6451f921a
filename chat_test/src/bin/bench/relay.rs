//! Compares two replicas that share the log through Redis with one that reads the log
//! itself, to measure the cost of the relay.

use crate::{
    environment::Environment,
    fanout::{Source, publish_flat_out},
    latency::{QUANTILES, TIMED, measure_at_rate},
    process::Server,
    report::Report,
    streams::{LinesPerEvent, Streams},
};
use chat_test::{TestRedis, eventually, metric};
use std::time::Duration;

/// Number of streams in one chat. With two replicas, each has half of the streams.
const STREAMS: usize = 1_000;

const RATE: u32 = 200;

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(i32::try_from(STREAMS).unwrap_or(i32::MAX)).await;
    let (_, others) = env.users.split_at(TIMED);
    let open = |server: &Server, users: &[i64]| {
        let requests: Vec<String> = users.iter().map(|user| env.stream_request(*user, None)).collect();
        let address = server.address.clone();
        async move { Streams::open(&address, requests, LinesPerEvent(4)).await }
    };

    let alone = env.notify_server();
    let streams = [open(&alone, others).await];
    let local = measure_at_rate(&env, &alone.address, RATE).await;
    let per_core_alone = measure_saturated(&env, &[&alone], &streams).await;
    drop((streams, alone));

    let redis = TestRedis::start().await;
    let leader = env.replica(&redis);
    wait_for_gauge(&leader, "confab_relay_leading").await;
    let follower = env.replica(&redis);
    wait_for_gauge(&follower, "confab_relay_following").await;
    let (some, rest) = others.split_at(others.len() / 2);
    let streams = [open(&leader, some).await, open(&follower, rest).await];
    let relayed = measure_at_rate(&env, &follower.address, RATE).await;
    for (name, quantile) in QUANTILES {
        let ms = |latencies: &hdrhistogram::Histogram<u64>| latencies.value_at_quantile(quantile) as f64 / 1e3;
        report.add_row("relay", &format!("commit → device, {RATE} messages/s, direct, {name}"), ms(&local), "ms");
        report.add_row(
            "relay",
            &format!("commit → device, {RATE} messages/s, through Redis, {name}"),
            ms(&relayed),
            "ms",
        );
    }
    let per_core = measure_saturated(&env, &[&leader, &follower], &streams).await;
    report.add_row("relay", "one replica: deliveries per core-second, saturated", per_core_alone, "/s");
    report.add_row("relay", "two replicas: deliveries per core-second, saturated", per_core, "/s");
    report.add_row("relay", "two replicas / one, per core", per_core / per_core_alone, "×");
    let failovers = metric(&format!("http://{}", follower.address), "confab_relay_failovers_total").await;
    report.add_row("relay", "failovers of the follower during the run", failovers, "");
}

/// Returns the deliveries per second of these servers' CPU time.
async fn measure_saturated(env: &Environment, servers: &[&Server], streams: &[Streams]) -> f64 {
    let deliveries = || streams.iter().map(Streams::deliveries).sum::<f64>();
    let cpu = || servers.iter().map(|server| server.cpu_seconds()).sum::<f64>();
    let (before, spent) = (deliveries(), cpu());
    publish_flat_out(&Source::Log(env)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    (deliveries() - before) / (cpu() - spent)
}

async fn wait_for_gauge(server: &Server, gauge: &str) {
    let url = format!("http://{}", server.address);
    eventually(gauge, async || metric(&url, gauge).await == 1.0).await;
}
