//! WebSocket: the same events with the same ids as on SSE, and commands that have the
//! same effects as the API.

use chat_test::{EventStream, Socket, TestApp, TestRedis, TestUser, eventually};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

async fn open(user: &TestUser, app: &TestApp, query: &str) -> Socket {
    let bearer = format!("Bearer {}", user.token);
    Socket::open(&app.endpoints.notify, query, &[("authorization", &bearer)]).await.expect("a socket")
}

async fn connected(user: &TestUser, app: &TestApp) -> Socket {
    let mut socket = open(user, app, "").await;
    assert_eq!(socket.next().await.kind, "ready");
    socket
}

/// Returns the id and type of each event before `marker`, without ephemeral events.
async fn receive_until(socket: &mut Socket, marker: &str) -> Vec<(Option<String>, String)> {
    let mut received = Vec::new();
    loop {
        let event = socket.next().await;
        if event.text() == marker {
            return received;
        }
        if !event.is_ephemeral() {
            received.push((event.id, event.kind));
        }
    }
}

async fn receive_until_by_sse(stream: &mut EventStream, marker: &str) -> Vec<(Option<String>, String)> {
    stream.read_until(marker).await.into_iter().map(|event| (event.id, event.kind)).collect()
}

#[tokio::test]
async fn commands_by_websocket_reach_the_other_members_streams() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut socket = connected(&alice, &app).await;
    let (mut bobs, mut bobs_socket) = (bob.listen().await, connected(&bob, &app).await);

    let created = socket
        .send_command(
            json!({ "type": "chat.create", "name": "Evening", "chat_type": "private_channel", "members": [bob.id] }),
        )
        .await;
    assert_eq!(created["type"], "ack", "{created}");
    let chat = created["chat"]["id"].as_i64().expect("an id");
    assert_eq!(bobs.next_of("chat.new").await.data["chat"]["name"], "Evening");

    assert_eq!(socket.send_command(json!({ "type": "typing.start", "chat_id": chat })).await["type"], "ack");
    assert!(bobs.next_ephemeral("typing").await.data["expires_in_ms"].as_u64() > Some(0));
    assert_eq!(socket.send_command(json!({ "type": "typing.stop", "chat_id": chat })).await["type"], "ack");
    assert_eq!(bobs.next_ephemeral("typing").await.data["expires_in_ms"], 0);

    let sent = socket
        .send_command(json!({ "type": "message.send", "chat_id": chat, "content": "Good evening", "nonce": "n1" }))
        .await;
    assert_eq!(sent["message"]["content"], "Good evening", "{sent}");
    let again = socket
        .send_command(json!({ "type": "message.send", "chat_id": chat, "content": "Good evening", "nonce": "n1" }))
        .await;
    assert_eq!(again["message"]["id"], sent["message"]["id"], "the same nonce returns the same message");
    let message = sent["message"]["id"].as_i64().expect("an id");
    assert_eq!(bobs.next_of("message.new").await.data["message"]["id"], message);

    let marker =
        bobs_socket.send_command(json!({ "type": "message.delivered", "chat_id": chat, "message_id": message })).await;
    assert_eq!(marker["type"], "ack", "{marker}");
    let marker =
        bobs_socket.send_command(json!({ "type": "message.read", "chat_id": chat, "message_id": message })).await;
    assert_eq!(marker["mark"]["message_id"], message, "{marker}");
    assert_eq!(socket.next_of("message.read").await.data["user_id"], bob.id);

    let seen = bobs_socket.send_command(json!({ "type": "presence.update", "status": "busy" })).await;
    assert_eq!(seen["type"], "ack", "{seen}");
    loop {
        let event = socket.next_of("presence").await;
        if event.data["user_id"] == bob.id && event.data["status"] == "busy" {
            break;
        }
    }
    assert_eq!(bobs_socket.send_command(json!({ "type": "chat.leave", "chat_id": chat })).await["type"], "ack");
    assert_eq!(socket.next_of("member.left").await.data["user_id"], bob.id);
    let general = alice.chat_id("general").await;
    assert_eq!(socket.send_command(json!({ "type": "chat.join", "chat_id": general })).await["chat"]["id"], general);
    assert_eq!(socket.send_command(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn events_are_the_same_under_the_same_ids_as_by_sse() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut stream = bob.listen().await;
    let mut socket = open(&bob, &app, "").await;
    let ready = socket.next().await;
    assert_eq!((ready.kind.as_str(), ready.data["resumed"].as_bool()), ("ready", Some(false)));
    let cursor = ready.data["cursor"].as_str().expect("a cursor").to_owned();
    for n in 0..20 {
        alice.say_in(team, &n.to_string()).await;
    }
    alice.say_in(team, "marker").await;
    let all = receive_until_by_sse(&mut stream, "marker").await;
    assert_eq!(receive_until(&mut socket, "marker").await, all);
    assert_eq!(all.len(), 20);

    // A cursor of one transport resumes on the other.
    let mut resumed = open(&bob, &app, &format!("?last_event_id={cursor}")).await;
    assert_eq!(resumed.next().await.data["resumed"], true);
    assert_eq!(receive_until(&mut resumed, "marker").await, all);
    assert_eq!(resumed.next_of("caught_up").await.kind, "caught_up");
    let (fifth, rest) = (all[4].0.clone().expect("an id"), &all[5..]);
    let mut by_sse = bob.resume(&fifth).await;
    assert_eq!(receive_until_by_sse(&mut by_sse, "marker").await, rest);
}

#[tokio::test]
async fn a_websocket_without_a_token_must_authenticate_first() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut socket = Socket::open(&app.endpoints.notify, "", &[]).await.expect("a socket");
    socket.send(&json!({ "type": "auth", "token": bob.token, "ref": "a" }).to_string()).await;
    let ack = socket.next_reply().await;
    assert_eq!((ack["type"].as_str(), ack["ref"].as_str()), (Some("ack"), Some("a")));
    let cursor = socket.next().await.data["cursor"].as_str().expect("a cursor").to_owned();
    alice.say_in(team, "hello").await;
    assert_eq!(socket.next_of("message.new").await.text(), "hello");
    let mut again = Socket::open(&app.endpoints.notify, "", &[]).await.expect("a socket");
    again.send(&json!({ "type": "auth", "token": bob.token, "last_event_id": cursor }).to_string()).await;
    assert_eq!(again.next().await.data["resumed"], true);
    assert_eq!(again.next_of("message.new").await.text(), "hello");
    assert_eq!(again.send_command(json!({ "type": "auth", "token": bob.token })).await["code"], "authenticated");

    for (wrong, code) in [
        (json!({ "type": "auth", "token": "nonsense" }).to_string(), 4001),
        (json!({ "type": "message.send", "chat_id": team, "content": "anonymous" }).to_string(), 4001),
        // This must not sign out a user whose token is valid.
        (json!({ "type": "auth", "token": bob.token, "last_event_id": "nonsense" }).to_string(), 1008),
        ("nonsense".to_owned(), 1008),
        ("[]".to_owned(), 1008),
    ] {
        let mut socket = Socket::open(&app.endpoints.notify, "", &[]).await.expect("a socket");
        socket.send(&wrong).await;
        assert_eq!(socket.next_reply().await["type"], "error", "{wrong}");
        assert_eq!(socket.wait_for_close().await, Some(code), "{wrong}");
    }
    let mut silent = Socket::open(&app.endpoints.notify, "", &[]).await.expect("a socket");
    assert_eq!(silent.wait_for_close().await, Some(4001), "the server closes an unauthenticated socket");
}

#[tokio::test]
async fn a_ticket_works_once_and_foreign_origins_are_rejected() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let ticket = alice.post("/api/events/ticket", json!({})).await.expect(201).json();
    let query = format!("?ticket={}", ticket["ticket"].as_str().expect("a ticket"));
    let mut socket = Socket::open(&app.endpoints.notify, &query, &[]).await.expect("a socket");
    assert_eq!(socket.next().await.kind, "ready");
    let rejection = Socket::open(&app.endpoints.notify, &query, &[]).await.expect_err("used");
    assert_eq!(rejection.status(), 401);
    let bearer = format!("Bearer {}", alice.token);
    let foreign = [("authorization", bearer.as_str()), ("origin", "https://elsewhere.example")];
    assert_eq!(Socket::open(&app.endpoints.notify, "", &foreign).await.expect_err("foreign").status(), 403);
    let friendly = [("authorization", bearer.as_str()), ("origin", chat_test::ALLOWED_ORIGIN)];
    Socket::open(&app.endpoints.notify, "", &friendly).await.expect("an allowed origin");
    // The stream cookie opens streams but does not allow commands.
    let cookie = [("cookie", alice.cookie.as_str())];
    let mut socket = Socket::open(&app.endpoints.notify, "", &cookie).await.expect("a socket");
    socket.send(&json!({ "type": "ping" }).to_string()).await;
    assert_eq!(socket.wait_for_close().await, Some(4001));
    let plain = reqwest::get(format!("{}/ws", app.endpoints.notify)).await.expect("an answer");
    assert_eq!(plain.status(), 400);
}

#[tokio::test]
async fn an_invalid_command_is_answered_with_an_error() {
    let app = TestApp::start().await;
    let [alice, dave] = app.sign_in(["alice", "dave"]).await;
    let team = alice.chat_id("team").await;
    let mut socket = connected(&dave, &app).await;
    let cases: [(Value, &str); 11] = [
        (json!({ "type": "message.send", "chat_id": team, "content": "intruder" }), "not_found"),
        (json!({ "type": "message.send", "chat_id": team }), "invalid"),
        (json!({ "type": "message.send", "chat_id": "hunter2", "content": "a" }), "invalid"),
        (json!({ "type": "message.send", "chat_id": team, "content": "a", "nonce": ["hunter2"] }), "invalid"),
        (json!({ "type": "message.send", "chat_id": -1, "content": "a" }), "invalid"),
        (json!({ "type": "message.send", "chat_id": team, "content": "a\u{0}b" }), "invalid"),
        (json!({ "type": "typing.start", "chat_id": team }), "not_found"),
        (json!({ "type": "presence.update", "status": "hunter2" }), "invalid"),
        (json!({ "type": "chat.leave", "chat_id": team }), "not_found"),
        (json!({ "type": "no.such.command" }), "invalid"),
        (json!({ "type": "ping", "unknown": 1 }), "invalid"),
    ];
    for (command, code) in cases {
        let answer = socket.send_command(command.clone()).await;
        assert_eq!(
            (answer["type"].as_str(), answer["code"].as_str()),
            (Some("error"), Some(code)),
            "{command}: {answer}"
        );
        let message = answer["message"].as_str().expect("a sentence");
        // The input can be secret, so the error must not repeat it.
        assert!(!message.is_empty() && !message.contains("hunter2"), "{message}");
    }
    for text in ["", "{", "7", "\"ping\"", "{\"type\":7}", "{\"type\":\"ping\",\"type\":\"ping\"}"] {
        socket.send(text).await;
        assert_ne!(socket.next_reply().await["type"], "ack", "{text}");
    }
    socket.send(&json!({ "type": "ping", "ref": "x".repeat(1_000) }).to_string()).await;
    assert_eq!(socket.next_reply().await["type"], "error");
    socket.send_message(Message::binary(vec![1, 2, 3])).await.expect("sent");
    assert_eq!(socket.next_reply().await["type"], "error");
    // The socket still works after all these errors.
    let general = dave.chat_id("general").await;
    let sent =
        socket.send_command(json!({ "type": "message.send", "chat_id": general, "content": "x".repeat(60_000) })).await;
    assert_eq!(sent["type"], "ack");
    // A message larger than any command closes the socket.
    let _ = socket.send_message(Message::text("x".repeat(600_000))).await;
    socket.wait_for_close().await;
    // The server replies to a close frame.
    let mut polite = connected(&dave, &app).await;
    polite.send_message(Message::Close(None)).await.expect("sent");
    assert!(polite.is_closed_cleanly().await);
}

#[tokio::test]
async fn a_status_set_right_after_connecting_is_sent_once() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut alices = alice.listen().await;
    let mut bobs = connected(&bob, &app).await;
    assert_eq!(bobs.send_command(json!({ "type": "presence.update", "status": "busy" })).await["type"], "ack");
    loop {
        let event = alices.next_ephemeral("presence").await;
        if event.data["user_id"] == bob.id {
            assert_eq!(event.data["status"], "busy");
            return;
        }
    }
}

#[tokio::test]
async fn a_flood_of_commands_is_rate_limited_and_pings_are_not() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut socket = connected(&alice, &app).await;
    // A second `auth` is rejected cheaply, so the flood is fast even on a slow machine.
    for _ in 0..400 {
        socket.send(&json!({ "type": "auth", "token": "once more" }).to_string()).await;
    }
    let mut refused = 0;
    for _ in 0..400 {
        refused += i32::from(socket.next_reply().await["code"] == "too_many_requests");
    }
    assert!(refused > 0, "no command was rate limited");
    assert_eq!(socket.send_command(json!({ "type": "ping" })).await["type"], "pong");
}

#[tokio::test]
async fn long_texts_and_large_chats_cost_as_much_as_by_rest() {
    let app = TestApp::with_rate_limits("write=25/m").await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut socket = connected(&alice, &app).await;
    let long = json!({ "type": "message.send", "chat_id": team, "content": "x".repeat(60 * 1024) });
    assert_eq!(socket.send_command(long.clone()).await["type"], "ack");
    assert_eq!(socket.send_command(long).await["code"], "too_many_requests");
    let short = json!({ "type": "message.send", "chat_id": team, "content": "short" });
    assert_eq!(socket.send_command(short).await["type"], "ack");
    let mut bobs = connected(&bob, &app).await;
    let large = json!({ "type": "chat.create", "name": "large", "members": vec![alice.id; 90] });
    assert_eq!(bobs.send_command(large.clone()).await["type"], "ack");
    assert_eq!(bobs.send_command(large).await["code"], "too_many_requests");
}

#[tokio::test]
async fn an_ended_session_ends_its_sockets_on_every_replica() {
    let redis = TestRedis::start().await;
    let here = TestApp::with_redis(&redis.client()).await;
    let there = TestApp::replica_of(&here).await;
    let [alice, bob] = here.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut sockets = [connected(&bob, &here).await, connected(&bob, &there).await];
    let mut streams = [bob.listen().await, bob.at(&there.endpoints).listen().await];
    let sent_at = std::time::Instant::now();
    bob.post("/api/signout", json!({})).await.expect(204);
    alice.say_in(team, "after the end").await;
    for socket in &mut sockets {
        while let Some(event) = socket.try_next().await {
            assert_ne!(event.text(), "after the end");
        }
        assert_eq!(socket.close_code, Some(4002));
    }
    for stream in &mut streams {
        while let Some(event) = stream.try_next().await {
            assert_ne!(event.text(), "after the end");
        }
    }
    assert!(sent_at.elapsed() < std::time::Duration::from_secs(2), "{:?}", sent_at.elapsed());
}

#[tokio::test]
async fn a_removed_member_receives_nothing_more_on_any_replica() {
    let redis = TestRedis::start().await;
    let here = TestApp::with_redis(&redis.client()).await;
    let there = TestApp::replica_of(&here).await;
    let [alice, bob] = here.sign_in(["alice", "bob"]).await;
    let created = alice
        .post("/api/chats", json!({ "type": "private_channel", "name": "Short", "members": [bob.id] }))
        .await
        .expect(201)
        .json();
    let chat = created["id"].as_i64().expect("an id");
    let mut sockets = [connected(&bob, &here).await, connected(&bob, &there).await];
    alice.say_in(chat, "before").await;
    alice.put(&format!("/api/chats/{chat}/bans/{}", bob.id), json!({})).await;
    alice.say_in(chat, "after").await;
    alice.say("general", "marker").await;
    for socket in &mut sockets {
        let kinds: Vec<String> = receive_until(socket, "marker").await.into_iter().map(|(_, kind)| kind).collect();
        assert_eq!(kinds, ["message.new", "chat.removed"], "nothing arrives after the removal");
    }
}

#[tokio::test]
async fn a_server_that_stops_closes_its_sockets_with_1001() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut socket = connected(&alice, &app).await;
    eventually("the connection is counted", async || app.metric("confab_connections").await == 1.0).await;
    let stopping = tokio::spawn(app.stop());
    assert_eq!(socket.wait_for_close().await, Some(1001));
    stopping.await.expect("stopped cleanly");
}

#[tokio::test]
async fn exceeding_the_connection_limit_closes_the_oldest_socket() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut first = connected(&alice, &app).await;
    let mut others = Vec::new();
    for _ in 0..50 {
        others.push(connected(&alice, &app).await);
    }
    assert_eq!(first.wait_for_close().await, Some(4008));
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_closed_and_delays_nobody() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let idle = connected(&bob, &app).await;
    let mut bobs = bob.listen().await;
    let large = "x".repeat(60_000);
    for n in 0..200 {
        alice.say_in(team, &format!("{n} {large}")).await;
    }
    alice.say_in(team, "marker").await;
    assert_eq!(bobs.read_until("marker").await.len(), 200);
    eventually("the idle connection is closed", async || {
        app.metric("confab_connections_closed_total{reason=\"slow_consumer\"}").await == 1.0
    })
    .await;
    drop(idle);
}
