//! Pages of the log: the events of the stream, for clients that poll.

use super::{Chats, Cursor, Head, LogEntry, Replay, check_position, head};
use crate::{ChatId, Error, Result, UserId};
use serde_json::value::RawValue;
use sqlx::{PgConnection, PgPool, Postgres, Transaction};

/// A page of one user's events, in order.
#[derive(Debug)]
pub struct Page {
    /// The events as the stream sends them. A page that is not the last may be empty.
    pub events: Vec<Box<RawValue>>,
    /// The position after which the next page starts.
    pub cursor: Cursor,
    /// Whether the next page can be read at once.
    pub more: bool,
}

/// Begins a read-only transaction on one snapshot of the database.
pub async fn begin_snapshot(db: &PgPool) -> Result<Transaction<'static, Postgres>> {
    Ok(db.begin_with("begin isolation level repeatable read read only").await?)
}

/// Loads the events of a user after a cursor. Returns `Error::Reset` if the log
/// cannot resume from it.
pub async fn load_page(db: &PgPool, user: UserId, after: &Cursor, limit: i64) -> Result<Page> {
    let page = load_entries(db, user, after, limit).await?;
    let events = page.entries.iter().map(|entry| {
        let mut json = String::with_capacity(entry.data.len() + 64);
        entry.write_json(&page.cursor.epoch, &mut json).map_err(Error::internal)?;
        RawValue::from_string(json).map_err(Error::internal)
    });
    Ok(Page { events: events.collect::<Result<_>>()?, cursor: page.cursor, more: page.has_more })
}

/// A page of one user's events, as the log stores them.
#[derive(Debug)]
pub(crate) struct EntryPage {
    pub(crate) entries: Vec<LogEntry>,
    pub(crate) cursor: Cursor,
    pub(crate) has_more: bool,
}

/// Loads what [`load_page`] loads, as the log stores it.
pub(crate) async fn load_entries(db: &PgPool, user: UserId, after: &Cursor, limit: i64) -> Result<EntryPage> {
    let mut snapshot = begin_snapshot(db).await?;
    let now = head(&mut *snapshot).await?;
    check_cursor(&mut snapshot, &now, after).await?;
    let chats = load_chats(&mut snapshot, user).await?;
    let mut replay = Replay::begin(&mut *snapshot, user, chats, after.position, now.last).await?;
    let page = replay.next(&mut snapshot, limit).await?;
    snapshot.rollback().await?;
    let cursor = Cursor { epoch: now.epoch, position: replay.position() };
    Ok(EntryPage { entries: page.entries, cursor, has_more: page.has_more })
}

async fn check_cursor(snapshot: &mut PgConnection, now: &Head, after: &Cursor) -> Result<()> {
    if after.epoch != now.epoch {
        return Err(Error::Reset("epoch"));
    }
    if after.position.id > now.last.id {
        return Err(Error::Reset("future"));
    }
    check_position(snapshot, after.position).await
}

async fn load_chats(snapshot: &mut PgConnection, user: UserId) -> Result<Chats> {
    let chats: Vec<ChatId> = sqlx::query_scalar("select chat_id from chat_members where user_id = $1")
        .bind(user)
        .fetch_all(snapshot)
        .await?;
    Ok(chats.into_iter().collect())
}
