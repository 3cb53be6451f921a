//! Durable sends by concurrent REST senders. The controls are pgbench with a plain
//! insert and with a standard row trigger, against the same Postgres.

use crate::{environment::Environment, process::Server, report::Report};
use hdrhistogram::Histogram;
use std::{fs, process::Command, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::Instant,
};

const WINDOW: Duration = Duration::from_secs(4);

/// The standard design: a trigger per row that sends the whole row as a NOTIFY payload.
const TEXTBOOK: &str = "
    create table plain_messages (id bigint generated always as identity primary key, chat_id bigint, sender_id bigint,
        content text not null, created_at timestamptz not null default now());
    create table textbook_messages (like plain_messages including all);
    create function textbook_notify() returns trigger language plpgsql as $$
    begin perform pg_notify('textbook', row_to_json(new)::text); return null; end $$;
    create trigger textbook after insert on textbook_messages for each row execute function textbook_notify();";

pub(crate) async fn run(report: &mut Report) {
    let env = Environment::create(64).await;
    sqlx::raw_sql(TEXTBOOK).execute(&env.db).await.expect("the textbook");
    let server = env.chat_server();
    let (mut ours, mut textbook) = (0.0, f64::NAN);
    for senders in [1, 8, 64] {
        let (rate, latencies) = measure_rest(&env, &server, senders).await;
        report.add_row("sends", &format!("Confab, {senders} REST senders"), rate, "/s");
        for (name, quantile) in [("p50", 0.50), ("p99", 0.99)] {
            let ms = latencies.value_at_quantile(quantile) as f64 / 1000.0;
            report.add_row("sends", &format!("Confab, {senders} REST senders, {name}"), ms, "ms");
        }
        let plain = pgbench(&env, "plain_messages", senders);
        report.add_row("sends", &format!("pgbench, plain insert, {senders} clients"), plain, "/s");
        let theirs = pgbench(&env, "textbook_messages", senders);
        report.add_row("sends", &format!("pgbench, textbook row trigger, {senders} clients"), theirs, "/s");
        (ours, textbook) = (rate, theirs);
    }
    report.add_row("sends", "Confab / textbook at 64", ours / textbook, "×");
}

pub(crate) async fn measure_rest(env: &Environment, server: &Server, senders: usize) -> (f64, Histogram<u64>) {
    let mut tasks = JoinSet::new();
    let begun = Instant::now();
    for user in env.users.iter().take(senders) {
        let body = r#"{"content":"a message of a usual length, as people write it"}"#;
        let request = format!(
            "POST /api/chats/{}/messages HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            env.chat,
            env.token(*user),
            body.len()
        );
        tasks.spawn(send(server.address.clone(), request));
    }
    let mut all = Histogram::new(3).expect("a histogram");
    while let Some(one) = tasks.join_next().await {
        all.add(one.expect("sent")).expect("the same form");
    }
    (all.len() as f64 / begun.elapsed().as_secs_f64(), all)
}

/// Runs one sender, which sends the next message when the previous one is stored.
/// Returns the latencies in microseconds.
async fn send(address: String, request: String) -> Histogram<u64> {
    let mut latencies = Histogram::new(3).expect("a histogram");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("a socket");
    let mut answer = vec![0u8; 4096];
    let begun = Instant::now();
    while begun.elapsed() < WINDOW {
        let sent = Instant::now();
        stream.write_all(request.as_bytes()).await.expect("sent");
        let n = stream.read(&mut answer).await.expect("answered");
        let head = answer.get(..n).unwrap_or_default();
        assert!(head.starts_with(b"HTTP/1.1 201"), "{}", String::from_utf8_lossy(head));
        latencies.record(sent.elapsed().as_micros() as u64).expect("it grows");
    }
    latencies
}

/// Returns the transactions per second that pgbench reaches with one insert each.
fn pgbench(env: &Environment, table: &str, clients: usize) -> f64 {
    let script = env.file("insert.sql");
    let sql = format!(
        "insert into {table} (chat_id, sender_id, content) values (1, 1, 'a message of a usual length, as people write it');"
    );
    fs::write(&script, sql).expect("a script");
    let output = Command::new(env.binaries.folder.join("pgbench"))
        .args([
            "-n",
            "-M",
            "prepared",
            "-T",
            &WINDOW.as_secs().to_string(),
            "-j",
            "1",
            "-c",
            &clients.to_string(),
            "-f",
        ])
        .arg(&script)
        .arg(&env.url)
        .output()
        .expect("pgbench");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let line = text.lines().find_map(|line| line.strip_prefix("tps = ")).unwrap_or_else(|| panic!("{output:?}"));
    line.split_whitespace().next().and_then(|tps| tps.parse().ok()).expect("a number")
}
