//! The settings of the `integration_server` program.

use chat_http::settings::{
    DataSettings, DatabaseSettings, FcmKeySettings, FcmSettings, IntegrationBind, LogSettings, MailSettings,
    NetworkUrls, OutgoingSettings, PublicUrlSettings, QuotaSettings, RequiredSecretsSettings, SmtpSettings,
};

/// Connect Confab to other servers. Each setting is a flag, an environment variable, or a
/// key of `config.toml`.
#[derive(Debug, Clone, clap::Parser)]
#[command(
    name = "integration_server",
    version,
    about = "Connect Confab to other servers: outgoing webhooks and bridges"
)]
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
    pub data: DataSettings,
    #[command(flatten)]
    pub quota: QuotaSettings,
    #[command(flatten)]
    pub networks: NetworkUrls,
    #[command(flatten)]
    pub public: PublicUrlSettings,
    #[command(flatten)]
    pub fcm: FcmSettings,
    #[command(flatten)]
    pub fcm_key: FcmKeySettings,
    #[command(flatten)]
    pub mail: MailSettings,
    #[command(flatten)]
    pub smtp: SmtpSettings,
    #[command(flatten)]
    pub log: LogSettings,
}
