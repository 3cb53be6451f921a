//! Incoming webhooks: what programs post in the formats of other products.

use axum::{Router, http::Uri, response::IntoResponse, routing::get};
use chat_core::housekeeping::RetentionConfig;
use chat_test::{ApiResponse, PNG, TestApp, TestUser, eventually};
use http::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::net::TcpListener;

/// A webhook and how to post to it.
struct Webhook {
    created: Value,
    url: String,
}

impl Webhook {
    async fn create(app: &TestApp, user: &TestUser, chat: i64) -> Self {
        let created = user.post(&format!("/api/chats/{chat}/webhooks"), json!({ "name": "Builds" })).await.expect(201);
        let created = created.json();
        let url = format!("{}{}", app.endpoints.chat, created["url"].as_str().expect("a URL"));
        Self { created, url }
    }

    async fn send(&self, method: Method, path: &str, body: Value) -> ApiResponse {
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.url)).json(&body);
        ApiResponse::read(request.send().await.expect("an answer")).await
    }

    async fn post(&self, path: &str, body: Value) -> ApiResponse {
        self.send(Method::POST, path, body).await
    }
}

#[tokio::test]
async fn a_webhook_posts_edits_and_deletes_in_the_format_of_discord() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut stream = bob.listen().await;
    let webhook = Webhook::create(&app, &alice, team).await;
    webhook.post("", json!({ "content": "build 7 passed", "tts": false, "unknown": 1 })).await.expect(204);
    let event = stream.next_of("message.new").await;
    assert_eq!((event.text(), &event.data["message"]["author"]), ("build 7 passed", &json!({ "name": "Builds" })));
    assert_eq!(event.data["message"]["sender_id"], webhook.created["user_id"]);

    let embed = json!({
        "title": "Build 8", "url": "https://ci.example/8", "description": "**failed**", "color": 0xff0000,
        "author": { "name": "CI" }, "footer": { "text": "main" }, "timestamp": "2026-01-02T03:04:05+00:00",
        "fields": [{ "name": "tests", "value": 12, "inline": true }], "image": { "url": "https://ci.example/8.png" },
    });
    let body = json!({ "username": "CI", "embeds": [embed], "avatar_url": "https://ci.example/a.png" });
    let sent = webhook.post("?wait=true", body).await.expect(200).json();
    assert_eq!((&sent["author"]["username"], &sent["embeds"][0]["title"]), (&json!("CI"), &json!("Build 8")));
    let id = sent["id"].as_str().expect("ids are texts").to_owned();
    let message = bob.get(&format!("/api/messages/{id}")).await.expect(200).json();
    assert_eq!(message, stream.next_of("message.new").await.data["message"]);
    let seen = &message["embeds"][0];
    assert_eq!((&seen["fields"][0]["value"], &seen["image_url"]), (&json!("12"), &json!("https://ci.example/8.png")));

    let path = format!("/messages/{id}");
    let changes = json!({ "content": "fixed", "embeds": [{ "title": "Build 9" }] });
    let edited = webhook.send(Method::PATCH, &path, changes).await.expect(200).json();
    assert_eq!((&edited["content"], &edited["embeds"][0]["title"]), (&json!("fixed"), &json!("Build 9")));
    assert_eq!(webhook.send(Method::GET, &path, json!({})).await.expect(200).json(), edited);
    assert_eq!(edited["author"]["username"], "CI");
    let mine = alice.say_in(team, "not a webhook").await["id"].clone();
    for method in [Method::GET, Method::PATCH, Method::DELETE] {
        webhook.send(method, &format!("/messages/{mine}"), json!({ "content": "no" })).await.expect_problem(404);
    }
    // An edit that fails changes nothing, and a message keeps some content.
    let invalid = json!({ "content": "half", "embeds": [{ "title": "x", "color": 99_999_999 }] });
    webhook.send(Method::PATCH, &path, invalid).await.expect_problem(422);
    let quiet = json!({ "content": "@bob fixed", "allowed_mentions": { "parse": [] } });
    webhook.send(Method::PATCH, &path, quiet).await.expect(200);
    assert_eq!(bob.get(&format!("/api/messages/{id}")).await.json()["mentions"], json!([]));
    webhook.send(Method::PATCH, &path, json!({ "content": "", "embeds": [] })).await.expect_problem(422);
    let unchanged = webhook.send(Method::GET, &path, json!({})).await.expect(200).json();
    assert_eq!((&unchanged["content"], &unchanged["embeds"][0]["title"]), (&json!("@bob fixed"), &json!("Build 9")));
    webhook.send(Method::PATCH, &path, json!({ "content": "" })).await.expect(200);
    webhook.send(Method::PATCH, &path, json!({ "embeds": [] })).await.expect_problem(422);
    webhook.send(Method::DELETE, &path, json!({})).await.expect(204);
    webhook.send(Method::GET, &path, json!({})).await.expect_problem(404);
    let erased = bob.get(&format!("/api/messages/{id}")).await.expect(200).json();
    assert_eq!((&erased["content"], &erased["embeds"], &erased["author"]), (&json!(""), &json!([]), &Value::Null));
    // A client that resumes from before receives nothing of what was deleted.
    let mut replay = bob.resume(&event.id.expect("an id")).await;
    for event in replay.read_replay().await {
        assert!(!event.data.to_string().contains("Build"), "{}", event.data);
    }
}

#[tokio::test]
async fn forms_and_files_of_discord_clients_are_accepted() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let team = alice.chat_id("team").await;
    let webhook = Webhook::create(&app, &alice, team).await;
    let client = reqwest::Client::new();
    let newest = async || alice.get(&format!("/api/chats/{team}/messages?limit=1")).await.json()["items"][0].clone();
    let form = client.post(&webhook.url).header("content-type", "application/x-www-form-urlencoded");
    ApiResponse::read(form.body("content=a+form&username=Cron").send().await.expect("an answer")).await.expect(204);
    assert_eq!((&newest().await["content"], &newest().await["author"]["name"]), (&json!("a form"), &json!("Cron")));
    let parts = reqwest::multipart::Form::new()
        .text("payload_json", json!({ "content": "with a log", "attachments": [{ "id": 0 }] }).to_string())
        .part("files[0]", reqwest::multipart::Part::text("line 1").file_name("build.log"));
    let request = client.post(format!("{}?wait=True", webhook.url)).multipart(parts);
    let sent = ApiResponse::read(request.send().await.expect("an answer")).await.expect(200).json();
    assert_eq!(sent["attachments"][0]["filename"], "build.log");
    let file = newest().await["files"][0]["url"].clone();
    assert_eq!(alice.get(file.as_str().expect("a URL")).await.expect(200).bytes, b"line 1");
}

#[tokio::test]
async fn slack_clients_receive_ok() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let webhook = Webhook::create(&app, &alice, team).await;
    let mut stream = bob.listen().await;
    let body =
        json!({ "text": "*deployed* <https://ci.example|build 7>", "username": "Deploy", "icon_emoji": ":rocket:" });
    let response = webhook.post("/slack", body.clone()).await.expect(200);
    assert_eq!(response.bytes, b"ok");
    let event = stream.next_of("message.new").await;
    assert_eq!(event.text(), "**deployed** [build 7](https://ci.example)");
    let encoded = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &body.to_string()).finish();
    let form = reqwest::Client::new().post(format!("{}/slack", webhook.url));
    let form =
        form.header("content-type", "application/x-www-form-urlencoded").body(encoded).send().await.expect("an answer");
    assert_eq!(ApiResponse::read(form).await.expect(200).bytes, b"ok");
}

#[tokio::test]
async fn a_repeated_delivery_of_github_posts_once() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let team = alice.chat_id("team").await;
    let webhook = Webhook::create(&app, &alice, team).await;
    let payload = json!({
        "action": "opened",
        "repository": { "full_name": "example/repo" },
        "sender": { "login": "octo", "html_url": "https://git.example/octo" },
        "issue": { "number": 7, "title": "It breaks", "html_url": "https://git.example/7", "body": "@alice look" },
    });
    for delivery in ["one", "one", "two"] {
        let request = reqwest::Client::new().post(format!("{}/github", webhook.url)).json(&payload);
        let request = request.header("x-github-event", "issues").header("x-github-delivery", delivery);
        ApiResponse::read(request.send().await.expect("an answer")).await.expect(204);
    }
    let page = alice.get(&format!("/api/chats/{team}/messages?limit=3")).await.expect(200).json();
    let embeds: Vec<&Value> =
        page["items"].as_array().expect("messages").iter().map(|message| &message["embeds"][0]).collect();
    let title = "[example/repo] Issue #7 opened: It breaks";
    assert_eq!(embeds.iter().filter(|embed| embed["title"] == title).count(), 2, "{embeds:?}");
    assert_eq!(page["items"][0]["mentions"], json!([]), "an event mentions nobody");
    let nothing = webhook.post("/github", payload).await.expect_problem(422);
    assert_eq!(nothing["errors"][0]["field"], "X-GitHub-Event");
}

#[tokio::test]
async fn deliveries_of_github_are_signed_if_the_webhook_has_its_secret() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let webhook = Webhook::create(&app, &alice, team).await;
    let path = format!("/api/chats/{team}/webhooks/{}", webhook.created["id"]);
    let secret = "It's a Secret to Everybody";
    bob.patch(&path, json!({ "github_secret": secret })).await.expect_problem(403);
    alice.patch(&path, json!({ "github_secret": "two\nlines" })).await.expect_problem(422);
    let changed = alice.patch(&path, json!({ "github_secret": secret })).await.expect(200).json();
    assert_eq!(changed["has_github_secret"], true);
    assert!(!changed.to_string().contains(secret));
    let payload = json!({ "zen": "Design for failure.", "hook_id": 7, "repository": { "full_name": "example/repo" } });
    let (body, encoded) = (payload.to_string(), payload.to_string());
    let form = form_urlencoded::Serializer::new(String::new()).append_pair("payload", &encoded).finish();
    let sign = |secret: &str, body: &str| {
        let key = aws_lc_rs::hmac::Key::new(aws_lc_rs::hmac::HMAC_SHA256, secret.as_bytes());
        format!("sha256={}", hex::encode(aws_lc_rs::hmac::sign(&key, body.as_bytes())))
    };
    let deliver = |kind: &'static str, body: String, signature: Option<String>| {
        let request = reqwest::Client::new().post(format!("{}/github", webhook.url)).header("content-type", kind);
        let request = request.header("x-github-event", "ping").body(body);
        let request = match signature {
            Some(signature) => request.header("x-hub-signature-256", signature),
            None => request,
        };
        async move { ApiResponse::read(request.send().await.expect("an answer")).await }
    };
    let (json_type, form_type) = ("application/json", "application/x-www-form-urlencoded");
    deliver(json_type, body.clone(), Some(sign(secret, &body))).await.expect(204);
    deliver(form_type, form.clone(), Some(sign(secret, &form))).await.expect(204);
    for signature in [
        None,
        Some(String::new()),
        Some("sha256=00".into()),
        Some(sign("another", &body)),
        Some(sign(secret, &format!("{body} "))),
        Some(sign(secret, &body).to_uppercase()),
    ] {
        deliver(json_type, body.clone(), signature).await.expect_problem(403);
    }
    deliver(form_type, form, Some(sign(secret, &body))).await.expect_problem(403);
    // The other formats, and a new URL, do not change that.
    webhook.post("", json!({ "content": "hello" })).await.expect(204);
    alice.patch(&path, json!({ "name": "Builds" })).await.expect(200);
    deliver(json_type, body.clone(), None).await.expect_problem(403);
    alice.patch(&path, json!({ "github_secret": null })).await.expect(200);
    deliver(json_type, body, None).await.expect(204);
}

#[tokio::test]
async fn the_url_is_a_secret_that_ends() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let chat = alice.post("/api/chats", json!({ "type": "group", "name": "club", "members": [bob.id] })).await.json();
    let chat_id = chat["id"].as_i64().expect("an id");
    let path = format!("/api/chats/{chat_id}/webhooks");
    bob.post(&path, json!({ "name": "Mine" })).await.expect_problem(403);
    bob.get(&path).await.expect_problem(403);
    let webhook = Webhook::create(&app, &alice, chat_id).await;
    let token = webhook.created["token"].as_str().expect("a secret");
    let listed = alice.get(&path).await.expect(200).json();
    assert!(!listed.to_string().contains(token));
    assert_eq!(listed["items"][0]["name"], "Builds");
    let hello = || json!({ "content": "hello" });
    let id = webhook.created["id"].clone();
    let wrong =
        Webhook { created: Value::Null, url: format!("{}/api/webhooks/{id}/{}", app.endpoints.chat, "A".repeat(43)) };
    for suffix in ["", "/slack", "/github"] {
        wrong.post(suffix, hello()).await.expect_problem(404);
    }
    let renamed = alice.patch(&format!("{path}/{id}"), json!({ "name": "Nightly builds" })).await.expect(200).json();
    assert_eq!((&renamed["name"], &renamed["id"]), (&json!("Nightly builds"), &id));
    bob.patch(&format!("{path}/{id}"), json!({ "name": "Mine" })).await.expect_problem(403);
    alice.patch(&format!("{path}/{id}"), json!({ "avatar_file_id": 999_999 })).await.expect_problem(422);
    let renewed = alice.post(&format!("{path}/{id}/token"), json!({})).await.expect(201).json();
    webhook.post("", hello()).await.expect_problem(404);
    let webhook =
        Webhook { url: format!("{}{}", app.endpoints.chat, renewed["url"].as_str().expect("a URL")), created: renewed };
    webhook.post("", hello()).await.expect(204);
    alice.delete(&format!("{path}/{id}")).await.expect(204);
    webhook.post("", hello()).await.expect_problem(404);
    let page = bob.get(&format!("/api/chats/{chat_id}/messages")).await.expect(200).json();
    assert_eq!(page["items"][0]["author"]["name"], "Nightly builds", "its messages keep their name");

    // A webhook has no role, and ends when its member may no longer create one.
    let owned = Webhook::create(&app, &alice, chat_id).await;
    let member = format!("/api/chats/{chat_id}/members/{}", owned.created["user_id"]);
    alice.patch(&member, json!({ "role": "admin" })).await.expect_problem(422);
    alice.patch(&format!("/api/chats/{chat_id}/members/{}", bob.id), json!({ "role": "admin" })).await.expect(200);
    let bobs = Webhook::create(&app, &bob, chat_id).await;
    alice.patch(&format!("/api/chats/{chat_id}/members/{}", bob.id), json!({ "role": "member" })).await.expect(200);
    bobs.post("", hello()).await.expect_problem(404);
    owned.post("", hello()).await.expect(204);

    // A webhook leaves with the member who created it.
    let other = Webhook::create(&app, &alice, chat_id).await;
    alice.post(&format!("/api/chats/{chat_id}/transfer"), json!({ "user_id": bob.id })).await.expect(200);
    alice.post(&format!("/api/chats/{chat_id}/leave"), json!({})).await.expect(204);
    other.post("", hello()).await.expect_problem(404);
    assert_eq!(bob.get(&path).await.expect(200).json()["items"], json!([]));
}

#[tokio::test]
async fn bad_messages_are_refused_and_a_webhook_has_a_rate_limit() {
    let app = TestApp::with_rate_limits("webhook=40/m").await;
    let [alice] = app.sign_in(["alice"]).await;
    let team = alice.chat_id("team").await;
    let webhook = Webhook::create(&app, &alice, team).await;
    for bad in [
        json!({}),
        json!({ "content": "" }),
        json!({ "embeds": [{}] }),
        json!({ "content": "x".repeat(65_537) }),
        json!({ "content": "a", "username": "x".repeat(65) }),
        json!({ "embeds": [{ "title": "x".repeat(257) }] }),
        json!({ "embeds": [{ "description": "x".repeat(4_097) }] }),
        json!({ "embeds": [{ "title": "a", "url": "javascript:alert(1)" }] }),
        json!({ "embeds": [{ "title": "a", "color": 0x100_0000 }] }),
        json!({ "embeds": [{ "title": "a\u{202e}b" }] }),
        json!({ "embeds": (0..11).map(|n| json!({ "title": n.to_string() })).collect::<Vec<_>>() }),
        json!({ "embeds": [{ "fields": (0..26).map(|_| json!({ "name": "a", "value": "b" })).collect::<Vec<_>>() }] }),
        json!({ "embeds": (0..2).map(|_| json!({ "description": "x".repeat(3_001) })).collect::<Vec<_>>() }),
    ] {
        webhook.post("", bad).await.expect_problem(422);
    }
    for malformed in [json!(["text"]), json!("text"), json!({ "content": 7 }), json!({ "embeds": "none" })] {
        webhook.post("", malformed).await.expect_problem(400);
    }
    let mut limited = None;
    for _ in 0..40 {
        let response = webhook.post("", json!({ "content": "again" })).await;
        if response.status == 429 {
            limited = Some(response);
            break;
        }
    }
    let limited = limited.expect("a limit");
    assert_eq!(limited.header("ratelimit-limit"), "40");
    assert_eq!(limited.json()["retry_after"].to_string(), limited.header("retry-after"));
}

/// A server with images at paths, some of which misbehave.
async fn start_image_server() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let answer = |uri: Uri| async move {
        match uri.path() {
            "/text.png" => "not an image".into_response(),
            "/large.png" => vec![0u8; 3 * 1024 * 1024].into_response(),
            "/missing.png" => StatusCode::NOT_FOUND.into_response(),
            "/moved.png" => axum::response::Redirect::temporary("/a.png").into_response(),
            path if path.starts_with("/hanging") => std::future::pending().await,
            _ => PNG.into_response(),
        }
    };
    let router = Router::new().fallback(get(answer));
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

#[tokio::test]
async fn a_message_shows_the_image_that_its_program_names() {
    let app = TestApp::start().await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let (_server, _) = app.start_integration_server();
    let images = start_image_server().await;
    let team = alice.chat_id("team").await;
    let webhook = Webhook::create(&app, &alice, team).await;
    let author = async |text: &str| {
        let page = bob.get(&format!("/api/chats/{team}/messages?limit=10")).await.expect(200).json();
        let messages = page["items"].as_array().expect("messages").clone();
        messages.iter().find(|message| message["content"] == text).expect("the message")["author"].clone()
    };
    let url = format!("{images}/a.png");
    webhook.post("", json!({ "content": "1", "username": "CI", "avatar_url": url })).await.expect(204);
    let shown = author("1").await;
    assert_eq!(shown["name"], "CI");
    let path = shown["avatar_url"].as_str().expect("an image").to_owned();
    assert_eq!(bob.get(&path).await.expect(200).header("content-type"), "image/png");
    bob.get(&format!("{path}/thumbnail")).await.expect(200);
    // Loaded once, whatever the format is.
    webhook.post("/slack", json!({ "text": "2", "icon_url": url })).await.expect(200);
    let form = reqwest::Client::new().post(&webhook.url).header("content-type", "application/x-www-form-urlencoded");
    let form = form.body(format!("content=3&avatar_url={url}"));
    assert_eq!(form.send().await.expect("an answer").status(), 204);
    assert_eq!((&author("2").await["avatar_url"], &author("3").await["avatar_url"]), (&json!(path), &json!(path)));
    // An edit keeps it.
    let sent = webhook.post("?wait=true", json!({ "content": "4", "avatar_url": url })).await.expect(200).json();
    let id = sent["id"].as_str().expect("an id");
    webhook.send(Method::PATCH, &format!("/messages/{id}"), json!({ "content": "4, edited" })).await.expect(200);
    assert_eq!(author("4, edited").await["avatar_url"], json!(path));
    // What is no image, or not to be had, costs a message nothing but its image.
    for (n, bad) in ["/text.png", "/large.png", "/missing.png", "/moved.png"].into_iter().enumerate() {
        let text = format!("bad {n}");
        webhook.post("", json!({ "content": text, "avatar_url": format!("{images}{bad}") })).await.expect(204);
        assert_eq!(author(&text).await, json!({ "name": "Builds" }), "{bad}");
    }
    for bad in ["", " ", "no url", "http://10.0.0.1/a.png", "file:///etc/passwd", "https://[::ffff:10.0.0.1]/a.png"] {
        webhook.post("", json!({ "content": "refused", "avatar_url": bad })).await.expect(204);
    }
    let loaded: Vec<String> =
        sqlx::query_scalar("select url from webhook_avatars order by id").fetch_all(&app.db).await.expect("URLs");
    assert_eq!(loaded.len(), 5, "{loaded:?}");
    // Only members see it, and a token only in its chats.
    dave.get(&path).await.expect_problem(404);
    let scopes = ["messages:read"];
    let token = bob.with_api_token(json!({ "name": "team", "scopes": scopes, "chat_ids": [team] })).await;
    token.get(&path).await.expect(200);
    let general = bob.chat_id("general").await;
    let token = bob.with_api_token(json!({ "name": "general", "scopes": scopes, "chat_ids": [general] })).await;
    token.get(&path).await.expect_problem(404);
    // It stays while messages show it, and after the webhook is gone.
    sqlx::query("update files set created_at = now() - interval '30 days'").execute(&app.db).await.expect("updated");
    chat_core::housekeeping::run(&app.db, RetentionConfig::DEFAULT).await.expect("a run");
    bob.get(&path).await.expect(200);
    let id = webhook.created["id"].clone();
    alice.delete(&format!("/api/chats/{team}/webhooks/{id}")).await.expect(204);
    bob.get(&path).await.expect(200);
}

#[tokio::test]
async fn images_that_hang_delay_no_other_webhook() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (_server, _) = app.start_integration_server();
    let images = start_image_server().await;
    let hostile = Webhook::create(&app, &alice, alice.chat_id("team").await).await;
    let body = json!({ "type": "group", "name": "builds", "members": [] });
    let builds = bob.post("/api/chats", body).await.expect(201).json()["id"].as_i64().expect("an id");
    let honest = Webhook::create(&app, &bob, builds).await;
    let hanging = (0..40).map(|n| {
        let body = json!({ "content": "x", "avatar_url": format!("{images}/hanging/{n}.png") });
        let hostile = &hostile;
        async move { hostile.post("", body).await.expect(204) }
    });
    let honest = async {
        eventually("the hostile images are asked for", || async {
            let sql = "select count(*) from webhook_avatars where url like '%/hanging/%'";
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&app.db).await.expect("a count") > 10
        })
        .await;
        // The messages of the hostile webhook take all places of those that wait, so the first one of
        // another may be sent without its image. The next one has it.
        let body = json!({ "content": "built", "avatar_url": format!("{images}/a.png") });
        eventually("the honest image is shown", || async {
            let sent = honest.post("?wait=true", body.clone()).await.expect(200).json();
            let id = sent["id"].as_str().expect("an id").to_owned();
            let message = bob.get(&format!("/api/messages/{id}")).await.expect(200).json();
            message["author"]["avatar_url"].is_string()
        })
        .await;
    };
    tokio::join!(futures_util::future::join_all(hanging), honest);
}
