//! The four types of chat, and which roles may change them.

use chat_test::{TestApp, eventually};
use serde_json::json;

#[tokio::test]
async fn each_type_of_chat_can_be_created() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    for (body, role, count) in [
        (json!({ "type": "single", "user_id": dave.id }), "member", 2),
        (json!({ "type": "group", "members": [bob.id, dave.id] }), "owner", 3),
        (json!({ "type": "group", "name": "only me" }), "owner", 1),
        (
            json!({ "type": "private_channel", "name": "secret", "description": "hush", "members": [bob.id] }),
            "owner",
            2,
        ),
        (json!({ "type": "public_channel", "name": "town square" }), "owner", 1),
    ] {
        let chat = alice.post("/api/chats", body.clone()).await.expect(201).json();
        assert_eq!(chat["type"], body["type"]);
        assert_eq!((&chat["role"], &chat["member_count"]), (&json!(role), &json!(count)), "{chat}");
        // A direct chat has no name; it has the ids of its two members.
        let pair = if body["type"] == "single" { json!([alice.id, dave.id]) } else { json!(null) };
        assert_eq!(chat["pair"], pair);
        // Reading the chat returns the created chat, plus the fields of the list.
        let summary = alice.get(&format!("/api/chats/{}", chat["id"])).await.expect(200).json();
        for (key, value) in chat.as_object().expect("an object") {
            assert_eq!(&summary[key], value, "{key}");
        }
        assert_eq!(summary["unread_count"], 0);
    }
}

#[tokio::test]
async fn a_pair_of_users_has_at_most_one_direct_chat() {
    let app = TestApp::start().await;
    let [carol, dave] = app.sign_in(["carol", "dave"]).await;
    let create_direct = |by: &chat_test::TestUser, with: i64| {
        let by = by.clone();
        async move { by.post("/api/chats", json!({ "type": "single", "user_id": with })).await }
    };
    // Both users create the chat concurrently, and one creates it again: one chat exists.
    let (first, second) = tokio::join!(create_direct(&carol, dave.id), create_direct(&dave, carol.id));
    let statuses = [first.status.as_u16(), second.status.as_u16()];
    assert!(statuses == [201, 200] || statuses == [200, 201], "{statuses:?}");
    assert_eq!(first.json()["id"], second.json()["id"]);
    assert_eq!(create_direct(&dave, carol.id).await.expect(200).json()["id"], first.json()["id"]);
}

#[tokio::test]
async fn an_invalid_chat_is_rejected() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    for body in [
        json!({ "type": "single" }),
        json!({ "type": "single", "user_id": alice.id }),
        json!({ "type": "single", "user_id": 999_999 }),
        json!({ "type": "single", "user_id": bob.id, "name": "x" }),
        json!({ "type": "single", "members": [bob.id, alice.id] }),
        json!({ "type": "group", "user_id": bob.id }),
        json!({ "type": "group", "members": [bob.id, 999_999] }),
        json!({ "type": "public_channel" }),
        json!({ "type": "private_channel", "name": "   " }),
        json!({ "type": "club", "name": "x" }),
        json!({ "name": "x" }),
        json!({ "type": "group", "members": (1..=5_001).collect::<Vec<_>>() }),
    ] {
        let problem = alice.post("/api/chats", body.clone()).await.expect_problem(422);
        assert!(problem["errors"][0]["field"].is_string(), "{body} → {problem}");
    }
}

#[tokio::test]
async fn the_list_shows_unread_counts_and_reading_clears_them() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let message = bob.say("ops", "are you there?").await;
    let row = |chats: serde_json::Value| chats["items"][0].clone();
    let newest = row(alice.get("/api/chats").await.expect(200).json());
    assert_eq!(newest["name"], "ops", "the most recently active comes first");
    assert_eq!(newest["last_message"], message);
    let history = alice.get(&format!("/api/chats/{}/messages", newest["id"])).await.expect(200).json();
    let own = &history["items"][1]["id"];
    assert_eq!((&newest["unread_count"], &newest["last_read_message_id"]), (&json!(1), own));

    let read = format!("/api/chats/{}/read", newest["id"]);
    alice.put(&read, json!({ "message_id": message["id"] })).await.expect(200);
    let first = json!({ "message_id": history["items"][2]["id"] });
    assert_eq!(alice.put(&read, first).await.json()["message_id"], message["id"], "a read marker never moves back");
    let newest = row(alice.get("/api/chats").await.expect(200).json());
    assert_eq!((&newest["unread_count"], &newest["last_read_message_id"]), (&json!(0), &message["id"]));
    alice.put(&read, json!({ "message_id": 999_999 })).await.expect_problem(422);
}

#[tokio::test]
async fn roles_decide_which_changes_a_member_may_make() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let body = json!({ "type": "private_channel", "name": "roles", "members": [bob.id, carol.id] });
    let chat = format!("/api/chats/{}", alice.post("/api/chats", body).await.expect(201).json()["id"]);
    let member = |user: &chat_test::TestUser| format!("{chat}/members/{}", user.id);
    let rename = json!({ "name": "renamed" });

    bob.patch(&chat, rename.clone()).await.expect_problem(403);
    bob.post(&format!("{chat}/members"), json!({ "user_id": dave.id })).await.expect_problem(403);
    bob.delete(&member(&carol)).await.expect_problem(403);
    bob.patch(&member(&bob), json!({ "role": "owner" })).await.expect_problem(403);
    bob.delete(&chat).await.expect_problem(403);
    dave.patch(&chat, rename.clone()).await.expect_problem(404);
    dave.delete(&chat).await.expect_problem(404);

    alice.patch(&member(&bob), json!({ "role": "admin" })).await.expect(200);
    assert_eq!(bob.patch(&chat, rename).await.expect(200).json()["name"], "renamed");
    bob.post(&format!("{chat}/members"), json!({ "user_id": dave.id })).await.expect(201);
    bob.post(&format!("{chat}/members"), json!({ "user_id": dave.id })).await.expect(200);
    bob.post(&format!("{chat}/members"), json!({ "user_id": dave.id, "role": "owner" })).await.expect_problem(403);
    bob.delete(&member(&alice)).await.expect_problem(403);
    bob.delete(&member(&carol)).await.expect(204);
    bob.delete(&member(&carol)).await.expect_problem(404);
    bob.delete(&chat).await.expect_problem(403);

    alice.post(&format!("{chat}/leave"), json!({})).await.expect_problem(409);
    alice.patch(&member(&alice), json!({ "role": "member" })).await.expect_problem(409);
    alice.patch(&member(&bob), json!({ "role": "owner" })).await.expect(200);
    alice.post(&format!("{chat}/leave"), json!({})).await.expect(204);
    alice.get(&chat).await.expect_problem(404);
    bob.delete(&chat).await.expect(204);
    bob.get(&chat).await.expect_problem(404);
}

#[tokio::test]
async fn a_direct_chat_keeps_its_two_members() {
    let app = TestApp::start().await;
    let [alice, carol] = app.sign_in(["alice", "carol"]).await;
    let chat = format!("/api/chats/{}", alice.chat_id("direct").await);
    alice.post(&format!("{chat}/members"), json!({ "user_id": carol.id })).await.expect_problem(403);
    alice.post(&format!("{chat}/leave"), json!({})).await.expect_problem(403);
    alice.patch(&chat, json!({ "name": "x" })).await.expect_problem(403);
    alice.delete(&chat).await.expect_problem(403);
}

#[tokio::test]
async fn users_can_find_and_join_public_channels_only() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    let [alice] = app.sign_in(["alice"]).await;
    let channels = erin.get("/api/channels?q=ENE").await.expect(200).json();
    let general = &channels["items"][0];
    assert_eq!((general["name"].as_str(), channels["items"].as_array().map(Vec::len)), (Some("general"), Some(1)));

    let join = |id: &serde_json::Value| format!("/api/chats/{id}/join");
    let preview = |id: &serde_json::Value| format!("/api/channels/{id}");
    let shown = erin.get(&preview(&general["id"])).await.expect(200).json();
    assert_eq!((&shown["name"], &shown["role"]), (&json!("general"), &json!(null)));
    let joined = erin.post(&join(&general["id"]), json!({})).await.expect(201).json();
    assert_eq!((&joined["role"], &joined["member_count"]), (&json!("member"), &json!(5)));
    erin.post(&join(&general["id"]), json!({})).await.expect(200);
    let ops = json!(alice.chat_id("ops").await);
    erin.post(&join(&ops), json!({})).await.expect_problem(404);
    erin.get(&preview(&ops)).await.expect_problem(404);
    erin.post(&join(&json!(999_999)), json!({})).await.expect_problem(404);
    alice.post(&join(&ops), json!({})).await.expect(200);
}

#[tokio::test]
async fn lists_are_paginated() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    for n in 0..5 {
        alice.post("/api/chats", json!({ "type": "public_channel", "name": format!("channel {n}") })).await.expect(201);
    }
    let general = alice.chat_id("general").await;
    for (first, whole) in
        [("/api/channels?limit=2".to_owned(), 6), (format!("/api/chats/{general}/members?limit=3"), 4)]
    {
        let (path, mut query, mut seen) =
            (first.split('?').next().expect("a path"), first.split('?').nth(1).map(str::to_owned), Vec::new());
        while let Some(next) = query {
            let page = alice.get(&format!("{path}?{next}")).await.expect(200).json();
            seen.extend(page["items"].as_array().expect("items").iter().map(|item| item["id"].as_i64()));
            query = page["next"].as_str().map(str::to_owned);
        }
        let distinct: std::collections::HashSet<_> = seen.iter().collect();
        assert_eq!((seen.len(), distinct.len()), (whole, whole), "{first}");
    }
}

#[tokio::test]
async fn the_last_member_to_leave_deletes_the_chat() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let chat = alice.post("/api/chats", json!({ "type": "group", "name": "alone" })).await.expect(201).json();
    alice.post(&format!("/api/chats/{}/leave", chat["id"]), json!({})).await.expect(204);
    let left: i64 = sqlx::query_scalar("select count(*) from chats where id = $1")
        .bind(chat["id"].as_i64())
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}

/// A page that starts after a chat the user may not see must not reveal its name.
#[tokio::test]
async fn the_channel_list_does_not_reveal_private_chats() {
    let app = TestApp::start().await;
    let [alice, dave] = app.sign_in(["alice", "dave"]).await;
    let ops = alice.chat_id("ops").await;
    for name in ["opr", "ops", "opt"] {
        dave.post("/api/chats", json!({ "type": "public_channel", "name": name })).await.expect(201);
    }
    let private = dave.get(&format!("/api/channels?after={ops}")).await.expect(200).json();
    let unknown = dave.get("/api/channels?after=999999").await.expect(200).json();
    assert_eq!(private, unknown, "the same page as for an unknown chat");
}

#[tokio::test]
async fn the_messages_of_a_deleted_chat_are_unreadable_at_once_and_deleted_later() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let new = json!({ "type": "group", "name": "short", "members": [bob.id] });
    let chat = alice.post("/api/chats", new).await.expect(201).json()["id"].as_i64().expect("an id");
    let message = alice.say_in(chat, "a plan").await;
    let reply = json!({ "content": "a reply", "reply_to": message["id"] });
    bob.post(&format!("/api/chats/{chat}/messages"), reply).await.expect(201);
    sqlx::query(
        "insert into messages (chat_id, sender_id, content) select $1, $2, 'more' from generate_series(1, 1200)",
    )
    .bind(chat)
    .bind(alice.id)
    .execute(&app.db)
    .await
    .expect("messages");
    let mut bobs = bob.listen().await;
    let cursor = bobs.cursor().to_owned();
    alice.delete(&format!("/api/chats/{chat}")).await.expect(204);
    assert_eq!(bobs.next().await.kind, "chat.deleted");
    for user in [&alice, &bob] {
        user.get(&format!("/api/messages/{}", message["id"])).await.expect_problem(404);
        user.get(&format!("/api/chats/{chat}/messages")).await.expect_problem(404);
        assert!(user.get("/api/search?q=plan").await.json()["items"].as_array().expect("items").is_empty());
    }
    eventually("the messages are deleted", || async {
        chat_core::housekeeping::purge_deleted_chats(&app.db).await.expect("purged");
        let rest = "select (select count(*) from messages where chat_id = $1) + (select count(*) from deleted_chats)";
        sqlx::query_scalar::<_, i64>(rest).bind(chat).fetch_one(&app.db).await.expect("a count") == 0
    })
    .await;
    alice.say("team", "marker").await;
    let told: Vec<_> = bob.resume(&cursor).await.read_replay().await.iter().map(|event| event.kind.clone()).collect();
    assert_eq!(told, ["chat.deleted", "message.new"], "deleting the messages later appends no event");
}

#[tokio::test]
async fn a_user_is_in_a_limited_number_of_chats() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let channel =
        bob.post("/api/chats", json!({ "type": "public_channel", "name": "one more" })).await.expect(201).json();
    sqlx::query(
        "with made as (insert into chats (type, name) select 'group', 'g' || n from generate_series(1, 1000) n returning id)
         insert into chat_members (chat_id, user_id) select id, $1 from made",
    )
    .bind(alice.id)
    .execute(&app.db)
    .await
    .expect("chats");
    let join = format!("/api/chats/{}/join", channel["id"]);
    for refused in [
        alice.post(&join, json!({})).await,
        alice.post("/api/chats", json!({ "type": "group", "name": "another" })).await,
        bob.post(&format!("/api/chats/{}/members", channel["id"]), json!({ "user_id": alice.id })).await,
    ] {
        assert_eq!(refused.expect_problem(409)["code"], "too_many_chats");
    }
}
