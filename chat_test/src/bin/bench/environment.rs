//! The environment of a measurement: a durable Postgres, users, one chat with all
//! users, and a token for each user.

use crate::process::{Server, pinned_command, sibling_binary};
use chat_core::{
    auth::{Audience, Claims, Hasher, Signer, keys},
    db,
    events::{self, Cursor, Head},
    time,
};
use chat_test::TestRedis;
use embedded_postgres::{Binaries, Cluster, ClusterLocation};
use fixtures::demo;
use sqlx::PgPool;
use std::{collections::HashMap, path::PathBuf, process::Command};
use tempfile::TempDir;

pub(crate) struct Environment {
    pub(crate) db: PgPool,
    pub(crate) url: String,
    pub(crate) binaries: Binaries,
    /// The ids of all users.
    pub(crate) users: Vec<i64>,
    /// The chat that all users are in.
    pub(crate) chat: i64,
    sessions: HashMap<i64, uuid::Uuid>,
    signer: Signer,
    folder: TempDir,
    _cluster: Cluster,
}

impl Environment {
    /// Creates an environment with this many users.
    pub(crate) async fn create(count: i32) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("open");
        let binaries = Binaries::find().expect("Postgres");
        let home = ClusterLocation::for_data_dir(folder.path()).expect("a home");
        let cluster = Cluster::start_durable(&binaries, &home).await.expect("started");
        cluster.create_database("bench", "template1").await.expect("a database");
        let url = cluster.url("bench");
        let db = db::create_pool(&url, 8).expect("a URL");
        db::migrate(&db).await.expect("migrated");
        demo::seed(&db, &Hasher::new().expect("a hasher")).await.expect("seeded");
        keys::generate(&folder.path().join("private.pem"), &folder.path().join("public.pem")).expect("a key");
        let signer = Signer::read(&folder.path().join("private.pem")).expect("the key");
        let users: Vec<i64> = sqlx::query_scalar(
            "insert into users (username, display_name, email, password_hash)
             select 'p' || n, 'P ' || n, 'p' || n || '@example.com', '' from generate_series(1, $1) n returning id",
        )
        .bind(count)
        .fetch_all(&db)
        .await
        .expect("users");
        let chat: i64 =
            sqlx::query_scalar("insert into chats (type, name) values ('public_channel', 'bench') returning id")
                .fetch_one(&db)
                .await
                .expect("a chat");
        sqlx::query("insert into chat_members (chat_id, user_id) select $1, unnest($2::bigint[])")
            .bind(chat)
            .bind(&users)
            .execute(&db)
            .await
            .expect("members");
        let sessions: Vec<(i64, uuid::Uuid)> = sqlx::query_as(
            "insert into sessions (id, user_id, expires_at)
             select gen_random_uuid(), id, now() + interval '1 day' from users returning user_id, id",
        )
        .fetch_all(&db)
        .await
        .expect("sessions");
        let sessions = sessions.into_iter().collect();
        Self { db, url, binaries, users, chat, sessions, signer, folder, _cluster: cluster }
    }

    /// Starts a notify server on a core that no other process uses.
    pub(crate) fn notify_server(&self) -> Server {
        let mut command = pinned_command(sibling_binary("notify_server"));
        command
            .env("DATABASE_URL", &self.url)
            .env("NOTIFY_BIND", "127.0.0.1:0")
            .env("RATE_LIMITS", "off")
            .env("JWT_PUBLIC_KEY_FILE", self.file("public.pem"));
        Server::start(command)
    }

    /// Starts a notify server that shares this Redis with other replicas.
    pub(crate) fn replica(&self, redis: &TestRedis) -> Server {
        let mut command = pinned_command(sibling_binary("notify_server"));
        command
            .env("DATABASE_URL", &self.url)
            .env("REDIS_URL", redis.direct_url())
            .env("NOTIFY_BIND", "127.0.0.1:0")
            .env("RATE_LIMITS", "off")
            .env("JWT_PUBLIC_KEY_FILE", self.file("public.pem"));
        Server::start(command)
    }

    /// Starts a chat server on any core.
    pub(crate) fn chat_server(&self) -> Server {
        self.start_chat_server("off")
    }

    /// Starts a chat server with rate limits. The limit of an address is high, because all
    /// load comes from one.
    pub(crate) fn limited_chat_server(&self) -> Server {
        self.start_chat_server("address=10000/s")
    }

    fn start_chat_server(&self, rate_limits: &str) -> Server {
        let mut command = Command::new(sibling_binary("chat_server"));
        command
            .env("DATABASE_URL", &self.url)
            .env("CHAT_BIND", "127.0.0.1:0")
            .env("RATE_LIMITS", rate_limits)
            .env("CHAT_DATA_DIR", self.file("data"))
            .env("JWT_PRIVATE_KEY_FILE", self.file("private.pem"));
        Server::start(command)
    }

    /// Starts an integration server on any core.
    pub(crate) fn integration_server(&self) -> Server {
        let mut command = Command::new(sibling_binary("integration_server"));
        command
            .env("DATABASE_URL", &self.url)
            .env("INTEGRATION_BIND", "127.0.0.1:0")
            .env("SECRETS_KEY_FILE", self.file("secrets.key"))
            .env("OUTGOING_ALLOW", "127.0.0.0/8");
        Server::start(command)
    }

    /// Returns an access token that lasts for the whole run.
    pub(crate) fn token(&self, user: i64) -> String {
        self.signer.sign(self.claims(user), Audience::Api, time::now(), 3600).expect("a token")
    }

    /// Returns the session of a user.
    pub(crate) fn claims(&self, user: i64) -> Claims {
        let session_id = *self.sessions.get(&user).expect("every user has a session");
        Claims { user_id: user.try_into().expect("an id"), session_id }
    }

    /// Returns the path of a file in the directory of this run.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the HTTP request for a user's stream, from a cursor if it resumes.
    pub(crate) fn stream_request(&self, user: i64, cursor: Option<&str>) -> String {
        let resume = cursor.map(|cursor| format!("Last-Event-ID: {cursor}\r\n")).unwrap_or_default();
        let token = self.token(user);
        format!("GET /events HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n{resume}\r\n")
    }

    /// Creates another chat with the first `count` users.
    pub(crate) async fn create_chat_with_first(&self, count: usize) -> i64 {
        sqlx::query_scalar(
            "with chat as (insert into chats (type, name) values ('group', 'busy') returning id),
             members as (insert into chat_members (chat_id, user_id) select id, unnest($1::bigint[]) from chat)
             select id from chat",
        )
        .bind(self.users.iter().take(count).collect::<Vec<_>>())
        .fetch_one(&self.db)
        .await
        .expect("a chat")
    }

    /// Returns the cursor of the end of the log.
    pub(crate) async fn cursor(&self) -> String {
        let Head { epoch, last, .. } = events::head(&self.db).await.expect("the log");
        Cursor { epoch, position: last }.to_string()
    }

    /// Returns the number of transactions of the database so far, including reads.
    pub(crate) async fn transactions(&self) -> i64 {
        sqlx::query_scalar(
            "select xact_commit + xact_rollback from pg_stat_database where datname = current_database()",
        )
        .fetch_one(&self.db)
        .await
        .expect("a count")
    }

    /// Inserts `count` messages into the chat in one statement. The cost includes the log
    /// but not the API.
    pub(crate) async fn insert_messages(&self, count: i32) {
        self.insert_messages_in(self.chat, "a message of a usual length, as people write it", count).await;
    }

    /// Inserts the same message into a chat `count` times.
    pub(crate) async fn insert_messages_in(&self, chat: i64, text: &str, count: i32) {
        let sql = "insert into messages (chat_id, sender_id, content) select $1, $2, $4 from generate_series(1, $3)";
        let query = sqlx::query(sql).bind(chat).bind(self.users.first()).bind(count).bind(text);
        query.execute(&self.db).await.expect("inserted");
    }
}
