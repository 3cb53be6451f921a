//! `confab doctor`: checks the machine and prints how to fix problems.

use chat_core::db;
use chat_http::settings::{ChatBind, DataSettings, OptionalDatabaseSettings};
use clap::Args;
use embedded_postgres::{Binaries, ClusterLocation, OsUser};
use std::process::{Command, ExitCode};
use tokio::net::TcpListener;

/// `confab doctor`.
#[derive(Debug, Args)]
pub(crate) struct Doctor {
    #[command(flatten)]
    bind: ChatBind,
    #[command(flatten)]
    data: DataSettings,
    #[command(flatten)]
    database: OptionalDatabaseSettings,
}

/// The result of one check.
enum Finding {
    Good(String),
    /// A missing item that Confab can work without.
    Optional(String),
    /// A missing item that Confab requires.
    Missing(String),
}

impl Doctor {
    pub(crate) async fn run(self) -> ExitCode {
        let findings = [
            ("database", self.check_database().await),
            ("data directory", self.check_data_dir()),
            ("port", self.check_port().await),
            ("open files", check_open_files()),
            ("redis-server", check_program("redis-server", "--version", "only for several notify replicas")),
            ("node", check_program("node", "--version", "only to work on the frontend")),
        ];
        let mut is_healthy = true;
        for (what, finding) in findings {
            let (mark, text) = match finding {
                Finding::Good(text) => ("ok     ", text),
                Finding::Optional(text) => ("absent ", text),
                Finding::Missing(text) => {
                    is_healthy = false;
                    ("MISSING", text)
                }
            };
            println!("{mark}  {what:<14}  {text}");
        }
        if is_healthy { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    async fn check_database(&self) -> Finding {
        let Some(url) = &self.database.database_url else { return check_embedded_postgres() };
        let Ok(pool) = db::create_pool(url, 1) else {
            return Finding::Missing(
                "DATABASE_URL is not valid; use the form postgres://user:password@host/name".into(),
            );
        };
        match db::is_ready(&pool).await {
            Ok(true) => match db::find_volatile_setting(&pool).await {
                Ok(None) => Finding::Good("DATABASE_URL is reachable and its schema is up to date".into()),
                Ok(Some(setting)) => {
                    Finding::Missing(format!("DATABASE_URL loses messages in a crash, because {setting} is off"))
                }
                Err(error) => Finding::Missing(format!("DATABASE_URL: {error}")),
            },
            Ok(false) => Finding::Missing("the schema of DATABASE_URL is not up to date; run `confab migrate`".into()),
            Err(error) => Finding::Missing(format!(
                "DATABASE_URL: {}; if the database is new, run `confab migrate`",
                std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default()
            )),
        }
    }

    fn check_data_dir(&self) -> Finding {
        // A check creates nothing. `confab dev` creates the directory.
        if !self.data.chat_data_dir.exists() {
            return Finding::Good(format!("{}; the first start creates it", self.data.chat_data_dir.display()));
        }
        match ClusterLocation::for_data_dir(&self.data.chat_data_dir) {
            Ok(ClusterLocation { folder, is_moved: true, .. }) => Finding::Good(format!(
                "{}, with the database in {}",
                self.data.chat_data_dir.display(),
                folder.display()
            )),
            Ok(_) => Finding::Good(self.data.chat_data_dir.display().to_string()),
            Err(error) => Finding::Missing(error.to_string()),
        }
    }

    async fn check_port(&self) -> Finding {
        match TcpListener::bind(self.bind.chat_bind).await {
            Ok(_) => Finding::Good(format!("{} is free", self.bind.chat_bind)),
            Err(error) => Finding::Missing(format!("{}: {error}; choose another with --bind", self.bind.chat_bind)),
        }
    }
}

fn check_embedded_postgres() -> Finding {
    match (Binaries::find(), OsUser::find_unprivileged()) {
        (Ok(found), Ok(os_user)) => {
            let user = os_user.map(|os_user| format!(", run as {}", os_user.name)).unwrap_or_default();
            Finding::Good(format!("Postgres {} in {}{user}", found.version, found.folder.display()))
        }
        (Err(error), _) | (_, Err(error)) => Finding::Missing(error.to_string()),
    }
}

fn check_open_files() -> Finding {
    match chat_http::acceptor::raise_file_limit() {
        Some(limit) if limit < 4096 => Finding::Optional(format!("at most {limit}; each open stream uses one file")),
        Some(limit) => Finding::Good(format!("at most {limit}")),
        None => Finding::Good("no limit".into()),
    }
}

fn check_program(name: &str, flag: &str, purpose: &str) -> Finding {
    match Command::new(name).arg(flag).output() {
        Ok(output) if output.status.success() => {
            Finding::Good(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
        }
        _ => Finding::Optional(format!("needed {purpose}")),
    }
}
