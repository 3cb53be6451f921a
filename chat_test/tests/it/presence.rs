//! Who is here and who types: told at once to those who share a chat, kept
//! nowhere, and right again after everything that goes wrong.

use chat_test::{Event, Inbox, Signal, TestApp, TestRedis, TestUser, eventually};
use serde_json::{Value, json};

async fn seen(viewer: &TestUser, person: &TestUser) -> String {
    let presence = viewer.get(&format!("/api/presence/{}", person.id)).await.expect(200).json();
    presence["status"].as_str().expect("a status").to_owned()
}

/// Who is told of at a path, and how they are seen.
async fn shown(viewer: &TestUser, path: &str) -> Vec<(i64, String)> {
    let list = viewer.get(path).await.expect(200).json();
    let row = |row: &Value| (row["user_id"].as_i64().expect("an id"), row["status"].as_str().unwrap_or("").to_owned());
    list["items"].as_array().expect("a list").iter().map(row).collect()
}

/// Reads on until somebody is told of with this status.
async fn tells(inbox: &mut Inbox, person: &TestUser, status: &str) -> Event {
    loop {
        let event = inbox.next_whisper("presence").await;
        if event.data["user_id"] == person.id && event.data["status"] == status {
            return event;
        }
    }
}

/// Everything about one pair of replicas, however they meet.
async fn they_come_and_go(here: &TestApp, there: &TestApp) {
    let [alice, bob] = here.sign_in(["alice", "bob"]).await;
    let stranger = here.sign_up("stranger").await;
    assert_eq!(seen(&alice, &bob).await, "offline");
    let (mut alices, mut strangers) = (alice.listen().await, stranger.at(&there.places).listen().await);
    let bobs = bob.at(&there.places).listen().await;
    let told = tells(&mut alices, &bob, "online").await;
    assert_eq!(told.id, None, "nobody resumes from it");
    assert_eq!(seen(&alice, &bob).await, "online");

    // A second device, at another replica: nothing changes when it goes.
    drop(bob.at(&here.places).listen().await);

    bob.put("/api/presence", json!({ "status": "busy" })).await.expect(200);
    tells(&mut alices, &bob, "busy").await;
    bob.put("/api/presence", json!({ "status": "offline" })).await.expect(200);
    let hidden = tells(&mut alices, &bob, "offline").await.data["last_seen"].clone();
    assert!(hidden.is_string());
    assert_eq!(seen(&alice, &bob).await, "offline", "who wishes to seem away does");
    bob.put("/api/presence", json!({ "status": "online" })).await.expect(200);
    tells(&mut alices, &bob, "online").await;

    drop(bobs);
    tells(&mut alices, &bob, "offline").await;
    let presence = alice.get(&format!("/api/presence/{}", bob.id)).await.expect(200).json();
    assert_eq!(presence["status"], "offline");
    assert!(presence["last_seen"].as_str() >= hidden.as_str(), "{presence}");

    // Nobody else has heard any of it.
    stranger.get(&format!("/api/presence/{}", bob.id)).await.expect(404);
    let all = format!("/api/presence?ids={},{},{}", alice.id, bob.id, stranger.id);
    assert_eq!(shown(&stranger, &all).await, [(stranger.id, "online".into())]);
    assert_eq!(shown(&alice, &all).await, [(alice.id, "online".into()), (bob.id, "offline".into())]);
    let own = tells(&mut strangers, &stranger, "online").await;
    assert_eq!(own.data["user_id"], stranger.id);
    stranger.put("/api/presence", json!({ "status": "away" })).await.expect(200);
    tells(&mut strangers, &stranger, "away").await;
    let others = strangers.whispered().into_iter().filter(|event| event.data["user_id"] != stranger.id).count();
    assert_eq!(others, 0);
}

#[tokio::test]
async fn people_come_and_go_through_the_database() {
    let here = TestApp::start().await;
    let there = TestApp::beside(&here).await;
    they_come_and_go(&here, &there).await;
}

#[tokio::test]
async fn people_come_and_go_through_redis() {
    let redis = TestRedis::start().await;
    let here = TestApp::meeting_at(&redis.link()).await;
    let there = TestApp::beside(&here).await;
    they_come_and_go(&here, &there).await;
}

#[tokio::test]
async fn a_page_that_is_loaded_again_is_no_coming_and_going() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut alices = alice.listen().await;
    let mut bobs = bob.listen().await;
    tells(&mut alices, &bob, "online").await;
    alices.whispered();
    for seconds in [0, 0, 0, 3] {
        drop(bobs);
        // A slow page: long enough for those who look once a second.
        tokio::time::sleep(std::time::Duration::from_secs(seconds)).await;
        bobs = bob.listen().await;
    }
    // The next thing told of bob is what he chooses.
    bob.put("/api/presence", json!({ "status": "away" })).await.expect(200);
    loop {
        let event = alices.next_whisper("presence").await;
        if event.data["user_id"] == bob.id {
            assert_eq!(event.data["status"], "away");
            return;
        }
    }
}

#[tokio::test]
async fn a_crash_of_the_database_forgets_nobody_who_is_still_here() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let _bobs = bob.listen().await;
    eventually("bob is seen", async || seen(&alice, &bob).await == "online").await;
    // As after a crash: what is not in the write-ahead log is gone.
    sqlx::query("truncate replicas, connections").execute(&app.db).await.expect("truncated");
    assert_eq!(seen(&alice, &bob).await, "offline");
    eventually("bob is seen again", async || seen(&alice, &bob).await == "online").await;
}

#[tokio::test]
async fn who_does_not_come_back_after_a_change_of_history_is_gone() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    eventually("bob is seen", async || seen(&alice, &bob).await == "online").await;
    // As after a failover: another history, and nothing of what is not logged.
    sqlx::query("truncate events restart identity").execute(&app.db).await.expect("another history");
    sqlx::query("truncate replicas, connections").execute(&app.db).await.expect("truncated");
    assert_eq!(bobs.try_next().await, None, "the stream ends");
    let mut again = alice.listen().await;
    alice.say("team", "in this history").await;
    again.until("in this history").await;
    eventually("bob is gone", async || seen(&alice, &bob).await == "offline").await;
    // And is not brought back by who looks after those who are here.
    let present = "select exists (select from connections where user_id = $1)";
    eventually("nobody says otherwise", async || {
        !sqlx::query_scalar::<_, bool>(present).bind(bob.id).fetch_one(&app.db).await.expect("an answer")
    })
    .await;
}

#[tokio::test]
async fn the_people_of_a_dead_replica_go_with_it() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut alices = alice.listen().await;
    // One that has not been heard of for as long as it takes, and bob on it.
    sqlx::query(
        "with dead as (
             insert into replicas (id, name, beat_at) values (gen_random_uuid(), 'dead', now() - interval '9 seconds') returning id
         )
         insert into connections (user_id, replica_id) select $1, id from dead",
    )
    .bind(bob.id)
    .execute(&app.db)
    .await
    .expect("inserted");
    assert_eq!(seen(&alice, &bob).await, "online");
    tells(&mut alices, &bob, "offline").await;
    assert_eq!(seen(&alice, &bob).await, "offline");
}

#[tokio::test]
async fn in_a_large_chat_nobody_is_told_and_everybody_may_ask() {
    let app = TestApp::start().await;
    let [alice, dave] = app.sign_in(["alice", "dave"]).await;
    sqlx::query("delete from chat_members where user_id = $1 and chat_id <> $2")
        .bind(dave.id)
        .bind(dave.chat("general").await)
        .execute(&app.db)
        .await
        .expect("only in general");
    sqlx::query(
        "with many as (
             insert into users (username, display_name, email, password_hash)
             select 'person' || n, 'Person', 'person' || n || '@example.com', repeat('x', 97) from generate_series(1, 300) n
             returning id
         )
         insert into chat_members (chat_id, user_id) select $1, id from many",
    )
    .bind(dave.chat("general").await)
    .execute(&app.db)
    .await
    .expect("many people");
    let mut alices = alice.listen().await;
    let _daves = dave.listen().await;
    eventually("dave is seen", async || seen(&alice, &dave).await == "online").await;
    alice.put("/api/presence", json!({ "status": "away" })).await.expect(200);
    tells(&mut alices, &alice, "away").await;
    let told = alices.whispered();
    assert!(told.iter().all(|event| event.data["user_id"] != dave.id), "{told:?}");
}

#[tokio::test]
async fn a_first_screen_says_who_is_here() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let _bobs = bob.listen().await;
    eventually("bob is seen", async || seen(&alice, &bob).await == "online").await;
    let screen = alice.get("/api/bootstrap").await.expect(200).json();
    let presences = screen["presences"].as_array().expect("presences");
    let status = |id: i64| presences.iter().find(|one| one["user_id"] == id).expect("one of them")["status"].clone();
    assert_eq!(status(bob.id), "online");
}

#[tokio::test]
async fn who_types_is_told_to_the_others_in_the_chat_and_to_nobody_else() {
    let redis = TestRedis::start().await;
    let app = TestApp::meeting_at(&redis.link()).await;
    let there = TestApp::beside(&app).await;
    let [alice, bob, dave] = app.sign_in(["alice", "bob", "dave"]).await;
    let team = alice.chat("team").await;
    let (mut alices, mut daves) = (alice.listen().await, dave.listen().await);
    let mut bobs = bob.at(&there.places).listen().await;
    // Whoever listens in Redis may take a moment to begin.
    let typing = loop {
        alice.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(204);
        let heard = tokio::time::timeout(std::time::Duration::from_millis(500), bobs.next_whisper("typing")).await;
        if let Ok(typing) = heard {
            break typing;
        }
    };
    assert_eq!(typing.id, None);
    assert_eq!(typing.data["chat_id"], team);
    assert_eq!(typing.data["user_id"], alice.id);
    assert_eq!(typing.data["username"], "alice");
    assert!(typing.data["expires_in_ms"].as_u64().expect("a number") > 1_000);
    alice.say("general", "everybody's marker").await;
    for inbox in [&mut alices, &mut daves] {
        inbox.until("everybody's marker").await;
        assert!(inbox.whispered().iter().all(|event| event.kind != "typing"));
    }
    dave.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(404);
}

#[tokio::test]
async fn a_hammering_typist_is_passed_on_now_and_then() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat("team").await;
    let (_alices, mut bobs) = (alice.listen().await, bob.listen().await);
    tells(&mut bobs, &alice, "online").await;
    for _ in 0..100 {
        alice.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(204);
    }
    alice.say_in(team, "marker").await;
    bobs.until("marker").await;
    // What was whispered before the marker may come after it.
    alice.put("/api/presence", json!({ "status": "busy" })).await.expect(200);
    let mut heard = 0;
    loop {
        let whispered = bobs.whispered();
        heard += whispered.iter().filter(|event| event.kind == "typing").count();
        if whispered.iter().any(|event| event.data["status"] == "busy") {
            break;
        }
        alice.say_in(team, "next").await;
        bobs.until("next").await;
    }
    assert!((1..=8).contains(&heard), "{heard}");
}

#[tokio::test]
async fn a_redis_that_says_nothing_keeps_no_typist_waiting() {
    let redis = TestRedis::start().await;
    let app = TestApp::meeting_at(&redis.link()).await;
    eventually("it leads", async || app.figure("confab_relay_leads").await == 1.0).await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let made = json!({ "type": "group", "name": "many", "members": [bob.id] });
    let mut chats = Vec::new();
    for _ in 0..20 {
        chats.push(alice.post("/api/chats", made.clone()).await.expect(201).json()["id"].as_i64().expect("an id"));
    }
    let mut bobs = bob.listen().await;
    redis.signal(Signal::STOP);
    let begun = std::time::Instant::now();
    let typing = chats.iter().map(|chat| {
        let (alice, path) = (alice.clone(), format!("/api/chats/{chat}/typing"));
        async move { alice.post(&path, json!({})).await.expect(204) }
    });
    futures_util::future::join_all(typing).await;
    // One after the other they would wait half a second each.
    assert!(begun.elapsed() < std::time::Duration::from_secs(5), "{:?}", begun.elapsed());
    // The leader listens to the database too.
    let mut heard = std::collections::HashSet::new();
    while heard.len() < chats.len() {
        heard.insert(bobs.next_whisper("typing").await.data["chat_id"].as_i64());
    }
    redis.signal(Signal::CONT);
}

#[tokio::test]
async fn what_somebody_else_whispers_is_not_passed_on() {
    let redis = TestRedis::start().await;
    let app = TestApp::meeting_at(&redis.link()).await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat("team").await;
    let mut bobs = bob.listen().await;
    let channels: Vec<String> = {
        eventually("somebody listens", async || {
            !redis.ask::<Vec<String>>(redis::cmd("PUBSUB").arg("CHANNELS")).await.is_empty()
        })
        .await;
        redis.ask(redis::cmd("PUBSUB").arg("CHANNELS")).await
    };
    let forged = json!([{
        "type": "typing", "chat_id": team, "user_id": alice.id, "username": "forged", "expires_in_ms": 6000,
    }]);
    for channel in channels {
        let heard: i64 = redis.ask(redis::cmd("PUBLISH").arg(&channel).arg(forged.to_string())).await;
        assert_eq!(heard, 1);
        let sealed = [vec![0; 32], forged.to_string().into_bytes()].concat();
        let _: i64 = redis.ask(redis::cmd("PUBLISH").arg(&channel).arg(sealed)).await;
    }
    alice.post(&format!("/api/chats/{team}/typing"), json!({})).await.expect(204);
    assert_eq!(bobs.next_whisper("typing").await.data["username"], "alice");
}
