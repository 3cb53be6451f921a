//! Which message is which on the other network.

use super::{BridgeAccount, PausedReason, load_bridge_accounts};
use crate::{
    BridgeChatId, BridgeId, ChatId, DeliveryId, FileId, LaneId, MessageId, Result, Time, UserId,
    messages::MessageTemplate, users::UserKind,
};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor, types::Json};
use std::collections::HashMap;

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
    /// The key of the remote user, or of the space, on the network.
    pub remote_key: String,
    /// The phone number, in digits.
    pub phone: Option<String>,
    /// Whether it is a space with several people.
    pub is_space: bool,
    /// Why nothing is sent.
    pub paused_reason: Option<PausedReason>,
}

/// Loads the remote users of lanes, with the accounts of their bridges.
pub async fn load_recipients(db: &mut PgConnection, lanes: &[LaneId]) -> Result<Vec<(Recipient, BridgeAccount)>> {
    let recipients: Vec<Recipient> = sqlx::query_as(
        "select c.id, c.bridge_id, c.chat_id, c.ghost_id, c.remote_key, c.phone, c.is_space, c.paused_reason
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
    /// The thread of that message on the other network.
    pub reply_thread: Option<String>,
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
    reply_thread: Option<String>,
    files: Json<Vec<RelayedFile>>,
}

/// Loads a message to relay to a remote user. `None` if it no longer exists, and for a system message.
pub async fn load_message(
    db: impl PgExecutor<'_>,
    recipient: &Recipient,
    id: MessageId,
) -> Result<Option<RelayedMessage>> {
    let row: Option<RelayedRow> = sqlx::query_as(
        "select m.content, u.display_name as sender_name, u.kind as sender_kind,
                coalesce(m.extra ? 'origin', false) as is_relayed, m.deleted_at is not null as is_deleted,
                m.extra -> 'template' as template,
                replied.remote_id as reply_to, replied.remote_thread as reply_thread,
                coalesce((
                    select json_agg(json_build_object('id', f.id, 'blob_key', f.blob_key, 'filename', f.filename,
                                                      'mime_type', f.mime_type, 'size', f.size) order by mf.position)
                    from message_files mf join files f on f.id = mf.file_id where mf.message_id = m.id
                ), '[]') as files
         from messages m left join users u on u.id = m.sender_id
         left join lateral (
             select r.remote_id, r.remote_thread from bridge_messages r
             where r.message_id = m.reply_to and r.lane_id = $3 and r.is_original and r.remote_id is not null
             order by r.part limit 1
         ) replied on true
         where m.id = $1 and m.chat_id = $2 and m.change is null",
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
        reply_thread: row.reply_thread,
        files: row.files.0,
    }))
}

/// Records which message a message from the network became. Idempotent.
pub async fn record_incoming(
    db: impl PgExecutor<'_>,
    chat: BridgeChatId,
    message: MessageId,
    remote_id: &str,
    remote_thread: Option<&str>,
) -> Result<()> {
    sqlx::query(
        "insert into bridge_messages (lane_id, message_id, is_incoming, remote_id, remote_thread, state)
         values ($1, $2, true, $3, $4, 'received')
         on conflict (lane_id, remote_id) where remote_id is not null do nothing",
    )
    .bind(chat)
    .bind(message)
    .bind(remote_id)
    .bind(remote_thread)
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

/// A message that a remote user wrote.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct IncomingOriginal {
    /// The message.
    pub id: MessageId,
    /// The ghost that sent it; null if it is no longer stored.
    pub sender_id: Option<UserId>,
    /// Its text.
    pub content: String,
}

/// Finds a message that came from the network, by its id there.
pub async fn find_incoming(
    db: impl PgExecutor<'_>,
    chat: BridgeChatId,
    remote_id: &str,
) -> Result<Option<IncomingOriginal>> {
    let sql = "select m.id, m.sender_id, m.content from bridge_messages r join messages m on m.id = r.message_id
               where r.lane_id = $1 and r.remote_id = $2 and r.is_incoming and m.deleted_at is null";
    Ok(sqlx::query_as(sql).bind(chat).bind(remote_id).fetch_optional(db).await?)
}

/// Finds the first message of a thread of the network.
pub async fn find_thread_start(
    db: impl PgExecutor<'_>,
    chat: BridgeChatId,
    remote_thread: &str,
) -> Result<Option<MessageId>> {
    let sql = "select r.message_id from bridge_messages r join messages m on m.id = r.message_id
               where r.lane_id = $1 and r.remote_thread = $2 and m.deleted_at is null order by r.message_id limit 1";
    Ok(sqlx::query_scalar(sql).bind(chat).bind(remote_thread).fetch_optional(db).await?)
}

/// A part of a message that the network accepted, or may have accepted.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct SentPart {
    /// Which part of the message, from 0.
    pub number: i16,
    /// The id on the network, or the one that Confab chose.
    pub remote_id: String,
    /// The entry of the outbox that sends it.
    pub delivery_id: DeliveryId,
    /// Whether it is not known that the network accepted it.
    pub is_unsure: bool,
}

/// Lists the parts of a message that the network accepted or may have accepted, in order.
pub async fn list_sent_parts(db: impl PgExecutor<'_>, chat: BridgeChatId, message: MessageId) -> Result<Vec<SentPart>> {
    let sql = "select part as number, remote_id, delivery_id, state = 'sending' as is_unsure from bridge_messages
               where message_id = $2 and lane_id = $1 and is_original and not is_incoming and remote_id is not null
                 and state <> 'failed' order by part";
    Ok(sqlx::query_as(sql).bind(chat).bind(message).fetch_all(db).await?)
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

/// The end of the window that a message of a remote user opens.
pub fn compute_window_end(sent_at: DateTime<Utc>) -> Time {
    Time(sent_at + chrono::TimeDelta::hours(24))
}
