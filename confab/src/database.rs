//! Connection pools, and database errors for administrators.

use chat_core::db;
use sqlx::PgPool;
use std::error::Error as _;

/// Maximum number of connections of one pool.
const MAX_POOL_CONNECTIONS: u32 = 16;

/// Creates a pool for a database URL. The pool connects on first use.
pub(crate) fn create_pool(url: &str) -> anyhow::Result<PgPool> {
    db::create_pool(url, MAX_POOL_CONNECTIONS).map_err(database_error)
}

/// Converts an error for administrators, who need the cause instead of the text for clients.
pub(crate) fn database_error(error: chat_core::Error) -> anyhow::Error {
    source_error(error).context("the database reported an error")
}

/// Returns the cause of an error. The text of the error itself is for clients.
pub(crate) fn source_error(error: chat_core::Error) -> anyhow::Error {
    anyhow::anyhow!(error.source().map(ToString::to_string).unwrap_or_else(|| error.to_string()))
}
