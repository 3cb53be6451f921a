//! Rate limits.

use chat_test::{ALLOWED_ORIGIN, ApiResponse, TestApp, TestUser, eventually};
use http::Method;
use serde_json::json;

#[tokio::test]
async fn a_rate_limited_user_gets_a_retry_after() {
    let app = TestApp::with_rate_limits("write=3/m,read=2/s").await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let send = |user: &TestUser| {
        let user = user.clone();
        async move { user.post(&format!("/api/chats/{team}/messages"), json!({ "content": "again" })).await }
    };
    for left in ["2", "1", "0"] {
        let sent = send(&alice).await.expect(201);
        assert_eq!((sent.header("ratelimit-limit"), sent.header("ratelimit-remaining")), ("3", left));
    }
    let refused = send(&alice).await;
    assert_eq!(refused.expect_problem(429)["code"], "too_many_requests");
    let wait: u64 = refused.header("retry-after").parse().expect("seconds");
    assert!((1..=20).contains(&wait), "{wait}");
    assert_eq!(
        (refused.header("ratelimit-remaining"), refused.header("ratelimit-reset")),
        ("0", refused.header("retry-after"))
    );
    send(&bob).await.expect(201);
    let messages = format!("/api/chats/{team}/messages");
    eventually("reads have their own limit that refills", || async { alice.get(&messages).await.status == 200 }).await;
    eventually("reads are limited too", || async { alice.get(&messages).await.status == 429 }).await;
    let stored: i64 = sqlx::query_scalar("select count(*) from messages where content = 'again'")
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(stored, 4, "rejected messages are not stored");
}

#[tokio::test]
async fn password_attempts_are_limited_per_address() {
    let app = TestApp::with_rate_limits("auth=3/m").await;
    let try_from = |address: &'static str| {
        let body = json!({ "email": "alice@example.com", "password": "wrong words" });
        let request = reqwest::Client::new().post(format!("{}/api/signin", app.endpoints.chat));
        let request = request.header("x-forwarded-for", address).json(&body);
        async move { ApiResponse::read(request.send().await.expect("an answer")).await }
    };
    for _ in 0..3 {
        try_from("203.0.113.7").await.expect_problem(401);
    }
    try_from("203.0.113.7").await.expect_problem(429);
    try_from("1.2.3.4, 203.0.113.7").await.expect_problem(429);
    try_from("203.0.113.8").await.expect_problem(401);
}

#[tokio::test]
async fn deleting_an_account_cannot_be_used_to_try_passwords() {
    let app = TestApp::with_rate_limits("auth=5/m").await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut last = 0;
    for _ in 0..6 {
        let request = alice.request(Method::DELETE, "/api/me").json(&json!({ "password": "wrong words" }));
        last = ApiResponse::read(request.send().await.expect("an answer")).await.status.as_u16();
    }
    assert_eq!(last, 429);
}

#[tokio::test]
async fn an_address_is_limited_across_all_its_users() {
    let app = TestApp::with_rate_limits("address=5/m").await;
    let ask = || async {
        ApiResponse::read(reqwest::get(format!("{}/api/config", app.endpoints.chat)).await.expect("an answer")).await
    };
    for _ in 0..5 {
        ask().await.expect(200);
    }
    ask().await.expect_problem(429);
}

#[tokio::test]
async fn everything_that_a_server_answers_counts_for_the_address() {
    let app = TestApp::with_rate_limits("address=5/m").await;
    let ask = |server: &str, path: &str| {
        let url = format!("{server}{path}");
        async move { ApiResponse::read(reqwest::get(url).await.expect("an answer")).await }
    };
    for _ in 0..4 {
        ask(&app.endpoints.chat, "/api/openapi.json").await.expect(200);
    }
    ask(&app.endpoints.chat, "/api/nothing").await.expect_problem(404);
    ask(&app.endpoints.chat, "/api/docs/").await.expect_problem(429);
    for path in ["/events", "/ws", "/events?ticket=guess", "/events", "/events"] {
        assert!([400, 401, 426].contains(&ask(&app.endpoints.notify, path).await.status.as_u16()), "{path}");
    }
    ask(&app.endpoints.notify, "/events").await.expect_problem(429);
    ask(&app.endpoints.notify, "/livez").await.expect(200);
}

#[tokio::test]
async fn wrong_hosts_and_preflights_count_for_the_address() {
    let app = TestApp::with_rate_limits("address=5/m").await;
    let client = reqwest::Client::new();
    let url = format!("{}/api/config", app.endpoints.chat);
    let send =
        |request: reqwest::RequestBuilder| async { ApiResponse::read(request.send().await.expect("an answer")).await };
    let preflight = || {
        let request = client.request(Method::OPTIONS, &url).header("origin", ALLOWED_ORIGIN);
        request.header("access-control-request-method", "GET")
    };
    for _ in 0..3 {
        send(client.get(&url).header("host", "evil.example")).await.expect_problem(421);
    }
    for _ in 0..2 {
        send(preflight()).await.expect(200);
    }
    for request in [client.get(&url).header("host", "evil.example"), preflight(), client.get(&url)] {
        let rejected = send(request).await;
        assert_eq!((rejected.status.as_u16(), rejected.header("x-content-type-options")), (429, "nosniff"));
    }
    let page = send(client.get(&url).header("origin", ALLOWED_ORIGIN)).await;
    assert_eq!((page.status.as_u16(), page.header("access-control-allow-origin")), (429, ALLOWED_ORIGIN));
}

#[tokio::test]
async fn one_refresh_token_cannot_be_sent_in_a_loop() {
    let app = TestApp::with_rate_limits("refresh=1000/m").await;
    let [bob] = app.sign_in(["bob"]).await;
    let refresh = |token: String| {
        let request = reqwest::Client::new().post(format!("{}/api/token/refresh", app.endpoints.chat));
        let request = request.json(&json!({ "refresh_token": token }));
        async move { ApiResponse::read(request.send().await.expect("an answer")).await }
    };
    for _ in 0..20 {
        refresh("a guess".to_owned()).await.expect_problem(401);
    }
    let refused = refresh("a guess".to_owned()).await;
    refused.expect_problem(429);
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") <= 3);
    let token = bob.auth_response["refresh_token"].as_str().expect("a token").to_owned();
    refresh(token).await.expect(200);
}

#[tokio::test]
async fn a_user_writes_a_limited_amount_of_text_a_day() {
    let app = TestApp::with_rate_limits("text=128/d").await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let path = format!("/api/chats/{team}/messages");
    let long = json!({ "content": "x".repeat(64 * 1024) });
    let first = alice.post(&path, long.clone()).await.expect(201).json();
    // Edits count, too.
    alice
        .patch(&format!("/api/messages/{}", first["id"]), json!({ "content": "y".repeat(60 * 1024) }))
        .await
        .expect(200);
    let refused = alice.post(&path, long.clone()).await;
    refused.expect_problem(429);
    assert!(refused.header("retry-after").parse::<u64>().expect("seconds") > 3_600, "the limit refills slowly");
    alice.say_in(team, "a short text still fits").await;
    // Other texts count, too.
    let patch = json!({ "topic": "t".repeat(250), "description": "d".repeat(1_000) });
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(alice.patch(&format!("/api/chats/{team}"), patch.clone()).await.status.as_u16());
    }
    assert!(statuses.contains(&429), "{statuses:?}");
    bob.post(&path, long).await.expect(201);
}

#[tokio::test]
async fn without_limits_no_rate_limit_headers_are_sent() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let reply =
        ApiResponse::read(alice.request(Method::GET, "/api/me").send().await.expect("an answer")).await.expect(200);
    assert_eq!(reply.header("ratelimit-limit"), "");
}

#[tokio::test]
async fn a_long_text_and_a_large_chat_count_as_several_writes() {
    let app = TestApp::with_rate_limits("write=20/m").await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let long = json!({ "content": "x".repeat(64 * 1024) });
    let team = alice.chat_id("team").await;
    alice.post(&format!("/api/chats/{team}/messages"), long.clone()).await.expect(201);
    let refused = alice.post(&format!("/api/chats/{team}/messages"), long).await;
    refused.expect_problem(429);
    assert!(refused.header("retry-after").parse::<u64>().is_ok());
    // The rest of the limit is not lost.
    alice.say("team", "short").await;
    let large = json!({ "type": "group", "name": "g", "members": vec![alice.id; 60] });
    bob.post("/api/chats", large.clone()).await.expect(201);
    bob.post("/api/chats", large).await.expect_problem(429);
}

#[tokio::test]
async fn profile_changes_and_edits_have_limits_of_their_own() {
    let app = TestApp::with_rate_limits("profile=2/m,edit=3/m,edit_burst=100/s").await;
    let [alice] = app.sign_in(["alice"]).await;
    for name in ["One", "Two"] {
        alice.patch("/api/me", json!({ "display_name": name })).await.expect(200);
    }
    alice.patch("/api/me", json!({ "display_name": "Three" })).await.expect_problem(429);
    let [one, other] = [alice.say("team", "one").await, alice.say("team", "other").await];
    let edit = async |message: &serde_json::Value, text: &str| {
        alice.patch(&format!("/api/messages/{}", message["id"]), json!({ "content": text })).await
    };
    for n in 0..3 {
        edit(&one, &n.to_string()).await.expect(200);
    }
    edit(&one, "too often").await.expect_problem(429);
    let escaped: String = one["id"].to_string().bytes().map(|digit| format!("%{digit:02x}")).collect();
    let escaped = format!("/api/messages/{escaped}");
    alice.patch(&escaped, json!({ "content": "the same message" })).await.expect_problem(429);
    edit(&other, "another message").await.expect(200);
}

#[tokio::test]
async fn one_message_can_be_edited_once_a_second() {
    let app = TestApp::with_rate_limits("edit_burst=1/m").await;
    let [alice] = app.sign_in(["alice"]).await;
    let path = format!("/api/messages/{}", alice.say("team", "one").await["id"]);
    alice.patch(&path, json!({ "content": "two" })).await.expect(200);
    alice.patch(&path, json!({ "content": "three" })).await.expect_problem(429);
}
