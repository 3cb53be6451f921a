//! Messages that users save for later.

use chat_core::messages::MAX_SAVED;
use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

async fn saved_texts(user: &TestUser, query: &str) -> (Vec<String>, Value) {
    let page = user.get(&format!("/api/saved-messages{query}")).await.expect(200).json();
    let texts = page["items"].as_array().expect("items").iter();
    (
        texts.map(|saved| saved["message"]["content"].as_str().expect("a text").to_owned()).collect(),
        page["next"].clone(),
    )
}

async fn save(user: &TestUser, message: &Value) {
    user.put(&format!("/api/messages/{}/saved", message["id"]), json!({})).await.expect(204);
}

#[tokio::test]
async fn saved_messages_are_listed_the_last_saved_first() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (first, second) = (alice.say("team", "first").await, alice.say("general", "second").await);
    for message in [&second, &first, &second] {
        save(&bob, message).await;
    }
    assert_eq!(saved_texts(&bob, "").await.0, ["first", "second"]);
    assert_eq!(saved_texts(&alice, "").await.0, [""; 0], "nobody else's");
    let (texts, next) = saved_texts(&bob, "?limit=1").await;
    assert_eq!(texts, ["first"]);
    let next = format!("?{}", next.as_str().expect("a next page"));
    assert_eq!(saved_texts(&bob, &next).await, (vec!["second".to_owned()], Value::Null));
    let ids = bob.get("/api/bootstrap").await.expect(200).json()["saved_message_ids"].clone();
    assert_eq!(ids, json!([first["id"], second["id"]]));
    for _ in 0..2 {
        bob.delete(&format!("/api/messages/{}/saved", first["id"])).await.expect(204);
    }
    assert_eq!(saved_texts(&bob, "").await.0, ["second"]);
}

#[tokio::test]
async fn only_ones_own_devices_learn_what_one_saves() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let message = alice.say("team", "later").await;
    let (mut alices, mut bobs) = (alice.listen().await, bob.listen().await);
    save(&bob, &message).await;
    save(&bob, &message).await;
    bob.delete(&format!("/api/messages/{}/saved", message["id"])).await.expect(204);
    alice.say("general", "marker").await;
    let received = bobs.read_until("marker").await;
    let kinds: Vec<&str> = received.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["message.saved", "message.unsaved"]);
    assert_eq!(received[0].data["message_id"], message["id"]);
    assert!(alices.read_until("marker").await.is_empty());
}

#[tokio::test]
async fn what_a_user_may_not_read_is_neither_saved_nor_listed() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let message = alice.say("team", "secret").await;
    let path = format!("/api/messages/{}/saved", message["id"]);
    dave.put(&path, json!({})).await.expect_problem(404);
    save(&bob, &message).await;
    let team = message["chat_id"].clone();
    bob.post(&format!("/api/chats/{team}/leave"), json!({})).await.expect(204);
    assert_eq!(saved_texts(&bob, "").await.0, [""; 0]);
    alice.post(&format!("/api/chats/{team}/members"), json!({ "user_id": bob.id })).await.expect_problem(409);
    assert_eq!(bob.get("/api/bootstrap").await.expect(200).json()["saved_message_ids"], json!([]));
    // A chat that is deleted takes what was saved of it along, and all devices learn of it.
    let (mut bobs, mut seen) = (bob.listen().await, Vec::new());
    let group = json!({ "type": "group", "name": "short-lived", "members": [bob.id] });
    let group = alice.post("/api/chats", group).await.expect(201).json()["id"].as_i64().expect("an id");
    let in_group = alice.say_in(group, "keep this").await;
    save(&bob, &in_group).await;
    alice.delete(&format!("/api/chats/{group}")).await.expect(204);
    while !["message.saved", "message.unsaved", "chat.deleted"].iter().all(|kind| seen.iter().any(|one| one == kind)) {
        seen.push(bobs.next().await.kind);
    }
    // A deleted message is neither listed nor saved.
    let deleted = alice.say("general", "oops").await;
    save(&dave, &deleted).await;
    alice.delete(&format!("/api/messages/{}", deleted["id"])).await.expect(204);
    assert_eq!(saved_texts(&dave, "").await.0, [""; 0]);
    assert_eq!(dave.get("/api/bootstrap").await.expect(200).json()["saved_message_ids"], json!([]));
    let answer = alice.put(&format!("/api/messages/{}/saved", deleted["id"]), json!({})).await;
    assert_eq!(answer.expect_problem(409)["code"], "message_deleted");
}

#[tokio::test]
async fn a_user_saves_a_limited_number_of_messages() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let last = alice.say("team", "one more").await;
    let sql = "with sent as (
                   insert into messages (chat_id, sender_id, content) select $2, $1, 'x' from generate_series(1, $3)
                   returning id
               )
               insert into saved_messages (user_id, chat_id, message_id) select $4, $2, id from sent";
    sqlx::query(sql)
        .bind(alice.id)
        .bind(last["chat_id"].as_i64())
        .bind(MAX_SAVED)
        .bind(bob.id)
        .execute(&app.db)
        .await
        .expect("saved");
    let answer = bob.put(&format!("/api/messages/{}/saved", last["id"]), json!({})).await;
    assert_eq!(answer.expect_problem(409)["code"], "too_many_saved_messages");
    save(&alice, &last).await;
}
