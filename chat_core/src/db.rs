//! The connection pool and the migrations.

use crate::{Error, Result};
use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};

/// The files of `migrations/`, embedded in the binary.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// Creates a pool of at most `max_connections`. Timeouts on each connection prevent
/// one stuck client from holding the append lock for long.
pub fn create_pool(url: &str, max_connections: u32) -> Result<PgPool> {
    let options = PgConnectOptions::from_str(url).map_err(Error::internal)?.application_name("confab").options([
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("timezone", "UTC"),
        // An acknowledged message is on the disk, whatever PGOPTIONS says.
        ("synchronous_commit", "on"),
        // No warning for a transaction that is still open.
        ("client_min_messages", "error"),
    ]);
    Ok(pool_options().max_connections(max_connections).connect_lazy_with(options))
}

fn pool_options() -> PgPoolOptions {
    PgPoolOptions::new()
        // A request that is cancelled while its transaction begins leaves the
        // transaction open on the server without sqlx knowing. Such a connection must
        // not be reused: it holds locks, and its writes are never committed.
        .after_release(|connection, _| {
            // With `begin` first, Postgres logs a warning only if a transaction is open.
            Box::pin(async move { sqlx::raw_sql("begin; rollback").execute(connection).await.map(|_| true) })
        })
        .acquire_timeout(Duration::from_secs(5))
}

/// Maximum number of connections for queries whose cost the caller chooses.
const MAX_EXPENSIVE_CONNECTIONS: u32 = 2;

/// Creates a small pool for searches and exports, so that they do not take the
/// connections of other requests.
pub fn create_expensive_pool(pool: &PgPool) -> PgPool {
    let options = pool.connect_options().as_ref().clone();
    pool_options().max_connections(MAX_EXPENSIVE_CONNECTIONS).connect_lazy_with(options)
}

/// Applies all pending migrations. Safe to run from several processes at once.
pub async fn migrate(pool: &PgPool) -> Result<()> {
    MIGRATIONS.run(pool).await.map_err(|error| match error {
        MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) => Error::internal(
            "the schema is from another version of Confab and is unknown to this one; start with an empty database",
        ),
        other => Error::internal(other),
    })
}

/// Returns the name of a setting, if any, that lets the database lose acknowledged writes in a
/// crash.
pub async fn find_volatile_setting(pool: &PgPool) -> Result<Option<String>> {
    Ok(sqlx::query_scalar(
        "select name from pg_settings
         where name in ('fsync', 'full_page_writes') and setting = 'off' order by name limit 1",
    )
    .fetch_optional(pool)
    .await?)
}

/// Whether the database responds and its schema version is the one this binary expects.
pub async fn is_ready(pool: &PgPool) -> Result<bool> {
    let newest: Option<i64> =
        sqlx::query_scalar("select max(version) from _sqlx_migrations where success").fetch_one(pool).await?;
    Ok(newest == MIGRATIONS.iter().map(|migration| migration.version).max())
}
