//! What an idle stream holds, up to as many as one replica is made for.

use crate::{
    report::Report,
    streams::{Lines, Streams},
    world::World,
};

/// As many as the limit of 20,000 open files leaves room for.
const MOST: i32 = 18_000;

pub(crate) async fn run(report: &mut Report) {
    let world = World::create(MOST).await;
    let server = world.notify_server();
    let empty = server.resident_bytes();
    // All are kept open while more come.
    let (mut open, mut people) = (Vec::new(), world.people.iter());
    for (count, more) in [(1_000, 1_000), (10_000, 9_000), (18_000, 8_000)] {
        let heads = people.by_ref().take(more).map(|user| world.head(*user, None));
        open.push(Streams::open(&server.address, heads, Lines(4)).await);
        let each = (server.resident_bytes() - empty) / f64::from(count) / 1024.0;
        report.row("memory", &format!("per idle stream at {count}"), each, "KiB");
    }
}
