//! What an idle stream holds.

use crate::{
    report::Report,
    streams::{Lines, Streams},
    world::World,
};

pub(crate) async fn run(report: &mut Report) {
    let world = World::create(10_000).await;
    let server = world.notify_server();
    let head = |user: &i64| {
        format!("GET /events HTTP/1.1\r\nHost: bench\r\nAuthorization: Bearer {}\r\n\r\n", world.token(*user))
    };
    let empty = server.resident_bytes();
    let (first, rest) = world.people.split_at(1_000);
    // Kept open while the rest come.
    let thousand = Streams::open(&server.address, first.iter().map(head), Lines(4)).await;
    report.row("memory", "per idle stream at 1,000", (server.resident_bytes() - empty) / 1_000.0 / 1024.0, "KiB");
    let more = Streams::open(&server.address, rest.iter().map(head), Lines(4)).await;
    report.row("memory", "per idle stream at 10,000", (server.resident_bytes() - empty) / 10_000.0 / 1024.0, "KiB");
    drop((thousand, more));
}
