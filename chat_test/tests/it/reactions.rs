//! Emoji reactions.

use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

async fn react(user: &TestUser, message: &Value, emoji: &str) -> chat_test::ApiResponse {
    user.put(&format!("/api/messages/{}/reactions/{emoji}", message["id"]), json!({})).await
}

#[tokio::test]
async fn a_reaction_is_counted_once_and_each_viewer_sees_their_own() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let message = alice.say("team", "lunch?").await;
    for _ in 0..2 {
        react(&bob, &message, "🎉").await.expect(200);
    }
    react(&carol, &message, "🎉").await.expect(200);
    react(&carol, &message, "👍🏽").await.expect(200);
    let seen = |user: &TestUser| {
        let (user, path) = (user.clone(), format!("/api/messages/{}", message["id"]));
        async move { user.get(&path).await.expect(200).json()["reactions"].clone() }
    };
    let row = |emoji: &str, count: i64, me: bool| json!({ "emoji": emoji, "count": count, "me": me });
    assert_eq!(seen(&bob).await, json!([row("🎉", 2, true), row("👍🏽", 1, false)]));
    assert_eq!(seen(&alice).await, json!([row("🎉", 2, false), row("👍🏽", 1, false)]));
    let history = bob.get(&format!("/api/chats/{}/messages?limit=1", message["chat_id"])).await.json();
    assert_eq!(history["items"][0]["reactions"], seen(&bob).await);
    let listed = bob.get("/api/chats").await.json();
    assert_eq!(listed["items"][0]["last_message"]["reactions"], seen(&bob).await);

    bob.delete(&format!("/api/messages/{}/reactions/🎉", message["id"])).await.expect(200);
    bob.delete(&format!("/api/messages/{}/reactions/🎉", message["id"])).await.expect(200);
    assert_eq!(seen(&bob).await, json!([row("🎉", 1, false), row("👍🏽", 1, false)]));
}

#[tokio::test]
async fn a_reaction_reaches_the_members_and_nobody_else() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let message = alice.say("team", "lunch?").await;
    let (mut alices, mut daves) = (alice.listen().await, dave.listen().await);
    for _ in 0..2 {
        react(&bob, &message, "🎉").await.expect(200);
    }
    bob.delete(&format!("/api/messages/{}/reactions/🎉", message["id"])).await.expect(200);
    alice.say("general", "marker").await;
    let received = alices.read_until("marker").await;
    let kinds: Vec<&str> = received.iter().map(|event| event.kind.as_str()).collect();
    // The sender's inbox too.
    assert_eq!(kinds, ["reaction.added", "inbox.added", "reaction.removed", "inbox.removed"]);
    for event in received.iter().step_by(2) {
        assert_eq!((&event.data["message_id"], &event.data["chat_id"]), (&message["id"], &message["chat_id"]));
        assert_eq!((&event.data["user_id"], &event.data["emoji"]), (&json!(bob.id), &json!("🎉")));
    }
    assert!(daves.read_until("marker").await.is_empty());
}

#[tokio::test]
async fn an_invalid_emoji_or_message_is_rejected() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let message = alice.say("team", "lunch?").await;
    for text in ["a", "lol", "🎉🎉", "🎉%20", &"🎉".repeat(40), ":tada:", "%EF%B8%8F"] {
        react(&bob, &message, text).await.expect_problem(422);
    }
    react(&dave, &message, "🎉").await.expect_problem(404);
    bob.delete(&format!("/api/messages/{}/reactions/lol", message["id"])).await.expect_problem(422);
    alice.delete(&format!("/api/messages/{}", message["id"])).await.expect(204);
    assert_eq!(react(&bob, &message, "🎉").await.expect_problem(409)["code"], "message_deleted");
}

#[tokio::test]
async fn a_message_has_at_most_twenty_different_emoji() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let message = alice.say("team", "lunch?").await;
    for emoji in "🍇🍈🍉🍊🍋🍌🍍🥭🍎🍏🍐🍑🍒🍓🫐🥝🍅🫒🥥🥑".chars() {
        react(&alice, &message, &emoji.to_string()).await.expect(200);
    }
    assert_eq!(react(&bob, &message, "🍆").await.expect_problem(409)["code"], "too_many_emoji");
    react(&bob, &message, "🍇").await.expect(200);
}

#[tokio::test]
async fn members_see_who_reacted() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let message = alice.say("team", "lunch?").await;
    for user in [&bob, &carol] {
        react(user, &message, "🎉").await.expect(200);
    }
    react(&bob, &message, "👍").await.expect(200);
    let path = format!("/api/messages/{}/reactions", message["id"]);
    let names = async |query: &str| {
        let page = alice.get(&format!("{path}/{query}")).await.expect(200).json();
        let users = page["items"].as_array().expect("users").iter();
        (users.map(|user| user["username"].clone()).collect::<Vec<_>>(), page["next"].clone())
    };
    assert_eq!(names("🎉").await.0, ["bob", "carol"]);
    assert_eq!(names("👍").await.0, ["bob"]);
    assert_eq!(names("🙈").await.0, [""; 0]);
    let (first, next) = names("🎉?limit=1").await;
    assert_eq!(first, ["bob"]);
    assert_eq!(
        names(&format!("🎉?{}", next.as_str().expect("a next page"))).await,
        (vec![json!("carol")], Value::Null)
    );
    dave.get(&format!("{path}/🎉")).await.expect_problem(404);
}
