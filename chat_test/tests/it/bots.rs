//! Bots: users that programs control.

use chat_core::operators;
use chat_test::{TestApp, TestUser};
use serde_json::{Value, json};

async fn members_of(user: &TestUser, chat: &Value) -> Vec<i64> {
    let members = user.get(&format!("/api/chats/{chat}/members")).await.expect(200).json();
    members["items"].as_array().expect("members").iter().map(|member| member["id"].as_i64().expect("an id")).collect()
}

#[tokio::test]
async fn a_bot_talks_in_the_chats_to_which_its_owner_adds_it() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let bot = alice.create_bot("helper").await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    let members = format!("/api/chats/{team}/members");
    alice.post(&members, json!({ "user_id": 999_999 })).await.expect_problem(422);
    let refused = bob.post(&members, json!({ "user_id": bot.id })).await.expect_problem(422);
    assert_eq!(refused["errors"][0]["code"], "not_owner");
    let added = alice.post(&members, json!({ "user_id": bot.id })).await.expect(201).json();
    assert_eq!((&added["kind"], &added["username"]), (&json!("bot"), &json!("helper")));
    assert_eq!(bobs.next_of("message.new").await.data["message"]["change"]["user_id"], bot.id);
    let mut stream = bot.listen().await;
    bob.say_in(team, "@helper are you there?").await;
    let asked = stream.next_of("message.new").await;
    assert_eq!(asked.data["message"]["mentions"], json!([bot.id]));
    bot.say_in(team, "always").await;
    assert_eq!(bobs.next_of("message.new").await.data["message"]["mentions"], json!([bot.id]));
    let said = bobs.next_of("message.new").await;
    assert_eq!((&said.data["message"]["sender_id"], said.text()), (&json!(bot.id), "always"));
    assert_eq!(bob.get(&format!("/api/users/{}", bot.id)).await.expect(200).json()["kind"], "bot");
    assert_eq!(bot.get("/api/me").await.expect(200).json()["email"], Value::Null);
}

#[tokio::test]
async fn a_bot_leaves_with_its_owner() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let bot = bob.create_bot("helper").await;
    let chat = alice.post("/api/chats", json!({ "type": "group", "name": "club", "members": [bob.id] })).await.json();
    let members = format!("/api/chats/{}/members", chat["id"]);
    bob.post(&members, json!({ "user_id": bot.id })).await.expect(201);
    alice.delete(&format!("{members}/{}", bob.id)).await.expect(204);
    assert_eq!(members_of(&alice, &chat["id"]).await, [alice.id]);
    // It does not come back without its owner.
    let invite = alice.post(&format!("/api/chats/{}/invites", chat["id"]), json!({})).await.expect(201).json();
    let accept = format!("/api/invites/{}", invite["code"].as_str().expect("a code"));
    assert_eq!(bot.post(&accept, json!({})).await.expect_problem(409)["code"], "owner_not_member");
    bob.post(&accept, json!({})).await.expect(201);
    bot.post(&accept, json!({})).await.expect(201);
    // The last person leaves, and the chat ends although a bot was in it.
    let own = bob.post("/api/chats", json!({ "type": "group", "name": "own", "members": [bot.id] })).await.json();
    bob.post(&format!("/api/chats/{}/leave", own["id"]), json!({})).await.expect(204);
    bot.get(&format!("/api/chats/{}", own["id"])).await.expect_problem(404);
}

#[tokio::test]
async fn a_bot_reaches_only_people_who_share_a_chat_with_it() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let bot = alice.create_bot("helper").await;
    let direct = |to: i64| json!({ "type": "single", "user_id": to });
    bot.post("/api/chats", direct(alice.id)).await.expect(201);
    bot.post("/api/chats", direct(bob.id)).await.expect_problem(403);
    bot.post("/api/chats", json!({ "type": "group", "name": "trap", "members": [bob.id] })).await.expect_problem(422);
    let with_owner = json!({ "type": "group", "name": "trap", "members": [alice.id, bob.id] });
    bot.post("/api/chats", with_owner.clone()).await.expect_problem(403);
    bob.post("/api/chats", direct(bot.id)).await.expect(201);
    alice
        .post(&format!("/api/chats/{}/members", alice.chat_id("team").await), json!({ "user_id": bot.id }))
        .await
        .expect(201);
    alice.patch("/api/me", json!({ "group_privacy": "contacts" })).await.expect(200);
    bot.post("/api/chats", with_owner.clone()).await.expect(201);
    // A block of its owner is a block of the bot.
    bob.put(&format!("/api/users/{}/block", alice.id), json!({})).await.expect(204);
    bot.post("/api/chats", with_owner).await.expect_problem(403);
}

#[tokio::test]
async fn a_bot_owns_no_chat_and_protects_its_owner_from_nobody_lower() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let bot = alice.create_bot("helper").await;
    let team = alice.chat_id("team").await;
    alice.post(&format!("/api/chats/{team}/members"), json!({ "user_id": bot.id })).await.expect(201);
    let group = json!({ "type": "group", "name": "of three", "members": [alice.id, bob.id] });
    let chat = bot.post("/api/chats", group).await.expect(201).json();
    let members = format!("/api/chats/{}/members", chat["id"]);
    let roles = alice.get(&members).await.expect(200).json();
    let role_of = |id: i64| {
        let member = roles["items"].as_array().expect("members").iter().find(|member| member["id"] == id);
        member.expect("a member")["role"].clone()
    };
    assert_eq!((role_of(alice.id), role_of(bot.id)), (json!("owner"), json!("member")));
    alice.patch(&format!("{members}/{}", bot.id), json!({ "role": "owner" })).await.expect_problem(422);
    let transfer = format!("/api/chats/{}/transfer", chat["id"]);
    alice.post(&transfer, json!({ "user_id": bot.id })).await.expect_problem(422);
    alice.post(&format!("/api/chats/{}/leave", chat["id"]), json!({})).await.expect_problem(409);
    // Who removes a member removes the bots of the member, and needs a higher role than all of them.
    alice.patch(&format!("{members}/{}", bob.id), json!({ "role": "admin" })).await.expect(200);
    let carol = app.sign_in(["carol"]).await[0].clone();
    alice.post(&members, json!({ "user_id": carol.id })).await.expect(201);
    let carols_bot = carol.create_bot("other").await;
    carol.post(&members, json!({ "user_id": carols_bot.id })).await.expect(201);
    alice.patch(&format!("{members}/{}", carols_bot.id), json!({ "role": "admin" })).await.expect(200);
    bob.delete(&format!("{members}/{}", carol.id)).await.expect_problem(403);
    bob.put(&format!("/api/chats/{}/bans/{}", chat["id"], carol.id), json!({})).await.expect_problem(403);
    alice.patch(&format!("{members}/{}", carols_bot.id), json!({ "role": "member" })).await.expect(200);
    bob.delete(&format!("{members}/{}", carol.id)).await.expect(204);
    carols_bot.get(&format!("/api/chats/{}", chat["id"])).await.expect_problem(404);
    bob.delete(&format!("{members}/{}", bot.id)).await.expect(204);
}

#[tokio::test]
async fn a_bot_ends_with_its_owner_and_stops_while_the_owner_is_suspended() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    operators::set_operator(&app.db, alice.id.try_into().expect("an id"), true).await.expect("an operator");
    let bot = bob.create_bot("helper").await;
    bot.get("/api/me").await.expect(200);
    alice.put(&format!("/api/operator/users/{}/suspension", bob.id), json!({})).await.expect(204);
    chat_test::eventually("the bot has stopped", || async { bot.get("/api/me").await.status == 401 }).await;
    // Sessions are checked once a second, so the suspended owner may still send a request.
    for (path, body) in [
        ("/api/tokens", json!({ "name": "late", "bot_id": bot.id, "scopes": ["users:read"] })),
        ("/api/bots", json!({ "username": "late" })),
    ] {
        assert!([401, 404].contains(&bob.post(path, body).await.status.as_u16()), "{path}");
    }
    alice.delete(&format!("/api/operator/users/{}/suspension", bob.id)).await.expect(204);

    let [bob] = app.sign_in(["bob"]).await;
    let other = bob.create_bot("other").await;
    let request = bob.request(http::Method::DELETE, "/api/me").json(&json!({ "password": "confab-demo" }));
    chat_test::ApiResponse::read(request.send().await.expect("an answer")).await.expect(204);
    chat_test::eventually("the bot is gone", || async { other.get("/api/me").await.status == 401 }).await;
    for id in [bot.id, other.id] {
        let user = alice.get(&format!("/api/users/{id}")).await.expect(200).json();
        assert_eq!(user["display_name"], "Deleted account");
    }
}

#[tokio::test]
async fn a_new_password_ends_the_tokens_of_the_bots_too() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let bot = alice.create_bot("helper").await;
    let body = json!({ "current_password": "confab-demo", "new_password": "other unlikely words" });
    alice.put("/api/me/password", body).await.expect(204);
    chat_test::eventually("the bot has stopped", || async { bot.get("/api/me").await.status == 401 }).await;
}

#[tokio::test]
async fn a_bot_uses_the_limits_of_its_owner() {
    let app = TestApp::with_rate_limits("write=5/m").await;
    let [alice] = app.sign_in(["alice"]).await;
    let bot = alice.create_bot("helper").await;
    let send = json!({ "type": "single", "user_id": alice.id });
    let statuses = futures_util::future::join_all((0..4).map(|_| bot.post("/api/chats", send.clone()))).await;
    assert!(statuses.iter().any(|response| response.status == 429), "the owner has used two already");
}

#[tokio::test]
async fn an_owner_manages_only_their_own_bots() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let create = |name: &str| json!({ "username": name, "display_name": "A helper", "bio": "Helps." });
    let bot = alice.post("/api/bots", create("helper")).await.expect(201).json();
    assert_eq!((&bot["display_name"], &bot["kind"]), (&json!("A helper"), &json!("bot")));
    for taken in ["helper", "HELPER", "he1per", "bob"] {
        assert_eq!(bob.post("/api/bots", create(taken)).await.expect_problem(409)["code"], "username_taken", "{taken}");
    }
    assert_eq!(alice.get("/api/bots").await.expect(200).json()["items"], json!([bot]));
    assert_eq!(bob.get("/api/bots").await.expect(200).json()["items"], json!([]));
    let path = format!("/api/bots/{}", bot["id"]);
    bob.patch(&path, json!({ "display_name": "Mine" })).await.expect_problem(404);
    bob.delete(&path).await.expect_problem(404);
    alice.patch(&format!("/api/bots/{}", bob.id), json!({ "bio": "Mine" })).await.expect_problem(404);
    let changed = alice.patch(&path, json!({ "display_name": "Helper" })).await.expect(200).json();
    assert_eq!((&changed["display_name"], &changed["bio"]), (&json!("Helper"), &json!("Helps.")));
    alice.delete(&path).await.expect(204);
    alice.delete(&path).await.expect_problem(404);
    for n in 0..20 {
        alice.post("/api/bots", create(&format!("zz{n}zz"))).await.expect(201);
    }
    assert_eq!(alice.post("/api/bots", create("onemore")).await.expect_problem(409)["code"], "too_many_bots");
}

#[tokio::test]
async fn a_bot_cannot_manage_accounts_tokens_or_bots() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let bot = alice.create_bot("helper").await;
    for (method, path) in [("POST", "/api/tokens"), ("POST", "/api/bots"), ("DELETE", "/api/me"), ("PATCH", "/api/me")]
    {
        let request = bot.request(method.parse().expect("a method"), path).json(&json!({}));
        let response = chat_test::ApiResponse::read(request.send().await.expect("an answer")).await;
        assert_eq!(response.status, 403, "{method} {path}");
    }
}

#[tokio::test]
async fn a_block_of_the_owner_hides_the_blocker_from_the_bot() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let bot = bob.create_bot("helper").await;
    alice.post(&format!("/api/chats/{team}/members"), json!({ "user_id": bot.id })).await.expect_problem(422);
    let group = json!({ "type": "group", "name": "club", "members": [alice.id, bot.id] });
    let chat = bob.post("/api/chats", group).await.expect(201).json()["id"].as_i64().expect("an id");
    let _stream = alice.listen().await;
    let presence = format!("/api/presence/{}", alice.id);
    chat_test::eventually("alice is online", || async { bot.get(&presence).await.json()["status"] == "online" }).await;
    alice.put(&format!("/api/users/{}/block", bob.id), json!({})).await.expect(204);
    for user in [&bob, &bot] {
        assert_eq!(user.get(&presence).await.expect(200).json()["status"], "offline", "{}", user.name);
        assert_eq!(user.say_in(chat, "@alice look").await["mentions"], json!([]), "{}", user.name);
    }
}
