//! `confab tidy`, `export-account` and `close-account`: what an operator does by
//! hand, by the same functions that the server uses.

use crate::database::{self, Database};
use anyhow::Context;
use chat_core::{accounts, text::Email, users};
use chat_server::{Blobs, Keeping};
use clap::Args;
use futures_util::{StreamExt, pin_mut};
use std::{io::Write, path::PathBuf};

/// `confab tidy`.
#[derive(Debug, Args)]
pub(crate) struct Tidy {
    #[command(flatten)]
    database: Database,
    /// Where uploaded files are kept.
    #[arg(long, env = "CHAT_DATA_DIR", default_value = "data")]
    data: PathBuf,
    #[command(flatten)]
    keeping: Keeping,
}

impl Tidy {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let blobs = Blobs::on_disk(&self.data.join("files")).context("opening the file store")?;
        let db = self.database.open()?;
        let done = chat_server::tidy(&db, &blobs, self.keeping).await.map_err(database::explain)?;
        match done {
            Some(done) => println!(
                "partitions of the log: {} made, {} dropped; messages that had outlived their retention: {}; \
                 sessions, tokens and invites long ended: {}; files that nothing shows: {}",
                done.partitions_made,
                done.partitions_dropped,
                done.messages,
                done.sessions,
                done.blob_keys.len()
            ),
            None => println!("another process is at it; nothing was done"),
        }
        Ok(())
    }
}

/// Whose account.
#[derive(Debug, Args)]
pub(crate) struct Account {
    #[command(flatten)]
    database: Database,
    /// The e-mail address of its owner.
    email: String,
}

impl Account {
    /// Writes everything that is known of a person to standard output, as lines of
    /// JSON.
    pub(crate) async fn export(self) -> anyhow::Result<()> {
        let (db, user) = self.find().await?;
        let pages = accounts::export(db, user);
        pin_mut!(pages);
        let mut out = std::io::stdout().lock();
        while let Some(page) = pages.next().await {
            out.write_all(page.map_err(database::explain)?.as_bytes()).context("writing")?;
        }
        Ok(())
    }

    /// Closes it for good.
    pub(crate) async fn close(self) -> anyhow::Result<()> {
        let (db, user) = self.find().await?;
        accounts::close(&db, user).await.map_err(database::explain)?;
        println!("the account of {} is closed", self.email);
        Ok(())
    }

    async fn find(&self) -> anyhow::Result<(sqlx::PgPool, chat_core::UserId)> {
        let email = Email::try_from(self.email.clone()).map_err(anyhow::Error::msg)?;
        let db = self.database.open()?;
        let found = users::credentials(&db, &email).await.map_err(database::explain)?;
        let user = found.with_context(|| format!("there is no account with the address {}", self.email))?.id;
        Ok((db, user))
    }
}
