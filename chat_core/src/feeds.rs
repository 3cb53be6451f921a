//! The positions of the feeds: readers of the event log that store how far they have read.

use crate::{
    error::Result,
    events::{self, Cursor, Head, Position},
};
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

/// Begins a round of a feed. The transaction may be idle while another one reads the log, so its idle timeout is
/// long. It does not wait for the disk when it commits: what it inserts and its position are lost together in a crash, and what is sent was claimed by
/// a later commit, which waits for both.
pub(crate) async fn begin(db: &PgPool) -> Result<Transaction<'static, Postgres>> {
    let begin = "begin; set local idle_in_transaction_session_timeout = '60s'; set local synchronous_commit = off";
    Ok(db.begin_with(begin).await?)
}

/// Creates a feed at the end of the log if it does not exist.
pub(crate) async fn start(tx: &mut PgConnection, name: &str) -> Result<()> {
    let head = events::head(&mut *tx).await?;
    let cursor = Cursor { epoch: head.epoch, position: head.last };
    sqlx::query("insert into feeds (name, cursor) values ($1, $2) on conflict do nothing")
        .bind(name)
        .bind(cursor.to_string())
        .execute(tx)
        .await?;
    Ok(())
}

/// Stores that a feed has read the log up to a position.
pub(crate) async fn save(tx: &mut PgConnection, name: &str, head: &Head, position: Position) -> Result<()> {
    let cursor = Cursor { epoch: head.epoch.clone(), position };
    sqlx::query("update feeds set cursor = $2, advanced_at = now() where name = $1")
        .bind(name)
        .bind(cursor.to_string())
        .execute(tx)
        .await?;
    Ok(())
}
