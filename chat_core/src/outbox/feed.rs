//! The feed of the outbox: reads the event log after its cursor and inserts a delivery for each
//! event and each target that receives it: targets of webhooks, and connected chats.
//!
//! A target receives an event of a chat if its user was a member at that position of the log, as
//! on a stream. The user of a connected chat is its ghost.

use super::NewEntry;
use crate::{
    ChatId, Error, EventId, LaneId, Result, UserId,
    events::{self, Cursor, EventHeader, Head, MembershipChange, Position},
    feeds,
    webhook_endpoints::EventFilter,
};
use serde_json::json;
use sqlx::{PgConnection, PgPool};
use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

/// The name of the feed.
const NAME: &str = "webhooks";

/// Maximum number of events that are read at once.
const BATCH_EVENTS: i64 = 4_000;

/// Maximum number of deliveries of one batch; one event can exceed it.
const MAX_DELIVERIES: usize = 20_000;

/// Maximum number of messages that a connected chat gets after a gap.
const MAX_MISSED: i64 = 1_000;

/// How often the cursor moves while there is no target.
const IDLE_INTERVAL: Duration = Duration::from_secs(10);

/// The result of [`advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// Another process is reading the log.
    Busy,
    /// There was nothing to read.
    Idle,
    /// There is no target.
    NoTarget,
    /// Events were read.
    Advanced {
        /// The number of deliveries that were inserted.
        inserted: u64,
        /// Whether more events follow.
        has_more: bool,
    },
}

/// Reads the next events, inserts the deliveries and moves the cursor, in one transaction.
/// Never takes the append lock.
pub async fn advance(db: &PgPool) -> Result<Advance> {
    let mut tx = feeds::begin(db).await?;
    let sql = "select cursor, extract(epoch from now() - advanced_at)::float8 from feeds where name = $1
               for update skip locked";
    let row: Option<(String, f64)> = sqlx::query_as(sql).bind(NAME).fetch_optional(&mut *tx).await?;
    let Some((cursor, age)) = row else {
        let exists: bool = sqlx::query_scalar("select exists (select from feeds where name = $1)")
            .bind(NAME)
            .fetch_one(&mut *tx)
            .await?;
        return Ok(if exists { Advance::Busy } else { Advance::NoTarget });
    };
    let cursor: Cursor = cursor.parse().map_err(Error::internal)?;
    // A snapshot of its own: the transaction that writes must see what others write meanwhile.
    let mut snapshot = events::begin_snapshot(db).await?;
    let head = events::head(&mut *snapshot).await?;
    if cursor == (Cursor { epoch: head.epoch.clone(), position: head.last }) {
        return Ok(Advance::Idle);
    }
    let has_targets: bool = sqlx::query_scalar("select exists (select from outbox_targets where is_enabled)")
        .fetch_one(&mut *snapshot)
        .await?;
    if !has_targets {
        if age > IDLE_INTERVAL.as_secs_f64() {
            feeds::save(&mut tx, NAME, &head, head.last).await?;
            tx.commit().await?;
        }
        return Ok(Advance::NoTarget);
    }
    let advance = match read(&mut snapshot, &head, &cursor).await {
        Ok(batch) => {
            let inserted = super::insert(&mut tx, &batch.entries).await?;
            feeds::save(&mut tx, NAME, &head, batch.end).await?;
            Advance::Advanced { inserted, has_more: batch.has_more }
        }
        Err(Error::Reset(reason)) => {
            tracing::warn!(%cursor, reason, "the feed of webhooks cannot read the events after its cursor");
            let inserted = insert_gap(&mut tx, &cursor, reason).await?;
            // After an old part of the log was dropped, the rest is still read.
            let resume_at = if reason == "retention" { Position::START } else { head.last };
            feeds::save(&mut tx, NAME, &head, resume_at).await?;
            Advance::Advanced { inserted, has_more: resume_at != head.last }
        }
        Err(error) => return Err(error),
    };
    snapshot.rollback().await?;
    tx.commit().await?;
    Ok(advance)
}

/// Creates the feed at the end of the log if it does not exist. The first target does this.
pub(crate) async fn start(tx: &mut PgConnection) -> Result<()> {
    feeds::start(tx, NAME).await
}

#[derive(Debug)]
struct Batch {
    entries: Vec<NewEntry>,
    end: Position,
    has_more: bool,
}

/// Reads a page of the log and finds the targets that receive its events.
async fn read(snapshot: &mut PgConnection, head: &Head, cursor: &Cursor) -> Result<Batch> {
    if cursor.epoch != head.epoch || cursor.position.id > head.last.id {
        return Err(Error::Reset("epoch"));
    }
    let headers = events::read_headers_after(snapshot, cursor.position, BATCH_EVENTS).await?;
    let has_more = i64::try_from(headers.len()) == Ok(BATCH_EVENTS);
    let end = headers.last().map_or(head.last, EventHeader::position);
    let mut batch = Batch { entries: Vec::new(), end, has_more };
    // A snapshot shows the members at the end of the log.
    let later_changes = if has_more { load_later_changes(snapshot, end.id).await? } else { Vec::new() };
    let (targets, mut members) = load_targets(snapshot, &headers, &later_changes).await?;
    for (user, chat, change) in later_changes.into_iter().rev() {
        members.undo(user, chat, change);
    }
    for (user, chat, change) in headers.iter().rev().filter_map(membership_change) {
        members.undo(user, chat, change);
    }
    for header in &headers {
        if batch.entries.len() >= MAX_DELIVERIES {
            batch.has_more = true;
            break;
        }
        batch.end = header.position();
        match (header.user_id, header.chat_id) {
            (Some(user), _) => targets.push_deliveries(user, header, &mut batch.entries),
            (None, Some(chat)) => {
                for user in members.of(chat) {
                    targets.push_deliveries(user, header, &mut batch.entries);
                }
            }
            (None, None) => {}
        }
        if let Some((user, chat, change)) = membership_change(header) {
            members.apply(user, chat, change);
        }
    }
    Ok(batch)
}

/// How an event changes the membership of its recipient.
fn membership_change(header: &EventHeader) -> Option<(UserId, ChatId, MembershipChange)> {
    Some((header.user_id?, header.chat_id?, events::membership_change(&header.kind)?))
}

/// Loads the membership changes of users with targets after a position, in order.
async fn load_later_changes(
    snapshot: &mut PgConnection,
    after: EventId,
) -> Result<Vec<(UserId, ChatId, MembershipChange)>> {
    let rows: Vec<(UserId, ChatId, String)> = sqlx::query_as(
        "select v.user_id, v.chat_id, v.type
         from (select distinct user_id from outbox_targets where is_enabled) u
         join events v on v.user_id = u.user_id and v.id > $1
           and v.type in ('chat.new', 'chat.added', 'chat.removed', 'chat.deleted')
         order by v.id",
    )
    .bind(after)
    .fetch_all(snapshot)
    .await?;
    let change = |(user, chat, kind): (UserId, ChatId, String)| Some((user, chat, events::membership_change(&kind)?));
    Ok(rows.into_iter().filter_map(change).collect())
}

/// An target, and which events it receives.
#[derive(Debug, sqlx::FromRow)]
struct Target {
    id: LaneId,
    user_id: UserId,
    #[sqlx(flatten)]
    filter: EventFilter,
    starts_after: EventId,
}

/// Targets by their user.
#[derive(Debug, Default)]
struct Targets(HashMap<UserId, Vec<Target>>);

impl Targets {
    fn add(&mut self, target: Target) {
        let targets = self.0.entry(target.user_id).or_default();
        if targets.iter().all(|known| known.id != target.id) {
            targets.push(target);
        }
    }

    /// Adds an entry for each target of a user that receives an event.
    fn push_deliveries(&self, user: UserId, event: &EventHeader, entries: &mut Vec<NewEntry>) {
        let targets = self.0.get(&user).into_iter().flatten();
        let receivers =
            targets.filter(|one| event.id > one.starts_after && one.filter.matches(&event.kind, event.chat_id));
        entries.extend(receivers.map(|target| NewEntry { lane: target.id, event: event.id, kind: event.kind.clone() }));
    }
}

/// An target of a member of a chat.
#[derive(Debug, sqlx::FromRow)]
struct MemberTarget {
    chat_id: ChatId,
    #[sqlx(flatten)]
    target: Target,
}

/// Loads the targets that can receive one of these events, and the chats of their users.
async fn load_targets(
    snapshot: &mut PgConnection,
    headers: &[EventHeader],
    later_changes: &[(UserId, ChatId, MembershipChange)],
) -> Result<(Targets, Members)> {
    let chats: HashSet<ChatId> = headers.iter().filter_map(|header| header.chat_id).collect();
    let addressees = headers.iter().filter_map(|header| header.user_id);
    let users: HashSet<UserId> = addressees.chain(later_changes.iter().map(|(user, ..)| *user)).collect();
    let of_members: Vec<MemberTarget> = sqlx::query_as(
        "select m.chat_id, e.id, e.user_id, e.event_types, e.chat_ids, e.starts_after
         from outbox_targets e join chat_members m on m.user_id = e.user_id and m.chat_id = any($1)
         where e.is_enabled order by e.id",
    )
    .bind(chats.into_iter().collect::<Vec<_>>())
    .fetch_all(&mut *snapshot)
    .await?;
    let of_users: Vec<Target> = sqlx::query_as(
        "select e.id, e.user_id, e.event_types, e.chat_ids, e.starts_after from outbox_targets e
         where e.is_enabled and e.user_id = any($1) order by e.id",
    )
    .bind(users.into_iter().collect::<Vec<_>>())
    .fetch_all(snapshot)
    .await?;
    let (mut targets, mut members) = (Targets::default(), Members::default());
    for MemberTarget { chat_id, target } in of_members {
        members.apply(target.user_id, chat_id, MembershipChange::Join);
        targets.add(target);
    }
    for target in of_users {
        targets.add(target);
    }
    Ok((targets, members))
}

/// The members of chats who have targets.
#[derive(Debug, Default)]
struct Members(HashMap<ChatId, HashSet<UserId>>);

impl Members {
    fn apply(&mut self, user: UserId, chat: ChatId, change: MembershipChange) {
        let members = self.0.entry(chat).or_default();
        match change {
            MembershipChange::Join => members.insert(user),
            MembershipChange::Leave => members.remove(&user),
        };
    }

    fn undo(&mut self, user: UserId, chat: ChatId, change: MembershipChange) {
        let opposite = match change {
            MembershipChange::Join => MembershipChange::Leave,
            MembershipChange::Leave => MembershipChange::Join,
        };
        self.apply(user, chat, opposite);
    }

    fn of(&self, chat: ChatId) -> impl Iterator<Item = UserId> {
        self.0.get(&chat).into_iter().flatten().copied()
    }
}

/// Tells every target that events may be missing. A bridge gets the messages that it has not
/// sent; of other events, which only change a message, it gets none.
async fn insert_gap(tx: &mut PgConnection, cursor: &Cursor, reason: &str) -> Result<u64> {
    sqlx::query("select from outbox_lanes order by id for no key update").execute(&mut *tx).await?;
    // The ids of another history may be lower.
    for sql in [
        "update webhook_endpoints set starts_after = least(starts_after, (select coalesce(max(id), 0) from events))",
        "update bridge_chats set starts_after = least(starts_after, (select coalesce(max(id), 0) from events))",
    ] {
        sqlx::query(sql).execute(&mut *tx).await?;
    }
    let gaps = sqlx::query(
        "insert into outbox (lane_id, type, data)
         select id, 'log.gap', $1 from webhook_endpoints where disabled_at is null order by id",
    )
    .bind(json!({ "after": cursor, "reason": reason }))
    .execute(&mut *tx)
    .await?;
    let messages = sqlx::query(
        "insert into outbox (lane_id, type, data)
         select c.id, 'message.missed', json_build_object('message_id', m.id)
         from bridge_chats c
         join bridges b on b.id = c.bridge_id and b.state <> 'disabled'
         cross join lateral (
             select m.id from messages m
             where m.chat_id = c.chat_id and m.created_at > c.created_at and m.deleted_at is null and m.change is null
               and m.id > coalesce((
                   select r.message_id from bridge_messages r
                   where r.lane_id = c.id and not r.is_incoming and r.is_original order by r.id desc limit 1
               ), 0)
             order by m.id limit $1
         ) m
         order by c.id, m.id",
    )
    .bind(MAX_MISSED)
    .execute(tx)
    .await?;
    Ok(gaps.rows_affected() + messages.rows_affected())
}
