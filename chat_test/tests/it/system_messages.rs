//! System messages: what changed in a chat, in its history.

use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

/// The system messages of a chat, oldest first: who did what.
async fn changes(user: &TestUser, chat: i64) -> Vec<(i64, Value)> {
    let history = user.get(&format!("/api/chats/{chat}/messages?limit=100")).await.expect(200).json();
    let items = history["items"].as_array().expect("items").iter().rev();
    let system = items.filter(|message| message["kind"] == "system");
    system.map(|message| (message["sender_id"].as_i64().expect("an actor"), message["change"].clone())).collect()
}

async fn private_channel(owner: &TestUser, members: &[i64]) -> i64 {
    let chat = json!({ "type": "private_channel", "name": "Plans", "members": members });
    owner.post("/api/chats", chat).await.expect(201).json()["id"].as_i64().expect("an id")
}

#[tokio::test]
async fn every_change_of_a_chat_is_in_its_history_in_order() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let chat = private_channel(&alice, &[bob.id]).await;
    assert_eq!(changes(&alice, chat).await, [], "the initial members are no change");
    let path = format!("/api/chats/{chat}");
    alice.post(&format!("{path}/members"), json!({ "user_id": carol.id })).await.expect(201);
    alice.post(&format!("{path}/members"), json!({ "user_id": carol.id })).await.expect(200);
    let invite = alice.post(&format!("{path}/invites"), json!({})).await.expect(201).json();
    let code = invite["code"].as_str().expect("a code");
    dave.post(&format!("/api/invites/{code}"), json!({})).await.expect(201);
    alice.patch(&path, json!({ "name": "Roadmap", "topic": "2027" })).await.expect(200);
    alice.patch(&path, json!({ "name": "Roadmap", "description": "What comes next" })).await.expect(200);
    let message = bob.post(&format!("{path}/messages"), json!({ "content": "first" })).await.expect(201).json();
    for _ in 0..2 {
        alice.put(&format!("/api/messages/{}/pin", message["id"]), json!({})).await.expect(200);
    }
    alice.delete(&format!("/api/messages/{}/pin", message["id"])).await.expect(200);
    alice.delete(&format!("{path}/members/{}", carol.id)).await.expect(204);
    bob.post(&format!("{path}/leave"), json!({})).await.expect(204);
    alice.put(&format!("{path}/bans/{}", dave.id), json!({})).await.expect(204);
    alice.put(&format!("{path}/bans/{}", carol.id), json!({})).await.expect(204);
    assert_eq!(
        changes(&alice, chat).await,
        [
            (alice.id, json!({ "type": "added", "user_id": carol.id })),
            (dave.id, json!({ "type": "joined" })),
            (alice.id, json!({ "type": "renamed", "name": "Roadmap" })),
            (alice.id, json!({ "type": "topic_changed", "topic": "2027" })),
            (alice.id, json!({ "type": "pinned", "message_id": message["id"] })),
            (alice.id, json!({ "type": "removed", "user_id": carol.id })),
            (bob.id, json!({ "type": "left" })),
            (alice.id, json!({ "type": "removed", "user_id": dave.id })),
        ]
    );
}

#[tokio::test]
async fn members_receive_a_system_message_and_who_left_does_not() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let chat = private_channel(&alice, &[bob.id]).await;
    let (mut alices, mut bobs) = (alice.listen().await, bob.listen().await);
    alice.post(&format!("/api/chats/{chat}/members"), json!({ "user_id": dave.id })).await.expect(201);
    let received = bobs.next_of("message.new").await;
    assert_eq!(received.data["message"]["change"], json!({ "type": "added", "user_id": dave.id }));
    bob.post(&format!("/api/chats/{chat}/leave"), json!({})).await.expect(204);
    alice.say("general", "marker").await;
    let left = alices.read_until("marker").await;
    assert!(left.iter().any(|event| event.data["message"]["change"]["type"] == "left"));
    let events = bobs.read_until("marker").await;
    assert!(events.iter().all(|event| event.kind != "message.new"), "{events:?}");
}

#[tokio::test]
async fn a_system_message_is_no_news_and_no_result_of_a_search() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let chat = private_channel(&alice, &[bob.id]).await;
    let path = format!("/api/chats/{chat}");
    alice.patch(&path, json!({ "topic": "zanzibar" })).await.expect(200);
    let row = bob.get(&path).await.expect(200).json();
    assert_eq!((&row["unread_count"], &row["mention_count"]), (&json!(0), &json!(0)));
    alice.post(&format!("{path}/messages"), json!({ "content": "hello" })).await.expect(201);
    alice.patch(&path, json!({ "topic": "" })).await.expect(200);
    let row = bob.get(&path).await.expect(200).json();
    assert_eq!(row["unread_count"], 1, "only what alice wrote");
    // It can be read as any other.
    let newest = row["last_message"].clone();
    assert_eq!(newest["change"], json!({ "type": "topic_changed", "topic": "" }));
    bob.put(&format!("{path}/read"), json!({ "message_id": newest["id"] })).await.expect(200);
    assert_eq!(bob.get(&path).await.expect(200).json()["unread_count"], 0);
    for query in ["q=zanzibar".to_owned(), format!("chat_id={chat}&from={}&order=newest", alice.id)] {
        let found = bob.get(&format!("/api/search?{query}")).await.expect(200).json();
        let texts: Vec<&Value> = found["items"].as_array().expect("hits").iter().map(|hit| &hit["content"]).collect();
        assert!(texts.iter().all(|text| **text == "hello"), "{query}: {found}");
    }
}

#[tokio::test]
async fn nobody_writes_edits_or_pins_a_system_message() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let chat = private_channel(&alice, &[bob.id]).await;
    let path = format!("/api/chats/{chat}");
    let forged = json!({ "content": "hi", "kind": "system", "change": { "type": "left" } });
    let answer = bob.post(&format!("{path}/messages"), forged).await;
    assert!(answer.status == 422 || answer.json()["kind"] == "user", "{}", answer.json());
    alice.patch(&path, json!({ "topic": "secret plans" })).await.expect(200);
    let message = alice.get(&path).await.expect(200).json()["last_message"].clone();
    let message_path = format!("/api/messages/{}", message["id"]);
    for answer in [
        alice.patch(&message_path, json!({ "content": "hello" })).await,
        alice.put(&format!("{message_path}/pin"), json!({})).await,
    ] {
        assert_eq!(answer.expect_problem(409)["code"], "system_message");
    }
    // Deleted like any other, with its text.
    let mut bobs = bob.listen().await;
    alice.delete(&message_path).await.expect(204);
    bobs.next_of("message.deleted").await;
    let deleted = bob.get(&message_path).await.expect(200).json();
    assert_eq!((&deleted["kind"], &deleted["change"]), (&json!("system"), &Value::Null));
    let stored: String = sqlx::query_scalar("select string_agg(change::text, '') from messages where chat_id = $1")
        .bind(chat)
        .fetch_one(&app.db)
        .await
        .expect("a row");
    assert!(!stored.contains("secret"), "{stored}");
}

#[tokio::test]
async fn who_makes_very_many_changes_does_not_fill_the_history() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let chat = private_channel(&alice, &[bob.id]).await;
    for n in 0..30 {
        alice.patch(&format!("/api/chats/{chat}"), json!({ "topic": format!("topic {n}") })).await.expect(200);
    }
    assert_eq!(changes(&alice, chat).await.len(), 20);
    // Others are told as before, and later she is again.
    let promoted = json!({ "role": "admin" });
    alice.patch(&format!("/api/chats/{chat}/members/{}", bob.id), promoted).await.expect(200);
    bob.patch(&format!("/api/chats/{chat}"), json!({ "topic": "by bob" })).await.expect(200);
    sqlx::query(
        "update messages set created_at = created_at - interval '11 minutes' where chat_id = $1 and sender_id = $2",
    )
    .bind(chat)
    .bind(alice.id)
    .execute(&app.db)
    .await
    .expect("updated");
    alice.patch(&format!("/api/chats/{chat}"), json!({ "topic": "by alice" })).await.expect(200);
    let last: Vec<Value> =
        changes(&alice, chat).await.into_iter().skip(20).map(|(_, change)| change["topic"].clone()).collect();
    assert_eq!(last, ["by bob", "by alice"]);
}

#[tokio::test]
async fn joining_a_large_channel_is_no_news() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let new = json!({ "type": "public_channel", "name": "stadium" });
    let chat = alice.post("/api/chats", new).await.expect(201).json()["id"].as_i64().expect("an id");
    let sql = "with fans as (
                   insert into users (username, display_name, email, password_hash)
                   select 'fan' || n, 'fan' || n, 'fan' || n || '@example.com', '' from generate_series(1, 1000) n returning id
               )
               insert into chat_members (chat_id, user_id) select $1, id from fans";
    sqlx::query(sql).bind(chat).execute(&app.db).await.expect("a crowd");
    bob.post(&format!("/api/chats/{chat}/join"), json!({})).await.expect(201);
    bob.post(&format!("/api/chats/{chat}/leave"), json!({})).await.expect(204);
    alice.patch(&format!("/api/chats/{chat}"), json!({ "topic": "sold out" })).await.expect(200);
    let told: Vec<Value> = changes(&alice, chat).await.into_iter().map(|(_, change)| change["type"].clone()).collect();
    assert_eq!(told, ["topic_changed"]);
}
