//! The event log: how a change is appended, and how readers follow it.

mod cursor;
mod page;
pub mod redaction;
mod replay;

pub use cursor::{Cursor, Epoch, InvalidCursor};
pub use page::{Page, begin_snapshot, load_page};
pub use replay::{Audience, Chats, Replay};

use crate::{ChatId, EventId, MessageId, Result, Time, UserId};
use sqlx::{AssertSqlSafe, PgExecutor, PgPool, Postgres, Row, Transaction, postgres::PgRow};
use std::fmt;

/// The NOTIFY channel on which a new event rings.
pub const CHANNEL: &str = "events";

/// Opens a transaction that may change what people can see, on behalf of
/// `actor`. It holds the append lock from its first moment, so its statements
/// see everything committed before it, row ids grow in commit order, and row
/// locks are never waited for in two orders. Keep it short.
pub async fn begin(db: &PgPool, actor: UserId) -> Result<Transaction<'static, Postgres>> {
    let begin = format!("begin; select append_lock(), set_config('confab.actor', '{actor}', true)");
    Ok(db.begin_with(AssertSqlSafe(begin)).await?)
}

/// One event as the log holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The position; positions grow in commit order.
    pub id: EventId,
    /// As in `message.new`.
    pub kind: String,
    /// What it is about, and who hears it if `user_id` is not set.
    pub chat_id: Option<ChatId>,
    /// The one person who hears it.
    pub user_id: Option<UserId>,
    /// The message that it concerns, if it concerns one.
    pub message_id: Option<MessageId>,
    /// When it was appended, just before its commit.
    pub at: Time,
    /// The event as a JSON object, without its `type` and `id`.
    pub data: String,
}

impl LogEntry {
    /// Writes the event as clients get it: one JSON object on one line. Type and
    /// id are put in front of the finished data, and nothing is parsed.
    pub fn write_json(&self, epoch: &Epoch, to: &mut impl fmt::Write) -> fmt::Result {
        let Self { id, kind, data, .. } = self;
        let rest = data.strip_prefix('{').unwrap_or(data);
        let comma = if rest.trim_start() == "}" { "" } else { "," };
        write!(to, "{{\"type\":\"{kind}\",\"id\":\"{epoch}-{id}\"{comma}{rest}")
    }
}

/// What an event does to the membership of the person it is addressed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipChange {
    /// From here on they hear the chat.
    Join,
    /// From here on they do not.
    Leave,
}

/// Whether an event of this type lets its addressee into or out of its chat.
pub fn membership_change(kind: &str) -> Option<MembershipChange> {
    match kind {
        "chat.new" | "chat.added" => Some(MembershipChange::Join),
        "chat.removed" | "chat.deleted" => Some(MembershipChange::Leave),
        _ => None,
    }
}

/// A stretch of the log.
#[derive(Debug, Default)]
pub struct LogPage {
    /// In order.
    pub entries: Vec<LogEntry>,
    /// Rows that could not be read as events, with the reason. They are passed
    /// over: one bad row must not silence everyone behind it.
    pub poison: Vec<(EventId, String)>,
    /// The last position it covers, entries or not; where the next one starts.
    pub last_position: Option<EventId>,
    /// Whether the limit cut it, so that there may be more.
    pub has_more: bool,
}

/// How much one reading of the log takes at most, in bytes of data; one event is
/// always taken.
const MAX_PAGE_BYTES: i64 = 1024 * 1024;

/// A reading of the log after $1, at most $2 rows and $3 bytes. `found` is how
/// many rows there were before the bytes cut them.
macro_rules! log_page_sql {
    ($more:literal) => {
        concat!(
            "select id, type, chat_id, user_id, message_id, at, data, found from (
                 select e.*, count(*) over () as found,
                        sum(octet_length(data)) over (order by id) - octet_length(data) as bytes_before
                 from (
                     select id, type, chat_id, user_id, message_id, at, data::text as data from events where id > $1 ",
            $more,
            " order by id limit $2
                 ) e
             ) e
             where bytes_before < $3
             order by id"
        )
    };
}
use log_page_sql;

/// The log after a position, for everyone.
pub async fn read_after(db: impl PgExecutor<'_>, position: EventId, limit: i64) -> Result<LogPage> {
    let rows = sqlx::query(log_page_sql!("")).bind(position).bind(limit).bind(MAX_PAGE_BYTES).fetch_all(db).await?;
    Ok(parse_page(rows, limit))
}

fn parse_page(rows: Vec<PgRow>, limit: i64) -> LogPage {
    let found: i64 = rows.first().and_then(|row| row.try_get("found").ok()).unwrap_or(0);
    let has_more = found == limit || i64::try_from(rows.len()) != Ok(found);
    let mut page = LogPage { has_more, ..LogPage::default() };
    for row in rows {
        // The id is the primary key: it is there, and it is a number.
        let Ok(id) = row.try_get::<EventId, _>("id") else { continue };
        page.last_position = Some(id);
        match parse_entry(id, &row) {
            Ok(entry) => page.entries.push(entry),
            Err(reason) => page.poison.push((id, reason)),
        }
    }
    page
}

fn parse_entry(id: EventId, row: &PgRow) -> Result<LogEntry, String> {
    let read = || -> Result<LogEntry, sqlx::Error> {
        Ok(LogEntry {
            id,
            kind: row.try_get("type")?,
            chat_id: row.try_get("chat_id")?,
            user_id: row.try_get("user_id")?,
            message_id: row.try_get("message_id")?,
            at: Time(row.try_get("at")?),
            data: row.try_get("data")?,
        })
    };
    let entry = read().map_err(|error| error.to_string())?;
    let is_name_char = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
    if entry.kind.is_empty() || !entry.kind.chars().all(is_name_char) {
        return Err("its type is not a name".into());
    }
    let is_one_object = entry.data.starts_with('{') && entry.data.ends_with('}');
    if !is_one_object || entry.data.contains(['\r', '\n']) {
        return Err("its data is not one JSON object on one line".into());
    }
    Ok(entry)
}

/// A person's chats as of a position of the log.
#[derive(Debug, Clone)]
pub struct Memberships {
    /// The last event that the same snapshot holds.
    pub position: EventId,
    /// Whose chats, in no order; a person without any has no row.
    pub chats: Vec<(UserId, ChatId)>,
}

/// The chats of some people, and the position at which that was so.
pub async fn load_memberships(db: &PgPool, users: &[UserId]) -> Result<Memberships> {
    // One statement is one snapshot, and a snapshot holds a whole prefix of the log.
    let rows: Vec<(EventId, Option<UserId>, Option<ChatId>)> = sqlx::query_as(
        "select coalesce((select max(id) from events), 0), m.user_id, m.chat_id
         from (select) one left join chat_members m on m.user_id = any($1)",
    )
    .bind(users)
    .fetch_all(db)
    .await?;
    Ok(Memberships {
        position: rows.first().map_or(EventId::START, |row| row.0),
        chats: rows.iter().filter_map(|row| row.1.zip(row.2)).collect(),
    })
}

/// How a person's memberships changed after a position and up to another, in
/// order.
async fn load_membership_changes(
    db: impl PgExecutor<'_>,
    user: UserId,
    position: EventId,
    end: EventId,
) -> Result<Vec<(ChatId, MembershipChange)>> {
    let rows: Vec<(ChatId, String)> = sqlx::query_as(
        "select chat_id, type from events
         where user_id = $1 and id > $2 and id <= $3
           and type in ('chat.new', 'chat.added', 'chat.removed', 'chat.deleted')
         order by id",
    )
    .bind(user)
    .bind(position)
    .bind(end)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().filter_map(|(chat, kind)| Some((chat, membership_change(&kind)?))).collect())
}

/// Where the log stands, and whose history it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Changes when history may have been rewritten.
    pub epoch: Epoch,
    /// The last event.
    pub last: EventId,
    /// The first event still held.
    pub first: Option<EventId>,
}

/// Where the log stands now.
pub async fn head(db: impl PgExecutor<'_>) -> Result<Head> {
    let (system, timeline, database, last, first): (i64, String, i64, EventId, Option<EventId>) = sqlx::query_as(
        "select (select system_identifier from pg_control_system()),
                substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
                (select oid::bigint from pg_database where datname = current_database()),
                coalesce((select max(id) from events), 0),
                (select min(id) from events)",
    )
    .fetch_one(db)
    .await?;
    Ok(Head { epoch: Epoch::of(system, &timeline, database), last, first })
}
