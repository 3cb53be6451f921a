//! Searches messages in the chats that the viewer is a member of now.

mod indexer;
mod text_query;
mod words;

pub use indexer::{index_batch, run_indexer};
pub(crate) use words::words;

use crate::{
    ChatId, Error, MessageId, Result, UserId, events,
    messages::{self, Message},
    values::SearchText,
};
use chrono::{DateTime, Utc};
use indexer::MAX_INDEXED_CHARACTERS;
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{PgConnection, PgPool, Postgres, QueryBuilder};
use text_query::{Alternative, Rank, TextQuery};
use tokio::task::spawn_blocking;

/// A search query with its filters.
#[derive(Debug)]
pub struct SearchQuery {
    /// The text in search-box syntax: words in any order, `"a phrase"`, `-excluded`, and `or`. Without a text, all
    /// messages that the filters admit match.
    pub text: Option<SearchText>,
    /// Only messages in this chat.
    pub chat_id: Option<ChatId>,
    /// Only messages from this user.
    pub from: Option<UserId>,
    /// Only messages that contain this.
    pub contains: Option<ContentFilter>,
    /// Only messages sent before this time.
    pub before: Option<DateTime<Utc>>,
    /// Only messages sent at or after this time.
    pub after: Option<DateTime<Utc>>,
    /// The order of the results.
    pub order: SearchOrder,
}

/// The order of results.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SearchOrder {
    /// Matches of whole words before matches of parts of words, and the newest first within each.
    #[default]
    Best,
    /// The newest first.
    Newest,
}

/// What a message contains besides words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContentFilter {
    /// A file.
    File,
    /// An image.
    Image,
    /// A link.
    Link,
}

impl ContentFilter {
    /// The name on the wire.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Image => "image",
            Self::Link => "link",
        }
    }
}

/// The position in the results after which the next page starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SearchCursor {
    /// The rank of the last result.
    pub rank: i32,
    /// The message id of the last result.
    pub id: MessageId,
}

/// A page of results.
#[derive(Debug)]
pub struct SearchResults {
    /// The messages. A client requests the history with `around=` to show one in its
    /// context.
    pub messages: Vec<Message>,
    /// The cursor of the next page, if there is one.
    pub next: Option<SearchCursor>,
}

/// Maximum number of entries that are compared one by one, from the newest, before the
/// index is used. A common word is found among them; the index would return all of its
/// messages.
const RECENT_ENTRIES: i64 = 5_000;

/// Words that occur only in messages with a link: the schemes of URLs.
const LINK_WORDS: [&str; 2] = ["http", "https"];

/// A search reads at most this many messages that are not indexed, and at most this many
/// bytes of their texts.
const MAX_UNINDEXED_MESSAGES: i64 = 2_000;
const MAX_UNINDEXED_BYTES: i64 = 1024 * 1024;

/// Maximum time of one statement of a search.
const STATEMENT_TIMEOUT: &str = "2s";

impl SearchQuery {
    /// Whether a filter restricts the messages, apart from the chat.
    fn has_filter(&self) -> bool {
        self.from.is_some() || self.contains.is_some() || self.before.is_some() || self.after.is_some()
    }
}

/// Searches the messages of the viewer's chats, or only of those in `only`.
pub async fn search_messages(
    db: &PgPool,
    viewer: UserId,
    only: Option<&[ChatId]>,
    query: &SearchQuery,
    after: Option<SearchCursor>,
    limit: i64,
) -> Result<SearchResults> {
    let text =
        match &query.text {
            Some(text) => Some(TextQuery::parse(text.as_str()).ok_or_else(|| {
                Error::invalid("q", "the search text must contain at least one letter, digit or emoji")
            })?),
            None if query.has_filter() => None,
            None => return Err(Error::invalid("q", "a search needs a text, or one of from, has, before and after")),
        };
    // One snapshot, in which each message is either indexed or not, and each chat is
    // either the viewer's or not.
    let mut db = events::begin_snapshot(db).await?;
    sqlx::query("select set_config('statement_timeout', $1, true)").bind(STATEMENT_TIMEOUT).execute(&mut *db).await?;
    let mut chats = load_chats(&mut db, viewer, query.chat_id).await?;
    chats.retain(|chat| only.is_none_or(|only| only.contains(chat)));
    let ids = Ids {
        from: match query.after {
            Some(time) => messages::find_first_at(&mut db, None, time).await?.map_or(i64::MAX, MessageId::get),
            None => 0,
        },
        before: match query.before {
            Some(time) => messages::find_first_at(&mut db, None, time).await?.map_or(i64::MAX, MessageId::get),
            None => i64::MAX,
        },
    };
    let search = Search { chats, text, query, ids };
    let hits = search.find(&mut db, after, limit + 1).await.map_err(too_broad)?;
    let limit = usize::try_from(limit).unwrap_or(0);
    let next = hits.get(limit.saturating_sub(1)).copied().filter(|_| hits.len() > limit);
    let ids: Vec<MessageId> = hits.into_iter().take(limit).map(|hit| hit.id).collect();
    let messages = messages::load_for_viewer(&mut db, &ids, viewer).await?;
    db.rollback().await?;
    Ok(SearchResults { messages, next })
}

/// The viewer's chats, or only the given one.
async fn load_chats(db: &mut PgConnection, viewer: UserId, only: Option<ChatId>) -> Result<Vec<ChatId>> {
    let sql = "select chat_id from chat_members where user_id = $1 and ($2::bigint is null or chat_id = $2)";
    Ok(sqlx::query_scalar(sql).bind(viewer).bind(only).fetch_all(db).await?)
}

/// A search in progress.
struct Search<'a> {
    chats: Vec<ChatId>,
    /// `None` if only the filters decide.
    text: Option<TextQuery>,
    query: &'a SearchQuery,
    /// The messages between the times of the query.
    ids: Ids,
}

/// A range of message ids: at or after the first, and before the second.
#[derive(Clone, Copy)]
struct Ids {
    from: i64,
    before: i64,
}

/// Which entries of the index are compared.
#[derive(Clone, Copy)]
enum Entries {
    /// The newest ones.
    Recent,
    /// All that the index finds.
    All,
}

impl Search<'_> {
    /// Finds the best matches after the cursor.
    async fn find(
        &self,
        db: &mut PgConnection,
        after: Option<SearchCursor>,
        limit: i64,
    ) -> Result<Vec<SearchCursor>, sqlx::Error> {
        if self.chats.is_empty() || self.text.as_ref().is_some_and(|text| text.alternatives.is_empty()) {
            return Ok(Vec::new());
        }
        let unindexed = self.find_unindexed(db).await?;
        let is_by_rank = self.query.order == SearchOrder::Best;
        let ranks: &[Rank] = if self.text.is_some() { &[Rank::Words, Rank::Parts] } else { &[Rank::Words] };
        let mut hits = Vec::new();
        for rank in ranks.iter().copied() {
            let found = if is_by_rank { i64::try_from(hits.len()).unwrap_or(limit) } else { 0 };
            let remaining = limit - found;
            if remaining <= 0 || is_by_rank && after.is_some_and(|cursor| cursor.rank < rank as i32) {
                continue;
            }
            let before = after
                .filter(|cursor| !is_by_rank || cursor.rank == rank as i32)
                .map_or(i64::MAX, |cursor| cursor.id.get());
            // What is older than a full page of whole words is not on the page.
            let from = if hits.len() < usize::try_from(limit).unwrap_or(0) { 0 } else { oldest(&hits) };
            let range = Ids { from: from.max(self.ids.from), before: before.min(self.ids.before) };
            let mut ids = self.find_indexed(db, rank, Entries::Recent, range, remaining).await?;
            if i64::try_from(ids.len()).unwrap_or(remaining) < remaining {
                ids = self.find_indexed(db, rank, Entries::All, range, remaining).await?;
            }
            ids.extend(unindexed.iter().filter(|(id, of)| *of == rank && id.get() < before).map(|(id, _)| *id));
            ids.sort_unstable_by(|a, b| b.cmp(a));
            let wanted = usize::try_from(remaining).unwrap_or(0);
            hits.extend(ids.into_iter().take(wanted).map(|id| SearchCursor { rank: rank as i32, id }));
        }
        // Both ranks were searched from the same message on; the cursor of the next page needs only the id.
        if !is_by_rank {
            hits.sort_unstable_by_key(|hit| std::cmp::Reverse(hit.id));
            hits.truncate(usize::try_from(limit).unwrap_or(0));
        }
        Ok(hits)
    }

    /// Finds the matches among the newest messages that are not indexed, and among those
    /// that have changed since.
    async fn find_unindexed(&self, db: &mut PgConnection) -> Result<Vec<(MessageId, Rank)>, sqlx::Error> {
        let rows: Vec<(MessageId, String)> = sqlx::query_as(
            "select id, left(content, $6) from (
                 select x.id, x.content, sum(octet_length(x.content)) over (order by x.id desc) as bytes
                 from (
                     -- Few, whatever the planner thinks.
                     select * from (select * from messages where id > (select indexed_up_to from search_progress)
                                    order by id desc limit 50000) unindexed
                     where chat_id = any($1)
                     union all
                     -- One lookup for each, whatever the planner thinks.
                     select changed.* from (select distinct message_id from search_stale
                                            order by message_id desc limit 10000) stale
                     cross join lateral (select * from messages where id = stale.message_id offset 0) changed
                     where changed.id <= (select indexed_up_to from search_progress) and changed.chat_id = any($1)
                 ) x
                 where x.deleted_at is null and x.change is null
                   and ($2::bigint is null or x.sender_id = $2)
                   and (not $3 or exists (select from message_files f where f.message_id = x.id))
                   and (not $9 or exists (select from message_files mf join files f on f.id = mf.file_id
                                          where mf.message_id = x.id and f.mime_type like 'image/%'))
                   and ($4::timestamptz is null or x.created_at < $4)
                   and ($5::timestamptz is null or x.created_at >= $5)
                 order by x.id desc limit $7
             ) newest where bytes <= $8",
        )
        .persistent(false)
        .bind(&self.chats)
        .bind(self.query.from)
        .bind(self.has_files())
        .bind(self.query.before)
        .bind(self.query.after)
        .bind(MAX_INDEXED_CHARACTERS)
        .bind(MAX_UNINDEXED_MESSAGES)
        .bind(MAX_UNINDEXED_BYTES)
        .bind(self.query.contains == Some(ContentFilter::Image))
        .fetch_all(db)
        .await?;
        let worded =
            spawn_blocking(move || rows.into_iter().map(|(id, content)| (id, words(&content))).collect::<Vec<_>>());
        let worded = worded.await.map_err(|error| sqlx::Error::Protocol(error.to_string()))?;
        let rank = |words: &str| match &self.text {
            _ if self.needs_link() && !LINK_WORDS.iter().any(|word| words.contains(&format!(" {word} "))) => None,
            Some(text) => text.rank(words),
            None => Some(Rank::Words),
        };
        Ok(worded.into_iter().filter_map(|(id, words)| Some((id, rank(&words)?))).collect())
    }

    /// Finds the newest matches of a rank in the index, before a message.
    async fn find_indexed(
        &self,
        db: &mut PgConnection,
        rank: Rank,
        entries: Entries,
        ids: Ids,
        limit: i64,
    ) -> Result<Vec<MessageId>, sqlx::Error> {
        let mut sql = QueryBuilder::new("with e as materialized (select * from ");
        let has_lexeme = self.text.is_some() || self.query.from.is_some() || self.query.contains.is_some();
        match entries {
            Entries::Recent => {
                sql.push("(select * from search_entries where message_id < ").push_bind(ids.before);
                sql.push(" and message_id >= ").push_bind(ids.from);
                if let Some(chat) = self.query.chat_id {
                    sql.push(" and chat_id = ").push_bind(chat);
                }
                if self.has_files() {
                    sql.push(" and has_files");
                }
                sql.push(" order by message_id desc limit ").push_bind(RECENT_ENTRIES).push(") e where ");
            }
            // Only times restrict the messages: the newest of each chat suffice.
            Entries::All if !has_lexeme => {
                sql.push("(select s.* from unnest(").push_bind(&self.chats);
                sql.push(") c (id) cross join lateral (select * from search_entries x where x.chat_id = c.id");
                sql.push(" and x.message_id < ").push_bind(ids.before);
                sql.push(" and x.message_id >= ").push_bind(ids.from);
                sql.push(" order by x.message_id desc limit ").push_bind(limit).push(") s) e where ");
            }
            Entries::All => {
                sql.push("search_entries e where message_id < ").push_bind(ids.before);
                sql.push(" and message_id >= ").push_bind(ids.from);
                sql.push(" and search_lexemes(chat_id, sender_id, has_files, words) @@ ");
                sql.push_bind(self.lexemes(rank)).push("::tsquery and ");
            }
        }
        // Concatenated with nothing, so that the index of parts is used only where the
        // lexemes do not suffice.
        let column = if rank == Rank::Words { "(e.words || '')" } else { "e.words" };
        self.push_match(&mut sql, column, rank);
        if rank == Rank::Parts {
            sql.push(" and not ");
            self.push_match(&mut sql, "(e.words || '')", Rank::Words);
        }
        sql.push(") select e.message_id from e");
        sql.push(" join messages m on m.id = e.message_id and m.deleted_at is null and m.change is null");
        sql.push(" where e.chat_id = any(").push_bind(&self.chats).push(")");
        // The entry of a changed message may be older than the change.
        sql.push(" and not exists (select from search_stale s where s.message_id = e.message_id)");
        if let Some(sender) = self.query.from {
            sql.push(" and e.sender_id = ").push_bind(sender);
        }
        if self.has_files() {
            sql.push(" and e.has_files");
        }
        if self.needs_link() {
            sql.push(" and (e.words like '% http %' or e.words like '% https %')");
        }
        if self.query.contains == Some(ContentFilter::Image) {
            sql.push(
                " and exists (select from message_files mf join files f on f.id = mf.file_id
                              where mf.message_id = e.message_id and f.mime_type like 'image/%')",
            );
        }
        if let Some(time) = self.query.before {
            sql.push(" and m.created_at < ").push_bind(time);
        }
        if let Some(time) = self.query.after {
            sql.push(" and m.created_at >= ").push_bind(time);
        }
        sql.push(" order by e.message_id desc limit ").push_bind(limit);
        // Not prepared, so that the plan fits these words.
        sql.build_query_scalar().persistent(false).fetch_all(db).await
    }

    /// Appends the condition that the words of an entry match.
    fn push_match(&self, sql: &mut QueryBuilder<Postgres>, column: &str, rank: Rank) {
        let Some(text) = &self.text else {
            sql.push("true");
            return;
        };
        sql.push("(");
        for (index, alternative) in text.alternatives.iter().enumerate() {
            sql.push(if index == 0 { "(" } else { " or (" });
            push_alternative(sql, column, alternative, rank);
            sql.push(")");
        }
        sql.push(")");
    }

    /// The condition for the index: the chats, the filters, and what is known of the words.
    fn lexemes(&self, rank: Rank) -> String {
        let chats: Vec<String> = self.chats.iter().map(|chat| format!("'#{chat}'")).collect();
        let mut lexemes = vec![format!("({})", chats.join(" | "))];
        lexemes.extend(self.query.from.map(|sender| format!("'@{sender}'")));
        lexemes.extend(self.has_files().then(|| "'+file'".to_owned()));
        lexemes.extend(self.needs_link().then(|| format!("('{}')", LINK_WORDS.join("' | '"))));
        lexemes.extend(self.text.as_ref().and_then(|text| text.lexemes(rank)));
        lexemes.join(" & ")
    }

    fn has_files(&self) -> bool {
        matches!(self.query.contains, Some(ContentFilter::File | ContentFilter::Image))
    }

    fn needs_link(&self) -> bool {
        self.query.contains == Some(ContentFilter::Link)
    }
}

fn push_alternative(sql: &mut QueryBuilder<Postgres>, column: &str, alternative: &Alternative, rank: Rank) {
    let included = alternative.included(rank).into_iter().map(|part| (" like ", part));
    let excluded = alternative.excluded().into_iter().map(|part| (" not like ", part));
    for (index, (like, part)) in included.chain(excluded).enumerate() {
        sql.push(if index == 0 { "" } else { " and " });
        // Words contain no character that has a meaning in a pattern.
        sql.push(column).push(like).push_bind(format!("%{part}%"));
    }
}

/// The words of each piece of a text between spaces, for patterns that search names.
pub(crate) fn split_name_query(text: &SearchText) -> Vec<String> {
    let pieces = text.as_str().split_whitespace().map(|piece| words(piece).trim().to_owned());
    pieces.filter(|piece| !piece.is_empty()).collect()
}

/// The id of the oldest of some hits.
fn oldest(hits: &[SearchCursor]) -> i64 {
    hits.iter().map(|hit| hit.id.get()).min().unwrap_or(0)
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
