//! How far a person has received and read a chat.

use crate::{
    ChatId, Error, MessageId, Result, Time, UserId, chats::model::ChatType, events, members, messages, time::now,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

/// Which mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "receipt_kind", rename_all = "snake_case")]
pub enum ReceiptKind {
    /// It reached a device.
    Delivered,
    /// A person saw it.
    Read,
}

/// Where a mark stands: everything up to and including this message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct ReadMarker {
    /// In which chat.
    pub chat_id: ChatId,
    /// The last message it covers.
    pub message_id: MessageId,
    /// When it moved there.
    pub at: Time,
}

/// What became of a message with one of its readers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct Receipt {
    /// Who.
    pub user_id: UserId,
    /// When it reached a device of theirs; null if that is not known.
    pub delivered_at: Option<Time>,
    /// When they read it; null if they have not.
    pub read_at: Option<Time>,
}

/// Whether a chat of this kind keeps who received what. In a channel nobody wants
/// to know, and a thousand members would each tell a thousand others.
fn tracks_delivery(kind: ChatType) -> bool {
    matches!(kind, ChatType::Single | ChatType::Group)
}

/// Moves a mark forward and answers where it stands; it never moves back.
/// Channels do not keep what was delivered: there the answer is all of it.
pub async fn advance(
    db: &PgPool,
    chat: ChatId,
    user: UserId,
    kind: ReceiptKind,
    message: MessageId,
) -> Result<ReadMarker> {
    let mut log = events::begin(db, user).await?;
    let membership = members::require_membership(&mut log, chat, user).await?;
    if !messages::exists(&mut *log, chat, message).await? {
        return Err(Error::invalid("message_id", "there is no such message in this chat"));
    }
    if kind == ReceiptKind::Delivered && !tracks_delivery(membership.kind) {
        return Ok(ReadMarker { chat_id: chat, message_id: message, at: Time(now()) });
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
    let marker = sqlx::query_as(
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
    Ok(marker)
}

/// Somebody has fetched a chat's history up to a message: it was delivered to
/// them, if it was not before.
pub async fn auto_deliver(db: &PgPool, chat: ChatId, user: UserId, kind: ChatType, up_to: MessageId) -> Result<()> {
    if !tracks_delivery(kind) {
        return Ok(());
    }
    let is_delivered: bool = sqlx::query_scalar(
        "select exists (select from receipts
         where chat_id = $1 and user_id = $2 and kind = 'delivered' and message_id >= $3)",
    )
    .bind(chat)
    .bind(user)
    .bind(up_to)
    .fetch_one(db)
    .await?;
    if !is_delivered {
        advance(db, chat, user, ReceiptKind::Delivered, up_to).await?;
    }
    Ok(())
}

/// What became of a message, for its sender, by reader: each has the time of
/// their first mark at or past it. What was read was delivered.
pub async fn list_for_message(
    db: &mut PgConnection,
    viewer: UserId,
    message: MessageId,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<Receipt>> {
    let (chat, sender) = messages::locate(&mut *db, message, viewer).await?;
    if sender != Some(viewer) {
        return Err(Error::Forbidden("only its sender sees who has read a message"));
    }
    Ok(sqlx::query_as(
        "select m.user_id, least(delivered.at, read.at) as delivered_at, read.at as read_at
         from chat_members m
         left join lateral (
             select at from receipts r
             where r.chat_id = m.chat_id and r.user_id = m.user_id and r.kind = 'delivered' and r.message_id >= $2
             order by r.message_id limit 1
         ) delivered on true
         left join lateral (
             select at from receipts r
             where r.chat_id = m.chat_id and r.user_id = m.user_id and r.kind = 'read' and r.message_id >= $2
             order by r.message_id limit 1
         ) read on true
         where m.chat_id = $1 and m.user_id <> $3 and m.joined_after_message_id < $2 and m.user_id > coalesce($4, 0)
         order by m.user_id limit $5",
    )
    .bind(chat)
    .bind(message)
    .bind(viewer)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?)
}
