//! Receipts: how far a user has received and read a chat.

use crate::{ChatId, Error, MessageId, Result, Time, UserId, chats::model::ChatType, messages};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

/// The kind of a marker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "receipt_kind", rename_all = "snake_case")]
pub enum ReceiptKind {
    /// The message reached a device.
    Delivered,
    /// The user read the message.
    Read,
}

/// A read or delivery marker. It covers all messages up to and including one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct ReadMarker {
    /// The chat.
    pub chat_id: ChatId,
    /// The last message that the marker covers.
    pub message_id: MessageId,
    /// When the marker moved to this message.
    pub at: Time,
}

/// The delivery and read times of a message for one reader.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct Receipt {
    /// The reader.
    pub user_id: UserId,
    /// When the message reached a device of the reader; null if unknown.
    pub delivered_at: Option<Time>,
    /// When the reader read the message; null if unread.
    pub read_at: Option<Time>,
}

/// Whether a chat of this type tracks delivery. Channels do not, because each of a
/// thousand members would notify a thousand others.
fn tracks_delivery(kind: ChatType) -> bool {
    matches!(kind, ChatType::Single | ChatType::Group)
}

/// Moves a marker forward to a message, and returns its position. A marker never
/// moves back. Channels do not track delivery; for them the requested marker is
/// returned.
pub async fn advance(
    db: &PgPool,
    chat: ChatId,
    user: UserId,
    kind: ReceiptKind,
    message: MessageId,
) -> Result<ReadMarker> {
    let (outcome, message_id, at): (String, Option<MessageId>, Option<DateTime<Utc>>) =
        sqlx::query_as("select outcome, message_id, at from advance_marker($1, $2, $3, $4)")
            .bind(chat)
            .bind(user)
            .bind(kind)
            .bind(message)
            .fetch_one(db)
            .await?;
    match (outcome.as_str(), message_id, at) {
        ("done", Some(message_id), Some(at)) => Ok(ReadMarker { chat_id: chat, message_id, at: Time(at) }),
        ("not_a_member", ..) => Err(Error::NotFound("chat")),
        ("message_not_found", ..) => Err(unknown_message()),
        (other, ..) => Err(Error::internal(format!("unknown outcome of a marker change: `{other}`"))),
    }
}

/// Marks a message and all after it as unread, for this user only: the read marker, which others see, stays.
pub async fn mark_unread(db: &PgPool, chat: ChatId, user: UserId, message: MessageId) -> Result<()> {
    let outcome: String =
        sqlx::query_scalar("select mark_unread($1, $2, $3)").bind(chat).bind(user).bind(message).fetch_one(db).await?;
    match outcome.as_str() {
        "done" => Ok(()),
        "not_a_member" => Err(Error::NotFound("chat")),
        "message_not_found" => Err(unknown_message()),
        other => Err(Error::internal(format!("unknown outcome of a marker change: `{other}`"))),
    }
}

fn unknown_message() -> Error {
    Error::invalid("message_id", "this chat has no message with this id")
}

/// Marks messages as delivered when a user fetches a chat's history up to
/// `up_to`.
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

/// Lists the receipts of a message for its sender, by reader. Each time comes from the
/// reader's first marker at or after the message. A read message counts as delivered.
pub async fn list_for_message(
    db: &mut PgConnection,
    viewer: UserId,
    message: MessageId,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<Receipt>> {
    let (chat, sender) = messages::locate(&mut *db, message, viewer).await?;
    if sender != Some(viewer) {
        return Err(Error::Forbidden("only the sender can see who has read a message"));
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
