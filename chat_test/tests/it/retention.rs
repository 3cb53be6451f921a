//! Retention: what housekeeping deletes, and what it keeps.

use chat_core::events;
use chat_core::housekeeping::RetentionConfig;
use chat_test::{ApiResponse, TestApp, TestUser, eventually};
use file_store::BlobStore;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};

/// Runs housekeeping, as the server does every hour.
async fn run_housekeeping(app: &TestApp, config: RetentionConfig) -> chat_core::housekeeping::Report {
    let blobs = BlobStore::on_disk(&app.files).expect("the store");
    loop {
        // The server runs its own first round when it starts.
        if let Some(report) = chat_server::run_housekeeping(&app.db, &blobs, config).await.expect("tidied") {
            return report;
        }
        tokio::task::yield_now().await;
    }
}

async fn run(app: &TestApp, sql: &'static str) {
    sqlx::query(sql).execute(&app.db).await.expect(sql);
}

async fn upload(user: &TestUser, bytes: usize) -> ApiResponse {
    let form = Form::new().part("file", Part::bytes(vec![b'x'; bytes]).file_name("x.txt"));
    ApiResponse::read(user.request(http::Method::POST, "/api/upload").multipart(form).send().await.expect("an answer"))
        .await
}

async fn partitions(app: &TestApp) -> i64 {
    sqlx::query_scalar("select count(*) from pg_inherits where inhparent = 'events'::regclass")
        .fetch_one(&app.db)
        .await
        .expect("a count")
}

/// Waits until the log has partitions ahead. The server creates them when it starts, or
/// this function does.
async fn create_partitions(app: &TestApp) {
    eventually("the log has partitions ahead", || async {
        run_housekeeping(app, RetentionConfig::DEFAULT).await;
        partitions(app).await > 1
    })
    .await;
}

/// Makes the next event the first one without a partition.
async fn skip_to_end_of_partitions(app: &TestApp) {
    run(app, "select setval('events_id_seq', (select max((regexp_match(pg_get_expr(c.relpartbound, c.oid), 'TO \\(''(\\d+)'))[1]::bigint)
         from pg_inherits i join pg_class c on c.oid = i.inhrelid where i.inhparent = 'events'::regclass), false)").await;
}

#[tokio::test]
async fn a_new_log_partition_breaks_no_statement_that_appends() {
    let app = TestApp::start().await;
    create_partitions(&app).await;
    skip_to_end_of_partitions(&app).await;
    let db = app.db.clone();
    let appending = tokio::spawn(async move {
        let mut transaction = db.begin().await.expect("a transaction");
        sqlx::query("select append_lock()").execute(&mut *transaction).await.expect("the append lock");
        // One statement, long enough for a partition to be attached while it runs.
        sqlx::query(
            "insert into events (type, user_id, data)
             select 'user.updated', 1, '{\"n\":1}' from (select pg_sleep(1)) slowly, generate_series(1, 30)",
        )
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await
    });
    let sleeps = "select count(*) from pg_stat_activity where wait_event = 'PgSleep' and datname = current_database()";
    eventually("the statement runs", || async {
        sqlx::query_scalar::<_, i64>(sleeps).fetch_one(&app.db).await.expect("the activity") == 1
    })
    .await;
    run(&app, "select add_event_partitions(10, 3)").await;
    appending.await.expect("no panic").expect("the statement succeeds");
    let stored: i64 = sqlx::query_scalar("select count(*) from events_default where data::text = '{\"n\":1}'")
        .fetch_one(&app.db)
        .await
        .expect("a count");
    assert_eq!(stored, 30);
}

#[tokio::test]
async fn dropping_old_log_partitions_loses_no_recent_events() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    create_partitions(&app).await;
    let before = partitions(&app).await;
    // From here on create partitions of ten events, directly after the existing ones.
    skip_to_end_of_partitions(&app).await;
    run(&app, "select add_event_partitions(10, 3)").await;
    assert!(partitions(&app).await > before);
    let mut bobs = bob.listen().await;
    let start = bobs.cursor().to_owned();
    for n in 0..60 {
        if n % 10 == 5 {
            run(&app, "select add_event_partitions(10, 3)").await;
        }
        alice.say("team", &n.to_string()).await;
    }
    alice.say("general", "marker").await;
    let texts: Vec<String> = bobs.read_until("marker").await.iter().map(|event| event.text().to_owned()).collect();
    assert_eq!(texts, (0..60).map(|n| n.to_string()).collect::<Vec<_>>());

    let full = partitions(&app).await;
    run(&app, "update events set at = now() - interval '40 days' where id < (select max(id) - 20 from events)").await;
    let last = events::head(&app.db).await.expect("the head").last;
    let report = run_housekeeping(&app, RetentionConfig::DEFAULT).await;
    assert!(report.partitions_dropped >= 4, "{report:?}");
    assert_eq!(partitions(&app).await, full + i64::from(report.partitions_created - report.partitions_dropped));
    let head = events::head(&app.db).await.expect("the head");
    assert_eq!(head.last, last, "the last position does not change");
    let problem = bob.get(&format!("/api/events?after={start}")).await.expect_problem(410);
    assert_eq!(problem["code"], "reset");
    // Recent events are still delivered, and the log continues.
    alice.say("general", "after").await;
    assert_eq!(bobs.next_of("message.new").await.text(), "after");
}

#[tokio::test]
async fn a_fully_expired_log_keeps_its_last_position() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    // This message goes into its own partition, after those of the demo data.
    create_partitions(&app).await;
    alice.say("team", "and then nothing for a year").await;
    run(&app, "update events set at = now() - interval '400 days'").await;
    let last = events::head(&app.db).await.expect("the head").last;
    run_housekeeping(&app, RetentionConfig::DEFAULT).await;
    assert_eq!(events::head(&app.db).await.expect("the head").last, last);
    let message = alice.say("team", "hello again").await;
    let page = alice.get(&format!("/api/messages/{}", message["id"])).await.expect(200).json();
    assert_eq!(page["content"], "hello again");
    assert!(events::head(&app.db).await.expect("the head").last.id > last.id);
}

#[tokio::test]
async fn messages_expire_by_the_chats_own_retention_or_the_servers() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let (team, general) = (alice.chat_id("team").await, alice.chat_id("general").await);
    let path = format!("/api/chats/{team}");
    bob.patch(&path, json!({ "retention_days": 7 })).await.expect_problem(403);
    for days in [json!(0), json!(36_501), json!("week")] {
        alice.patch(&path, json!({ "retention_days": days })).await.expect_problem(422);
    }
    assert_eq!(alice.patch(&path, json!({ "retention_days": 7 })).await.expect(200).json()["retention_days"], 7);
    let old = alice.say("team", "old").await;
    run(&app, "update messages set created_at = now() - interval '8 days'").await;
    let answer = json!({ "content": "answers the old one", "reply_to": old["id"] });
    let young = alice.post(&format!("{path}/messages"), answer).await.expect(201).json();
    let mut bobs = bob.listen().await;
    let report = run_housekeeping(&app, RetentionConfig::DEFAULT).await;
    assert_eq!(report.messages_expired, 4, "three of the demo data, and the old one");
    let trimmed = bobs.next().await;
    assert_eq!((trimmed.kind.as_str(), &trimmed.data["message_id"]), ("chat.trimmed", &old["id"]));
    let left = bob.get(&format!("{path}/messages")).await.expect(200).json();
    assert_eq!(left["items"].as_array().map(Vec::len), Some(1));
    assert_eq!((&left["items"][0]["id"], &left["items"][0]["reply_to"]), (&young["id"], &Value::Null));
    let others = |app: &TestApp| {
        let db = app.db.clone();
        async move {
            sqlx::query_scalar::<_, i64>("select count(*) from messages where chat_id = $1")
                .bind(general)
                .fetch_one(&db)
                .await
        }
    };
    assert_eq!(others(&app).await.expect("a count"), 5, "other chats keep theirs");
    assert_eq!(
        alice.patch(&path, json!({ "retention_days": null })).await.expect(200).json()["retention_days"],
        Value::Null
    );
    run_housekeeping(&app, RetentionConfig { message_days: 3, ..RetentionConfig::DEFAULT }).await;
    assert_eq!(others(&app).await.expect("a count"), 0);
}

#[tokio::test]
async fn unreferenced_files_are_deleted_after_a_day() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(upload(&alice, 10).await.expect(201).json()[0]["id"].clone());
    }
    let shown = json!({ "content": "", "files": [ids[0]] });
    alice.post(&format!("/api/chats/{}/messages", alice.chat_id("team").await), shown).await.expect(201);
    std::fs::write(app.files.join("0123456789abcdef0123456789abcdef"), "lost by a crash").expect("written");
    let day_ago = chat_core::time::now() - chrono::TimeDelta::hours(25);
    for file in std::fs::read_dir(&app.files).expect("files").map(|file| file.expect("a file").path()) {
        std::fs::File::options()
            .write(true)
            .open(file)
            .and_then(|file| file.set_modified(day_ago.into()))
            .expect("older");
    }
    run(&app, "update files set created_at = now() - interval '25 hours' where id < (select max(id) from files)").await;
    assert_eq!(run_housekeeping(&app, RetentionConfig::DEFAULT).await.blob_keys.len(), 1);
    alice.get(&format!("/api/files/{}", ids[0])).await.expect(200);
    alice.get(&format!("/api/files/{}", ids[1])).await.expect_problem(404);
    alice.get(&format!("/api/files/{}", ids[2])).await.expect(200);
    assert_eq!(std::fs::read_dir(&app.files).expect("files").count(), 2, "the orphaned file is deleted too");
}

#[tokio::test]
async fn ended_sessions_and_used_tokens_are_deleted_eventually() {
    let app = TestApp::start().await;
    let [alice, _bob] = app.sign_in(["alice", "bob"]).await;
    alice.post("/api/signout", json!({})).await.expect(204);
    assert_eq!(run_housekeeping(&app, RetentionConfig::DEFAULT).await.records_expired, 0, "not yet");
    run(&app, "update sessions set revoked_at = now() - interval '31 days' where revoked_at is not null").await;
    assert_eq!(run_housekeeping(&app, RetentionConfig::DEFAULT).await.records_expired, 1);
}

#[tokio::test]
async fn a_user_has_a_quota_for_files() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    upload(&alice, 10).await.expect(201);
    run(&app, "update files set size = 5368709110").await;
    assert_eq!(upload(&alice, 11).await.expect_problem(409)["code"], "quota_exceeded");
    upload(&alice, 10).await.expect(201);
    upload(&bob, 11).await.expect(201);
    assert_eq!(std::fs::read_dir(&app.files).expect("files").count(), 3, "a rejected upload leaves no file");
}
