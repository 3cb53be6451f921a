//! The program is killed again and again while it sends: nothing is lost.

use chat_test::{TestApp, WebhookReceiver};
use serde_json::json;
use std::{
    collections::HashSet,
    process::{Child, Command, Stdio},
    time::Duration,
};
use tokio::time::Instant;

/// How often the program is killed.
const KILLS: usize = 200;

/// How long it runs each time: long enough to begin to send, and mostly too short to settle.
const LIFETIMES_MS: [u64; 5] = [60, 90, 130, 70, 200];

fn start(app: &TestApp) -> Child {
    Command::new(env!("CARGO_BIN_EXE_integration_server"))
        .env("DATABASE_URL", &app.database.url)
        .env("SECRETS_KEY_FILE", app.secrets_key_file())
        .env("OUTGOING_ALLOW", "127.0.0.0/8")
        .env("INTEGRATION_BIND", "127.0.0.1:0")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program")
}

/// The lease of a killed process ends late, so the test ends it.
async fn end_leases(app: &TestApp) {
    sqlx::query("update outbox_lanes set leased_until = now() - interval '1 s' where leased_until is not null")
        .execute(&app.db)
        .await
        .expect("updated");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_the_program_is_killed_200_times() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = json!({ "url": receiver.url, "event_types": ["message.new"] });
    bob.post("/api/webhook-endpoints", endpoint).await.expect(201);
    let team = alice.chat_id("team").await;
    let mut sent = Vec::new();
    for round in 0..KILLS {
        let mut program = start(&app);
        let kill_at = Instant::now() + Duration::from_millis(LIFETIMES_MS[round % LIFETIMES_MS.len()]);
        let text = format!("message {round}");
        alice.say_in(team, &text).await;
        sent.push(text);
        tokio::time::sleep_until(kill_at).await;
        program.kill().expect("killed");
        program.wait().expect("it ended");
        end_leases(&app).await;
    }
    let mut program = start(&app);
    let (mut texts, mut ids, mut repeated) = (Vec::new(), HashSet::new(), 0);
    while texts.len() < sent.len() {
        let webhook = receiver.next().await;
        match ids.insert(webhook.id.clone()) {
            true => texts.push(webhook.text().to_owned()),
            // Sent before a kill and again after it: the receiver knows the id.
            false => repeated += 1,
        }
    }
    assert_eq!(texts, sent, "in order, each once for a receiver that remembers the ids");
    println!("{repeated} repeated deliveries after {KILLS} kills");
    program.kill().expect("killed");
    program.wait().expect("it ended");
}
