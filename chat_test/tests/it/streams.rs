//! Event streams as connections: both code paths, heartbeats, limits and shutdown.

use chat_test::{ApiResponse, DEADLINE, EventStream, TestApp, eventually};
use rand::{RngExt, SeedableRng, rngs::SmallRng};
use reqwest::Client;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
    time::timeout,
};

#[tokio::test]
async fn a_stream_on_a_reused_connection_behaves_the_same() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    // The first request passes the connection to hyper; the stream request reuses it.
    let client = Client::builder().pool_max_idle_per_host(1).build().expect("a client");
    client.get(format!("{}/livez", app.endpoints.notify)).send().await.expect("an answer").bytes().await.expect("read");
    let open = |cursor: Option<String>| {
        let request = client.get(format!("{}/events", app.endpoints.notify)).bearer_auth(&bob.token);
        cursor.map_or(request.try_clone().expect("a copy"), |cursor| request.header("last-event-id", cursor))
    };
    let mut stream = EventStream::open(open(None)).await;
    alice.say("team", "through hyper").await;
    assert_eq!(stream.next().await.text(), "through hyper");
    let cursor = stream.cursor().to_owned();
    drop(stream);
    alice.say("team", "missed").await;
    client.get(format!("{}/livez", app.endpoints.notify)).send().await.expect("an answer").bytes().await.expect("read");
    let missed = EventStream::open(open(Some(cursor))).await.read_replay().await;
    assert_eq!(missed.iter().map(|event| event.text()).collect::<Vec<_>>(), ["missed"]);
}

#[tokio::test]
async fn a_malformed_cursor_is_rejected_on_both_code_paths() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let client = Client::new();
    for garbage in [
        "x",
        "7",
        "-",
        "0123456789-",
        "0123456789--1",
        "0123456789-99999999999999999999",
        "'; drop table events",
        "ünï",
    ] {
        for is_first in [true, false] {
            let request = if is_first {
                bob.stream_request(None)
            } else {
                client
                    .get(format!("{}/livez", app.endpoints.notify))
                    .send()
                    .await
                    .expect("an answer")
                    .bytes()
                    .await
                    .expect("read");
                client.get(format!("{}/events", app.endpoints.notify)).bearer_auth(&bob.token)
            };
            let reply =
                ApiResponse::read(request.header("last-event-id", garbage).send().await.expect("an answer")).await;
            assert_eq!(reply.expect_problem(422)["errors"][0]["field"], "last_event_id", "{garbage}");
        }
    }
}

#[tokio::test]
async fn a_request_head_split_over_packets_is_accepted() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let address = app.endpoints.notify.strip_prefix("http://").expect("an address");
    let head = format!("GET /events HTTP/1.1\r\nHost: {address}\r\nAuthorization: Bearer {}\r\n\r\n", bob.token);
    let mut stream = TcpStream::connect(address).await.expect("connected");
    stream.set_nodelay(true).expect("a socket");
    for chunk in head.as_bytes().chunks(97) {
        stream.write_all(chunk).await.expect("written");
        tokio::task::yield_now().await;
    }
    let mut answer = Vec::new();
    let read = async {
        while !String::from_utf8_lossy(&answer).contains("event: ready") {
            stream.read_buf(&mut answer).await.expect("read");
        }
    };
    timeout(DEADLINE, read).await.expect("ready within the deadline");
    assert!(answer.starts_with(b"HTTP/1.1 200 OK\r\n"));
}

#[tokio::test]
async fn a_client_that_never_finishes_its_head_is_disconnected() {
    let app = TestApp::start().await;
    for server in [&app.endpoints.chat, &app.endpoints.notify] {
        let address = server.strip_prefix("http://").expect("an address");
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n").await.expect("written");
        let end = timeout(DEADLINE, stream.read(&mut [0u8; 64])).await.expect("closed within the deadline");
        assert_eq!(end.expect("a clean end of stream"), 0);
        // The server closes a connection whose request head is too long.
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let _ = stream.write_all(format!("GET /events HTTP/1.1\r\nx: {}", "y".repeat(20_000)).as_bytes()).await;
        let mut answer = String::new();
        let _ = timeout(DEADLINE, stream.read_to_string(&mut answer)).await.expect("closed within the deadline");
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    }
}

#[tokio::test]
async fn a_shutdown_ends_open_streams_with_a_retry_time() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        streams.push(bob.listen().await);
    }
    alice.say("team", "last words").await;
    for stream in &mut streams {
        assert_eq!(stream.next().await.text(), "last words");
    }
    let begun = std::time::Instant::now();
    let ends = tokio::spawn(async move {
        for stream in &mut streams {
            assert_eq!(stream.try_next().await, None);
            assert!(stream.retry_ms().is_some_and(|ms| (250..2_500).contains(&ms)), "{:?}", stream.retry_ms());
        }
    });
    app.stop().await;
    assert!(begun.elapsed().as_secs() < 10, "stopped in {:?}", begun.elapsed());
    ends.await.expect("every stream ended cleanly");
}

#[tokio::test]
async fn readiness_reports_the_state_of_the_pipeline() {
    let app = TestApp::start().await;
    let client = Client::new();
    let ready = |server: &str| {
        let request = client.get(format!("{server}/readyz"));
        async move { ApiResponse::read(request.send().await.expect("an answer")).await }
    };
    for server in [&app.endpoints.chat, &app.endpoints.notify] {
        eventually("the server is ready", || async { ready(server).await.status == 200 }).await;
        let live = client.get(format!("{server}/livez")).send().await.expect("an answer");
        assert_eq!(live.status(), 200);
    }
    let reply = ready(&app.endpoints.notify).await.expect(200).json();
    assert_eq!(reply["checks"], json!({ "listener": true, "not_draining": true }));
}

#[tokio::test]
async fn a_valid_request_id_is_kept_and_any_other_is_replaced() {
    let app = TestApp::start().await;
    let client = Client::new();
    let url = format!("{}/api/me", app.endpoints.chat);
    let reply =
        ApiResponse::read(client.get(&url).header("x-request-id", "abc-123").send().await.expect("an answer")).await;
    assert_eq!(reply.expect_problem(401)["request_id"], "abc-123");
    for odd in ["with space", "\"quoted\"", &"x".repeat(65)] {
        let reply =
            ApiResponse::read(client.get(&url).header("x-request-id", odd).send().await.expect("an answer")).await;
        assert_eq!(reply.expect_problem(401)["request_id"].as_str().map(str::len), Some(36), "{odd}");
    }
}

#[tokio::test]
async fn only_allowed_origins_pass_the_cors_preflight() {
    let app = TestApp::start().await;
    let client = Client::new();
    for (origin, is_allowed) in [(chat_test::ALLOWED_ORIGIN, true), ("https://evil.example", false)] {
        let preflight = client
            .request(http::Method::OPTIONS, format!("{}/api/chats", app.endpoints.chat))
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type");
        let reply = ApiResponse::read(preflight.send().await.expect("an answer")).await.expect(200);
        assert_eq!(reply.header("access-control-allow-origin") == origin, is_allowed, "{origin}");
    }
}

#[tokio::test]
async fn an_idle_stream_sends_heartbeats() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let mut stream = bob.listen().await;
    assert_eq!(stream.ready.data["heartbeat_ms"], 15_000);
    timeout(DEADLINE, stream.next_comment()).await.expect("a ping within the deadline");
}

/// Requests with changed, removed and inserted bytes, split anywhere. The server replies
/// in HTTP or closes the connection, and keeps working.
#[tokio::test]
async fn mangled_requests_do_not_harm_other_clients() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let address = app.endpoints.notify.strip_prefix("http://").expect("a URL").to_owned();
    let seed = rand::random();
    println!("seed {seed}");
    let mut random = SmallRng::seed_from_u64(seed);
    let valid = format!(
        "GET /events?last_event_id=0123456789-1 HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\nCookie: a=b\r\n\r\n",
        bob.token
    );
    let mut tries = JoinSet::new();
    for _ in 0..300 {
        let mut bytes = valid.clone().into_bytes();
        for _ in 0..random.random_range(1..6) {
            let at = random.random_range(0..bytes.len());
            match random.random_range(0..3) {
                0 => bytes[at] = random.random(),
                1 => drop(bytes.remove(at)),
                _ => bytes.insert(at, random.random()),
            }
        }
        let cut = random.random_range(0..bytes.len());
        let address = address.clone();
        tries.spawn(async move {
            let mut stream = TcpStream::connect(address).await.expect("connected");
            // The server may close the connection at any byte.
            let _ = stream.write_all(&bytes[..cut]).await;
            let _ = stream.write_all(&bytes[cut..]).await;
            let _ = stream.shutdown().await;
            let mut answer = [0u8; 64];
            let n = timeout(DEADLINE, stream.read(&mut answer)).await.expect("within the deadline").unwrap_or(0);
            (n == 0 || answer.starts_with(b"HTTP/1.1 "), bytes)
        });
    }
    while let Some(tried) = tries.join_next().await {
        let (is_http, bytes) = tried.expect("tried");
        assert!(is_http, "seed {seed}: {}", String::from_utf8_lossy(&bytes));
    }
    let mut bobs = bob.listen().await;
    alice.say("team", "still here").await;
    assert_eq!(bobs.next().await.text(), "still here");
}

#[tokio::test]
async fn a_client_that_reads_no_responses_is_disconnected() {
    let app = TestApp::start().await;
    let address = app.endpoints.chat.strip_prefix("http://").expect("an address");
    let mut stream = TcpStream::connect(address).await.expect("connected");
    let request = "GET /api/openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n";
    stream.write_all(request.repeat(200).as_bytes()).await.expect("written");
    // Longer than a write may wait.
    tokio::time::sleep(std::time::Duration::from_secs(18)).await;
    let mut answers = Vec::new();
    let _ = stream.read_to_end(&mut answers).await;
    let count = String::from_utf8_lossy(&answers).matches("HTTP/1.1 200").count();
    assert!(count < 200, "the server gave up before it had answered all: {count}");
}

#[tokio::test]
async fn every_block_at_the_start_of_a_stream_has_data() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let cursor = bob.listen().await.cursor().to_owned();
    for request in
        [bob.stream_request(None), bob.stream_request(Some(&cursor)), bob.stream_request(Some("0123456789-1"))]
    {
        let mut response = request.send().await.expect("an answer");
        let mut text = String::new();
        while !text.contains("\n\n") {
            let chunk = timeout(DEADLINE, response.chunk()).await.expect("in time").expect("a chunk").expect("more");
            text.push_str(&String::from_utf8_lossy(&chunk));
        }
        assert!(text.starts_with("retry: "), "{text}");
        for block in text.trim_end().split("\n\n") {
            assert!(block.contains("\ndata: "), "{block}");
        }
    }
}
