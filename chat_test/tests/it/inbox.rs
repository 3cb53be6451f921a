//! The inbox: what is addressed to a user, in all chats, until what it is about is gone.

use chat_core::{housekeeping, housekeeping::RetentionConfig};
use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

/// Starts a server on which nobody has items: the users of the demo data were added to chats.
async fn start() -> TestApp {
    let app = TestApp::start().await;
    sqlx::query("delete from inbox_items").execute(&app.db).await.expect("deleted");
    app
}

/// The inbox of a user: kind, chat, message, actor and emoji of each item, newest first.
async fn inbox(user: &TestUser) -> Vec<Value> {
    user.get("/api/inbox").await.expect(200).json()["items"].as_array().expect("items").clone()
}

async fn kinds(user: &TestUser) -> Vec<String> {
    inbox(user).await.iter().map(|item| item["kind"].as_str().expect("a kind").to_owned()).collect()
}

/// The unseen items of a chat, as the chat list says.
async fn unseen(user: &TestUser, chat: i64) -> i64 {
    user.get(&format!("/api/chats/{chat}")).await.expect(200).json()["inbox_count"].as_i64().expect("a count")
}

async fn reply(user: &TestUser, to: &Value, text: &str) -> Value {
    let path = format!("/api/chats/{}/messages", to["chat_id"]);
    user.post(&path, json!({ "content": text, "reply_to": to["id"] })).await.expect(201).json()
}

async fn react(user: &TestUser, to: &Value, emoji: &str) {
    user.put(&format!("/api/messages/{}/reactions/{emoji}", to["id"]), json!({})).await.expect(200);
}

async fn mark_seen(user: &TestUser, item: &Value) {
    user.put("/api/inbox/seen", json!({ "last_seen_item_id": item })).await.expect(204);
}

#[tokio::test]
async fn what_is_addressed_to_a_user_is_in_the_inbox_once() {
    let app = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (team, general) = (alice.chat_id("team").await, alice.chat_id("general").await);
    let mut stream = bob.listen().await;
    let own = bob.say_in(team, "my question, @bob").await;
    alice.say_in(team, "for nobody in particular").await;
    let answer = reply(&alice, &own, "an answer").await;
    let both = reply(&alice, &own, "an answer for @bob").await;
    react(&alice, &own, "🎉").await;
    react(&bob, &own, "👍").await;
    let all = alice.say_in(team, "@everyone and @bob").await;
    reply(&bob, &own, "my own answer").await;
    let group = json!({ "type": "group", "name": "new", "members": [bob.id] });
    let group = alice.post("/api/chats", group).await.expect(201).json();
    let expected = [
        ("added", &group["id"], &Value::Null),
        ("mention", &json!(team), &all["id"]),
        ("reaction", &json!(team), &own["id"]),
        ("mention", &json!(team), &both["id"]),
        ("reply", &json!(team), &answer["id"]),
    ];
    let items = inbox(&bob).await;
    assert_eq!(items.len(), expected.len(), "{items:?}");
    for (item, (kind, chat, message)) in items.iter().zip(expected) {
        assert_eq!((&item["kind"], &item["chat_id"], &item["message_id"]), (&json!(kind), chat, message), "{item}");
        assert_eq!(item["actor_id"], alice.id);
        assert_eq!(item["message"]["id"], *message);
        assert_eq!(item["emoji"], if kind == "reaction" { json!("🎉") } else { Value::Null });
        assert_eq!(item["is_for_everyone"], json!(message == &all["id"]));
    }
    // The stream tells of each, in order.
    for item in items.iter().rev() {
        let event = stream.next_of("inbox.added").await;
        assert_eq!(event.data["item"]["id"], item["id"]);
    }
    assert_eq!((unseen(&bob, team).await, unseen(&bob, general).await), (4, 0));
    let of_kind = bob.get("/api/inbox?kind=mention&limit=1").await.expect(200).json();
    assert_eq!(of_kind["items"][0]["message_id"], all["id"]);
    let next = format!("/api/inbox?{}", of_kind["next"].as_str().expect("a next page"));
    let rest = bob.get(&next).await.expect(200).json();
    assert_eq!((&rest["items"][0]["message_id"], &rest["next"]), (&both["id"], &Value::Null));
    // Alice wrote all of it.
    assert_eq!(kinds(&alice).await, Vec::<String>::new());
}

#[tokio::test]
async fn an_item_is_deleted_with_what_it_is_about() {
    let app = start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let team = alice.chat_id("team").await;
    let own = bob.say_in(team, "my question").await;
    let mut stream = bob.listen().await;
    // A reaction that is removed.
    react(&alice, &own, "🎉").await;
    assert_eq!(kinds(&bob).await, ["reaction"]);
    alice.delete(&format!("/api/messages/{}/reactions/🎉", own["id"])).await.expect(200);
    assert_eq!(kinds(&bob).await, Vec::<String>::new());
    let added = stream.next_of("inbox.added").await.data["item"].clone();
    assert_eq!(stream.next_of("inbox.removed").await.data["item"], added);
    // An edit that takes a mention away, gives it to another, and back; and one that mentions everyone.
    let message = alice.say_in(team, "@bob").await;
    for (text, bobs, carols) in [
        ("@carol", 0, 1),
        ("@carol and @bob", 1, 1),
        ("@carol and @bob, again", 1, 1),
        ("@everyone", 1, 1),
        ("nobody", 0, 0),
        ("@bob", 1, 0),
    ] {
        alice.patch(&format!("/api/messages/{}", message["id"]), json!({ "content": text })).await.expect(200);
        assert_eq!((inbox(&bob).await.len(), inbox(&carol).await.len()), (bobs, carols), "{text}");
        assert_eq!(unseen(&bob, team).await, bobs as i64, "{text}");
    }
    // Who was mentioned before is not told again, although the item is gone.
    sqlx::query("delete from inbox_items").execute(&app.db).await.expect("deleted");
    let text = json!({ "content": "@bob and @carol" });
    alice.patch(&format!("/api/messages/{}", message["id"]), text).await.expect(200);
    assert_eq!((inbox(&bob).await.len(), inbox(&carol).await.len()), (0, 1));
    // Deleted messages: the mention, and the user's own one with its replies and reactions.
    alice.delete(&format!("/api/messages/{}", message["id"])).await.expect(204);
    react(&alice, &own, "👍").await;
    let answer = reply(&alice, &own, "an answer").await;
    assert_eq!(kinds(&bob).await, ["reply", "reaction"]);
    bob.delete(&format!("/api/messages/{}", own["id"])).await.expect(204);
    assert_eq!(kinds(&bob).await, ["reply"]);
    alice.delete(&format!("/api/messages/{}", answer["id"])).await.expect(204);
    assert_eq!(kinds(&bob).await, Vec::<String>::new());
    assert_eq!(unseen(&bob, team).await, 0);
}

#[tokio::test]
async fn a_user_who_left_a_chat_sees_none_of_its_items() {
    let app = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let group = json!({ "type": "group", "name": "new", "members": [bob.id] });
    let group = alice.post("/api/chats", group).await.expect(201).json()["id"].as_i64().expect("an id");
    let first = alice.say_in(group, "@bob").await;
    alice.say_in(group, "@everyone").await;
    assert_eq!(kinds(&bob).await, ["mention", "mention", "added"]);
    alice.delete(&format!("/api/chats/{group}/members/{}", bob.id)).await.expect(204);
    assert_eq!(kinds(&bob).await, Vec::<String>::new());
    // What was said before a user joined is not for the user.
    alice.post(&format!("/api/chats/{group}/members"), json!({ "user_id": bob.id })).await.expect(201);
    assert_eq!(kinds(&bob).await, ["added"]);
    alice.say_in(group, "@everyone, again").await;
    assert_eq!(unseen(&bob, group).await, 2);
    // Nor does the end of an old item reach the user.
    let mut stream = bob.listen().await;
    alice.delete(&format!("/api/messages/{}", first["id"])).await.expect(204);
    alice.say("general", "marker").await;
    assert!(stream.read_until("marker").await.iter().all(|event| event.kind != "inbox.removed"));
    assert_eq!(unseen(&bob, group).await, 2);
    alice.delete(&format!("/api/chats/{group}")).await.expect(204);
    assert_eq!(kinds(&bob).await, Vec::<String>::new());
    assert_eq!(kinds(&alice).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_mark_moves_forward_on_all_devices() {
    let app = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (team, general) = (alice.chat_id("team").await, alice.chat_id("general").await);
    // Nothing to mark yet.
    mark_seen(&bob, &json!(5)).await;
    assert_eq!(bob.get("/api/bootstrap").await.json()["last_seen_inbox_item_id"], Value::Null);
    for chat in [team, general, team] {
        alice.say_in(chat, "@bob").await;
    }
    let items = inbox(&bob).await;
    let mut streams = (bob.listen().await, alice.listen().await);
    for (item, counts) in [
        (&items[2]["id"], json!([{ "chat_id": team, "inbox_count": 1 }, { "chat_id": general, "inbox_count": 1 }])),
        (&json!(chat_core::ids::MAX_ID), json!([])),
    ] {
        mark_seen(&bob, item).await;
        // Neither again nor backwards.
        mark_seen(&bob, &items[2]["id"]).await;
        let event = streams.0.next_of("inbox.seen").await;
        let mut chats = event.data["chats"].as_array().expect("chats").clone();
        let mut counts = counts.as_array().expect("counts").clone();
        for list in [&mut chats, &mut counts] {
            list.sort_by_key(|chat| chat["chat_id"].as_i64());
        }
        assert_eq!(chats, counts);
    }
    assert_eq!(bob.get("/api/bootstrap").await.json()["last_seen_inbox_item_id"], items[0]["id"]);
    assert_eq!((unseen(&bob, team).await, unseen(&bob, general).await), (0, 0));
    // A mark beyond the end does not hide what comes later.
    alice.say_in(team, "@bob, later").await;
    assert_eq!(unseen(&bob, team).await, 1);
    assert!(streams.1.read_until("@bob, later").await.iter().all(|event| event.kind != "inbox.seen"));
    bob.put("/api/inbox/seen", json!({ "last_seen_item_id": 0 })).await.expect_problem(422);
    bob.get("/api/inbox?kind=gossip").await.expect_problem(422);
}

#[tokio::test]
async fn blocked_users_and_their_bots_add_no_items() {
    let app = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let own = bob.say_in(team, "my question").await;
    alice.say_in(team, "@everyone, before the block").await;
    let bot = alice.create_bot("helper").await;
    alice.post(&format!("/api/chats/{team}/members"), json!({ "user_id": bot.id })).await.expect(201);
    bob.put(&format!("/api/users/{}/block", alice.id), json!({})).await.expect(204);
    alice.say_in(team, "@bob").await;
    alice.say_in(team, "@everyone").await;
    reply(&alice, &own, "an answer").await;
    react(&alice, &own, "🎉").await;
    react(&bot, &own, "👍").await;
    alice.patch(&format!("/api/chats/{team}/members/{}", bot.id), json!({ "role": "admin" })).await.expect(200);
    bot.say_in(team, "@everyone, from the bot").await;
    reply(&bot, &own, "an answer of a bot").await;
    assert_eq!((inbox(&bob).await.len(), unseen(&bob, team).await), (0, 0));
    bob.delete(&format!("/api/users/{}/block", alice.id)).await.expect(204);
    // Those for everyone were not only for Bob.
    assert_eq!(kinds(&bob).await, ["mention", "mention", "mention"]);
    let token = bob.with_api_token(json!({ "name": "t", "scopes": ["messages:read"] })).await;
    token.get("/api/inbox").await.expect_problem(403);
}

#[tokio::test]
async fn what_a_user_does_not_see_hides_nothing() {
    let app = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let wanted = [alice.say_in(team, "@bob").await, alice.say_in(team, "@everyone").await];
    // More than a page reads, of an earlier membership and of Bob's own.
    let flood = "insert into inbox_items (user_id, kind, chat_id, message_id, actor_id, created_at)
                 select $1, 'mention', $2, $3, $4, now() from generate_series(1, $5)";
    let mut setup = app.db.begin().await.expect("a transaction");
    sqlx::query("set local session_replication_role = replica").execute(&mut *setup).await.expect("no triggers");
    for (user, message, actor, count) in [(Some(bob.id), &wanted[0], bob.id, 6_000), (None, &wanted[1], bob.id, 300)] {
        sqlx::query(flood)
            .bind(user)
            .bind(team)
            .bind(message["id"].as_i64())
            .bind(actor)
            .bind(count)
            .execute(&mut *setup)
            .await
            .expect("inserted");
    }
    setup.commit().await.expect("committed");
    let (mut found, mut query) = (Vec::new(), Some("limit=10".to_owned()));
    while let Some(next) = query {
        let page = bob.get(&format!("/api/inbox?{next}")).await.expect(200).json();
        found.extend(page["items"].as_array().expect("items").iter().map(|item| item["message_id"].clone()));
        query = page["next"].as_str().map(str::to_owned);
    }
    assert_eq!(found, [wanted[1]["id"].clone(), wanted[0]["id"].clone()]);
}

#[tokio::test]
async fn old_items_and_those_of_deleted_accounts_are_deleted() {
    let app = start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    alice.say_in(team, "@bob, long ago").await;
    sqlx::query("update chat_members set joined_at = now() - interval '100 days'")
        .execute(&app.db)
        .await
        .expect("aged");
    sqlx::query("update inbox_items set created_at = now() - interval '91 days'").execute(&app.db).await.expect("aged");
    alice.say_in(team, "@bob, today").await;
    let mut stream = bob.listen().await;
    housekeeping::run(&app.db, RetentionConfig::DEFAULT).await.expect("a run");
    assert_eq!(inbox(&bob).await.len(), 1);
    stream.next_of("inbox.removed").await;
    assert_eq!(unseen(&bob, team).await, 1);
    chat_core::accounts::delete(
        &app.db,
        bob.id.try_into().expect("an id"),
        chat_core::audit::NewEntry::new(chat_core::audit::Action::AccountDeleted),
    )
    .await
    .expect("deleted");
    housekeeping::run(&app.db, RetentionConfig::DEFAULT).await.expect("a run");
    let left: i64 = sqlx::query_scalar("select count(*) from inbox_items where user_id = $1")
        .bind(bob.id)
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(left, 0);
}
