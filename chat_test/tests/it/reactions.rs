//! Answering with an emoji.

use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

async fn react(user: &TestUser, message: &Value, emoji: &str) -> chat_test::Reply {
    user.put(&format!("/api/messages/{}/reactions/{emoji}", message["id"]), json!({})).await
}

#[tokio::test]
async fn a_reaction_is_counted_once_and_each_viewer_sees_their_own() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let said = alice.say("team", "lunch?").await;
    for _ in 0..2 {
        react(&bob, &said, "🎉").await.expect(200);
    }
    react(&carol, &said, "🎉").await.expect(200);
    react(&carol, &said, "👍🏽").await.expect(200);
    let seen = |user: &TestUser| {
        let (user, path) = (user.clone(), format!("/api/messages/{}", said["id"]));
        async move { user.get(&path).await.expect(200).json()["reactions"].clone() }
    };
    let row = |emoji: &str, count: i64, me: bool| json!({ "emoji": emoji, "count": count, "me": me });
    assert_eq!(seen(&bob).await, json!([row("🎉", 2, true), row("👍🏽", 1, false)]));
    assert_eq!(seen(&alice).await, json!([row("🎉", 2, false), row("👍🏽", 1, false)]));
    let history = bob.get(&format!("/api/chats/{}/messages?limit=1", said["chat_id"])).await.json();
    assert_eq!(history["items"][0]["reactions"], seen(&bob).await);
    let listed = bob.get("/api/chats").await.json();
    assert_eq!(listed["items"][0]["last_message"]["reactions"], seen(&bob).await);

    bob.delete(&format!("/api/messages/{}/reactions/🎉", said["id"])).await.expect(200);
    bob.delete(&format!("/api/messages/{}/reactions/🎉", said["id"])).await.expect(200);
    assert_eq!(seen(&bob).await, json!([row("🎉", 1, false), row("👍🏽", 1, false)]));
}

#[tokio::test]
async fn members_hear_of_a_reaction_and_nobody_else_does() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let said = alice.say("team", "lunch?").await;
    let (mut alices, mut daves) = (alice.listen().await, dave.listen().await);
    for _ in 0..2 {
        react(&bob, &said, "🎉").await.expect(200);
    }
    bob.delete(&format!("/api/messages/{}/reactions/🎉", said["id"])).await.expect(200);
    alice.say("general", "marker").await;
    let heard = alices.until("marker").await;
    let kinds: Vec<&str> = heard.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["reaction.added", "reaction.removed"]);
    for event in heard {
        assert_eq!((&event.data["message_id"], &event.data["chat_id"]), (&said["id"], &said["chat_id"]));
        assert_eq!((&event.data["user_id"], &event.data["emoji"]), (&json!(bob.id), &json!("🎉")));
    }
    assert!(daves.until("marker").await.is_empty());
}

#[tokio::test]
async fn what_is_no_emoji_or_no_message_is_refused() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let said = alice.say("team", "lunch?").await;
    for text in ["a", "lol", "🎉🎉", "🎉%20", &"🎉".repeat(40), ":tada:", "%EF%B8%8F"] {
        react(&bob, &said, text).await.refused(422);
    }
    react(&dave, &said, "🎉").await.refused(404);
    bob.delete(&format!("/api/messages/{}/reactions/lol", said["id"])).await.refused(422);
    alice.delete(&format!("/api/messages/{}", said["id"])).await.expect(204);
    assert_eq!(react(&bob, &said, "🎉").await.refused(409)["code"], "message_deleted");
}

#[tokio::test]
async fn a_message_has_room_for_twenty_different_emoji() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let said = alice.say("team", "lunch?").await;
    for emoji in "🍇🍈🍉🍊🍋🍌🍍🥭🍎🍏🍐🍑🍒🍓🫐🥝🍅🫒🥥🥑".chars() {
        react(&alice, &said, &emoji.to_string()).await.expect(200);
    }
    assert_eq!(react(&bob, &said, "🍆").await.refused(409)["code"], "too_many_emoji");
    react(&bob, &said, "🍇").await.expect(200);
}
