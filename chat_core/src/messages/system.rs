//! System messages: what changed in a chat, as messages in its history. The transaction that makes the change writes
//! them, so that the history tells what happened in the order in which it happened.

use crate::{ChatId, MessageId, Result, UserId};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, types::Json};

/// Who wrote a message.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MessageKind {
    /// A user.
    #[default]
    User,
    /// The server: it tells what the sender changed.
    System,
}

/// What a system message tells. Who did it is the sender of the message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum ChatChange {
    /// The sender joined.
    Joined,
    /// The sender left.
    Left,
    /// The sender added a member.
    Added {
        /// The new member.
        user_id: UserId,
    },
    /// The sender removed a member.
    Removed {
        /// The former member.
        user_id: UserId,
    },
    /// The sender changed the name of the chat.
    Renamed {
        /// The new name; empty if it was removed. Null if the message was deleted.
        name: Option<String>,
    },
    /// The sender changed the topic of the chat.
    TopicChanged {
        /// The new topic; empty if it was removed. Null if the message was deleted.
        topic: Option<String>,
    },
    /// The sender pinned a message.
    Pinned {
        /// The message.
        message_id: MessageId,
    },
}

/// Maximum number of system messages of one sender in one chat within [`RECENT_SECONDS`]. Later changes are not told.
pub(super) const MAX_RECENT: i32 = 20;

/// See [`MAX_RECENT`].
pub(super) const RECENT_SECONDS: f64 = 600.0;

/// In a channel with more members, joining and leaving is no news.
const MAX_MEMBERS_TOLD: i64 = 1_000;

/// Appends the system message that a user has joined or left, unless the chat is large.
pub(crate) async fn append_membership(
    log: &mut PgConnection,
    chat: ChatId,
    user: UserId,
    change: &ChatChange,
) -> Result<()> {
    let members: i64 =
        sqlx::query_scalar("select count(*) from (select from chat_members where chat_id = $1 limit $2 + 1) members")
            .bind(chat)
            .bind(MAX_MEMBERS_TOLD)
            .fetch_one(&mut *log)
            .await?;
    if members > MAX_MEMBERS_TOLD {
        return Ok(());
    }
    append(log, chat, user, change).await
}

/// Appends a system message. The caller holds the append lock and has made the change.
pub(crate) async fn append(log: &mut PgConnection, chat: ChatId, actor: UserId, change: &ChatChange) -> Result<()> {
    sqlx::query("select append_system_message($1, $2, $3, $4, $5)")
        .bind(chat)
        .bind(actor)
        .bind(Json(change))
        .bind(MAX_RECENT)
        .bind(RECENT_SECONDS)
        .execute(log)
        .await?;
    Ok(())
}
