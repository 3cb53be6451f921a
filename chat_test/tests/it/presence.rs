//! Presence and typing events. They are sent immediately to users who share a chat and
//! are never logged. Presence recovers after every kind of failure.

use chat_test::{Event, EventStream, Signal, TestApp, TestRedis, TestUser, eventually};
use serde_json::{Value, json};

async fn presence_of(viewer: &TestUser, user: &TestUser) -> String {
    let presence = viewer.get(&format!("/api/presence/{}", user.id)).await.expect(200).json();
    presence["status"].as_str().expect("a status").to_owned()
}

/// Returns the user ids and statuses in the list at a path.
async fn list_presences(viewer: &TestUser, path: &str) -> Vec<(i64, String)> {
    let list = viewer.get(path).await.expect(200).json();
    let row = |row: &Value| (row["user_id"].as_i64().expect("an id"), row["status"].as_str().unwrap_or("").to_owned());
    list["items"].as_array().expect("a list").iter().map(row).collect()
}

/// Reads until a presence event of this user with this status.
async fn next_presence(stream: &mut EventStream, user: &TestUser, status: &str) -> Event {
    loop {
        let event = stream.next_ephemeral("presence").await;
        if event.data["user_id"] == user.id && event.data["status"] == status {
            return event;
        }
    }
}

/// Checks presence on a pair of replicas, which exchange it by Redis or the database.
async fn check_presence_across_replicas(here: &TestApp, there: &TestApp) {
    let [alice, bob] = here.sign_in(["alice", "bob"]).await;
    let stranger = here.sign_up("stranger").await;
    assert_eq!(presence_of(&alice, &bob).await, "offline");
    let (mut alices, mut strangers) = (alice.listen().await, stranger.at(&there.endpoints).listen().await);
    let bobs = bob.at(&there.endpoints).listen().await;
    let event = next_presence(&mut alices, &bob, "online").await;
    assert_eq!(event.id, None, "an ephemeral event has no id to resume from");
    assert_eq!(presence_of(&alice, &bob).await, "online");

    // A second device on another replica: nothing changes when it disconnects.
    drop(bob.at(&here.endpoints).listen().await);

    bob.put("/api/presence", json!({ "status": "busy" })).await.expect(200);
    next_presence(&mut alices, &bob, "busy").await;
    bob.put("/api/presence", json!({ "status": "offline" })).await.expect(200);
    let hidden = next_presence(&mut alices, &bob, "offline").await.data["last_seen"].clone();
    assert!(hidden.is_string());
    assert_eq!(presence_of(&alice, &bob).await, "offline", "a connected user can appear offline");
    bob.put("/api/presence", json!({ "status": "online" })).await.expect(200);
    next_presence(&mut alices, &bob, "online").await;

    drop(bobs);
    next_presence(&mut alices, &bob, "offline").await;
    let presence = alice.get(&format!("/api/presence/{}", bob.id)).await.expect(200).json();
    assert_eq!(presence["status"], "offline");
    assert!(presence["last_seen"].as_str() >= hidden.as_str(), "{presence}");

    // Users who share no chat with them have received no presence event.
    stranger.get(&format!("/api/presence/{}", bob.id)).await.expect(404);
    let all = format!("/api/presence?ids={},{},{}", alice.id, bob.id, stranger.id);
    assert_eq!(list_presences(&stranger, &all).await, [(stranger.id, "online".into())]);
    assert_eq!(list_presences(&alice, &all).await, [(alice.id, "online".into()), (bob.id, "offline".into())]);
    let own = next_presence(&mut strangers, &stranger, "online").await;
    assert_eq!(own.data["user_id"], stranger.id);
    stranger.put("/api/presence", json!({ "status": "away" })).await.expect(200);
    next_presence(&mut strangers, &stranger, "away").await;
    let others = strangers.drain_ephemeral().into_iter().filter(|event| event.data["user_id"] != stranger.id).count();
    assert_eq!(others, 0);
}

#[tokio::test]
async fn presence_crosses_replicas_through_the_database() {
    let here = TestApp::start().await;
    let there = TestApp::replica_of(&here).await;
    check_presence_across_replicas(&here, &there).await;
}

#[tokio::test]
async fn presence_crosses_replicas_through_redis() {
    let redis = TestRedis::start().await;
    let here = TestApp::with_redis(&redis.client()).await;
    let there = TestApp::replica_of(&here).await;
    check_presence_across_replicas(&here, &there).await;
}

#[tokio::test]
async fn a_page_reload_does_not_change_presence() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut alices = alice.listen().await;
    let mut bobs = bob.listen().await;
    next_presence(&mut alices, &bob, "online").await;
    alices.drain_ephemeral();
    for seconds in [0, 0, 0, 3] {
        drop(bobs);
        // A slow page load: longer than the interval of presence updates, one second.
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        bobs = bob.listen().await;
    }
    // The next presence event of Bob is the status that he sets.
    bob.put("/api/presence", json!({ "status": "away" })).await.expect(200);
    loop {
        let event = alices.next_ephemeral("presence").await;
        if event.data["user_id"] == bob.id {
            assert_eq!(event.data["status"], "away");
            return;
        }
    }
}

#[tokio::test]
async fn a_database_crash_forgets_no_connected_user() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let _bobs = bob.listen().await;
    eventually("bob is online", async || presence_of(&alice, &bob).await == "online").await;
    // Simulates a crash: Postgres empties unlogged tables.
    sqlx::query("truncate replicas, connections").execute(&app.db).await.expect("truncated");
    assert_eq!(presence_of(&alice, &bob).await, "offline");
    eventually("bob is online again", async || presence_of(&alice, &bob).await == "online").await;
}

#[tokio::test]
async fn a_user_who_stays_away_after_an_epoch_change_is_offline() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    eventually("bob is online", async || presence_of(&alice, &bob).await == "online").await;
    // Simulates a failover: a new epoch and empty unlogged tables.
    sqlx::query("truncate events restart identity").execute(&app.db).await.expect("another history");
    sqlx::query("truncate replicas, connections").execute(&app.db).await.expect("truncated");
    assert_eq!(bobs.try_next().await, None, "the stream ends");
    let mut again = alice.listen().await;
    alice.say("team", "in this history").await;
    again.read_until("in this history").await;
    eventually("bob is offline", async || presence_of(&alice, &bob).await == "offline").await;
    // The periodic presence update does not mark Bob as connected again.
    let present = "select exists (select from connections where user_id = $1)";
    eventually("bob has no connection row", async || {
        !sqlx::query_scalar::<_, bool>(present).bind(bob.id).fetch_one(&app.db).await.expect("an answer")
    })
    .await;
}

#[tokio::test]
async fn the_users_of_a_dead_replica_go_offline() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut alices = alice.listen().await;
    // A replica whose heartbeat has expired, with Bob connected to it.
    sqlx::query(
        "with dead as (
             insert into replicas (id, name, heartbeat_at) values (gen_random_uuid(), 'dead', now() - interval '9 seconds') returning id
         )
         insert into connections (user_id, replica_id) select $1, id from dead",
    )
    .bind(bob.id)
    .execute(&app.db)
    .await
    .expect("inserted");
    assert_eq!(presence_of(&alice, &bob).await, "online");
    next_presence(&mut alices, &bob, "offline").await;
    assert_eq!(presence_of(&alice, &bob).await, "offline");
}

#[tokio::test]
async fn presence_in_a_large_chat_is_not_pushed_but_can_be_read() {
    let app = TestApp::start().await;
    let [alice, dave] = app.sign_in(["alice", "dave"]).await;
    sqlx::query("delete from chat_members where user_id = $1 and chat_id <> $2")
        .bind(dave.id)
        .bind(dave.chat_id("general").await)
        .execute(&app.db)
        .await
        .expect("only in general");
    sqlx::query(
        "with many as (
             insert into users (username, display_name, email, password_hash)
             select 'user' || n, 'User', 'user' || n || '@example.com', repeat('x', 97) from generate_series(1, 300) n
             returning id
         )
         insert into chat_members (chat_id, user_id) select $1, id from many",
    )
    .bind(dave.chat_id("general").await)
    .execute(&app.db)
    .await
    .expect("many users");
    let mut alices = alice.listen().await;
    let _daves = dave.listen().await;
    eventually("dave is online", async || presence_of(&alice, &dave).await == "online").await;
    alice.put("/api/presence", json!({ "status": "away" })).await.expect(200);
    next_presence(&mut alices, &alice, "away").await;
    let events = alices.drain_ephemeral();
    assert!(events.iter().all(|event| event.data["user_id"] != dave.id), "{events:?}");
}

#[tokio::test]
async fn bootstrap_includes_presence() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let _bobs = bob.listen().await;
    eventually("bob is online", async || presence_of(&alice, &bob).await == "online").await;
    let screen = alice.get("/api/bootstrap").await.expect(200).json();
    let presences = screen["presences"].as_array().expect("presences");
    let status = |id: i64| presences.iter().find(|one| one["user_id"] == id).expect("one of them")["status"].clone();
    assert_eq!(status(bob.id), "online");
}

#[tokio::test]
async fn typing_reaches_the_other_members_and_nobody_else() {
    let redis = TestRedis::start().await;
    let app = TestApp::with_redis(&redis.client()).await;
    let there = TestApp::replica_of(&app).await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let team = alice.chat_id("team").await;
    let (mut alices, mut daves) = (alice.listen().await, dave.listen().await);
    let mut bobs = bob.at(&there.endpoints).listen().await;
    // The subscription in Redis may take a moment to start.
    let typing = loop {
        alice.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(204);
        let received = tokio::time::timeout(std::time::Duration::from_millis(500), bobs.next_ephemeral("typing")).await;
        if let Ok(typing) = received {
            break typing;
        }
    };
    assert_eq!(typing.id, None);
    assert_eq!(typing.data["chat_id"], team);
    assert_eq!(typing.data["user_id"], alice.id);
    assert_eq!(typing.data["username"], "alice");
    assert!(typing.data["expires_in_ms"].as_u64().expect("a number") > 1_000);
    alice.say("general", "everybody's marker").await;
    for stream in [&mut alices, &mut daves] {
        stream.read_until("everybody's marker").await;
        assert!(stream.drain_ephemeral().iter().all(|event| event.kind != "typing"));
    }
    dave.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(404);
}

#[tokio::test]
async fn typing_events_are_throttled() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let (_alices, mut bobs) = (alice.listen().await, bob.listen().await);
    next_presence(&mut bobs, &alice, "online").await;
    for _ in 0..100 {
        alice.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(204);
    }
    alice.say_in(team, "marker").await;
    bobs.read_until("marker").await;
    // An ephemeral event that was sent before the marker may arrive after it.
    alice.put("/api/presence", json!({ "status": "busy" })).await.expect(200);
    let mut received = 0;
    loop {
        let events = bobs.drain_ephemeral();
        received += events.iter().filter(|event| event.kind == "typing").count();
        if events.iter().any(|event| event.data["status"] == "busy") {
            break;
        }
        alice.say_in(team, "next").await;
        bobs.read_until("next").await;
    }
    assert!((1..=8).contains(&received), "{received}");
}

#[tokio::test]
async fn an_unresponsive_redis_does_not_delay_typing() {
    let redis = TestRedis::start().await;
    let app = TestApp::with_redis(&redis.client()).await;
    eventually("the replica is the leader", async || app.metric("confab_relay_leading").await == 1.0).await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let body = json!({ "type": "group", "name": "many", "members": [bob.id] });
    let mut chats = Vec::new();
    for _ in 0..20 {
        chats.push(alice.post("/api/chats", body.clone()).await.expect(201).json()["id"].as_i64().expect("an id"));
    }
    let mut bobs = bob.listen().await;
    redis.signal(Signal::STOP);
    let begun = std::time::Instant::now();
    let typing = chats.iter().map(|chat| {
        let (alice, path) = (alice.clone(), format!("/api/chats/{chat}/typing"));
        async move { alice.post(&path, json!({})).await.expect(204) }
    });
    futures_util::future::join_all(typing).await;
    // In sequence, each would wait half a second.
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    // The events still arrive, because the leader also listens to the database.
    let mut received = std::collections::HashSet::new();
    while received.len() < chats.len() {
        received.insert(bobs.next_ephemeral("typing").await.data["chat_id"].as_i64());
    }
    redis.signal(Signal::CONT);
}

#[tokio::test]
async fn forged_ephemeral_events_are_not_dispatched() {
    let redis = TestRedis::start().await;
    let app = TestApp::with_redis(&redis.client()).await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    let channels: Vec<String> = {
        eventually("a replica subscribes", async || {
            !redis.query::<Vec<String>>(redis::cmd("PUBSUB").arg("CHANNELS")).await.is_empty()
        })
        .await;
        redis.query(redis::cmd("PUBSUB").arg("CHANNELS")).await
    };
    let forged = json!([{
        "type": "typing", "chat_id": team, "user_id": alice.id, "username": "forged", "expires_in_ms": 6000,
    }]);
    for channel in channels {
        let receivers: i64 = redis.query(redis::cmd("PUBLISH").arg(&channel).arg(forged.to_string())).await;
        assert_eq!(receivers, 1);
        let forged_batch = [vec![0; 32], forged.to_string().into_bytes()].concat();
        let _: i64 = redis.query(redis::cmd("PUBLISH").arg(&channel).arg(forged_batch)).await;
    }
    alice.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(204);
    assert_eq!(bobs.next_ephemeral("typing").await.data["username"], "alice");
}
