//! The metrics of the servers are correct and contain no private data.

use chat_test::{TestApp, eventually, metric};
use serde_json::json;

#[tokio::test]
async fn the_path_of_an_event_is_counted_from_the_send_to_the_socket() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let before = app.metric("confab_events_total").await;
    let mut bobs = bob.listen().await;
    for n in 0..20 {
        alice.say_in(team, &n.to_string()).await;
        bobs.next().await;
    }
    assert_eq!(app.metric("confab_events_total").await - before, 20.0);
    assert_eq!(metric(&app.endpoints.chat, "confab_writer_batch_messages_sum").await, 20.0);
    assert_eq!(metric(&app.endpoints.chat, "confab_writer_queue_messages").await, 0.0);
    assert_eq!(app.metric("confab_connections").await, 1.0);
    assert_eq!(app.metric("confab_connected_users").await, 1.0);
    assert_eq!(app.metric("confab_connections_opened_total{outcome=\"fresh\"}").await, 1.0);
    assert!(app.metric("confab_commit_to_hub_seconds_count").await >= 20.0);
    assert!(app.metric("confab_hub_to_socket_seconds_count").await >= 1.0);
    let cursor = bobs.cursor().to_owned();
    drop(bobs);
    eventually("the stream is closed", || async { app.metric("confab_connections").await == 0.0 }).await;
    assert_eq!(app.metric("confab_connections_closed_total{reason=\"client_gone\"}").await, 1.0);

    alice.say_in(team, "missed").await;
    bob.resume(&cursor).await.read_replay().await;
    assert_eq!(app.metric("confab_connections_opened_total{outcome=\"resumed\"}").await, 1.0);
    assert_eq!(app.metric("confab_catch_ups_total{source=\"memory\"}").await, 1.0);
    bob.resume("0123456789-1").await;
    assert_eq!(app.metric("confab_connections_opened_total{outcome=\"epoch\"}").await, 1.0);
}

#[tokio::test]
async fn metrics_contain_no_message_text_and_no_secrets() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let ticket = bob.post("/api/events/ticket", json!({})).await.expect(201).json();
    alice.say("team", "a canary in a message").await;
    for server in [&app.endpoints.chat, &app.endpoints.notify] {
        let text = reqwest::get(format!("{server}/metrics")).await.expect("an answer").text().await.expect("text");
        assert!(text.ends_with("# EOF\n"), "OpenMetrics text ends with `# EOF`");
        for secret in ["canary", "alice", "example.com", &bob.token, ticket["ticket"].as_str().expect("a ticket")] {
            assert!(!text.contains(secret), "{secret}");
        }
    }
}
