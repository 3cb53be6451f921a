//! How far a person has received and read a chat.

use crate::{ChatId, Error, MessageId, Result, Time, UserId, events, members, messages};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

/// Which mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "receipt_kind", rename_all = "snake_case")]
pub enum Kind {
    /// It reached a device.
    Delivered,
    /// A person saw it.
    Read,
}

/// Where a mark stands: everything up to and including this message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, sqlx::FromRow)]
pub struct Mark {
    /// In which chat.
    pub chat_id: ChatId,
    /// The last message it covers.
    pub message_id: MessageId,
    /// When it moved there.
    pub at: Time,
}

/// Moves a mark forward and answers where it stands; it never moves back.
pub async fn mark(db: &PgPool, chat: ChatId, user: UserId, kind: Kind, message: MessageId) -> Result<Mark> {
    let mut log = events::begin(db, user).await?;
    members::acting(&mut log, chat, user).await?;
    if !messages::exists(&mut *log, chat, message).await? {
        return Err(Error::invalid("message_id", "there is no such message in this chat"));
    }
    sqlx::query(
        "insert into receipts (chat_id, user_id, kind, message_id)
         select $1, $2, $3, $4
         where not exists (
             select from receipts where chat_id = $1 and user_id = $2 and kind = $3 and message_id >= $4
         )",
    )
    .bind(chat)
    .bind(user)
    .bind(kind)
    .bind(message)
    .execute(&mut *log)
    .await?;
    let mark = sqlx::query_as(
        "select chat_id, message_id, at from receipts
         where chat_id = $1 and user_id = $2 and kind = $3
         order by message_id desc limit 1",
    )
    .bind(chat)
    .bind(user)
    .bind(kind)
    .fetch_one(&mut *log)
    .await?;
    log.commit().await?;
    Ok(mark)
}
