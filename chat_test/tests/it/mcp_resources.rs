//! MCP resources: clients read chats and messages by their URIs, and are told when they change.

use crate::mcp::{MODERN, READ, build, send, with_scopes};
use chat_core::housekeeping::RetentionConfig;
use chat_test::{ApiResponse, DEADLINE, TestApp, TestUser, eventually};
use futures_util::{Stream, StreamExt};
use serde_json::{Value, json};
use std::{pin::Pin, time::Duration};
use tokio::time::{sleep, timeout};

const LEGACY: &str = "2025-06-18";

/// An open `subscriptions/listen` request.
struct Updates {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Updates {
    /// Opens a subscription, and waits until it is acknowledged.
    async fn open(user: &TestUser, filter: Value) -> Self {
        let request = build(user, MODERN, "subscriptions/listen", json!({ "notifications": filter }));
        let response = request.send().await.expect("an answer");
        assert_eq!(response.status(), 200);
        let mut updates = Self { bytes: Box::pin(response.bytes_stream()), text: String::new() };
        let first = updates.next().await.expect("an acknowledgment");
        assert_eq!(first["method"], "notifications/subscriptions/acknowledged", "{first}");
        updates
    }

    /// Follows resources. The first update of each comes at once.
    async fn of(user: &TestUser, uris: &[&str]) -> Self {
        let mut updates = Self::open(user, json!({ "resourceSubscriptions": uris })).await;
        let mut first = Vec::new();
        for _ in uris {
            first.push(updates.next_uri().await);
        }
        first.sort();
        let mut expected: Vec<String> = uris.iter().map(|uri| (*uri).to_owned()).collect();
        expected.sort();
        assert_eq!(first, expected);
        updates
    }

    /// The next message; `None` if the server has ended the stream.
    async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let data: String = event.lines().filter_map(|line| line.strip_prefix("data:")).collect();
                let found = (!data.trim().is_empty()).then(|| serde_json::from_str(&data).expect("JSON"));
                self.text = rest.to_owned();
                if found.is_some() {
                    return found;
                }
                continue;
            }
            let bytes = timeout(DEADLINE, self.bytes.next()).await.expect("in time")?;
            self.text.push_str(std::str::from_utf8(&bytes.ok()?).expect("text"));
        }
    }

    async fn next_uri(&mut self) -> String {
        let next = self.next().await.expect("an update");
        assert_eq!(next["method"], "notifications/resources/updated", "{next}");
        next["params"]["uri"].as_str().expect("a URI").to_owned()
    }
}

async fn read(user: &TestUser, version: &str, uri: &str) -> Value {
    let answer = send(user, version, "resources/read", json!({ "uri": uri })).await.json();
    match answer["result"]["contents"][0]["text"].as_str() {
        Some(text) => serde_json::from_str(text).expect("JSON"),
        None => answer["error"].clone(),
    }
}

#[tokio::test]
async fn chats_and_messages_are_resources() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let general = alice.chat_id("general").await;
    let message = bob.say_in(general, "hidden \u{202E}text").await["id"].as_i64().expect("an id");
    let reader = with_scopes(&alice, &READ, json!({})).await;
    for version in [MODERN, LEGACY] {
        let listed = send(&reader, version, "resources/list", json!({})).await.expect(200).json();
        let listed = listed["result"]["resources"].as_array().expect("resources").clone();
        let uri = format!("confab://chats/{general}");
        assert!(listed.iter().any(|one| one["uri"] == uri && one["title"] == "general"), "{listed:?}");
        let chat = read(&reader, version, &uri).await;
        assert_eq!((&chat["chat"]["name"], &chat["messages"][0]["text"]), (&json!("general"), &json!("hidden text")));
        let uri = format!("{uri}/messages/{message}");
        assert_eq!(read(&reader, version, &uri).await["text"], "hidden text");
        let templates = send(&reader, version, "resources/templates/list", json!({})).await.expect(200).json();
        assert_eq!(templates["result"]["resourceTemplates"].as_array().map(Vec::len), Some(2));
    }
    // What the token cannot read is not there, and neither is a message of another chat.
    let direct = alice.chat_id("direct").await;
    let none = with_scopes(&alice, &["users:read"], json!({})).await;
    let limited = with_scopes(&alice, &READ, json!({ "chat_ids": [direct] })).await;
    let chat = format!("confab://chats/{general}");
    for (user, uri) in [
        (&reader, format!("confab://chats/{direct}/messages/{message}")),
        (&reader, "confab://chats/999999".into()),
        (&reader, "confab://chats/x".into()),
        (&reader, "file:///etc/passwd".into()),
        (&none, chat.clone()),
        (&limited, chat.clone()),
    ] {
        let error = read(user, MODERN, &uri).await;
        assert!(error["code"].is_i64() && error.get("chat").is_none(), "{uri}: {error}");
    }
    let listed = send(&none, MODERN, "resources/list", json!({})).await.expect(200).json();
    assert_eq!(listed["result"]["resources"], json!([]));
    let listed = send(&limited, MODERN, "resources/list", json!({})).await.expect(200).json();
    assert_eq!(listed["result"]["resources"].as_array().map(Vec::len), Some(1));
}

#[tokio::test]
async fn a_client_is_told_of_each_change_and_of_nothing_else() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let general = alice.chat_id("general").await;
    let direct = alice.chat_id("direct").await;
    let reader = with_scopes(&alice, &READ, json!({})).await;
    let first = bob.say_in(general, "first").await["id"].as_i64().expect("an id");
    let second = bob.say_in(general, "second").await["id"].as_i64().expect("an id");
    let chat_uri = format!("confab://chats/{general}");
    let first_uri = format!("{chat_uri}/messages/{first}");
    let direct_uri = format!("confab://chats/{direct}");
    let mut chat = Updates::of(&reader, &[&chat_uri]).await;
    let mut message = Updates::of(&reader, &[&first_uri, &direct_uri]).await;
    bob.patch(&format!("/api/messages/{second}"), json!({ "content": "second, edited" })).await.expect(200);
    assert_eq!(chat.next_uri().await, chat_uri);
    assert_eq!(read(&reader, MODERN, &chat_uri).await["messages"][0]["text"], "second, edited");
    bob.put(&format!("/api/messages/{first}/reactions/🎉"), json!({})).await.expect(200);
    // The edit of another message was no update of this one.
    assert_eq!(message.next_uri().await, first_uri);
    assert_eq!(chat.next_uri().await, chat_uri);
    // Many changes in a short time are few updates, and the last one is not lost.
    for n in 0..50 {
        bob.say_in(general, &format!("message {n}")).await;
    }
    let mut updates = 0;
    while read(&reader, MODERN, &chat_uri).await["messages"][0]["text"] != "message 49" {
        assert_eq!(chat.next_uri().await, chat_uri);
        updates += 1;
    }
    assert!(updates < 25, "{updates} updates");
    alice.say_in(direct, "to bob").await;
    assert_eq!(message.next_uri().await, direct_uri);
}

#[tokio::test]
async fn a_client_is_told_of_new_chats_that_it_can_read() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let body = json!({ "type": "group", "name": "plans", "members": [carol.id] });
    let plans = bob.post("/api/chats", body).await.expect(201).json()["id"].as_i64().expect("an id");
    let general = alice.chat_id("general").await;
    let (plans_uri, general_uri) = (format!("confab://chats/{plans}"), format!("confab://chats/{general}"));
    let reader = with_scopes(&alice, &READ, json!({})).await;
    let filter = json!({
        "resourceSubscriptions": [plans_uri, general_uri, "confab://chats/x"], "resourcesListChanged": true,
    });
    let mut updates = Updates::open(&reader, filter).await;
    assert_eq!(updates.next_uri().await, general_uri);
    assert_eq!(updates.next().await.expect("an update")["method"], "notifications/resources/list_changed");
    // A token of other chats, and one without the scope, learn of no list.
    let direct = alice.chat_id("direct").await;
    let limited = with_scopes(&alice, &READ, json!({ "chat_ids": [direct] })).await;
    let blind = with_scopes(&alice, &["messages:read"], json!({})).await;
    let list = json!({ "resourceSubscriptions": [general_uri], "resourcesListChanged": true });
    let mut of_limited = Updates::open(&limited, list.clone()).await;
    assert_eq!(of_limited.next().await.expect("an update")["method"], "notifications/resources/list_changed");
    let mut of_blind = Updates::open(&blind, list).await;
    assert_eq!(of_blind.next_uri().await, general_uri);
    // Alice is no member.
    bob.say_in(plans, "not for alice").await;
    bob.say_in(general, "fence").await;
    assert_eq!(updates.next_uri().await, general_uri);
    // Now she is.
    bob.post(&format!("/api/chats/{plans}/members"), json!({ "user_id": alice.id })).await.expect(201);
    assert_eq!(updates.next_uri().await, plans_uri);
    assert_eq!(updates.next().await.expect("an update")["method"], "notifications/resources/list_changed");
    // And now no more.
    bob.delete(&format!("/api/chats/{plans}/members/{}", alice.id)).await.expect(204);
    assert_eq!(updates.next().await.expect("an update")["method"], "notifications/resources/list_changed");
    bob.say_in(plans, "not for alice either").await;
    bob.say_in(general, "fence").await;
    assert_eq!(updates.next_uri().await, general_uri);
    // What the others were told: nothing of the group, and the channel only to whom may read it.
    alice.say_in(direct, "fence").await;
    let mut of_direct = Updates::of(&limited, &[&format!("confab://chats/{direct}")]).await;
    alice.say_in(direct, "another fence").await;
    of_direct.next_uri().await;
    drop(of_limited);
    while let Ok(Some(next)) = timeout(Duration::from_millis(1_500), of_blind.next()).await {
        assert_eq!(next["params"]["uri"], general_uri, "{next}");
    }
}

#[tokio::test]
async fn a_message_that_retention_deletes_is_an_update() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let body = json!({ "type": "group", "name": "short", "members": [] });
    let chat = alice.post("/api/chats", body).await.expect(201).json()["id"].as_i64().expect("an id");
    let first = alice.say_in(chat, "first").await["id"].as_i64().expect("an id");
    alice.say_in(chat, "second").await;
    let uri = format!("confab://chats/{chat}/messages/{first}");
    let mut updates = Updates::of(&with_scopes(&alice, &READ, json!({})).await, &[&uri]).await;
    alice.patch(&format!("/api/chats/{chat}"), json!({ "retention_days": 1 })).await.expect(200);
    sqlx::query("update messages set created_at = now() - interval '3 days' where chat_id = $1")
        .bind(chat)
        .execute(&app.db)
        .await
        .expect("updated");
    chat_core::housekeeping::run(&app.db, RetentionConfig::DEFAULT).await.expect("a run");
    assert_eq!(updates.next_uri().await, uri);
}

#[tokio::test]
async fn a_subscription_ends_with_its_token_and_each_account_has_few() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let general = alice.chat_id("general").await;
    let uri = format!("confab://chats/{general}");
    let reader = with_scopes(&alice, &READ, json!({})).await;
    let mut open = Vec::new();
    for _ in 0..4 {
        open.push(Updates::of(&reader, &[&uri]).await);
    }
    let subscribe = || {
        build(&reader, MODERN, "subscriptions/listen", json!({ "notifications": { "resourceSubscriptions": [uri] } }))
    };
    let refused = ApiResponse::read(subscribe().send().await.expect("an answer")).await;
    assert_eq!(refused.expect_problem(409)["code"], "too_many_subscriptions");
    // Others have their own, and a closed one makes room.
    Updates::of(&with_scopes(&bob, &READ, json!({})).await, &[&uri]).await;
    open.pop();
    eventually("a closed subscription makes room", || async {
        let status = subscribe().send().await.expect("an answer").status();
        if status != 200 {
            sleep(Duration::from_millis(100)).await;
        }
        status == 200
    })
    .await;
    // The token is revoked: the stream ends.
    let tokens = alice.get("/api/tokens").await.expect(200).json();
    let id = tokens["items"][0]["id"].as_str().expect("an id").to_owned();
    let mut last = open.pop().expect("an open one");
    alice.delete(&format!("/api/tokens/{id}")).await.expect(204);
    while let Some(next) = last.next().await {
        assert!(next["method"].is_null() || next["method"] == "notifications/resources/updated", "{next}");
    }
    // The server stops while a client listens.
    let _listening = Updates::of(&with_scopes(&bob, &READ, json!({})).await, &[&uri]).await;
    timeout(DEADLINE, app.stop()).await.expect("the server stops");
}
