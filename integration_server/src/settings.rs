//! The settings of the `integration_server` program.

use chat_http::settings::{DatabaseSettings, IntegrationBind, LogSettings, OutgoingSettings, RequiredSecretsSettings};

/// Send Confab's events to other servers. Each setting is a flag, an environment variable, or a
/// key of `config.toml`.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "integration_server", version, about = "Send Confab's events to other servers")]
pub struct Settings {
    #[command(flatten)]
    pub bind: IntegrationBind,
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub secrets: RequiredSecretsSettings,
    #[command(flatten)]
    pub outgoing: OutgoingSettings,
    #[command(flatten)]
    pub log: LogSettings,
}
