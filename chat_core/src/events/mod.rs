//! The event log: appends changes and lets readers follow them.

mod cursor;
mod page;
pub mod redaction;
mod replay;

pub use cursor::{Cursor, Epoch, InvalidCursor, Position, Tag};
pub(crate) use page::load_entries;
pub use page::{Page, begin_snapshot, load_page};
pub use replay::{Audience, Chats, Replay};

use crate::{ChatId, Error, EventId, MessageId, Result, Time, UserId};
use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, PgExecutor, PgPool, Postgres, Row, Transaction, postgres::PgRow};
use std::fmt;

/// The NOTIFY channel that announces new events.
pub const CHANNEL: &str = "events";

/// Begins a transaction that may change what users can see, on behalf of
/// `actor`. It takes the append lock first, so its statements see everything
/// committed before it, row ids increase in commit order, and row locks are never
/// taken in conflicting orders. Keep the transaction short.
pub async fn begin(db: &PgPool, actor: UserId) -> Result<Transaction<'static, Postgres>> {
    let begin = format!("begin; select append_lock(), set_config('confab.actor', '{actor}', true)");
    Ok(db.begin_with(AssertSqlSafe(begin)).await?)
}

/// One event as the log stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The position. Positions increase in commit order.
    pub id: EventId,
    /// The event type, such as `message.new`.
    pub kind: String,
    /// The chat of the event; its members receive the event if `user_id` is not
    /// set.
    pub chat_id: Option<ChatId>,
    /// The only recipient, if set.
    pub user_id: Option<UserId>,
    /// Chats whose members receive the event too, besides `user_id`.
    pub chat_ids: Vec<ChatId>,
    /// The message that the event is about, if there is one.
    pub message_id: Option<MessageId>,
    /// The time of the append, just before the commit.
    pub at: Time,
    /// The event as a JSON object, without its `type` and `id`.
    pub data: String,
}

impl LogEntry {
    /// Writes the event as clients receive it: one JSON object on one line. Inserts
    /// the type and the id before the stored data without parsing it.
    pub fn write_json(&self, epoch: &Epoch, to: &mut impl fmt::Write) -> fmt::Result {
        let Self { kind, data, .. } = self;
        let rest = data.strip_prefix('{').unwrap_or(data);
        let comma = if rest.trim_start() == "}" { "" } else { "," };
        write!(to, "{{\"type\":\"{kind}\",\"id\":\"")?;
        self.write_cursor(epoch, to)?;
        write!(to, "\"{comma}{rest}")
    }

    /// Rejects an event that would break the formats that contain it.
    pub(crate) fn check(&self) -> Result<(), &'static str> {
        let is_name_char = |c: char| c.is_ascii_lowercase() || c == '.' || c == '_';
        if self.kind.is_empty() || !self.kind.chars().all(is_name_char) {
            return Err("the type is not a valid name");
        }
        let is_one_object = self.data.starts_with('{') && self.data.ends_with('}');
        if !is_one_object || self.data.contains(['\r', '\n']) {
            return Err("the data is not one JSON object on one line");
        }
        Ok(())
    }

    /// Writes the cursor after this event.
    pub fn write_cursor(&self, epoch: &Epoch, to: &mut impl fmt::Write) -> fmt::Result {
        self.position().write_cursor(epoch, to)
    }

    /// The position after this event.
    pub fn position(&self) -> Position {
        Position::after(self.id, self.at)
    }
}

/// How an event changes the membership of its recipient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MembershipChange {
    /// The recipient receives the events of the chat after this event.
    Join,
    /// The recipient no longer receives the events of the chat.
    Leave,
}

/// Returns how an event of this type changes the membership of its recipient.
pub fn membership_change(kind: &str) -> Option<MembershipChange> {
    match kind {
        "chat.new" | "chat.added" => Some(MembershipChange::Join),
        "chat.removed" | "chat.deleted" => Some(MembershipChange::Leave),
        _ => None,
    }
}

/// Whether an event of this type only tells who has received or read a message.
pub fn is_receipt(kind: &str) -> bool {
    matches!(kind, "message.read" | "message.delivered")
}

/// A page of the log.
#[derive(Debug, Default)]
pub struct LogPage {
    /// Events in order of their ids.
    pub entries: Vec<LogEntry>,
    /// Rows that could not be read as events, with the reason. Readers skip them:
    /// one bad row must not block the events after it.
    pub poison: Vec<(EventId, String)>,
    /// The last position that the page covers, with or without an entry; the next
    /// page starts after it.
    pub last_position: Option<Position>,
    /// Whether a limit ended the page, so that more events may follow.
    pub has_more: bool,
}

/// Maximum size of one page of the log, in bytes; a page always holds at least one
/// event.
const MAX_PAGE_BYTES: i64 = 1024 * 1024;

/// Selects the log after $1, at most $2 rows and $3 bytes. `found` is the number
/// of rows before the byte limit.
macro_rules! log_page_sql {
    ($more:literal) => {
        concat!(
            "select id, type, chat_id, user_id, chat_ids, message_id, at, data, found,
                    (select at from events where id = $1) as after_at from (
                 select e.*, count(*) over () as found,
                        sum(octet_length(data)) over (order by id) - octet_length(data) as bytes_before
                 from (
                     select id, type, chat_id, user_id, chat_ids, message_id, at, data::text as data from events where id > $1 ",
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

/// Reads the log after a position, for all audiences.
/// Returns `Error::Reset` if there are later events, but the event at the position is no
/// longer stored or is not the one that the caller has read.
pub async fn read_after(db: impl PgExecutor<'_>, position: Position, limit: i64) -> Result<LogPage> {
    let rows = sqlx::query(log_page_sql!("")).bind(position.id).bind(limit).bind(MAX_PAGE_BYTES).fetch_all(db).await?;
    if let Some(row) = rows.first() {
        check_tag(position, row.try_get("after_at")?)?;
    }
    Ok(parse_page(rows, limit))
}

/// What readers of the log need to find the recipients of an event, without its data.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct EventHeader {
    /// The position.
    pub id: EventId,
    /// The event type.
    #[sqlx(rename = "type")]
    pub kind: String,
    /// The chat of the event; its members receive the event if `user_id` is not set.
    pub chat_id: Option<ChatId>,
    /// The only recipient, if set.
    pub user_id: Option<UserId>,
    /// The message that the event is about, if there is one.
    pub message_id: Option<MessageId>,
    /// The time of the append.
    pub at: Time,
}

impl EventHeader {
    /// The position after this event.
    pub fn position(&self) -> Position {
        Position::after(self.id, self.at)
    }
}

/// Reads the headers of at most `limit` events after a position, for all audiences.
/// Returns `Error::Reset` as [`read_after`] does.
pub async fn read_headers_after<C>(db: &mut C, position: Position, limit: i64) -> Result<Vec<EventHeader>>
where
    for<'c> &'c mut C: PgExecutor<'c>,
{
    let sql = "select id, type, chat_id, user_id, message_id, at from events where id > $1 order by id limit $2";
    let headers: Vec<EventHeader> = sqlx::query_as(sql).bind(position.id).bind(limit).fetch_all(&mut *db).await?;
    if !headers.is_empty() {
        check_position(db, position).await?;
    }
    Ok(headers)
}

/// Checks that a position belongs to the history that the log holds now. Returns
/// `Error::Reset` if it does not, or if its event is no longer stored.
pub async fn check_position(db: impl PgExecutor<'_>, position: Position) -> Result<()> {
    if position == Position::START {
        return Ok(());
    }
    let at: Option<DateTime<Utc>> =
        sqlx::query_scalar("select at from events where id = $1").bind(position.id).fetch_optional(db).await?;
    check_tag(position, at)
}

/// Compares a position with the time of the event that the log holds there.
fn check_tag(position: Position, at: Option<DateTime<Utc>>) -> Result<()> {
    match at {
        _ if position == Position::START => Ok(()),
        Some(at) if position == Position::after(position.id, Time(at)) => Ok(()),
        Some(_) => Err(Error::Reset("epoch")),
        None => Err(Error::Reset("retention")),
    }
}

/// Returns the position after the first stored event with at least this id; the start
/// if there is none.
pub async fn position_from(db: impl PgExecutor<'_>, id: EventId) -> Result<Position> {
    let row: Option<(EventId, DateTime<Utc>)> =
        sqlx::query_as("select id, at from events where id >= $1 order by id limit 1")
            .bind(id)
            .fetch_optional(db)
            .await?;
    Ok(row.map_or(Position::START, |(id, at)| Position::after(id, Time(at))))
}

fn parse_page(rows: Vec<PgRow>, limit: i64) -> LogPage {
    let found: i64 = rows.first().and_then(|row| row.try_get("found").ok()).unwrap_or(0);
    let has_more = found == limit || i64::try_from(rows.len()) != Ok(found);
    let mut page = LogPage { has_more, ..LogPage::default() };
    for row in rows {
        // The id is the primary key, so it is always a number.
        let Ok(id) = row.try_get::<EventId, _>("id") else { continue };
        let Ok(at) = row.try_get("at") else { continue };
        page.last_position = Some(Position::after(id, Time(at)));
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
            chat_ids: row.try_get::<Option<Vec<ChatId>>, _>("chat_ids")?.unwrap_or_default(),
            message_id: row.try_get("message_id")?,
            at: Time(row.try_get("at")?),
            data: row.try_get("data")?,
        })
    };
    let entry = read().map_err(|error| error.to_string())?;
    entry.check()?;
    Ok(entry)
}

/// The chats of some users as of one position of the log.
#[derive(Debug, Clone)]
pub struct Memberships {
    /// The last event in the snapshot that the chats were read from.
    pub position: EventId,
    /// Pairs of user and chat, in no order; a user without chats has no pair.
    pub chats: Vec<(UserId, ChatId)>,
}

/// Loads the chats of some users, and the position of the log at which they were read.
pub async fn load_memberships(db: &PgPool, users: &[UserId]) -> Result<Memberships> {
    // One statement reads one snapshot, and a snapshot contains a complete prefix of the log.
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

/// Loads the membership changes of a user after `position` and up to `end`, in
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

/// The state of the log: its epoch and its bounds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The epoch; changes when the history may have been rewritten.
    pub epoch: Epoch,
    /// The position after the last event.
    pub last: Position,
    /// The first event that is still stored.
    pub first: Option<EventId>,
}

/// Reads the current state of the log.
pub async fn head(db: impl PgExecutor<'_>) -> Result<Head> {
    type Row = (i64, String, i64, Option<EventId>, Option<DateTime<Utc>>, Option<EventId>);
    let (system, timeline, database, last_id, last_at, first): Row = sqlx::query_as(
        "select (select system_identifier from pg_control_system()),
                substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8),
                (select oid::bigint from pg_database where datname = current_database()),
                last.id, last.at, (select min(id) from events)
         from (select) one left join lateral (select id, at from events order by id desc limit 1) last on true",
    )
    .fetch_one(db)
    .await?;
    let last = last_id.zip(last_at).map_or(Position::START, |(id, at)| Position::after(id, Time(at)));
    Ok(Head { epoch: Epoch::of(system, &timeline, database), last, first })
}

#[cfg(test)]
mod tests {
    /// The log depends on no other part of the domain: its modules import only ids,
    /// errors, times and each other.
    #[test]
    fn no_module_of_the_log_imports_the_domain() {
        let allowed = ["ids", "error", "time", "events"];
        let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/events");
        let files: Vec<_> =
            directory.read_dir().expect("the modules").map(|file| file.expect("a module").path()).collect();
        assert!(files.len() > 3, "{files:?}");
        for file in files {
            let source = std::fs::read_to_string(&file).expect("source text");
            for import in source.split("crate::").skip(1) {
                let tree = import.split(';').next().expect("a first part");
                // In `{ChatId, ids::X}` and in `members::list` alike, a module precedes `::`.
                for path in tree.split(['{', '}', ',', ' ', '(', '\n']) {
                    if let Some((module, _)) = path.trim().split_once("::")
                        && module.chars().all(|c| c.is_ascii_lowercase() || c == '_')
                    {
                        assert!(allowed.contains(&module), "{} imports {module}", file.display());
                    }
                    if tree.starts_with('{') {
                        continue;
                    }
                    break;
                }
            }
        }
    }

    /// The catalogue describes the events of the whole domain, so it imports the domain.
    #[test]
    fn no_domain_module_imports_the_catalogue() {
        let source = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut directories = vec![source];
        let mut files = Vec::new();
        while let Some(directory) = directories.pop() {
            for entry in directory.read_dir().expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() { directories.push(path) } else { files.push(path) }
            }
        }
        assert!(files.len() > 30, "{files:?}");
        for file in files.iter().filter(|file| !file.ends_with("events/mod.rs") && !file.ends_with("lib.rs")) {
            let source = std::fs::read_to_string(file).expect("source text");
            assert!(!source.contains("catalogue::"), "{} imports the catalogue", file.display());
        }
    }
}
