//! Postgres fails in different ways, and no acknowledged message is lost.

use chat_test::{
    DEADLINE, FaultyProxy, Signal, TestApp, TestDatabase, TestUser, create_demo_database, eventually, shared_cluster,
    signal,
};
use embedded_postgres::{Binaries, Cluster, ClusterLocation};
use serde_json::json;
use sqlx::{ConnectOptions, Connection, PgConnection};
use std::{path::Path, str::FromStr};

#[tokio::test]
async fn the_listener_survives_a_killed_backend() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    for round in 0..5 {
        let killed: i64 = sqlx::query_scalar(
            "select count(pg_terminate_backend(pid)) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and query ilike 'listen%'",
        )
        .fetch_one(&app.db)
        .await
        .expect("killed");
        let text = format!("round {round}");
        // Only the listener's connection was killed, or none if the listener is reconnecting.
        assert!(killed <= 1);
        alice.say_in(team, &text).await;
        assert_eq!(bobs.next().await.text(), text);
    }
}

/// Sends a message until the server acknowledges it. After an unknown outcome it retries
/// with the same nonce.
async fn send_until_acknowledged(user: &TestUser, chat: i64, text: &str) {
    let body = json!({ "content": text, "nonce": text });
    loop {
        let reply = user.post(&format!("/api/chats/{chat}/messages"), body.clone()).await;
        match reply.status.as_u16() {
            200 | 201 => return,
            503 => assert_eq!(reply.header("retry-after"), "1"),
            other => panic!("{other}: {}", String::from_utf8_lossy(&reply.bytes)),
        }
    }
}

#[tokio::test]
async fn killing_all_connections_under_load_loses_nothing() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    let sending = {
        let alice = alice.clone();
        tokio::spawn(async move {
            for n in 0..60 {
                send_until_acknowledged(&alice, team, &n.to_string()).await;
            }
        })
    };
    while !sending.is_finished() {
        let _ = sqlx::query(
            "select pg_terminate_backend(pid) from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid()",
        )
        .execute(&app.db)
        .await;
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    sending.await.expect("all sent");
    // The last kill may have come after the last response.
    send_until_acknowledged(&alice, team, "marker").await;
    let received: Vec<String> = bobs.read_until("marker").await.iter().map(|event| event.text().to_owned()).collect();
    assert_eq!(received, (0..60).map(|n| n.to_string()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_poison_row_does_not_block_later_events() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    let cursor = bobs.cursor().to_owned();
    alice.say_in(team, "before").await;
    for data in ["[1]", "null", "\"text\"", "{\n\"a\":\n1}", "7"] {
        sqlx::query("insert into events (type, chat_id, data) values ('message.new', $1, $2::json)")
            .bind(team)
            .bind(data)
            .execute(&app.db)
            .await
            .expect("poison");
    }
    sqlx::query("insert into events (type, chat_id, data) values (E'two\\nlines', $1, '{}')")
        .bind(team)
        .execute(&app.db)
        .await
        .expect("poison");
    alice.say_in(team, "after").await;
    assert_eq!(bobs.next().await.text(), "before");
    assert_eq!(bobs.next().await.text(), "after");
    let second = TestApp::replica_of(&app).await;
    let missed = bob.at(&second.endpoints).resume(&cursor).await.read_replay().await;
    assert_eq!(missed.iter().map(|event| event.text()).collect::<Vec<_>>(), ["before", "after"]);
}

#[tokio::test]
async fn a_garbage_notify_payload_only_triggers_a_poll() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    let payloads = ["", "not a number", "999999999999", "-1", "{\"id\":1}"];
    for payload in payloads {
        sqlx::query("select pg_notify('events', $1)").bind(payload).execute(&app.db).await.expect("notified");
        alice.say("team", &format!("after {payload}")).await;
    }
    for payload in payloads {
        assert_eq!(bobs.next().await.text(), format!("after {payload}"));
    }
}

#[tokio::test]
async fn a_missing_notify_delays_events_but_loses_none() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    sqlx::query("create or replace function notify_log() returns void language sql as ''")
        .execute(&app.db)
        .await
        .expect("replaced");
    alice.say("team", "unannounced").await;
    assert_eq!(bobs.next().await.text(), "unannounced");
}

fn kill_postmaster(folder: &Path) {
    let pid = std::fs::read_to_string(folder.join("postgres/data/postmaster.pid")).expect("running");
    signal(pid.lines().next().expect("a pid").parse().expect("a number"), Signal::KILL);
}

#[tokio::test]
async fn a_killed_postgres_loses_nothing_that_was_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("open");
    let binaries = Binaries::find().expect("Postgres");
    let home = ClusterLocation::for_data_dir(folder.path()).expect("a home");
    let mut cluster = Cluster::start_durable(&binaries, &home).await.expect("started");
    create_demo_database(&cluster, "confab").await;
    let app = TestApp::with_database(TestDatabase { url: cluster.url("confab") }).await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let team = alice.chat_id("team").await;
    let mut bobs = bob.listen().await;
    let mut acknowledged = Vec::new();
    for round in 0..3 {
        for n in 0..10 {
            let text = format!("{round}/{n}");
            alice.say_in(team, &text).await;
            acknowledged.push(text);
        }
        kill_postmaster(folder.path());
        // A backend may outlive its postmaster for a moment and still store the message.
        let body = json!({ "content": format!("while away {round}") });
        let away = alice.post(&format!("/api/chats/{team}/messages"), body).await;
        match away.status.as_u16() {
            201 => acknowledged.push(format!("while away {round}")),
            _ => drop(away.expect_problem(503)),
        }
        drop(cluster);
        cluster = Cluster::start_durable(&binaries, &home).await.expect("started again");
        eventually("the API writes again", || async { alice.get("/api/me").await.status == 200 }).await;
    }
    alice.say_in(team, "marker").await;
    let received: Vec<String> = tokio::time::timeout(DEADLINE, bobs.read_until("marker"))
        .await
        .expect("within the deadline")
        .iter()
        .map(|event| event.text().to_owned())
        .collect();
    // A message that got a 503 may still have been stored.
    let received: Vec<String> =
        received.into_iter().filter(|text| !text.starts_with("while") || acknowledged.contains(text)).collect();
    assert_eq!(received, acknowledged, "over one stream that stayed open throughout");
    app.stop().await;
    cluster.stop();
}

/// A client that disconnects while its transaction begins must not leave it open for
/// the next request on that database connection.
#[tokio::test]
async fn abandoned_requests_leave_no_lock_and_no_open_transaction() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let message = alice.say("team", "hello").await;
    let team = format!("/api/chats/{}", message["chat_id"]);
    let mut holder = app.db.begin().await.expect("a transaction");
    sqlx::query("select append_lock()").execute(&mut *holder).await.expect("the lock");
    let impatient = std::time::Duration::from_millis(200);
    for _ in 0..4 {
        let request = alice.request(http::Method::PUT, &format!("{team}/read"));
        let request = request.json(&json!({ "message_id": message["id"] })).timeout(impatient);
        assert!(request.send().await.expect_err("given up").is_timeout());
    }
    holder.commit().await.expect("released");

    let begun = std::time::Instant::now();
    alice.say("team", "at once").await;
    assert!(begun.elapsed().as_secs() < 3, "the lock is free: {:?}", begun.elapsed());
    for n in 0..8 {
        let name = format!("Name {n}");
        alice.patch("/api/me", json!({ "display_name": name })).await.expect(200);
        let stored: String = sqlx::query_scalar("select display_name from users where id = $1")
            .bind(alice.id)
            .fetch_one(&app.db)
            .await
            .expect("stored");
        assert_eq!(stored, name, "an acknowledged change is committed");
    }
}

#[tokio::test]
async fn an_append_lock_timeout_is_503_and_spares_the_connection() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let message = alice.say("team", "hello").await;
    let mut holder = sqlx::postgres::PgConnectOptions::from_str(&app.database.url)
        .expect("a URL")
        .connect()
        .await
        .expect("a connection");
    sqlx::raw_sql("begin; select append_lock()").execute(&mut holder).await.expect("the lock");
    let path = format!("/api/chats/{}/read", message["chat_id"]);
    alice.put(&path, json!({ "message_id": message["id"] })).await.expect_problem(503);
    sqlx::raw_sql("commit").execute(&mut holder).await.expect("released");
    for _ in 0..12 {
        alice.get("/api/me").await.expect(200);
    }
    alice.put(&path, json!({ "message_id": message["id"] })).await.expect(200);
}

/// Simulates a restore of an older state into the same database.
#[tokio::test]
async fn a_log_that_goes_backwards_ends_streams_and_resets_cursors() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    alice.say("team", "will not have been said").await;
    bobs.next().await;
    let cursor = bobs.cursor().to_owned();
    sqlx::query("truncate events restart identity").execute(&app.db).await.expect("another history");
    assert_eq!(bobs.try_next().await, None, "the stream ends");
    let mut again = bob.resume(&cursor).await;
    assert_eq!(again.next().await.kind, "reset");
    alice.say("team", "said in this history").await;
    assert_eq!(again.next().await.text(), "said in this history");
}

/// A listening connection stops receiving data but is not closed. Events still arrive,
/// and the server opens a new connection.
#[tokio::test]
async fn a_half_open_listener_delays_events_briefly_and_is_replaced() {
    let proxy = FaultyProxy::to(&TestDatabase::create().await).await;
    let app = TestApp::with_database(proxy.database.clone()).await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let mut bobs = bob.listen().await;
    assert_eq!(proxy.listeners(), 1);
    proxy.cut_listeners();
    let cut = std::time::Instant::now();
    alice.say("team", "into the silence").await;
    assert_eq!(bobs.next().await.text(), "into the silence");
    assert!(cut.elapsed().as_secs() < 3, "received after {:?}", cut.elapsed());
    for n in 0..5 {
        alice.say("team", &n.to_string()).await;
        assert_eq!(bobs.next().await.text(), n.to_string());
    }
    eventually("a new connection listens", || async { proxy.listeners() > 1 }).await;
    alice.say("team", "heard again").await;
    assert_eq!(bobs.next().await.text(), "heard again");
}

/// A browser's `EventSource` stops permanently on a 503, but reconnects after a stream
/// that opens and ends.
#[tokio::test]
async fn a_stream_opened_while_the_database_is_down_sends_retry() {
    let app = TestApp::start().await;
    let [bob] = app.sign_in(["bob"]).await;
    let name = app.database.url.rsplit('/').next().and_then(|name| name.split('?').next()).expect("a name").to_owned();
    let mut server = PgConnection::connect(&shared_cluster().await.url("postgres")).await.expect("a connection");
    let away = "update pg_database set datallowconn = false where datname = $1";
    sqlx::query(away).bind(&name).execute(&mut server).await.expect("closed");
    sqlx::query("select pg_terminate_backend(pid) from pg_stat_activity where datname = $1")
        .bind(&name)
        .execute(&mut server)
        .await
        .expect("all gone");
    let answer = bob.stream_request(None).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
    let text = answer.text().await.expect("a complete body");
    assert!(text.starts_with("retry: "), "{text}");
}
