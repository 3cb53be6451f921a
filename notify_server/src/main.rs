//! The `notify_server` program.

use anyhow::Context;
use chat_core::{db, messages::Writer, redis::Redis};
use chat_http::{
    acceptor, config,
    metrics::MetricsEndpoint,
    rate_limit::{RateLimiter, RateLimits},
    shutdown, telemetry,
};
use notify_server::{Deps, NotifyServer, Settings};
use std::sync::Arc;
use tokio::net::TcpListener;

/// Maximum number of database connections of one replica.
const MAX_POOL_CONNECTIONS: u32 = 12;

/// Maximum number of database connections of the writer: one in use, one in reserve.
const MAX_WRITER_POOL_CONNECTIONS: u32 = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = config::parse();
    telemetry::init(settings.log.log_format);
    acceptor::raise_file_limit();
    let url = &settings.database.database_url;
    let listener = TcpListener::bind(settings.bind.notify_bind).await.context(settings.bind.notify_bind)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let metrics = MetricsEndpoint::bind(settings.metrics.notify_metrics_bind).await.context("NOTIFY_METRICS_BIND")?;
    let deps = Deps {
        name: listener.local_addr()?.to_string(),
        db: db::create_pool(url, MAX_POOL_CONNECTIONS)?,
        redis: settings.redis.redis_url.as_deref().map(Redis::open).transpose().context("REDIS_URL")?,
        writer: Writer::start(db::create_pool(url, MAX_WRITER_POOL_CONNECTIONS)?),
        verifier: settings.keys.verifier()?,
        policy: settings.web.policy(settings.bind.notify_bind, &settings.network).context("CORS_ORIGINS")?,
        is_volatile_database_allowed: settings.durability.allow_volatile_database,
        rate_limiter: Arc::new(RateLimiter::new(
            settings.limits.rate_limits.unwrap_or(RateLimits::ON),
            settings.network.trusted_proxies.clone(),
        )),
    };
    let server = NotifyServer::start(deps, shutdown::shutdown_on_signal());
    let connections = settings.network.connection_limits(settings.connections.notify_max_connections);
    notify_server::serve(listener, server, connections, metrics).await;
    Ok(())
}
