//! What a process tells about itself: counters, gauges and histograms in the
//! OpenMetrics text that Prometheus reads. A part of the house owns its figures
//! and registers them; there is no global registry, so that two servers in one
//! process do not count for each other.

use crate::{
    net::{self, NoFront},
    web::{self, Origins},
};
use axum::{Router, http::header, routing::get};
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text},
    metrics::{
        gauge::ConstGauge,
        histogram::{Histogram, exponential_buckets},
    },
    registry::Registry,
};
use std::{fmt, io, net::SocketAddr, sync::Arc};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Where the figures are.
pub const METRICS: &str = "/metrics";

/// The media type of OpenMetrics 1.0.
const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The most that may scrape at once, on an address of its own.
const MAX_SCRAPERS: usize = 16;

/// An empty registry, in which every name begins with `confab_`.
pub fn registry() -> Registry {
    Registry::with_prefix("confab")
}

/// Where the figures are served.
#[derive(Debug)]
pub enum Place {
    /// Beside everything else.
    Here,
    /// On an address of its own, which the outside does not reach.
    Apart(TcpListener),
}

impl Place {
    /// Apart, if there is an address for it.
    pub async fn at(address: Option<SocketAddr>) -> io::Result<Self> {
        Ok(match address {
            Some(address) => Self::Apart(TcpListener::bind(address).await?),
            None => Self::Here,
        })
    }

    /// The route to add to a server; none if the figures are served apart, until
    /// `shutdown`.
    pub fn serve(self, registry: Registry, shutdown: &CancellationToken) -> Router {
        let router = router(registry);
        match self {
            Self::Here => router,
            Self::Apart(listener) => {
                let router = web::with_layers(router, &Origins::default());
                tokio::spawn(net::serve(listener, MAX_SCRAPERS, NoFront, router, shutdown.clone()));
                Router::new()
            }
        }
    }
}

fn router(registry: Registry) -> Router {
    let registry = Arc::new(registry);
    let answer = move || {
        let mut body = String::new();
        // Writing to memory that grows cannot fail.
        let _ = text::encode(&mut body, &registry);
        async move { ([(header::CONTENT_TYPE, MEDIA_TYPE)], body) }
    };
    Router::new().route(METRICS, get(answer))
}

/// A histogram of durations in seconds: from 50 µs to 26 s, doubling.
pub fn seconds() -> Histogram {
    Histogram::new(exponential_buckets(0.000_05, 2.0, 20))
}

/// A histogram of numbers of things: from 1 to 65,536, doubling.
pub fn counts() -> Histogram {
    Histogram::new(exponential_buckets(1.0, 2.0, 17))
}

/// Registers a gauge that is read when somebody scrapes.
pub fn gauge(
    registry: &mut Registry,
    name: &'static str,
    help: &'static str,
    read: impl Fn() -> i64 + Send + Sync + 'static,
) {
    registry.register_collector(Box::new(Asked { name, help, read }));
}

struct Asked<F> {
    name: &'static str,
    help: &'static str,
    read: F,
}

impl<F> fmt::Debug for Asked<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl<F: Fn() -> i64 + Send + Sync + 'static> Collector for Asked<F> {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let gauge = ConstGauge::new((self.read)());
        let encoder = encoder.encode_descriptor(self.name, self.help, None, gauge.metric_type())?;
        gauge.encode(encoder)
    }
}
