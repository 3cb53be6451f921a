//! Confab's wire: follows the event log and carries every event to the devices
//! of those who may hear it, as Server-Sent Events.
//!
//! `listener` reads the log, `relay` hands it over, `hub` routes it, `session`
//! is one device, `sse` and `ws` are its transports.

mod figures;
mod frame;
mod front;
mod hub;
mod listener;
mod opening;
mod outbox;
mod presence;
mod relay;
mod replica;
mod ring;
mod roster;
mod session;
mod settings;
mod sse;
mod whispers;
mod wire;
mod ws;

pub use front::StreamFront;
pub use listener::Health;
pub use settings::Settings;

use axum::{Router, routing::get};
use chat_core::{
    UserId,
    auth::Verifier,
    messages::Writer,
    metrics, net,
    redis::Redis,
    typing::Typists,
    web::{self, Check, Origins},
    whispers::Whispers,
};
use figures::Figures;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use hub::Hub;
use listener::Listener;
use presence::Keeper;
use prometheus_client::registry::Registry;
use relay::{Publisher, Relay, Shared};
use replica::Replica;
use roster::Roster;
use sqlx::PgPool;
use std::{num::NonZeroU32, sync::Arc, time::Duration};
use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use whispers::Ear;

/// How many devices may read missed events from the database at once; the rest
/// wait their turn, so that a storm of reconnects leaves it room to live.
const CATCH_UP_PLACES: usize = 8;

/// Where event streams are.
pub const EVENTS: &str = "/events";

/// Where WebSockets are.
pub const WEBSOCKET: &str = "/ws";

/// How many commands one person may send a second on their WebSockets, and how
/// many at once.
const COMMANDS_PER_SECOND: NonZeroU32 = NonZeroU32::new(50).expect("not zero");
const COMMANDS_AT_ONCE: NonZeroU32 = NonZeroU32::new(200).expect("not zero");

/// How often a start looks whether the log is being followed.
const LIVE_POLL: Duration = Duration::from_millis(5);

/// What a notify server stands on. Neither the database nor Redis need be up yet.
#[derive(Debug)]
pub struct Parts {
    /// Where it listens: how it is called among the replicas.
    pub name: String,
    /// Where the log is.
    pub db: PgPool,
    /// Where other replicas are met.
    pub redis: Option<Redis>,
    /// Writes messages that come by WebSocket.
    pub writer: Writer,
    /// Knows tokens.
    pub verifier: Verifier,
    /// Whose pages may open streams.
    pub origins: Origins,
}

/// A notify server: follows the log, and serves streams.
#[derive(Debug)]
pub struct Notify {
    db: PgPool,
    writer: Writer,
    whispers: Whispers,
    typists: Typists,
    commands: DefaultKeyedRateLimiter<UserId>,
    verifier: Verifier,
    origins: Origins,
    hub: Arc<Hub>,
    roster: Roster,
    catch_up_places: Semaphore,
    health: Arc<Health>,
    figures: Arc<Figures>,
    shutdown: CancellationToken,
}

impl Notify {
    /// Starts following the log of a database, together with the other replicas if
    /// there is a Redis.
    pub fn start(parts: Parts, shutdown: CancellationToken) -> Arc<Self> {
        let Parts { name, db, redis, writer, verifier, origins } = parts;
        let hub = Arc::new(Hub::default());
        let (health, figures) = (Arc::new(Health::default()), Arc::new(Figures::default()));
        let replica = Replica::start(db.clone(), name, Arc::clone(&figures), shutdown.clone());
        let whispers = Whispers::new(db.clone(), redis.clone());
        let ear = Ear::start(whispers.clone(), db.clone(), Arc::clone(&hub), shutdown.clone());
        Keeper::start(
            db.clone(),
            Arc::clone(&hub),
            whispers.clone(),
            replica.clone(),
            Arc::clone(&figures),
            shutdown.clone(),
        );
        let relay = match redis {
            None => Relay::Local,
            Some(redis) => {
                let publisher = Publisher::start(redis.clone(), db.clone(), Arc::clone(&figures), shutdown.clone());
                Relay::Redis(Box::new(Shared::new(redis, db.clone(), replica.leads, publisher)))
            }
        };
        let listener = Listener {
            db: db.clone(),
            hub: Arc::clone(&hub),
            relay,
            ear,
            health: Arc::clone(&health),
            figures: Arc::clone(&figures),
        };
        tokio::spawn({
            let (hub, shutdown) = (Arc::clone(&hub), shutdown.clone());
            async move {
                listener.run(shutdown).await;
                hub.stop();
            }
        });
        let roster = Roster::start(db.clone(), Arc::clone(&figures), shutdown.clone());
        let quota = Quota::per_second(COMMANDS_PER_SECOND).allow_burst(COMMANDS_AT_ONCE);
        Arc::new(Self {
            typists: Typists::new(db.clone(), whispers.clone()),
            db,
            writer,
            whispers,
            commands: RateLimiter::keyed(quota),
            verifier,
            origins,
            hub,
            roster,
            catch_up_places: Semaphore::new(CATCH_UP_PLACES),
            health,
            figures,
            shutdown,
        })
    }

    /// The routes, for connections that come through axum.
    pub fn router(self: &Arc<Self>) -> Router {
        Router::new().route(EVENTS, get(sse::events)).route(WEBSOCKET, get(ws::upgrade)).with_state(Arc::clone(self))
    }

    /// Serves the first request of a connection itself if it asks for a stream.
    pub fn front(self: &Arc<Self>) -> StreamFront {
        StreamFront::new(Arc::clone(self))
    }

    /// Returns once the log is being followed.
    pub async fn live(&self) {
        while !self.health.is_live() {
            tokio::time::sleep(LIVE_POLL).await;
        }
    }

    /// Adds the server's figures to those of its process.
    pub fn register(&self, registry: &mut Registry) {
        self.figures.register(registry, &self.hub);
    }

    /// What readiness depends on.
    pub fn checks(&self) -> Vec<Check> {
        let health = Arc::clone(&self.health);
        vec![Check::new("listener", move || {
            let health = Arc::clone(&health);
            async move { health.is_live() }
        })]
    }
}

/// Serves streams alone, as the `notify_server` program does.
pub async fn serve(listener: TcpListener, notify: Arc<Notify>, max_connections: usize, figures: metrics::Place) {
    let mut registry = metrics::registry();
    notify.register(&mut registry);
    notify.writer.register(&mut registry);
    let probes = web::probes(notify.checks(), notify.shutdown.clone());
    let router = notify.router().merge(probes).merge(figures.serve(registry, &notify.shutdown));
    let router = web::with_layers(router, &notify.origins);
    net::serve(listener, max_connections, notify.front(), router, notify.shutdown.clone()).await;
}
