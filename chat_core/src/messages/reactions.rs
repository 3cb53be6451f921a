//! Answering with an emoji.

use super::{Message, get, load_access};
use crate::{Error, MessageId, Result, UserId, events, values::Emoji};
use sqlx::PgPool;

/// The most different emoji on one message.
pub const MAX_EMOJI: i64 = 20;

/// Reacts. Twice is once.
pub async fn add_reaction(db: &PgPool, actor: UserId, id: MessageId, emoji: &Emoji) -> Result<Message> {
    let mut log = events::begin(db, actor).await?;
    load_access(&mut *log, id, actor).await?.ensure_writable()?;
    let others: i64 =
        sqlx::query_scalar("select count(distinct emoji) from reactions where message_id = $1 and emoji <> $2")
            .bind(id)
            .bind(emoji.as_str())
            .fetch_one(&mut *log)
            .await?;
    if others >= MAX_EMOJI {
        return Err(Error::Conflict { code: "too_many_emoji", detail: "this message has too many different emoji" });
    }
    sqlx::query("insert into reactions (message_id, emoji, user_id) values ($1, $2, $3) on conflict do nothing")
        .bind(id)
        .bind(emoji.as_str())
        .bind(actor)
        .execute(&mut *log)
        .await?;
    let message = get(&mut log, id, actor).await?;
    log.commit().await?;
    Ok(message)
}

/// Takes a reaction back. Twice is once.
pub async fn remove_reaction(db: &PgPool, actor: UserId, id: MessageId, emoji: &Emoji) -> Result<Message> {
    let mut log = events::begin(db, actor).await?;
    load_access(&mut *log, id, actor).await?.ensure_writable()?;
    sqlx::query("delete from reactions where message_id = $1 and emoji = $2 and user_id = $3")
        .bind(id)
        .bind(emoji.as_str())
        .bind(actor)
        .execute(&mut *log)
        .await?;
    let message = get(&mut log, id, actor).await?;
    log.commit().await?;
    Ok(message)
}
