//! Ten thousand users at once: idle while another chat is busy, in one large chat, and
//! reconnecting at the same time.

use crate::{
    environment::Environment,
    process::Server,
    report::Report,
    streams::{LinesPerEvent, Streams, open_until},
};
use std::time::Duration;
use tokio::time::{Instant, interval, sleep};

const USERS: i32 = 10_000;

/// Number of users in the busy chat.
const BUSY: usize = 100;

/// Events per second in the busy chat, and the length of a measurement.
const RATE: u32 = 400;
const WINDOW: Duration = Duration::from_secs(4);

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(USERS).await;
    let busy = env.create_chat_with_first(BUSY).await;
    let server = env.notify_server();
    let (first, rest) = env.users.split_at(BUSY);
    let few =
        Streams::open(&server.address, first.iter().map(|user| env.stream_request(*user, None)), LinesPerEvent(4))
            .await;
    // A warm-up run: the first events of a process cost more.
    cpu_per_event(&env, &server, busy).await;
    let alone = cpu_per_event(&env, &server, busy).await;
    let many =
        Streams::open(&server.address, rest.iter().map(|user| env.stream_request(*user, None)), LinesPerEvent(4)).await;
    let beside = cpu_per_event(&env, &server, busy).await;
    report.add_row("crowd", "CPU per event to 100 devices, nobody else online", alone * 1e6, "µs");
    report.add_row("crowd", "the same beside 9,900 idle streams", beside * 1e6, "µs");
    report.add_row("crowd", "cost of unrelated streams", beside / alone, "×");

    let (deliveries, cpu) = (few.deliveries() + many.deliveries(), server.cpu_seconds());
    let begun = Instant::now();
    env.insert_messages(1).await;
    let everybody = deliveries + f64::from(USERS);
    while few.deliveries() + many.deliveries() < everybody && begun.elapsed() < WINDOW {
        sleep(Duration::from_millis(1)).await;
    }
    report.add_row(
        "crowd",
        "a message to a chat of 10,000: the last device",
        begun.elapsed().as_secs_f64() * 1e3,
        "ms",
    );
    let cpu = (server.cpu_seconds() - cpu) / f64::from(USERS);
    report.add_row("crowd", "a message to a chat of 10,000: CPU per delivery", cpu * 1e6, "µs");
    drop((few, many));
    measure_reconnect_storm(report, &env, &server).await;
}

/// Returns the CPU seconds that the server spends per event.
async fn cpu_per_event(env: &Environment, server: &Server, chat: i64) -> f64 {
    let (cpu, begun, mut sent) = (server.cpu_seconds(), Instant::now(), 0);
    let mut ticks = interval(Duration::from_millis(2));
    while begun.elapsed() < WINDOW {
        ticks.tick().await;
        while f64::from(sent) < begun.elapsed().as_secs_f64() * f64::from(RATE) {
            env.insert_messages_in(chat, "a message of a usual length, as people write it", 1).await;
            sent += 1;
        }
    }
    sleep(Duration::from_millis(300)).await;
    (server.cpu_seconds() - cpu) / f64::from(sent)
}

/// All users reconnect at once after they missed 20 messages.
async fn measure_reconnect_storm(report: &mut Report, env: &Environment, server: &Server) {
    let cursor = env.cursor().await;
    env.insert_messages(20).await;
    // Postgres updates its counters for a connection when that connection is idle.
    sleep(Duration::from_secs(2)).await;
    let (before, loads) = (env.transactions().await, membership_loads(server).await);
    let begun = Instant::now();
    let requests = env.users.iter().map(|user| env.stream_request(*user, Some(&cursor)));
    let recovered = open_until(&server.address, requests, "event: caught_up").await;
    let took = begun.elapsed().as_secs_f64();
    sleep(Duration::from_secs(2)).await;
    let reads = env.transactions().await - before;
    let loads = membership_loads(server).await - loads;
    report.add_row("crowd", "10,000 reconnect at once: database reads (two per membership load)", loads * 2.0, "");
    report.add_row("crowd", "10,000 reconnect at once: caught up", recovered as f64, "devices");
    report.add_row("crowd", "10,000 reconnect at once: until the last has caught up", took, "s");
    report.add_row("crowd", "10,000 reconnect at once: database transactions of all kinds", reads as f64, "");
}

/// Returns how often the server has loaded memberships from the database.
async fn membership_loads(server: &Server) -> f64 {
    chat_test::metric(&format!("http://{}", server.address), "confab_membership_loads_total").await
}
