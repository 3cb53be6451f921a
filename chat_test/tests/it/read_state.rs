//! Unread counts, mentions and receipts.

use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

async fn row(user: &TestUser, chat: &Value) -> Value {
    let list = user.get("/api/chats").await.expect(200).json();
    let rows = list["items"].as_array().expect("rows").iter();
    rows.clone().find(|row| row["id"] == *chat).cloned().unwrap_or(Value::Null)
}

async fn counts(user: &TestUser, chat: &Value) -> (i64, i64) {
    let row = row(user, chat).await;
    (row["unread_count"].as_i64().expect("a count"), row["mention_count"].as_i64().expect("a count"))
}

async fn advance_read_marker(user: &TestUser, message: &Value) {
    let body = json!({ "message_id": message["id"] });
    user.put(&format!("/api/chats/{}/read", message["chat_id"]), body).await.expect(200);
}

#[tokio::test]
async fn mentions_are_resolved_on_the_server_among_the_members() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    for (who, text, mentions, everyone) in [
        (&alice, "@Bob and @CAROL, and bob again: @bob.", vec![bob.id, carol.id], false),
        (&alice, "nobody: @nobody, bob@example.com, @dave is not here", vec![], false),
        (&alice, "not myself, @alice", vec![], false),
        (&alice, "@everyone!", vec![], true),
        (&bob, "@everyone is for admins, @carol", vec![carol.id], false),
    ] {
        let message = who.say("team", text).await;
        assert_eq!(
            (&message["mentions"], &message["mentions_everyone"]),
            (&json!(mentions), &json!(everyone)),
            "{text}"
        );
        let found = bob.get(&format!("/api/messages/{}", message["id"])).await.json();
        assert_eq!(found, message, "the response equals the stored message");
    }
    let _ = dave;
}

#[tokio::test]
async fn counters_follow_sends_edits_deletes_and_reads() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let chat = json!(alice.chat_id("team").await);
    advance_read_marker(&bob, &alice.say("team", "start").await).await;
    assert_eq!(counts(&bob, &chat).await, (0, 0));
    let first = alice.say("team", "hello").await;
    let second = alice.say("team", "hello @bob").await;
    bob.say("team", "one's own is not news").await;
    assert_eq!(counts(&bob, &chat).await, (2, 1));
    alice.patch(&format!("/api/messages/{}", first["id"]), json!({ "content": "hello @everyone" })).await.expect(200);
    assert_eq!(counts(&bob, &chat).await, (2, 2));
    alice.patch(&format!("/api/messages/{}", first["id"]), json!({ "content": "hello" })).await.expect(200);
    assert_eq!(counts(&bob, &chat).await, (2, 1));
    alice.delete(&format!("/api/messages/{}", second["id"])).await.expect(204);
    assert_eq!(counts(&bob, &chat).await, (1, 0));
    advance_read_marker(&bob, &first).await;
    assert_eq!(counts(&bob, &chat).await, (0, 0));
    assert_eq!(counts(&alice, &chat).await, (1, 0), "bob's own");
}

#[tokio::test]
async fn messages_from_before_joining_are_not_unread() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    let [alice] = app.sign_in(["alice"]).await;
    let chat = json!(alice.chat_id("general").await);
    let before = alice.say("general", "@everyone before").await;
    erin.post(&format!("/api/chats/{chat}/join"), json!({})).await.expect(201);
    assert_eq!(counts(&erin, &chat).await, (0, 0));
    assert_eq!(row(&erin, &chat).await["last_read_message_id"], before["id"]);
    alice.say("general", "@erin after").await;
    assert_eq!(counts(&erin, &chat).await, (1, 1));
    alice.delete(&format!("/api/messages/{}", before["id"])).await.expect(204);
    assert_eq!(counts(&erin, &chat).await, (1, 1));
}

#[tokio::test]
async fn read_state_reaches_only_the_readers_own_devices() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let first = alice.say("team", "one").await;
    alice.say("team", "two @bob").await;
    let (mut bobs, mut alices) = (bob.listen().await, alice.listen().await);
    advance_read_marker(&bob, &first).await;
    assert_eq!(bobs.next().await.kind, "message.read");
    let read_state = bobs.next().await;
    assert_eq!(read_state.kind, "read_state");
    let (id, unread_count, mention_count) =
        (&read_state.data["last_read_message_id"], &read_state.data["unread_count"], &read_state.data["mention_count"]);
    assert_eq!((id, unread_count, mention_count), (&first["id"], &json!(1), &json!(1)));
    assert_eq!((json!(1), json!(1)), {
        let (unread_count, mention_count) = counts(&bob, &first["chat_id"]).await;
        (json!(unread_count), json!(mention_count))
    });
    alice.say("general", "marker").await;
    let received = alices.read_until("marker").await;
    assert_eq!(received.iter().map(|event| event.kind.as_str()).collect::<Vec<_>>(), ["message.read"]);
}

#[tokio::test]
async fn counting_stops_at_a_thousand() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let chat = alice.chat_id("team").await;
    let sql = "insert into messages (chat_id, sender_id, content, mentions)
               select $1, $2, 'x', array[$3]::bigint[] from generate_series(1, 1500)";
    sqlx::query(sql).bind(chat).bind(alice.id).bind(bob.id).execute(&app.db).await.expect("said");
    assert_eq!(counts(&bob, &json!(chat)).await, (1000, 1000));
}

#[tokio::test]
async fn a_sender_sees_who_received_and_who_read_a_message() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let message = alice.say("team", "well?").await;
    let later = alice.say("team", "hello?").await;
    let receipts = format!("/api/messages/{}/receipts", message["id"]);
    let of = |list: &Value, who: &TestUser| {
        let found = list["items"].as_array().expect("items").iter().find(|row| row["user_id"] == who.id).cloned();
        let row = found.expect("a row");
        (row["delivered_at"].is_string(), row["read_at"].is_string())
    };
    let list = alice.get(&receipts).await.expect(200).json();
    assert_eq!((of(&list, &bob), of(&list, &carol)), ((false, false), (false, false)));

    // Bob's device fetches the history; Carol reads past the message.
    bob.get(&format!("/api/chats/{}/messages", message["chat_id"])).await.expect(200);
    advance_read_marker(&carol, &later).await;
    let list = alice.get(&receipts).await.expect(200).json();
    assert_eq!((of(&list, &bob), of(&list, &carol)), ((true, false), (true, true)));
    assert_eq!(list["items"].as_array().map(Vec::len), Some(2), "all members but the sender");
    bob.get(&receipts).await.expect_problem(403);
    app.sign_in(["dave"]).await[0].get(&receipts).await.expect_problem(404);
}

#[tokio::test]
async fn a_channel_does_not_broadcast_delivery_receipts() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let message = alice.say("general", "hello, world").await;
    let mut alices = alice.listen().await;
    let body = json!({ "message_id": message["id"] });
    let marker = bob.put(&format!("/api/chats/{}/delivered", message["chat_id"]), body).await.expect(200).json();
    assert_eq!(marker["message_id"], message["id"]);
    bob.get(&format!("/api/chats/{}/messages", message["chat_id"])).await.expect(200);
    alice.say("general", "marker").await;
    assert!(alices.read_until("marker").await.is_empty());
}

#[tokio::test]
async fn messages_are_marked_as_unread_only_for_oneself() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let chat = json!(alice.chat_id("team").await);
    let first = alice.say("team", "one").await;
    let second = alice.say("team", "two, @bob").await;
    let third = alice.say("team", "three").await;
    advance_read_marker(&bob, &third).await;
    let (mut bobs, mut alices) = (bob.listen().await, alice.listen().await);
    let mark = |message: &Value| json!({ "message_id": message["id"] });
    let path = format!("/api/chats/{chat}/unread");

    bob.put(&path, mark(&second)).await.expect(204);
    assert_eq!(counts(&bob, &chat).await, (2, 1));
    assert_eq!(row(&bob, &chat).await["last_read_message_id"].as_i64(), second["id"].as_i64().map(|id| id - 1));
    let told = bobs.next().await;
    assert_eq!((told.kind.as_str(), &told.data["unread_count"]), ("read_state", &json!(2)));
    let receipts = alice.get(&format!("/api/messages/{}/receipts", third["id"])).await.expect(200).json();
    let of_bob = receipts["items"].as_array().expect("items").iter().find(|row| row["user_id"] == bob.id);
    assert!(of_bob.expect("a row")["read_at"].is_string(), "the receipt stays");

    // Further down there is nothing that was read.
    bob.put(&path, mark(&third)).await.expect(204);
    assert_eq!(counts(&bob, &chat).await, (2, 1));
    // Reading on moves the position, and reading all ends the mark.
    advance_read_marker(&bob, &second).await;
    assert_eq!(counts(&bob, &chat).await, (1, 0));
    advance_read_marker(&bob, &third).await;
    assert_eq!(counts(&bob, &chat).await, (0, 0));
    bob.put(&path, mark(&first)).await.expect(204);
    assert_eq!(counts(&bob, &chat).await, (3, 1));
    let fourth = alice.say("team", "four").await;
    advance_read_marker(&bob, &fourth).await;
    assert_eq!(counts(&bob, &chat).await, (0, 0));

    dave.put(&path, mark(&first)).await.expect_problem(404);
    bob.put(&path, json!({ "message_id": 999_999 })).await.expect_problem(422);
    bob.say("general", "marker").await;
    let kinds = alices.read_until("marker").await;
    assert!(kinds.iter().all(|event| event.kind != "read_state"), "{kinds:?}");
}
