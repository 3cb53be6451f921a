//! What a notify server can be told.

use chat_core::telemetry::LogFormat;
use std::{net::SocketAddr, path::PathBuf};

/// The settings of the `notify_server` program; each is a flag, an environment
/// variable, or a key of `config.toml`.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "notify_server", version, about = "Confab's event streams")]
pub struct Settings {
    /// Where to listen.
    #[arg(long, env = "NOTIFY_BIND", default_value = "127.0.0.1:6687")]
    pub notify_bind: SocketAddr,
    /// The database that holds the event log.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
    /// Redis, through which replicas share one reading of the log; without it each
    /// reads for itself.
    #[arg(long, env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
    /// The public half of the key that signs tokens.
    #[arg(long, env = "JWT_PUBLIC_KEY_FILE")]
    pub jwt_public_key_file: PathBuf,
    /// Web origins, separated by commas, whose pages may open streams.
    #[arg(long, env = "CORS_ORIGINS", default_value = "")]
    pub cors_origins: String,
    /// The most connections held at once.
    #[arg(long, env = "NOTIFY_MAX_CONNECTIONS", default_value_t = 18_000)]
    pub notify_max_connections: usize,
    /// Where to answer `/metrics`, apart from everything else; without it, beside
    /// the rest.
    #[arg(long, env = "NOTIFY_METRICS_BIND")]
    pub notify_metrics_bind: Option<SocketAddr>,
    /// How log lines look.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text")]
    pub log_format: LogFormat,
}
