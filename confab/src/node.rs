//! All servers in one process on one port, and `confab serve`.

use crate::{database, exposure::Exposure, frontend, mailbox};
use anyhow::{Context, bail};
use axum::Router;
use chat_core::{
    auth::{BreachedPasswords, Signer},
    housekeeping::RetentionConfig,
    messages::Writer,
    outgoing::AllowedTargets,
    redis::Redis,
    sealing::Sealer,
    users::UserScope,
};
use chat_http::{
    WebPolicy, acceptor,
    connection_limits::ConnectionLimits,
    layers,
    metrics::MetricsEndpoint,
    probes,
    rate_limit::RateLimits,
    settings::{
        AccountSettings, ChatBind, ConnectionSettings, DataSettings, DatabaseSettings, DiskSettings,
        DurabilitySettings, FcmKeySettings, FcmSettings, FrontendSettings, MailPolicy, MailSettings, MetricsSettings,
        NetworkSettings, NetworkUrls, OutgoingSettings, PublicDemoSettings, PublicUrl, RateLimitSettings,
        RedisSettings, RetentionSettings, SecretsSettings, SigningKeySettings, SmtpSettings, WebSettings,
    },
    shutdown,
    sign_up::SignUpPolicy,
    trusted_proxies::TrustedProxies,
};
use chat_server::{AppConfig, AppState, DemoAccounts};
use clap::Args;
use file_store::BlobStore;
use integration_server::{
    FcmConfig, IntegrationServer,
    mail::{LocalMailbox, MailConfig},
};
use notify_server::{Deps, NotifyServer};
use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// How long the attempts that run are waited for when a node stops.
const SETTLE_TIMEOUT: Duration = Duration::from_secs(3);

/// The dependencies of a node.
pub(crate) struct Node {
    pub(crate) database_url: String,
    /// Connects to other nodes that use the same database.
    pub(crate) redis: Option<Redis>,
    pub(crate) signer: Signer,
    /// Seals the secrets of outgoing webhooks and bridges; without it there are none.
    pub(crate) sealer: Option<Sealer>,
    pub(crate) outgoing: AllowedTargets,
    pub(crate) networks: NetworkUrls,
    pub(crate) files_dir: PathBuf,
    pub(crate) policy: WebPolicy,
    pub(crate) public_url: Option<PublicUrl>,
    pub(crate) rate_limits: RateLimits,
    pub(crate) trusted_proxies: TrustedProxies,
    pub(crate) retention: RetentionConfig,
    pub(crate) is_volatile_database_allowed: bool,
    pub(crate) min_free_bytes: u64,
    pub(crate) breached_passwords: Option<BreachedPasswords>,
    pub(crate) user_directory: UserScope,
    pub(crate) group_privacy: UserScope,
    pub(crate) sign_up: SignUpPolicy,
    pub(crate) demo: Option<DemoAccounts>,
    pub(crate) mail: Option<NodeMail>,
    pub(crate) fcm: Option<FcmConfig>,
    pub(crate) frontend: FrontendSettings,
    pub(crate) connections: ConnectionLimits,
    pub(crate) metrics: MetricsEndpoint,
}

/// How a node uses and sends mail.
pub(crate) struct NodeMail {
    pub(crate) policy: MailPolicy,
    pub(crate) config: MailConfig,
    /// The mailbox that a page shows, if mail is not sent.
    pub(crate) mailbox: Option<LocalMailbox>,
}

impl Node {
    /// Serves until `shutdown`. Calls `on_ready` once the node follows the event log.
    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        shutdown: CancellationToken,
        on_ready: impl FnOnce(SocketAddr),
    ) -> anyhow::Result<()> {
        let address = listener.local_addr().context("reading the address")?;
        let verifier = self.signer.verifier().clone();
        // Separate pools, so that no component waits for the connections of another.
        let pool = || database::create_pool(&self.database_url);
        let db = pool()?;
        let blobs = BlobStore::on_disk(&self.files_dir).context("opening the file store")?;
        let state = AppState::build(AppConfig {
            db: db.clone(),
            writer: Writer::start(pool()?),
            redis: self.redis.clone(),
            signer: self.signer,
            blobs: blobs.clone(),
            rate_limits: self.rate_limits,
            trusted_proxies: self.trusted_proxies,
            retention: self.retention,
            is_volatile_database_allowed: self.is_volatile_database_allowed,
            min_free_bytes: self.min_free_bytes,
            breached_passwords: self.breached_passwords,
            user_directory: self.user_directory,
            group_privacy: self.group_privacy,
            sign_up: self.sign_up,
            sealer: self.sealer.clone(),
            outgoing: self.outgoing.clone(),
            public_url: self.public_url.clone(),
            demo: self.demo,
            mail: self.mail.as_ref().map(|mail| mail.policy),
            has_native_app: self.fcm.is_some(),
        })?;
        let (mail, mailbox) = self.mail.map(|mail| (mail.config, mail.mailbox)).unzip();
        state.spawn_background_jobs(&shutdown);
        let deps = Deps {
            name: address.to_string(),
            db: pool()?,
            redis: self.redis,
            writer: state.writer().clone(),
            verifier,
            policy: self.policy.clone(),
            // The chat server checks it.
            is_volatile_database_allowed: true,
            rate_limiter: state.rate_limiter(),
        };
        let notify = NotifyServer::start(deps, shutdown.clone());
        let integrations = match self.sealer {
            Some(sealer) => {
                let deps = integration_server::Deps {
                    db: pool()?,
                    sealer,
                    allowed: self.outgoing,
                    blobs,
                    user_quota_bytes: self.retention.user_quota_bytes,
                    networks: self.networks,
                    public_url: self.public_url.clone(),
                    mail,
                    fcm: self.fcm,
                };
                Some(IntegrationServer::start(deps, shutdown.clone())?)
            }
            None if mail.is_some() => bail!("MAIL_FROM needs SECRETS_KEY_FILE: the server that sends mail needs it"),
            None => None,
        };

        let mut registry = chat_core::metrics::new_registry();
        state.register_metrics(&mut registry);
        notify.register(&mut registry);
        if let Some(integrations) = &integrations {
            integrations.register(&mut registry);
        }
        let mut checks = state.readiness_checks();
        checks.extend(notify.checks());
        let router = state
            .router(&shutdown)
            .merge(notify.router())
            .merge(mailbox.flatten().map_or_else(Router::new, mailbox::router))
            .merge(frontend::router(&self.frontend))
            .merge(probes::router(checks, shutdown.clone()))
            .merge(self.metrics.into_router(registry, &shutdown));
        let router = layers::with_layers(router, &self.policy, Some(state.rate_limiter()));
        let hook = notify.connection_hook();
        let server = tokio::spawn(acceptor::serve(listener, self.connections, hook, router, shutdown.clone()));
        tokio::select! {
            () = notify.wait_until_live() => on_ready(address),
            () = shutdown.cancelled() => {}
        }
        server.await.context("serving")?;
        if let Some(integrations) = integrations {
            // What is not settled in time is sent again after the next start.
            let _ = tokio::time::timeout(SETTLE_TIMEOUT, integrations.stopped()).await;
        }
        db.close().await;
        Ok(())
    }
}

/// `confab serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    #[command(flatten)]
    bind: ChatBind,
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
    metrics: MetricsSettings,
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
    frontend: FrontendSettings,
    #[command(flatten)]
    retention: RetentionSettings,
    #[command(flatten)]
    connections: ConnectionSettings,
    #[command(flatten)]
    public_demo: PublicDemoSettings,
}

impl Serve {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        acceptor::raise_file_limit();
        let mail = self.mail()?;
        let node = Node {
            database_url: self.database.database_url,
            redis: self.redis.redis_url.as_deref().map(Redis::open).transpose().context("REDIS_URL")?,
            signer: self.keys.signer()?,
            sealer: self.secrets.sealer().context("SECRETS_KEY_FILE")?,
            outgoing: self.outgoing.outgoing_allow,
            networks: self.networks,
            files_dir: files_dir(&self.data.chat_data_dir),
            policy: self.web.policy(self.bind.chat_bind, &self.network).context("CORS_ORIGINS")?,
            public_url: self.web.public.public_url.clone(),
            rate_limits: self.limits.rate_limits.unwrap_or(RateLimits::ON),
            trusted_proxies: self.network.trusted_proxies.clone(),
            retention: self.retention.into(),
            is_volatile_database_allowed: self.durability.allow_volatile_database,
            min_free_bytes: self.disk.min_free_bytes,
            breached_passwords: self.accounts.breached_passwords().context("BREACHED_PASSWORDS_FILE")?,
            user_directory: self.accounts.user_directory.unwrap_or(UserScope::Contacts),
            group_privacy: self.accounts.group_privacy,
            sign_up: self.accounts.sign_up.clone(),
            demo: None,
            mail,
            fcm: FcmConfig::read(self.fcm.fcm_project.as_deref(), self.fcm_key.fcm_service_account_file.as_deref())?,
            frontend: self.frontend,
            connections: self.network.connection_limits(self.connections.max_connections),
            metrics: MetricsEndpoint::bind(Some(self.metrics.metrics_bind)).await.context(format!(
                "cannot listen on {} for metrics; choose another address with METRICS_BIND",
                self.metrics.metrics_bind
            ))?,
        };
        let exposure = Exposure {
            bind: self.bind.chat_bind,
            database_url: &node.database_url,
            policy: &node.policy,
            is_proxied: self.web.is_proxied(&self.network),
            rate_limits: node.rate_limits,
            secrets: [Some(&self.keys.jwt_private_key_file), self.secrets.secrets_key_file.as_ref()]
                .into_iter()
                .flatten()
                .cloned()
                .collect(),
            allows_demo: self.public_demo.public_demo,
        };
        exposure.check().await?;
        let listener = bind_listener(self.bind.chat_bind).await?;
        node.serve(listener, shutdown::shutdown_on_signal(), |address| println!("listening on http://{address}")).await
    }

    fn mail(&self) -> anyhow::Result<Option<NodeMail>> {
        let config = MailConfig::smtp(self.mail.mail_from.as_deref(), &self.smtp, self.web.public.public_url.as_ref())?;
        Ok(self.mail.policy().zip(config).map(|(policy, config)| NodeMail { policy, config, mailbox: None }))
    }
}

/// The directory of uploaded files.
pub(crate) fn files_dir(data_dir: &Path) -> PathBuf {
    data_dir.join("files")
}

/// Binds the address. The error says how to choose another address.
pub(crate) async fn bind_listener(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}; choose another address with --bind"))
}
