//! Attempts to send messages to another network: which were made, and what became of them.

use super::PausedReason;
use crate::{BridgeChatId, DeliveryId, MessageId, Result};
use sqlx::{PgExecutor, PgPool};

/// Maximum number of messages that a bridge sends to one remote user in a minute.
const MAX_PER_MINUTE: i64 = 40;

/// Number of equal texts in a row, within a minute, at which a chat is paused.
const MAX_REPEATED: i64 = 5;

/// Whether a message is to be sent, after earlier attempts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Attempt {
    /// It was not sent before, or did not arrive: send it. The network knows a repetition by this
    /// key, if it can.
    Send(Option<String>),
    /// It was sent, or has failed.
    Settled,
    /// It is not known whether the last attempt arrived. A status tells within this time.
    Unknown(std::time::Duration),
}

/// A part of a delivery.
#[derive(Debug, Clone, Copy)]
pub struct Part {
    /// The connected chat.
    pub chat: BridgeChatId,
    /// The entry of the outbox.
    pub delivery: DeliveryId,
    /// The message.
    pub message: MessageId,
    /// Which part of the message, from 0.
    pub number: i16,
    /// Whether it is the message itself, and not the notice of an edit.
    pub is_original: bool,
}

/// How long a status is waited for after an attempt whose outcome is unknown.
const UNKNOWN_SECONDS: f64 = 60.0;

/// Records that an attempt to send begins. The row stays in the state `sending` if the process
/// dies. `key` is for a network that ignores a repetition with the same key: an attempt whose outcome
/// is unknown is repeated at once, with the key of the first.
pub async fn begin_attempt(db: &PgPool, part: Part, key: Option<&str>) -> Result<Attempt> {
    let mut tx = db.begin().await?;
    if part.is_original {
        // The same message may have entered the outbox twice, after a gap of the log.
        let is_known: bool = sqlx::query_scalar(
            "select exists (
                 select from bridge_messages where message_id = $1 and lane_id = $2 and is_original
                   and delivery_id is distinct from $3 and part = $4
             )",
        )
        .bind(part.message)
        .bind(part.chat)
        .bind(part.delivery)
        .bind(part.number)
        .fetch_one(&mut *tx)
        .await?;
        if is_known {
            return Ok(Attempt::Settled);
        }
    }
    let inserted = sqlx::query(
        "insert into bridge_messages (lane_id, message_id, is_incoming, delivery_id, part, is_original, state, remote_id)
         select $1, $2, false, $3, $4, $5, 'sending', $6 where exists (select from messages where id = $2)
         on conflict (delivery_id, part) where delivery_id is not null do nothing",
    )
    .bind(part.chat)
    .bind(part.message)
    .bind(part.delivery)
    .bind(part.number)
    .bind(part.is_original)
    .bind(key)
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() > 0 {
        tx.commit().await?;
        return Ok(Attempt::Send(key.map(str::to_owned)));
    }
    let before: Option<(String, f64, Option<String>)> = sqlx::query_as(
        "select state, extract(epoch from clock_timestamp() - at)::float8, remote_id from bridge_messages
         where lane_id = $1 and delivery_id = $2 and part = $3 for no key update",
    )
    .bind(part.chat)
    .bind(part.delivery)
    .bind(part.number)
    .fetch_optional(&mut *tx)
    .await?;
    let attempt = match before {
        Some((state, age, None)) if state == "sending" && age < UNKNOWN_SECONDS => {
            Attempt::Unknown(std::time::Duration::from_secs_f64((UNKNOWN_SECONDS - age).max(0.0)))
        }
        Some((state, _, key)) if state == "sending" => {
            sqlx::query(
                "update bridge_messages set at = clock_timestamp()
                 where lane_id = $1 and delivery_id = $2 and part = $3",
            )
            .bind(part.chat)
            .bind(part.delivery)
            .bind(part.number)
            .execute(&mut *tx)
            .await?;
            Attempt::Send(key)
        }
        // Also if the message was deleted meanwhile.
        _ => Attempt::Settled,
    };
    tx.commit().await?;
    Ok(attempt)
}

/// Records that the network accepted a part, under this id and in this thread.
pub async fn set_sent(db: &PgPool, part: Part, remote_id: &str, remote_thread: Option<&str>) -> Result<()> {
    let set = "set remote_id = $4, remote_thread = $5, state = case when state = 'sending' then 'sent' else state end";
    change(db, part, set, remote_id, remote_thread).await
}

/// Records that a part will not arrive.
pub async fn set_failed(db: &PgPool, part: Part, error: &str) -> Result<()> {
    change(db, part, "set state = 'failed', error = left(concat($4, $5), 500)", error, None).await
}

async fn change(db: &PgPool, part: Part, set: &'static str, value: &str, second: Option<&str>) -> Result<()> {
    let sql = format!(
        "update bridge_messages {set} where lane_id = $1 and delivery_id = $2 and part = $3
           and relay_rank(state) < relay_rank('failed')"
    );
    let mut log = db.begin_with("begin; select append_lock()").await?;
    sqlx::query(sqlx::AssertSqlSafe(sql))
        .bind(part.chat)
        .bind(part.delivery)
        .bind(part.number)
        .bind(value)
        .bind(second)
        .execute(&mut *log)
        .await?;
    log.commit().await?;
    Ok(())
}

/// Forgets an attempt that certainly did not arrive, so that the next is no repetition.
pub async fn forget_attempt(db: impl PgExecutor<'_>, part: Part) -> Result<()> {
    sqlx::query(
        "delete from bridge_messages where lane_id = $1 and delivery_id = $2 and part = $3 and state = 'sending'",
    )
    .bind(part.chat)
    .bind(part.delivery)
    .bind(part.number)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets a part of a message that no longer exists on the network.
pub async fn forget_part(db: impl PgExecutor<'_>, chat: BridgeChatId, message: MessageId, number: i16) -> Result<()> {
    sqlx::query("delete from bridge_messages where lane_id = $1 and message_id = $2 and part = $3 and not is_incoming")
        .bind(chat)
        .bind(message)
        .bind(number)
        .execute(db)
        .await?;
    Ok(())
}

/// Returns why a chat is to be paused, if two programs may answer each other there: too many messages
/// were written there in the minute before this one, or one sender repeats a text. When they were sent
/// does not matter, so that what waited pauses nothing.
pub async fn detect_loop(
    db: impl PgExecutor<'_>,
    chat: BridgeChatId,
    message: MessageId,
    content: &str,
) -> Result<Option<PausedReason>> {
    let (total, repeated): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where nth <= $3 and content = $4 and sender_id = own_sender_id)
         from (
             select r.content, r.sender_id, own.sender_id as own_sender_id,
                    row_number() over (order by r.id desc) as nth
             from messages own cross join lateral (
                 select m.id, x.content, x.sender_id, x.created_at
                 from bridge_messages m join messages x on x.id = m.message_id
                 where m.lane_id = $1 and not m.is_incoming and m.is_original and m.part = 0 and m.message_id <> own.id
                 order by m.id desc limit $2
             ) r
             where own.id = $5 and r.created_at <= own.created_at and r.created_at > greatest(
                 own.created_at - interval '1 minute', (select c.resumed_at from bridge_chats c where c.id = $1)
             )
         ) recent",
    )
    .bind(chat)
    .bind(MAX_PER_MINUTE)
    .bind(MAX_REPEATED - 1)
    .bind(content)
    .bind(message)
    .fetch_one(db)
    .await?;
    Ok(if total >= MAX_PER_MINUTE {
        Some(PausedReason::TooManyMessages)
    } else if repeated >= MAX_REPEATED - 1 && !content.is_empty() {
        Some(PausedReason::RepeatedMessage)
    } else {
        None
    })
}
