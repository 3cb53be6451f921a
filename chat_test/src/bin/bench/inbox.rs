//! What the inbox costs the senders of messages that are for nobody, which are most.

use crate::{environment::Environment, report::Report, sends::measure_rest};

const PART: &str = "inbox";
const SENDERS: usize = 64;
const ROUNDS: usize = 4;

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(64).await;
    let server = env.chat_server();
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // The rate changes with the machine and with the number of messages, so each order occurs equally often.
    for _ in 0..ROUNDS {
        set_trigger(&env, "disable").await;
        without.push(measure_rest(&env, &server, SENDERS).await.0);
        set_trigger(&env, "enable").await;
        for _ in 0..2 {
            with.push(measure_rest(&env, &server, SENDERS).await.0);
        }
        set_trigger(&env, "disable").await;
        without.push(measure_rest(&env, &server, SENDERS).await.0);
    }
    report.add_comparison(PART, &format!("sends, {SENDERS} senders"), "the inbox", &without, &with);
}

async fn set_trigger(env: &Environment, action: &'static str) {
    let sql = format!("alter table messages {action} trigger messages_inserted_inbox");
    sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&env.db).await.expect("changed");
}
