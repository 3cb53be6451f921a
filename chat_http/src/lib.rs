//! Code that Confab's HTTP servers share: errors as problem+json, the layers around
//! every route, extractors, rate limits, the acceptor with graceful shutdown,
//! settings and logs. It uses the domain's errors and ids, and contains no domain
//! rules.
#![warn(missing_docs)]

pub mod accept_encoding;
pub mod acceptor;
pub mod authorization_server;
pub mod config;
pub mod connection_limits;
pub mod cookies;
pub mod cors;
pub mod extract;
pub mod layers;
pub mod metrics;
pub mod probes;
pub mod problem;
pub mod rate_limit;
pub mod refusals;
pub mod request_id;
mod rewind;
pub mod settings;
pub mod shutdown;
pub mod sign_up;
pub mod telemetry;
pub mod trusted_proxies;
pub mod web_policy;

pub use cors::AllowedOrigins;
pub use probes::ReadinessCheck;
pub use problem::{ApiError, Problem, Result};
pub use web_policy::WebPolicy;
