//! Finding what was said, in the chats that the caller is in now.

use crate::{
    ChatId, Error, MessageId, Result, UserId,
    messages::{self, Message},
    text::SearchText,
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{PgConnection, PgPool, types::Json};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// What to look for, and where.
#[derive(Debug)]
pub struct Query {
    /// As people write into a search box: words, "a phrase", -without, or.
    pub text: SearchText,
    /// In one chat only.
    pub chat_id: Option<ChatId>,
    /// By one person only.
    pub from: Option<UserId>,
    /// With something attached.
    pub has: Option<Has>,
    /// Said before this time.
    pub before: Option<DateTime<Utc>>,
    /// Said at or after this time.
    pub after: Option<DateTime<Utc>>,
}

/// What a message can have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Has {
    /// A file.
    File,
}

/// Where the next page of hits starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// How well the last hit fits.
    pub rank: i32,
    /// Which message it is.
    pub id: MessageId,
}

/// A page of hits, best first: those that have the words before those that only
/// have the letters somewhere, and the newest first among equals.
#[derive(Debug)]
pub struct Hits {
    /// Each opens with `around=`.
    pub messages: Vec<Message>,
    /// Where the next page starts, if there is one.
    pub next: Option<Place>,
}

/// How long a text must be, in characters, to be looked for inside of words: the
/// index knows runs of three.
const MIN_INSIDE: usize = 3;

/// Looks for messages.
pub async fn messages(
    db: &mut PgConnection,
    viewer: UserId,
    query: &Query,
    after: Option<Place>,
    limit: i64,
) -> Result<Hits> {
    let text = query.text.as_str();
    if !text.chars().any(char::is_alphanumeric) {
        return Err(Error::invalid("q", "there is no word in this search"));
    }
    let inside = (text.chars().count() >= MIN_INSIDE).then(|| containing(text));
    let rows: Vec<(i32, Json<Message>)> = sqlx::query_as(
        "with wanted as materialized (select search_query($2) as words),
         candidates as (
             select e.message_id as id, search_words(e.content) @@ words as has_words
             from wanted, search_entries e
             where search_words(e.content) @@ words or e.content ilike $3
             union all
             select m.id, search_words(m.content) @@ words
             from wanted, messages m
             where m.id > (select upto from search_progress)
               and (search_words(m.content) @@ words or m.content ilike $3)
               and not exists (select from search_entries e where e.message_id = m.id)
         ), hits as (
             select case when has_words then 2 else 1 end as rank, m.id
             from candidates join messages m using (id)
             where m.deleted_at is null
               and m.chat_id in (select own.chat_id from chat_members own where own.user_id = $1)
               and ($4::bigint is null or m.chat_id = $4)
               and ($5::bigint is null or m.sender_id = $5)
               and (not $6 or exists (select from message_files mf where mf.message_id = m.id))
               and ($7::timestamptz is null or m.created_at < $7)
               and ($8::timestamptz is null or m.created_at >= $8)
         )
         select h.rank, v.json
         from (
             select * from hits h
             where $9::int is null or (h.rank, h.id) < ($9, $10)
             order by h.rank desc, h.id desc limit $11 + 1
         ) h
         join message_view v on v.id = h.id
         order by h.rank desc, h.id desc",
    )
    .bind(viewer)
    .bind(text)
    .bind(inside)
    .bind(query.chat_id)
    .bind(query.from)
    .bind(query.has == Some(Has::File))
    .bind(query.before)
    .bind(query.after)
    .bind(after.map(|place| place.rank))
    .bind(after.map(|place| place.id))
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let more = rows.len() > limit;
    let last = rows.iter().take(limit).next_back().map(|(rank, Json(message))| Place { rank: *rank, id: message.id });
    let mut messages: Vec<Message> = rows.into_iter().take(limit).map(|(_, Json(message))| message).collect();
    messages::personal(db, viewer, &mut messages).await?;
    Ok(Hits { messages, next: last.filter(|_| more) })
}

/// How often new messages are taken into the index.
const INDEX_EVERY: Duration = Duration::from_secs(1);

/// How many at a time.
const INDEX_BATCH: i32 = 500;

/// How much longer it rests than it works while there is more to take, so that
/// those who send keep most of the machine.
const REST: u32 = 3;

/// Takes new messages into the index until `shutdown`. Any number of processes
/// may do so at once; one of them works. What cannot be taken now is taken
/// later: a search looks there meanwhile, only more slowly.
pub async fn keep_index(db: PgPool, shutdown: CancellationToken) {
    let mut pause = INDEX_EVERY;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
        let begun = Instant::now();
        pause = match index(&db).await {
            Ok(INDEX_BATCH..) => begun.elapsed() * REST,
            Ok(_) => INDEX_EVERY,
            Err(error) => {
                tracing::debug!(%error, "the search index could not be brought forward");
                INDEX_EVERY
            }
        };
    }
}

/// Takes a batch of new messages into the index; answers how many it took.
pub async fn index(db: &PgPool) -> Result<i32> {
    Ok(sqlx::query_scalar("select index_messages($1)").bind(INDEX_BATCH).fetch_one(db).await?)
}

/// A LIKE pattern for "has this somewhere", whatever characters it has.
fn containing(text: &str) -> String {
    format!("%{}%", text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_"))
}
