//! The audience of events: each event is sent to its audience and to no other user.

use chat_test::{EventStream, TestApp, TestUser};
use serde_json::{Value, json};

/// Returns the types of the events that a user receives before the marker.
async fn event_types_until(stream: &mut EventStream, marker: &str) -> Vec<String> {
    stream.read_until(marker).await.into_iter().map(|event| event.kind).collect()
}

#[tokio::test]
async fn each_change_reaches_the_members_and_nobody_else() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    // Alice owns the chat, Bob is a member, Carol joins and leaves, Dave is never a member.
    let body = json!({ "type": "private_channel", "name": "plans", "members": [bob.id] });
    let chat_id = alice.post("/api/chats", body).await.expect(201).json()["id"].clone();
    let chat = format!("/api/chats/{chat_id}");
    let first = alice.say_in(chat_id.as_i64().expect("an id"), "first").await;
    let message = format!("/api/messages/{}", first["id"]);
    let member = |user: &TestUser| format!("{chat}/members/{}", user.id);
    let mut streams = [alice.listen().await, bob.listen().await, carol.listen().await, dave.listen().await];

    let nothing: &[&str] = &[];
    type Change<'a> = (&'a TestUser, &'a str, String, Value, [&'a [&'a str]; 4]);
    #[rustfmt::skip]
    let changes: Vec<Change<'_>> = vec![
        //                                                                          alice                  bob                                carol                                        dave
        (&bob,   "POST",   format!("{chat}/messages"), json!({ "content": "hi" }),  [&["message.new"],     &["message.new"],                  nothing,                                     nothing]),
        (&alice, "PATCH",  message.clone(), json!({ "content": "First" }),          [&["message.updated"], &["message.updated"],              nothing,                                     nothing]),
        (&bob,   "PUT",    format!("{message}/reactions/👍"), json!({}),            [&["reaction.added", "inbox.added"], &["reaction.added"], nothing,                                     nothing]),
        (&bob,   "DELETE", format!("{message}/reactions/👍"), json!({}),            [&["reaction.removed", "inbox.removed"], &["reaction.removed"], nothing,                                     nothing]),
        (&alice, "PUT",    format!("{message}/pin"), json!({}),                     [&["message.pinned", "message.new"], &["message.pinned", "message.new"], nothing,                                     nothing]),
        (&alice, "DELETE", format!("{message}/pin"), json!({}),                     [&["message.unpinned"], &["message.unpinned"],            nothing,                                     nothing]),
        (&bob,   "PUT",    format!("{chat}/read"), json!({ "message_id": first["id"] }), [&["message.read"], &["message.read", "read_state"],  nothing,                                     nothing]),
        (&alice, "PATCH",  chat.clone(), json!({ "topic": "news" }),                [&["chat.updated", "message.new"], &["chat.updated", "message.new"], nothing,                                     nothing]),
        (&bob,   "PUT",    format!("{chat}/mute"), json!({}),                       [nothing,              &["chat.muted"],                   nothing,                                     nothing]),
        (&alice, "POST",   format!("{chat}/members"), json!({ "user_id": carol.id }), [&["member.joined", "message.new"], &["member.joined", "message.new"], &["chat.added", "inbox.added", "message.new"], nothing]),
        (&carol, "POST",   format!("{chat}/messages"), json!({ "content": "hi" }),  [&["message.new"],     &["message.new"],                  &["message.new"],                            nothing]),
        (&alice, "PATCH",  member(&carol), json!({ "role": "admin" }),              [&["member.updated"],  &["member.updated"],               &["member.updated"],                         nothing]),
        (&alice, "DELETE", member(&carol), json!({}),                               [&["member.left", "message.new"], &["member.left", "message.new"], &["chat.removed"],                           nothing]),
        (&alice, "POST",   format!("{chat}/members"), json!({ "user_id": carol.id }), [&["member.joined", "message.new"], &["member.joined", "message.new"], &["chat.added", "inbox.added", "message.new"], nothing]),
        (&carol, "DELETE", member(&carol), json!({}),                               [&["member.left", "message.new"], &["member.left", "message.new"], &["chat.removed"],                           nothing]),
        (&alice, "PUT",    format!("{chat}/bans/{}", carol.id), json!({}),          [nothing,              nothing,                           nothing,                                     nothing]),
        (&alice, "POST",   format!("{chat}/invites"), json!({}),                    [nothing,              nothing,                           nothing,                                     nothing]),
        (&alice, "PUT",    format!("/api/users/{}/block", dave.id), json!({}),      [&["user.blocked"],    nothing,                           nothing,                                     nothing]),
        (&alice, "POST",   format!("{chat}/transfer"), json!({ "user_id": bob.id }), [&["member.updated", "member.updated"], &["member.updated", "member.updated"], nothing,               nothing]),
        (&alice, "DELETE", message, json!({}),                                      [&["message.deleted"], &["message.deleted"],              nothing,                                     nothing]),
        (&bob,   "DELETE", chat.clone(), json!({}),                                 [&["chat.deleted"],    &["chat.deleted"],                 nothing,                                     nothing]),
    ];
    for (nth, (who, method, path, body, expected)) in changes.into_iter().enumerate() {
        let request = who.request(method.parse().expect("a method"), &path).json(&body);
        let status = request.send().await.expect("an answer").status();
        assert!(status.is_success(), "{method} {path}: {status}");
        // All users are in general, so each receives this message after the change.
        let marker = format!("marker {nth}");
        alice.say("general", &marker).await;
        for ((stream, expected), name) in streams.iter_mut().zip(expected).zip(["alice", "bob", "carol", "dave"]) {
            assert_eq!(event_types_until(stream, &marker).await, expected, "{name}, after {method} {path}");
        }
    }
}

#[tokio::test]
async fn a_profile_change_is_one_event_for_everybody_who_shares_a_chat() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    // Alice and Bob share several chats; nobody shares one with Erin.
    for n in 0..5 {
        let new = json!({ "type": "group", "name": format!("g {n}"), "members": [bob.id] });
        alice.post("/api/chats", new).await.expect(201);
    }
    let erin = app.sign_up("erin").await;
    let users = [&alice, &bob, &carol, &dave, &erin];
    let mut streams = Vec::new();
    for user in users {
        streams.push(user.listen().await);
    }
    let cursors: Vec<String> = streams.iter().map(|stream| stream.cursor().to_owned()).collect();
    let count =
        async || sqlx::query_scalar::<_, i64>("select count(*) from events").fetch_one(&app.db).await.expect("a count");
    let before = count().await;
    alice.patch("/api/me", json!({ "display_name": "Alice the First" })).await.expect(200);
    assert_eq!(count().await, before + 1);
    let marker =
        alice.post("/api/chats", json!({ "type": "public_channel", "name": "marker" })).await.expect(201).json();
    for user in [&bob, &carol, &dave, &erin] {
        user.post(&format!("/api/chats/{}/join", marker["id"]), json!({})).await.expect(201);
    }
    for ((user, stream), cursor) in users.into_iter().zip(&mut streams).zip(&cursors) {
        let mut told = Vec::new();
        loop {
            let event = stream.next().await;
            if event.kind == "chat.new" || event.kind == "chat.added" {
                break;
            }
            told.push(event.kind);
        }
        let shares = user.id != erin.id;
        assert_eq!(told, if shares { vec!["user.updated"] } else { vec![] }, "{}, live", user.name);
        let replay = user.resume(cursor).await.read_replay().await;
        let replayed = replay.iter().filter(|event| event.kind == "user.updated").count();
        assert_eq!(replayed, usize::from(shares), "{}, from memory", user.name);
        let page = user.get(&format!("/api/events?after={cursor}")).await.expect(200).json();
        let paged =
            page["events"].as_array().expect("events").iter().filter(|event| event["type"] == "user.updated").count();
        assert_eq!(paged, usize::from(shares), "{}, from the log", user.name);
    }
}
