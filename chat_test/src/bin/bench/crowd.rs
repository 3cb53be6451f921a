//! Ten thousand people at once: idle beside a busy chat, in one chat, and coming
//! back all together.

use crate::{
    process::Server,
    report::Report,
    streams::{Lines, Streams, answers},
    world::World,
};
use std::time::Duration;
use tokio::time::{Instant, interval, sleep};

const PEOPLE: i32 = 10_000;

/// How many of them are in the busy chat.
const BUSY: usize = 100;

/// Events per second in the busy chat, and for how long.
const RATE: u32 = 400;
const WINDOW: Duration = Duration::from_secs(4);

pub(crate) async fn run(report: &mut Report) {
    let world = World::create(PEOPLE).await;
    let busy = world.chat_of_the_first(BUSY).await;
    let server = world.notify_server();
    let (first, rest) = world.people.split_at(BUSY);
    let few = Streams::open(&server.address, first.iter().map(|user| world.head(*user, None)), Lines(4)).await;
    // Once for nothing: the first events of a process cost more.
    cpu_per_event(&world, &server, busy).await;
    let alone = cpu_per_event(&world, &server, busy).await;
    let many = Streams::open(&server.address, rest.iter().map(|user| world.head(*user, None)), Lines(4)).await;
    let beside = cpu_per_event(&world, &server, busy).await;
    report.row("crowd", "CPU per event to 100 devices, nobody else online", alone * 1e6, "µs");
    report.row("crowd", "the same beside 9,900 idle streams", beside * 1e6, "µs");
    report.row("crowd", "cost of unrelated streams", beside / alone, "×");

    let (deliveries, cpu) = (few.deliveries() + many.deliveries(), server.cpu_seconds());
    let begun = Instant::now();
    world.say(1).await;
    let everybody = deliveries + f64::from(PEOPLE);
    while few.deliveries() + many.deliveries() < everybody && begun.elapsed() < WINDOW {
        sleep(Duration::from_millis(1)).await;
    }
    report.row("crowd", "a message to a chat of 10,000: the last device", begun.elapsed().as_secs_f64() * 1e3, "ms");
    let cpu = (server.cpu_seconds() - cpu) / f64::from(PEOPLE);
    report.row("crowd", "a message to a chat of 10,000: CPU per delivery", cpu * 1e6, "µs");
    drop((few, many));
    storm(report, &world, &server).await;
}

/// Processor seconds of the server for one event.
async fn cpu_per_event(world: &World, server: &Server, chat: i64) -> f64 {
    let (cpu, begun, mut said) = (server.cpu_seconds(), Instant::now(), 0);
    let mut ticks = interval(Duration::from_millis(2));
    while begun.elapsed() < WINDOW {
        ticks.tick().await;
        while f64::from(said) < begun.elapsed().as_secs_f64() * f64::from(RATE) {
            world.say_in(chat, "a message of a usual length, as people write it", 1).await;
            said += 1;
        }
    }
    sleep(Duration::from_millis(300)).await;
    (server.cpu_seconds() - cpu) / f64::from(said)
}

/// Everybody comes back at once, having missed a little.
async fn storm(report: &mut Report, world: &World, server: &Server) {
    let cursor = world.cursor().await;
    world.say(20).await;
    // Postgres counts what a connection did when that connection next rests.
    sleep(Duration::from_secs(2)).await;
    let (before, asked) = (world.transactions().await, roster_reads(server).await);
    let begun = Instant::now();
    let heads = world.people.iter().map(|user| world.head(*user, Some(&cursor)));
    let whole = answers(&server.address, heads, "event: caught_up").await;
    let took = begun.elapsed().as_secs_f64();
    sleep(Duration::from_secs(2)).await;
    let reads = world.transactions().await - before;
    let asked = roster_reads(server).await - asked;
    report.row("crowd", "10,000 reconnect at once: database reads (two each time it looks)", asked * 2.0, "");
    report.row("crowd", "10,000 reconnect at once: whole again", whole as f64, "devices");
    report.row("crowd", "10,000 reconnect at once: until the last is whole", took, "s");
    report.row("crowd", "10,000 reconnect at once: database transactions of all kinds", reads as f64, "");
}

/// How often the server has looked up who may open a stream.
async fn roster_reads(server: &Server) -> f64 {
    chat_test::figure(&format!("http://{}", server.address), "confab_roster_reads_total").await
}
