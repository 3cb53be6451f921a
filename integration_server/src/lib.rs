//! Sends the events of Confab to other servers: outgoing webhooks.
//!
//! `feed` moves events from the log into the outbox, `sender` claims what is due and settles it,
//! `webhook` sends one delivery, and `client` is the only HTTP client that calls other servers.
//! Any number of processes can run at once; none leads.

mod client;
mod feed;
mod metrics;
mod notifications;
mod sender;
mod settings;
mod signature;
mod slots;
mod webhook;

pub use settings::Settings;

use chat_core::{
    outbox,
    outgoing::AllowedTargets,
    sealing::Sealer,
    webhook_endpoints::{self, DisabledReason},
};
use chat_http::{
    ReadinessCheck, WebPolicy,
    acceptor::{self, NoHook},
    connection_limits::ConnectionLimits,
    layers,
    metrics::MetricsEndpoint,
    probes,
};
use client::OutgoingClient;
use feed::Feed;
use metrics::Metrics;
use notifications::Wakers;
use prometheus_client::registry::Registry;
use sender::Sender;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// How often overfull lanes and deleted endpoints are looked for.
const CLEAN_UP_INTERVAL: Duration = Duration::from_secs(60);

/// Maximum number of connections to the probes and the metrics.
const MAX_CONNECTIONS: usize = 64;

/// The dependencies of an integration server. The database need not be available yet.
#[derive(Debug)]
pub struct Deps {
    /// The database.
    pub db: PgPool,
    /// Opens the secrets that sign deliveries.
    pub sealer: Sealer,
    /// Private servers that may be called.
    pub allowed: AllowedTargets,
}

/// An integration server: sends what is in the outbox.
#[derive(Debug)]
pub struct IntegrationServer {
    db: PgPool,
    metrics: Arc<Metrics>,
    tasks: TaskTracker,
    shutdown: CancellationToken,
}

impl IntegrationServer {
    /// Starts to follow the log and to send. `shutdown` stops it.
    pub fn start(Deps { db, sealer, allowed }: Deps, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let metrics = Arc::new(Metrics::default());
        let wakers = Arc::new(Wakers::default());
        let client = OutgoingClient::new(allowed)?;
        let tasks = TaskTracker::new();
        tasks.spawn(notifications::listen(db.clone(), Arc::clone(&wakers), shutdown.clone()));
        let feed = Feed { db: db.clone(), wakers: Arc::clone(&wakers), metrics: Arc::clone(&metrics) };
        tasks.spawn(feed.run(shutdown.clone()));
        let sender = Sender {
            db: db.clone(),
            sealer,
            client,
            wakers,
            metrics: Arc::clone(&metrics),
            owners: Sender::slots_of_owners(),
            shutdown: shutdown.clone(),
        };
        sender.spawn(&tasks);
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(clean_up(db.clone())));
        tasks.close();
        Ok(Self { db, metrics, tasks, shutdown })
    }

    /// Waits until the attempts that run have been settled, after `shutdown`.
    pub async fn stopped(&self) {
        self.tasks.wait().await;
    }

    /// Adds the metrics of this server to those of its process.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry);
    }
}

/// Serves the probes and the metrics, as the `integration_server` program does.
pub async fn serve(listener: TcpListener, server: IntegrationServer) {
    let mut registry = chat_core::metrics::new_registry();
    server.register(&mut registry);
    let db = server.db.clone();
    let check = ReadinessCheck::new("database_and_migrations", move || {
        let db = db.clone();
        async move { chat_core::db::is_ready(&db).await.unwrap_or(false) }
    });
    let router = probes::router(vec![check], server.shutdown.clone())
        .merge(MetricsEndpoint::Shared.into_router(registry, &server.shutdown));
    let router = layers::with_layers(router, &WebPolicy::default(), None);
    acceptor::serve(listener, ConnectionLimits::in_all(MAX_CONNECTIONS), NoHook, router, server.shutdown.clone()).await;
    server.stopped().await;
}

/// Disables endpoints for which too much waits, and deletes what deleted endpoints leave.
async fn clean_up(db: PgPool) {
    loop {
        sleep(CLEAN_UP_INTERVAL).await;
        if let Err(error) = clean_up_once(&db).await {
            tracing::warn!(%error, "cannot clean up the outbox");
        }
    }
}

async fn clean_up_once(db: &PgPool) -> chat_core::Result<()> {
    // One process at a time.
    let Some(_lock) = outbox::lock_clean_up(db).await? else { return Ok(()) };
    for endpoint in outbox::list_overfull(db).await? {
        tracing::info!(%endpoint, "too many deliveries wait; disabling the endpoint");
        webhook_endpoints::disable(db, endpoint, DisabledReason::Backlog).await?;
    }
    while outbox::purge_deleted(db).await? > 0 {}
    Ok(())
}
