//! The pinned messages of a chat.

use super::{MAX_PINS, Message, fill_own_reactions};
use crate::{ChatId, Result, UserId};
use sqlx::{PgConnection, types::Json};

/// Lists the pinned messages of a chat, most recently pinned first.
pub async fn list_pins(db: &mut PgConnection, viewer: UserId, chat: ChatId) -> Result<Vec<Message>> {
    let rows: Vec<Json<Message>> = sqlx::query_scalar(
        "select v.json from messages m join message_view v on v.id = m.id
         where m.chat_id = $1 and m.pinned_at is not null
         order by m.pinned_at desc, m.id desc limit $2",
    )
    .bind(chat)
    .bind(MAX_PINS)
    .fetch_all(&mut *db)
    .await?;
    let mut messages: Vec<Message> = rows.into_iter().map(|Json(message)| message).collect();
    fill_own_reactions(db, viewer, &mut messages).await?;
    Ok(messages)
}
