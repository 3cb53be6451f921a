//! The outbox: a queue of HTTP requests to other servers. A feed fills it from the event log
//! (`feed.rs`); senders claim lanes, send their entries in order, and settle them afterwards.
//! The feed inserts each event once for each endpoint, and an entry is sent at least once.
//!
//! Locks are taken in this order: the append lock, lanes by id, their endpoints, entries.

pub mod clean_up;
pub mod feed;

use crate::{
    BridgeId, ChatId, DeliveryId, EventId, LaneId, MessageId, Result, Time, UserId,
    events::{self, Epoch, LogEntry, redaction},
};
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::time::Duration;

/// The NOTIFY channel that announces new entries.
pub const CHANNEL: &str = "outbox";

/// How long a process owns a lane that it has claimed. Longer than a run of `MAX_ENTRIES` takes.
pub const LEASE: Duration = Duration::from_secs(90);

/// Maximum number of entries of one lane that are sent in one run.
pub const MAX_ENTRIES: i64 = 10;

/// Maximum number of waiting entries of one lane.
pub const MAX_WAITING: i64 = 20_000;

/// The state of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schemars(rename = "DeliveryState")]
pub enum State {
    /// It has not been sent yet, or will be sent again.
    Waiting,
    /// The other server has accepted it.
    Delivered,
    /// It will not be sent again.
    Dead,
}

impl State {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }
}

/// Whether the last attempt of a lane failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It succeeded, or there was none.
    Healthy,
    /// It failed.
    Failing,
}

/// The right to send the entries of a lane, for a while.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Lease {
    /// The lane.
    pub lane: LaneId,
    /// The end of the lease, which also identifies it.
    until: DateTime<Utc>,
    /// The failures since the last success.
    pub failures: i32,
    /// Since when the lane fails.
    pub failing_since: Option<Time>,
}

/// Claims lanes on which something is due, at most `limit`.
pub async fn claim(db: impl PgExecutor<'_>, health: Health, limit: i64) -> Result<Vec<Lease>> {
    Ok(sqlx::query_as(
        "with due as materialized (
             select id from outbox_lanes
             where due_at <= now() and (leased_until is null or leased_until < now()) and (failures > 0) = $1
             order by due_at limit $2 for no key update skip locked
         )
         update outbox_lanes l set leased_until = now() + make_interval(secs => $3)
         from due where l.id = due.id
         returning l.id as lane, l.leased_until as until, l.failures, l.failing_since",
    )
    .bind(health == Health::Failing)
    .bind(limit)
    .bind(LEASE.as_secs_f64())
    .fetch_all(db)
    .await?)
}

/// An entry to send.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The id.
    pub id: DeliveryId,
    /// The lane.
    pub lane: LaneId,
    /// The type, such as `message.new`.
    pub kind: String,
    /// Earlier attempts.
    pub attempts: i16,
    /// When it entered the outbox.
    pub created_at: Time,
    /// What to send.
    pub content: Content,
}

/// What an entry sends.
#[derive(Debug, Clone)]
pub enum Content {
    /// An event, without the content of messages that were deleted meanwhile.
    Event(LogEntry),
    /// A JSON object of its own.
    Data(String),
    /// An event that is no longer stored, or that cannot be read.
    Missing,
}

#[derive(sqlx::FromRow)]
struct EntryRow {
    id: DeliveryId,
    lane: LaneId,
    kind: String,
    attempts: i16,
    created_at: Time,
    own_data: Option<String>,
    event_id: Option<EventId>,
    at: Option<Time>,
    chat_id: Option<ChatId>,
    user_id: Option<UserId>,
    message_id: Option<MessageId>,
    event_data: Option<String>,
}

/// Loads the entries of some lanes that are due, in the order in which they are to be sent, and
/// the epoch of the log, which the cursors of its events contain.
pub async fn load_due(db: &mut PgConnection, lanes: &[LaneId]) -> Result<(Epoch, Vec<Entry>)> {
    let epoch = events::head(&mut *db).await?.epoch;
    let rows: Vec<EntryRow> = sqlx::query_as(
        "select o.id, o.lane_id as lane, o.type as kind, o.attempts, o.created_at, o.data::text as own_data,
                e.id as event_id, e.at, e.chat_id, e.user_id, e.message_id, e.data::text as event_data
         from unnest($1::bigint[]) lane
         cross join lateral (
             select * from outbox o
             where o.lane_id = lane and o.state = 'waiting' and o.due_at <= now()
             order by o.due_at, o.id limit $2
         ) o
         left join events e on e.id = o.event_id
         order by o.lane_id, o.due_at, o.id",
    )
    .bind(lanes)
    .bind(MAX_ENTRIES)
    .fetch_all(&mut *db)
    .await?;
    let mut entries: Vec<Entry> = rows.into_iter().map(EntryRow::into_entry).collect();
    let events = entries.iter_mut().filter_map(|entry| match &mut entry.content {
        Content::Event(event) => Some(event),
        Content::Data(_) | Content::Missing => None,
    });
    redaction::redact_deleted(db, events).await?;
    Ok((epoch, entries))
}

impl EntryRow {
    fn into_entry(self) -> Entry {
        let Self { id, lane, kind, attempts, created_at, own_data, .. } = self;
        let event = || {
            Some(LogEntry {
                id: self.event_id?,
                kind: kind.clone(),
                chat_id: self.chat_id,
                user_id: self.user_id,
                chat_ids: Vec::new(),
                message_id: self.message_id,
                at: self.at?,
                data: self.event_data?,
            })
        };
        let content = match own_data {
            Some(data) => Content::Data(data),
            None => event().filter(|event| event.check().is_ok()).map_or(Content::Missing, Content::Event),
        };
        Entry { id, lane, kind, attempts, created_at, content }
    }
}

/// The outcome of one attempt to send an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The entry.
    pub id: DeliveryId,
    /// Its new state.
    pub state: State,
    /// Whether a request was sent, so that this was an attempt.
    pub was_sent: bool,
    /// If it is sent again: how long later entries are sent before it; `None` means not at all.
    pub retry_delay: Option<Duration>,
    /// The status of the response, if there was one.
    pub status: Option<u16>,
    /// Why the attempt failed.
    pub error: Option<String>,
}

/// The end of a run on a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settlement {
    /// The lease under which the entries were sent.
    pub lease: Lease,
    /// The outcome of each entry.
    pub outcomes: Vec<Outcome>,
    /// The failures since the last success.
    pub failures: i32,
    /// Whether an entry of this run was delivered.
    pub has_succeeded: bool,
    /// How long nothing is sent on the lane.
    pub pause: Duration,
}

impl Settlement {
    /// The end of a run that sent nothing.
    pub fn unchanged(lease: Lease) -> Self {
        let failures = lease.failures;
        Self { lease, outcomes: Vec::new(), failures, has_succeeded: false, pause: Duration::ZERO }
    }
}

/// Records the ends of runs and releases their lanes. Ignores the runs whose lease has been
/// taken over.
pub async fn settle(db: &PgPool, settlements: &[Settlement]) -> Result<()> {
    let mut tx = db.begin().await?;
    // A feed locks the lanes of the entries that it inserts, so the statements after this one
    // see all entries of these lanes.
    let owned: Vec<LaneId> = sqlx::query_scalar(
        "select l.id from outbox_lanes l
         join unnest($1::bigint[], $2::timestamptz[]) s (id, until) on l.id = s.id and l.leased_until = s.until
         order by l.id for no key update of l",
    )
    .bind(settlements.iter().map(|settlement| settlement.lease.lane).collect::<Vec<_>>())
    .bind(settlements.iter().map(|settlement| settlement.lease.until).collect::<Vec<_>>())
    .fetch_all(&mut *tx)
    .await?;
    let owned: Vec<&Settlement> =
        settlements.iter().filter(|settlement| owned.contains(&settlement.lease.lane)).collect();
    let outcomes: Vec<&Outcome> = owned.iter().flat_map(|settlement| &settlement.outcomes).collect();
    sqlx::query(
        "update outbox o
         set state = s.state, attempts = o.attempts + s.was_sent::int, status = s.status, error = left(s.error, 2000),
             due_at = coalesce(clock_timestamp() + make_interval(secs => s.retry_delay), o.due_at),
             settled_at = case when s.state <> 'waiting' then clock_timestamp() end
         from unnest($1::bigint[], $2::text[], $3::float8[], $4::smallint[], $5::text[], $6::bool[])
              s (id, state, retry_delay, status, error, was_sent)
         where o.id = s.id and o.state = 'waiting'",
    )
    .bind(outcomes.iter().map(|outcome| outcome.id).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|outcome| outcome.state).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|outcome| outcome.retry_delay.map(|time| time.as_secs_f64())).collect::<Vec<_>>())
    .bind(
        outcomes.iter().map(|outcome| outcome.status.and_then(|status| i16::try_from(status).ok())).collect::<Vec<_>>(),
    )
    .bind(outcomes.iter().map(|outcome| outcome.error.as_deref()).collect::<Vec<_>>())
    .bind(outcomes.iter().map(|outcome| outcome.was_sent).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update outbox_lanes l
         set leased_until = null, failures = s.failures, paused_until = p.until,
             failing_since = case
                 when s.failures = 0 then null
                 when s.has_succeeded then clock_timestamp()
                 else coalesce(l.failing_since, clock_timestamp())
             end,
             due_at = (
                 select greatest(o.due_at, p.until)
                 from outbox o where o.lane_id = l.id and o.state = 'waiting' order by o.due_at limit 1
             )
         from unnest($1::bigint[], $2::int[], $3::bool[], $4::float8[]) s (id, failures, has_succeeded, pause)
         cross join lateral (
             select case when s.pause > 0 then clock_timestamp() + make_interval(secs => s.pause) end as until
         ) p
         where l.id = s.id",
    )
    .bind(owned.iter().map(|settlement| settlement.lease.lane).collect::<Vec<_>>())
    .bind(owned.iter().map(|settlement| settlement.failures).collect::<Vec<_>>())
    .bind(owned.iter().map(|settlement| settlement.has_succeeded).collect::<Vec<_>>())
    .bind(owned.iter().map(|settlement| settlement.pause.as_secs_f64()).collect::<Vec<_>>())
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Returns how long no lane is due, at most `limit`.
pub async fn time_until_due(db: impl PgExecutor<'_>, health: Health, limit: Duration) -> Result<Duration> {
    let seconds: Option<f64> = sqlx::query_scalar(
        "select extract(epoch from due_at - clock_timestamp())::float8 from outbox_lanes
         where due_at is not null and (leased_until is null or leased_until < now()) and (failures > 0) = $1
         order by due_at limit 1",
    )
    .bind(health == Health::Failing)
    .fetch_optional(db)
    .await?;
    Ok(seconds.map_or(limit, |seconds| Duration::try_from_secs_f64(seconds).unwrap_or_default().min(limit)))
}

/// An event for a lane.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEntry {
    /// The lane.
    pub lane: LaneId,
    /// The event.
    pub event: EventId,
    /// Its type.
    pub kind: String,
}

/// Inserts events for the lanes whose targets still exist and are enabled, to be sent in this
/// order. Returns how many were inserted.
pub(crate) async fn insert(tx: &mut PgConnection, entries: &[NewEntry]) -> Result<u64> {
    if entries.is_empty() {
        return Ok(0);
    }
    let result = sqlx::query(
        "insert into outbox (lane_id, event_id, type, due_at)
         select n.lane_id, n.event_id, n.type, now.at
         from unnest($1::bigint[], $2::bigint[], $3::text[]) with ordinality as n (lane_id, event_id, type, nth)
         join outbox_targets t on t.id = n.lane_id and t.is_enabled
         -- All rows get the same time, so they are sent in the order of ids.
         cross join (select clock_timestamp() as at) now
         order by n.nth",
    )
    .bind(entries.iter().map(|entry| entry.lane).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.event).collect::<Vec<_>>())
    .bind(entries.iter().map(|entry| entry.kind.as_str()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(result.rows_affected())
}

/// Creates a lane.
pub(crate) async fn create_lane(tx: &mut PgConnection) -> Result<LaneId> {
    Ok(sqlx::query_scalar("insert into outbox_lanes default values returning id").fetch_one(tx).await?)
}

/// Makes the lanes of a bridge due at once, although they may be paused.
pub(crate) async fn wake_bridge(tx: &mut PgConnection, bridge: BridgeId) -> Result<()> {
    sqlx::query(
        "select from outbox_lanes where id in (select id from bridge_chats where bridge_id = $1)
         order by id for no key update",
    )
    .bind(bridge)
    .execute(&mut *tx)
    .await?;
    sqlx::query(
        "update outbox_lanes set due_at = now(), paused_until = null
         where due_at is not null and id in (select id from bridge_chats where bridge_id = $1)",
    )
    .bind(bridge)
    .execute(&mut *tx)
    .await?;
    sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(tx).await?;
    Ok(())
}

/// Locks a lane, as each transaction does that changes its entries.
pub(crate) async fn lock_lane(tx: &mut PgConnection, lane: impl Into<LaneId>) -> Result<()> {
    sqlx::query("select from outbox_lanes where id = $1 for no key update").bind(lane.into()).execute(tx).await?;
    Ok(())
}

/// Makes a lane due at once, although it may be paused. The caller has locked the lane.
pub(crate) async fn wake(tx: &mut PgConnection, lane: impl Into<LaneId>) -> Result<()> {
    sqlx::query("update outbox_lanes set due_at = now(), paused_until = null where id = $1")
        .bind(lane.into())
        .execute(&mut *tx)
        .await?;
    sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(tx).await?;
    Ok(())
}

/// Counts the waiting entries of a lane, up to [`MAX_WAITING`].
pub(crate) async fn count_waiting(db: impl PgExecutor<'_>, lane: impl Into<LaneId>) -> Result<i64> {
    let sql = "select count(*) from (select from outbox where lane_id = $1 and state = 'waiting' limit $2) o";
    Ok(sqlx::query_scalar(sql).bind(lane.into()).bind(MAX_WAITING).fetch_one(db).await?)
}

/// Marks the waiting entries of a lane as dead, because its endpoint is disabled.
pub(crate) async fn mark_waiting_dead(db: impl PgExecutor<'_>, lane: impl Into<LaneId>) -> Result<()> {
    sqlx::query(
        "update outbox set state = 'dead', settled_at = clock_timestamp(), error = 'the endpoint was disabled'
         where lane_id = $1 and state = 'waiting'",
    )
    .bind(lane.into())
    .execute(db)
    .await?;
    Ok(())
}
