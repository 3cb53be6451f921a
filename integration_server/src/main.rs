//! The `integration_server` program.

use anyhow::Context;
use chat_core::{db, sealing::Sealer};
use chat_http::{acceptor, config, shutdown, telemetry};
use file_store::BlobStore;
use integration_server::{Deps, FcmConfig, IntegrationServer, Settings, mail::MailConfig};
use tokio::net::TcpListener;

/// Maximum number of database connections of one process.
const MAX_POOL_CONNECTIONS: u32 = 8;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let settings: Settings = config::parse();
    telemetry::init(settings.log.log_format);
    acceptor::raise_file_limit();
    let listener = TcpListener::bind(settings.bind.integration_bind).await.context(settings.bind.integration_bind)?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let mail =
        MailConfig::smtp(settings.mail.mail_from.as_deref(), &settings.smtp, settings.public.public_url.as_ref())?;
    let deps = Deps {
        db: db::create_pool(&settings.database.database_url, MAX_POOL_CONNECTIONS)?,
        sealer: Sealer::open_file(&settings.secrets.secrets_key_file).context("SECRETS_KEY_FILE")?,
        allowed: settings.outgoing.outgoing_allow,
        blobs: BlobStore::on_disk(&settings.data.chat_data_dir.join("files")).context("opening the file store")?,
        user_quota_bytes: settings.quota.user_quota_bytes,
        networks: settings.networks,
        public_url: settings.public.public_url,
        mail,
        fcm: FcmConfig::read(
            settings.fcm.fcm_project.as_deref(),
            settings.fcm_key.fcm_service_account_file.as_deref(),
        )?,
    };
    let server = IntegrationServer::start(deps, shutdown::shutdown_on_signal())?;
    integration_server::serve(listener, server).await;
    Ok(())
}
