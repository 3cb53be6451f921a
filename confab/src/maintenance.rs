//! `confab housekeeping`, `export-account`, `delete-account`, `reset-password`, `make-operator`
//! and `rotate-secrets`:
//! commands that call the functions of the server.

use crate::{database, dev::DATABASE_NAME, node::files_dir};
use anyhow::Context;
use chat_core::{
    accounts,
    audit::{Action, NewEntry},
    operators,
    sealing::{self, Sealer},
    users,
    values::EmailText,
};
use chat_http::settings::{
    DataSettings, DatabaseSettings, OptionalDatabaseSettings, RetentionSettings, SecretsSettings,
};
use clap::Args;
use embedded_postgres::ClusterLocation;
use file_store::BlobStore;
use futures_util::{StreamExt, pin_mut};
use std::io::Write;

/// `confab housekeeping`.
#[derive(Debug, Args)]
pub(crate) struct Housekeeping {
    #[command(flatten)]
    database: DatabaseSettings,
    #[command(flatten)]
    data: DataSettings,
    #[command(flatten)]
    retention: RetentionSettings,
}

impl Housekeeping {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let blobs = BlobStore::on_disk(&files_dir(&self.data.chat_data_dir)).context("opening the file store")?;
        let db = database::create_pool(&self.database.database_url)?;
        let report = chat_server::run_housekeeping(&db, &blobs, self.retention.into()).await;
        match report.map_err(database::database_error)? {
            Some(report) => println!(
                "log partitions created: {}, dropped: {}; messages expired: {}; ended sessions, tokens and invites \
                 deleted: {}; unused files deleted: {}",
                report.partitions_created,
                report.partitions_dropped,
                report.messages_expired,
                report.records_expired,
                report.blob_keys.len()
            ),
            None => println!("another process is running housekeeping; nothing was done"),
        }
        Ok(())
    }
}

/// The database of a command: DATABASE_URL, or that of a running `confab dev`.
#[derive(Debug, Args)]
pub(crate) struct FindDatabase {
    #[command(flatten)]
    database: OptionalDatabaseSettings,
    #[command(flatten)]
    data: DataSettings,
}

impl FindDatabase {
    fn create_pool(&self) -> anyhow::Result<sqlx::PgPool> {
        database::create_pool(&self.url()?)
    }

    /// Returns DATABASE_URL, or the URL of the embedded database of a running `confab dev`.
    fn url(&self) -> anyhow::Result<String> {
        if let Some(url) = &self.database.database_url {
            return Ok(url.clone());
        }
        let data_dir = &self.data.chat_data_dir;
        let location = if data_dir.exists() { ClusterLocation::for_data_dir(data_dir).ok() } else { None };
        location.and_then(|location| location.find_running(DATABASE_NAME)).with_context(|| {
            format!(
                "no database: set DATABASE_URL, or --data to the data directory of a running `confab dev` (none runs in {})",
                data_dir.display()
            )
        })
    }
}

/// The account that a command applies to.
#[derive(Debug, Args)]
pub(crate) struct AccountArgs {
    #[command(flatten)]
    database: FindDatabase,
    /// The email address of the account.
    email: String,
}

impl AccountArgs {
    /// Writes the data of the account to standard output, as JSON lines.
    pub(crate) async fn export(self) -> anyhow::Result<()> {
        let (db, user) = self.find_user().await?;
        let entry = NewEntry::new(Action::Exported).with_user(user);
        entry.write(&db).await.map_err(database::database_error)?;
        let pages = accounts::export(db, user, None);
        pin_mut!(pages);
        let mut out = std::io::stdout().lock();
        while let Some(page) = pages.next().await {
            out.write_all(page.map_err(database::database_error)?.as_bytes()).context("writing")?;
        }
        Ok(())
    }

    /// Deletes the account.
    pub(crate) async fn delete(self) -> anyhow::Result<()> {
        let (db, user) = self.find_user().await?;
        accounts::delete(&db, user, NewEntry::new(Action::AccountDeleted).with_user(user))
            .await
            .map_err(database::database_error)?;
        println!("deleted the account of {}", self.email);
        Ok(())
    }

    /// Prints a new random password of the account.
    pub(crate) async fn reset_password(self) -> anyhow::Result<()> {
        let (db, user) = self.find_user().await?;
        let password = accounts::reset_password(&db, user).await.map_err(database::database_error)?;
        println!("new password of {}: {password}\nall sessions of the account have ended", self.email);
        Ok(())
    }

    /// Makes the user an operator, or an operator an ordinary user.
    async fn set_operator(self, is_operator: bool) -> anyhow::Result<()> {
        let (db, user) = self.find_user().await?;
        operators::set_operator(&db, user, is_operator).await.map_err(database::database_error)?;
        match is_operator {
            true => println!("{} is now an operator of this server", self.email),
            false => println!("{} is no longer an operator of this server", self.email),
        }
        Ok(())
    }

    async fn find_user(&self) -> anyhow::Result<(sqlx::PgPool, chat_core::UserId)> {
        let email = EmailText::try_from(self.email.clone()).map_err(anyhow::Error::msg)?;
        let db = self.database.create_pool()?;
        let found = users::find_credentials(&db, &email).await.map_err(database::database_error)?;
        let user = found.with_context(|| format!("no account with the email address {}", self.email))?.id;
        Ok((db, user))
    }
}

/// `confab make-operator`.
#[derive(Debug, Args)]
pub(crate) struct MakeOperator {
    #[command(flatten)]
    account: AccountArgs,
    /// Make the operator an ordinary user instead.
    #[arg(long)]
    undo: bool,
}

impl MakeOperator {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        self.account.set_operator(!self.undo).await
    }
}

/// Replace the key that seals secrets in the database, such as those of outgoing webhooks, and
/// seal all of them again. Running servers read the file again; on other machines, copy it there.
#[derive(Debug, Args)]
pub(crate) struct RotateSecrets {
    #[command(flatten)]
    database: FindDatabase,
    #[command(flatten)]
    secrets: SecretsSettings,
}

impl RotateSecrets {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let file = match self.secrets.secrets_key_file {
            Some(file) => file,
            None => self.database.data.chat_data_dir.join("keys/secrets.key"),
        };
        let db = self.database.create_pool()?;
        Sealer::add_key(&file).context("adding a key")?;
        let sealer = Sealer::open_file(&file)?;
        let count = sealing::reseal_all(&db, &sealer).await.map_err(database::database_error)?;
        Sealer::remove_old_keys(&file).context("removing old keys")?;
        println!("sealed {count} secrets with a new key in {}", file.display());
        println!("if servers run on other machines, copy the file there now; the old key is still in it");
        Ok(())
    }
}
