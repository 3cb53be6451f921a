//! Confab's REST API: people, chats, messages and files, written to Postgres.
//! Nothing here publishes an event; the database does, when it commits.

mod blobs;
mod extract;
mod keeping;
mod limits;
mod openapi;
mod pictures;
mod rates;
mod router;
mod routes;
mod settings;

pub use blobs::Blobs;
pub use keeping::{Keeping, tidy};
pub use openapi::{OPENAPI, openapi};
pub use rates::{Counters, InvalidRateLimits, RateLimits};
pub use router::{Route, routes};
pub use settings::Settings;

use axum::{Router, middleware};
use chat_core::{
    auth::{Hasher, LiveSessions, Signer},
    db,
    messages::Writer,
    metrics, net,
    typing::Typists,
    web::{self, Check, Origins},
    whispers::Whispers,
};
use prometheus_client::registry::Registry;
use sqlx::PgPool;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// What a chat server is made of.
#[derive(Debug)]
pub struct Api {
    /// Where everything is.
    pub db: PgPool,
    /// Signs and checks tokens.
    pub signer: Signer,
    /// Knows which sessions have not ended.
    pub live: LiveSessions,
    /// Hashes passwords.
    pub hasher: Hasher,
    /// Writes messages.
    pub writer: Writer,
    /// Says who comes and goes.
    pub whispers: Whispers,
    /// Says who types.
    pub typists: Typists,
    /// Holds the bytes of files.
    pub blobs: Blobs,
    /// Counts who asks how often.
    pub counters: Counters,
    /// How long things are kept, and how much of them.
    pub keeping: Keeping,
    /// Whether the demo world's sign-ins are offered to everybody.
    pub offers_demo: bool,
}

impl Api {
    /// The routes.
    pub fn router(self: &Arc<Self>) -> Router {
        let limits = middleware::from_fn_with_state(Arc::clone(self), rates::limit);
        routes().into_router().layer(limits).with_state(Arc::clone(self)).merge(openapi::router())
    }

    /// Starts the work that goes on beside the requests, until `shutdown`.
    pub fn tend(self: &Arc<Self>, shutdown: &CancellationToken) {
        keeping::start(self, shutdown);
    }

    /// Adds the server's figures to those of its process.
    pub fn register(&self, registry: &mut Registry) {
        self.writer.register(registry);
    }

    /// What readiness depends on.
    pub fn checks(&self) -> Vec<Check> {
        let pool = self.db.clone();
        vec![Check::new("database_and_migrations", move || {
            let pool = pool.clone();
            async move { db::is_ready(&pool).await.unwrap_or(false) }
        })]
    }
}

/// Serves the API alone, as the `chat_server` program does.
pub async fn serve(
    listener: TcpListener,
    api: Arc<Api>,
    origins: Origins,
    max_connections: usize,
    figures: metrics::Place,
    shutdown: CancellationToken,
) {
    api.tend(&shutdown);
    let mut registry = metrics::registry();
    api.register(&mut registry);
    let probes = web::probes(api.checks(), shutdown.clone());
    let router = api.router().merge(probes).merge(figures.serve(registry, &shutdown));
    let router = web::with_layers(router, &origins);
    net::serve(listener, max_connections, net::NoFront, router, shutdown).await;
}
