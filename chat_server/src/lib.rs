//! Confab's REST API: users, chats, messages and files, written to Postgres.
//! No handler publishes a stored event; database triggers append it, in the same commit.

mod disk_space;
mod extract;
mod jobs;
mod limits;
mod openapi;
mod request_guard;
mod router;
mod routes;
mod settings;
mod sign_in_throttle;
mod state;
mod token_access;
mod upload_form;
mod user_slots;
mod webhook_formats;
mod webhook_request;

pub use jobs::run_housekeeping;
pub use openapi::{OPENAPI_PATH, openapi_json};
pub use router::{Access, Route, routes};
pub use settings::Settings;
pub use state::{AppConfig, AppState, DemoAccount, DemoAccounts};

use chat_http::{
    WebPolicy,
    acceptor::{self, NoHook},
    connection_limits::ConnectionLimits,
    layers,
    metrics::MetricsEndpoint,
    probes,
};
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Serves only the API, as the `chat_server` program does, until `shutdown`.
pub async fn serve(
    listener: TcpListener,
    state: Arc<AppState>,
    policy: WebPolicy,
    connections: ConnectionLimits,
    metrics: MetricsEndpoint,
    shutdown: CancellationToken,
) {
    state.spawn_background_jobs(&shutdown);
    let mut registry = chat_core::metrics::new_registry();
    state.register_metrics(&mut registry);
    let probes = probes::router(state.readiness_checks(), shutdown.clone());
    let router = state.router(&shutdown).merge(probes).merge(metrics.into_router(registry, &shutdown));
    let router = layers::with_layers(router, &policy, Some(state.rate_limiter()));
    acceptor::serve(listener, connections, NoHook, router, shutdown).await;
}
