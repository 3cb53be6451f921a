//! Confab's event server: follows the event log and sends every event to the
//! connections of its audience, as Server-Sent Events or over WebSocket.
//!
//! `listener` reads the log, `relay` shares it between replicas, `hub` routes it,
//! `connection` serves one client, and `sse` and `ws` are its protocols.

mod connection;
mod ephemeral;
mod frame;
mod handshake;
mod hub;
mod listener;
mod membership_loader;
mod metrics;
mod presence;
mod raw_http;
mod relay;
mod replay_buffer;
mod replica;
mod send_queue;
mod settings;
mod sse;
mod transport;
mod ws;

pub use listener::Health;
pub use raw_http::SseFastPath;
pub use settings::Settings;

use axum::{Router, routing::get};
use chat_core::{
    UserId,
    auth::{Authenticator, Verifier},
    ephemeral::EphemeralBus,
    messages::Writer,
    redis::Redis,
    typing::TypingNotifier,
};
use chat_http::{
    ReadinessCheck, WebPolicy, acceptor, connection_limits::ConnectionLimits, layers, metrics::MetricsEndpoint, probes,
    rate_limit::RateLimiter, refusals::Refusals,
};
use ephemeral::EphemeralDispatcher;
use governor::{DefaultKeyedRateLimiter, Quota};
use hub::Hub;
use listener::Listener;
use membership_loader::MembershipLoader;
use metrics::Metrics;
use presence::PresenceTracker;
use prometheus_client::registry::Registry;
use relay::{Publisher, RedisRelay, Relay};
use replica::Replica;
use sqlx::PgPool;
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;

/// Maximum number of connections that read missed events from the database at once.
/// Others wait, so that many simultaneous reconnects do not delay other queries.
const MAX_CONCURRENT_CATCH_UPS: usize = 8;

/// The path of event streams.
pub const EVENTS_PATH: &str = "/events";

/// The path of WebSockets.
pub const WEBSOCKET_PATH: &str = "/ws";

/// Maximum number of commands of one user per second, over all WebSockets of the user,
/// and in one burst.
const COMMANDS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const COMMAND_BURST: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// How often users and addresses that have their full rate limits again are removed.
const STALE_LIMITS_INTERVAL: Duration = Duration::from_secs(60);

/// How often `wait_until_live` checks whether the log is being followed.
const LIVE_POLL_INTERVAL: Duration = Duration::from_millis(5);

/// The dependencies of a notify server. The database and Redis need not be available
/// yet.
#[derive(Debug)]
pub struct Deps {
    /// The listening address, which identifies the server among the replicas.
    pub name: String,
    /// The database that holds the log.
    pub db: PgPool,
    /// Carries events between replicas, if there are several.
    pub redis: Option<Redis>,
    /// Writes the messages that clients send by WebSocket.
    pub writer: Writer,
    /// Verifies tokens.
    pub verifier: Verifier,
    /// Which pages may connect, and at which hosts.
    pub policy: WebPolicy,
    /// Whether the server is ready although the database can lose acknowledged writes.
    pub is_volatile_database_allowed: bool,
    /// Limits the requests of each address, and what each user writes.
    pub rate_limiter: Arc<RateLimiter>,
}

/// A notify server: follows the log and serves connections.
#[derive(Debug)]
pub struct NotifyServer {
    db: PgPool,
    writer: Writer,
    ephemeral: EphemeralBus,
    typing: TypingNotifier,
    command_limiter: DefaultKeyedRateLimiter<UserId>,
    refusals: Refusals,
    authenticator: Authenticator,
    policy: WebPolicy,
    is_volatile_database_allowed: bool,
    rate_limiter: Arc<RateLimiter>,
    hub: Arc<Hub>,
    membership_loader: MembershipLoader,
    catch_up_permits: Semaphore,
    health: Arc<Health>,
    metrics: Arc<Metrics>,
    shutdown: CancellationToken,
}

impl NotifyServer {
    /// Starts following the log of a database. Shares the work with the other
    /// replicas if there is a Redis.
    pub fn start(deps: Deps, shutdown: CancellationToken) -> Arc<Self> {
        let Deps { name, db, redis, writer, verifier, policy, is_volatile_database_allowed, rate_limiter } = deps;
        let hub = Arc::new(Hub::default());
        let (health, metrics) = (Arc::new(Health::default()), Arc::new(Metrics::default()));
        let replica = Replica::start(db.clone(), name, Arc::clone(&metrics), shutdown.clone());
        let ephemeral = EphemeralBus::new(db.clone(), redis.clone());
        let dispatcher = EphemeralDispatcher::start(ephemeral.clone(), db.clone(), Arc::clone(&hub), shutdown.clone());
        PresenceTracker::start(
            db.clone(),
            Arc::clone(&hub),
            ephemeral.clone(),
            replica.clone(),
            Arc::clone(&metrics),
            shutdown.clone(),
        );
        let relay = match redis {
            None => Relay::Local,
            Some(redis) => {
                let publisher = Publisher::start(redis.clone(), db.clone(), Arc::clone(&metrics), shutdown.clone());
                Relay::Redis(Box::new(RedisRelay::new(redis, db.clone(), replica.is_leader, publisher)))
            }
        };
        let listener = Listener {
            db: db.clone(),
            hub: Arc::clone(&hub),
            relay,
            ephemeral: dispatcher,
            health: Arc::clone(&health),
            metrics: Arc::clone(&metrics),
        };
        tokio::spawn({
            let (hub, shutdown) = (Arc::clone(&hub), shutdown.clone());
            async move {
                listener.run(shutdown).await;
                hub.stop();
            }
        });
        let membership_loader = MembershipLoader::start(db.clone(), Arc::clone(&metrics), shutdown.clone());
        let quota = Quota::per_second(COMMANDS_PER_SECOND).allow_burst(COMMAND_BURST);
        let authenticator = Authenticator::new(db.clone(), verifier);
        let server = Arc::new(Self {
            typing: TypingNotifier::new(db.clone(), ephemeral.clone()),
            db,
            writer,
            ephemeral,
            command_limiter: DefaultKeyedRateLimiter::keyed(quota),
            refusals: Refusals::default(),
            authenticator,
            policy,
            is_volatile_database_allowed,
            rate_limiter,
            hub,
            membership_loader,
            catch_up_permits: Semaphore::new(MAX_CONCURRENT_CATCH_UPS),
            health,
            metrics,
            shutdown,
        });
        let shutdown = server.shutdown.clone();
        tokio::spawn(shutdown.run_until_cancelled_owned(remove_stale_limits(Arc::clone(&server))));
        server
    }

    /// Returns the routes, for connections that axum serves.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new()
            .route(EVENTS_PATH, get(sse::events))
            .route(WEBSOCKET_PATH, get(ws::upgrade))
            .with_state(Arc::clone(self))
    }

    /// Returns the hook that serves a connection without hyper if its first request
    /// opens an event stream.
    pub fn connection_hook(self: &Arc<Self>) -> SseFastPath {
        SseFastPath::new(Arc::clone(self))
    }

    /// Waits until the log is being followed.
    pub async fn wait_until_live(&self) {
        while !self.health.is_live() {
            tokio::time::sleep(LIVE_POLL_INTERVAL).await;
        }
    }

    /// Adds the server's metrics to those of its process.
    pub fn register(&self, registry: &mut Registry) {
        self.metrics.register(registry, &self.hub);
    }

    /// Returns the readiness checks of this server.
    pub fn checks(&self) -> Vec<ReadinessCheck> {
        let health = Arc::clone(&self.health);
        let mut checks = vec![ReadinessCheck::new("listener", move || {
            let health = Arc::clone(&health);
            async move { health.is_live() }
        })];
        if !self.is_volatile_database_allowed {
            checks.push(ReadinessCheck::durable_database(self.db.clone()));
        }
        checks
    }
}

/// Serves a notify server without a chat server, as the `notify_server` program does.
pub async fn serve(
    listener: TcpListener,
    notify: Arc<NotifyServer>,
    connections: ConnectionLimits,
    metrics: MetricsEndpoint,
) {
    let mut registry = chat_core::metrics::new_registry();
    notify.register(&mut registry);
    notify.writer.register(&mut registry);
    let probes = probes::router(notify.checks(), notify.shutdown.clone());
    let router = notify.router().merge(probes).merge(metrics.into_router(registry, &notify.shutdown));
    let router = layers::with_layers(router, &notify.policy, Some(Arc::clone(&notify.rate_limiter)));
    acceptor::serve(listener, connections, notify.connection_hook(), router, notify.shutdown.clone()).await;
}

async fn remove_stale_limits(notify: Arc<NotifyServer>) {
    loop {
        tokio::time::sleep(STALE_LIMITS_INTERVAL).await;
        notify.rate_limiter.remove_stale();
        notify.command_limiter.retain_recent();
        notify.refusals.remove_stale();
    }
}
