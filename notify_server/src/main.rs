//! The notify server as a program of its own.

use anyhow::Context;
use chat_core::{auth::Verifier, config, db, messages::Writer, metrics, net, redis::Redis, telemetry, web::Origins};
use notify_server::{Notify, Parts, Settings};
use tokio::net::TcpListener;

/// How many database connections one replica holds.
const CONNECTIONS: u32 = 12;

/// How many the writer holds: one writes, and one stands by.
const WRITER_CONNECTIONS: u32 = 2;

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
    let writer = Writer::start(db::pool(&settings.database_url, WRITER_CONNECTIONS)?);
    let parts = Parts { name: listener.local_addr()?.to_string(), db, redis, writer, verifier, origins };
    let notify = Notify::start(parts, net::shutdown_on_signal());
    notify_server::serve(listener, notify, settings.notify_max_connections, figures).await;
    Ok(())
}
