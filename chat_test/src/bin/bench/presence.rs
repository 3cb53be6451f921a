//! Ten thousand people come, and go: what it costs to know, and what it costs to
//! tell those who share a small chat with them.

use crate::{
    process::Server,
    report::Report,
    streams::{Lines, Streams},
    world::World,
};
use chat_test::figure;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const PEOPLE: i32 = 10_000;

/// How many share a group, in the second run.
const GROUP: i32 = 50;

pub(crate) async fn run(report: &mut Report) {
    let world = World::create(PEOPLE).await;
    come_and_go(report, &world, "in one channel of 10,000").await;
    // Everybody in a group of fifty: each who comes is told to all who are there.
    sqlx::query(
        "with numbered as (select id, (row_number() over (order by id) - 1) / $2 as nth from unnest($1::bigint[]) id),
         chat as (
             insert into chats (type, name) select 'group', 'g' || nth from (select distinct nth from numbered) n
             returning id, substr(name, 2)::int as nth
         )
         insert into chat_members (chat_id, user_id)
         select chat.id, numbered.id from numbered join chat using (nth)",
    )
    .bind(&world.people)
    .bind(GROUP)
    .execute(&world.db)
    .await
    .expect("groups");
    come_and_go(report, &world, "each in a group of 50 too").await;
}

async fn come_and_go(report: &mut Report, world: &World, how: &str) {
    let server = world.notify_server();
    let (begun, cpu) = (Instant::now(), server.cpu_seconds());
    let heads = world.people.iter().map(|user| world.head(*user, None));
    let streams = Streams::open(&server.address, heads, Lines(3)).await;
    until(world, i64::from(PEOPLE)).await;
    let came = Spent { seconds: begun.elapsed().as_secs_f64(), cpu: server.cpu_seconds() - cpu };
    let rounds = rounds(&server).await;
    report.row("presence", &format!("10,000 come, {how}: until all are seen"), came.seconds, "s");
    report.row("presence", &format!("10,000 come, {how}: CPU of the server, streams and all"), came.cpu, "s");
    report.row("presence", &format!("10,000 come, {how}: told to devices"), streams.deliveries(), "");
    report.row("presence", &format!("10,000 come, {how}: time in the database, per person"), rounds / 1e4 * 1e6, "µs");
    let cpu = server.cpu_seconds();
    drop(streams);
    until(world, 0).await;
    let spent = server.cpu_seconds() - cpu;
    let rounds = self::rounds(&server).await - rounds;
    report.row("presence", &format!("10,000 go, {how}: CPU of the server"), spent, "s");
    report.row("presence", &format!("10,000 go, {how}: time in the database, per person"), rounds / 1e4 * 1e6, "µs");
}

struct Spent {
    seconds: f64,
    cpu: f64,
}

/// Waits until so many are connected, as the database knows it.
async fn until(world: &World, people: i64) {
    loop {
        let connected: i64 =
            sqlx::query_scalar("select count(*) from connections").fetch_one(&world.db).await.expect("counted");
        if connected == people {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// How long the server has told and asked the database, in seconds.
async fn rounds(server: &Server) -> f64 {
    figure(&format!("http://{}", server.address), "confab_presence_round_seconds_sum").await
}
