//! In a large database, no query scans a large table.

use chat_core::{db, operators};
use chat_test::{TestApp, TestDatabase, TestUser, eventually};
use fixtures::scale;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The tables that grow with usage, except the log.
const LARGE: [&str; 8] =
    ["messages", "chat_members", "receipts", "reactions", "mentions", "users", "search_entries", "audit_log"];

/// Returns the number of sequential scans per large table. Every connection reports its
/// statistics when it ends, so the numbers are complete when no other connection is open.
async fn sequential_scans(database: &TestDatabase) -> BTreeMap<String, i64> {
    let db = database.pool(1);
    eventually("the other connections have ended", || async {
        sqlx::query_scalar(
            "select not exists (select from pg_stat_activity
             where datname = current_database() and pid <> pg_backend_pid() and backend_type <> 'autovacuum worker')",
        )
        .fetch_one(&db)
        .await
        .expect("activity")
    })
    .await;
    // The partition that holds the events stands for the log. Scans of empty partitions
    // read nothing.
    let rows: Vec<(String, i64)> = sqlx::query_as(
        r"select s.relname, s.seq_scan from pg_stat_user_tables s join pg_class c on c.oid = s.relid
         where (s.relname = any($1) or s.relname like 'events\_%') and c.reltuples > 5000",
    )
    .bind(LARGE.map(str::to_owned).to_vec())
    .fetch_all(&db)
    .await
    .expect("statistics");
    db.close().await;
    rows.into_iter().collect()
}

#[tokio::test]
async fn no_query_scans_a_large_table() {
    let database = TestDatabase::create().await;
    let pool = db::create_pool(&database.url, 2).expect("a pool");
    scale::seed(&pool, scale::LARGE).await.expect("a large database");
    sqlx::query(
        "insert into audit_log (action, actor_id) select 'signed_in', 1 + n % 10000 from generate_series(1, 200000) n",
    )
    .execute(&pool)
    .await
    .expect("many entries");
    sqlx::query("analyze audit_log").execute(&pool).await.expect("statistics");
    let alice: i64 =
        sqlx::query_scalar("select id from users where username = 'alice'").fetch_one(&pool).await.expect("alice");
    operators::set_operator(&pool, alice.try_into().expect("an id"), true).await.expect("an operator");
    pool.close().await;

    // Sign in and list the chats once, so that reads at server startup are not counted.
    let before = sequential_scans(&database).await;
    let app = TestApp::with_database(database.clone()).await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    call_every_endpoint(&alice, &bob).await;
    app.stop().await;
    let after = sequential_scans(&database).await;
    for (table, reads) in &after {
        assert_eq!(Some(reads), before.get(table), "{table} was scanned sequentially");
    }
    assert_eq!(after.len(), LARGE.len() + 1, "every large table and the log are in the statistics: {after:?}");
}

async fn call_every_endpoint(alice: &TestUser, bob: &TestUser) {
    let mut stream = alice.listen().await;
    let message =
        alice.post("/api/chats/1/messages", json!({ "content": "to @everyone and @bob" })).await.expect(201).json();
    let message_id = &message["id"];
    let cursor = stream.next_of("message.new").await.id.expect("an id");
    for path in [
        "/api/me".to_owned(),
        "/api/sessions".to_owned(),
        "/api/chats".to_owned(),
        "/api/bootstrap".to_owned(),
        format!("/api/events?after={cursor}"),
        "/api/channels".to_owned(),
        "/api/channels?q=room%209".to_owned(),
        "/api/users/search?q=user99".to_owned(),
        "/api/users/1234".to_owned(),
        "/api/users?ids=1,20,300,4000,50000".to_owned(),
        "/api/presence?ids=1,20,300,4000,5000".to_owned(),
        "/api/chats/1".to_owned(),
        "/api/chats/1/members?after=5000".to_owned(),
        "/api/chats/1/messages".to_owned(),
        "/api/chats/1/messages?before=500000".to_owned(),
        "/api/chats/1/messages?after=500000".to_owned(),
        format!("/api/chats/1/messages?around={message_id}"),
        "/api/chats/1/pins".to_owned(),
        "/api/chats/1/bans".to_owned(),
        "/api/chats/1/invites".to_owned(),
        format!("/api/messages/{message_id}"),
        format!("/api/messages/{message_id}/replies"),
        format!("/api/messages/{message_id}/edits"),
        format!("/api/messages/{message_id}/receipts"),
        "/api/blocks".to_owned(),
        "/api/search?q=w100".to_owned(),
        "/api/search?q=w1%20w2%20w3".to_owned(),
        "/api/search?q=nowhere".to_owned(),
        "/api/search?q=w7&chat_id=1&from=1&before=2030-01-01".to_owned(),
        "/api/me/activity".to_owned(),
        "/api/operator/users?state=suspended".to_owned(),
        "/api/operator/users?after=5000".to_owned(),
        "/api/operator/audit?action=refused".to_owned(),
        "/api/operator/audit?user_id=1234".to_owned(),
        "/api/me/export".to_owned(),
    ] {
        alice.get(&path).await.expect(200);
    }
    for (who, method, path, body) in [
        (bob, "PUT", "/api/chats/1/read".to_owned(), json!({ "message_id": message_id })),
        (bob, "PUT", format!("/api/messages/{message_id}/reactions/🎉"), json!({})),
        (bob, "DELETE", format!("/api/messages/{message_id}/reactions/🎉"), json!({})),
        (alice, "PATCH", format!("/api/messages/{message_id}"), json!({ "content": "to @bob" })),
        (alice, "PUT", format!("/api/messages/{message_id}/pin"), json!({})),
        (alice, "DELETE", format!("/api/messages/{message_id}"), Value::Null),
        (alice, "PATCH", "/api/me".to_owned(), json!({ "bio": "large" })),
        (alice, "PATCH", "/api/chats/1".to_owned(), json!({ "topic": "size" })),
        (alice, "POST", "/api/chats/1/invites".to_owned(), json!({})),
        (alice, "PATCH", "/api/chats/1/members/77".to_owned(), json!({ "role": "admin" })),
        (alice, "PUT", "/api/chats/1/bans/78".to_owned(), json!({})),
        (alice, "PUT", "/api/users/79/block".to_owned(), json!({})),
        (bob, "POST", "/api/chats/1/leave".to_owned(), json!({})),
        (bob, "POST", "/api/chats/1/join".to_owned(), json!({})),
        (bob, "POST", "/api/chats".to_owned(), json!({ "type": "single", "user_id": 4_321 })),
        (bob, "POST", "/api/signout".to_owned(), json!({})),
    ] {
        let method = method.parse().expect("a method");
        let reply = who.request(method, &path).json(&body).send().await.expect("an answer");
        assert!(reply.status().is_success(), "{path}: {}", reply.status());
    }
}
