//! Sends the events of Confab to other servers: outgoing webhooks, and bridges, which also receive.
//!
//! `feed` moves events from the log into the outbox, `sender` claims what is due and settles it,
//! `webhook` sends one delivery, `bridges` relays to other networks and back, `loader` loads the
//! descriptions of programs and the images of webhooks, `mail` writes to users by SMTP, and `client` is the only HTTP client that calls other servers.
//! Any number of processes can run at once; none leads.

mod bridges;
mod client;
mod feed;
mod loader;
pub mod mail;
mod metrics;
mod notifications;
mod oauth_clients;
mod push;
mod sender;
mod settings;
mod signature;
mod slots;
mod webhook;
mod webhook_avatars;

pub use settings::Settings;

use bridges::{BridgeDeps, Bridges};
use chat_core::{
    bridges::{ghosts, google_keys},
    messages::Writer,
    oauth,
    outbox::clean_up,
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
    settings::{NetworkUrls, PublicUrl},
};
use client::OutgoingClient;
use feed::Feed;
use file_store::{BlobStore, FileStore, PixelBudget};
use mail::{MailConfig, Mailer};
use metrics::Metrics;
use notifications::Wakers;
use oauth_clients::OAuthClients;
use prometheus_client::registry::Registry;
pub use push::FcmConfig;
use push::{Fcm, Pushes};
use sender::Sender;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::OnceCell, time::sleep};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use webhook_avatars::WebhookAvatars;

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
    /// Holds the bytes of the files that bridges relay.
    pub blobs: BlobStore,
    /// Maximum size of all files of one person, in bytes.
    pub user_quota_bytes: i64,
    /// The URLs of other networks.
    pub networks: NetworkUrls,
    /// The public URL of the chat server: links to files begin with it.
    pub public_url: Option<PublicUrl>,
    /// How mail is sent; `None` if none is.
    pub mail: Option<MailConfig>,
    /// The Firebase project of a native app; `None` if there is none.
    pub fcm: Option<FcmConfig>,
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
    pub fn start(deps: Deps, shutdown: CancellationToken) -> anyhow::Result<Self> {
        let Deps { db, sealer, allowed, blobs, user_quota_bytes, networks, public_url, mail, fcm } = deps;
        let metrics = Arc::new(Metrics::default());
        let wakers = Arc::new(Wakers::default());
        let client = OutgoingClient::new(allowed)?;
        let tasks = TaskTracker::new();
        tasks.spawn(notifications::listen(db.clone(), Arc::clone(&wakers), shutdown.clone()));
        let feed = Feed { db: db.clone(), wakers: Arc::clone(&wakers), metrics: Arc::clone(&metrics) };
        tasks.spawn(feed.run(shutdown.clone()));
        let files = FileStore::new(blobs, PixelBudget::new(true));
        let (fcm_url, google_token_url) = (networks.fcm_url.clone(), networks.google_token_url.clone());
        let bridges = Arc::new(Bridges::new(BridgeDeps {
            db: db.clone(),
            sealer: sealer.clone(),
            client: client.clone(),
            networks,
            public_url: public_url.clone(),
            files: files.clone(),
            writer: Writer::start(db.clone()),
            user_quota_bytes,
            metrics: Arc::clone(&metrics),
        }));
        bridges.spawn(&tasks, &wakers, &shutdown);
        let oauth_clients = OAuthClients { db: db.clone(), client: client.clone() };
        tasks.spawn(loader::run(oauth_clients, Arc::clone(&wakers.oauth_clients), shutdown.clone()));
        let avatars = WebhookAvatars { db: db.clone(), client: client.clone(), files, user_quota_bytes };
        tasks.spawn(loader::run(avatars, Arc::clone(&wakers.webhook_avatars), shutdown.clone()));
        tasks.spawn(push::run_feed(db.clone(), Arc::clone(&wakers), shutdown.clone()));
        let push_client = client.with_host_limit(push::MAX_PER_HOST);
        let fcm = fcm.map(|config| Fcm::new(config, push_client.clone(), &fcm_url, google_token_url));
        let pushes = Pushes {
            db: db.clone(),
            sealer: sealer.clone(),
            client: push_client,
            fcm,
            public_url: public_url.clone(),
            vapid: OnceCell::new(),
        };
        tasks.spawn(loader::run(pushes, Arc::clone(&wakers.pushes), shutdown.clone()));
        if let Some(config) = mail {
            tasks.spawn(loader::run(Mailer::new(db.clone(), config), Arc::clone(&wakers.mails), shutdown.clone()));
            tasks.spawn(mail::run_digests(db.clone(), shutdown.clone()));
        }
        let sender = Sender {
            db: db.clone(),
            sealer,
            client,
            wakers,
            metrics: Arc::clone(&metrics),
            owners: Sender::slots_of_owners(),
            bridges: Arc::clone(&bridges),
            shutdown: shutdown.clone(),
        };
        sender.spawn(&tasks);
        tasks.spawn(shutdown.clone().run_until_cancelled_owned(clean_up(db.clone(), bridges)));
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

/// Disables endpoints and bridges for which too much waits, and deletes what deleted ones leave.
async fn clean_up(db: PgPool, bridges: Arc<Bridges>) {
    loop {
        sleep(CLEAN_UP_INTERVAL).await;
        bridges.remove_stale();
        if let Err(error) = clean_up_once(&db).await {
            tracing::warn!(%error, "cannot clean up the outbox");
        }
    }
}

async fn clean_up_once(db: &PgPool) -> chat_core::Result<()> {
    // One process at a time.
    let Some(_lock) = clean_up::lock_clean_up(db).await? else { return Ok(()) };
    for (endpoint, bridge) in clean_up::list_overfull(db).await? {
        if let Some(endpoint) = endpoint {
            tracing::info!(%endpoint, "too many deliveries wait; disabling the endpoint");
            webhook_endpoints::disable(db, endpoint, DisabledReason::Backlog).await?;
        }
        if let Some(bridge) = bridge {
            chat_core::bridges::disable(db, bridge, "backlog").await?;
        }
    }
    while clean_up::purge_deleted(db).await? > 0 {}
    while ghosts::erase_orphans(db).await? > 0 {}
    google_keys::delete_unneeded(db).await?;
    oauth::clients::delete_unused(db).await?;
    chat_core::push::subscriptions::delete_ended(db).await?;
    chat_core::push::notifications::delete_old(db).await?;
    chat_core::mail::queue::delete_old(db).await?;
    Ok(())
}
