//! The state that handlers share.

use crate::{jobs, openapi, router, sign_in_throttle::SignInThrottle, user_slots::UserSlots};
use axum::Router;
use chat_core::{
    Result,
    auth::{Authenticator, BreachedPasswords, Hasher, Signer},
    cluster_key::ClusterKey,
    db,
    ephemeral::EphemeralBus,
    housekeeping::RetentionConfig,
    messages::Writer,
    outgoing::AllowedTargets,
    redis::Redis,
    sealing::Sealer,
    typing::TypingNotifier,
    users::UserScope,
    values::{DisplayName, Email, Password, Username},
};
use chat_http::{
    ReadinessCheck,
    rate_limit::{RateLimiter, RateLimits},
    refusals::Refusals,
    settings::{MailPolicy, PublicUrl},
    sign_up::SignUpPolicy,
    trusted_proxies::TrustedProxies,
};
use file_store::{BlobStore, FileStore, PixelBudget};
use prometheus_client::registry::Registry;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::{fs, io, path::Path, sync::Arc};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;

/// The dependencies of a chat server. The database and Redis need not be available yet.
#[derive(Debug)]
pub struct AppConfig {
    /// The pool for requests.
    pub db: PgPool,
    /// Writes messages on its own connections.
    pub writer: Writer,
    /// Connects to other servers that use the same database, if there are any.
    pub redis: Option<Redis>,
    /// Signs and verifies tokens.
    pub signer: Signer,
    /// Holds the bytes of files.
    pub blobs: BlobStore,
    /// Limits the requests of each user and address.
    pub rate_limits: RateLimits,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: TrustedProxies,
    /// How long data is kept, and how much of it.
    pub retention: RetentionConfig,
    /// Whether the server is ready although the database can lose acknowledged writes.
    pub is_volatile_database_allowed: bool,
    /// The free space of the disk below which nothing is written, in bytes.
    pub min_free_bytes: u64,
    /// Passwords that nobody may choose.
    pub breached_passwords: Option<BreachedPasswords>,
    /// Whom a search for the beginning of a name finds.
    pub user_directory: UserScope,
    /// Who can add the users of new accounts to groups.
    pub group_privacy: UserScope,
    /// Who may create an account.
    pub sign_up: SignUpPolicy,
    /// Seals the secrets of outgoing webhooks; without it there are none.
    pub sealer: Option<Sealer>,
    /// Private servers that webhooks may call.
    pub outgoing: AllowedTargets,
    /// The URL at which browsers reach the server.
    pub public_url: Option<PublicUrl>,
    /// The demo accounts that the sign-in page shows, if any.
    pub demo: Option<DemoAccounts>,
    /// How mail is used; `None` if none is sent.
    pub mail: Option<MailPolicy>,
    /// Whether devices of a native app can get pushes.
    pub has_native_app: bool,
}

/// The accounts of the demo data and their password.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Demo")]
pub struct DemoAccounts {
    /// The password of all accounts.
    pub password: Password,
    /// The accounts.
    pub accounts: Vec<DemoAccount>,
}

/// The file in the data directory to which `confab` writes the demo accounts when it
/// seeds the demo data, for chat servers that share the directory.
const DEMO_ACCOUNTS_FILE: &str = "demo_accounts.json";

impl DemoAccounts {
    /// Reads the accounts from a data directory.
    pub fn read(data_dir: &Path) -> io::Result<Self> {
        let path = data_dir.join(DEMO_ACCOUNTS_FILE);
        let with_path = |error: io::Error| {
            let text = format!("cannot read the demo accounts of DEMO_MODE in {}: {error}", path.display());
            io::Error::new(error.kind(), text)
        };
        let text = fs::read(&path).map_err(with_path)?;
        serde_json::from_slice(&text).map_err(|error| with_path(error.into()))
    }

    /// Writes the accounts into a data directory.
    pub fn write(&self, data_dir: &Path) -> io::Result<()> {
        fs::write(data_dir.join(DEMO_ACCOUNTS_FILE), serde_json::to_vec_pretty(self)?)
    }
}

/// One account of the demo data.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "Account")]
pub struct DemoAccount {
    /// The username.
    pub username: Username,
    /// The display name.
    pub display_name: DisplayName,
    /// The email address, for signing in.
    pub email: Email,
}

/// The state that handlers share.
#[derive(Debug)]
pub struct AppState {
    pub(crate) db: PgPool,
    /// For searches and exports.
    pub(crate) expensive_db: PgPool,
    pub(crate) expensive_slots: UserSlots,
    pub(crate) upload_slots: UserSlots,
    pub(crate) document_slots: UserSlots,
    /// Loaded when it is first needed.
    pub(crate) cluster_key: OnceCell<ClusterKey>,
    pub(crate) sign_in_throttle: SignInThrottle,
    pub(crate) refusals: Refusals,
    is_volatile_database_allowed: bool,
    pub(crate) min_free_bytes: u64,
    pub(crate) user_directory: UserScope,
    pub(crate) group_privacy: UserScope,
    pub(crate) sign_up: SignUpPolicy,
    pub(crate) signer: Signer,
    pub(crate) authenticator: Arc<Authenticator>,
    pub(crate) hasher: Hasher,
    pub(crate) writer: Writer,
    pub(crate) ephemeral: EphemeralBus,
    pub(crate) typing: TypingNotifier,
    pub(crate) files: FileStore,
    pub(crate) rate_limiter: Arc<RateLimiter>,
    pub(crate) retention: RetentionConfig,
    pub(crate) sealer: Option<Sealer>,
    pub(crate) outgoing: AllowedTargets,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) demo: Option<DemoAccounts>,
    pub(crate) mail: Option<MailPolicy>,
    pub(crate) has_native_app: bool,
}

impl AppState {
    /// Builds the state. All programs and tests use this function.
    pub fn build(config: AppConfig) -> Result<Arc<Self>> {
        let ephemeral = EphemeralBus::new(config.db.clone(), config.redis);
        Ok(Arc::new(Self {
            authenticator: Arc::new(Authenticator::new(config.db.clone(), config.signer.verifier().clone())),
            typing: TypingNotifier::new(config.db.clone(), ephemeral.clone()),
            ephemeral,
            hasher: Hasher::with_breached_passwords(config.breached_passwords)?,
            expensive_db: db::create_expensive_pool(&config.db),
            expensive_slots: UserSlots::for_expensive_requests(),
            upload_slots: UserSlots::for_uploads(),
            document_slots: UserSlots::for_documents(),
            cluster_key: OnceCell::new(),
            sign_in_throttle: SignInThrottle::new(config.rate_limits != RateLimits::OFF),
            refusals: Refusals::default(),
            is_volatile_database_allowed: config.is_volatile_database_allowed,
            min_free_bytes: config.min_free_bytes,
            user_directory: config.user_directory,
            group_privacy: config.group_privacy,
            sign_up: config.sign_up,
            db: config.db,
            writer: config.writer,
            signer: config.signer,
            files: FileStore::new(config.blobs, PixelBudget::new(config.rate_limits != RateLimits::OFF)),
            rate_limiter: Arc::new(RateLimiter::new(config.rate_limits, config.trusted_proxies)),
            retention: config.retention,
            sealer: config.sealer,
            outgoing: config.outgoing,
            public_url: config.public_url,
            demo: config.demo,
            mail: config.mail,
            has_native_app: config.has_native_app,
        }))
    }

    /// Returns the routes, behind the rate limits: the API, its description, and MCP. `shutdown` ends
    /// the streams of MCP.
    pub fn router(self: &Arc<Self>, shutdown: &CancellationToken) -> Router {
        let api = router::routes().into_router(Arc::clone(self));
        let deps = mcp_server::Deps {
            api: api.clone(),
            authenticator: Arc::clone(&self.authenticator),
            rate_limiter: Arc::clone(&self.rate_limiter),
            db: self.db.clone(),
            public_url: self.public_url.clone(),
        };
        let mcp = mcp_server::router(deps, shutdown);
        api.merge(openapi::router(self.public_url.as_ref())).merge(mcp)
    }

    /// Returns the rate limits, which all servers of a process share.
    pub fn rate_limiter(&self) -> Arc<RateLimiter> {
        Arc::clone(&self.rate_limiter)
    }

    /// Starts the background jobs. `shutdown` stops them.
    pub fn spawn_background_jobs(self: &Arc<Self>, shutdown: &CancellationToken) {
        jobs::spawn(self, shutdown);
    }

    /// Adds the metrics of this server to those of its process.
    pub fn register_metrics(&self, registry: &mut Registry) {
        self.writer.register(registry);
    }

    /// Returns the writer of messages, for a notify server in the same process.
    pub fn writer(&self) -> &Writer {
        &self.writer
    }

    /// Returns the readiness checks of this server.
    pub fn readiness_checks(&self) -> Vec<ReadinessCheck> {
        let pool = self.db.clone();
        let mut checks = vec![ReadinessCheck::new("database_and_migrations", move || {
            let pool = pool.clone();
            async move { db::is_ready(&pool).await.unwrap_or(false) }
        })];
        if !self.is_volatile_database_allowed {
            checks.push(ReadinessCheck::durable_database(self.db.clone()));
        }
        checks
    }
}
