//! Messages: what they are, how they are sent, and how history is read.

use crate::{
    ChatId, Error, FileId, MessageId, Result, Time, UserId, events,
    files::FileInfo,
    members,
    text::{Content, Nonce},
};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};
use std::collections::HashMap;

/// The most files one message shows.
pub const MAX_FILES: usize = 10;

/// A message as everyone in its chat sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The id; ids grow in commit order.
    pub id: MessageId,
    /// Where it was said.
    pub chat_id: ChatId,
    /// Null once that person's account is gone.
    pub sender_id: Option<UserId>,
    /// Empty once deleted.
    pub content: String,
    /// In the order the sender gave.
    pub files: Vec<FileInfo>,
    /// The message of the same chat that this one answers.
    pub reply_to: Option<MessageId>,
    /// The sender's own name for this send.
    pub nonce: Option<String>,
    /// When it was written.
    pub created_at: Time,
    /// When its text last changed.
    pub edited_at: Option<Time>,
    /// When it was deleted.
    pub deleted_at: Option<Time>,
    /// Who reacted, by emoji.
    pub reactions: Vec<Reaction>,
    /// Whether it is pinned in its chat.
    pub pinned: bool,
}

/// How many people reacted with one emoji.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// One grapheme.
    pub emoji: String,
    /// People.
    pub count: i64,
    /// Whether the viewer is one of them.
    pub me: bool,
}

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Where.
    pub chat_id: ChatId,
    /// By whom.
    pub sender_id: UserId,
    /// Blank only if there are files.
    pub content: Content,
    /// Uploads of the sender's own.
    pub files: Vec<FileId>,
    /// A message of the same chat.
    pub reply_to: Option<MessageId>,
    /// Same nonce, same message.
    pub nonce: Option<Nonce>,
}

/// What became of a send.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message; the first one if its nonce was used before.
    pub message: Message,
    /// Whether this send wrote it.
    pub is_new: bool,
}

/// Writes messages in one transaction. Each has its own outcome: a refused one
/// does not touch its neighbours. The outer error means none was written.
pub async fn send(db: &PgPool, batch: &[NewMessage]) -> Result<Vec<Result<Sent>>> {
    let mut log = events::begin_unattended(db).await?;
    let written = insert(&mut log, batch).await?;
    let files = files_of(&mut log, batch).await?;
    let mut outcomes = Vec::with_capacity(batch.len());
    for (new, row) in batch.iter().zip(written) {
        outcomes.push(match row {
            Some((id, created_at)) => Ok(Sent { message: as_written(new, id, Time(created_at), &files), is_new: true }),
            None => not_written(&mut log, new).await?,
        });
    }
    log.commit().await?;
    Ok(outcomes)
}

/// Writes one message.
pub async fn send_one(db: &PgPool, new: NewMessage) -> Result<Sent> {
    let mut outcomes = send(db, &[new]).await?;
    outcomes.pop().unwrap_or_else(|| Err(Error::internal("a batch of one has one outcome")))
}

type Written = (MessageId, chrono::DateTime<chrono::Utc>);

/// One statement for the whole batch. A row is left out when its sender is no
/// member, its nonce is used, or it points at a message or file it may not.
async fn insert(log: &mut PgConnection, batch: &[NewMessage]) -> Result<Vec<Option<Written>>> {
    let column = |field: fn(&NewMessage) -> Option<i64>| batch.iter().map(field).collect::<Vec<_>>();
    let attached: Vec<(i32, i16, FileId)> = batch
        .iter()
        .zip(0..)
        .flat_map(|(new, ord)| new.files.iter().zip(0..).map(move |(file, position)| (ord, position, *file)))
        .collect();
    let rows: Vec<(i32, MessageId, chrono::DateTime<chrono::Utc>)> = sqlx::query_as(
        "with input as materialized (
             select * from unnest($1::bigint[], $2::bigint[], $3::text[], $4::bigint[], $5::text[])
                 with ordinality as i (chat_id, sender_id, content, reply_to, nonce, nth)
         ), attached as materialized (
             select * from unnest($6::int[], $7::smallint[], $8::bigint[]) as a (ord, position, file_id)
         ), eligible as materialized (
             select i.nth::int - 1 as ord, nextval('messages_id_seq') as id, i.*
             from input i
             join chat_members m on m.chat_id = i.chat_id and m.user_id = i.sender_id
             where (i.reply_to is null or exists (
                       select from messages r where r.chat_id = i.chat_id and r.id = i.reply_to))
               and not exists (
                       select from attached a where a.ord = i.nth - 1 and not exists (
                           select from files f where f.id = a.file_id and f.uploader_id = i.sender_id))
             order by i.nth
         ), inserted as (
             insert into messages (id, chat_id, sender_id, content, reply_to, nonce)
             overriding system value
             select id, chat_id, sender_id, content, reply_to, nonce from eligible order by id
             on conflict (sender_id, chat_id, nonce) where nonce is not null do nothing
             returning id, created_at
         ), shown as (
             insert into message_files (message_id, position, file_id)
             select e.id, a.position, a.file_id
             from attached a join eligible e on e.ord = a.ord join inserted n on n.id = e.id
         )
         select e.ord, n.id, n.created_at from inserted n join eligible e on e.id = n.id",
    )
    .bind(column(|new| Some(new.chat_id.get())))
    .bind(column(|new| Some(new.sender_id.get())))
    .bind(batch.iter().map(|new| new.content.as_str()).collect::<Vec<_>>())
    .bind(column(|new| new.reply_to.map(MessageId::get)))
    .bind(batch.iter().map(|new| new.nonce.as_ref().map(Nonce::as_str)).collect::<Vec<_>>())
    .bind(attached.iter().map(|(ord, ..)| *ord).collect::<Vec<_>>())
    .bind(attached.iter().map(|(_, position, _)| *position).collect::<Vec<_>>())
    .bind(attached.iter().map(|(.., file)| file.get()).collect::<Vec<_>>())
    .fetch_all(log)
    .await?;
    let mut written = vec![None; batch.len()];
    for (ord, id, created_at) in rows {
        if let Some(slot) = usize::try_from(ord).ok().and_then(|ord| written.get_mut(ord)) {
            *slot = Some((id, created_at));
        }
    }
    Ok(written)
}

async fn files_of(log: &mut PgConnection, batch: &[NewMessage]) -> Result<HashMap<FileId, FileInfo>> {
    let ids: Vec<FileId> = batch.iter().flat_map(|new| new.files.iter().copied()).collect();
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let rows: Vec<Json<FileInfo>> =
        sqlx::query_scalar("select file_json(f) from files f where f.id = any($1)").bind(ids).fetch_all(log).await?;
    Ok(rows.into_iter().map(|Json(file)| (file.id, file)).collect())
}

/// The message that the insert wrote: the same as `message_json` would answer,
/// without asking.
fn as_written(new: &NewMessage, id: MessageId, created_at: Time, files: &HashMap<FileId, FileInfo>) -> Message {
    Message {
        id,
        chat_id: new.chat_id,
        sender_id: Some(new.sender_id),
        content: new.content.as_str().to_owned(),
        files: new.files.iter().filter_map(|id| files.get(id).cloned()).collect(),
        reply_to: new.reply_to,
        nonce: new.nonce.as_ref().map(|nonce| nonce.as_str().to_owned()),
        created_at,
        edited_at: None,
        deleted_at: None,
        reactions: Vec::new(),
        pinned: false,
    }
}

/// Why the insert left a message out. The outer error is the database's.
async fn not_written(log: &mut PgConnection, new: &NewMessage) -> Result<Result<Sent>> {
    if members::membership(&mut *log, new.chat_id, new.sender_id).await?.is_none() {
        return Ok(Err(Error::NotFound("chat")));
    }
    let first: Option<Json<Message>> = sqlx::query_scalar(
        "select message_json(m) from messages m where m.sender_id = $1 and m.chat_id = $2 and m.nonce = $3",
    )
    .bind(new.sender_id)
    .bind(new.chat_id)
    .bind(new.nonce.as_ref().map(Nonce::as_str))
    .fetch_optional(&mut *log)
    .await?;
    if let Some(Json(message)) = first {
        return Ok(Ok(Sent { message, is_new: false }));
    }
    if let Some(reply_to) = new.reply_to
        && !exists(&mut *log, new.chat_id, reply_to).await?
    {
        return Ok(Err(Error::invalid("reply_to", "there is no such message in this chat")));
    }
    Ok(Err(Error::invalid("files", "only files that you uploaded yourself can be sent")))
}

/// Whether a message, deleted or not, is of this chat.
pub(crate) async fn exists(db: impl PgExecutor<'_>, chat: ChatId, id: MessageId) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from messages where chat_id = $1 and id = $2)")
        .bind(chat)
        .bind(id)
        .fetch_one(db)
        .await?)
}

/// Where in a chat's history to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The newest.
    Newest,
    /// Older than this one.
    Before(MessageId),
    /// Newer than this one, closest first to be cut, still newest first in the page.
    After(MessageId),
    /// This one in the middle.
    Around(MessageId),
}

/// A part of a chat's history, newest first.
#[derive(Debug)]
pub struct Page {
    /// At most as many as asked for.
    pub messages: Vec<Message>,
    /// Where the next page in the same direction starts, if there is one.
    pub next: Option<Position>,
}

/// Reads a page of history.
pub async fn page(db: &PgPool, chat: ChatId, at: Position, limit: i64) -> Result<Page> {
    match at {
        Position::Newest => older(db, chat, MAX_POSITION, limit).await,
        Position::Before(id) => older(db, chat, id.get(), limit).await,
        Position::After(id) => newer(db, chat, id.get(), limit).await,
        Position::Around(id) => {
            if !exists(db, chat, id).await? {
                return Err(Error::NotFound("message"));
            }
            let mut around = newer(db, chat, id.get(), limit / 2).await?.messages;
            let rest = limit - i64::try_from(around.len()).unwrap_or(limit);
            let below = older(db, chat, id.get() + 1, rest).await?;
            around.extend(below.messages);
            Ok(Page { messages: around, next: below.next })
        }
    }
}

const MAX_POSITION: i64 = i64::MAX;

async fn older(db: &PgPool, chat: ChatId, before: i64, limit: i64) -> Result<Page> {
    let rows: Vec<Json<Message>> = sqlx::query_scalar(
        "select message_json(m) from messages m where m.chat_id = $1 and m.id < $2 order by m.id desc limit $3 + 1",
    )
    .bind(chat)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let (messages, more) = cut(rows, limit);
    let next = messages.last().filter(|_| more).map(|oldest| Position::Before(oldest.id));
    Ok(Page { messages, next })
}

async fn newer(db: &PgPool, chat: ChatId, after: i64, limit: i64) -> Result<Page> {
    let rows: Vec<Json<Message>> = sqlx::query_scalar(
        "select message_json(m) from messages m where m.chat_id = $1 and m.id > $2 order by m.id limit $3 + 1",
    )
    .bind(chat)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let (mut messages, more) = cut(rows, limit);
    messages.reverse();
    let next = messages.first().filter(|_| more).map(|newest| Position::After(newest.id));
    Ok(Page { messages, next })
}

/// One row more than asked for was read, to know whether there is a next page.
fn cut(rows: Vec<Json<Message>>, limit: i64) -> (Vec<Message>, bool) {
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = rows.len() > limit;
    (rows.into_iter().take(limit).map(|Json(message)| message).collect(), more)
}
