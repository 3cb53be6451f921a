//! The notify server as a program of its own.

use anyhow::Context;
use chat_core::{auth::Verifier, config, db, metrics, net, redis::Redis, telemetry, web::Origins};
use notify_server::{Notify, Settings};
use tokio::net::TcpListener;

/// How many database connections one replica holds.
const CONNECTIONS: u32 = 12;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = config::parse();
    telemetry::init(settings.log_format);
    net::raise_file_limit();
    let key = &settings.jwt_public_key_file;
    let verifier = Verifier::read(key).with_context(|| format!("reading the public key {}", key.display()))?;
    let origins = Origins::parse(&settings.cors_origins).context("CORS_ORIGINS")?;
    let db = db::pool(&settings.database_url, CONNECTIONS)?;
    let redis = settings.redis_url.as_deref().map(Redis::at).transpose().context("REDIS_URL")?;
    let listener = TcpListener::bind(settings.notify_bind).await.context(settings.notify_bind)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let figures = metrics::Place::at(settings.notify_metrics_bind).await.context("NOTIFY_METRICS_BIND")?;
    let notify = Notify::start(db, redis, verifier, origins, net::shutdown_on_signal());
    notify_server::serve(listener, notify, settings.notify_max_connections, figures).await;
    Ok(())
}
