//! Invalid input gets a clear 4xx, changes nothing, and never causes a 5xx.

use chat_core::operators;
use chat_test::{ApiResponse, TestApp, TestUser};
use http::Method;
use serde_json::{Value, json};

/// Returns the number of rows of every table that users can see.
async fn state(app: &TestApp) -> Vec<i64> {
    sqlx::query_scalar(
        "select count(*) from users union all select count(*) from chats union all
         select count(*) from chat_members union all select count(*) from messages union all
         select count(*) from files union all select count(*) from receipts union all select count(*) from events",
    )
    .fetch_all(&app.db)
    .await
    .expect("counts")
}

/// Invalid values of every kind.
fn wrong_values() -> Vec<Value> {
    vec![
        Value::Null,
        json!(true),
        json!(1.5),
        json!(-1),
        json!(0),
        json!(9_007_199_254_740_992_i64),
        json!(i64::MAX),
        json!(1e300),
        json!(""),
        json!("a\0b"),
        json!("x".repeat(70_000)),
        json!([]),
        json!([null]),
        json!({}),
        json!({ "a": 1 }),
    ]
}

struct Target {
    method: Method,
    path: String,
    good: Value,
    /// Fields for which null, or an empty text or list, is valid.
    lenient: &'static [&'static str],
}

async fn targets(alice: &TestUser) -> Vec<Target> {
    let team = alice.chat_id("team").await;
    let message = alice.say_in(team, "hello").await;
    let chat = format!("/api/chats/{team}");
    let target = |method, path: String, good, lenient| Target { method, path, good, lenient };
    let signup = json!({ "username": "new-user", "email": "new@example.com", "password": "long unlikely words" });
    vec![
        target(Method::POST, "/api/signup".into(), signup, &[]),
        target(Method::POST, "/api/signin".into(), json!({ "email": "a@b.c", "password": "long unlikely words" }), &[]),
        target(Method::POST, "/api/token/refresh".into(), json!({ "refresh_token": "x" }), &["refresh_token"]),
        target(Method::PATCH, "/api/me".into(), json!({ "display_name": "A" }), &["display_name"]),
        target(
            Method::POST,
            "/api/chats".into(),
            json!({ "type": "group", "name": "n", "description": "d", "members": [alice.id] }),
            &["name", "description", "members"],
        ),
        target(Method::PATCH, chat.clone(), json!({ "name": "n", "description": "d" }), &["name", "description"]),
        target(Method::POST, format!("{chat}/members"), json!({ "user_id": 4, "role": "member" }), &["role"]),
        target(Method::PATCH, format!("{chat}/members/2"), json!({ "role": "member" }), &[]),
        target(
            Method::POST,
            format!("{chat}/messages"),
            json!({ "content": "c", "files": [], "reply_to": message["id"], "nonce": "n" }),
            &["files", "reply_to", "nonce"],
        ),
        target(Method::PUT, format!("{chat}/read"), json!({ "message_id": message["id"] }), &[]),
        target(Method::PUT, format!("{chat}/delivered"), json!({ "message_id": message["id"] }), &[]),
    ]
}

async fn send(user: &TestUser, method: &Method, path: &str, body: impl Into<reqwest::Body>) -> ApiResponse {
    let request = user.request(method.clone(), path).header("content-type", "application/json").body(body);
    ApiResponse::read(request.send().await.expect("an answer")).await
}

#[tokio::test]
async fn every_missing_or_invalid_body_field_is_refused() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let targets = targets(&alice).await;
    let before = state(&app).await;
    let mut refused = 0;
    for Target { method, path, good, lenient } in &targets {
        let fields = good.as_object().expect("an object");
        let mut bodies = Vec::new();
        for field in fields.keys() {
            if !lenient.contains(&field.as_str()) {
                let mut without = fields.clone();
                without.remove(field);
                bodies.push((field.as_str(), Value::Object(without)));
            }
            for wrong in wrong_values() {
                let is_empty = wrong.is_null() || wrong == json!("") || wrong == json!([]) || wrong == fields[field];
                if lenient.contains(&field.as_str()) && is_empty {
                    continue;
                }
                let mut with = fields.clone();
                with.insert(field.clone(), wrong);
                bodies.push((field.as_str(), Value::Object(with)));
            }
        }
        let mut with = fields.clone();
        with.insert("surprise".into(), json!(1));
        bodies.push(("surprise", Value::Object(with)));
        for (field, body) in bodies {
            let reply = send(&alice, method, path, body.to_string()).await;
            let what = format!("{method} {path} {field} {}", body.to_string().chars().take(200).collect::<String>());
            // Any text is a well-formed refresh token; the lookup then fails.
            if path.ends_with("refresh") && body["refresh_token"].is_string() && field != "surprise" {
                reply.expect_problem(401);
                continue;
            }
            assert_eq!(reply.status, 422, "{what}: {}", String::from_utf8_lossy(&reply.bytes));
            let problem = reply.expect_problem(422);
            let named = problem["errors"][0]["field"].as_str().unwrap_or_default().to_owned();
            assert!(named.starts_with(field), "{what}: names {named}");
            refused += 1;
        }
    }
    assert!(refused > 200, "{refused}");
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn a_body_that_is_not_json_is_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let before = state(&app).await;
    let path = format!("/api/chats/{}/messages", before[1]);
    let deep = format!("{{\"content\":{}1{}}}", "[".repeat(5_000), "]".repeat(5_000));
    let bodies: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"{".to_vec(),
        b"{}{}".to_vec(),
        b"nonsense".to_vec(),
        b"{\"content\":\"\\ud800\"}".to_vec(),
        b"{\"content\":\"\\udc00\\ud800\"}".to_vec(),
        b"{\"content\":\"\xff\xfe\"}".to_vec(),
        b"{\"content\":\"a\nb\"}".to_vec(),
        b"{\"content\":\"x\",}".to_vec(),
        deep.into_bytes(),
    ];
    for body in bodies {
        let shown = String::from_utf8_lossy(&body).chars().take(60).collect::<String>();
        let reply = send(&alice, &Method::POST, &path, body).await;
        assert!(matches!(reply.status.as_u16(), 400 | 422), "{shown}: {}", reply.status);
        assert!(reply.json()["detail"].is_string());
    }
    for body in ["null", "[]", "1", "\"content\"", "{\"content\":\"a\",\"content\":\"b\"}"] {
        send(&alice, &Method::POST, &path, body).await.expect_problem(422);
    }
    for body in [r#"["hello",[],null,null]"#, r#" [ "hello" ] "#] {
        send(&alice, &Method::POST, &path, body).await.expect_problem(422);
    }
    send(&alice, &Method::POST, "/api/chats", r#"{"type":{"group":null},"name":"x"}"#).await.expect_problem(422);
    let large = format!("{{\"content\":\"{}\"}}", "x".repeat(600_000));
    send(&alice, &Method::POST, &path, large).await.expect_problem(413);
    for kind in ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"] {
        let request = alice.request(Method::POST, &path).header("content-type", kind).body("{\"content\":\"x\"}");
        ApiResponse::read(request.send().await.expect("an answer")).await.expect_problem(415);
    }
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn an_invalid_id_is_rejected_in_every_path() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    operators::set_operator(&app.db, alice.id.try_into().expect("an id"), true).await.expect("an operator");
    let before = state(&app).await;
    let id = "an id must be an integer from 1 to 9007199254740991";
    let garbage = ["0", "-1", "9007199254740992", "99999999999999999999", "text", "1.0", "%00", "%F0%9F%A6%8A", "1%27"];
    for route in chat_server::routes().list().iter().filter(|route| route.path.contains('{')) {
        // Valid ids of objects that do not exist: a path with these ids returns 404.
        let nobodys = |path: &str| {
            path.replace("{chat_id}", "9007199254740991")
                .replace("{user_id}", "9007199254740991")
                .replace("{file_id}", "9007199254740991")
                .replace("{message_id}", "9007199254740991")
                .replace("{session_id}", "00000000-0000-4000-8000-000000000000")
                .replace("{token_id}", "00000000-0000-4000-8000-000000000000")
                .replace("{webhook_id}", "9007199254740991")
                .replace("{webhook_token}", &"A".repeat(43))
                .replace("{endpoint_id}", "9007199254740991")
                .replace("{bridge_id}", "9007199254740991")
                .replace("{bridge_chat_id}", "9007199254740991")
                .replace("{delivery_id}", "9007199254740991")
                .replace("{code}", "nobodys-invite")
                .replace("{emoji}", "%F0%9F%91%8D")
        };
        for (part, why) in [
            ("{chat_id}", id),
            ("{user_id}", id),
            ("{file_id}", id),
            ("{message_id}", id),
            ("{session_id}", "a session id must be a UUID"),
            ("{token_id}", "a token id must be a UUID"),
            ("{webhook_id}", id),
            ("{endpoint_id}", id),
            ("{bridge_id}", id),
            ("{bridge_chat_id}", id),
            ("{delivery_id}", id),
            ("{webhook_token}", "the token of a webhook must have 32 to 64 letters, digits, dashes or underscores"),
            ("{code}", "an invite code must have 8 to 64 letters, digits, dashes or underscores"),
            ("{emoji}", "must be one emoji"),
        ] {
            // The parts after an unknown chat or webhook are not checked.
            let is_after = |parent: &str| part != parent && route.path.contains(parent);
            let is_unchecked = is_after("{chat_id}") || part == "{message_id}" && is_after("{webhook_id}");
            if !route.path.contains(part) || is_unchecked {
                continue;
            }
            let mut garbage = garbage.to_vec();
            if part == "{code}" {
                garbage.retain(|text| text.len() < 16);
            }
            if part == "{emoji}" {
                garbage.retain(|text| *text != "%F0%9F%A6%8A");
                garbage.push("%F0%9F%91%8D%F0%9F%91%8D");
            }
            for text in garbage {
                let path = nobodys(&route.path.replacen(part, text, 1));
                let detail = send(&alice, &route.method, &path, "{}").await.expect_problem(422)["detail"].clone();
                assert_eq!(detail, why, "{} {path}", route.method);
            }
        }
        let path = nobodys(route.path);
        let body = match path.rsplit('/').next() {
            Some("messages") => r#"{"content":"hello"}"#,
            Some("replay") => r#"{"after":"0123456789-0"}"#,
            Some("webhooks") => r#"{"name":"hello"}"#,
            Some("chats") => r#"{"phone":"+4915112345678"}"#,
            Some("templates") => r#"{"bridge_id":1,"name":"hello","language":"en"}"#,
            _ if route.path.ends_with("{bridge_chat_id}") => r#"{"is_paused":true}"#,
            _ if route.method == Method::PATCH && path.starts_with("/api/messages") => r#"{"content":"hello"}"#,
            _ => "{}",
        };
        if path.ends_with("/shared") {
            send(&alice, &route.method, &format!("{path}?token=x"), body).await.expect_problem(403);
            continue;
        }
        let reply = send(&alice, &route.method, &path, body).await;
        // Removing a block that does not exist is not an error.
        if path.ends_with("/block") && route.method == Method::DELETE {
            reply.expect(204);
        } else {
            reply.expect_problem(404);
        }
    }
    assert_eq!(state(&app).await, before);
}

#[tokio::test]
async fn an_invalid_query_is_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let team = alice.chat_id("team").await;
    for (path, field) in [
        ("messages?limit=0", "limit"),
        ("messages?limit=-1", "limit"),
        ("messages?limit=101", "limit"),
        ("messages?limit=ten", "limit"),
        ("messages?limit=", "limit"),
        ("messages?before=0", "before"),
        ("messages?after=-1", "after"),
        ("messages?around=9007199254740992", "around"),
        ("messages?before=x", "before"),
        ("messages?before=1&after=2", "before"),
        ("members?after=0", "after"),
        ("members?limit=1000", "limit"),
    ] {
        let problem = alice.get(&format!("/api/chats/{team}/{path}")).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], field, "{path}: {problem}");
    }
    alice.get(&format!("/api/chats/{team}/messages?around=9007199254740991")).await.expect_problem(404);
    for query in ["", "?q=", "?q=%20", "?q=a%00b", "?q=a&limit=0"] {
        alice.get(&format!("/api/users/search{query}")).await.expect_problem(422);
    }
    let many = vec!["1"; 101].join(",");
    for ids in ["", "ids=", "ids=1,,2", "ids=1,x", "ids=0", "ids=1,", "ids=9007199254740992", &format!("ids={many}")] {
        for path in ["users", "presence"] {
            let problem = alice.get(&format!("/api/{path}?{ids}")).await.expect_problem(422);
            assert_eq!(problem["errors"][0]["field"], "ids", "{path}?{ids}: {problem}");
        }
    }
    let long = "x".repeat(101);
    alice.get(&format!("/api/users/search?q={long}")).await.expect_problem(422);
    alice.get(&format!("/api/channels?q={long}")).await.expect_problem(422);
}

#[tokio::test]
async fn blank_messages_are_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let path = format!("/api/chats/{}/messages", alice.chat_id("team").await);
    for content in ["", " ", "\n\t\r\n", "\u{3000}"] {
        alice.post(&path, json!({ "content": content })).await.expect_problem(422);
    }
    alice.post(&path, json!({ "content": "x".repeat(65_537) })).await.expect_problem(422);
    alice.post(&path, json!({ "content": "🦊".repeat(16_385) })).await.expect_problem(422);
}

#[tokio::test]
async fn an_unknown_path_or_method_gets_a_problem_response() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    for path in ["/api/nothing", "/nothing", "/api", "/api/chats/1/nothing", "/%00", "/api/me/"] {
        alice.get(path).await.expect_problem(404);
    }
    let reply = alice.delete("/api/bootstrap").await;
    assert!(reply.header("allow").contains("GET"));
    reply.expect_problem(405);
    let long = format!("/api/me?{}", "x".repeat(20_000));
    assert!(alice.get(&long).await.status.is_client_error());
}

/// An error never repeats the value, which can be long or a password.
#[tokio::test]
async fn an_error_is_short_and_does_not_repeat_the_value() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let long = json!({ "type": "group", "members": "x".repeat(400_000) });
    assert!(alice.post("/api/chats", long).await.expect_problem(422).to_string().len() < 1_000);
    let secret = json!({ "username": "zed", "email": "z@example.com", "password": 1_234_567_890 });
    let problem = alice.post("/api/signup", secret).await.expect_problem(422);
    assert!(!problem.to_string().contains("1234567890"), "{problem}");
    assert_eq!(problem["detail"], "password: expected a string");
}

/// The server reads the body before it rejects the request, so the response arrives and
/// the connection stays open.
#[tokio::test]
async fn a_large_message_with_a_bad_token_gets_its_401() {
    let app = TestApp::start().await;
    let client = reqwest::Client::builder().pool_max_idle_per_host(1).build().expect("a client");
    let url = format!("{}/api/chats/1/messages", app.endpoints.chat);
    for _ in 0..100 {
        let request = client.post(&url).bearer_auth("bad").json(&json!({ "content": "x".repeat(60_000) }));
        assert_eq!(request.send().await.expect("an answer, not a broken pipe").status(), 401);
    }
}

#[tokio::test]
async fn an_unknown_key_in_a_query_is_refused() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let chat =
        alice.post("/api/chats", json!({ "type": "group", "name": "us", "members": [] })).await.expect(201).json();
    let chat = chat["id"].as_i64().expect("an id");
    let message =
        alice.post(&format!("/api/chats/{chat}/messages"), json!({ "content": "hello" })).await.expect(201).json();
    let message = message["id"].as_i64().expect("an id");
    for path in [
        format!("/api/chats/{chat}/messages?limit=5"),
        format!("/api/chats/{chat}/members?limit=5"),
        format!("/api/chats/{chat}/bans?limit=5"),
        format!("/api/messages/{message}/replies?limit=5"),
        format!("/api/messages/{message}/receipts?limit=5"),
        "/api/channels?limit=5".into(),
        "/api/search?q=hello".into(),
        "/api/users/search?q=al".into(),
        "/api/users?ids=1".into(),
        "/api/presence?ids=1".into(),
    ] {
        alice.get(&path).await.expect(200);
        let problem = alice.get(&format!("{path}&surprise=1")).await.expect(422).json();
        assert_eq!(problem["errors"][0]["field"], "surprise", "{problem}");
    }
}
