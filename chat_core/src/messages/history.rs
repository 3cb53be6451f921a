//! Pages of message history in both directions, by message id and never by offset.

use super::{Message, exists, fill_own_reactions, load_access};
use crate::{ChatId, Error, MessageId, Result, UserId};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, types::Json};

/// The part of a chat's history to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// The newest messages.
    Newest,
    /// The messages before this one.
    Before(MessageId),
    /// The messages right after this one; the page is still newest first.
    After(MessageId),
    /// The messages around this one.
    Around(MessageId),
    /// The messages around the first one at or after this time; the newest if there is none.
    At(DateTime<Utc>),
}

/// A page of a chat's history, newest first.
#[derive(Debug)]
pub struct Page {
    /// At most `limit` messages.
    pub messages: Vec<Message>,
    /// The start of the next page in the same direction, if there is one.
    pub next: Option<Position>,
}

/// Loads a page of history.
pub async fn load_page(
    db: &mut PgConnection,
    viewer: UserId,
    chat: ChatId,
    position: Position,
    limit: i64,
) -> Result<Page> {
    let mut page = load_at(&mut *db, chat, position, limit).await?;
    fill_own_reactions(db, viewer, &mut page.messages).await?;
    Ok(page)
}

/// Loads a page of the replies to a message.
pub async fn load_replies(
    db: &mut PgConnection,
    viewer: UserId,
    to: MessageId,
    before: Option<MessageId>,
    limit: i64,
) -> Result<Page> {
    let chat = load_access(&mut *db, to, viewer).await?.chat_id;
    let rows: Vec<Json<Message>> = sqlx::query_scalar(
        "select m.json from message_view m
         where m.chat_id = $1 and m.reply_to = $2 and m.id < $3
         order by m.id desc limit $4 + 1",
    )
    .bind(chat)
    .bind(to)
    .bind(before.map_or(MAX_MESSAGE_ID, MessageId::get))
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    let (mut messages, has_more) = split_page(rows, limit);
    fill_own_reactions(db, viewer, &mut messages).await?;
    let next = messages.last().filter(|_| has_more).map(|oldest| Position::Before(oldest.id));
    Ok(Page { messages, next })
}

async fn load_at(db: &mut PgConnection, chat: ChatId, position: Position, limit: i64) -> Result<Page> {
    match position {
        Position::Newest => load_older(db, chat, MAX_MESSAGE_ID, limit).await,
        Position::Before(id) => load_older(db, chat, id.get(), limit).await,
        Position::After(id) => load_newer(db, chat, id.get(), limit).await,
        Position::At(time) => match find_first_at(&mut *db, Some(chat), time).await? {
            Some(id) => load_around(db, chat, id, limit).await,
            None => load_older(db, chat, MAX_MESSAGE_ID, limit).await,
        },
        Position::Around(id) => {
            if !exists(&mut *db, chat, id).await? {
                return Err(Error::NotFound("message"));
            }
            load_around(db, chat, id, limit).await
        }
    }
}

async fn load_around(db: &mut PgConnection, chat: ChatId, id: MessageId, limit: i64) -> Result<Page> {
    let mut around = load_newer(&mut *db, chat, id.get(), limit / 2).await?.messages;
    let rest = limit - i64::try_from(around.len()).unwrap_or(limit);
    let older_page = load_older(db, chat, id.get() + 1, rest).await?;
    around.extend(older_page.messages);
    Ok(Page { messages: around, next: older_page.next })
}

/// Finds the first message at or after a time, of a chat or of all. Ids and times increase together, so a binary search
/// needs about as many steps as the largest id has bits, and no index on times.
pub(crate) async fn find_first_at(
    db: &mut PgConnection,
    chat: Option<ChatId>,
    time: DateTime<Utc>,
) -> Result<Option<MessageId>> {
    let (newest, next) = match chat {
        Some(_) => (
            "select max(id) from messages where chat_id = $1",
            "select id, created_at from messages where chat_id = $1 and id >= $2 order by id limit 1",
        ),
        None => (
            "select max(id) from messages where $1::bigint is null",
            "select id, created_at from messages where $1::bigint is null and id >= $2 order by id limit 1",
        ),
    };
    let newest: Option<i64> = sqlx::query_scalar(newest).bind(chat).fetch_one(&mut *db).await?;
    let (mut low, mut high) = (0, newest.map_or(0, |id| id + 1));
    let mut found = None;
    while low < high {
        let middle = low + (high - low) / 2;
        let row: Option<(MessageId, DateTime<Utc>)> =
            sqlx::query_as(next).bind(chat).bind(middle).fetch_optional(&mut *db).await?;
        match row {
            Some((id, at)) if at < time => low = id.get() + 1,
            Some((id, _)) => {
                found = Some(id);
                high = middle;
            }
            None => high = middle,
        }
    }
    Ok(found)
}

const MAX_MESSAGE_ID: i64 = i64::MAX;

async fn load_older(db: &mut PgConnection, chat: ChatId, before: i64, limit: i64) -> Result<Page> {
    let rows: Vec<Json<Message>> = sqlx::query_scalar(
        "select m.json from message_view m where m.chat_id = $1 and m.id < $2 order by m.id desc limit $3 + 1",
    )
    .bind(chat)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let (messages, has_more) = split_page(rows, limit);
    let next = messages.last().filter(|_| has_more).map(|oldest| Position::Before(oldest.id));
    Ok(Page { messages, next })
}

async fn load_newer(db: &mut PgConnection, chat: ChatId, after: i64, limit: i64) -> Result<Page> {
    let rows: Vec<Json<Message>> = sqlx::query_scalar(
        "select m.json from message_view m where m.chat_id = $1 and m.id > $2 order by m.id limit $3 + 1",
    )
    .bind(chat)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let (mut messages, has_more) = split_page(rows, limit);
    messages.reverse();
    let next = messages.first().filter(|_| has_more).map(|newest| Position::After(newest.id));
    Ok(Page { messages, next })
}

/// Splits off the extra row, which was read to learn whether there is a next page.
fn split_page(rows: Vec<Json<Message>>, limit: i64) -> (Vec<Message>, bool) {
    let limit = usize::try_from(limit).unwrap_or(0);
    let has_more = rows.len() > limit;
    (rows.into_iter().take(limit).map(|Json(message)| message).collect(), has_more)
}
