//! Every setting, declared once. A program flattens the groups that it reads. The
//! union of all groups is the set of keys that `config.toml` may contain.

mod integrations;
mod mail;

pub use integrations::{
    FcmKeySettings, FcmSettings, IntegrationBind, NetworkUrls, OptionalOutgoingSettings, OutgoingSettings,
    RequiredSecretsSettings, SecretsSettings,
};
pub use mail::{MailPolicy, MailSettings, SmtpSettings};

use crate::{
    AllowedOrigins,
    connection_limits::ConnectionLimits,
    cors::InvalidOrigin,
    rate_limit::RateLimits,
    sign_up::SignUpPolicy,
    telemetry::LogFormat,
    trusted_proxies::TrustedProxies,
    web_policy::{AllowedHosts, WebPolicy},
};
use chat_core::{
    auth::{BreachedPasswords, Signer, Verifier},
    housekeeping::RetentionConfig,
    users::UserScope,
};
use clap::{Args, Parser};
use std::{
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// All settings of all programs.
#[derive(Debug, Clone, Parser)]
pub struct AllSettings {
    #[command(flatten)]
    chat_bind: ChatBind,
    #[command(flatten)]
    notify_bind: NotifyBind,
    #[command(flatten)]
    integration_bind: IntegrationBind,
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    redis: RedisSettings,
    #[command(flatten)]
    data: DataSettings,
    #[command(flatten)]
    keys: SigningKeySettings,
    #[command(flatten)]
    secrets: SecretsSettings,
    #[command(flatten)]
    outgoing: OutgoingSettings,
    #[command(flatten)]
    networks: NetworkUrls,
    #[command(flatten)]
    web: WebSettings,
    #[command(flatten)]
    limits: RateLimitSettings,
    #[command(flatten)]
    durability: DurabilitySettings,
    #[command(flatten)]
    disk: DiskSettings,
    #[command(flatten)]
    accounts: AccountSettings,
    #[command(flatten)]
    fcm: FcmSettings,
    #[command(flatten)]
    fcm_key: FcmKeySettings,
    #[command(flatten)]
    mail: MailSettings,
    #[command(flatten)]
    smtp: SmtpSettings,
    #[command(flatten)]
    network: NetworkSettings,
    #[command(flatten)]
    retention: RetentionSettings,
    #[command(flatten)]
    demo: DemoSettings,
    #[command(flatten)]
    public_demo: PublicDemoSettings,
    #[command(flatten)]
    frontend: FrontendSettings,
    #[command(flatten)]
    metrics: MetricsSettings,
    #[command(flatten)]
    chat_metrics: ChatMetricsSettings,
    #[command(flatten)]
    notify_metrics: NotifyMetricsSettings,
    #[command(flatten)]
    connections: ConnectionSettings,
    #[command(flatten)]
    chat_connections: ChatConnectionSettings,
    #[command(flatten)]
    notify_connections: NotifyConnectionSettings,
    #[command(flatten)]
    log: LogSettings,
}

/// The address of the API.
#[derive(Debug, Clone, Args)]
pub struct ChatBind {
    /// Address of the API, or of the whole server in `confab dev` and `confab serve`.
    #[arg(
        long = "bind",
        alias = "chat-bind",
        value_name = "ADDRESS",
        env = "CHAT_BIND",
        default_value = "127.0.0.1:6688"
    )]
    pub chat_bind: SocketAddr,
}

/// The address of the event streams.
#[derive(Debug, Clone, Args)]
pub struct NotifyBind {
    /// Address of the event streams.
    #[arg(long, value_name = "ADDRESS", env = "NOTIFY_BIND", default_value = "127.0.0.1:6687")]
    pub notify_bind: SocketAddr,
}

/// The database.
#[derive(Debug, Clone, Args)]
pub struct DatabaseSettings {
    /// URL of a Postgres 15 or newer, such as postgres://user:password@host/name.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: String,
}

/// The database of a program that can start one itself.
#[derive(Debug, Clone, Args)]
pub struct OptionalDatabaseSettings {
    /// URL of the database to use instead of an embedded one.
    #[arg(long, value_name = "URL", env = "DATABASE_URL", hide_env_values = true)]
    pub database_url: Option<String>,
}

/// The durability of the database.
#[derive(Debug, Clone, Copy, Args)]
pub struct DurabilitySettings {
    /// Be ready although the database can lose acknowledged writes in a crash, because fsync
    /// or full_page_writes is off; for tests.
    #[arg(long, env = "ALLOW_VOLATILE_DATABASE")]
    pub allow_volatile_database: bool,
}

/// Redis.
#[derive(Debug, Clone, Args)]
pub struct RedisSettings {
    /// URL of Redis, through which one replica relays the event log to the others;
    /// without Redis each replica reads the log itself. The form is
    /// `redis://user:password@host:6379`, `rediss://` or `unix://`; for a Redis Cluster
    /// several nodes, separated by commas.
    #[arg(long, value_name = "URL", env = "REDIS_URL", hide_env_values = true)]
    pub redis_url: Option<String>,
}

/// The data directory.
#[derive(Debug, Clone, Args)]
pub struct DataSettings {
    /// Data directory: the keys, the uploaded files and the embedded database.
    #[arg(long = "data", alias = "chat-data-dir", value_name = "DIR", env = "CHAT_DATA_DIR", default_value = "data")]
    pub chat_data_dir: PathBuf,
}

/// The keys of a server that signs tokens.
#[derive(Debug, Clone, Args)]
pub struct SigningKeySettings {
    /// File with the Ed25519 private key that signs tokens, as PKCS#8 PEM.
    #[arg(long, value_name = "FILE", env = "JWT_PRIVATE_KEY_FILE")]
    pub jwt_private_key_file: PathBuf,
    /// File with the public keys that verify tokens, newest first.
    #[arg(long, value_name = "FILE", env = "JWT_PUBLIC_KEY_FILE")]
    pub jwt_public_key_file: Option<PathBuf>,
}

impl SigningKeySettings {
    /// Reads the keys.
    pub fn signer(&self) -> io::Result<Signer> {
        let private = &self.jwt_private_key_file;
        let signer = Signer::read(private).map_err(naming(private))?;
        match &self.jwt_public_key_file {
            Some(public) => signer.with_public_keys(public).map_err(naming(public)),
            None => Ok(signer),
        }
    }
}

/// Adds the path of a key file to an error.
fn naming(path: &Path) -> impl FnOnce(io::Error) -> io::Error {
    move |error| io::Error::new(error.kind(), format!("reading the key file {}: {error}", path.display()))
}

/// The keys of a server that only verifies tokens.
#[derive(Debug, Clone, Args)]
pub struct VerifyingKeySettings {
    /// File with the public keys that verify tokens, newest first.
    #[arg(long, value_name = "FILE", env = "JWT_PUBLIC_KEY_FILE")]
    pub jwt_public_key_file: PathBuf,
}

impl VerifyingKeySettings {
    /// Reads the keys.
    pub fn verifier(&self) -> io::Result<Verifier> {
        Verifier::read(&self.jwt_public_key_file).map_err(naming(&self.jwt_public_key_file))
    }
}

/// Web origins and the public URL.
#[derive(Debug, Clone, Args)]
pub struct WebSettings {
    /// Web origins, separated by commas, whose pages may call the server, in addition to
    /// the server's own origin.
    #[arg(long, value_name = "ORIGINS", env = "CORS_ORIGINS", default_value = "")]
    pub cors_origins: String,
    /// The public URL.
    #[command(flatten)]
    pub public: PublicUrlSettings,
}

/// The public URL.
#[derive(Debug, Clone, Args)]
pub struct PublicUrlSettings {
    /// Public URL of the server, such as `https://chat.example`. The server answers only at
    /// this host and at loopback names. With https, cookies are `Secure` and browsers use
    /// https only. Links to files for other networks begin with it, MCP clients get their tokens
    /// there, and with https it is the contact for push services.
    #[arg(long, value_name = "URL", env = "PUBLIC_URL")]
    pub public_url: Option<PublicUrl>,
}

impl WebSettings {
    /// Whether a proxy is in front of the server: it trusts one, or its public URL is not a
    /// loopback name.
    pub fn is_proxied(&self, network: &NetworkSettings) -> bool {
        let is_public = |url: &PublicUrl| !AllowedHosts::Loopback.contains(url.host());
        !network.trusted_proxies.is_empty() || self.public.public_url.as_ref().is_some_and(is_public)
    }

    /// The web policy of a server that listens on an address.
    pub fn policy(&self, bind: SocketAddr, network: &NetworkSettings) -> Result<WebPolicy, InvalidOrigin> {
        Ok(WebPolicy {
            origins: AllowedOrigins::parse(&self.cors_origins)?,
            hosts: AllowedHosts::new(self.public.public_url.as_ref(), bind, self.is_proxied(network)),
            is_https: self.public.public_url.as_ref().is_some_and(PublicUrl::is_https),
        })
    }
}

/// Rate limits.
#[derive(Debug, Clone, Args)]
pub struct RateLimitSettings {
    /// Rate limits: on, off, or some of
    /// auth=60/m, refresh=600/m, upload=120/m, write=50/s, text=262144/d (in KiB),
    /// profile=10/m, audited=30/m, edit=20/m, edit_burst=1/s, read=100/s, webhook=60/m,
    /// mail=30/h, address=1000/s, separated by commas. Off in `confab dev` unless set.
    #[arg(long, value_name = "LIMITS", env = "RATE_LIMITS")]
    pub rate_limits: Option<RateLimits>,
}

/// Disk space.
#[derive(Debug, Clone, Args)]
pub struct DiskSettings {
    /// Free space of the disk of the data directory, in bytes, below which nothing is
    /// written (507); 0 for no limit.
    #[arg(long, value_name = "BYTES", env = "MIN_FREE_BYTES", default_value_t = 256 * 1024 * 1024)]
    pub min_free_bytes: u64,
}

/// Accounts.
#[derive(Debug, Clone, Args)]
pub struct AccountSettings {
    /// Who may create an account: open, closed, invite (whoever has an invite to a chat),
    /// approval (whoever an operator
    /// approves; see `confab make-operator`), or the allowed domains of email addresses,
    /// separated by commas.
    #[arg(long, value_name = "POLICY", env = "SIGN_UP", default_value = "open")]
    pub sign_up: SignUpPolicy,
    /// Who can add the users of new accounts to groups and channels without an invite: everyone,
    /// or contacts (users with whom they share a group or private channel, or to whom they have
    /// written). Each user can change it.
    #[arg(long, value_name = "WHO", env = "GROUP_PRIVACY", default_value = "everyone")]
    pub group_privacy: UserScope,
    /// Whom the user search finds by the beginning of a name: everyone, or contacts (users who
    /// share a chat with the caller). Others are found by their exact name, and their profiles
    /// cannot be read by id. Default: contacts; everyone in `confab dev` and `confab cluster`.
    #[arg(long, value_name = "WHO", env = "USER_DIRECTORY")]
    pub user_directory: Option<UserScope>,
    /// File of passwords that nobody may choose: SHA-1 hashes in hexadecimal, one per line, in
    /// ascending order, as Have I Been Pwned publishes them.
    #[arg(long, value_name = "FILE", env = "BREACHED_PASSWORDS_FILE")]
    pub breached_passwords_file: Option<PathBuf>,
}

impl AccountSettings {
    /// Opens the file of breached passwords, if there is one.
    pub fn breached_passwords(&self) -> io::Result<Option<BreachedPasswords>> {
        let Some(file) = &self.breached_passwords_file else { return Ok(None) };
        let with_path = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", file.display()));
        BreachedPasswords::open(file).map(Some).map_err(with_path)
    }
}

/// The clients' addresses.
#[derive(Debug, Clone, Args)]
pub struct NetworkSettings {
    /// Networks of trusted reverse proxies, such as 10.0.0.0/8,::1. Their
    /// `X-Forwarded-For` header is used.
    #[arg(long, value_name = "NETWORKS", env = "TRUSTED_PROXIES", default_value = "")]
    pub trusted_proxies: TrustedProxies,
    /// Maximum number of open connections of one address or IPv6 /64 network. Loopback
    /// addresses and trusted proxies have no such limit.
    #[arg(long, value_name = "COUNT", env = "MAX_CONNECTIONS_PER_ADDRESS", default_value_t = 256)]
    pub max_connections_per_address: usize,
}

impl NetworkSettings {
    /// Returns the limits on open connections, with a maximum in all.
    pub fn connection_limits(&self, total: usize) -> ConnectionLimits {
        ConnectionLimits {
            total,
            per_address: self.max_connections_per_address,
            trusted_proxies: self.trusted_proxies.clone(),
        }
    }
}

/// How long data is kept, and how much of it.
#[derive(Debug, Clone, Copy, Args)]
pub struct RetentionSettings {
    /// Number of days that events are kept. A client can resume its stream for that long.
    #[arg(long, value_name = "DAYS", env = "EVENT_RETENTION_DAYS", default_value_t = RetentionConfig::DEFAULT.event_days)]
    pub event_retention_days: u16,
    /// Number of days that messages are kept in chats without their own setting; 0 keeps
    /// them forever.
    #[arg(long, value_name = "DAYS", env = "MESSAGE_RETENTION_DAYS", default_value_t = RetentionConfig::DEFAULT.message_days)]
    pub message_retention_days: u16,
    /// How much one user can store.
    #[command(flatten)]
    pub quota: QuotaSettings,
}

/// How much one user can store.
#[derive(Debug, Clone, Copy, Args)]
pub struct QuotaSettings {
    /// Maximum total size of one user's files, in bytes.
    #[arg(long, value_name = "BYTES", env = "USER_QUOTA_BYTES", default_value_t = RetentionConfig::DEFAULT.user_quota_bytes)]
    pub user_quota_bytes: i64,
}

impl From<RetentionSettings> for RetentionConfig {
    fn from(settings: RetentionSettings) -> Self {
        Self {
            event_days: settings.event_retention_days,
            message_days: settings.message_retention_days,
            user_quota_bytes: settings.quota.user_quota_bytes,
        }
    }
}

/// The demo accounts.
#[derive(Debug, Clone, Copy, Args)]
pub struct DemoSettings {
    /// Show the demo accounts on the sign-in page.
    #[arg(long, env = "DEMO_MODE")]
    pub demo_mode: bool,
}

/// The demo accounts of `confab dev` and `confab serve`.
#[derive(Debug, Clone, Copy, Args)]
pub struct PublicDemoSettings {
    /// Allow the demo accounts, whose password is public, on an address that other machines
    /// can reach.
    #[arg(long, env = "PUBLIC_DEMO")]
    pub public_demo: bool,
}

/// The web frontend.
#[derive(Debug, Clone, Args)]
pub struct FrontendSettings {
    /// Directory of a web frontend to serve instead of the embedded one.
    #[arg(long = "web-dir", alias = "chat-web-dir", value_name = "DIR", env = "CHAT_WEB_DIR")]
    pub chat_web_dir: Option<PathBuf>,
}

macro_rules! metrics_settings {
    ($name:ident, $field:ident, $env:literal, $of:literal) => {
        #[doc = concat!("The metrics endpoint of ", $of, ".")]
        #[derive(Debug, Clone, Copy, Args)]
        pub struct $name {
            /// The address; `None` means with the other routes.
            #[arg(long, value_name = "ADDRESS", env = $env, help = concat!("Address of `/metrics` of ", $of, "; served with the other routes unless set"))]
            pub $field: Option<SocketAddr>,
        }
    };
}

/// The metrics endpoint of `confab serve`.
#[derive(Debug, Clone, Copy, Args)]
pub struct MetricsSettings {
    /// Address of `/metrics` of `confab serve`.
    #[arg(long, value_name = "ADDRESS", env = "METRICS_BIND", default_value = "127.0.0.1:6690")]
    pub metrics_bind: SocketAddr,
}

metrics_settings!(ChatMetricsSettings, chat_metrics_bind, "CHAT_METRICS_BIND", "`chat_server`");
metrics_settings!(NotifyMetricsSettings, notify_metrics_bind, "NOTIFY_METRICS_BIND", "`notify_server`");

macro_rules! connection_settings {
    ($name:ident, $field:ident, $env:literal, $of:literal, $default:literal) => {
        #[doc = concat!("The connection limit of ", $of, ".")]
        #[derive(Debug, Clone, Copy, Args)]
        pub struct $name {
            /// Maximum number of open connections.
            #[arg(long, value_name = "COUNT", env = $env, default_value_t = $default, help = concat!("Maximum number of open connections of ", $of))]
            pub $field: usize,
        }
    };
}

connection_settings!(ConnectionSettings, max_connections, "MAX_CONNECTIONS", "`confab serve`", 18_000);
connection_settings!(ChatConnectionSettings, chat_max_connections, "CHAT_MAX_CONNECTIONS", "`chat_server`", 10_000);
connection_settings!(
    NotifyConnectionSettings,
    notify_max_connections,
    "NOTIFY_MAX_CONNECTIONS",
    "`notify_server`",
    18_000
);

/// Logs.
#[derive(Debug, Clone, Copy, Args)]
pub struct LogSettings {
    /// Format of log lines. The environment variable `RUST_LOG` filters log lines.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "text", global = true)]
    pub log_format: LogFormat,
}

/// The public URL of a server: a scheme and a host, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicUrl {
    is_https: bool,
    host: String,
    text: String,
}

/// The error for text that is not a public URL.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not a public URL; use the form https://chat.example, without a path")]
pub struct InvalidPublicUrl(String);

impl std::str::FromStr for PublicUrl {
    type Err = InvalidPublicUrl;

    fn from_str(text: &str) -> Result<Self, InvalidPublicUrl> {
        let invalid = || InvalidPublicUrl(text.to_owned());
        let url: hyper::Uri = text.parse().map_err(|_| invalid())?;
        let is_https = match url.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(invalid()),
        };
        let is_bare = url.host().is_some_and(|host| !host.is_empty()) && matches!(url.path(), "" | "/");
        if !is_bare || url.query().is_some() {
            return Err(invalid());
        }
        let host = url.host().unwrap_or_default().to_owned();
        Ok(Self { is_https, host, text: text.trim_end_matches('/').to_owned() })
    }
}

impl PublicUrl {
    /// Whether browsers reach the server over TLS.
    pub fn is_https(&self) -> bool {
        self.is_https
    }

    /// Returns the host, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_a_scheme_and_a_host() {
        let https: PublicUrl = "https://chat.example/".parse().expect("a URL");
        assert!(https.is_https() && https.as_str() == "https://chat.example");
        assert!(!"http://127.0.0.1:6688".parse::<PublicUrl>().expect("a URL").is_https());
        for bad in ["", "chat.example", "ftp://chat.example", "https://", "https://chat.example/path", "https://a/?q"] {
            assert!(bad.parse::<PublicUrl>().is_err(), "{bad}");
        }
    }
}
