//! `confab dev`: both servers in one process, with an embedded Postgres.

use crate::{
    data_dir::DataDir,
    database,
    exposure::Exposure,
    mailbox::MAILBOX_PATH,
    node::{self, Node, NodeMail},
};
use anyhow::Context;
use chat_core::{auth::Hasher, db, outgoing::AllowedTargets, users::UserScope};
use chat_http::{
    acceptor,
    metrics::MetricsEndpoint,
    rate_limit::RateLimits,
    settings::{
        AccountSettings, ChatBind, DataSettings, DiskSettings, DurabilitySettings, FcmKeySettings, FcmSettings,
        FrontendSettings, MailPolicy, MailSettings, NetworkSettings, NetworkUrls, OptionalDatabaseSettings,
        OptionalOutgoingSettings, PublicDemoSettings, RateLimitSettings, RetentionSettings, SmtpSettings, WebSettings,
    },
    shutdown,
};
use chat_server::{DemoAccount, DemoAccounts};
use clap::{Args, ValueEnum};
use embedded_postgres::{Binaries, Cluster, ClusterLocation};
use fixtures::demo::{self, DemoUser};
use integration_server::{
    FcmConfig,
    mail::{LocalMailbox, MailConfig},
};
use std::{net::SocketAddr, time::Duration};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// The name of the database in an embedded cluster.
pub(crate) const DATABASE_NAME: &str = "confab";

/// Maximum number of open connections.
const MAX_CONNECTIONS: usize = 18_000;

/// The sender of mail that stays on this machine.
const LOCAL_SENDER: &str = "Confab <confab@localhost>";

/// How often the supervisor checks that Postgres runs.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// Data to seed an empty database with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SeedData {
    /// The demo data: four users, four chats and some history.
    Demo,
    /// No data.
    None,
}

/// `confab dev`.
#[derive(Debug, Args)]
pub(crate) struct Dev {
    #[command(flatten)]
    bind: ChatBind,
    #[command(flatten)]
    data: DataSettings,
    /// Data to seed an empty database with.
    #[arg(long, value_enum, default_value = "demo")]
    seed: SeedData,
    #[command(flatten)]
    database: OptionalDatabaseSettings,
    #[command(flatten)]
    outgoing: OptionalOutgoingSettings,
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
    frontend: FrontendSettings,
    #[command(flatten)]
    public_demo: PublicDemoSettings,
}

impl Dev {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        if self.database.database_url.is_none() {
            embedded_postgres::restart_without_postgres_variables()?;
        }
        acceptor::raise_file_limit();
        let shutdown = shutdown::shutdown_on_signal();
        let data_dir = DataDir::lock(&self.data.chat_data_dir)?;
        // Bind before the database starts, because a port in use is the most likely error
        // and is detected fast.
        let listener = node::bind_listener(self.bind.chat_bind).await?;
        if let Some(url) = &self.database.database_url {
            return self.serve(listener, url, &data_dir, shutdown).await;
        }
        let (binaries, location) = (Binaries::find()?, ClusterLocation::for_data_dir(&data_dir.path)?);
        let cluster = start_postgres(&data_dir, &binaries, &location).await?;
        let url = cluster.url(DATABASE_NAME);
        let stop = CancellationToken::new();
        let supervisor = tokio::spawn(supervise_postgres(cluster, binaries, location, stop.clone()));
        let outcome = self.serve(listener, &url, &data_dir, shutdown).await;
        stop.cancel();
        supervisor.await.context("stopping Postgres")?;
        outcome
    }

    /// Unless it is set: servers on this machine, if only this machine can reach Confab.
    fn allowed_targets(&self) -> AllowedTargets {
        self.outgoing
            .outgoing_allow
            .clone()
            .unwrap_or_else(|| if self.is_local() { AllowedTargets::loopback() } else { AllowedTargets::default() })
    }

    /// Whether only this machine can reach the server.
    fn is_local(&self) -> bool {
        self.bind.chat_bind.ip().is_loopback() && !self.web.is_proxied(&self.network)
    }

    /// Mail by SMTP if it is set; otherwise mail that only this machine sees, or none.
    fn mail(&self, address: SocketAddr) -> anyhow::Result<Option<NodeMail>> {
        let public_url = self.web.public.public_url.clone();
        if self.smtp.smtp_url.is_some() {
            let from = Some(self.mail.mail_from.as_deref().context("SMTP_URL needs MAIL_FROM, the sender of mail")?);
            let config = MailConfig::smtp(from, &self.smtp, public_url.as_ref())?;
            return Ok(self.mail.policy().zip(config).map(|(policy, config)| NodeMail {
                policy,
                config,
                mailbox: None,
            }));
        }
        if !self.is_local() {
            anyhow::ensure!(self.mail.mail_from.is_none(), "MAIL_FROM needs SMTP_URL, the URL of a mail server");
            return Ok(None);
        }
        let public_url = match public_url {
            Some(public_url) => public_url,
            None => format!("http://{address}").parse()?,
        };
        let mailbox = LocalMailbox::default();
        let from = self.mail.mail_from.as_deref().unwrap_or(LOCAL_SENDER);
        let config = MailConfig::local(from, mailbox.clone(), public_url)?;
        let policy = MailPolicy { is_verification_required: self.mail.verify_email.unwrap_or(false) };
        Ok(Some(NodeMail { policy, config, mailbox: Some(mailbox) }))
    }

    async fn serve(
        &self,
        listener: TcpListener,
        url: &str,
        data_dir: &DataDir,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let demo = match self.seed {
            SeedData::Demo => Some(migrate_and_seed(url).await?),
            SeedData::None => {
                db::migrate(&database::create_pool(url)?).await.map_err(database::database_error)?;
                None
            }
        };
        let node = Node {
            database_url: url.to_owned(),
            redis: None,
            signer: data_dir.load_signer()?,
            sealer: Some(data_dir.load_sealer()?),
            outgoing: self.allowed_targets(),
            networks: self.networks.clone(),
            files_dir: node::files_dir(&data_dir.path),
            policy: self.web.policy(self.bind.chat_bind, &self.network).context("CORS_ORIGINS")?,
            public_url: self.web.public.public_url.clone(),
            rate_limits: self.limits.rate_limits.unwrap_or(RateLimits::OFF),
            trusted_proxies: self.network.trusted_proxies.clone(),
            retention: self.retention.into(),
            is_volatile_database_allowed: self.durability.allow_volatile_database,
            min_free_bytes: self.disk.min_free_bytes,
            breached_passwords: self.accounts.breached_passwords().context("BREACHED_PASSWORDS_FILE")?,
            user_directory: self.accounts.user_directory.unwrap_or(UserScope::Everyone),
            group_privacy: self.accounts.group_privacy,
            sign_up: self.accounts.sign_up.clone(),
            demo: demo.clone(),
            mail: self.mail(listener.local_addr().context("reading the address")?)?,
            fcm: FcmConfig::read(self.fcm.fcm_project.as_deref(), self.fcm_key.fcm_service_account_file.as_deref())?,
            frontend: self.frontend.clone(),
            connections: self.network.connection_limits(MAX_CONNECTIONS),
            metrics: MetricsEndpoint::Shared,
        };
        let has_mailbox = node.mail.as_ref().is_some_and(|mail| mail.mailbox.is_some());
        let exposure = Exposure {
            bind: self.bind.chat_bind,
            database_url: url,
            policy: &node.policy,
            is_proxied: self.web.is_proxied(&self.network),
            rate_limits: node.rate_limits,
            secrets: Vec::new(),
            allows_demo: self.public_demo.public_demo,
        };
        exposure.check().await?;
        node.serve(listener, shutdown, |address| {
            println!("listening on http://{address}");
            if let Some(demo) = &demo {
                print_demo_accounts(demo);
            }
            if has_mailbox {
                println!("mail is shown at http://{address}{MAILBOX_PATH}");
            }
            println!("press Ctrl-C to stop");
        })
        .await
    }
}

/// Migrates a database, fills it with the demo data if it is empty, and returns the
/// demo accounts.
pub(crate) async fn migrate_and_seed(url: &str) -> anyhow::Result<DemoAccounts> {
    let db = database::create_pool(url)?;
    db::migrate(&db).await.map_err(database::database_error)?;
    if demo::seed(&db, &Hasher::new()?).await.map_err(database::database_error)? {
        println!("seeded the demo data");
    }
    let data = demo::load()?;
    let account = |DemoUser { username, display_name, email }| DemoAccount { username, display_name, email };
    Ok(DemoAccounts { password: data.password, accounts: data.users.into_iter().map(account).collect() })
}

/// Prints the accounts of the demo data.
pub(crate) fn print_demo_accounts(demo: &DemoAccounts) {
    let emails: Vec<&str> = demo.accounts.iter().map(|account| account.email.as_str()).collect();
    println!("sign in as {} with the password {}", emails.join(", "), demo.password.as_str());
}

/// Starts the private Postgres of a data directory.
pub(crate) async fn start_postgres(
    data_dir: &DataDir,
    binaries: &Binaries,
    location: &ClusterLocation,
) -> anyhow::Result<Cluster> {
    if location.is_moved {
        println!(
            "the user that runs Postgres cannot reach {}; the database is kept in {}",
            data_dir.path.display(),
            location.folder.display()
        );
    }
    println!("starting Postgres {} in {}", binaries.version, location.folder.display());
    let cluster = Cluster::start_durable(binaries, location).await?;
    cluster.create_database(DATABASE_NAME, "template1").await?;
    Ok(cluster)
}

/// Restarts Postgres if it exits, until `stop`.
pub(crate) async fn supervise_postgres(
    cluster: Cluster,
    binaries: Binaries,
    location: ClusterLocation,
    stop: CancellationToken,
) {
    let mut cluster = Some(cluster);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = tokio::time::sleep(POLL_INTERVAL) => {}
        }
        if cluster.as_ref().is_some_and(Cluster::is_running) {
            continue;
        }
        tracing::error!("Postgres exited; restarting it");
        // Stop the shell of the old server first: until it ends, the process id in
        // postmaster.pid counts as running.
        cluster.take().into_iter().for_each(Cluster::stop);
        match Cluster::start_durable(&binaries, &location).await {
            Ok(restarted) => cluster = Some(restarted),
            Err(error) => tracing::error!(%error, "cannot start Postgres"),
        }
    }
    cluster.into_iter().for_each(Cluster::stop);
}
