//! Tokens: the servers reject a token with another key, time or audience.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_core::{
    auth::{Audience, Claims, Signer, keys},
    time,
};
use chat_server::Access;
use chat_test::{ApiResponse, EventStream, TestApp};
use chrono::TimeDelta;
use serde_json::{Value, json};

fn claims() -> Claims {
    Claims { user_id: 1.try_into().expect("an id"), session_id: uuid::Uuid::new_v4() }
}

fn another_signer() -> Signer {
    let folder = tempfile::tempdir().expect("a folder");
    let private = folder.path().join("private.pem");
    keys::generate(&private, &folder.path().join("public.pem")).expect("a key");
    Signer::read(&private).expect("the key")
}

/// Invalid tokens: a description, the token, and the expected problem code.
fn bad_tokens(app: &TestApp) -> Vec<(&'static str, String, &'static str)> {
    let now = time::now();
    let sign = |audience, at, seconds| app.signer.sign(claims(), audience, at, seconds).expect("a token");
    let good = sign(Audience::Api, now, 60);
    let parts: Vec<&str> = good.split('.').collect();
    let encode = |value: Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let body = |changes: Value| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(parts[1]).expect("base64");
        let mut body: Value = serde_json::from_slice(&bytes).expect("json");
        for (key, value) in changes.as_object().expect("an object") {
            body[key] = value.clone();
        }
        encode(body)
    };
    let header: Value =
        serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[0]).expect("base64")).expect("json");
    let kid = header["kid"].clone();
    // A token signed with the public key as a shared secret.
    let secret = jsonwebtoken::EncodingKey::from_secret(b"public");
    let mut hs256 = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    hs256.kid = kid.as_str().map(str::to_owned);
    let forged_body = json!({ "iss": "confab", "aud": "confab:api", "sub": "1", "sid": uuid::Uuid::new_v4(), "iat": 0, "nbf": 0, "exp": i64::MAX });
    let forged = jsonwebtoken::encode(&hs256, &forged_body, &secret).expect("a token");
    let mut flipped = parts[2].as_bytes().to_vec();
    flipped[10] = if flipped[10] == b'A' { b'B' } else { b'A' };
    let flipped = String::from_utf8(flipped).expect("text");
    vec![
        ("expired", sign(Audience::Api, now - TimeDelta::minutes(20), 900), "token_expired"),
        ("not yet valid", sign(Audience::Api, now + TimeDelta::minutes(20), 900), "token_invalid"),
        ("for streams only", sign(Audience::Stream, now, 60), "token_invalid"),
        ("of another key", another_signer().sign(claims(), Audience::Api, now, 60).expect("a token"), "token_invalid"),
        ("of another algorithm", forged, "token_invalid"),
        ("of no algorithm", format!("{}.{}.", encode(json!({ "alg": "none", "kid": kid })), parts[1]), "token_invalid"),
        (
            "without a key id",
            format!("{}.{}.{}", encode(json!({ "alg": "EdDSA" })), parts[1], parts[2]),
            "token_invalid",
        ),
        ("with another's id", format!("{}.{}.{}", parts[0], body(json!({ "sub": "2" })), parts[2]), "token_invalid"),
        (
            "with a later end",
            format!("{}.{}.{}", parts[0], body(json!({ "exp": i64::MAX })), parts[2]),
            "token_invalid",
        ),
        ("with a bit flipped", format!("{}.{}.{flipped}", parts[0], parts[1]), "token_invalid"),
        ("cut short", parts[..2].join("."), "token_invalid"),
        ("garbage", "garbage".into(), "token_invalid"),
        ("dots", "..".into(), "token_invalid"),
        ("long", "x".repeat(4_000), "token_invalid"),
    ]
}

#[tokio::test]
async fn an_invalid_token_is_refused_everywhere() {
    let app = TestApp::start().await;
    let client = reqwest::Client::new();
    for (what, token, code) in bad_tokens(&app) {
        for url in [format!("{}/api/me", app.endpoints.chat), format!("{}/events", app.endpoints.notify)] {
            let reply = ApiResponse::read(client.get(&url).bearer_auth(&token).send().await.expect("an answer")).await;
            assert_eq!(reply.header("www-authenticate"), "Bearer");
            let problem = reply.expect_problem(401);
            assert_eq!(problem["code"], code, "{what} at {url}");
            assert!(!problem.to_string().contains(&token), "the response does not contain the token");
        }
    }
}

#[tokio::test]
async fn every_route_that_needs_a_token_says_so() {
    let app = TestApp::start().await;
    let client = reqwest::Client::new();
    let open = [
        "/api/signup",
        "/api/signup/confirmation",
        "/api/password-resets",
        "/api/password-resets/confirmation",
        "/api/me/email/confirmation",
        "/api/mail/unsubscribe",
        "/api/signin",
        "/api/token/refresh",
        "/api/config",
        "/api/files/{file_id}/shared",
        "/api/invites/{code}/summary",
        "/api/oauth/token",
        "/api/push/subscription/renewal",
        "/api/oauth/revoke",
        "/.well-known/oauth-protected-resource/mcp",
        "/.well-known/oauth-authorization-server",
    ];
    for route in chat_server::routes().list() {
        let path = route.path.replace("{chat_id}", "1").replace("{user_id}", "1").replace("{file_id}", "1");
        let request = client.request(route.method.clone(), format!("{}{path}", app.endpoints.chat));
        for request in [request.try_clone().expect("a copy"), request.header("authorization", "Basic eDp5")] {
            let reply = ApiResponse::read(request.send().await.expect("an answer")).await;
            match open.contains(&route.path) || [Access::Webhook, Access::Network].contains(&route.access) {
                true => assert_ne!(reply.status, 401, "{path}"),
                false => assert_eq!(reply.expect_problem(401)["code"], "token_missing", "{} {path}", route.method),
            }
        }
    }
}

#[tokio::test]
async fn a_ticket_opens_one_stream_once() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let client = reqwest::Client::new();
    let ticket = alice.post("/api/events/ticket", json!({})).await.expect(201).json();
    assert_eq!(ticket["expires_in"], 30);
    let open = || {
        client
            .get(format!("{}/events", app.endpoints.notify))
            .query(&[("ticket", ticket["ticket"].as_str().expect("text"))])
    };

    // An error elsewhere in the request does not consume the ticket.
    let reply = open().header("last-event-id", "rubbish").send().await.expect("an answer");
    ApiResponse::read(reply).await.expect_problem(422);
    let (one, other) = tokio::join!(open().send(), open().send());
    let mut statuses = [one.expect("an answer").status().as_u16(), other.expect("an answer").status().as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [200, 401], "of two concurrent uses, one succeeds");

    let late = alice.post("/api/events/ticket", json!({})).await.expect(201).json();
    sqlx::query("update stream_tickets set expires_at = now() - interval '1 second'")
        .execute(&app.db)
        .await
        .expect("aged");
    let url = format!("{}/events?ticket={}", app.endpoints.notify, late["ticket"].as_str().expect("text"));
    let reply = ApiResponse::read(client.get(url).send().await.expect("an answer")).await;
    assert_eq!(reply.expect_problem(401)["code"], "token_expired");
}

#[tokio::test]
async fn the_cookie_opens_only_streams_and_only_for_known_origins() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let client = reqwest::Client::new();
    let events = || {
        client.get(format!("{}/events", app.endpoints.notify)).header("cookie", format!("theme=dark; {}", alice.cookie))
    };
    EventStream::open(events()).await;
    let own = app.endpoints.notify.clone();
    EventStream::open(events().header("origin", own)).await;
    let friendly = events().header("origin", chat_test::ALLOWED_ORIGIN).send().await.expect("an answer");
    assert_eq!(friendly.status(), 200);
    assert_eq!(friendly.headers()["access-control-allow-origin"], chat_test::ALLOWED_ORIGIN);
    for origin in ["https://evil.example", "null"] {
        ApiResponse::read(events().header("origin", origin).send().await.expect("an answer")).await.expect_problem(403);
    }
    let me = client.get(format!("{}/api/me", app.endpoints.chat)).header("cookie", &alice.cookie);
    ApiResponse::read(me.send().await.expect("an answer")).await.expect_problem(401);
    let (_, stream_token) = alice.cookie.split_once('=').expect("a value");
    let me = client.get(format!("{}/api/me", app.endpoints.chat)).bearer_auth(stream_token);
    ApiResponse::read(me.send().await.expect("an answer")).await.expect_problem(401);

    let signed_in = client.post(format!("{}/api/signin", app.endpoints.chat));
    let body = json!({ "email": "alice@example.com", "password": "confab-demo" });
    let reply = ApiResponse::read(signed_in.json(&body).send().await.expect("an answer")).await;
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/events"] {
        assert!(reply.header("set-cookie").contains(attribute), "{attribute}");
    }
}
