//! The web origins that may call the server from a browser.

use axum::http::{HeaderName, HeaderValue, Method, header};
use std::{sync::Arc, time::Duration};
use tower_http::cors::{AllowOrigin, CorsLayer};

/// How long a browser may cache a preflight response.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// The error for text that is not a web origin.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an origin; use the form https://chat.example or http://127.0.0.1:3000, without a path")]
pub struct InvalidOrigin(String);

/// The web origins, in addition to the server's own, whose pages may call the server.
#[derive(Debug, Clone, Default)]
pub struct AllowedOrigins(Arc<[HeaderValue]>);

impl AllowedOrigins {
    /// Parses a comma-separated list such as `https://chat.example`.
    pub fn parse(list: &str) -> Result<Self, InvalidOrigin> {
        let origins = list.split(',').map(str::trim).filter(|origin| !origin.is_empty());
        let parse = |origin: &str| {
            let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"));
            let is_bare = host.is_some_and(|host| !host.is_empty() && !host.contains(['/', ' ', '*', '?', '#']));
            let value = HeaderValue::from_str(origin).ok().filter(|_| is_bare);
            value.ok_or_else(|| InvalidOrigin(origin.to_owned()))
        };
        Ok(Self(origins.map(parse).collect::<Result<_, _>>()?))
    }

    /// Whether this origin is on the list.
    pub fn is_allowed(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    pub(crate) fn cors(&self) -> CorsLayer {
        let exposed = ["x-request-id", "retry-after", "ratelimit-limit", "ratelimit-remaining", "ratelimit-reset"];
        CorsLayer::new()
            .allow_origin(AllowOrigin::list(self.0.iter().cloned()))
            .allow_methods([Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE])
            .allow_headers([header::AUTHORIZATION, header::CONTENT_TYPE, HeaderName::from_static("last-event-id")])
            .allow_credentials(true)
            .expose_headers(exposed.map(HeaderName::from_static))
            .max_age(MAX_AGE)
    }
}
