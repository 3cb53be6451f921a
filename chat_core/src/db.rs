//! The connection pool and the migrations.

use crate::{Error, Result};
use sqlx::{
    PgPool,
    migrate::{MigrateError, Migrator},
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{str::FromStr, time::Duration};

/// Everything under `migrations/`, embedded in the binary.
pub static MIGRATIONS: Migrator = sqlx::migrate!("../migrations");

/// A pool of at most `max_connections`, each with the timeouts that keep one
/// stuck client from holding the append lock against everyone else.
pub fn create_pool(url: &str, max_connections: u32) -> Result<PgPool> {
    let options = PgConnectOptions::from_str(url).map_err(Error::internal)?.application_name("confab").options([
        ("statement_timeout", "15s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "5s"),
        ("timezone", "UTC"),
        // Rolling back where nothing is open is worth no warning.
        ("client_min_messages", "error"),
    ]);
    Ok(PgPoolOptions::new()
        // A request that is given up while its transaction begins leaves it open
        // on the server without sqlx knowing. Nobody may get such a connection:
        // it holds locks, and what is written on it is never committed.
        .after_release(|connection, _| {
            Box::pin(async move { sqlx::raw_sql("rollback").execute(connection).await.map(|_| true) })
        })
        .max_connections(max_connections)
        .acquire_timeout(Duration::from_secs(5))
        .connect_lazy_with(options))
}

/// Brings the schema up to date. Safe to run from several processes at once.
pub async fn migrate(pool: &PgPool) -> Result<()> {
    MIGRATIONS.run(pool).await.map_err(|error| match error {
        MigrateError::VersionMismatch(_) | MigrateError::VersionMissing(_) => Error::internal(
            "it was made by another version of Confab, whose schema this one does not know; start with an empty database",
        ),
        other => Error::internal(other),
    })
}

/// Whether the database answers and its schema is the one this binary knows.
pub async fn is_ready(pool: &PgPool) -> Result<bool> {
    let newest: Option<i64> =
        sqlx::query_scalar("select max(version) from _sqlx_migrations where success").fetch_one(pool).await?;
    Ok(newest == MIGRATIONS.iter().map(|migration| migration.version).max())
}
