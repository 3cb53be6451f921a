//! How far a person has received and read a chat.

use crate::{
    ChatId, Error, MessageId, Result, Time, UserId, chats::model::ChatType, messages,
};
use chrono::{DateTime, Utc};
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

/// Moves a marker forward, up to and including a message, and returns where it
/// stands; it never moves back. Channels do not track delivery: there the requested
/// marker is returned.
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
        ("message_not_found", ..) => Err(Error::invalid("message_id", "there is no such message in this chat")),
        (other, ..) => Err(Error::internal(format!("moving a marker ended as `{other}`"))),
    }
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
