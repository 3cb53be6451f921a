//! Editing, deleting and pinning messages.

use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

fn path(message: &Value) -> String {
    format!("/api/messages/{}", message["id"])
}

async fn make_admin(owner: &TestUser, chat: &Value, member: &TestUser) {
    owner.patch(&format!("/api/chats/{chat}/members/{}", member.id), json!({ "role": "admin" })).await.expect(200);
}

#[tokio::test]
async fn an_author_can_edit_and_admins_can_see_the_edit_history() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let message = bob.say("team", "Lunhc?").await;
    let mut carols = carol.listen().await;
    for (text, is_change) in [("Lunch?", true), ("Lunch?", false), ("Lunch at one?", true)] {
        let edited = bob.patch(&path(&message), json!({ "content": text })).await.expect(200).json();
        assert_eq!((&edited["content"], edited["edited_at"].is_string()), (&json!(text), true));
        if is_change {
            let received = carols.next().await;
            assert_eq!((received.kind.as_str(), &received.data["message"]), ("message.updated", &edited));
        }
    }
    for reader in [&alice, &bob] {
        let edits = reader.get(&format!("{}/edits", path(&message))).await.expect(200).json();
        let texts: Vec<&Value> =
            edits["items"].as_array().expect("edits").iter().map(|edit| &edit["content"]).collect();
        assert_eq!(texts, ["Lunhc?", "Lunch?"]);
    }
    carol.get(&format!("{}/edits", path(&message))).await.expect_problem(403);
    dave.get(&format!("{}/edits", path(&message))).await.expect_problem(404);
    alice.patch(&path(&message), json!({ "content": "mine" })).await.expect_problem(403);
    dave.patch(&path(&message), json!({ "content": "mine" })).await.expect_problem(404);
    bob.patch(&path(&message), json!({ "content": "  " })).await.expect_problem(422);
    bob.patch(&path(&message), json!({})).await.expect_problem(422);
}

#[tokio::test]
async fn a_deleted_message_leaves_a_tombstone_without_content() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let message = bob.say("team", "a secret for @carol").await;
    bob.patch(&path(&message), json!({ "content": "another secret for @carol" })).await.expect(200);
    carol.put(&format!("{}/reactions/👀", path(&message)), json!({})).await.expect(200);
    alice.put(&format!("{}/pin", path(&message)), json!({})).await.expect(200);
    let chat = message["chat_id"].clone();
    let answer =
        carol.post(&format!("/api/chats/{chat}/messages"), json!({ "content": "!", "reply_to": message["id"] })).await;
    let answer = answer.expect(201).json();

    carol.delete(&path(&message)).await.expect_problem(403);
    dave.delete(&path(&message)).await.expect_problem(404);
    let mut carols = carol.listen().await;
    bob.delete(&path(&message)).await.expect(204);
    bob.delete(&path(&message)).await.expect(204);
    let received = carols.next().await;
    assert_eq!((received.kind.as_str(), &received.data["message_id"]), ("message.deleted", &message["id"]));
    assert!(!received.data.to_string().contains("secret"));
    alice.say("general", "marker").await;
    // One event for the message, its reaction and its pin, and one for the mention in Carol's inbox.
    let others: Vec<String> = carols.read_until("marker").await.into_iter().map(|event| event.kind).collect();
    assert_eq!(others, ["inbox.removed"]);

    let left = alice.get(&path(&message)).await.expect(200).json();
    assert_eq!((&left["content"], &left["reactions"], &left["pinned"]), (&json!(""), &json!([]), &json!(false)));
    assert_eq!((&left["mentions"], left["deleted_at"].is_string()), (&json!([]), true));
    assert_eq!(alice.get(&path(&answer)).await.json()["reply_to"], message["id"]);
    assert_eq!(alice.get(&format!("{}/edits", path(&message))).await.json()["items"], json!([]));
    assert_eq!(alice.get(&format!("/api/chats/{chat}/pins")).await.json()["items"], json!([]));
    bob.patch(&path(&message), json!({ "content": "again" })).await.expect_problem(409);
    alice.put(&format!("{}/pin", path(&message)), json!({})).await.expect_problem(409);
    let stored: i64 = sqlx::query_scalar(
        "select (select count(*) from messages where content like '%secret%')
              + (select count(*) from message_edits where content like '%secret%')",
    )
    .fetch_one(&app.db)
    .await
    .expect("a count");
    assert_eq!(stored, 0, "no row contains the deleted content");

    // An admin can delete messages of others. A direct chat has no admins.
    let (mine, theirs) = (carol.say("team", "spam").await, alice.say("direct", "only I delete this").await);
    alice.delete(&path(&mine)).await.expect(204);
    bob.delete(&path(&theirs)).await.expect_problem(403);
}

#[tokio::test]
async fn deleted_content_is_redacted_on_replay() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let before = carol.listen().await.cursor().to_owned();
    let chat = bob.chat_id("team").await;
    let message = bob.say("team", "a secret for @carol").await;
    bob.patch(&path(&message), json!({ "content": "another secret for @carol" })).await.expect(200);
    bob.put(&format!("{}/reactions/👍", path(&message)), json!({})).await.expect(200);
    let kept = alice.say("team", "no secret").await;
    bob.delete(&path(&message)).await.expect(204);
    alice.say("team", "marker").await;

    let kinds = ["message.new", "message.updated", "reaction.added", "message.new", "message.deleted"];
    let is_of_message = |event: &Value| event["type"].as_str().is_some_and(|kind| kinds.contains(&kind));
    // Read the events from a server's memory, from a new replica, and as pages.
    let remembered = carol.resume(&before).await.read_replay().await;
    let second = TestApp::replica_of(&app).await;
    let read = carol.at(&second.endpoints).resume(&before).await.read_replay().await;
    let pages = carol.get(&format!("/api/events?after={before}&limit=100")).await.expect(200).json();
    let paged: Vec<Value> = pages["events"].as_array().expect("events").clone();
    for events in [
        remembered.into_iter().map(|event| event.data).collect::<Vec<_>>(),
        read.into_iter().map(|event| event.data).collect(),
        paged,
    ] {
        let events: Vec<&Value> =
            events.iter().filter(|event| event["chat_id"] == chat && is_of_message(event)).collect();
        assert!(!json!(events).to_string().contains("a secret"), "{events:?}");
        assert!(!json!(events).to_string().contains("another secret"), "{events:?}");
        assert_eq!(events.iter().map(|event| event["type"].as_str().expect("a type")).collect::<Vec<_>>()[..5], kinds);
        assert_eq!((&events[0]["message"]["content"], &events[0]["message"]["id"]), (&json!(""), &message["id"]));
        // The mentions stay, because unread counts are computed from them.
        assert_eq!(events[0]["message"]["mentions"], json!([carol.id]));
        assert_eq!(events[3]["message"]["content"], kept["content"]);
    }
}

#[tokio::test]
async fn a_message_keeps_its_last_hundred_revisions() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let message = alice.say("team", "text 0").await;
    for n in 1..=105 {
        alice.patch(&path(&message), json!({ "content": format!("text {n}") })).await.expect(200);
    }
    let edits = alice.get(&format!("{}/edits", path(&message))).await.expect(200).json();
    let edits = edits["items"].as_array().expect("items");
    assert_eq!((edits.len(), &edits[0]["content"], &edits[99]["content"]), (100, &json!("text 5"), &json!("text 104")));
}

#[tokio::test]
async fn only_admins_pin_in_a_channel_and_every_member_in_a_group() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let (in_general, in_team) = (bob.say("general", "read me").await, alice.say("team", "me too").await);
    bob.put(&format!("{}/pin", path(&in_general)), json!({})).await.expect_problem(403);
    dave.put(&format!("{}/pin", path(&in_team)), json!({})).await.expect_problem(404);
    make_admin(&alice, &in_general["chat_id"], &bob).await;
    let mut daves = dave.listen().await;
    for _ in 0..2 {
        assert_eq!(bob.put(&format!("{}/pin", path(&in_general)), json!({})).await.expect(200).json()["pinned"], true);
    }
    bob.put(&format!("{}/pin", path(&in_team)), json!({})).await.expect(200);
    let pins = dave.get(&format!("/api/chats/{}/pins", in_general["chat_id"])).await.expect(200).json();
    assert_eq!((&pins["items"][0]["id"], pins["items"].as_array().map(Vec::len)), (&in_general["id"], Some(1)));
    for _ in 0..2 {
        bob.delete(&format!("{}/pin", path(&in_general))).await.expect(200);
    }
    alice.say("general", "marker").await;
    let received = daves.read_until("marker").await;
    let pins = received.iter().filter(|event| event.kind != "message.new");
    let kinds: Vec<(&str, &Value)> = pins.map(|e| (e.kind.as_str(), &e.data["user_id"])).collect();
    assert_eq!(kinds, [("message.pinned", &json!(bob.id)), ("message.unpinned", &json!(bob.id))]);
}

#[tokio::test]
async fn replies_to_a_message_are_paginated() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let message = alice.say("team", "ideas?").await;
    let send = format!("/api/chats/{}/messages", message["chat_id"]);
    for n in 0..5 {
        bob.post(&send, json!({ "content": format!("idea {n}"), "reply_to": message["id"] })).await.expect(201);
        bob.post(&send, json!({ "content": "something else" })).await.expect(201);
    }
    let (mut texts, mut query) = (Vec::new(), Some("limit=2".to_owned()));
    while let Some(next) = query {
        let page = bob.get(&format!("{}/replies?{next}", path(&message))).await.expect(200).json();
        texts.extend(page["items"].as_array().expect("items").iter().map(|reply| reply["content"].clone()));
        query = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(texts, ["idea 4", "idea 3", "idea 2", "idea 1", "idea 0"]);
    dave.get(&format!("{}/replies", path(&message))).await.expect_problem(404);
}
