//! Operators, the audit log, and the throttle of failed sign-ins.

use chat_core::{default_channels::MAX_DEFAULT_CHANNELS, operators};
use chat_test::{ApiResponse, Socket, TestApp, TestUser, eventually};
use serde_json::{Value, json};

/// Signs in users of the demo data, the first of whom is an operator.
async fn sign_in_with_operator<const N: usize>(app: &TestApp, names: [&str; N]) -> [TestUser; N] {
    let users = app.sign_in(names).await;
    operators::set_operator(&app.db, users[0].id.try_into().expect("an id"), true).await.expect("an operator");
    users
}

async fn list_audit(operator: &TestUser, query: &str) -> Vec<Value> {
    let page = operator.get(&format!("/api/operator/audit{query}")).await.expect(200).json();
    page["items"].as_array().expect("entries").clone()
}

async fn try_password(app: &TestApp, email: &str, password: &str, headers: &[(&str, &str)]) -> ApiResponse {
    let body = json!({ "email": email, "password": password });
    let mut request = reqwest::Client::new().post(format!("{}/api/signin", app.endpoints.chat)).json(&body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    ApiResponse::read(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn only_operators_reach_the_routes_of_operators() {
    let app = TestApp::start().await;
    let [alice, bob] = sign_in_with_operator(&app, ["alice", "bob"]).await;
    let user = format!("/api/operator/users/{}", alice.id);
    bob.get("/api/operator/users").await.expect_problem(403);
    bob.get("/api/operator/audit").await.expect_problem(403);
    bob.put(&format!("{user}/suspension"), json!({ "reason": "" })).await.expect_problem(403);
    bob.put(&format!("{user}/approval"), json!({})).await.expect_problem(403);
    for path in ["suspension", "approval", "sessions", "profile"] {
        bob.delete(&format!("{user}/{path}")).await.expect_problem(403);
    }
    bob.delete("/api/operator/messages/1").await.expect_problem(403);
    bob.delete("/api/operator/chats/1").await.expect_problem(403);
    let me = alice.get("/api/me").await.expect(200).json();
    assert_eq!((&me["is_operator"], &alice.get("/api/bootstrap").await.json()["user"]), (&json!(true), &me));
    // Only the first few of these are recorded, so that a user cannot fill the log.
    let refused = list_audit(&alice, &format!("?user_id={}&action=refused", bob.id)).await;
    assert_eq!(refused.len(), 5);
    assert_eq!(refused[4]["detail"], "GET /api/operator/users");
}

#[tokio::test]
async fn a_refused_command_of_a_websocket_is_in_the_audit_log() {
    let app = TestApp::start().await;
    let [alice, bob] = sign_in_with_operator(&app, ["alice", "bob"]).await;
    let direct = alice.post("/api/chats", json!({ "type": "single", "user_id": bob.id })).await.json()["id"].clone();
    alice.put(&format!("/api/users/{}/block", bob.id), json!({})).await.expect(204);
    let headers = [("authorization", &*format!("Bearer {}", bob.token)), ("user-agent", "a test")];
    let mut socket = Socket::open(&app.endpoints.notify, "", &headers).await.expect("a socket");
    assert_eq!(socket.next().await.kind, "ready");
    let send = json!({ "type": "message.send", "chat_id": direct, "content": "a secret" });
    assert_eq!(socket.send_command(send).await["code"], "forbidden");
    let refused = list_audit(&alice, "?action=refused").await;
    assert_eq!(refused[0]["detail"], format!("WebSocket message.send in chat {direct}"));
    assert_eq!((&refused[0]["actor_id"], &refused[0]["user_agent"]), (&json!(bob.id), &json!("a test")));
    assert!(refused[0]["address"].is_string());
}

#[tokio::test]
async fn a_suspended_user_is_signed_out_and_cannot_sign_in() {
    let app = TestApp::start().await;
    let [alice, bob] = sign_in_with_operator(&app, ["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    let path = format!("/api/operator/users/{}/suspension", bob.id);
    for _ in 0..2 {
        alice.put(&path, json!({ "reason": "spam" })).await.expect(204);
    }
    assert_eq!(bobs.next_of("session.revoked").await.kind, "session.revoked");
    assert!(bobs.try_next().await.is_none(), "the stream has ended");
    let refresh = json!({ "refresh_token": bob.auth_response["refresh_token"] });
    bob.post("/api/token/refresh", refresh).await.expect_problem(401);
    let refused = try_password(&app, "bob@example.com", "confab-demo", &[]).await;
    assert_eq!(refused.expect_problem(403)["code"], "account_suspended");
    assert_eq!(
        try_password(&app, "bob@example.com", "a wrong guess", &[]).await.expect_problem(401)["code"],
        "credentials_invalid",
        "only who knows the password learns of the suspension"
    );
    let listed = alice.get("/api/operator/users?state=suspended").await.expect(200).json();
    assert_eq!((listed["items"][0]["id"].as_i64(), &listed["items"][1]), (Some(bob.id), &Value::Null));
    let entries = list_audit(&alice, "?action=account_suspended").await;
    assert_eq!(entries.len(), 1, "a repetition changes nothing");
    assert_eq!((&entries[0]["user_id"], &entries[0]["actor_id"]), (&json!(bob.id), &json!(alice.id)));
    assert_eq!((&entries[0]["detail"], &entries[0]["address"]), (&json!("spam"), &json!("127.0.0.1")));

    let own = format!("/api/operator/users/{}/suspension", alice.id);
    alice.put(&own, json!({ "reason": "" })).await.expect_problem(422);
    alice.delete(&path).await.expect(204);
    try_password(&app, "bob@example.com", "confab-demo", &[]).await.expect(200);
}

#[tokio::test]
async fn a_suspension_and_a_sign_in_at_once_leave_no_session() {
    let app = TestApp::start().await;
    let [alice, bob] = sign_in_with_operator(&app, ["alice", "bob"]).await;
    let path = format!("/api/operator/users/{}/suspension", bob.id);
    for _ in 0..10 {
        let sign_ins =
            futures_util::future::join_all((0..4).map(|_| try_password(&app, "bob@example.com", "confab-demo", &[])));
        let suspend = async { alice.put(&path, json!({ "reason": "" })).await };
        let (_, suspended) = tokio::join!(sign_ins, suspend);
        suspended.expect(204);
        let active: i64 = sqlx::query_scalar("select count(*) from sessions where user_id = $1 and revoked_at is null")
            .bind(bob.id)
            .fetch_one(&app.db)
            .await
            .expect("a count");
        assert_eq!(active, 0);
        alice.delete(&path).await.expect(204);
    }
}

#[tokio::test]
async fn an_operator_removes_content_everywhere() {
    let app = TestApp::start().await;
    let [alice, bob] = sign_in_with_operator(&app, ["alice", "bob"]).await;
    let dora = app.sign_up("dora").await;
    let body = json!({ "type": "group", "name": "theirs", "members": [bob.id] });
    let chat = dora.post("/api/chats", body).await.expect(201).json()["id"].as_i64().expect("an id");
    let message = dora.say_in(chat, "something awful").await;
    dora.patch("/api/me", json!({ "display_name": "Something awful", "bio": "awful" })).await.expect(200);
    let mut bobs = bob.listen().await;
    alice.get(&format!("/api/messages/{}", message["id"])).await.expect_problem(404);
    for _ in 0..2 {
        alice.delete(&format!("/api/operator/messages/{}", message["id"])).await.expect(204);
    }
    assert_eq!(bobs.next_of("message.deleted").await.data["message_id"], message["id"]);
    assert_eq!(bob.get(&format!("/api/messages/{}", message["id"])).await.expect(200).json()["content"], "");
    alice.delete(&format!("/api/operator/users/{}/profile", dora.id)).await.expect(204);
    let profile = bobs.next_of("user.updated").await.data["user"].clone();
    assert_eq!((&profile["display_name"], &profile["bio"]), (&json!("dora"), &json!("")));
    alice.delete(&format!("/api/operator/chats/{chat}")).await.expect(204);
    assert_eq!(bobs.next_of("chat.deleted").await.data["chat_id"], chat);
    alice.delete(&format!("/api/operator/chats/{chat}")).await.expect_problem(404);
    alice.delete(&format!("/api/operator/users/{}/sessions", dora.id)).await.expect(204);
    let of_dora = list_audit(&alice, &format!("?user_id={}", dora.id)).await;
    let actions: Vec<&str> = of_dora.iter().filter_map(|entry| entry["action"].as_str()).collect();
    assert_eq!(actions, ["sessions_ended", "profile_removed", "message_removed", "signed_up"]);
}

#[tokio::test]
async fn roles_and_bans_are_in_the_audit_log_which_never_changes() {
    let app = TestApp::start().await;
    let [alice, bob, carol] = sign_in_with_operator(&app, ["alice", "bob", "carol"]).await;
    let body = json!({ "type": "group", "name": "club", "members": [alice.id, carol.id] });
    let chat = bob.post("/api/chats", body).await.expect(201).json()["id"].as_i64().expect("an id");
    bob.patch(&format!("/api/chats/{chat}/members/{}", carol.id), json!({ "role": "admin" })).await.expect(200);
    let ban = format!("/api/chats/{chat}/bans/{}", alice.id);
    carol.put(&ban, json!({ "reason": "noise" })).await.expect(204);
    carol.delete(&ban).await.expect(204);
    let in_chat: Vec<Value> =
        list_audit(&alice, "").await.into_iter().filter(|entry| entry["chat_id"] == chat).collect();
    let seen: Vec<(&str, i64, i64, &str)> = in_chat
        .iter()
        .map(|entry| {
            let id = |name: &str| entry[name].as_i64().expect("an id");
            let text = |name: &str| entry[name].as_str().expect("text");
            (text("action"), id("actor_id"), id("user_id"), text("detail"))
        })
        .collect();
    let expected = [
        ("unbanned", carol.id, alice.id, ""),
        ("banned", carol.id, alice.id, "noise"),
        ("role_changed", bob.id, carol.id, "member to admin"),
    ];
    assert_eq!(seen, expected);
    for sql in ["update audit_log set detail = ''", "delete from audit_log", "truncate audit_log"] {
        let error = sqlx::query(sql).execute(&app.db).await.expect_err(sql);
        assert!(error.to_string().contains("append-only"), "{error}");
    }
    let first = alice.get("/api/operator/audit?limit=2&action=signed_in").await.expect(200).json();
    let next = first["next"].as_str().expect("a second page");
    let second = alice.get(&format!("/api/operator/audit?{next}")).await.expect(200).json();
    assert!(second["items"].as_array().expect("entries").iter().all(|entry| entry["action"] == "signed_in"));
    assert!(second["items"][0]["id"].as_i64() < first["items"][1]["id"].as_i64());
}

#[tokio::test]
async fn an_operator_finds_users_by_name_and_email() {
    let app = TestApp::start().await;
    let [alice] = sign_in_with_operator(&app, ["alice"]).await;
    let find = |query: &'static str| {
        let alice = alice.clone();
        async move {
            let page = alice.get(&format!("/api/operator/users?{query}")).await.expect(200).json();
            let names = page["items"].as_array().expect("users").iter().map(|user| user["username"].clone());
            (names.collect::<Vec<_>>(), page["next"].clone())
        }
    };
    assert_eq!(find("q=BOB@exam").await.0, ["bob"]);
    assert_eq!(find("q=caro").await.0, ["carol"]);
    assert_eq!(find("q=%25").await.0, Vec::<Value>::new());
    let (first, next) = find("limit=3").await;
    assert_eq!((first.len(), next.is_string()), (3, true));
}

#[tokio::test]
async fn a_user_sees_sign_ins_and_failed_attempts() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    try_password(&app, "ALICE@example.com", "a wrong guess", &[("user-agent", "guesser/1.0")])
        .await
        .expect_problem(401);
    // The failure is recorded after its response.
    eventually("the failure is recorded", || async {
        alice.get("/api/me/activity").await.expect(200).json()["items"][0]["action"] == "sign_in_failed"
    })
    .await;
    alice.get("/api/me/export").await.expect(200);
    let activity = alice.get("/api/me/activity").await.expect(200).json();
    let items = activity["items"].as_array().expect("activity");
    let actions: Vec<&str> = items.iter().filter_map(|item| item["action"].as_str()).collect();
    assert_eq!(actions, ["exported", "sign_in_failed", "signed_in"]);
    assert_eq!((&items[1]["user_agent"], &items[1]["address"]), (&json!("guesser/1.0"), &json!("127.0.0.1")));
    let lines = alice.get("/api/me/export").await.expect(200);
    assert!(String::from_utf8_lossy(&lines.bytes).contains(r#""type" : "activity""#));
}

#[tokio::test]
async fn guessing_from_many_addresses_is_slow_but_locks_nobody_out() {
    let app = TestApp::with_rate_limits("auth=1000/m").await;
    let (email, right) = ("alice@example.com", "confab-demo");
    let signed_in = try_password(&app, email, right, &[("x-forwarded-for", "198.51.100.1")]).await.expect(200);
    let device = signed_in.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let device = device.filter_map(|value| value.split(';').next()).find(|pair| pair.starts_with("confab_device="));
    let device = device.expect("a device cookie").to_owned();
    for n in 0..10 {
        let address = format!("203.0.113.{n}");
        try_password(&app, email, "a wrong guess", &[("x-forwarded-for", &address)]).await.expect_problem(401);
    }
    let elsewhere = [("x-forwarded-for", "203.0.113.99")];
    let refused = try_password(&app, email, right, &elsewhere).await;
    assert_eq!(refused.expect_problem(429)["code"], "too_many_attempts");
    assert!((30..=60).contains(&refused.header("retry-after").parse().expect("seconds")));
    try_password(&app, "Alice@Example.com", right, &elsewhere).await.expect_problem(429);
    // Others, and the user on a known device, are not affected.
    try_password(&app, "bob@example.com", right, &elsewhere).await.expect(200);
    try_password(&app, email, right, &[elsewhere[0], ("cookie", &device)]).await.expect(200);
    // A known device is no way around the limit, and the cookie of another account is none.
    for _ in 0..10 {
        try_password(&app, email, "a wrong guess", &[elsewhere[0], ("cookie", &device)]).await.expect_problem(401);
    }
    try_password(&app, email, right, &[elsewhere[0], ("cookie", &device)]).await.expect_problem(429);
    // An unknown address is treated like a known one.
    for n in 0..10 {
        let address = format!("203.0.113.{n}");
        try_password(&app, "nobody@example.com", "a wrong guess", &[("x-forwarded-for", &address)])
            .await
            .expect_problem(401);
    }
    try_password(&app, "nobody@example.com", "a wrong guess", &elsewhere).await.expect_problem(429);
}

#[tokio::test]
async fn two_operators_cannot_suspend_each_other() {
    let app = TestApp::start().await;
    let [alice, bob] = sign_in_with_operator(&app, ["alice", "bob"]).await;
    operators::set_operator(&app.db, bob.id.try_into().expect("an id"), true).await.expect("an operator");
    let suspend = async |by: &TestUser, user: i64| {
        by.put(&format!("/api/operator/users/{user}/suspension"), json!({})).await.status.as_u16()
    };
    let (first, second) = tokio::join!(suspend(&alice, bob.id), suspend(&bob, alice.id));
    assert!([first, second].contains(&204) && first != second, "{first} {second}");
}

#[tokio::test]
async fn the_current_password_cannot_be_guessed_with_a_stolen_session() {
    let app = TestApp::with_rate_limits("auth=1000/m").await;
    let [alice] = app.sign_in(["alice"]).await;
    let guess = json!({ "current_password": "a wrong guess", "new_password": "violet umbrella parade" });
    for _ in 0..10 {
        alice.put("/api/me/password", guess.clone()).await.expect_problem(403);
    }
    assert_eq!(alice.put("/api/me/password", guess).await.expect_problem(429)["code"], "too_many_attempts");
}

#[tokio::test]
async fn an_account_that_waits_for_approval_is_invisible_and_joins_later() {
    let app = TestApp::start().await;
    let [alice] = sign_in_with_operator(&app, ["alice"]).await;
    let erin = app.sign_up("erin").await;
    let team = alice.chat_id("team").await;
    let invite = alice.post(&format!("/api/chats/{team}/invites"), json!({})).await.expect(201).json();
    let sql = "update users set state = 'pending', pending_invite = $2 where id = $1";
    sqlx::query(sql).bind(erin.id).bind(invite["code"].as_str()).execute(&app.db).await.expect("pending");
    alice.get(&format!("/api/users/{}", erin.id)).await.expect_problem(404);
    assert_eq!(alice.get(&format!("/api/users?ids={}", erin.id)).await.json()["items"], json!([]));
    assert_eq!(alice.get("/api/users/search?q=erin").await.json()["items"], json!([]));
    alice.put(&format!("/api/users/{}/block", erin.id), json!({})).await.expect_problem(404);
    alice.put(&format!("/api/chats/{team}/bans/{}", erin.id), json!({})).await.expect_problem(404);
    let members = format!("/api/chats/{team}/members");
    alice.post(&members, json!({ "user_id": erin.id })).await.expect_problem(422);
    alice.post("/api/chats", json!({ "type": "single", "user_id": erin.id })).await.expect_problem(422);
    alice.put(&format!("/api/operator/users/{}/approval", erin.id), json!({})).await.expect(204);
    let joined = alice.get(&members).await.expect(200).json();
    assert!(joined["items"].as_array().expect("members").iter().any(|member| member["id"] == erin.id));
}

#[tokio::test]
async fn a_user_cannot_fill_the_audit_log() {
    let app = TestApp::with_rate_limits("audited=3/m").await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let body = json!({ "type": "group", "name": "club", "members": [bob.id] });
    let chat = alice.post("/api/chats", body).await.expect(201).json()["id"].clone();
    let member = format!("/api/chats/{chat}/members/{}", bob.id);
    for role in ["admin", "member"] {
        alice.patch(&member, json!({ "role": role })).await.expect(200);
    }
    alice.put(&format!("/api/chats/{chat}/bans/{}", bob.id), json!({})).await.expect(204);
    alice.delete(&format!("/api/chats/{chat}/bans/{}", bob.id)).await.expect_problem(429);
    alice.get("/api/me/export").await.expect_problem(429);
    bob.get("/api/me/export").await.expect(200);
}

#[tokio::test]
async fn new_users_join_the_default_channels() {
    let app = TestApp::start().await;
    let [alice, bob] = sign_in_with_operator(&app, ["alice", "bob"]).await;
    let general = alice.chat_id("general").await;
    let path = format!("/api/operator/default-channels/{general}");
    bob.put(&path, json!({})).await.expect_problem(403);
    let team = alice.chat_id("team").await;
    alice.put(&format!("/api/operator/default-channels/{team}"), json!({})).await.expect_problem(404);
    for _ in 0..2 {
        alice.put(&path, json!({})).await.expect(204);
    }
    let listed = alice.get("/api/operator/default-channels").await.expect(200).json();
    assert_eq!((&listed["items"][0]["id"], listed["items"].as_array().map(Vec::len)), (&json!(general), Some(1)));

    let mut alices = alice.listen().await;
    let erin = app.sign_up("erin").await;
    let joined = alices.next_of("message.new").await;
    assert_eq!(
        (&joined.data["chat_id"], &joined.data["message"]["change"]),
        (&json!(general), &json!({ "type": "joined" }))
    );
    let chats = erin.get("/api/chats").await.expect(200).json();
    assert_eq!((&chats["items"][0]["id"], chats["items"].as_array().map(Vec::len)), (&json!(general), Some(1)));
    assert_eq!(chats["items"][0]["unread_count"], 0);

    alice.delete(&path).await.expect(204);
    alice.delete(&path).await.expect_problem(404);
    let frank = app.sign_up("frank").await;
    assert_eq!(frank.get("/api/chats").await.expect(200).json()["items"], json!([]));
    let entries = list_audit(&alice, "").await;
    let actions: Vec<&Value> = entries.iter().map(|entry| &entry["action"]).collect();
    for action in ["default_channel_added", "default_channel_removed"] {
        assert_eq!(actions.iter().filter(|one| **one == action).count(), 1, "{actions:?}");
    }
}

#[tokio::test]
async fn default_channels_are_few_and_end_with_the_channel() {
    let app = TestApp::start().await;
    let [alice] = sign_in_with_operator(&app, ["alice"]).await;
    let mut channels = Vec::new();
    for n in 0..=MAX_DEFAULT_CHANNELS {
        let new = json!({ "type": "public_channel", "name": format!("channel {n}") });
        channels.push(alice.post("/api/chats", new).await.expect(201).json()["id"].clone());
    }
    let (last, others) = channels.split_last().expect("channels");
    let path = |channel: &Value| format!("/api/operator/default-channels/{channel}");
    for channel in others {
        alice.put(&path(channel), json!({})).await.expect(204);
    }
    let refused = alice.put(&path(last), json!({})).await.expect_problem(409);
    assert_eq!(refused["code"], "too_many_default_channels");
    alice.delete(&format!("/api/chats/{}", others[0])).await.expect(204);
    alice.put(&path(last), json!({})).await.expect(204);
    let erin = app.sign_up("erin").await;
    let chats = erin.get("/api/chats").await.expect(200).json();
    assert_eq!(chats["items"].as_array().map(Vec::len), Some(others.len()));
}
