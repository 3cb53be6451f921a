//! The chat server as a program of its own.

use anyhow::Context;
use chat_core::{
    auth::{Hasher, LiveSessions, Signer},
    config, db,
    messages::Writer,
    metrics, net,
    redis::Redis,
    telemetry,
    typing::Typists,
    web::Origins,
    whispers::Whispers,
};
use chat_server::{Api, Blobs, Counters, Settings};
use std::sync::Arc;
use tokio::net::TcpListener;

/// How many database connections one replica holds.
const CONNECTIONS: u32 = 16;

/// How many the writer holds: one writes, and one stands by.
const WRITER_CONNECTIONS: u32 = 2;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = config::parse();
    telemetry::init(settings.log_format);
    net::raise_file_limit();
    let key = &settings.jwt_private_key_file;
    let mut signer = Signer::read(key).with_context(|| format!("reading the private key {}", key.display()))?;
    if let Some(public) = &settings.jwt_public_key_file {
        signer = signer.trusting(public).with_context(|| format!("reading the public keys {}", public.display()))?;
    }
    let blobs = Blobs::on_disk(&settings.chat_data_dir.join("files")).context("opening the file store")?;
    let origins = Origins::parse(&settings.cors_origins).context("CORS_ORIGINS")?;
    let db = db::pool(&settings.database_url, CONNECTIONS)?;
    let redis = settings.redis_url.as_deref().map(Redis::at).transpose().context("REDIS_URL")?;
    let whispers = Whispers::new(db.clone(), redis);
    // Apart, so that a crowd of readers does not keep messages waiting.
    let writer = Writer::start(db::pool(&settings.database_url, WRITER_CONNECTIONS)?);
    let api = Arc::new(Api {
        live: LiveSessions::new(db.clone()),
        typists: Typists::new(db.clone(), whispers.clone()),
        whispers,
        db,
        signer,
        hasher: Hasher::new()?,
        writer,
        blobs,
        counters: Counters::new(settings.rate_limits, settings.proxies),
        keeping: settings.keeping,
        offers_demo: settings.offer_demo,
    });
    let listener = TcpListener::bind(settings.chat_bind).await.context(settings.chat_bind)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let figures = metrics::Place::at(settings.chat_metrics_bind).await.context("CHAT_METRICS_BIND")?;
    let shutdown = net::shutdown_on_signal();
    chat_server::serve(listener, api, origins, settings.chat_max_connections, figures, shutdown).await;
    Ok(())
}
