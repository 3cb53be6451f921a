//! The settings of what is sent to other servers.

use chat_core::{outgoing::AllowedTargets, sealing::Sealer};
use clap::{Args, builder::NonEmptyStringValueParser};
use std::{io, net::SocketAddr, path::PathBuf};
use url::Url;

/// The address of the integration server.
#[derive(Debug, Clone, Args)]
pub struct IntegrationBind {
    /// Address of the probes and the metrics of `integration_server`.
    #[arg(long, value_name = "ADDRESS", env = "INTEGRATION_BIND", default_value = "127.0.0.1:6686")]
    pub integration_bind: SocketAddr,
}

/// The keys that seal secrets in the database.
#[derive(Debug, Clone, Args)]
pub struct SecretsSettings {
    /// File with the keys that seal the secrets of outgoing webhooks and bridges in the database: 32
    /// bytes in Base64 per line, newest first. Both need it; `confab dev` creates one.
    #[arg(long, value_name = "FILE", env = "SECRETS_KEY_FILE")]
    pub secrets_key_file: Option<PathBuf>,
}

impl SecretsSettings {
    /// Reads the keys, if there is a file.
    pub fn sealer(&self) -> io::Result<Option<Sealer>> {
        self.secrets_key_file.as_deref().map(Sealer::open_file).transpose()
    }
}

/// The keys of a program that needs them.
#[derive(Debug, Clone, Args)]
pub struct RequiredSecretsSettings {
    /// File with the keys that seal the secrets of outgoing webhooks and bridges in the database: 32
    /// bytes in Base64 per line, newest first.
    #[arg(long, value_name = "FILE", env = "SECRETS_KEY_FILE")]
    pub secrets_key_file: PathBuf,
}

/// The other networks to which bridges lead.
#[derive(Debug, Clone, Args)]
pub struct NetworkUrls {
    /// URL of the Graph API of Meta, for tests.
    #[arg(long, value_name = "URL", env = "GRAPH_URL", default_value = "https://graph.facebook.com", hide = true)]
    pub graph_url: Url,
    /// URL of the API of Google Chat, for tests.
    #[arg(
        long,
        value_name = "URL",
        env = "GOOGLE_CHAT_URL",
        default_value = "https://chat.googleapis.com",
        hide = true
    )]
    pub google_chat_url: Url,
    /// URL at which Google issues access tokens, for tests.
    #[arg(
        long,
        value_name = "URL",
        env = "GOOGLE_TOKEN_URL",
        default_value = "https://oauth2.googleapis.com/token",
        hide = true
    )]
    pub google_token_url: Url,
    /// URL of Firebase Cloud Messaging, for tests.
    #[arg(long, value_name = "URL", env = "FCM_URL", default_value = "https://fcm.googleapis.com", hide = true)]
    pub fcm_url: Url,
    /// URL of the public keys of Google, for tests.
    #[arg(
        long,
        value_name = "URL",
        env = "GOOGLE_KEYS_URL",
        default_value = "https://www.googleapis.com",
        hide = true
    )]
    pub google_keys_url: Url,
}

/// The native app, for the servers that know its devices.
#[derive(Debug, Clone, Args)]
pub struct FcmSettings {
    /// Id of the Firebase project of a native app, whose devices get pushes through FCM. The servers that send
    /// them also need `FCM_SERVICE_ACCOUNT_FILE`.
    #[arg(long, value_name = "PROJECT", env = "FCM_PROJECT", value_parser = NonEmptyStringValueParser::new())]
    pub fcm_project: Option<String>,
}

/// The native app, for the servers that send pushes.
#[derive(Debug, Clone, Args)]
pub struct FcmKeySettings {
    /// File with the key of a service account of `FCM_PROJECT` that can send pushes, as Google issues it.
    #[arg(long, value_name = "FILE", env = "FCM_SERVICE_ACCOUNT_FILE")]
    pub fcm_service_account_file: Option<PathBuf>,
}

/// Requests to other servers.
#[derive(Debug, Clone, Args)]
pub struct OutgoingSettings {
    /// Servers that webhooks may call although they are private or have no TLS: networks,
    /// addresses and names, separated by commas, such as 10.1.0.0/16,build.internal. All others
    /// must be public and use https.
    #[arg(long, value_name = "TARGETS", env = "OUTGOING_ALLOW", default_value = "")]
    pub outgoing_allow: AllowedTargets,
}

/// Requests to other servers of `confab dev`.
#[derive(Debug, Clone, Args)]
pub struct OptionalOutgoingSettings {
    /// Servers that webhooks may call although they are private or have no TLS: networks,
    /// addresses and names, separated by commas. Default: those on this machine, if only this
    /// machine can reach the server.
    #[arg(long, value_name = "TARGETS", env = "OUTGOING_ALLOW")]
    pub outgoing_allow: Option<AllowedTargets>,
}
