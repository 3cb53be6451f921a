//! Profiles, data export and account deletion.

use chat_test::{ApiResponse, PNG, TestApp, TestUser};
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

async fn upload(user: &TestUser, bytes: &'static [u8]) -> Value {
    let form = Form::new().part("file", Part::bytes(bytes).file_name("me.png"));
    let request = user.request(http::Method::POST, "/api/upload").multipart(form);
    ApiResponse::read(request.send().await.expect("an answer")).await.expect(201).json()[0]["id"].clone()
}

#[tokio::test]
async fn a_profile_is_visible_to_contacts_and_its_avatar_to_everyone() {
    let app = TestApp::start().await;
    let erin = app.sign_up("erin").await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    let (picture, text) = (upload(&alice, PNG).await, upload(&alice, b"only words").await);
    erin.get(&format!("/api/files/{picture}")).await.expect_problem(404);
    let patch = json!({ "display_name": "Alice M.", "bio": "Keeps the lights on", "avatar_file_id": picture });
    let me = alice.patch("/api/me", patch).await.expect(200).json();
    let seen = bob.get(&format!("/api/users/{}", alice.id)).await.expect(200).json();
    assert_eq!((&seen["bio"], &seen["avatar_url"]), (&json!("Keeps the lights on"), &me["avatar_url"]));
    erin.get(seen["avatar_url"].as_str().expect("a picture")).await.expect(200);
    assert_eq!(bobs.next_of("user.updated").await.data["user"], seen);
    for bad in [
        json!({ "avatar_file_id": text }),
        json!({ "avatar_file_id": 999_999 }),
        json!({ "bio": "x".repeat(501) }),
        json!({ "email": "another@example.com" }),
    ] {
        alice.patch("/api/me", bad).await.expect_problem(422);
    }
    bob.patch("/api/me", json!({ "avatar_file_id": picture })).await.expect_problem(422);
    assert_eq!(
        alice.patch("/api/me", json!({ "avatar_file_id": null })).await.expect(200).json()["avatar_url"],
        Value::Null
    );
    erin.get(&format!("/api/files/{picture}")).await.expect_problem(404);
}

#[tokio::test]
async fn an_export_contains_everything_known_about_the_user() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    for n in 0..600 {
        if n < 3 {
            alice.say("team", &format!("mine {n}")).await;
        }
    }
    let sql = "insert into messages (chat_id, sender_id, content) select $1, $2, 'many' from generate_series(1, 600)";
    sqlx::query(sql).bind(alice.chat_id("team").await).bind(alice.id).execute(&app.db).await.expect("said");
    let secret = bob.say("team", "bob's own words").await;
    alice.put(&format!("/api/messages/{}/reactions/🎉", secret["id"]), json!({})).await.expect(200);
    let reply = alice.get("/api/me/export").await.expect(200);
    assert_eq!(reply.header("content-type"), "application/x-ndjson");
    let text = String::from_utf8(reply.bytes).expect("text");
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
    let count = |kind: &str| lines.iter().filter(|line| line["type"] == kind).count();
    let own: i64 = sqlx::query_scalar("select count(*) from messages where sender_id = $1")
        .bind(alice.id)
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!((count("user"), count("chat"), count("reaction")), (1, 4, 1));
    assert_eq!(count("message") as i64, own);
    assert_eq!(lines[0]["email"], "alice@example.com");
    assert!(!text.contains("bob's own words") && !text.contains("password"));
}

#[tokio::test]
async fn a_deleted_account_leaves_only_its_messages() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = app.sign_in(["alice", "bob", "carol"]).await;
    let (team, direct) = (alice.chat_id("team").await, alice.chat_id("direct").await);
    let alone = alice.post("/api/chats", json!({ "type": "group", "name": "alone" })).await.expect(201).json();
    let message = alice.say("team", "I was here").await;
    let (mut alices, mut bobs) = (alice.listen().await, bob.listen().await);
    alice.delete("/api/me").await.expect_problem(415);
    let delete_account = |password: &str| {
        let request = alice.request(http::Method::DELETE, "/api/me").json(&json!({ "password": password }));
        async move { ApiResponse::read(request.send().await.expect("an answer")).await }
    };
    delete_account("wrong words").await.expect_problem(403);
    delete_account("confab-demo").await.expect(204);

    assert_eq!(alice.get("/api/me").await.expect_problem(401)["code"], "session_revoked");
    while let Some(event) = alices.try_next().await {
        assert_ne!(event.kind, "message.new");
    }
    let body = json!({ "email": "alice@example.com", "password": "confab-demo" });
    let request = reqwest::Client::new().post(format!("{}/api/signin", app.endpoints.chat)).json(&body);
    ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(401);

    let updated = bobs.next_of("user.updated").await;
    assert_eq!(updated.data["user"]["display_name"], "Deleted account");
    assert_eq!(bobs.next_of("member.left").await.data["user_id"], alice.id);
    let seen = bob.get(&format!("/api/users/{}", alice.id)).await.expect(200).json();
    assert!(seen["deleted_at"].is_string() && !seen.to_string().to_lowercase().contains("alice"));
    assert_eq!(bob.get(&format!("/api/messages/{}", message["id"])).await.expect(200).json()["content"], "I was here");
    assert_eq!(bob.get("/api/users/search?q=alice").await.json()["items"], json!([]));
    assert_eq!(bob.get("/api/users/search?q=deleted").await.json()["items"], json!([]));

    let members = carol.get(&format!("/api/chats/{team}/members")).await.json();
    let roles: Vec<(&Value, &Value)> =
        members["items"].as_array().expect("members").iter().map(|m| (&m["id"], &m["role"])).collect();
    assert_eq!(roles, [(&json!(bob.id), &json!("owner")), (&json!(carol.id), &json!("member"))]);
    bob.get(&format!("/api/chats/{direct}/messages")).await.expect(200);
    bob.post(&format!("/api/chats/{direct}/messages"), json!({ "content": "?" })).await.expect_problem(403);
    bob.post("/api/chats", json!({ "type": "group", "members": [alice.id] })).await.expect_problem(422);
    let left: i64 = sqlx::query_scalar("select count(*) from chats where id = $1")
        .bind(alone["id"].as_i64())
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(left, 0, "an empty chat is deleted");
    for taken in ["deleted-7", "Deleted-x", "everyone"] {
        let body = json!({ "username": taken, "email": "x@example.org", "password": "long unlikely words" });
        let request = reqwest::Client::new().post(format!("{}/api/signup", app.endpoints.chat)).json(&body);
        ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(422);
    }
}
