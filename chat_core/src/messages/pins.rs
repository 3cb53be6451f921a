//! Keeping a message in sight.

use super::{Message, fill_own_reactions, get, load_access};
use crate::{ChatId, Error, MessageId, Result, UserId, events, permissions::Permission};
use sqlx::{PgConnection, PgPool, types::Json};

/// The most pins in one chat.
pub const MAX_PINS: i64 = 50;

/// Pins a message. Twice is once.
pub async fn pin(db: &PgPool, actor: UserId, id: MessageId) -> Result<Message> {
    let mut log = events::begin(db, actor).await?;
    let access = load_access(&mut *log, id, actor).await?;
    access.membership().require(Permission::Pin)?;
    access.ensure_writable()?;
    let others: i64 =
        sqlx::query_scalar("select count(*) from messages where chat_id = $1 and pinned_at is not null and id <> $2")
            .bind(access.chat_id)
            .bind(id)
            .fetch_one(&mut *log)
            .await?;
    if others >= MAX_PINS {
        return Err(Error::Conflict { code: "too_many_pins", detail: "take another pin off first" });
    }
    sqlx::query(
        "update messages set pinned_at = clock_timestamp(), pinned_by = $2 where id = $1 and pinned_at is null",
    )
    .bind(id)
    .bind(actor)
    .execute(&mut *log)
    .await?;
    let message = get(&mut log, id, actor).await?;
    log.commit().await?;
    Ok(message)
}

/// Takes a pin off. Twice is once.
pub async fn unpin(db: &PgPool, actor: UserId, id: MessageId) -> Result<Message> {
    let mut log = events::begin(db, actor).await?;
    let access = load_access(&mut *log, id, actor).await?;
    access.membership().require(Permission::Pin)?;
    access.ensure_writable()?;
    sqlx::query("update messages set pinned_at = null, pinned_by = null where id = $1 and pinned_at is not null")
        .bind(id)
        .execute(&mut *log)
        .await?;
    let message = get(&mut log, id, actor).await?;
    log.commit().await?;
    Ok(message)
}

/// The pinned messages of a chat, the last pinned first.
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
