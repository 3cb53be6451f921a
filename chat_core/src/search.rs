//! Searches messages in the chats that the viewer is a member of now.

use crate::{
    ChatId, Error, MessageId, Result, UserId,
    messages::{self, Message},
    sql_like::contains_pattern,
    values::SearchText,
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{PgConnection, PgPool};
use std::time::{Duration, Instant};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// A search query with its filters.
#[derive(Debug)]
pub struct SearchQuery {
    /// The text in search-box syntax: words, `"a phrase"`, `-excluded`, and `or`.
    pub text: SearchText,
    /// Only messages in this chat.
    pub chat_id: Option<ChatId>,
    /// Only messages from this user.
    pub from: Option<UserId>,
    /// Only messages with this kind of attachment.
    pub attachment: Option<AttachmentFilter>,
    /// Only messages sent before this time.
    pub before: Option<DateTime<Utc>>,
    /// Only messages sent at or after this time.
    pub after: Option<DateTime<Utc>>,
}

/// A kind of attachment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttachmentFilter {
    /// A file.
    File,
}

/// The position in the results after which the next page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchCursor {
    /// The rank of the last result.
    pub rank: i32,
    /// The message id of the last result.
    pub id: MessageId,
}

/// A page of results: word matches before substring matches, and the newest first
/// within each rank.
#[derive(Debug)]
pub struct SearchResults {
    /// The messages. A client requests the history with `around=` to show one in its
    /// context.
    pub messages: Vec<Message>,
    /// The cursor of the next page, if there is one.
    pub next: Option<SearchCursor>,
}

/// The minimum length of a substring search, in characters: the index stores
/// trigrams.
const MIN_SUBSTRING: usize = 3;

/// Searches messages.
pub async fn search_messages(
    db: &mut PgConnection,
    viewer: UserId,
    query: &SearchQuery,
    after: Option<SearchCursor>,
    limit: i64,
) -> Result<SearchResults> {
    let text = query.text.as_str();
    if !text.chars().any(char::is_alphanumeric) {
        return Err(Error::invalid("q", "the search text must contain at least one letter or digit"));
    }
    // One more row than the page holds shows whether there is a next page.
    let wanted = limit + 1;
    let mut hits = Vec::new();
    for (rank, sql) in [
        (WORD_MATCH_RANK, hits_sql!("search_vector(x.content) @@ search_query($2)")),
        (SUBSTRING_MATCH_RANK, SUBSTRING_MATCH_SQL),
    ] {
        let remaining = wanted - i64::try_from(hits.len()).unwrap_or(wanted);
        let is_past = after.is_some_and(|cursor| cursor.rank < rank);
        if remaining <= 0 || is_past || (rank == SUBSTRING_MATCH_RANK && text.chars().count() < MIN_SUBSTRING) {
            continue;
        }
        let before = after.filter(|cursor| cursor.rank == rank).map(|cursor| cursor.id);
        hits.extend(
            search_by_rank(&mut *db, sql, viewer, query, before, remaining).await?.into_iter().map(|id| (rank, id)),
        );
    }
    let limit = usize::try_from(limit).unwrap_or(0);
    let has_more = hits.len() > limit;
    hits.truncate(limit);
    let next = hits.last().filter(|_| has_more).map(|(rank, id)| SearchCursor { rank: *rank, id: *id });
    let ids: Vec<MessageId> = hits.into_iter().map(|(_, id)| id).collect();
    let messages = messages::load_for_viewer(db, &ids, viewer).await?;
    Ok(SearchResults { messages, next })
}

/// The rank of a message that contains the words.
const WORD_MATCH_RANK: i32 = 2;

/// The rank of a message that contains the text only as a substring.
const SUBSTRING_MATCH_RANK: i32 = 1;

/// Selects the newest matching messages, by id: those in the index, those not yet
/// indexed, and those changed since. Each part has its own limit before the union, so
/// that the planner finds a common word by scanning back from the newest and a rare one
/// by the index. Both ranks take the same parameters; the condition on $3 only gives its
/// type where it is not used.
macro_rules! hits_sql {
    ($matches:literal) => {
        concat!(
            "select id from (
                 (select x.message_id as id from search_entries x join messages m on m.id = x.message_id
                  where x.message_id < $9 and ($4::bigint is null or x.chat_id = $4) and ",
            $matches,
            hits_sql!(),
            " and (not $6 or x.has_files) order by x.message_id desc limit $10)
                 union all
                 (select x.id
                  -- Few, whatever the planner thinks.
                  from (select * from messages where id > (select indexed_up_to from search_progress)
                        order by id desc limit 50000) x
                  join messages m on m.id = x.id
                  where x.id < $9 and ($4::bigint is null or x.chat_id = $4) and ",
            $matches,
            // A subquery for each row, because few rows match.
            " and (select true from search_entries e where e.message_id = x.id) is null",
            hits_sql!(),
            " and (not $6 or exists (select from message_files mf where mf.message_id = m.id))
              order by x.id desc limit $10)
                 union all
                 (select x.id
                  -- One lookup for each, whatever the planner thinks.
                  from (select distinct message_id from search_stale limit 1000) stale
                  cross join lateral (select * from messages where id = stale.message_id offset 0) x
                  cross join lateral (select * from messages where id = x.id offset 0) m
                  where x.id <= (select indexed_up_to from search_progress)
                    and x.id < $9 and ($4::bigint is null or x.chat_id = $4) and ",
            $matches,
            hits_sql!(),
            " and (not $6 or exists (select from message_files mf where mf.message_id = m.id))
              order by x.id desc limit $10)
             ) hits order by id desc limit $10"
        )
    };
    () => {
        " and m.deleted_at is null
          and x.chat_id in (select own.chat_id from chat_members own where own.user_id = $1)
          and ($3::text is null or true)
          and ($5::bigint is null or m.sender_id = $5)
          and ($7::timestamptz is null or m.created_at < $7)
          and ($8::timestamptz is null or m.created_at >= $8)"
    };
}
use hits_sql;

const SUBSTRING_MATCH_SQL: &str = hits_sql!("x.content ilike $3 and not search_vector(x.content) @@ search_query($2)");

async fn search_by_rank(
    db: &mut PgConnection,
    sql: &'static str,
    viewer: UserId,
    query: &SearchQuery,
    before: Option<MessageId>,
    limit: i64,
) -> Result<Vec<MessageId>> {
    let text = query.text.as_str();
    sqlx::query_scalar(sql)
        // Not prepared, so that the plan fits these words: rare and common words need
        // different plans.
        .persistent(false)
        .bind(viewer)
        .bind(text)
        .bind(contains_pattern(text))
        .bind(query.chat_id)
        .bind(query.from)
        .bind(query.attachment == Some(AttachmentFilter::File))
        .bind(query.before)
        .bind(query.after)
        .bind(before.map_or(i64::MAX, MessageId::get))
        .bind(limit)
        .fetch_all(db)
        .await
        .map_err(too_broad)
}

/// Turns a statement timeout into an error for the caller, whose query costs too much.
fn too_broad(error: sqlx::Error) -> Error {
    match error.as_database_error().and_then(|error| error.code()).as_deref() {
        Some("57014") => {
            Error::invalid_with_code("q", "too_broad", "this search takes too long; use rarer words or more filters")
        }
        _ => error.into(),
    }
}

/// How often new messages are indexed.
const INDEX_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of messages indexed at a time.
const INDEX_BATCH: i32 = 500;

/// The pause after a full batch, as a multiple of the time it took, so that indexing
/// does not slow down senders.
const PAUSE_FACTOR: u32 = 3;

/// Indexes new messages until `shutdown`. Any number of processes may run this; only
/// one of them indexes at a time. If a batch fails, it is indexed later: meanwhile a
/// search also reads messages that are not indexed, only more slowly.
pub async fn run_indexer(db: PgPool, shutdown: CancellationToken) {
    let mut pause = INDEX_INTERVAL;
    loop {
        tokio::select! {
            () = sleep(pause) => {}
            () = shutdown.cancelled() => return,
        }
        let started_at = Instant::now();
        pause = match index_batch(&db).await {
            Ok(INDEX_BATCH..) => started_at.elapsed() * PAUSE_FACTOR,
            Ok(_) => INDEX_INTERVAL,
            Err(error) => {
                tracing::debug!(%error, "cannot index new messages");
                INDEX_INTERVAL
            }
        };
    }
}

/// Indexes a batch of new messages and returns how many.
pub async fn index_batch(db: &PgPool) -> Result<i32> {
    Ok(sqlx::query_scalar("select index_messages($1)").bind(INDEX_BATCH).fetch_one(db).await?)
}
