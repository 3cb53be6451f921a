//! A database that is given by its URL.

use chat_core::db;
use clap::Args;
use sqlx::PgPool;
use std::error::Error as _;

/// Which database.
#[derive(Debug, Clone, Args)]
pub(crate) struct Database {
    /// As in postgres://user:password@host/name.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true)]
    database_url: String,
}

/// How many connections each part of a process holds at most.
pub(crate) const CONNECTIONS: u32 = 16;

impl Database {
    pub(crate) fn open(&self) -> anyhow::Result<PgPool> {
        db::pool(&self.database_url, CONNECTIONS).map_err(explain)
    }
}

/// An error as its owner needs it: clients get a constant, operators the cause.
pub(crate) fn explain(error: chat_core::Error) -> anyhow::Error {
    cause(error).context("the database refused")
}

/// What lies behind an error that says little to clients.
pub(crate) fn cause(error: chat_core::Error) -> anyhow::Error {
    anyhow::anyhow!(error.source().map(ToString::to_string).unwrap_or_else(|| error.to_string()))
}
