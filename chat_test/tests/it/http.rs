//! HTTP itself: hosts, security headers, conditional requests and encodings.

use chat_test::{ApiResponse, TestApp};
use reqwest::{Client, Method, StatusCode, header};
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

/// Sends a request as it is written, and returns the first line of the response.
async fn status_line(server: &str, request: &str) -> String {
    let address = server.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.write_all(request.as_bytes()).await.expect("written");
    let mut answer = [0u8; 64];
    let length = timeout(Duration::from_secs(10), stream.read(&mut answer)).await.expect("an answer").expect("read");
    String::from_utf8_lossy(&answer[..length]).lines().next().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn a_server_answers_only_at_its_own_hosts() {
    let app = TestApp::start().await;
    for server in [&app.endpoints.chat, &app.endpoints.notify] {
        let path = if server == &app.endpoints.chat { "/api/config" } else { "/events" };
        let get = |host: &str| format!("GET {path} HTTP/1.1\r\n{host}\r\n");
        for good in ["Host: localhost\r\n", "Host: 127.0.0.1:1\r\n", "host: [::1]:99\r\n"] {
            let status = status_line(server, &get(good)).await;
            assert!(!status.contains("421") && !status.contains("400"), "{good:?}: {status}");
        }
        for foreign in ["Host: evil.example\r\n", "Host: localhost.evil.example\r\n", "Host: 10.0.0.1\r\n"] {
            assert!(status_line(server, &get(foreign)).await.contains("421"), "{foreign:?}");
        }
        for bad in ["", "Host: a\r\nHost: a\r\n", "Host: a b\r\n", "Host: localhost:x\r\n", "Host: u@localhost\r\n"] {
            assert!(status_line(server, &get(bad)).await.contains("400"), "{bad:?}");
        }
        let absolute = format!("GET http://evil.example{path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        assert!(status_line(server, &absolute).await.contains("421"));
        for method in ["OPTIONS", "HEAD"] {
            let request = format!("{method} {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n");
            assert!(status_line(server, &request).await.contains("421"), "{method}");
        }
    }
}

#[tokio::test]
async fn every_response_has_the_security_headers() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let stream = alice.at(&app.endpoints);
    let chat = &app.endpoints.chat;
    for (url, csp) in [
        (format!("{chat}/api/me"), "default-src 'none'"),
        (format!("{chat}/nowhere"), "default-src 'none'"),
        (format!("{chat}/livez"), "default-src 'none'"),
        (format!("{chat}/api/docs/"), "script-src 'self'"),
        (format!("{}/events", app.endpoints.notify), "default-src 'none'"),
    ] {
        let reply = Client::new().get(&url).bearer_auth(&stream.token).send().await.expect("an answer");
        let headers = reply.headers();
        for (name, value) in [
            ("x-content-type-options", "nosniff"),
            ("referrer-policy", "no-referrer"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(headers.get(name).expect(name), value, "{url}");
        }
        assert!(headers.contains_key("permissions-policy") && headers.contains_key(header::CACHE_CONTROL), "{url}");
        let policy = headers["content-security-policy"].to_str().expect("text");
        assert!(policy.contains(csp) && policy.contains("frame-ancestors 'none'"), "{url}: {policy}");
        assert!(!headers.contains_key("strict-transport-security"), "this server has no public https URL");
    }
}

#[tokio::test]
async fn the_description_of_the_api_is_compressed_and_cached() {
    let app = TestApp::start().await;
    let url = format!("{}{}", app.endpoints.chat, chat_server::OPENAPI_PATH);
    let get =
        async |name: &str, value: &str| Client::new().get(&url).header(name, value).send().await.expect("an answer");
    let gzipped = get("accept-encoding", "gzip").await;
    assert_eq!(gzipped.headers()[header::CONTENT_ENCODING], "gzip");
    let etag = gzipped.headers()[header::ETAG].to_str().expect("text").to_owned();
    assert!(gzipped.bytes().await.expect("a body").len() < 60_000);
    for plain in ["gzip;q=0", "br", "identity"] {
        assert!(!get("accept-encoding", plain).await.headers().contains_key(header::CONTENT_ENCODING), "{plain}");
    }
    for current in [etag.as_str(), "*", &format!("\"other\", {etag}")] {
        assert_eq!(get("if-none-match", current).await.status(), StatusCode::NOT_MODIFIED, "{current}");
    }
    assert_eq!(get("if-none-match", "\"other\"").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_compressed_request_body_is_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let path = format!("/api/chats/{}/messages", alice.chat_id("team").await);
    for (encoding, status) in [("gzip", 415), ("br", 415), ("identity", 201)] {
        let request = alice.request(Method::POST, &path).header("content-encoding", encoding);
        let reply = request.json(&json!({ "content": "hello" })).send().await.expect("an answer");
        let reply = ApiResponse::read(reply).await;
        assert_eq!(reply.status, status, "{encoding}");
    }
}

#[tokio::test]
async fn a_caller_without_a_token_is_refused_before_the_body_is_read() {
    let app = TestApp::start().await;
    let post = |path: &str, token: &str, length: usize| {
        let kind = if path == "/api/upload" { "multipart/form-data; boundary=b" } else { "application/json" };
        format!(
            "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{token}\r\n{{"
        )
    };
    // The body never arrives: a server that waited for it would answer after 15 seconds, with 408.
    for token in ["", "Authorization: Bearer made-up\r\n"] {
        for (path, length) in [("/api/chats", 400_000), ("/api/chats", 100), ("/api/upload", 20_000_000)] {
            let started_at = std::time::Instant::now();
            let status = status_line(&app.endpoints.chat, &post(path, token, length)).await;
            assert!(status.contains("401"), "{path}: {status}");
            assert!(started_at.elapsed() < Duration::from_secs(8), "{path}: {:?}", started_at.elapsed());
        }
    }
    // No route reads these bodies, so the server does not wait for them.
    for (request, status) in
        [("POST /api/config", "405"), ("POST /api/me", "405"), ("GET /api/me", "401"), ("GET /api/config", "200")]
    {
        let request = format!("{request} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n");
        let started_at = std::time::Instant::now();
        let line = status_line(&app.endpoints.chat, &request).await;
        assert!(line.contains(status) && started_at.elapsed() < Duration::from_secs(8), "{request}: {line}");
    }
}
