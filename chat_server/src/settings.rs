//! The settings of the `chat_server` program.

use chat_http::settings::{
    AccountSettings, ChatBind, ChatConnectionSettings, ChatMetricsSettings, DataSettings, DatabaseSettings,
    DemoSettings, DiskSettings, DurabilitySettings, FcmSettings, LogSettings, MailSettings, NetworkSettings,
    OutgoingSettings, RateLimitSettings, RedisSettings, RetentionSettings, SecretsSettings, SigningKeySettings,
    WebSettings,
};

/// Serve Confab's REST API. Each setting is a flag, an environment variable, or a key of
/// `config.toml`.
#[derive(Debug, Clone, clap::Parser)]
#[command(name = "chat_server", version, about = "Serve Confab's REST API")]
pub struct Settings {
    #[command(flatten)]
    pub bind: ChatBind,
    #[command(flatten)]
    pub database: DatabaseSettings,
    #[command(flatten)]
    pub redis: RedisSettings,
    #[command(flatten)]
    pub data: DataSettings,
    #[command(flatten)]
    pub keys: SigningKeySettings,
    #[command(flatten)]
    pub secrets: SecretsSettings,
    #[command(flatten)]
    pub outgoing: OutgoingSettings,
    #[command(flatten)]
    pub web: WebSettings,
    #[command(flatten)]
    pub limits: RateLimitSettings,
    #[command(flatten)]
    pub durability: DurabilitySettings,
    #[command(flatten)]
    pub disk: DiskSettings,
    /// Accounts.
    #[command(flatten)]
    pub accounts: AccountSettings,
    #[command(flatten)]
    pub fcm: FcmSettings,
    #[command(flatten)]
    pub mail: MailSettings,
    #[command(flatten)]
    pub network: NetworkSettings,
    #[command(flatten)]
    pub retention: RetentionSettings,
    #[command(flatten)]
    pub demo: DemoSettings,
    #[command(flatten)]
    pub metrics: ChatMetricsSettings,
    #[command(flatten)]
    pub connections: ChatConnectionSettings,
    #[command(flatten)]
    pub log: LogSettings,
}
