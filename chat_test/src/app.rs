//! Runs both servers as in production: separately, each on its own port.

use crate::{TestDatabase, TestUser, database, google::Google, user::Endpoints};
use chat_core::{
    audit::{Action, Client},
    auth::{Signer, keys, sessions},
    housekeeping::RetentionConfig,
    messages::Writer,
    outgoing::AllowedTargets,
    redis::Redis,
    sealing::Sealer,
    users::UserScope,
};
use chat_http::{
    AllowedOrigins, WebPolicy,
    connection_limits::ConnectionLimits,
    metrics::MetricsEndpoint,
    rate_limit::{RateLimiter, RateLimits},
    settings::{MailPolicy, NetworkUrls, SmtpSettings},
    sign_up::SignUpPolicy,
    web_policy::AllowedHosts,
};
use chat_server::{AppConfig, AppState, DemoAccount, DemoAccounts};
use embedded_postgres::Cluster;
use file_store::BlobStore;
use fixtures::demo::{self, DemoUser};
use integration_server::{FcmConfig, IntegrationServer, mail::MailConfig};
use notify_server::{Deps, NotifyServer};
use sqlx::PgPool;
use std::sync::Arc;
use tempfile::TempDir;
use tokio::{net::TcpListener, task::JoinHandle};
use tokio_util::sync::CancellationToken;

/// A web origin on another host, which CORS allows.
pub const ALLOWED_ORIGIN: &str = "https://friendly.example";

/// The network whose `X-Forwarded-For` the servers trust.
const TRUSTED_NETWORK: &str = "127.0.0.0/8";

/// New accounts need no verified address.
const WITHOUT_VERIFICATION: Option<MailPolicy> = Some(MailPolicy { is_verification_required: false });

fn new_signer(folder: &TempDir) -> Signer {
    let private = folder.path().join("private.pem");
    keys::generate(&private, &folder.path().join("public.pem")).expect("a key");
    Signer::read(&private).expect("the key")
}

/// A running Confab with the demo data.
#[derive(Debug)]
pub struct TestApp {
    /// The URLs of the servers.
    pub endpoints: Endpoints,
    /// A pool for tests that read or change the database directly.
    pub db: PgPool,
    /// Signs the tokens that the servers accept.
    pub signer: Signer,
    /// The database of the servers.
    pub database: TestDatabase,
    /// The directory of uploaded files.
    pub files: std::path::PathBuf,
    /// The Redis that the replicas share, if any.
    redis: Option<Redis>,
    shutdown: CancellationToken,
    servers: Vec<JoinHandle<()>>,
    folder: Arc<TempDir>,
}

impl TestApp {
    /// Starts both servers with a fresh copy of the demo data.
    pub async fn start() -> Self {
        Self::with_database(TestDatabase::create().await).await
    }

    /// Starts both servers with the given database.
    pub async fn with_database(database: TestDatabase) -> Self {
        Self::new(database, None, RateLimits::OFF).await
    }

    /// Starts both servers with a fresh copy of the demo data and a Redis that other
    /// replicas can share.
    pub async fn with_redis(redis: &Redis) -> Self {
        Self::new(TestDatabase::create().await, Some(redis.clone()), RateLimits::OFF).await
    }

    /// Starts both servers with a fresh copy of the demo data and rate limits such as
    /// `write=5/m`. The servers trust proxies in the loopback network.
    pub async fn with_rate_limits(limits: &str) -> Self {
        Self::new(TestDatabase::create().await, None, limits.parse().expect("limits")).await
    }

    async fn new(database: TestDatabase, redis: Option<Redis>, limits: RateLimits) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let signer = new_signer(&folder);
        Self::launch(database, redis, signer, Arc::new(folder), limits, WITHOUT_VERIFICATION).await
    }

    /// Starts both servers with a fresh copy of the demo data. New accounts need a verified address.
    pub async fn with_verification() -> Self {
        Self::with_mail(Some(MailPolicy { is_verification_required: true })).await
    }

    /// Starts both servers with a fresh copy of the demo data. They send no mail.
    pub async fn without_mail() -> Self {
        Self::with_mail(None).await
    }

    async fn with_mail(mail: Option<MailPolicy>) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let signer = new_signer(&folder);
        Self::launch(TestDatabase::create().await, None, signer, Arc::new(folder), RateLimits::OFF, mail).await
    }

    /// Starts another pair of servers with the database, the keys and the Redis, if any,
    /// of `self`.
    pub async fn replica_of(other: &Self) -> Self {
        Self::replica_with(other, other.database.clone(), other.redis.clone()).await
    }

    /// Like [`Self::replica_of`], but with other URLs of the database and Redis.
    pub async fn replica_with(other: &Self, database: TestDatabase, redis: Option<Redis>) -> Self {
        let (signer, folder) = (other.signer.clone(), Arc::clone(&other.folder));
        Self::launch(database, redis, signer, folder, RateLimits::OFF, WITHOUT_VERIFICATION).await
    }

    async fn launch(
        database: TestDatabase,
        redis: Option<Redis>,
        signer: Signer,
        folder: Arc<TempDir>,
        limits: RateLimits,
        mail: Option<MailPolicy>,
    ) -> Self {
        let files = folder.path().join("files");
        let (chat_listener, chat) = listen().await;
        let (notify_listener, notify) = listen().await;
        let state = AppState::build(AppConfig {
            db: database.pool(6),
            writer: Writer::start(database.pool(2)),
            redis: redis.clone(),
            signer: signer.clone(),
            blobs: BlobStore::on_disk(&files).expect("a file store"),
            rate_limits: limits,
            trusted_proxies: TRUSTED_NETWORK.parse().expect("networks"),
            retention: RetentionConfig::DEFAULT,
            // The test databases do not wait for the disk.
            is_volatile_database_allowed: true,
            min_free_bytes: 0,
            breached_passwords: None,
            user_directory: UserScope::Contacts,
            group_privacy: UserScope::Everyone,
            sign_up: SignUpPolicy::Open,
            sealer: Some(sealer_of(&folder)),
            outgoing: AllowedTargets::loopback(),
            public_url: Some(chat.parse().expect("a URL")),
            demo: Some(demo_accounts()),
            mail,
            has_native_app: true,
        })
        .expect("a state");
        let shutdown = CancellationToken::new();
        let policy = WebPolicy {
            origins: AllowedOrigins::parse(ALLOWED_ORIGIN).expect("an origin"),
            hosts: AllowedHosts::Loopback,
            is_https: false,
        };
        let deps = Deps {
            name: notify.clone(),
            db: database.pool(4),
            redis: redis.clone(),
            writer: Writer::start(database.pool(2)),
            verifier: signer.verifier().clone(),
            policy: policy.clone(),
            is_volatile_database_allowed: true,
            rate_limiter: Arc::new(RateLimiter::new(limits, TRUSTED_NETWORK.parse().expect("networks"))),
        };
        let server = NotifyServer::start(deps, shutdown.clone());
        let servers = vec![
            tokio::spawn(chat_server::serve(
                chat_listener,
                state,
                policy,
                ConnectionLimits::in_all(10_000),
                MetricsEndpoint::Shared,
                shutdown.clone(),
            )),
            tokio::spawn(notify_server::serve(
                notify_listener,
                server,
                ConnectionLimits::in_all(10_000),
                MetricsEndpoint::Shared,
            )),
        ];
        let db = database.pool(4);
        Self { endpoints: Endpoints { chat, notify }, db, signer, database, files, redis, shutdown, servers, folder }
    }

    /// Signs in users of the demo data.
    pub async fn sign_in<const N: usize>(&self, names: [&str; N]) -> [TestUser; N] {
        let mut users = Vec::with_capacity(N);
        for name in names {
            users.push(TestUser::sign_in(&self.endpoints, name).await);
        }
        users.try_into().expect("one user per name")
    }

    /// Signs up a new user.
    pub async fn sign_up(&self, name: &str) -> TestUser {
        TestUser::sign_up(&self.endpoints, name).await
    }

    /// Returns whether a transaction waits for the append lock.
    pub async fn has_a_waiting_writer(&self) -> bool {
        sqlx::query_scalar(
            "select exists (select from pg_locks l join pg_database d on d.oid = l.database
             where d.datname = current_database() and l.locktype = 'advisory' and not l.granted)",
        )
        .fetch_one(&self.db)
        .await
        .expect("locks")
    }

    /// Returns a stream request for a user, without a sign-in.
    pub async fn stream_request_for(&self, user_id: i64) -> reqwest::RequestBuilder {
        let user_id = user_id.try_into().expect("an id");
        let token = sessions::open(&self.db, &self.signer, user_id, Action::SignedIn, &Client::default())
            .await
            .expect("a session")
            .tokens
            .token;
        reqwest::Client::new().get(format!("{}/events", self.endpoints.notify)).bearer_auth(token)
    }

    /// Returns a metric of the notify server by its name and labels, or 0 if it is missing.
    pub async fn metric(&self, name: &str) -> f64 {
        metric(&self.endpoints.notify, name).await
    }

    /// Starts an integration server, which may call servers on loopback addresses. It runs until
    /// the app stops, or until the token is cancelled.
    pub fn start_integration_server(&self) -> (IntegrationServer, CancellationToken) {
        self.start_integration_server_with("http://127.0.0.1:1")
    }

    /// Starts an integration server like [`Self::start_integration_server`], with this URL for the
    /// APIs of all networks.
    pub fn start_integration_server_with(&self, network_url: &str) -> (IntegrationServer, CancellationToken) {
        self.launch_integration_server(network_url, None, None)
    }

    /// Starts an integration server that sends mail to an SMTP server.
    pub fn start_mailer(&self, smtp_url: &str) -> (IntegrationServer, CancellationToken) {
        let smtp = SmtpSettings { smtp_url: Some(smtp_url.to_owned()) };
        let public_url = self.endpoints.chat.parse().expect("a URL");
        let mail = MailConfig::smtp(Some("Confab <confab@chat.example>"), &smtp, Some(&public_url)).expect("settings");
        self.launch_integration_server("http://127.0.0.1:1", mail, None)
    }

    /// Starts an integration server that pushes to a native app through a stand-in of Google.
    pub fn start_native_pushes(&self, google: &Google) -> (IntegrationServer, CancellationToken) {
        let key_file = self.folder.path().join("service_account.json");
        std::fs::write(&key_file, google.key_file()).expect("a key file");
        let fcm = FcmConfig::read(Some("confab-app"), Some(&key_file)).expect("a key");
        self.launch_integration_server(&google.url, None, fcm)
    }

    fn launch_integration_server(
        &self,
        network_url: &str,
        mail: Option<MailConfig>,
        fcm: Option<FcmConfig>,
    ) -> (IntegrationServer, CancellationToken) {
        let url = |path: &str| format!("{network_url}{path}").parse().expect("a URL");
        let deps = integration_server::Deps {
            db: self.database.pool(8),
            sealer: sealer_of(&self.folder),
            allowed: AllowedTargets::loopback(),
            blobs: BlobStore::on_disk(&self.files).expect("a file store"),
            user_quota_bytes: RetentionConfig::DEFAULT.user_quota_bytes,
            networks: NetworkUrls {
                graph_url: url(""),
                google_chat_url: url(""),
                google_token_url: url("/token"),
                google_keys_url: url(""),
                fcm_url: url(""),
            },
            public_url: Some(self.endpoints.chat.parse().expect("a URL")),
            mail,
            fcm,
        };
        let shutdown = self.shutdown.child_token();
        (IntegrationServer::start(deps, shutdown.clone()).expect("an HTTP client"), shutdown)
    }

    /// Returns the file with the keys that seal secrets.
    pub fn secrets_key_file(&self) -> std::path::PathBuf {
        self.folder.path().join("secrets.key")
    }

    /// Stops both servers and waits until they have stopped.
    pub async fn stop(mut self) {
        self.shutdown.cancel();
        for server in std::mem::take(&mut self.servers) {
            server.await.expect("a server stops cleanly");
        }
    }
}

impl Drop for TestApp {
    fn drop(&mut self) {
        self.shutdown.cancel();
    }
}

/// Returns a metric of a server by its name and labels, or 0 if it is missing.
pub async fn metric(server: &str, name: &str) -> f64 {
    let answer = reqwest::get(format!("{server}/metrics")).await.expect("an answer");
    let text = answer.text().await.expect("text");
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().expect("a number"))
}

/// The keys that seal secrets. All replicas share them.
fn sealer_of(folder: &TempDir) -> Sealer {
    Sealer::create_file(&folder.path().join("secrets.key")).expect("a key")
}

/// The accounts that the sign-in page offers.
fn demo_accounts() -> DemoAccounts {
    let data = demo::load().expect("the demo data");
    let account = |DemoUser { username, display_name, email }| DemoAccount { username, display_name, email };
    DemoAccounts { password: data.password, accounts: data.users.into_iter().map(account).collect() }
}

async fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("its address"));
    (listener, url)
}

/// The Postgres that all tests of this process share.
pub async fn shared_cluster() -> &'static Cluster {
    database::cluster().await
}
