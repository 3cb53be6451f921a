//! The database: a given one, one that loses writes, and an environment meant for another.

use crate::process::{Dev, create_readable_folder, dev_command, postgres_processes};
use chat_test::{ApiResponse, Signal, TestDatabase, TestUser};
use serde_json::Value;
use std::fs;
use tokio::process::Command;

#[tokio::test]
async fn a_given_database_url_is_used() {
    let folder = create_readable_folder();
    let database = TestDatabase::create().await;
    let mut command = dev_command(folder.path());
    command.env("DATABASE_URL", &database.url);
    let mut dev = Dev::run(command).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    let sent = alice.say("team", "in your own database").await;
    let stored: String = sqlx::query_scalar("select content from messages where id = $1")
        .bind(sent["id"].as_i64())
        .fetch_one(&database.pool(1))
        .await
        .expect("stored");
    assert_eq!(stored, "in your own database");
    assert!(!folder.path().join("postgres").exists());
    dev.stop_with(Signal::INT).await;
}

#[tokio::test]
async fn a_database_that_can_lose_messages_is_not_ready() {
    // The databases of tests do not wait for the disk.
    let database = TestDatabase::create().await;
    let folder = create_readable_folder();
    for (flag, status) in [(None, 503), (Some("--allow-volatile-database"), 200)] {
        let mut command = dev_command(folder.path());
        command.env("DATABASE_URL", &database.url).args(flag);
        let mut dev = Dev::run(command).await;
        let response = reqwest::get(format!("{}/readyz", dev.endpoints.chat)).await.expect("a response");
        let response = ApiResponse::read(response).await.expect(status).json();
        let check = response["checks"].as_object().and_then(|checks| checks.get("database_is_durable"));
        assert_eq!(check, flag.map_or(Some(&Value::Bool(false)), |_| None), "{response}");
        dev.stop_with(Signal::INT).await;
    }
    let mut doctor = Command::new(env!("CARGO_BIN_EXE_confab"));
    doctor.args(["doctor", "--bind", "127.0.0.1:0", "--data"]).arg(folder.path()).env("DATABASE_URL", &database.url);
    let output = doctor.output().await.expect("run");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(!output.status.success() && text.contains("because fsync is off"), "{text}");
}

#[tokio::test]
async fn variables_for_another_postgres_are_ignored() {
    let folder = create_readable_folder();
    let mut command = dev_command(folder.path());
    command
        .env("PGOPTIONS", "-c synchronous_commit=off -c statement_timeout=1")
        .env("PGHOST", "nowhere.example")
        .env("PGUSER", "somebody")
        .env("PGDATABASE", "other")
        .env("PGPORT", "1");
    let mut dev = Dev::run(command).await;
    let alice = TestUser::sign_in(&dev.endpoints, "alice").await;
    alice.say("team", "in the embedded database").await;
    let ready = reqwest::get(format!("{}/readyz", dev.endpoints.chat)).await.expect("a response");
    assert_eq!(ready.status(), 200);
    for process in postgres_processes(folder.path()) {
        let environment = fs::read(process.join("environ")).unwrap_or_default();
        assert!(!String::from_utf8_lossy(&environment).contains("PGOPTIONS"), "{}", process.display());
    }
    dev.stop_with(Signal::INT).await;
}
