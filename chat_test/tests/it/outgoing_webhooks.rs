//! What outgoing webhooks deliver: the events of a user's chats, signed, in order, at least once.

use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_STANDARD};
use chat_test::{ReceivedWebhook, Reply, TestApp, TestUser, WebhookReceiver, eventually};
use http::header::{LOCATION, RETRY_AFTER};
use serde_json::{Value, json};
use sqlx::PgPool;
use std::{collections::HashSet, time::Duration};

/// Creates an endpoint with these properties, and returns it with its secret.
async fn create_endpoint(user: &TestUser, receiver: &WebhookReceiver, properties: Value) -> Value {
    let mut body = json!({ "url": receiver.url });
    body.as_object_mut().expect("an object").extend(properties.as_object().expect("an object").clone());
    user.post("/api/webhook-endpoints", body).await.expect(201).json()
}

/// Creates an endpoint for new messages only.
async fn create_message_endpoint(user: &TestUser, receiver: &WebhookReceiver) -> Value {
    create_endpoint(user, receiver, json!({ "event_types": ["message.new"] })).await
}

fn path_of(endpoint: &Value, more: &str) -> String {
    format!("/api/webhook-endpoints/{}{more}", endpoint["id"])
}

/// Whether a signature of a delivery was made with a secret.
fn is_signed_with(webhook: &ReceivedWebhook, secret: &str) -> bool {
    let key = BASE64_STANDARD.decode(secret.trim_start_matches("whsec_")).expect("Base64");
    let message = [format!("{}.{}.", webhook.id, webhook.timestamp).as_bytes(), &webhook.raw].concat();
    webhook.signature.split(' ').any(|signature| {
        let tag = BASE64_STANDARD.decode(signature.trim_start_matches("v1,")).expect("Base64");
        hmac::verify(&hmac::Key::new(hmac::HMAC_SHA256, &key), &message, &tag).is_ok()
    })
}

async fn deliveries(user: &TestUser, endpoint: &Value, query: &str) -> Vec<Value> {
    let page = user.get(&path_of(endpoint, &format!("/deliveries?{query}"))).await.expect(200).json();
    page["items"].as_array().expect("deliveries").clone()
}

/// Makes everything that waits due now, so that a test need not wait for a retry.
async fn end_all_pauses(db: &PgPool) {
    for sql in [
        "update outbox set due_at = now() - interval '1 s' where state = 'waiting'",
        "update outbox_lanes set due_at = now(), paused_until = null where due_at is not null",
    ] {
        sqlx::query(sql).execute(db).await.expect("updated");
    }
}

#[tokio::test]
async fn an_endpoint_receives_the_events_of_its_users_chats_signed() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let _server = app.start_integration_server();
    let own = carol.post("/api/chats", json!({ "type": "group", "name": "secret", "members": [alice.id] })).await;
    carol.say_in(own.json()["id"].as_i64().expect("an id"), "not for bob").await;
    let mut stream = bob.listen().await;
    let sent = alice.say("team", "for bob").await;
    let webhook = receiver.next().await;
    assert_eq!((webhook.kind(), webhook.text()), ("message.new", "for bob"));
    // The event is the one of the stream, with the same id.
    let event = stream.next_of("message.new").await;
    assert_eq!(webhook.body["data"], event.data);
    assert_eq!(webhook.body["data"]["message"]["id"], sent["id"]);
    let seconds = |at: &Value| at.as_str().expect("a time")[..16].to_owned();
    assert_eq!(seconds(&webhook.body["timestamp"]), seconds(&event.data["at"]));
    assert_eq!(webhook.id, format!("evt_{}", event.data["id"].as_str().expect("an id").replace('.', "_")));
    assert!(is_signed_with(&webhook, endpoint["secret"].as_str().expect("a secret")));
    eventually("the delivery is listed", || async {
        let listed = deliveries(&bob, &endpoint, "state=delivered").await;
        listed.len() == 1 && listed[0]["status"] == 204 && listed[0]["attempts"] == 1
    })
    .await;
}

#[tokio::test]
async fn an_endpoint_receives_what_its_user_was_a_member_of_then() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    create_endpoint(&bob, &receiver, json!({})).await;
    // The feed runs only afterwards, when bob is a member again.
    let chat = alice.post("/api/chats", json!({ "type": "group", "name": "club", "members": [bob.id] })).await.json();
    let id = chat["id"].as_i64().expect("an id");
    let members = format!("/api/chats/{id}/members");
    alice.say_in(id, "one").await;
    alice.delete(&format!("{members}/{}", bob.id)).await.expect(204);
    alice.say_in(id, "secret").await;
    alice.post(&members, json!({ "user_id": bob.id })).await.expect(201);
    alice.say_in(id, "two").await;
    let _server = app.start_integration_server();
    let mut kinds = Vec::new();
    while kinds.last().is_none_or(|last| last != "two") {
        let webhook = receiver.next().await;
        assert!(!String::from_utf8_lossy(&webhook.raw).contains("secret"), "{webhook:?}");
        kinds.push(if webhook.kind() == "message.new" { webhook.text().to_owned() } else { webhook.kind().to_owned() });
    }
    assert_eq!(kinds, ["chat.new", "one", "chat.removed", "chat.added", "", "two"]);
}

#[tokio::test]
async fn a_bots_endpoint_receives_only_the_chosen_chats_and_types() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let bot = alice.create_bot("helper").await;
    let (team, general) = (alice.chat_id("team").await, alice.chat_id("general").await);
    for chat in [team, general] {
        alice.post(&format!("/api/chats/{chat}/members"), json!({ "user_id": bot.id })).await.expect(201);
    }
    let mut receiver = WebhookReceiver::start().await;
    let properties = json!({ "bot_id": bot.id, "chat_ids": [team], "event_types": ["message.new", "reaction.added"] });
    let endpoint = create_endpoint(&alice, &receiver, properties).await;
    assert_eq!(endpoint["user_id"], json!(bot.id));
    let _server = app.start_integration_server();
    bob.say_in(general, "elsewhere").await;
    bob.say("direct", "private").await;
    let message = bob.say_in(team, "here").await;
    bob.patch(&format!("/api/messages/{}", message["id"]), json!({ "content": "changed" })).await.expect(200);
    bob.put(&format!("/api/messages/{}/reactions/🎉", message["id"]), json!({})).await.expect(200);
    assert_eq!(receiver.next().await.text(), "here");
    let reaction = receiver.next().await;
    assert_eq!((reaction.kind(), &reaction.body["data"]["emoji"]), ("reaction.added", &json!("🎉")));
    // Only its owner manages it.
    bob.patch(&path_of(&endpoint, ""), json!({ "is_enabled": false })).await.expect_problem(404);
    assert_eq!(bob.get("/api/webhook-endpoints").await.expect(200).json()["items"], json!([]));
    // It ends with the bot.
    alice.delete(&format!("/api/bots/{}", bot.id)).await.expect(204);
    assert_eq!(alice.get("/api/webhook-endpoints").await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn the_order_survives_a_failure_and_retries_have_the_same_id() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let _server = app.start_integration_server();
    receiver.reply_next([Reply::Status(500)]);
    for text in ["one", "two", "three"] {
        alice.say("team", text).await;
    }
    let first = receiver.next().await;
    eventually("the failure is recorded", || async {
        deliveries(&bob, &endpoint, "")
            .await
            .iter()
            .any(|delivery| delivery["error"].as_str().is_some_and(|error| error.contains("500 Internal Server Error")))
    })
    .await;
    end_all_pauses(&app.db).await;
    let again = receiver.next().await;
    assert_eq!((again.id.as_str(), again.text()), (first.id.as_str(), "one"));
    assert!(again.timestamp >= first.timestamp);
    assert_eq!(receiver.texts_until("three").await, ["two", "three"]);
    eventually("the endpoint no longer counts as failing", || async {
        let endpoints = bob.get("/api/webhook-endpoints").await.expect(200).json();
        endpoints["items"][0]["failing_since"].is_null()
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_fails_again_lets_others_pass_and_can_be_retried() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let _server = app.start_integration_server();
    receiver.reply_next([Reply::Status(500), Reply::Status(302)]);
    for text in ["poison", "one"] {
        alice.say("team", text).await;
    }
    assert_eq!(receiver.next().await.text(), "poison");
    let failed_attempts = |count| {
        let (bob, endpoint) = (&bob, &endpoint);
        async move { deliveries(bob, endpoint, "state=waiting").await.iter().any(|one| one["attempts"] == count) }
    };
    eventually("the first failure is recorded", || failed_attempts(1)).await;
    end_all_pauses(&app.db).await;
    assert_eq!(receiver.next().await.text(), "poison");
    eventually("the second failure is recorded", || failed_attempts(2)).await;
    // Only the pause of the endpoint ends; the delivery itself waits for minutes.
    let sql = "update outbox_lanes set due_at = now(), paused_until = null";
    sqlx::query(sql).execute(&app.db).await.expect("updated");
    assert_eq!(receiver.next().await.text(), "one");
    alice.say("team", "two").await;
    assert_eq!(receiver.next().await.text(), "two");
    let waiting = deliveries(&bob, &endpoint, "state=waiting").await;
    let poison = waiting.iter().find(|delivery| delivery["attempts"] == 2).expect("the delivery waits");
    assert_eq!((&poison["status"], &poison["settled_at"]), (&json!(302), &Value::Null));
    let retry = path_of(&endpoint, &format!("/deliveries/{}/retry", poison["id"]));
    let retried = bob.post(&retry, json!({})).await.expect(200).json();
    assert_eq!((&retried["state"], &retried["attempts"]), (&json!("waiting"), &json!(0)));
    assert_eq!(receiver.next().await.text(), "poison");
    alice.post(&retry, json!({})).await.expect_problem(404);
    bob.post(&path_of(&endpoint, "/deliveries/999999/retry"), json!({})).await.expect_problem(404);
}

#[tokio::test]
async fn an_endpoint_that_is_gone_is_disabled_and_its_owner_told() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let mut stream = bob.listen().await;
    receiver.reply_next([Reply::Status(410)]);
    for text in ["one", "two"] {
        alice.say("team", text).await;
    }
    let _server = app.start_integration_server();
    receiver.next().await;
    let event = stream.next_of("webhook_endpoint.disabled").await;
    assert_eq!((&event.data["endpoint_id"], &event.data["reason"]), (&endpoint["id"], &json!("gone")));
    eventually("what waits is given up", || async { deliveries(&bob, &endpoint, "state=dead").await.len() == 2 }).await;
    let waiting = deliveries(&bob, &endpoint, "state=waiting").await;
    assert!(waiting.is_empty(), "{waiting:?}");
    let dead = deliveries(&bob, &endpoint, "state=dead").await;
    assert_eq!((&dead[1]["status"], &dead[0]["status"]), (&json!(410), &Value::Null), "{dead:?}");
    for more in ["/test", "/replay"] {
        let body = if more == "/test" { json!({}) } else { json!({ "after": stream.cursor() }) };
        assert_eq!(bob.post(&path_of(&endpoint, more), body).await.expect_problem(409)["code"], "endpoint_disabled");
    }
    // Enabled again, it receives what happens from then on.
    alice.say("team", "missed").await;
    bob.patch(&path_of(&endpoint, ""), json!({ "is_enabled": true })).await.expect(200);
    alice.say("team", "three").await;
    assert_eq!(receiver.texts_until("three").await, ["three"]);
}

#[tokio::test]
async fn an_endpoint_that_fails_for_days_is_disabled() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    create_message_endpoint(&bob, &receiver).await;
    let _server = app.start_integration_server();
    let mut stream = bob.listen().await;
    receiver.reply_usually(Reply::Status(503));
    alice.say("team", "one").await;
    receiver.next().await;
    eventually("the failure is recorded", || async {
        let endpoints = bob.get("/api/webhook-endpoints").await.expect(200).json();
        endpoints["items"][0]["failing_since"].is_string()
    })
    .await;
    let sql = "update outbox_lanes set failing_since = now() - interval '3 days', due_at = now()";
    sqlx::query(sql).execute(&app.db).await.expect("updated");
    assert_eq!(stream.next_of("webhook_endpoint.disabled").await.data["reason"], "failing");
}

#[tokio::test]
async fn a_hanging_endpoint_delays_nobody_else_and_redirects_are_not_followed() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (mut hanging, mut redirecting, mut healthy) =
        (WebhookReceiver::start().await, WebhookReceiver::start().await, WebhookReceiver::start().await);
    hanging.reply_usually(Reply::Hang);
    redirecting.reply_usually(Reply::WithHeader(307, LOCATION, healthy.url.clone()));
    let mut endpoints = Vec::new();
    for receiver in [&hanging, &redirecting, &healthy] {
        endpoints.push(create_message_endpoint(&bob, receiver).await);
    }
    let _server = app.start_integration_server();
    for text in ["one", "two", "three"] {
        alice.say("team", text).await;
    }
    assert_eq!(healthy.texts_until("three").await, ["one", "two", "three"]);
    assert_eq!(hanging.next().await.text(), "one");
    assert_eq!(redirecting.next().await.text(), "one");
    eventually("the redirect is a failure", || async {
        deliveries(&bob, &endpoints[1], "state=waiting").await.iter().any(|delivery| delivery["status"] == 307)
    })
    .await;
    assert!(healthy.try_next().is_none(), "the redirect was followed");
}

#[tokio::test]
async fn retry_after_delays_the_next_attempt() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let _server = app.start_integration_server();
    receiver.reply_next([Reply::WithHeader(429, RETRY_AFTER, "600".into())]);
    alice.say("team", "one").await;
    receiver.next().await;
    eventually("the next attempt is in ten minutes", || async {
        let waiting = deliveries(&bob, &endpoint, "state=waiting").await;
        let next_at = waiting.first().and_then(|one| one["next_attempt_at"].as_str().map(str::to_owned));
        let next_at = next_at.and_then(|at| chrono::DateTime::parse_from_rfc3339(&at).ok());
        waiting.first().is_some_and(|one| one["error"].as_str().is_some_and(|error| error.ends_with("try later")))
            && next_at.is_some_and(|at| (590..=610).contains(&(at.to_utc() - chat_core::time::now()).num_seconds()))
    })
    .await;
}

#[tokio::test]
async fn a_new_secret_and_the_previous_one_both_sign() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_endpoint(&bob, &receiver, json!({})).await;
    let rotated = bob.post(&path_of(&endpoint, "/secret"), json!({})).await.expect(201).json();
    let (old, new) = (endpoint["secret"].as_str().expect("a secret"), rotated["secret"].as_str().expect("a secret"));
    assert_ne!(old, new);
    let _server = app.start_integration_server();
    let test = bob.post(&path_of(&endpoint, "/test"), json!({})).await.expect(201).json();
    assert_eq!((&test["event_type"], &test["state"]), (&json!("test"), &json!("waiting")));
    let webhook = receiver.next().await;
    assert_eq!((webhook.kind(), &webhook.body["data"]["endpoint_id"]), ("test", &endpoint["id"]));
    assert!(is_signed_with(&webhook, old) && is_signed_with(&webhook, new));
    let sql = "update webhook_endpoints set previous_until = now()";
    sqlx::query(sql).execute(&app.db).await.expect("updated");
    bob.post(&path_of(&endpoint, "/test"), json!({})).await.expect(201);
    let webhook = receiver.next().await;
    assert!(!is_signed_with(&webhook, old) && is_signed_with(&webhook, new));
}

#[tokio::test]
async fn a_replay_sends_what_happened_after_a_cursor_again() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let cursor = bob.get("/api/bootstrap").await.expect(200).json()["cursor"].clone();
    for text in ["one", "two"] {
        alice.say("team", text).await;
    }
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let _server = app.start_integration_server();
    let replayed = bob.post(&path_of(&endpoint, "/replay"), json!({ "after": cursor })).await.expect(200).json();
    assert_eq!((&replayed["deliveries"], &replayed["more"]), (&json!(2), &json!(false)));
    let first = receiver.next().await;
    assert_eq!(first.text(), "one");
    assert_eq!(receiver.texts_until("two").await, ["two"]);
    // The same event has the same id, so that a receiver recognizes it.
    bob.post(&path_of(&endpoint, "/replay"), json!({ "after": cursor })).await.expect(200);
    assert_eq!(receiver.next().await.id, first.id);
    let wrong = json!({ "after": "0123456789.01234567-7" });
    assert_eq!(bob.post(&path_of(&endpoint, "/replay"), wrong).await.expect_problem(410)["code"], "reset");
}

#[tokio::test]
async fn a_gap_in_the_log_is_reported() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    create_message_endpoint(&bob, &receiver).await;
    alice.say("team", "lost").await;
    // Retention drops what the feed has not read yet.
    sqlx::query("delete from events").execute(&app.db).await.expect("deleted");
    alice.say("team", "kept").await;
    let _server = app.start_integration_server();
    let gap = receiver.next().await;
    assert_eq!((gap.kind(), &gap.body["data"]["reason"]), ("log.gap", &json!("retention")));
    assert_eq!(receiver.texts_until("kept").await, ["kept"]);
}

#[tokio::test]
async fn a_deleted_text_is_not_sent_any_more() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    create_message_endpoint(&bob, &receiver).await;
    let message = alice.say("team", "a mistake").await;
    alice.delete(&format!("/api/messages/{}", message["id"])).await.expect(204);
    let _server = app.start_integration_server();
    assert_eq!(receiver.next().await.text(), "");
}

#[tokio::test]
async fn several_servers_share_the_work_and_send_each_event_once() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let _servers = [app.start_integration_server(), app.start_integration_server(), app.start_integration_server()];
    let texts: Vec<String> = (0..60).map(|number| format!("message {number}")).collect();
    for text in &texts {
        alice.say("team", text).await;
    }
    assert_eq!(receiver.texts_until("message 59").await, texts);
    eventually("all deliveries are settled", || async {
        deliveries(&bob, &endpoint, "state=delivered&limit=100").await.len() == 60
    })
    .await;
    assert!(receiver.try_next().is_none());
}

#[tokio::test]
async fn a_server_that_stops_settles_what_it_has_sent() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    create_message_endpoint(&bob, &receiver).await;
    let mut ids = HashSet::new();
    for round in 0..5 {
        let (server, shutdown) = app.start_integration_server();
        let last = format!("round {round}");
        alice.say("team", &last).await;
        let webhook = receiver.next().await;
        assert_eq!(webhook.text(), last);
        shutdown.cancel();
        tokio::time::timeout(Duration::from_secs(20), server.stopped()).await.expect("it stops");
        assert!(ids.insert(webhook.id), "sent twice");
    }
    assert!(receiver.try_next().is_none());
}

#[tokio::test]
async fn a_success_between_two_failures_starts_the_count_again() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    create_message_endpoint(&bob, &receiver).await;
    receiver.reply_next([Reply::Status(204), Reply::Status(500)]);
    for text in ["one", "two"] {
        alice.say("team", text).await;
    }
    let sql = "update outbox_lanes set failures = 3, failing_since = now() - interval '4 days'";
    sqlx::query(sql).execute(&app.db).await.expect("updated");
    let _server = app.start_integration_server();
    assert_eq!(receiver.next().await.text(), "one");
    assert_eq!(receiver.next().await.text(), "two");
    eventually("it has failed once, just now", || async {
        let sql = "select failures = 1 and failing_since > now() - interval '1 min' from outbox_lanes";
        sqlx::query_scalar(sql).fetch_one(&app.db).await.expect("a lane")
    })
    .await;
    let endpoints = bob.get("/api/webhook-endpoints").await.expect(200).json();
    assert_eq!(endpoints["items"][0]["disabled_reason"], Value::Null);
}

#[tokio::test]
async fn a_server_that_stops_does_not_wait_for_a_hanging_endpoint() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    create_message_endpoint(&bob, &receiver).await;
    receiver.reply_next([Reply::Hang]);
    let (server, shutdown) = app.start_integration_server();
    alice.say("team", "one").await;
    let first = receiver.next().await;
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(8), server.stopped()).await.expect("it stops");
    // The endpoint is free at once for the next server.
    let _next = app.start_integration_server();
    let again = tokio::time::timeout(Duration::from_secs(10), receiver.next()).await.expect("sent again");
    assert_eq!(again.id, first.id);
}

#[tokio::test]
async fn an_event_that_is_no_longer_stored_is_given_up() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut receiver = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&bob, &receiver).await;
    let insert = "insert into outbox (lane_id, event_id, type) values ($1, 999999999, 'message.new')";
    sqlx::query(insert).bind(endpoint["id"].as_i64()).execute(&app.db).await.expect("inserted");
    let _server = app.start_integration_server();
    alice.say("team", "one").await;
    assert_eq!(receiver.next().await.text(), "one");
    let dead = deliveries(&bob, &endpoint, "state=dead").await;
    assert_eq!((&dead[0]["error"], &dead[0]["attempts"]), (&json!("the event is no longer stored"), &json!(0)));
}

#[tokio::test]
async fn one_owner_takes_only_some_of_the_slots() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut hanging = WebhookReceiver::start().await;
    hanging.reply_usually(Reply::Hang);
    for _ in 0..8 {
        create_message_endpoint(&bob, &hanging).await;
    }
    let _server = app.start_integration_server();
    alice.say("team", "one").await;
    for _ in 0..4 {
        hanging.next().await;
    }
    // A fence: the endpoint of another owner is served meanwhile.
    let mut other = WebhookReceiver::start().await;
    let endpoint = create_message_endpoint(&alice, &other).await;
    alice.post(&path_of(&endpoint, "/test"), json!({})).await.expect(201);
    assert_eq!(other.next().await.kind(), "test");
    assert!(hanging.try_next().is_none(), "a fifth request is in progress");
}
