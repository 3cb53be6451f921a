//! OAuth 2.1: a program receives tokens from a user for the MCP server, and for nothing else.

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_test::{ApiResponse, TestApp, TestUser, eventually};
use http::Method;
use integration_server::IntegrationServer;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};
use tokio::net::TcpListener;

const VERIFIER: &str = "a-verifier-that-only-the-program-knows.0123456789";
const READ: &str = "chats:read messages:read";

/// A program that describes itself on a loopback address.
struct Program {
    id: String,
    document: Arc<Mutex<Answer>>,
}

#[derive(Clone)]
enum Answer {
    Document(Value),
    Text(String),
    Status(u16),
    Redirect(String),
    Hang,
}

impl Program {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let id = format!("http://{}/client.json", listener.local_addr().expect("an address"));
        let document = Arc::new(Mutex::new(Answer::Document(json!({
            "client_id": id, "client_name": "Test program",
            "redirect_uris": ["https://program.example/callback", "http://127.0.0.1/callback"],
        }))));
        let router = Router::new().fallback(get(answer)).with_state(Arc::clone(&document));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { id, document }
    }

    fn answer(&self, answer: Answer) {
        *self.document.lock().expect("no panic") = answer;
    }
}

async fn answer(State(document): State<Arc<Mutex<Answer>>>) -> Response {
    let answer = document.lock().expect("no panic").clone();
    match answer {
        Answer::Document(document) => axum::Json(document).into_response(),
        Answer::Text(text) => text.into_response(),
        Answer::Status(status) => StatusCode::from_u16(status).expect("a status").into_response(),
        Answer::Redirect(url) => axum::response::Redirect::temporary(&url).into_response(),
        Answer::Hang => std::future::pending().await,
    }
}

/// A chat server, an integration server, a user and a program.
struct Fixture {
    app: TestApp,
    alice: TestUser,
    program: Program,
    _integration: IntegrationServer,
}

impl Fixture {
    async fn start() -> Self {
        let app = TestApp::start().await;
        let [alice] = app.sign_in(["alice"]).await;
        let (integration, _) = app.start_integration_server();
        Self { app, alice, program: Program::start().await, _integration: integration }
    }

    /// What the program asks for, with changes.
    fn request(&self, change: Value) -> Value {
        let mut request = json!({
            "client_id": self.program.id, "redirect_uri": "http://127.0.0.1:7777/callback", "response_type": "code",
            "code_challenge": BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER)), "code_challenge_method": "S256",
            "scope": READ, "state": "a state", "resource": format!("{}/mcp", self.app.endpoints.chat),
        });
        request.as_object_mut().expect("an object").extend(change.as_object().expect("an object").clone());
        request
    }

    async fn check(&self, change: Value) -> ApiResponse {
        self.alice.post("/api/oauth/requests", self.request(change)).await
    }

    /// The user agrees; returns the parameters with which the browser is sent to the program.
    async fn agree(&self, scopes: &str, more: Value) -> HashMap<String, String> {
        let mut body = json!({
            "request": self.request(json!({ "scope": scopes })), "scopes": scopes.split(' ').collect::<Vec<_>>(),
        });
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        let agreed = self.alice.post("/api/oauth/authorizations", body).await.expect(200).json();
        let (uri, parameters) = parse_redirect(&agreed);
        assert_eq!(uri, "http://127.0.0.1:7777/callback");
        parameters
    }

    async fn code(&self) -> String {
        self.agree(READ, json!({})).await["code"].clone()
    }

    /// Sends a form to the token endpoint, or to the one that revokes.
    async fn send(&self, path: &str, fields: &[(&str, &str)]) -> ApiResponse {
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = reqwest::Client::new().post(format!("{}{path}", self.app.endpoints.chat)).body(form);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        ApiResponse::read(request.send().await.expect("an answer")).await
    }

    async fn exchange(&self, code: &str, change: &[(&str, &str)]) -> ApiResponse {
        let resource = format!("{}/mcp", self.app.endpoints.chat);
        let mut fields = vec![
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", "http://127.0.0.1:7777/callback"),
            ("client_id", self.program.id.as_str()),
            ("code_verifier", VERIFIER),
            ("resource", resource.as_str()),
        ];
        for (name, value) in change {
            fields.retain(|(field, _)| field != name);
            fields.push((name, value));
        }
        self.send("/api/oauth/token", &fields).await
    }

    async fn refresh(&self, token: &str) -> ApiResponse {
        let fields = [("grant_type", "refresh_token"), ("refresh_token", token), ("client_id", &self.program.id)];
        self.send("/api/oauth/token", &fields).await
    }

    /// The tokens of a program to which the user has agreed.
    async fn tokens(&self) -> Value {
        self.exchange(&self.code().await, &[]).await.expect(200).json()
    }

    async fn call_mcp(&self, token: &str, method: &str, params: Value) -> ApiResponse {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let request = self.alice.with_token(token).request(Method::POST, "/mcp").json(&body);
        let request = request
            .header("accept", "application/json, text/event-stream")
            .header("mcp-protocol-version", "2025-06-18");
        ApiResponse::read(request.send().await.expect("an answer")).await
    }

    async fn is_served(&self, tokens: &Value) -> bool {
        self.call_mcp(text(tokens, "access_token"), "tools/list", json!({})).await.status == 200
    }

    /// Waits until this many transactions wait for a lock.
    async fn wait_for_waiting(&self, count: i64) {
        let sql = "select count(*) from pg_stat_activity
                   where datname = current_database() and wait_event_type = 'Lock'";
        eventually("transactions wait for a lock", || async {
            sqlx::query_scalar::<_, i64>(sql).fetch_one(&self.app.db).await.expect("a count") >= count
        })
        .await;
    }

    async fn wait_until_refused(&self, tokens: &Value) {
        eventually("the program is refused", || async { !self.is_served(tokens).await }).await;
        assert_eq!(refusal(&self.refresh(text(tokens, "refresh_token")).await), "invalid_grant");
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().expect(field)
}

fn parse_redirect(response: &Value) -> (String, HashMap<String, String>) {
    let url = reqwest::Url::parse(text(response, "redirect_url")).expect("a URL");
    let parameters = url.query_pairs().into_owned().collect();
    let mut uri = url;
    uri.set_query(None);
    (uri.into(), parameters)
}

/// Reads the error code of an OAuth response.
fn refusal(response: &ApiResponse) -> String {
    assert_eq!(response.status, 400);
    assert_eq!(response.header("cache-control"), "no-store");
    text(&response.json(), "error").to_owned()
}

#[tokio::test]
async fn a_program_gets_tokens_for_mcp_and_for_nothing_else() {
    let fixture = Fixture::start().await;
    let origin = fixture.app.endpoints.chat.clone();
    // The challenge leads to the metadata, and the metadata to the endpoints.
    let refused = fixture.call_mcp("nothing", "tools/list", json!({})).await;
    refused.expect_problem(401);
    let challenge = refused.header("www-authenticate");
    let metadata = format!("{origin}/.well-known/oauth-protected-resource/mcp");
    assert!(challenge.starts_with("Bearer error=\"invalid_token\""), "{challenge}");
    assert!(challenge.contains(&format!("resource_metadata=\"{metadata}\"")), "{challenge}");
    assert!(challenge.contains("scope=\"chats:read messages:read messages:write"), "{challenge}");
    let get = async |url: String| reqwest::get(url).await.expect("an answer").json::<Value>().await.expect("JSON");
    let resource = get(metadata).await;
    assert_eq!(resource["resource"], format!("{origin}/mcp"));
    let server = get(format!(
        "{}/.well-known/oauth-authorization-server",
        resource["authorization_servers"][0].as_str().expect("a URL")
    ))
    .await;
    assert_eq!(server["issuer"], origin);
    assert_eq!(server["code_challenge_methods_supported"], json!(["S256"]));
    // The user sees who asks for what.
    let consent = fixture.check(json!({})).await.expect(200).json()["consent"].clone();
    assert_eq!(
        consent,
        json!({ "client_name": "Test program", "client_id": fixture.program.id, "redirect_target": "127.0.0.1:7777",
                "is_on_device": true, "scopes": ["chats:read", "messages:read"] })
    );
    let parameters = fixture.agree(READ, json!({})).await;
    assert_eq!((parameters["state"].as_str(), parameters["iss"].as_str()), ("a state", origin.as_str()));
    let tokens = fixture.exchange(&parameters["code"], &[]).await;
    assert_eq!(tokens.header("cache-control"), "no-store");
    let tokens = tokens.expect(200).json();
    assert_eq!((text(&tokens, "token_type"), text(&tokens, "scope")), ("Bearer", READ));
    let access_token = text(&tokens, "access_token");
    let call = json!({ "name": "list_chats", "arguments": {} });
    let chats = fixture.call_mcp(access_token, "tools/call", call).await.expect(200).json();
    assert!(chats["result"]["structuredContent"]["chats"].as_array().is_some_and(|chats| !chats.is_empty()), "{chats}");
    // The tokens open nothing else.
    let program = fixture.alice.with_token(access_token);
    for path in ["/api/chats", "/api/me", "/api/events", "/api/tokens"] {
        program.get(path).await.expect_problem(401);
    }
    let stream =
        reqwest::Client::new().get(format!("{}/events", fixture.app.endpoints.notify)).bearer_auth(access_token);
    assert_eq!(stream.send().await.expect("an answer").status(), 401);
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    fixture.alice.post("/api/token/refresh", refresh).await.expect_problem(401);
    // The user sees the program among the tokens, and revokes it.
    let listed = fixture.alice.get("/api/tokens").await.expect(200).json()["items"][0].clone();
    assert_eq!((text(&listed, "name"), text(&listed, "client_id")), ("Test program", fixture.program.id.as_str()));
    assert_eq!(listed["last_four"], Value::Null);
    eventually("the use is recorded", || async {
        fixture.alice.get("/api/tokens").await.expect(200).json()["items"][0]["used_at"].is_string()
    })
    .await;
    assert_eq!(fixture.alice.get("/api/sessions").await.expect(200).json()["items"].as_array().map(Vec::len), Some(1));
    fixture.alice.delete(&format!("/api/tokens/{}", text(&listed, "id"))).await.expect(204);
    fixture.wait_until_refused(&tokens).await;
}

#[tokio::test]
async fn a_code_is_exchanged_once_by_the_program_that_asked() {
    let fixture = Fixture::start().await;
    let code = fixture.code().await;
    for (field, value) in [
        ("code", "wrong"),
        ("code_verifier", "another-verifier-that-is-long-enough-to-be-one.0"),
        ("redirect_uri", "http://127.0.0.1:7778/callback"),
        ("client_id", "https://other.example/client.json"),
    ] {
        assert_eq!(refusal(&fixture.exchange(&code, &[(field, value)]).await), "invalid_grant", "{field}");
    }
    assert_eq!(refusal(&fixture.exchange(&code, &[("resource", "https://other.example/mcp")]).await), "invalid_target");
    assert_eq!(refusal(&fixture.exchange(&code, &[("grant_type", "password")]).await), "unsupported_grant_type");
    assert_eq!(refusal(&fixture.send("/api/oauth/token", &[("grant_type", "refresh_token")]).await), "invalid_request");
    let twice = [("code", code.as_str()), ("code", code.as_str())];
    assert_eq!(refusal(&fixture.send("/api/oauth/token", &twice).await), "invalid_request");
    let json = fixture.alice.post("/api/oauth/token", json!({ "code": code })).await;
    assert_eq!(refusal(&json), "invalid_request");
    let many: Vec<(String, String)> = (0..10_000).map(|n| (n.to_string(), String::new())).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for fields in [&many[..], &many[..21]] {
        assert_eq!(refusal(&fixture.send("/api/oauth/token", fields).await), "invalid_request");
        assert_eq!(refusal(&fixture.send("/api/oauth/revoke", fields).await), "invalid_request");
    }
    // A code that comes again was stolen: nobody keeps what it was exchanged for.
    let tokens = fixture.exchange(&code, &[]).await.expect(200).json();
    assert!(fixture.is_served(&tokens).await);
    assert_eq!(refusal(&fixture.exchange(&code, &[]).await), "invalid_grant");
    fixture.wait_until_refused(&tokens).await;
    // A code that was not exchanged in time is worth nothing.
    let late = fixture.code().await;
    sqlx::query("update oauth_codes set expires_at = now()").execute(&fixture.app.db).await.expect("updated");
    assert_eq!(refusal(&fixture.exchange(&late, &[]).await), "invalid_grant");
    // Two requests at once with one code give one pair of tokens.
    let code = fixture.code().await;
    let (one, other) = tokio::join!(fixture.exchange(&code, &[]), fixture.exchange(&code, &[]));
    let mut statuses = [one.status, other.status];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 400]);
}

#[tokio::test]
async fn a_stolen_refresh_token_ends_the_grant() {
    let fixture = Fixture::start().await;
    let first = fixture.tokens().await;
    let other_program = [
        ("grant_type", "refresh_token"),
        ("refresh_token", text(&first, "refresh_token")),
        ("client_id", "https://other.example/client.json"),
    ];
    assert_eq!(refusal(&fixture.send("/api/oauth/token", &other_program).await), "invalid_grant");
    let (second, again) =
        tokio::join!(fixture.refresh(text(&first, "refresh_token")), fixture.refresh(text(&first, "refresh_token")),);
    // Two requests at once, or a lost response: the successor is the same until it is used.
    let (second, again) = (second.expect(200).json(), again.expect(200).json());
    assert_eq!(second["refresh_token"], again["refresh_token"]);
    let third = fixture.refresh(text(&second, "refresh_token")).await.expect(200).json();
    assert!(fixture.is_served(&third).await);
    // Somebody has a copy of the first one.
    assert_eq!(refusal(&fixture.refresh(text(&first, "refresh_token")).await), "invalid_grant");
    fixture.wait_until_refused(&third).await;
    let activity = fixture.alice.get("/api/me/activity?limit=1").await.expect(200).json();
    assert_eq!(activity["items"][0]["action"], "token_revoked");
    // The same for a token that was used some time ago.
    let first = fixture.tokens().await;
    let second = fixture.refresh(text(&first, "refresh_token")).await.expect(200).json();
    let sql = "update refresh_tokens set used_at = used_at - interval '31 seconds' where used_at is not null";
    sqlx::query(sql).execute(&fixture.app.db).await.expect("updated");
    assert_eq!(refusal(&fixture.refresh(text(&first, "refresh_token")).await), "invalid_grant");
    fixture.wait_until_refused(&second).await;
}

#[tokio::test]
async fn a_program_revokes_its_tokens() {
    let fixture = Fixture::start().await;
    for field in ["access_token", "refresh_token"] {
        let tokens = fixture.tokens().await;
        let token = text(&tokens, field);
        let revoke = async |client_id: &str, token: &str| {
            fixture.send("/api/oauth/revoke", &[("token", token), ("client_id", client_id)]).await
        };
        revoke("https://other.example/client.json", token).await.expect(200);
        revoke(&fixture.program.id, "unknown").await.expect(200);
        assert!(fixture.is_served(&tokens).await, "only the program revokes its token");
        revoke(&fixture.program.id, token).await.expect(200);
        fixture.wait_until_refused(&tokens).await;
    }
    assert_eq!(refusal(&fixture.send("/api/oauth/revoke", &[("client_id", "x")]).await), "invalid_request");
}

#[tokio::test]
async fn the_user_decides_what_the_program_can_do() {
    let fixture = Fixture::start().await;
    let general = fixture.alice.chat_id("general").await;
    let direct = fixture.alice.chat_id("direct").await;
    let all = "chats:read messages:read messages:write";
    let grant = async |scopes: &str, more: Value| {
        let code = fixture.agree(scopes, more).await["code"].clone();
        fixture.exchange(&code, &[]).await.expect(200).json()
    };
    let send = async |tokens: &Value, chat: i64| {
        let call = json!({ "name": "send_message", "arguments": { "chat_id": chat, "text": "from a program" } });
        fixture.call_mcp(text(tokens, "access_token"), "tools/call", call).await
    };
    let in_general = grant(all, json!({ "write_chat_ids": [general] })).await;
    assert_eq!(send(&in_general, general).await.expect(200).json()["result"]["isError"], false);
    let refused = send(&in_general, direct).await.expect(200).json()["result"].clone();
    assert!(refused["content"][0]["text"].as_str().is_some_and(|text| text.contains("may not write")), "{refused}");
    // Without a list each change is asked for, which this old client cannot.
    let asked = send(&grant(all, json!({})).await, general).await.expect(200).json();
    assert!(asked["result"]["content"][0]["text"].as_str().is_some_and(|text| text.contains("confirm")), "{asked}");
    // A program that only reads learns which scope it lacks.
    let reader = grant(READ, json!({})).await;
    let refused = send(&reader, general).await;
    assert_eq!(refused.expect_problem(403)["code"], "insufficient_scope");
    let challenge = refused.header("www-authenticate");
    let scopes = "scope=\"chats:read messages:read messages:write\"";
    assert!(challenge.contains("error=\"insufficient_scope\"") && challenge.contains(scopes), "{challenge}");
    // The user grants no more than the program asked for.
    let request = fixture.request(json!({}));
    for (field, body) in [
        ("scopes", json!({ "request": request, "scopes": ["messages:write"] })),
        ("scopes", json!({ "request": request, "scopes": [] })),
        ("scopes", json!({ "request": request, "scopes": ["chats:write"] })),
        (
            "write_chat_ids",
            json!({ "request": request, "scopes": ["chats:read"], "chat_ids": [1], "write_chat_ids": [2] }),
        ),
    ] {
        let problem = fixture.alice.post("/api/oauth/authorizations", body).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], field, "{problem}");
    }
    // Nobody grants for a user without a session of theirs.
    let token = fixture.alice.with_api_token(json!({ "name": "t", "scopes": ["chats:read"] })).await;
    token
        .post("/api/oauth/authorizations", json!({ "request": request, "scopes": ["chats:read"] }))
        .await
        .expect_problem(403);
}

#[tokio::test]
async fn a_browser_is_sent_only_where_the_program_lives() {
    let fixture = Fixture::start().await;
    // A wrong address is told to the user, and the browser stays.
    for uri in ["https://evil.example/callback", "http://127.0.0.1/other", "javascript:alert(1)", ""] {
        let problem = fixture.check(json!({ "redirect_uri": uri })).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], "redirect_uri", "{uri}");
    }
    // Other mistakes are told to the program.
    for (error, change) in [
        ("unsupported_response_type", json!({ "response_type": "token" })),
        ("invalid_request", json!({ "code_challenge_method": "plain" })),
        ("invalid_request", json!({ "code_challenge": null })),
        ("invalid_scope", json!({ "scope": "openid" })),
        ("invalid_target", json!({ "resource": "https://other.example/mcp" })),
        ("access_denied", json!({})),
    ] {
        let checked = fixture.check(change).await.expect(200).json();
        assert_eq!(checked["consent"].is_null(), error != "access_denied");
        let (uri, parameters) = parse_redirect(&checked);
        assert_eq!(uri, "http://127.0.0.1:7777/callback");
        assert_eq!((parameters["error"].as_str(), parameters["state"].as_str()), (error, "a state"));
    }
    let https = fixture.check(json!({ "redirect_uri": "https://program.example/callback" })).await.expect(200).json();
    assert_eq!(
        (&https["consent"]["redirect_target"], &https["consent"]["is_on_device"]),
        (&json!("program.example"), &json!(false))
    );
}

#[tokio::test]
async fn only_a_program_that_describes_itself_is_known() {
    let fixture = Fixture::start().await;
    let Answer::Document(document) = fixture.program.document.lock().expect("no panic").clone() else {
        panic!("a document")
    };
    let detail = async || {
        let problem = fixture.check(json!({})).await.expect_problem(422);
        assert_eq!(problem["errors"][0]["field"], "client_id");
        // What is not valid is loaded again soon.
        sqlx::query("delete from oauth_clients").execute(&fixture.app.db).await.expect("deleted");
        text(&problem, "detail").to_owned()
    };
    let mut foreign = document.clone();
    foreign["client_id"] = json!("https://bank.example/client.json");
    let elsewhere = Program::start().await;
    for (answer, why) in [
        (Answer::Document(foreign), "not its own URL"),
        (Answer::Text("<html>".into()), "does not say that it is JSON"),
        (Answer::Document(json!([])), "not a JSON object"),
        (Answer::Document(json!({ "client_id": " ".repeat(20_000) })), "larger than 16 KiB"),
        (Answer::Status(404), "status 200"),
        (Answer::Status(500), "status 200"),
        (Answer::Redirect(elsewhere.id.clone()), "status 200"),
        (Answer::Hang, "did not answer in time"),
    ] {
        fixture.program.answer(answer);
        let detail = detail().await;
        assert!(detail.contains(why), "{detail}");
    }
    for id in [
        "http://169.254.169.254/latest",
        "https://10.0.0.1/client.json",
        "https://[::ffff:10.0.0.1]/c",
        "ftp://x/y",
        "app",
    ] {
        fixture.check(json!({ "client_id": id })).await.expect_problem(422);
        let asked: i64 = sqlx::query_scalar("select count(*) from oauth_clients where client_id = $1")
            .bind(id)
            .fetch_one(&fixture.app.db)
            .await
            .expect("a count");
        assert_eq!(asked, 0, "{id}");
    }
    // A document that is valid is loaded once for several checks.
    fixture.program.answer(Answer::Document(document));
    fixture.check(json!({})).await.expect(200);
    fixture.program.answer(Answer::Status(404));
    fixture.check(json!({})).await.expect(200);
}

#[tokio::test]
async fn documents_that_hang_delay_nobody_else() {
    let fixture = Fixture::start().await;
    let hanging = Program::start().await;
    hanging.answer(Answer::Hang);
    let requests = (0..30).map(|n| {
        let id = hanging.id.replace("client.json", &format!("{n}.json"));
        let fixture = &fixture;
        async move { fixture.check(json!({ "client_id": id })).await }
    });
    let [bob] = fixture.app.sign_in(["bob"]).await;
    let honest = async {
        eventually("many documents are asked for", || async {
            let sql = "select count(*) >= 2 from oauth_clients where client_id not like '%/client.json'";
            sqlx::query_scalar(sql).fetch_one(&fixture.app.db).await.expect("a count")
        })
        .await;
        bob.post("/api/oauth/requests", fixture.request(json!({}))).await.expect(200);
    };
    let (answers, ()) = tokio::join!(futures_util::future::join_all(requests), honest);
    assert!(answers.iter().all(|answer| answer.status == 422 || answer.status == 429));
}

#[tokio::test]
async fn a_program_has_few_grants_of_one_user() {
    let fixture = Fixture::start().await;
    let first = fixture.tokens().await;
    let second = fixture.tokens().await;
    for _ in 0..4 {
        fixture.tokens().await;
    }
    fixture.wait_until_refused(&first).await;
    assert!(fixture.is_served(&second).await);
    assert_eq!(fixture.alice.get("/api/tokens").await.expect(200).json()["items"].as_array().map(Vec::len), Some(5));
}

#[tokio::test]
async fn a_stolen_session_that_is_ended_leaves_no_grant() {
    let fixture = Fixture::start().await;
    let thief = fixture.alice.clone();
    let [alice] = fixture.app.sign_in(["alice"]).await;
    // The thief agrees while the description of the program takes its time.
    let Answer::Document(document) = fixture.program.document.lock().expect("no panic").clone() else {
        panic!("a document")
    };
    fixture.program.answer(Answer::Hang);
    let body = json!({ "request": fixture.request(json!({})), "scopes": ["chats:read"] });
    let agree = tokio::spawn(async move { thief.post("/api/oauth/authorizations", body).await });
    eventually("the description is asked for", || async {
        let sql = "select exists (select from oauth_clients where not is_due)";
        sqlx::query_scalar::<_, bool>(sql).fetch_one(&fixture.app.db).await.expect("a row")
    })
    .await;
    alice.delete("/api/sessions").await.expect(204);
    sqlx::query("update oauth_clients set description = $1, loaded_at = clock_timestamp()")
        .bind(json!({ "name": "Test program", "redirect_uris": document["redirect_uris"] }))
        .execute(&fixture.app.db)
        .await
        .expect("updated");
    agree.await.expect("an answer").expect_problem(401);
}

#[tokio::test]
async fn what_is_granted_while_sessions_are_ended_is_ended_too() {
    let password = json!({ "current_password": "confab-demo", "new_password": "another-long-word-9" });
    for (method, path, body) in
        [(Method::DELETE, "/api/sessions", json!({})), (Method::PUT, "/api/me/password", password)]
    {
        let fixture = Fixture::start().await;
        let code = fixture.code().await;
        let [alice] = fixture.app.sign_in(["alice"]).await;
        // The exchange waits with its new session, which nobody else sees yet.
        let mut lock = fixture.app.db.begin().await.expect("a transaction");
        sqlx::query("lock table audit_log in exclusive mode").execute(&mut *lock).await.expect("locked");
        let end = async {
            fixture.wait_for_waiting(1).await;
            let request = alice.request(method, path).json(&body).send();
            let unlock = async {
                fixture.wait_for_waiting(2).await;
                lock.commit().await.expect("committed");
            };
            let (answer, ()) = tokio::join!(request, unlock);
            assert_eq!(answer.expect("an answer").status(), 204);
        };
        let (tokens, ()) = tokio::join!(fixture.exchange(&code, &[]), end);
        fixture.wait_until_refused(&tokens.expect(200).json()).await;
    }
}

#[tokio::test]
async fn the_end_of_the_sessions_is_the_end_of_programs() {
    let fixture = Fixture::start().await;
    let tokens = fixture.tokens().await;
    let code = fixture.code().await;
    fixture.alice.delete("/api/sessions").await.expect(204);
    fixture.wait_until_refused(&tokens).await;
    assert_eq!(refusal(&fixture.exchange(&code, &[]).await), "invalid_grant");
    // So is the deletion of the account.
    let code = fixture.code().await;
    let tokens = fixture.tokens().await;
    let body = json!({ "password": "confab-demo" });
    let request = fixture.alice.request(Method::DELETE, "/api/me").json(&body);
    assert_eq!(request.send().await.expect("an answer").status(), 204);
    fixture.wait_until_refused(&tokens).await;
    assert_eq!(refusal(&fixture.exchange(&code, &[]).await), "invalid_grant");
}
