//! Two replicas that share one reading of the log through Redis, beside one that
//! reads it itself: what the way through Redis adds.

use crate::{
    fanout::{Source, publish_flat_out},
    latency::{QUANTILES, TIMED, at_rate},
    process::Server,
    report::Report,
    streams::{Lines, Streams},
    world::World,
};
use chat_test::{TestRedis, eventually, figure};
use std::time::Duration;

/// Streams in one chat; on two replicas half of them on each.
const STREAMS: usize = 1_000;

const RATE: u32 = 200;

pub(crate) async fn run(report: &mut Report) {
    let world = World::create(i32::try_from(STREAMS).unwrap_or(i32::MAX)).await;
    let (_, others) = world.people.split_at(TIMED);
    let open = |server: &Server, people: &[i64]| {
        let heads: Vec<String> = people.iter().map(|user| world.head(*user, None)).collect();
        let address = server.address.clone();
        async move { Streams::open(&address, heads, Lines(4)).await }
    };

    let alone = world.notify_server();
    let streams = [open(&alone, others).await];
    let local = at_rate(&world, &alone.address, RATE).await;
    let per_core_alone = saturated(&world, &[&alone], &streams).await;
    drop((streams, alone));

    let redis = TestRedis::start().await;
    let leader = world.replica(&redis);
    reports(&leader, "confab_relay_leads").await;
    let follower = world.replica(&redis);
    reports(&follower, "confab_relay_hears").await;
    let (some, rest) = others.split_at(others.len() / 2);
    let streams = [open(&leader, some).await, open(&follower, rest).await];
    let relayed = at_rate(&world, &follower.address, RATE).await;
    for (name, quantile) in QUANTILES {
        let ms = |latencies: &hdrhistogram::Histogram<u64>| latencies.value_at_quantile(quantile) as f64 / 1e3;
        report.row("relay", &format!("commit → device, {RATE} messages/s, own reading, {name}"), ms(&local), "ms");
        report.row("relay", &format!("commit → device, {RATE} messages/s, through Redis, {name}"), ms(&relayed), "ms");
    }
    let per_core = saturated(&world, &[&leader, &follower], &streams).await;
    report.row("relay", "one replica: deliveries per core-second, saturated", per_core_alone, "/s");
    report.row("relay", "two replicas: deliveries per core-second, saturated", per_core, "/s");
    report.row("relay", "two replicas / one, per core", per_core / per_core_alone, "×");
    let doubts = figure(&format!("http://{}", follower.address), "confab_relay_doubts_total").await;
    report.row("relay", "times the follower doubted Redis meanwhile", doubts, "");
}

/// Deliveries per second of processor time of these servers.
async fn saturated(world: &World, servers: &[&Server], streams: &[Streams]) -> f64 {
    let deliveries = || streams.iter().map(Streams::deliveries).sum::<f64>();
    let cpu = || servers.iter().map(|server| server.cpu_seconds()).sum::<f64>();
    let (before, spent) = (deliveries(), cpu());
    publish_flat_out(&Source::Log(world)).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    (deliveries() - before) / (cpu() - spent)
}

async fn reports(server: &Server, gauge: &str) {
    let url = format!("http://{}", server.address);
    eventually(gauge, async || figure(&url, gauge).await == 1.0).await;
}
