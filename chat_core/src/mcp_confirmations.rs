//! Answers to the questions that tools for models ask their users before a change. The question
//! is a signed state that the client keeps; the database knows only which were answered.

use crate::{Result, auth::hash_secret};
use sqlx::PgExecutor;

/// Records the answer to a question. False if it was answered before.
pub async fn record(db: impl PgExecutor<'_>, state: &str, expires_at: i64) -> Result<bool> {
    let sql = "insert into mcp_confirmations (digest, expires_at) values ($1, to_timestamp($2)) on conflict do nothing";
    let recorded = sqlx::query(sql).bind(hash_secret(state)).bind(expires_at as f64).execute(db).await?;
    Ok(recorded.rows_affected() == 1)
}
