//! The `chat_server` program.

use anyhow::Context;
use chat_core::{db, messages::Writer, redis::Redis, users::UserScope};
use chat_http::{acceptor, config, metrics::MetricsEndpoint, rate_limit::RateLimits, shutdown, telemetry};
use chat_server::{AppConfig, AppState, DemoAccounts, Settings};
use file_store::BlobStore;
use tokio::net::TcpListener;

/// Maximum number of database connections of one replica.
const MAX_POOL_CONNECTIONS: u32 = 16;

/// Maximum number of database connections of the writer: one in use, one in reserve.
const MAX_WRITER_POOL_CONNECTIONS: u32 = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = config::parse();
    telemetry::init(settings.log.log_format);
    acceptor::raise_file_limit();
    let (data_dir, url) = (&settings.data.chat_data_dir, &settings.database.database_url);
    let demo = if settings.demo.demo_mode { Some(DemoAccounts::read(data_dir)?) } else { None };
    let state = AppState::build(AppConfig {
        db: db::create_pool(url, MAX_POOL_CONNECTIONS)?,
        // A separate pool, so that many readers do not delay messages.
        writer: Writer::start(db::create_pool(url, MAX_WRITER_POOL_CONNECTIONS)?),
        redis: settings.redis.redis_url.as_deref().map(Redis::open).transpose().context("REDIS_URL")?,
        signer: settings.keys.signer()?,
        blobs: BlobStore::on_disk(&data_dir.join("files")).context("opening the file store")?,
        rate_limits: settings.limits.rate_limits.unwrap_or(RateLimits::ON),
        trusted_proxies: settings.network.trusted_proxies.clone(),
        retention: settings.retention.into(),
        is_volatile_database_allowed: settings.durability.allow_volatile_database,
        min_free_bytes: settings.disk.min_free_bytes,
        breached_passwords: settings.accounts.breached_passwords().context("BREACHED_PASSWORDS_FILE")?,
        user_directory: settings.accounts.user_directory.unwrap_or(UserScope::Contacts),
        group_privacy: settings.accounts.group_privacy,
        sign_up: settings.accounts.sign_up.clone(),
        sealer: settings.secrets.sealer().context("SECRETS_KEY_FILE")?,
        outgoing: settings.outgoing.outgoing_allow.clone(),
        public_url: settings.web.public.public_url.clone(),
        demo,
        mail: settings.mail.policy(),
        has_native_app: settings.fcm.fcm_project.is_some(),
    })?;
    let policy = settings.web.policy(settings.bind.chat_bind, &settings.network).context("CORS_ORIGINS")?;
    let listener = TcpListener::bind(settings.bind.chat_bind).await.context(settings.bind.chat_bind)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let metrics = MetricsEndpoint::bind(settings.metrics.chat_metrics_bind).await.context("CHAT_METRICS_BIND")?;
    let shutdown = shutdown::shutdown_on_signal();
    let connections = settings.network.connection_limits(settings.connections.chat_max_connections);
    chat_server::serve(listener, state, policy, connections, metrics, shutdown).await;
    Ok(())
}
