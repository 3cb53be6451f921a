//! The schema enforces the invariants for every write.

use base64::{Engine, prelude::BASE64_STANDARD};
use chat_test::{
    MailServer, TestApp, TestDatabase,
    google::{Google, PROJECT_NUMBER},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sqlx::PgPool;

/// Runs a statement that a constraint rejects, under the append lock like every writer,
/// and returns the name of the constraint.
async fn expect_rejection(db: &PgPool, sql: &'static str) -> String {
    let mut transaction = db.begin_with("begin; select append_lock()").await.expect("a transaction");
    let error = sqlx::query(sql).execute(&mut *transaction).await.expect_err(sql);
    let error = error.as_database_error().expect("an error of the database");
    error.constraint().unwrap_or(error.message()).to_owned()
}

#[tokio::test]
async fn constraints_enforce_what_the_code_relies_on() {
    let app = TestApp::start().await;
    for (sql, constraint) in [
        (
            "insert into users (username, display_name, email, password_hash) values ('ALICE', 'x', 'x@y', '')",
            "users_username_key",
        ),
        (
            "insert into users (username, display_name, email, password_hash) values ('x1', 'x', 'Alice@Example.com', '')",
            "users_email_key",
        ),
        (
            "insert into users (username, display_name, email, password_hash) values ('-x', 'x', 'x@y', '')",
            "users_username_format",
        ),
        ("insert into chats (type, name) values ('single', '')", "chats_pair"),
        ("insert into chats (type, name, pair_low, pair_high) values ('single', '', 2, 1)", "chats_pair"),
        ("insert into chats (type, name, pair_low, pair_high) values ('single', '', 1, 2)", "chats_pair_key"),
        ("insert into chats (type, name) values ('public_channel', '')", "chats_name_required"),
        (
            "insert into chat_members (chat_id, user_id) select chat_id, user_id from chat_members limit 1",
            "chat_members_pkey",
        ),
        (
            "insert into messages (chat_id, sender_id, content) values (1, 1, repeat('x', 65537))",
            "messages_content_size",
        ),
        (
            "insert into messages (chat_id, sender_id, content, reply_to) select 1, 1, 'x', max(id) from messages where chat_id = 2",
            "messages_reply_to_fkey",
        ),
        (
            "insert into receipts (chat_id, user_id, kind, message_id) select 1, 1, 'read', max(id) from messages where chat_id = 2",
            "receipts_message_fkey",
        ),
        ("insert into events (type, data) values ('x', '{}')", "events_audience"),
    ] {
        assert_eq!(expect_rejection(&app.db, sql).await, constraint, "{sql}");
    }
}

/// D1: a NOTIFY payload is one position, for transactions of any size.
#[tokio::test]
async fn notify_carries_a_position_and_nothing_else() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let mut listener = sqlx::postgres::PgListener::connect(&app.database.url).await.expect("listening");
    listener.listen(chat_core::events::CHANNEL).await.expect("listening");
    alice.say("team", &"long ".repeat(10_000)).await;
    let notification = listener.recv().await.expect("a notification");
    let last: i64 = sqlx::query_scalar("select max(id) from events").fetch_one(&app.db).await.expect("the last");
    assert_eq!(notification.payload(), last.to_string());
}

#[tokio::test]
async fn an_update_that_changes_nothing_creates_no_event() {
    let app = TestApp::start().await;
    let count = || async {
        sqlx::query_scalar::<_, i64>("select count(*) from events").fetch_one(&app.db).await.expect("a count")
    };
    let before = count().await;
    for sql in [
        "update chats set name = name, updated_at = now()",
        "update users set display_name = display_name, password_hash = ''",
        "update messages set content = content",
        "update chat_members set role = role",
        "update messages set content = 'x' where false",
        "delete from chat_members where false",
        "insert into chat_members (chat_id, user_id) select 1, 1 where false",
    ] {
        sqlx::query(sql).execute(&app.db).await.expect(sql);
        assert_eq!(count().await, before, "{sql}");
    }
}

#[tokio::test]
async fn edits_and_deletions_create_their_own_events() {
    let app = TestApp::start().await;
    let [alice, bob] = app.sign_in(["alice", "bob"]).await;
    let message = alice.say("team", "first words").await;
    let mut bobs = bob.listen().await;
    let edit = "update messages set content = 'better words', edited_at = now() where id = $1";
    sqlx::query(edit).bind(message["id"].as_i64()).execute(&app.db).await.expect("edited");
    let received = bobs.next().await;
    assert_eq!((received.kind.as_str(), received.text()), ("message.updated", "better words"));
    let delete = "update messages set deleted_at = now() where id = $1";
    sqlx::query(delete).bind(message["id"].as_i64()).execute(&app.db).await.expect("deleted");
    let received = bobs.next().await;
    assert_eq!((received.kind.as_str(), &received.data["message_id"]), ("message.deleted", &message["id"]));
    assert!(!received.data.to_string().contains("words"));
    let page = bob.get(&format!("/api/chats/{}/messages?limit=1", message["chat_id"])).await.json();
    assert_eq!((page["items"][0]["content"].as_str(), page["items"][0]["deleted_at"].is_string()), (Some(""), true));
}

#[tokio::test]
async fn the_database_has_the_same_permissions_as_the_code() {
    use chat_core::{
        chats::{ChatType, model::Role},
        permissions::{Permission, permissions_of},
    };
    let db = TestDatabase::create().await.pool(1);
    let rows: Vec<(ChatType, Role, Vec<String>)> =
        sqlx::query_as("select chat_type, role, permissions from role_permissions").fetch_all(&db).await.expect("rows");
    assert_eq!(rows.len(), 12, "four types of chat, three roles");
    for (kind, role, names) in rows {
        let stored: Vec<Permission> =
            names.iter().map(|name| serde_json::from_value(name.as_str().into()).expect("a permission")).collect();
        assert_eq!(stored, permissions_of(role, kind).collect::<Vec<_>>(), "{role:?} in {kind:?}");
    }
}

/// Databases store the checksums of their migrations, so a released file must not
/// change; see `migrations/README.md`.
#[test]
fn released_migrations_never_change() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../migrations");
    let released = std::fs::read_to_string(folder.join("released.sha256")).expect("the list of released files");
    let mut count = 0;
    for line in released.lines() {
        let (checksum, file) = line.split_once("  ").expect("a checksum and a file");
        let bytes = std::fs::read(folder.join(file)).unwrap_or_else(|error| panic!("{file} was released: {error}"));
        let digest = hex::encode(Sha256::digest(&bytes));
        assert_eq!(digest, checksum, "{file} was released and has changed; write a new migration instead");
        count += 1;
    }
    assert!(count >= 32, "{count} files are listed");
}

#[tokio::test]
async fn no_secret_is_stored_as_it_is() {
    let app = TestApp::start().await;
    let [alice] = app.sign_in(["alice"]).await;
    let team = alice.chat_id("team").await;
    let token = alice.with_api_token(json!({ "name": "secret", "scopes": ["users:read"] })).await.token;
    let webhook =
        alice.post(&format!("/api/chats/{team}/webhooks"), json!({ "name": "secret" })).await.expect(201).json();
    let endpoint = alice.post("/api/webhook-endpoints", json!({ "url": "https://receiver.example/" })).await;
    let endpoint = endpoint.expect(201).json();
    let account = json!({ "phone_number_id": "1", "business_account_id": "2",
                          "access_token": "EAA-a-secret-access-token", "app_secret": "0123456789-a-secret" });
    let bridge = alice.post("/api/bridges", json!({ "name": "x", "whatsapp": account })).await.expect(201).json();
    let signed = json!({ "github_secret": "a-secret-of-github-0123" });
    let path = format!("/api/chats/{team}/webhooks/{}", webhook["id"]);
    assert_eq!(alice.patch(&path, signed).await.expect(200).json()["has_github_secret"], true);
    let google = Google::start().await;
    let key_file = google.key_file();
    let key: Value = serde_json::from_str(&key_file).expect("JSON");
    let account = json!({ "project_number": PROJECT_NUMBER, "service_account_key": key_file });
    alice.post("/api/bridges", json!({ "name": "y", "google_chat": account })).await.expect(201);
    let ticket = alice.post("/api/events/ticket", json!({})).await.expect(201).json();
    let mut mail = MailServer::start().await;
    app.start_mailer(mail.url());
    let change = json!({ "email": "alice@example.org", "current_password": "confab-demo" });
    alice.put("/api/me/email", change).await.expect(202);
    let link = mail.expect("alice@example.org", "Confirm your email address").await;
    let text = |value: &Value| value.as_str().expect("a secret").to_owned();
    let secrets = [
        token.trim_start_matches("cfb_").chars().skip(22).take(40).collect(),
        text(&webhook["token"]),
        link.token("/confirm-email").to_owned(),
        text(&endpoint["secret"]).trim_start_matches("whsec_").to_owned(),
        text(&ticket["ticket"]),
        text(&alice.auth_response["refresh_token"]),
        alice.token.clone(),
        "confab-demo".to_owned(),
        "EAA-a-secret-access-token".to_owned(),
        "0123456789-a-secret".to_owned(),
        text(&bridge["verify_token"]),
        "a-secret-of-github-0123".to_owned(),
        text(&key["private_key"]).lines().nth(3).expect("a line").to_owned(),
    ];
    let tables: Vec<String> = sqlx::query_scalar(
        "select c.oid::regclass::text from pg_class c join pg_namespace n on n.oid = c.relnamespace
         where c.relkind in ('r', 'p') and n.nspname = 'public'",
    )
    .fetch_all(&app.db)
    .await
    .expect("tables");
    assert!(tables.len() > 30, "{tables:?}");
    for table in tables {
        for secret in &secrets {
            // A key that is stored as bytes appears in hexadecimal.
            let bytes = BASE64_STANDARD.decode(secret).ok().filter(|bytes| bytes.len() >= 16).map(hex::encode);
            let sql = format!(
                "select count(*) from {table} t
                 where position($1 in t::text) > 0 or position($2 in t::text) > 0 or position($3 in t::text) > 0"
            );
            let found: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(sql))
                .bind(secret)
                .bind(bytes)
                .bind(hex::encode(secret))
                .fetch_one(&app.db)
                .await
                .expect("a count");
            assert_eq!(found, 0, "{table} contains a secret");
        }
    }
}
