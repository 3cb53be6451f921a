//! Which message is which on the other network, and how far it got there.

use super::{BridgeAccount, PausedReason, load_bridge_accounts};
use crate::{
    BridgeChatId, BridgeId, ChatId, DeliveryId, FileId, LaneId, MessageId, Result, Time, UserId,
    messages::MessageTemplate,
    outbox,
    receipts::{self, ReceiptKind},
    users::UserKind,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};
use std::collections::HashMap;

/// Maximum number of messages that a bridge sends to one remote user in a minute.
const MAX_PER_MINUTE: i64 = 40;

/// Number of equal texts in a row, within a minute, at which a chat is paused.
const MAX_REPEATED: i64 = 5;

/// A remote user to whom a sender sends.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Recipient {
    /// The connected chat.
    pub id: BridgeChatId,
    /// The bridge.
    pub bridge_id: BridgeId,
    /// The chat.
    pub chat_id: ChatId,
    /// The ghost.
    pub ghost_id: UserId,
    /// The key of the remote user on the network.
    pub remote_user_key: String,
    /// The phone number, in digits.
    pub phone: Option<String>,
    /// Why nothing is sent.
    pub paused_reason: Option<PausedReason>,
}

/// Loads the remote users of lanes, with the accounts of their bridges.
pub async fn load_recipients(db: &mut PgConnection, lanes: &[LaneId]) -> Result<Vec<(Recipient, BridgeAccount)>> {
    let recipients: Vec<Recipient> = sqlx::query_as(
        "select c.id, c.bridge_id, c.chat_id, c.ghost_id, c.remote_user_key, c.phone, c.paused_reason
         from bridge_chats c where c.id = any($1)",
    )
    .bind(lanes)
    .fetch_all(&mut *db)
    .await?;
    if recipients.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<BridgeId> = recipients.iter().map(|recipient| recipient.bridge_id).collect();
    let accounts = load_bridge_accounts(db, &ids).await?;
    let accounts: HashMap<BridgeId, BridgeAccount> =
        accounts.into_iter().map(|account| (account.id, account)).collect();
    let pair = |recipient: Recipient| Some((recipient.clone(), accounts.get(&recipient.bridge_id)?.clone()));
    Ok(recipients.into_iter().filter_map(pair).collect())
}

/// A file of a message to relay.
#[derive(Debug, Clone, serde::Deserialize)]
pub struct RelayedFile {
    /// The file.
    pub id: FileId,
    /// The key of its bytes.
    pub blob_key: String,
    /// The file name.
    pub filename: String,
    /// The media type.
    pub mime_type: String,
    /// The size in bytes.
    pub size: u64,
}

/// A message to relay.
#[derive(Debug, Clone)]
pub struct RelayedMessage {
    /// The message.
    pub id: MessageId,
    /// Its text.
    pub content: String,
    /// The name of its sender.
    pub sender_name: String,
    /// What its sender is.
    pub sender_kind: UserKind,
    /// Whether it came from a bridge.
    pub is_relayed: bool,
    /// Whether it was deleted.
    pub is_deleted: bool,
    /// The template that it sends through this bridge.
    pub template: Option<MessageTemplate>,
    /// The id, on the other network, of the message to which it replies.
    pub reply_to: Option<String>,
    /// Its files.
    pub files: Vec<RelayedFile>,
}

#[derive(sqlx::FromRow)]
struct RelayedRow {
    content: String,
    sender_name: Option<String>,
    sender_kind: Option<UserKind>,
    is_relayed: bool,
    is_deleted: bool,
    template: Option<Json<MessageTemplate>>,
    reply_to: Option<String>,
    files: Json<Vec<RelayedFile>>,
}

/// Loads a message to relay to a remote user. `None` if it no longer exists.
pub async fn load_message(
    db: impl PgExecutor<'_>,
    recipient: &Recipient,
    id: MessageId,
) -> Result<Option<RelayedMessage>> {
    let row: Option<RelayedRow> = sqlx::query_as(
        "select m.content, u.display_name as sender_name, u.kind as sender_kind,
                coalesce(m.extra ? 'origin', false) as is_relayed, m.deleted_at is not null as is_deleted,
                m.extra -> 'template' as template,
                (select r.remote_id from bridge_messages r
                 where r.message_id = m.reply_to and r.lane_id = $3 and r.is_original and r.remote_id is not null
                 order by r.part limit 1) as reply_to,
                coalesce((
                    select json_agg(json_build_object('id', f.id, 'blob_key', f.blob_key, 'filename', f.filename,
                                                      'mime_type', f.mime_type, 'size', f.size) order by mf.position)
                    from message_files mf join files f on f.id = mf.file_id where mf.message_id = m.id
                ), '[]') as files
         from messages m left join users u on u.id = m.sender_id
         where m.id = $1 and m.chat_id = $2",
    )
    .bind(id)
    .bind(recipient.chat_id)
    .bind(recipient.id)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| RelayedMessage {
        id,
        content: row.content,
        sender_name: row.sender_name.unwrap_or_default(),
        // A sender who is no longer stored was a person.
        sender_kind: row.sender_kind.unwrap_or(UserKind::Person),
        is_relayed: row.is_relayed,
        is_deleted: row.is_deleted,
        template: row.template.map(|Json(template)| template).filter(|one| one.bridge_id == recipient.bridge_id),
        reply_to: row.reply_to,
        files: row.files.0,
    }))
}

/// Whether a message is to be sent, after earlier attempts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It was not sent before, or did not arrive: send it.
    Send,
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
/// dies.
pub async fn begin_attempt(db: &PgPool, part: Part) -> Result<Attempt> {
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
        "insert into bridge_messages (lane_id, message_id, is_incoming, delivery_id, part, is_original, state)
         select $1, $2, false, $3, $4, $5, 'sending' where exists (select from messages where id = $2)
         on conflict (delivery_id, part) where delivery_id is not null do nothing",
    )
    .bind(part.chat)
    .bind(part.message)
    .bind(part.delivery)
    .bind(part.number)
    .bind(part.is_original)
    .execute(&mut *tx)
    .await?;
    if inserted.rows_affected() > 0 {
        tx.commit().await?;
        return Ok(Attempt::Send);
    }
    let before: Option<(String, f64)> = sqlx::query_as(
        "select state, extract(epoch from clock_timestamp() - at)::float8 from bridge_messages
         where lane_id = $1 and delivery_id = $2 and part = $3 for no key update",
    )
    .bind(part.chat)
    .bind(part.delivery)
    .bind(part.number)
    .fetch_optional(&mut *tx)
    .await?;
    let attempt = match before {
        Some((state, age)) if state == "sending" && age < UNKNOWN_SECONDS => {
            Attempt::Unknown(std::time::Duration::from_secs_f64((UNKNOWN_SECONDS - age).max(0.0)))
        }
        Some((state, _)) if state == "sending" => {
            sqlx::query(
                "update bridge_messages set at = clock_timestamp()
                 where lane_id = $1 and delivery_id = $2 and part = $3",
            )
            .bind(part.chat)
            .bind(part.delivery)
            .bind(part.number)
            .execute(&mut *tx)
            .await?;
            Attempt::Send
        }
        // Also if the message was deleted meanwhile.
        _ => Attempt::Settled,
    };
    tx.commit().await?;
    Ok(attempt)
}

/// Records that the network accepted a part, under this id.
pub async fn set_sent(db: &PgPool, part: Part, remote_id: &str) -> Result<()> {
    change(db, part, "set remote_id = $4, state = case when state = 'sending' then 'sent' else state end", remote_id)
        .await
}

/// Records that a part will not arrive.
pub async fn set_failed(db: &PgPool, part: Part, error: &str) -> Result<()> {
    change(db, part, "set state = 'failed', error = left($4, 500)", error).await
}

async fn change(db: &PgPool, part: Part, set: &'static str, value: &str) -> Result<()> {
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

/// A status that the network reported.
#[derive(Debug, Clone)]
pub struct Status {
    /// The id of the message on the network.
    pub remote_id: String,
    /// What Confab sent along: the delivery and the part.
    pub reference: Option<(DeliveryId, i16)>,
    /// The new state: `sent`, `delivered`, `read` or `failed`.
    pub state: super::RelayState,
    /// Why it failed.
    pub error: Option<String>,
}

/// A message of a status that was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::FromRow)]
pub struct StatusTarget {
    /// The connected chat.
    pub bridge_chat_id: BridgeChatId,
    /// The chat.
    pub chat_id: ChatId,
    /// The ghost, whose receipts follow the status.
    pub ghost_id: UserId,
    /// The message.
    pub message_id: MessageId,
}

/// Applies a status: the state of a message never goes back. Returns `None` if Confab did not send
/// the message through this bridge.
pub async fn apply_status(db: &PgPool, bridge: BridgeId, status: &Status) -> Result<Option<StatusTarget>> {
    let (delivery, part) = status.reference.map_or((None, None), |(delivery, part)| (Some(delivery), Some(part)));
    let sql = "select m.id, m.lane_id, m.remote_id is null as was_unknown, c.chat_id, c.ghost_id, m.message_id,
                      m.remote_id is null or relay_rank(m.state) < relay_rank($5) as changes_state
               from (
                   select * from bridge_messages where remote_id = $2 and not is_incoming
                   union all
                   select * from bridge_messages where delivery_id = $3 and part = $4 and coalesce(remote_id, $2) = $2
               ) m
               join bridge_chats c on c.id = m.lane_id and c.bridge_id = $1
               limit 1";
    let row: Option<(i64, BridgeChatId, bool, ChatId, UserId, MessageId, bool)> = sqlx::query_as(sql)
        .bind(bridge)
        .bind(&status.remote_id)
        .bind(delivery)
        .bind(part)
        .bind(status.state)
        .fetch_optional(db)
        .await?;
    let Some((id, chat, was_unknown, chat_id, ghost_id, message_id, changes_state)) = row else { return Ok(None) };
    if changes_state {
        let mut log = db.begin_with("begin; select append_lock()").await?;
        sqlx::query(
            "update bridge_messages
             set remote_id = coalesce(remote_id, $2),
                 state = case when relay_rank(state) < relay_rank($3) then $3 else state end,
                 error = case when relay_rank(state) < relay_rank($3) then left($4, 500) else error end
             where id = $1",
        )
        .bind(id)
        .bind(&status.remote_id)
        .bind(status.state)
        .bind(&status.error)
        .execute(&mut *log)
        .await?;
        log.commit().await?;
    }
    if was_unknown {
        // What follows need not wait any longer.
        let mut tx = db.begin().await?;
        outbox::lock_lane(&mut tx, chat).await?;
        outbox::wake(&mut tx, chat).await?;
        tx.commit().await?;
    }
    Ok(Some(StatusTarget { bridge_chat_id: chat, chat_id, ghost_id, message_id }))
}

/// Records which message a message from the network became. Idempotent.
pub async fn record_incoming(
    db: impl PgExecutor<'_>,
    chat: BridgeChatId,
    message: MessageId,
    remote_id: &str,
) -> Result<()> {
    sqlx::query(
        "insert into bridge_messages (lane_id, message_id, is_incoming, remote_id, state)
         values ($1, $2, true, $3, 'received')
         on conflict (lane_id, remote_id) where remote_id is not null do nothing",
    )
    .bind(chat)
    .bind(message)
    .bind(remote_id)
    .execute(db)
    .await?;
    Ok(())
}

/// Whether a message from the network is stored, in any chat of a bridge.
pub async fn is_stored(db: impl PgExecutor<'_>, bridge: BridgeId, remote_id: &str) -> Result<bool> {
    let sql = "select exists (
                   select from bridge_messages m join bridge_chats c on c.id = m.lane_id and c.bridge_id = $1
                   where m.remote_id = $2 and m.is_incoming
               )";
    Ok(sqlx::query_scalar(sql).bind(bridge).bind(remote_id).fetch_one(db).await?)
}

/// Finds a message of a connected chat by its id on the network.
pub async fn find_by_remote_id(
    db: impl PgExecutor<'_>,
    chat: BridgeChatId,
    remote_id: &str,
) -> Result<Option<MessageId>> {
    let sql = "select message_id from bridge_messages where lane_id = $1 and remote_id = $2";
    Ok(sqlx::query_scalar(sql).bind(chat).bind(remote_id).fetch_optional(db).await?)
}

/// Finds the id, on the network, of a message that was relayed in either direction.
pub async fn find_remote_id(db: impl PgExecutor<'_>, chat: BridgeChatId, message: MessageId) -> Result<Option<String>> {
    let sql = "select remote_id from bridge_messages
               where message_id = $2 and lane_id = $1 and is_original and remote_id is not null order by part limit 1";
    Ok(sqlx::query_scalar(sql).bind(chat).bind(message).fetch_optional(db).await?)
}

/// Returns the emoji of the last reaction of a person to a message; `None` if there is none.
pub async fn find_last_reaction(db: impl PgExecutor<'_>, message: MessageId) -> Result<Option<String>> {
    let sql = "select r.emoji from reactions r join users u on u.id = r.user_id
               where r.message_id = $1 and u.kind = 'person' order by r.created_at desc, r.emoji limit 1";
    Ok(sqlx::query_scalar(sql).bind(message).fetch_optional(db).await?)
}

/// The emoji with which a ghost has reacted to a message.
pub async fn list_reactions(db: impl PgExecutor<'_>, message: MessageId, ghost: UserId) -> Result<Vec<String>> {
    let sql = "select emoji from reactions where message_id = $1 and user_id = $2";
    Ok(sqlx::query_scalar(sql).bind(message).bind(ghost).fetch_all(db).await?)
}

/// Finds the last message of the remote user up to a message, if the remote user was not told yet that it
/// was read.
pub async fn find_unacknowledged(
    db: impl PgExecutor<'_>,
    chat: BridgeChatId,
    up_to: MessageId,
) -> Result<Option<(MessageId, String)>> {
    Ok(sqlx::query_as(
        "select m.message_id, m.remote_id from bridge_messages m join bridge_chats c on c.id = m.lane_id
         where m.lane_id = $1 and m.is_incoming and m.message_id <= $2
           and m.message_id > coalesce(c.read_message_id, 0)
         order by m.message_id desc limit 1",
    )
    .bind(chat)
    .bind(up_to)
    .fetch_optional(db)
    .await?)
}

/// Whether a user is a person of this server.
pub async fn is_person(db: impl PgExecutor<'_>, user: UserId) -> Result<bool> {
    let sql = "select exists (select from users where id = $1 and kind = 'person')";
    Ok(sqlx::query_scalar(sql).bind(user).fetch_one(db).await?)
}

/// Records up to which message the remote user was told that their messages were read.
pub async fn set_acknowledged(db: impl PgExecutor<'_>, chat: BridgeChatId, message: MessageId) -> Result<()> {
    sqlx::query("update bridge_chats set read_message_id = greatest(read_message_id, $2) where id = $1")
        .bind(chat)
        .bind(message)
        .execute(db)
        .await?;
    Ok(())
}

/// Returns why a chat is to be paused, if two programs may answer each other there.
pub async fn detect_loop(db: impl PgExecutor<'_>, chat: BridgeChatId, content: &str) -> Result<Option<PausedReason>> {
    let (total, repeated): (i64, i64) = sqlx::query_as(
        "select count(*), count(*) filter (where nth <= $3 and content = $4)
         from (
             select r.content, row_number() over (order by r.id desc) as nth from (
                 select m.id, m.at, x.content from bridge_messages m join messages x on x.id = m.message_id
                 where m.lane_id = $1 and not m.is_incoming and m.is_original and m.part = 0 order by m.id desc limit $2
             ) r where r.at > greatest(
                 now() - interval '1 minute', (select c.resumed_at from bridge_chats c where c.id = $1)
             )
         ) recent",
    )
    .bind(chat)
    .bind(MAX_PER_MINUTE)
    .bind(MAX_REPEATED - 1)
    .bind(content)
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

/// The end of the window that a message of a remote user opens.
pub fn compute_window_end(sent_at: DateTime<Utc>) -> Time {
    Time(sent_at + chrono::TimeDelta::hours(24))
}

/// Marks a message as delivered to or read by a remote user.
pub async fn advance_receipt(db: &PgPool, target: StatusTarget, is_read: bool) -> Result<()> {
    let StatusTarget { chat_id, ghost_id, message_id, .. } = target;
    receipts::advance(db, chat_id, ghost_id, ReceiptKind::Delivered, message_id).await?;
    if is_read {
        receipts::advance(db, chat_id, ghost_id, ReceiptKind::Read, message_id).await?;
    }
    Ok(())
}
