//! Ten thousand users connect and disconnect: the cost of tracking their presence, and
//! of sending it to the members of a small chat.

use crate::{
    environment::Environment,
    process::Server,
    report::Report,
    streams::{LinesPerEvent, Streams},
};
use chat_test::metric;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const USERS: i32 = 10_000;

/// Number of users per group, in the second run.
const GROUP: i32 = 50;

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(USERS).await;
    measure_connect_and_disconnect(report, &env, "in one channel of 10,000").await;
    // Every user is in a group of 50: each connect is sent to all online members.
    sqlx::query(
        "with numbered as (select id, (row_number() over (order by id) - 1) / $2 as nth from unnest($1::bigint[]) id),
         chat as (
             insert into chats (type, name) select 'group', 'g' || nth from (select distinct nth from numbered) n
             returning id, substr(name, 2)::int as nth
         )
         insert into chat_members (chat_id, user_id)
         select chat.id, numbered.id from numbered join chat using (nth)",
    )
    .bind(&env.users)
    .bind(GROUP)
    .execute(&env.db)
    .await
    .expect("groups");
    measure_connect_and_disconnect(report, &env, "each in a group of 50 too").await;
}

async fn measure_connect_and_disconnect(report: &mut Report, env: &Environment, how: &str) {
    let server = env.notify_server();
    let (begun, cpu) = (Instant::now(), server.cpu_seconds());
    let requests = env.users.iter().map(|user| env.stream_request(*user, None));
    let streams = Streams::open(&server.address, requests, LinesPerEvent(3)).await;
    wait_for_connected(env, i64::from(USERS)).await;
    let cost = Cost { seconds: begun.elapsed().as_secs_f64(), cpu: server.cpu_seconds() - cpu };
    let round_seconds = read_round_seconds(&server).await;
    report.add_row("presence", &format!("10,000 connect, {how}: until all are online"), cost.seconds, "s");
    report.add_row("presence", &format!("10,000 connect, {how}: CPU of the server with its streams"), cost.cpu, "s");
    report.add_row("presence", &format!("10,000 connect, {how}: events sent to devices"), streams.deliveries(), "");
    report.add_row(
        "presence",
        &format!("10,000 connect, {how}: time in the database, per user"),
        round_seconds / 1e4 * 1e6,
        "µs",
    );
    let cpu = server.cpu_seconds();
    drop(streams);
    wait_for_connected(env, 0).await;
    let spent = server.cpu_seconds() - cpu;
    let round_seconds = self::read_round_seconds(&server).await - round_seconds;
    report.add_row("presence", &format!("10,000 disconnect, {how}: CPU of the server"), spent, "s");
    report.add_row(
        "presence",
        &format!("10,000 disconnect, {how}: time in the database, per user"),
        round_seconds / 1e4 * 1e6,
        "µs",
    );
}

struct Cost {
    seconds: f64,
    cpu: f64,
}

/// Waits until the `connections` table has this number of rows.
async fn wait_for_connected(env: &Environment, count: i64) {
    loop {
        let connected: i64 =
            sqlx::query_scalar("select count(*) from connections").fetch_one(&env.db).await.expect("counted");
        if connected == count {
            return;
        }
        sleep(Duration::from_millis(50)).await;
    }
}

/// Returns the time that the server has spent on presence updates, in seconds.
async fn read_round_seconds(server: &Server) -> f64 {
    metric(&format!("http://{}", server.address), "confab_presence_update_seconds_sum").await
}
