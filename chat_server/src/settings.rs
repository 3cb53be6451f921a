//! What a chat server can be told.

use crate::{Keeping, RateLimits};
use chat_core::telemetry::LogFormat;
use std::{net::SocketAddr, path::PathBuf};

/// The settings of the `chat_server` program; each is a flag, an environment
/// variable, or a key of `config.toml`.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "chat_server", version, about = "Confab's REST API")]
pub struct Settings {
    /// Where to listen.
    #[arg(long, env = "CHAT_BIND", default_value = "127.0.0.1:6688")]
    pub chat_bind: SocketAddr,
    /// The database.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Redis, where the notify servers hear who types; without it they hear it from
    /// the database.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// Where uploaded files are kept.
    #[arg(long, env = "CHAT_DATA_DIR", default_value = "data")]
    pub chat_data_dir: PathBuf,
    /// The Ed25519 key that signs tokens, PKCS#8 PEM.
    #[arg(long, env = "JWT_PRIVATE_KEY_FILE")]
    pub jwt_private_key_file: PathBuf,
    /// Public halves of the keys that signed before, whose tokens are still good.
    #[arg(long, env = "JWT_PUBLIC_KEY_FILE")]
    pub jwt_public_key_file: Option<PathBuf>,
    /// Web origins, separated by commas, whose pages may call.
    #[arg(long, env = "CORS_ORIGINS", default_value = "")]
    pub cors_origins: String,
    /// The most connections held at once.
    #[arg(long, env = "CHAT_MAX_CONNECTIONS", default_value_t = 10_000)]
    pub chat_max_connections: usize,
    /// Where to answer `/metrics`, apart from everything else; without it, beside
    /// the rest.
    #[arg(long, env = "CHAT_METRICS_BIND")]
    pub chat_metrics_bind: Option<SocketAddr>,
    /// How often one may ask: on, off, or some of
    /// auth=60/m,upload=120/m,write=50/s,read=100/s,address=1000/s.
    #[arg(long, env = "RATE_LIMITS", default_value = "on")]
    pub rate_limits: RateLimits,
    /// How many proxies of yours stand before this server: so far down
    /// X-Forwarded-For is the caller.
    #[arg(long, env = "PROXIES", default_value_t = 0)]
    pub proxies: usize,
    /// Whether the demo world's sign-ins are offered to everybody who comes.
    #[arg(long, env = "OFFER_DEMO")]
    pub offer_demo: bool,
    #[command(flatten)]
    pub keeping: Keeping,
    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}
