//! The `/metrics` endpoint: with the other routes, or on a separate address that
//! need not be public.

use crate::{
    WebPolicy,
    acceptor::{self, NoHook},
    connection_limits::ConnectionLimits,
    layers,
};
use axum::{Router, http::header, routing::get};
use prometheus_client::{encoding::text, registry::Registry};
use std::{io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The path of the metrics endpoint.
pub const METRICS_PATH: &str = "/metrics";

/// The media type of OpenMetrics 1.0.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Maximum number of connections to a dedicated address.
const MAX_SCRAPERS: usize = 16;

/// Where metrics are served.
#[derive(Debug)]
pub enum MetricsEndpoint {
    /// With the other routes.
    Shared,
    /// On a separate address.
    Dedicated(TcpListener),
}

impl MetricsEndpoint {
    /// Creates a dedicated endpoint if there is an address, and a shared one if not.
    pub async fn bind(address: Option<SocketAddr>) -> io::Result<Self> {
        Ok(match address {
            Some(address) => Self::Dedicated(TcpListener::bind(address).await?),
            None => Self::Shared,
        })
    }

    /// Returns the route to add to a server. A dedicated endpoint instead serves the
    /// metrics itself until `shutdown` and adds no route.
    pub fn into_router(self, registry: Registry, shutdown: &CancellationToken) -> Router {
        let router = router(registry);
        match self {
            Self::Shared => router,
            Self::Dedicated(listener) => {
                let router = layers::with_layers(router, &WebPolicy::default(), None);
                tokio::spawn(acceptor::serve(
                    listener,
                    ConnectionLimits::in_all(MAX_SCRAPERS),
                    NoHook,
                    router,
                    shutdown.clone(),
                ));
                Router::new()
            }
        }
    }
}

fn router(registry: Registry) -> Router {
    let registry = Arc::new(registry);
    let handler = move || {
        let mut body = String::new();
        text::encode(&mut body, &registry).expect("writing to a string cannot fail");
        async move { ([(header::CONTENT_TYPE, MEDIA_TYPE)], body) }
    };
    Router::new().route(METRICS_PATH, get(handler))
}
