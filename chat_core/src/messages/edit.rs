//! Changing what was said, and taking it back.

use super::{Message, get, load_access};
use crate::{Error, MessageId, Result, Time, UserId, events, permissions::Permission, values::Content};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

/// So many earlier texts of a message are kept; the oldest go.
const MAX_REVISIONS: i64 = 100;

/// What a message said before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct MessageRevision {
    /// The text that was replaced.
    pub content: String,
    /// When it was.
    pub edited_at: Time,
}

/// Replaces the text of one's own message. The same text again changes nothing.
pub async fn update(db: &PgPool, actor: UserId, id: MessageId, content: &Content) -> Result<Message> {
    let mut log = events::begin(db, actor).await?;
    let access = load_access(&mut *log, id, actor).await?;
    if access.sender_id != Some(actor) {
        return Err(Error::Forbidden("only its author edits a message"));
    }
    access.ensure_writable()?;
    if content.is_blank() && !has_files(&mut log, id).await? {
        return Err(Error::invalid("content", "a message has words or files"));
    }
    sqlx::query(
        "with before as (
             insert into message_edits (message_id, content)
             select id, content from messages where id = $1 and content <> $2
         )
         update messages m
         set content = $2, edited_at = clock_timestamp(), mentions = called.user_ids, mentions_everyone = called.everyone
         from resolve_mentions($3, $4, $5) called
         where m.id = $1 and m.content <> $2",
    )
    .bind(id)
    .bind(content.as_str())
    .bind(access.chat_id)
    .bind(actor)
    .bind(content.mentions())
    .execute(&mut *log)
    .await?;
    sqlx::query(
        "delete from message_edits where message_id = $1 and edited_at < (
             select edited_at from message_edits where message_id = $1 order by edited_at desc offset $2 - 1 limit 1)",
    )
    .bind(id)
    .bind(MAX_REVISIONS)
    .execute(&mut *log)
    .await?;
    let message = get(&mut log, id, actor).await?;
    log.commit().await?;
    Ok(message)
}

async fn has_files(log: &mut PgConnection, id: MessageId) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from message_files where message_id = $1)")
        .bind(id)
        .fetch_one(log)
        .await?)
}

/// Deletes a message, for its author or an admin: its place stays, and what it
/// said, showed and was answered with in emoji goes. Twice is once.
pub async fn delete(db: &PgPool, actor: UserId, id: MessageId) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    let access = load_access(&mut *log, id, actor).await?;
    if access.sender_id != Some(actor) {
        access.membership().require(Permission::DeleteOthersMessages)?;
    }
    if !access.is_deleted {
        // First, so that what goes with it goes in silence.
        sqlx::query(
            "update messages
             set content = '', mentions = '{}', mentions_everyone = false, pinned_at = null, pinned_by = null,
                 deleted_at = clock_timestamp()
             where id = $1",
        )
        .bind(id)
        .execute(&mut *log)
        .await?;
        for sql in [
            "delete from reactions where message_id = $1",
            "delete from message_edits where message_id = $1",
            "delete from message_files where message_id = $1",
        ] {
            sqlx::query(sql).bind(id).execute(&mut *log).await?;
        }
    }
    log.commit().await?;
    Ok(())
}

/// What a message said before, as far as it is kept, oldest first, for the admins of its chat and for
/// its author.
pub async fn list_revisions(db: &mut PgConnection, actor: UserId, id: MessageId) -> Result<Vec<MessageRevision>> {
    let access = load_access(&mut *db, id, actor).await?;
    if access.sender_id != Some(actor) {
        access.membership().require(Permission::ViewRevisions)?;
    }
    Ok(sqlx::query_as("select content, edited_at from message_edits where message_id = $1 order by edited_at")
        .bind(id)
        .fetch_all(db)
        .await?)
}
