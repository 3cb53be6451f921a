//! API tokens: what they can do, and when they end.

use chat_core::auth::Scope;
use chat_server::Access;
use chat_test::{ApiResponse, Socket, TestApp, TestUser, eventually};
use http::Method;
use serde_json::{Value, json};

fn all_scopes() -> Vec<&'static str> {
    Scope::ALL.iter().map(|scope| scope.name()).collect()
}

/// Sends a request to each route, with ids that do not exist in its path, and returns the
/// access of the route, the status and the problem code.
async fn try_all_routes(user: &TestUser) -> Vec<(String, Access, u16, Value)> {
    let mut outcomes = Vec::new();
    for route in chat_server::routes().list() {
        let path = route.path.replace("{token_id}", "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a");
        let path = path.replace("{session_id}", "0a0a0a0a-0a0a-4a0a-8a0a-0a0a0a0a0a0a");
        let path = path.replace("{code}", "nothing-here").replace("{emoji}", "🎉");
        let path = path
            .split('{')
            .map(|part| part.split_once('}').map_or(part.to_owned(), |(_, rest)| format!("999999{rest}")));
        let path = path.collect::<String>();
        let request = user.request(route.method.clone(), &path);
        let request = if route.method == Method::GET { request } else { request.json(&json!({})) };
        let response = ApiResponse::read(request.send().await.expect("an answer")).await;
        let code = serde_json::from_slice::<Value>(&response.bytes).map_or(Value::Null, |body| body["code"].clone());
        outcomes.push((format!("{} {path}", route.method), route.access, response.status.as_u16(), code));
    }
    outcomes
}

#[tokio::test]
async fn each_route_needs_its_scope() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    for scope in Scope::ALL {
        let token = alice.with_api_token(json!({ "name": "one scope", "scopes": [scope] })).await;
        for (route, access, status, code) in try_all_routes(&token).await {
            match access {
                Access::Public | Access::Webhook => assert_ne!(status, 403, "{route}"),
                // It has no signature, no bridge, and no secret in the path.
                Access::Network => assert!([403, 404, 422].contains(&status), "{route}"),
                Access::SignedIn => assert_eq!((status, &code), (403, &json!("forbidden")), "{route}"),
                Access::Scope(needed) if needed == *scope => assert_ne!(code, "insufficient_scope", "{route}"),
                Access::Scope(_) => assert_eq!((status, &code), (403, &json!("insufficient_scope")), "{route} {scope}"),
            }
        }
    }
}

#[tokio::test]
async fn a_token_acts_for_its_user_until_it_is_revoked() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let body = json!({ "name": "reports", "scopes": ["messages:write", "events:read", "messages:write"] });
    let created = alice.post("/api/tokens", body).await.expect(201).json();
    let text = created["token"].as_str().expect("a token");
    assert!(text.starts_with("cfb_") && text.len() == 68, "{text}");
    assert_eq!(created["last_four"], text[64..]);
    assert_eq!(created["scopes"], json!(["messages:write", "events:read"]));
    let token = alice.with_token(text);
    let team = alice.chat_id("team").await;
    assert_eq!(token.say_in(team, "from a program").await["sender_id"], alice.id);
    let mut stream = token.listen().await;
    bob.say_in(team, "hello program").await;
    assert_eq!(stream.next_of("message.new").await.text(), "hello program");

    // The list shows everything but the secret, and a device is not a token.
    let listed = alice.get("/api/tokens").await.expect(200).json();
    assert_eq!(listed["items"].as_array().map(Vec::len), Some(1));
    assert!(!listed.to_string().contains(text) && listed["items"][0]["name"] == "reports");
    eventually("the use is recorded", || async {
        alice.get("/api/tokens").await.json()["items"][0]["used_at"].is_string()
    })
    .await;
    assert_eq!(alice.get("/api/sessions").await.json()["items"].as_array().map(Vec::len), Some(1));
    let stored: i64 = sqlx::query_scalar("select count(*) from api_tokens t where t::text like '%' || $1 || '%'")
        .bind(&text[4..60])
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(stored, 0, "only the hash is stored");

    let path = format!("/api/tokens/{}", created["id"].as_str().expect("an id"));
    bob.delete(&path).await.expect_problem(404);
    alice.delete(&path).await.expect(204);
    alice.delete(&path).await.expect(204);
    token.post(&format!("/api/chats/{team}/messages"), json!({ "content": "too late" })).await.expect_problem(401);
    assert_eq!(stream.next_of("session.revoked").await.kind, "session.revoked");
    assert!(stream.try_next().await.is_none(), "the stream ends");
    assert_eq!(alice.get("/api/tokens").await.json()["items"], json!([]));
}

#[tokio::test]
async fn a_token_limited_to_chats_reaches_no_other_chat() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let (team, direct) = (alice.chat_id("team").await, alice.chat_id("direct").await);
    let here = alice.say_in(team, "zebra here").await["id"].clone();
    let there = alice.say_in(direct, "zebra there").await["id"].clone();
    let token = alice
        .with_api_token(json!({ "name": "team", "scopes": all_scopes(), "chat_ids": [team], "write_chat_ids": [] }))
        .await;
    token.get(&format!("/api/chats/{team}/messages")).await.expect(200);
    token.get(&format!("/api/messages/{here}")).await.expect(200);
    for path in
        [format!("/api/chats/{direct}/messages"), format!("/api/chats/{direct}"), format!("/api/messages/{there}")]
    {
        token.get(&path).await.expect_problem(404);
    }
    let chats = token.get("/api/chats").await.expect(200).json();
    assert_eq!(
        chats["items"].as_array().expect("chats").iter().map(|chat| &chat["id"]).collect::<Vec<_>>(),
        [&json!(team)]
    );
    let found = token.get("/api/search?q=zebra").await.expect(200).json();
    assert_eq!(found["items"].as_array().expect("hits").iter().map(|hit| &hit["id"]).collect::<Vec<_>>(), [&here]);
    assert_eq!(
        token.get(&format!("/api/search?q=zebra&chat_id={direct}")).await.expect(200).json()["items"],
        json!([])
    );
    let cursor = alice.get("/api/bootstrap").await.expect(200).json()["cursor"].clone();
    let events = format!("/api/events?after={}", cursor.as_str().expect("a cursor"));
    for path in ["/api/bootstrap", &events, "/api/channels", "/api/invites/nothing-here"] {
        token.get(path).await.expect_problem(403);
    }
    token.put("/api/presence", json!({ "status": "busy" })).await.expect_problem(403);
    token.post("/api/events/ticket", json!({})).await.expect_problem(403);
    token.post("/api/chats", json!({ "type": "group", "name": "new", "members": [] })).await.expect_problem(403);
    let stream = ApiResponse::read(token.stream_request(None).send().await.expect("an answer")).await;
    stream.expect_problem(403);
    // It writes nowhere.
    let message = json!({ "content": "no" });
    token.post(&format!("/api/chats/{team}/messages"), message.clone()).await.expect_problem(403);
    token.patch(&format!("/api/messages/{here}"), message).await.expect_problem(404);
    token.put(&format!("/api/messages/{here}/reactions/%F0%9F%8E%89"), json!({})).await.expect_problem(404);
}

#[tokio::test]
async fn a_ticket_gives_no_more_than_its_token() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let token = alice.with_api_token(json!({ "name": "reader", "scopes": ["events:read"] })).await;
    let ticket = token.post("/api/events/ticket", json!({})).await.expect(201).json()["ticket"].clone();
    let query = format!("?ticket={}", ticket.as_str().expect("a ticket"));
    let bearer = format!("Bearer {}", token.token);
    for (query, headers) in [(&*query, &[][..]), ("", &[("authorization", &*bearer)][..])] {
        let mut socket = Socket::open(&app.endpoints.notify, query, headers).await.expect("a socket");
        assert_eq!(socket.next().await.kind, "ready");
        let send = json!({ "type": "message.send", "chat_id": team, "content": "no" });
        assert_eq!(socket.send_command(send).await["code"], "insufficient_scope");
        let create = json!({ "type": "chat.create", "name": "no" });
        assert_eq!(socket.send_command(create).await["code"], "insufficient_scope");
    }
    let writer = json!({ "name": "writer", "scopes": ["events:read", "messages:write"], "write_chat_ids": [team] });
    let writer = alice.with_api_token(writer).await;
    let bearer = format!("Bearer {}", writer.token);
    let mut socket = Socket::open(&app.endpoints.notify, "", &[("authorization", &bearer)]).await.expect("a socket");
    assert_eq!(socket.next().await.kind, "ready");
    let send = |chat: i64| json!({ "type": "message.send", "chat_id": chat, "content": "yes" });
    assert_eq!(socket.send_command(send(team)).await["type"], "ack");
    assert_eq!(socket.send_command(send(alice.chat_id("direct").await)).await["code"], "not_found");
    // Without the scope there is no stream.
    let silent = bob.with_api_token(json!({ "name": "silent", "scopes": ["messages:read"] })).await;
    let stream = ApiResponse::read(silent.stream_request(None).send().await.expect("an answer")).await;
    assert_eq!(stream.expect_problem(403)["code"], "insufficient_scope");
}

#[tokio::test]
async fn forged_and_expired_tokens_are_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let body = json!({ "name": "short", "scopes": ["users:read"], "expires_in_days": 1 });
    let created = alice.post("/api/tokens", body).await.expect(201).json();
    let text = created["token"].as_str().expect("a token").to_owned();
    let with = |token: String| alice.with_token(&token);
    with(text.clone()).get("/api/me").await.expect(200);
    let mut forged = text.clone();
    forged.replace_range(60..62, if &text[60..62] == "AA" { "BB" } else { "AA" });
    for bad in [forged, text[..67].to_owned(), format!("{text}A"), "cfb_".to_owned(), text.replace("cfb_", "cfb-")] {
        let problem = with(bad.clone()).get("/api/me").await.expect_problem(401);
        assert_eq!(problem["code"], "token_invalid", "{bad}");
    }
    let expire = "update sessions set expires_at = now() - interval '1 second' where id = ($1::text)::uuid";
    sqlx::query(expire).bind(created["id"].as_str()).execute(&app.db).await.expect("expired");
    let expired = with(text);
    eventually("the token has expired", || async { expired.get("/api/me").await.status == 401 }).await;
}

#[tokio::test]
async fn invalid_tokens_are_not_created() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let bot = bob.post("/api/bots", json!({ "username": "helper" })).await.expect(201).json();
    for bad in [
        json!({ "name": "", "scopes": ["users:read"] }),
        json!({ "name": "none", "scopes": [] }),
        json!({ "name": "unknown", "scopes": ["everything"] }),
        json!({ "name": "days", "scopes": ["users:read"], "expires_in_days": 0 }),
        json!({ "name": "days", "scopes": ["users:read"], "expires_in_days": 3651 }),
        json!({ "name": "lists", "scopes": ["users:read"], "chat_ids": [1], "write_chat_ids": [2] }),
        json!({ "name": "lists", "scopes": ["users:read"], "chat_ids": (1..=101).collect::<Vec<_>>() }),
        json!({ "name": "whose", "scopes": ["users:read"], "bot_id": bot["id"] }),
        json!({ "name": "whose", "scopes": ["users:read"], "bot_id": bob.id }),
    ] {
        alice.post("/api/tokens", bad).await.expect_problem(422);
    }
    for _ in 0..50 {
        alice.post("/api/tokens", json!({ "name": "many", "scopes": ["users:read"] })).await.expect(201);
    }
    let one_more = json!({ "name": "many", "scopes": ["users:read"] });
    assert_eq!(alice.post("/api/tokens", one_more).await.expect_problem(409)["code"], "too_many_tokens");
}

#[tokio::test]
async fn a_new_password_ends_the_tokens_of_a_thief() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let token = alice.with_api_token(json!({ "name": "persistent", "scopes": ["users:read"] })).await;
    let body = json!({ "current_password": "confab-demo", "new_password": "other unlikely words" });
    alice.put("/api/me/password", body).await.expect(204);
    token.get("/api/me").await.expect_problem(401);
}

#[tokio::test]
async fn api_tokens_count_for_the_rate_limits_of_their_user() {
    let app = TestApp::with_rate_limits("read=5/m").await;
    let [alice] = app.sign_in(["alice"]).await;
    let token = alice.with_api_token(json!({ "name": "eager", "scopes": ["users:read"] })).await;
    for _ in 0..5 {
        token.get("/api/me").await.expect(200);
    }
    token.get("/api/me").await.expect_problem(429);
    alice.get("/api/me").await.expect_problem(429);
}

async fn upload(user: &TestUser, name: &str) -> i64 {
    let form = reqwest::multipart::Form::new()
        .part("file", reqwest::multipart::Part::text("words").file_name(name.to_owned()));
    let request = user.request(Method::POST, "/api/upload").multipart(form);
    let files = ApiResponse::read(request.send().await.expect("an answer")).await.expect(201).json();
    files[0]["id"].as_i64().expect("an id")
}

#[tokio::test]
async fn a_token_limited_to_chats_reaches_no_file_of_another() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let (team, direct) = (alice.chat_id("team").await, alice.chat_id("direct").await);
    let [here, there, nowhere] =
        [upload(&alice, "here").await, upload(&alice, "there").await, upload(&alice, "new").await];
    let send = |file: i64| json!({ "content": "", "files": [file] });
    alice.post(&format!("/api/chats/{team}/messages"), send(here)).await.expect(201);
    alice.post(&format!("/api/chats/{direct}/messages"), send(there)).await.expect(201);
    let token = alice.with_api_token(json!({ "name": "team", "scopes": all_scopes(), "chat_ids": [team] })).await;
    token.get(&format!("/api/files/{here}")).await.expect(200);
    token.get(&format!("/api/files/{nowhere}")).await.expect(200);
    token.get(&format!("/api/files/{there}")).await.expect_problem(404);
    let messages = format!("/api/chats/{team}/messages");
    token.post(&messages, send(there)).await.expect_problem(422);
    token.post(&messages, send(nowhere)).await.expect(201);
}

#[tokio::test]
async fn reading_marks_nothing_as_delivered_without_the_scope() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let direct = alice.chat_id("direct").await;
    let message = alice.say_in(direct, "are you there?").await;
    let reader = bob.with_api_token(json!({ "name": "reader", "scopes": ["messages:read"] })).await;
    reader.get(&format!("/api/chats/{direct}/messages")).await.expect(200);
    let receipts = format!("/api/messages/{}/receipts", message["id"]);
    let delivered = async || alice.get(&receipts).await.expect(200).json()["items"][0]["delivered_at"].clone();
    assert_eq!(delivered().await, Value::Null);
    bob.get(&format!("/api/chats/{direct}/messages")).await.expect(200);
    assert!(delivered().await.is_string());
}

#[tokio::test]
async fn a_token_without_the_scope_reads_no_text_in_other_responses() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let id = bob.say_in(team, "for members only").await["id"].clone();
    let token = alice
        .with_api_token(json!({ "name": "no reader", "scopes": ["reactions:write", "messages:write", "chats:read"] }))
        .await;
    let reaction = format!("/api/messages/{id}/reactions/%F0%9F%8E%89");
    let pin = format!("/api/messages/{id}/pin");
    for response in [
        token.put(&reaction, json!({})).await,
        token.delete(&reaction).await,
        token.put(&pin, json!({})).await,
        token.delete(&pin).await,
        token.get("/api/chats").await,
        token.get(&format!("/api/chats/{team}")).await,
    ] {
        let body = response.expect(200).json().to_string();
        assert!(!body.contains("for members only"), "{body}");
    }
    let own = token.say_in(team, "its own words").await;
    assert_eq!(own["content"], "its own words");
}

#[tokio::test]
async fn a_websocket_of_a_limited_token_sends_no_file_of_another_chat() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let (team, direct) = (alice.chat_id("team").await, alice.chat_id("direct").await);
    let file = upload(&alice, "there").await;
    alice.post(&format!("/api/chats/{direct}/messages"), json!({ "content": "", "files": [file] })).await.expect(201);
    let scopes = ["events:read", "messages:write"];
    let token = alice.with_api_token(json!({ "name": "one", "scopes": scopes, "write_chat_ids": [team] })).await;
    let bearer = format!("Bearer {}", token.token);
    let mut socket = Socket::open(&app.endpoints.notify, "", &[("authorization", &bearer)]).await.expect("a socket");
    assert_eq!(socket.next().await.kind, "ready");
    let send = json!({ "type": "message.send", "chat_id": team, "content": "", "files": [file] });
    assert_eq!(socket.send_command(send).await["code"], "invalid");
}
