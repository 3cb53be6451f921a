//! Delivery: an event reaches every member of the chat and no other user.

use chat_test::{EventStream, TestApp};
use serde_json::{Value, json};

#[tokio::test]
async fn a_message_reaches_every_member_and_nobody_else() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let mut members = [alice.listen().await, bob.listen().await, carol.listen().await];
    let mut stranger = dave.listen().await;

    let sent = alice.say("team", "hello").await;
    for stream in &mut members {
        assert_eq!(stream.next().await.data["message"], sent);
    }
    alice.say("general", "marker").await;
    assert_eq!(stranger.next().await.text(), "marker", "the marker is the first event, so nothing leaked");
}

#[tokio::test]
async fn two_tabs_of_one_user_are_independent_streams() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (mut one, mut other) = (bob.listen().await, bob.listen().await);
    alice.say("team", "both").await;
    assert_eq!((one.next().await.text(), other.next().await.text()), ("both", "both"));
    drop(one);
    for text in ["still", "here"] {
        alice.say("team", text).await;
        assert_eq!(other.next().await.text(), text);
    }
}

#[tokio::test]
async fn a_member_receives_only_what_is_sent_while_they_belong() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let team = alice.chat_id("team").await;
    let (mut bobs, mut daves) = (bob.listen().await, dave.listen().await);

    alice.say_in(team, "before").await;
    alice.post(&format!("/api/chats/{team}/members"), json!({ "user_id": dave.id })).await.expect(201);
    alice.say_in(team, "during").await;
    alice.delete(&format!("/api/chats/{team}/members/{}", dave.id)).await.expect(204);
    alice.say_in(team, "after").await;
    alice.say("general", "marker").await;

    let received = daves.read_until("marker").await;
    let kinds: Vec<&str> = received.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["chat.added", "inbox.added", "message.new", "message.new", "chat.removed"]);
    assert_eq!(received[0].data["chat"]["role"], "member");
    assert_eq!(received[2].data["message"]["change"]["type"], "added");
    assert_eq!(received[3].text(), "during");
    assert_eq!(received[4].data["reason"], "removed");

    let received = bobs.read_until("marker").await;
    let kinds: Vec<&str> = received.iter().map(|event| event.kind.as_str()).collect();
    let before_and_after =
        ["message.new", "member.joined", "message.new", "message.new", "member.left", "message.new", "message.new"];
    assert_eq!(kinds, before_and_after);
    assert_eq!(received[1].data["user"]["username"], "dave");
}

/// An earlier chat server sent `added` to every user in the update, including the users
/// that it removed.
#[tokio::test]
async fn updating_a_chat_sends_nothing_to_a_removed_member() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let team = alice.chat_id("team").await;
    let (mut bobs, mut carols) = (bob.listen().await, carol.listen().await);
    alice.delete(&format!("/api/chats/{team}/members/{}", carol.id)).await.expect(204);
    alice.patch(&format!("/api/chats/{team}"), json!({ "name": "smaller team" })).await.expect(200);
    alice.say("general", "marker").await;

    let kinds = |received: Vec<chat_test::Event>| received.into_iter().map(|event| event.kind).collect::<Vec<_>>();
    assert_eq!(kinds(carols.read_until("marker").await), ["chat.removed"]);
    assert_eq!(kinds(bobs.read_until("marker").await), ["member.left", "message.new", "chat.updated", "message.new"]);
}

#[tokio::test]
async fn leaving_joining_and_deleting_reach_the_users_concerned() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let (mut alices, mut daves) = (alice.listen().await, dave.listen().await);
    let general = alice.chat_id("general").await;
    dave.post(&format!("/api/chats/{general}/leave"), json!({})).await.expect(204);
    let gone = daves.next().await;
    assert_eq!((gone.kind.as_str(), &gone.data["reason"]), ("chat.removed", &json!("left")));
    assert_eq!(alices.next().await.kind, "member.left");
    assert_eq!(alices.next().await.data["message"]["change"]["type"], "left");

    dave.post(&format!("/api/chats/{general}/join"), json!({})).await.expect(201);
    assert_eq!(daves.next().await.kind, "chat.added");
    assert_eq!(alices.next().await.kind, "member.joined");
    for stream in [&mut alices, &mut daves] {
        assert_eq!(stream.next().await.data["message"]["change"]["type"], "joined");
    }

    let body = json!({ "type": "group", "name": "short-lived", "members": [alice.id, dave.id] });
    let chat = bob.post("/api/chats", body).await.expect(201).json();
    assert_eq!(alices.next().await.data["chat"]["name"], "short-lived");
    assert_eq!(daves.next().await.kind, "chat.new");
    for stream in [&mut alices, &mut daves] {
        assert_eq!(stream.next().await.data["item"]["kind"], "added");
    }
    bob.delete(&format!("/api/chats/{}", chat["id"])).await.expect(204);
    for stream in [&mut alices, &mut daves] {
        let deleted = stream.next().await;
        assert_eq!((deleted.kind.as_str(), &deleted.data["chat"]["id"]), ("chat.deleted", &chat["id"]));
    }
}

#[tokio::test]
async fn a_new_name_and_a_read_marker_reach_the_chat() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    let message = bob.say("direct", "read this").await;
    bobs.next().await;
    let direct = alice.chat_id("direct").await;
    alice.put(&format!("/api/chats/{direct}/read"), json!({ "message_id": message["id"] })).await.expect(200);
    let read = bobs.next().await;
    assert_eq!((read.kind.as_str(), &read.data["user_id"]), ("message.read", &json!(alice.id)));
    assert!(read.data["read_at"].is_string());

    alice.patch("/api/me", json!({ "display_name": "Alice M." })).await.expect(200);
    assert_eq!(bobs.next().await.data["user"]["display_name"], "Alice M.");
}

#[tokio::test]
async fn a_64_kib_message_arrives_whole() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    for text in ["x".repeat(65_536), "🦊".repeat(16_384), "\"\\\r\n\u{2028}\t".repeat(6_000)] {
        let sent = alice.say("team", &text).await;
        assert_eq!(bobs.next().await.data["message"], sent);
    }
}

/// Line breaks inside a message must not become line breaks of the stream.
#[tokio::test]
async fn no_text_breaks_the_frame() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    for text in ["a\nb", "a\r\nb\rc", "\n\ndata: {}\n\nid: 9\n\n", "x\u{2028}\u{2029}\u{85}", ": ping", "\u{feff}x"] {
        alice.say("team", text).await;
        let received = bobs.next().await;
        assert_eq!((received.kind.as_str(), received.text()), ("message.new", text));
    }
}

#[tokio::test]
async fn a_chat_of_a_thousand_members_reaches_them_all() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    sqlx::query(
        "insert into users (username, display_name, email, password_hash)
         select 'crowd' || n, 'Crowd ' || n, 'crowd' || n || '@example.com', '' from generate_series(1, 998) n",
    )
    .execute(&app.db)
    .await
    .expect("a crowd");
    let crowd: Vec<i64> = sqlx::query_scalar("select id from users where username like 'crowd%' order by id")
        .fetch_all(&app.db)
        .await
        .expect("ids");
    let body = json!({ "type": "private_channel", "name": "crowd", "members": [bob.id] });
    let chat = alice.post("/api/chats", body).await.expect(201).json();
    sqlx::query("insert into chat_members (chat_id, user_id) select $1, unnest($2::bigint[])")
        .bind(chat["id"].as_i64())
        .bind(&crowd)
        .execute(&app.db)
        .await
        .expect("members");
    let chat = alice.get(&format!("/api/chats/{}", chat["id"])).await.expect(200).json();
    assert_eq!(chat["member_count"], 1_000);
    let mut bobs = bob.listen().await;

    // Fifty of the thousand members connect. Each receives every message once, in order.
    let mut streams = Vec::new();
    for id in crowd.iter().step_by(20) {
        streams.push(EventStream::open(app.stream_request_for(*id).await).await);
    }
    let chat = chat["id"].as_i64().expect("an id");
    let sent: Vec<Value> = vec![alice.say_in(chat, "one").await, alice.say_in(chat, "two").await];
    for stream in streams.iter_mut().chain([&mut bobs]) {
        for message in &sent {
            assert_eq!(&stream.next().await.data["message"], message);
        }
    }
}

#[tokio::test]
async fn all_users_receive_the_same_order_and_ids_only_grow() {
    let app = TestApp::start().await;
    let users = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let general = users[0].chat_id("general").await;
    let mut streams = Vec::new();
    for user in &users {
        streams.push(user.listen().await);
    }
    let mut senders = Vec::new();
    for user in users.clone() {
        senders.push(tokio::spawn(async move {
            for n in 0..25 {
                user.say_in(general, &format!("{} {n}", user.name)).await;
            }
        }));
    }
    for sender in senders {
        sender.await.expect("sent");
    }
    users[0].say_in(general, "marker").await;
    let mut orders = Vec::new();
    for stream in &mut streams {
        let received = stream.read_until("marker").await;
        let ids: Vec<String> = received.iter().filter_map(|event| event.id.clone()).collect();
        let positions: Vec<i64> =
            ids.iter().map(|id| id.split_once('-').expect("a cursor").1.parse().expect("a number")).collect();
        assert!(positions.windows(2).all(|pair| pair[0] < pair[1]), "ids grow: {positions:?}");
        let messages: Vec<i64> = received.iter().filter_map(|event| event.data["message"]["id"].as_i64()).collect();
        assert!(messages.windows(2).all(|pair| pair[0] < pair[1]), "messages too: {messages:?}");
        orders.push(ids);
    }
    assert_eq!(orders[0].len(), 100);
    assert!(orders.iter().all(|order| order == &orders[0]), "all users receive the same order");
}
