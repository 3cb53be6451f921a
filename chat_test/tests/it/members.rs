//! Membership: invites, bans, ownership and blocks.

use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

async fn create_chat(owner: &TestUser, kind: &str, members: &[&TestUser]) -> String {
    let members: Vec<i64> = members.iter().map(|user| user.id).collect();
    let body = json!({ "type": kind, "name": "plans", "members": members });
    format!("/api/chats/{}", owner.post("/api/chats", body).await.expect(201).json()["id"])
}

async fn invite(user: &TestUser, chat: &str, terms: Value) -> String {
    let invite = user.post(&format!("{chat}/invites"), terms).await.expect(201).json();
    format!("/api/invites/{}", invite["code"].as_str().expect("a code"))
}

#[tokio::test]
async fn an_invite_lets_users_join_and_receive_events() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let chat = create_chat(&alice, "private_channel", &[&bob]).await;
    bob.post(&format!("{chat}/invites"), json!({})).await.expect_problem(403);
    dave.post(&format!("{chat}/invites"), json!({})).await.expect_problem(404);
    let link = invite(&alice, &chat, json!({})).await;
    let preview = dave.get(&link).await.expect(200).json();
    assert_eq!((&preview["chat"]["name"], &preview["chat"]["member_count"]), (&json!("plans"), &json!(2)));
    let mut daves = dave.listen().await;
    let joined = dave.post(&link, json!({})).await.expect(201).json();
    assert_eq!((&joined["role"], &joined["member_count"]), (&json!("member"), &json!(3)));
    assert_eq!(dave.post(&link, json!({})).await.expect(200).json(), joined);
    assert_eq!(daves.next().await.kind, "chat.added");
    let open = alice.get(&format!("{chat}/invites")).await.expect(200).json();
    assert_eq!(open["items"][0]["uses"], 1, "joining twice counts as one use");
    dave.get(&format!("{chat}/invites")).await.expect_problem(403);
    let code = link.rsplit('/').next().expect("a code");
    dave.delete(&format!("{chat}/invites/{code}")).await.expect_problem(403);
    alice.delete(&format!("{chat}/invites/{code}")).await.expect(204);
    bob.get(&link).await.expect_problem(404);
    dave.post(&link, json!({})).await.expect_problem(404);
}

#[tokio::test]
async fn a_removed_member_cannot_rejoin_by_their_own_invite() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let chat = format!("/api/chats/{}", alice.chat_id("team").await);
    let link = invite(&bob, &chat, json!({})).await;
    alice.delete(&format!("{chat}/members/{}", bob.id)).await.expect(204);
    for user in [&bob, &dave] {
        user.post(&link, json!({})).await.expect_problem(404);
    }
}

#[tokio::test]
async fn an_invite_expires_by_time_and_by_uses() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let chat = create_chat(&alice, "group", &[]).await;
    let once = invite(&alice, &chat, json!({ "max_uses": 1 })).await;
    let brief = invite(&alice, &chat, json!({ "expires_in": 60 })).await;
    // Both users join with the last use at the same time; one succeeds.
    let (bobs, carols) = tokio::join!(bob.post(&once, json!({})), carol.post(&once, json!({})));
    let mut statuses = [bobs.status.as_u16(), carols.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 404]);
    sqlx::query("update invites set expires_at = now()").execute(&app.db).await.expect("a minute passes");
    dave.get(&brief).await.expect_problem(404);
    dave.post(&brief, json!({})).await.expect_problem(404);
    for terms in [
        json!({ "max_uses": 0 }),
        json!({ "max_uses": -1 }),
        json!({ "expires_in": 0 }),
        json!({ "expires_in": 99_999_999_999_i64 }),
        json!({ "max_uses": 3_000_000_000_i64 }),
        json!({ "forever": true }),
    ] {
        alice.post(&format!("{chat}/invites"), terms).await.expect_problem(422);
    }
    let direct = alice.chat_id("direct").await;
    alice.post(&format!("/api/chats/{direct}/invites"), json!({})).await.expect_problem(403);
}

#[tokio::test]
async fn a_banned_user_cannot_join_by_any_route() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let chat = create_chat(&alice, "public_channel", &[&bob, &carol]).await;
    let link = invite(&alice, &chat, json!({})).await;
    let ban = format!("{chat}/bans/{}", bob.id);
    carol.put(&ban, json!({})).await.expect_problem(403);
    bob.put(&format!("{chat}/bans/{}", alice.id), json!({})).await.expect_problem(403);
    let mut bobs = bob.listen().await;
    for _ in 0..2 {
        alice.put(&ban, json!({ "reason": "spam" })).await.expect(204);
    }
    let received = bobs.next().await;
    assert_eq!((received.kind.as_str(), &received.data["reason"]), ("chat.removed", &json!("banned")));

    bob.post(&format!("{chat}/join"), json!({})).await.expect_problem(403);
    bob.post(&link, json!({})).await.expect_problem(403);
    assert_eq!(
        alice.post(&format!("{chat}/members"), json!({ "user_id": bob.id })).await.expect_problem(409)["code"],
        "banned"
    );
    bob.post(&format!("{chat}/messages"), json!({ "content": "hello?" })).await.expect_problem(404);
    let bans = alice.get(&format!("{chat}/bans")).await.expect(200).json();
    assert_eq!((&bans["items"][0]["user"]["username"], &bans["items"][0]["reason"]), (&json!("bob"), &json!("spam")));
    carol.get(&format!("{chat}/bans")).await.expect_problem(403);
    carol.delete(&ban).await.expect_problem(403);

    alice.delete(&ban).await.expect(204);
    alice.delete(&ban).await.expect(204);
    bob.post(&format!("{chat}/join"), json!({})).await.expect(201);
    alice.put(&format!("{chat}/bans/{}", alice.id), json!({})).await.expect_problem(422);
    alice.put(&format!("{chat}/bans/999999"), json!({})).await.expect_problem(404);
}

#[tokio::test]
async fn an_admin_bans_members_and_not_other_admins() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let chat = create_chat(&alice, "group", &[&bob, &carol, &dave]).await;
    for admin in [&bob, &carol] {
        alice.patch(&format!("{chat}/members/{}", admin.id), json!({ "role": "admin" })).await.expect(200);
    }
    bob.put(&format!("{chat}/bans/{}", carol.id), json!({})).await.expect_problem(403);
    bob.put(&format!("{chat}/bans/{}", alice.id), json!({})).await.expect_problem(403);
    bob.put(&format!("{chat}/bans/{}", dave.id), json!({})).await.expect(204);
}

#[tokio::test]
async fn an_owner_can_transfer_ownership_and_then_leave() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let chat = create_chat(&alice, "group", &[&bob]).await;
    bob.post(&format!("{chat}/transfer"), json!({ "user_id": bob.id })).await.expect_problem(403);
    alice.post(&format!("{chat}/transfer"), json!({ "user_id": dave.id })).await.expect_problem(422);
    alice.post(&format!("{chat}/transfer"), json!({ "user_id": alice.id })).await.expect_problem(422);
    alice.post(&format!("{chat}/leave"), json!({})).await.expect_problem(409);
    let owner = alice.post(&format!("{chat}/transfer"), json!({ "user_id": bob.id })).await.expect(200).json();
    assert_eq!((&owner["id"], &owner["role"]), (&json!(bob.id), &json!("owner")));
    assert_eq!(alice.get(&chat).await.json()["role"], "admin");
    alice.delete(&chat).await.expect_problem(403);
    alice.post(&format!("{chat}/leave"), json!({})).await.expect(204);
}

#[tokio::test]
async fn a_blocked_user_cannot_open_or_write_to_a_direct_chat() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let direct = alice.chat_id("direct").await;
    let block = |who: &TestUser| format!("/api/users/{}/block", who.id);
    for _ in 0..2 {
        alice.put(&block(&bob), json!({})).await.expect(204);
    }
    bob.post(&format!("/api/chats/{direct}/messages"), json!({ "content": "hey" })).await.expect_problem(403);
    let history = bob.get(&format!("/api/chats/{direct}/messages")).await.expect(200).json();
    let bobs = format!("/api/messages/{}", history["items"][0]["id"]);
    bob.patch(&bobs, json!({ "content": "hey" })).await.expect_problem(403);
    bob.put(&format!("{bobs}/reactions/👍"), json!({})).await.expect_problem(403);
    alice.say_in(direct, "I still can").await;
    bob.say("general", "and so can I, elsewhere").await;
    assert_eq!(alice.get("/api/blocks").await.expect(200).json()["items"][0]["username"], "bob");
    assert_eq!(bob.get("/api/blocks").await.expect(200).json()["items"], json!([]));
    for _ in 0..2 {
        alice.delete(&block(&bob)).await.expect(204);
    }
    bob.say_in(direct, "hey").await;

    carol.put(&block(&bob), json!({})).await.expect(204);
    for (one, other) in [(&bob, &carol), (&carol, &bob)] {
        one.post("/api/chats", json!({ "type": "single", "user_id": other.id })).await.expect_problem(403);
    }
    alice.put(&block(&alice), json!({})).await.expect_problem(422);
    alice.put("/api/users/999999/block", json!({})).await.expect_problem(404);
}

#[tokio::test]
async fn a_block_works_in_every_chat() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let group = create_chat(&alice, "group", &[&bob, &carol]).await;
    let other = create_chat(&alice, "group", &[&carol]).await;
    let mut bobs = bob.listen().await;
    for _ in 0..2 {
        bob.put(&format!("/api/users/{}/block", alice.id), json!({})).await.expect(204);
    }
    let blocked = bobs.next().await;
    assert_eq!((blocked.kind.as_str(), &blocked.data["user"]["username"]), ("user.blocked", &json!("alice")));
    let bootstrap = bob.get("/api/bootstrap").await.expect(200).json();
    assert_eq!(bootstrap["blocked_user_ids"], json!([alice.id]));

    for (blocker, actor) in [(&bob, &alice), (&alice, &bob)] {
        let body = json!({ "type": "group", "name": "together", "members": [carol.id, blocker.id] });
        actor.post("/api/chats", body).await.expect_problem(403);
    }
    alice.post(&format!("{other}/members"), json!({ "user_id": bob.id })).await.expect_problem(403);
    carol.post(&format!("{other}/members"), json!({ "user_id": bob.id })).await.expect(201);

    let counts = async || {
        let chat = bob.get(&group).await.expect(200).json();
        (chat["unread_count"].as_i64(), chat["mention_count"].as_i64())
    };
    let before = counts().await;
    let sent = alice.post(&format!("{group}/messages"), json!({ "content": "@bob @carol @everyone" })).await;
    assert_eq!(sent.expect(201).json()["mentions"], json!([carol.id]), "the message mentions only carol by name");
    assert_eq!(counts().await, before, "the message of a blocked user counts nowhere");
    carol.post(&format!("{group}/messages"), json!({ "content": "@bob" })).await.expect(201);
    assert_eq!(counts().await, (before.0.map(|count| count + 1), before.1.map(|count| count + 1)));

    let mut streams = (alice.listen().await, carol.listen().await);
    bob.put("/api/presence", json!({ "status": "busy" })).await.expect(200);
    while streams.1.next_ephemeral("presence").await.data["status"] != "busy" {}
    // Carol's events are dispatched after bob's, so alice would have received his before.
    carol.put("/api/presence", json!({ "status": "away" })).await.expect(200);
    loop {
        let event = streams.0.next_ephemeral("presence").await.data;
        assert_ne!(event["user_id"], bob.id, "{event}");
        if event["user_id"] == carol.id && event["status"] == "away" {
            break;
        }
    }
    bob.post(&format!("{group}/typing"), json!({})).await.expect(204);
    while streams.1.next_ephemeral("typing").await.data["user_id"] != bob.id {}
    carol.post(&format!("{group}/typing"), json!({})).await.expect(204);
    let typing = streams.0.next_ephemeral("typing").await.data;
    assert_eq!(typing["user_id"], carol.id, "{typing}");

    let seen = alice.get(&format!("/api/presence/{}", bob.id)).await.expect(200).json();
    assert_eq!((&seen["status"], &seen["last_seen"]), (&json!("offline"), &json!(null)));
    let bootstrap = alice.get("/api/bootstrap").await.expect(200).json();
    let mut presences = bootstrap["presences"].as_array().expect("a list").iter();
    assert_eq!(presences.find(|one| one["user_id"] == bob.id), Some(&seen));

    bob.delete(&format!("/api/users/{}/block", alice.id)).await.expect(204);
    assert_eq!(bobs.next_of("user.unblocked").await.data["user"]["username"], "alice");
    assert_eq!(counts().await.0, before.0.map(|count| count + 2));
    alice.get(&format!("/api/presence/{}", bob.id)).await.expect(200);
}

#[tokio::test]
async fn a_user_who_left_comes_back_only_by_their_own_choice() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    for kind in ["group", "private_channel"] {
        let chat = create_chat(&alice, kind, &[&bob]).await;
        let add = json!({ "user_id": bob.id });
        alice.delete(&format!("{chat}/members/{}", bob.id)).await.expect(204);
        alice.post(&format!("{chat}/members"), add.clone()).await.expect(201);
        bob.post(&format!("{chat}/leave"), json!({})).await.expect(204);
        assert_eq!(alice.post(&format!("{chat}/members"), add.clone()).await.expect_problem(409)["code"], "left");
        bob.post(&invite(&alice, &chat, json!({})).await, json!({})).await.expect(201);
        alice.delete(&format!("{chat}/members/{}", bob.id)).await.expect(204);
        alice.post(&format!("{chat}/members"), add).await.expect(201);
    }
}

#[tokio::test]
async fn the_invites_of_a_demoted_admin_end_and_a_banned_user_previews_nothing() {
    let app = TestApp::start().await;
    let [alice, bob, carol, dave] = app.sign_in(["alice", "bob", "carol", "dave"]).await;
    let chat = create_chat(&alice, "private_channel", &[&bob, &carol]).await;
    let role = |role: &str| json!({ "role": role });
    alice.patch(&format!("{chat}/members/{}", bob.id), role("admin")).await.expect(200);
    let (bobs, alices) = (invite(&bob, &chat, json!({})).await, invite(&alice, &chat, json!({})).await);
    dave.get(&bobs).await.expect(200);
    alice.patch(&format!("{chat}/members/{}", bob.id), role("member")).await.expect(200);
    dave.get(&bobs).await.expect_problem(404);
    dave.post(&bobs, json!({})).await.expect_problem(404);
    dave.get(&alices).await.expect(200);
    alice.put(&format!("{chat}/bans/{}", dave.id), json!({})).await.expect(204);
    dave.get(&alices).await.expect_problem(404);
    // In a group every member may invite, so a former admin's invite stays.
    let group = create_chat(&alice, "group", &[&bob]).await;
    alice.patch(&format!("{group}/members/{}", bob.id), role("admin")).await.expect(200);
    let bobs = invite(&bob, &group, json!({})).await;
    alice.patch(&format!("{group}/members/{}", bob.id), role("member")).await.expect(200);
    dave.get(&bobs).await.expect(200);
}
