//! The settings of the `notify_server` program.

use chat_http::settings::{
    DatabaseSettings, DurabilitySettings, LogSettings, NetworkSettings, NotifyBind, NotifyConnectionSettings,
    NotifyMetricsSettings, RateLimitSettings, RedisSettings, VerifyingKeySettings, WebSettings,
};

/// Serve Confab's events by SSE and WebSocket. Each setting is a flag, an environment
/// variable, or a key of `config.toml`.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "notify_server", version, about = "Serve Confab's events by SSE and WebSocket")]
pub struct Settings {
    #[command(flatten)]
    pub bind: NotifyBind,
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub redis: RedisSettings,
    #[command(flatten)]
    pub keys: VerifyingKeySettings,
    #[command(flatten)]
    pub web: WebSettings,
    #[command(flatten)]
    pub durability: DurabilitySettings,
    #[command(flatten)]
    pub limits: RateLimitSettings,
    #[command(flatten)]
    pub metrics: NotifyMetricsSettings,
    #[command(flatten)]
    pub network: NetworkSettings,
    #[command(flatten)]
    pub connections: NotifyConnectionSettings,
    #[command(flatten)]
    pub log: LogSettings,
}
