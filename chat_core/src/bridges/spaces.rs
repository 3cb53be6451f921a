//! Spaces of Google Chat: which are known, and the reading of their events.
//!
//! A webhook of Google only announces that something happened: what happened is read from the list of
//! events of the space, in order and from where the last read ended. So nothing is lost while the server is
//! down, and a server that no webhook reaches still relays, a little later.

use super::{
    BridgeAccount, BridgeChat, BridgeProfile, EventAccess, RemoteSpace, chats::find_by_key, inbox, load_bridge_accounts,
};
use crate::{BridgeChatId, BridgeId, Error, Result};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// The NOTIFY channel that announces that the events of a space are to be read.
pub const CHANNEL: &str = "bridge_spaces";

/// How long a process may read the events of a space.
const READ_LEASE_SECONDS: f64 = 90.0;

/// The shortest and the longest time between two reads without a webhook, in seconds. In between, the
/// time grows with how long the space has been silent.
const MIN_INTERVAL_SECONDS: f64 = 5.0;
const MAX_INTERVAL_SECONDS: f64 = 300.0;
const SILENCE_DIVISOR: f64 = 100.0;

/// Maximum number of spaces of one person that are read at once.
const READS_PER_OWNER: i64 = 4;

/// The longest pause that Google can ask for, in seconds.
const MAX_PAUSE_SECONDS: f64 = 3600.0;

/// A time of due reads that webhooks have announced: before all others, in order.
const ANNOUNCED: &str = "clock_timestamp() - interval '18000 days'";

/// The time between two reads of a space in which the app may read only what is addressed to it, in
/// seconds: an administrator may have approved more.
const MENTIONS_INTERVAL_SECONDS: f64 = 900.0;

/// How long before a space is connected its events are read: clocks differ.
pub const START_MARGIN: TimeDelta = TimeDelta::seconds(5);

/// How much of what was read before is read again, in seconds: an event can become visible later than one
/// with a later time. Those that are known are ignored.
const OVERLAP_SECONDS: f64 = 30.0;

/// For how many days events are read: a day less than Google keeps them.
const KEPT_DAYS: i32 = 27;

/// Finds the chat of a space.
pub async fn find(db: impl PgExecutor<'_>, bridge: BridgeId, space: &str) -> Result<Option<BridgeChat>> {
    find_by_key(db, bridge, space).await
}

/// Finds a space among those to which the app of a bridge was added, as its last check found them.
pub(super) async fn find_remote(db: impl PgExecutor<'_>, bridge: BridgeId, space: &str) -> Result<RemoteSpace> {
    let profile: Option<Option<Json<BridgeProfile>>> =
        sqlx::query_scalar("select profile from bridges where id = $1").bind(bridge).fetch_optional(db).await?;
    let spaces = profile.flatten().map(|Json(profile)| profile.spaces).unwrap_or_default();
    let found = spaces.into_iter().find(|one| one.name == space);
    found.ok_or_else(|| {
        Error::invalid("space", "the app is not known to be in this space; add it there, or wait a minute")
    })
}

/// Starts to read the events of a space that was connected.
pub(super) async fn start_reading(log: &mut PgConnection, chat: BridgeChatId, since: DateTime<Utc>) -> Result<()> {
    sqlx::query(
        "update bridge_chats set events_start_at = $2, events_read_until = $2, events_due_at = now()
         where id = $1 and events_start_at is null",
    )
    .bind(chat)
    .bind(since)
    .execute(&mut *log)
    .await?;
    notify_reader(log).await
}

async fn notify_reader(db: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(db).await?;
    Ok(())
}

/// Makes the events of a space due now. They are read from `since` on if they were not read yet. Where
/// the app may read only what is addressed to it, there is nothing to read.
pub async fn request_read(db: &PgPool, chat: BridgeChatId, since: DateTime<Utc>) -> Result<()> {
    let sql = format!(
        "update bridge_chats
         set events_start_at = coalesce(events_start_at, $2), events_read_until = coalesce(events_read_until, $2),
             events_due_at = {ANNOUNCED}
         where id = $1 and event_access is distinct from 'mentions'"
    );
    let requested = sqlx::query(sqlx::AssertSqlSafe(sql)).bind(chat).bind(since).execute(db).await?;
    if requested.rows_affected() > 0 {
        notify_reader(db).await?;
    }
    Ok(())
}

/// The right to read the events of a space, for a while.
#[derive(Debug, Clone)]
pub struct SpaceRead {
    /// The connected chat.
    pub chat: BridgeChatId,
    /// The account.
    pub account: BridgeAccount,
    /// The space.
    pub space: String,
    /// Events after this time are to be read.
    pub since: DateTime<Utc>,
    /// What the app could read at the last read.
    pub event_access: Option<EventAccess>,
    lease_until: DateTime<Utc>,
    due_at: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct ReadRow {
    id: BridgeChatId,
    bridge_id: BridgeId,
    remote_key: String,
    events_start_at: DateTime<Utc>,
    events_read_until: DateTime<Utc>,
    event_access: Option<EventAccess>,
    events_leased_until: DateTime<Utc>,
    events_due_at: DateTime<Utc>,
    events_missed: bool,
}

/// Claims a space whose events are due. `None` if there is none.
pub async fn claim_read(db: &PgPool) -> Result<Option<SpaceRead>> {
    let row: Option<ReadRow> = sqlx::query_as(
        "with busy as materialized (
             select b.owner_id from bridge_chats o join bridges b on b.id = o.bridge_id
             where o.events_leased_until > now() group by b.owner_id having count(*) >= $3
         ), due as materialized (
             select c.id from bridge_chats c
             join bridges b on b.id = c.bridge_id and b.state = 'connected'
             join users u on u.id = b.owner_id and u.state = 'active'
             where c.events_due_at <= now() and (c.events_leased_until is null or c.events_leased_until < now())
               and (c.events_paused_until is null or c.events_paused_until < now())
               and not exists (select from busy where busy.owner_id = b.owner_id)
             order by c.events_due_at limit 1 for no key update of c skip locked
         )
         update bridge_chats c set events_leased_until = now() + make_interval(secs => $1)
         from due where c.id = due.id
         returning c.id, c.bridge_id, c.remote_key, c.events_start_at, c.events_read_until, c.event_access,
                   c.events_leased_until, c.events_due_at, c.events_read_until < now() - make_interval(days => $2) as events_missed",
    )
    .bind(READ_LEASE_SECONDS)
    .bind(KEPT_DAYS)
    .bind(READS_PER_OWNER)
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(account) = load_bridge_accounts(db, &[row.bridge_id]).await?.pop() else { return Ok(None) };
    let oldest = crate::time::now() - TimeDelta::days(KEPT_DAYS.into());
    if row.events_missed && row.event_access != Some(EventAccess::Mentions) {
        tracing::warn!(bridge = %account.id, space = row.remote_key, since = %row.events_read_until,
                       "Google no longer keeps all events since the last read; some messages are missing");
    }
    Ok(Some(SpaceRead {
        chat: row.id,
        account,
        space: row.remote_key,
        since: row.events_read_until.max(row.events_start_at).max(oldest),
        event_access: row.event_access,
        lease_until: row.events_leased_until,
        due_at: row.events_due_at,
    }))
}

/// An event of a space.
#[derive(Debug, Clone)]
pub struct SpaceEvent {
    /// Its name at Google, which is unique.
    pub name: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// The event as Google returned it, in JSON.
    pub body: Vec<u8>,
}

/// The result of a read.
#[derive(Debug)]
pub struct ReadOutcome {
    /// The events, in order.
    pub events: Vec<SpaceEvent>,
    /// Which events the app may read; `None` if the read failed.
    pub event_access: Option<EventAccess>,
    /// The pause after a read that failed.
    pub pause: Option<std::time::Duration>,
    /// Whether there are more events.
    pub has_more: bool,
}

/// Stores the events of a read, together with the position that it reached, and releases the space.
pub async fn finish_read(db: &PgPool, read: &SpaceRead, outcome: &ReadOutcome) -> Result<()> {
    let bridge = read.account.id;
    let mut tx = db.begin().await?;
    // Before the connected chat, as `inbox::receive` does.
    let has_room = outcome.events.is_empty() || inbox::lock_with_room(&mut tx, bridge).await.is_ok();
    let mut is_new = false;
    for event in outcome.events.iter().filter(|_| has_room) {
        is_new |= inbox::insert(
            &mut tx,
            bridge,
            Some(&read.space),
            Sha256::digest(event.name.as_bytes()).as_slice(),
            &event.body,
        )
        .await?;
    }
    if is_new {
        inbox::set_due(&mut tx, bridge).await?;
    }
    let last = outcome.events.iter().map(|event| event.at).max().filter(|_| has_room);
    let is_complete = outcome.pause.is_none()
        && !outcome.has_more
        && has_room
        && matches!(outcome.event_access, Some(EventAccess::Everything | EventAccess::Messages));
    let pause = outcome.pause.map(|pause| pause.as_secs_f64().min(MAX_PAUSE_SECONDS));
    sqlx::query(
        "update bridge_chats
         set events_leased_until = null, event_access = coalesce($3, event_access),
             events_paused_until = clock_timestamp() + make_interval(secs => $6),
             events_last_at = greatest(events_last_at, $4),
             -- A read without an error brought everything up to when it began; of an event that became
             -- visible later the time is a little earlier.
             events_read_until = greatest(events_read_until, case
                 when $12 then $2::timestamptz - make_interval(secs => $5) - make_interval(secs => $13)
                 -- A read that brought nothing does not move the position.
                 when $4::timestamptz is null then events_read_until
                 -- Of what the read did not reach, something may become visible with an earlier time.
                 else least($4, $2::timestamptz - make_interval(secs => $5) - make_interval(secs => $13))
             end),
             events_due_at = case
                 -- A webhook came meanwhile.
                 when events_due_at <> $14 then events_due_at
                 else clock_timestamp() + make_interval(secs => case
                     when $6::float8 is not null then $6
                     when $7 then case when least(
                             $4, $2::timestamptz - make_interval(secs => $5) - make_interval(secs => $13)
                         ) > events_read_until then 0 else $9 end
                     when $3 = 'mentions' then $8
                     else least($10, greatest($9, extract(epoch from
                         clock_timestamp() - greatest(events_last_at, events_start_at, $4)) / $11))
                 end)
             end
         where id = $1 and events_leased_until = $2",
    )
    .bind(read.chat)
    .bind(read.lease_until)
    .bind(outcome.event_access)
    .bind(last)
    .bind(READ_LEASE_SECONDS)
    .bind(pause.or_else(|| (!has_room).then_some(MAX_INTERVAL_SECONDS)))
    .bind(outcome.has_more)
    .bind(MENTIONS_INTERVAL_SECONDS)
    .bind(MIN_INTERVAL_SECONDS)
    .bind(MAX_INTERVAL_SECONDS)
    .bind(SILENCE_DIVISOR)
    .bind(is_complete)
    .bind(OVERLAP_SECONDS)
    .bind(read.due_at)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    // Another space may be read now.
    notify_reader(db).await
}

/// Records that the app was removed from a space: messages wait.
pub async fn set_removed(db: &PgPool, chat: BridgeChatId) -> Result<()> {
    super::chats::pause_by_server(db, chat, super::PausedReason::Removed).await
}

/// Records that the app was added to a space, maybe again: what waits is sent, and what the app may read
/// is determined again.
pub async fn set_added(db: &PgPool, chat: BridgeChatId) -> Result<()> {
    let sql = "update bridge_chats set event_access = null where id = $1 and event_access = 'mentions'";
    sqlx::query(sql).bind(chat).execute(db).await?;
    super::chats::end_pause(db, chat, super::PausedReason::Removed).await
}
