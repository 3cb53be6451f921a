//! A pool of connections to a database that is given by its URL.

use chat_core::db;
use sqlx::PgPool;
use std::error::Error as _;

/// The most connections of each part of a process.
const MAX_POOL_CONNECTIONS: u32 = 16;

/// Creates a pool; connects on first use.
pub(crate) fn create_pool(url: &str) -> anyhow::Result<PgPool> {
    db::create_pool(url, MAX_POOL_CONNECTIONS).map_err(database_error)
}

/// An error as an operator needs it: clients get a constant, operators the cause.
pub(crate) fn database_error(error: chat_core::Error) -> anyhow::Error {
    source_error(error).context("the database reported an error")
}

/// The cause of an error whose own text is made for clients.
pub(crate) fn source_error(error: chat_core::Error) -> anyhow::Error {
    anyhow::anyhow!(error.source().map(ToString::to_string).unwrap_or_else(|| error.to_string()))
}
