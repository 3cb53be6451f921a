//! What the servers say about themselves, and that it is true.

use chat_test::{TestApp, eventually, figure};
use serde_json::json;

#[tokio::test]
async fn the_path_of_an_event_is_counted_from_the_send_to_the_socket() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat("team").await;
    let before = app.figure("confab_events_total").await;
    let mut bobs = bob.listen().await;
    for n in 0..20 {
        alice.say_in(team, &n.to_string()).await;
        bobs.next().await;
    }
    assert_eq!(app.figure("confab_events_total").await - before, 20.0);
    assert_eq!(figure(&app.places.chat, "confab_writer_batch_messages_sum").await, 20.0);
    assert_eq!(figure(&app.places.chat, "confab_writer_queue_messages").await, 0.0);
    assert_eq!(app.figure("confab_streams").await, 1.0);
    assert_eq!(app.figure("confab_people").await, 1.0);
    assert_eq!(app.figure("confab_streams_opened_total{outcome=\"fresh\"}").await, 1.0);
    assert!(app.figure("confab_commit_to_hub_seconds_count").await >= 20.0);
    assert!(app.figure("confab_hub_to_socket_seconds_count").await >= 1.0);
    let cursor = bobs.cursor().to_owned();
    drop(bobs);
    eventually("the stream is gone", || async { app.figure("confab_streams").await == 0.0 }).await;
    assert_eq!(app.figure("confab_streams_ended_total{reason=\"gone\"}").await, 1.0);

    alice.say_in(team, "missed").await;
    bob.resume(&cursor).await.missed().await;
    assert_eq!(app.figure("confab_streams_opened_total{outcome=\"resumed\"}").await, 1.0);
    assert_eq!(app.figure("confab_catch_ups_total{source=\"memory\"}").await, 1.0);
    bob.resume("0123456789-1").await;
    assert_eq!(app.figure("confab_streams_opened_total{outcome=\"epoch\"}").await, 1.0);
}

#[tokio::test]
async fn the_figures_hold_nobodys_words_and_no_secrets() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let ticket = bob.post("/api/events/ticket", json!({})).await.expect(201).json();
    alice.say("team", "a canary in a message").await;
    for server in [&app.places.chat, &app.places.notify] {
        let text = reqwest::get(format!("{server}/metrics")).await.expect("an answer").text().await.expect("text");
        assert!(text.ends_with("# EOF\n"), "OpenMetrics ends with a word");
        for secret in ["canary", "alice", "example.com", &bob.token, ticket["ticket"].as_str().expect("a ticket")] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}
