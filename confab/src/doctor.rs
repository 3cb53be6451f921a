//! `confab doctor`: what is here, what is missing, and what to do about it.

use chat_core::{
    db,
    devdb::{Account, Binaries, Home},
};
use clap::Args;
use std::{
    net::SocketAddr,
    path::PathBuf,
    process::{Command, ExitCode},
};
use tokio::net::TcpListener;

/// `confab doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    /// Where `dev` would listen.
    #[arg(long, env = "CHAT_BIND", default_value = "127.0.0.1:6688")]
    bind: SocketAddr,
    /// Where `dev` would keep its data.
    #[arg(long, env = "CHAT_DATA_DIR", default_value = "data")]
    data: PathBuf,
    /// The database to look at, if it is not to be embedded.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: Option<String>,
}

/// What was found of one thing.
enum Finding {
    Good(String),
    /// Works without.
    Optional(String),
    /// Does not.
    Missing(String),
}

impl Doctor {
    pub(crate) async fn run(self) -> ExitCode {
        let findings = [
            ("database", self.database().await),
            ("data folder", self.data_folder()),
            ("port", self.port().await),
            ("open files", open_files()),
            ("redis-server", program("redis-server", "--version", "only for several notify replicas")),
            ("node", program("node", "--version", "only to work on the frontend")),
        ];
        let mut is_well = true;
        for (what, finding) in findings {
            let (mark, text) = match finding {
                Finding::Good(text) => ("ok     ", text),
                Finding::Optional(text) => ("absent ", text),
                Finding::Missing(text) => {
                    is_well = false;
                    ("MISSING", text)
                }
            };
            println!("{mark}  {what:<12}  {text}");
        }
        if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    async fn database(&self) -> Finding {
        let Some(url) = &self.database_url else { return embedded() };
        let Ok(pool) = db::pool(url, 1) else {
            return Finding::Missing(
                "DATABASE_URL cannot be read; it looks like postgres://user:password@host/name".into(),
            );
        };
        match db::is_ready(&pool).await {
            Ok(true) => Finding::Good("DATABASE_URL answers, and its schema is up to date".into()),
            Ok(false) => Finding::Missing("DATABASE_URL answers with another schema; run `confab migrate`".into()),
            Err(error) => Finding::Missing(format!(
                "DATABASE_URL: {}; if the database is new, run `confab migrate`",
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            )),
        }
    }

    fn data_folder(&self) -> Finding {
        // Looking is all a doctor does: the folder is made by `dev`.
        if !self.data.exists() {
            return Finding::Good(format!("{}, to be made by the first start", self.data.display()));
        }
        match Home::of(&self.data) {
            Ok(Home { folder, is_moved: true, .. }) => {
                Finding::Good(format!("{}, with the database in {}", self.data.display(), folder.display()))
            }
            Ok(_) => Finding::Good(self.data.display().to_string()),
            Err(error) => Finding::Missing(error.to_string()),
        }
    }

    async fn port(&self) -> Finding {
        match TcpListener::bind(self.bind).await {
            Ok(_) => Finding::Good(format!("{} is free", self.bind)),
            Err(error) => Finding::Missing(format!("{}: {error}; choose another with --bind", self.bind)),
        }
    }
}

fn embedded() -> Finding {
    match (Binaries::find(), Account::to_become()) {
        (Ok(found), Ok(account)) => {
            let who = account.map(|account| format!(", run as {}", account.name)).unwrap_or_default();
            Finding::Good(format!("Postgres {} in {}{who}", found.version, found.folder.display()))
        }
        (Err(error), _) | (_, Err(error)) => Finding::Missing(error.to_string()),
    }
}

fn open_files() -> Finding {
    match chat_core::net::raise_file_limit() {
        Some(limit) if limit < 4096 => Finding::Optional(format!("at most {limit}; each open stream needs one")),
        Some(limit) => Finding::Good(format!("at most {limit}")),
        None => Finding::Good("no limit".into()),
    }
}

fn program(name: &str, flag: &str, purpose: &str) -> Finding {
    match Command::new(name).arg(flag).output() {
        Ok(output) if output.status.success() => {
            Finding::Good(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
        }
        _ => Finding::Optional(format!("needed {purpose}")),
    }
}
