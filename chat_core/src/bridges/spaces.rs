//! Spaces of Google Chat: their people, and the reading of their events.
//!
//! A webhook of Google only announces that something happened: what happened is read from the list of
//! events of the space, in order and from where the last read ended. So nothing is lost while the server is
//! down, and a server that no webhook reaches still relays, a little later.

use super::{
    BridgeAccount, BridgeChat, BridgeProfile, Hears, Network, RemoteSpace,
    chats::{create_ghost, find_by_key},
    inbox, load_bridge_accounts,
};
use crate::{
    BridgeChatId, BridgeId, Error, Result, UserId, events, members,
    users::{self, ProfileChange},
    values::DisplayName,
};
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// The NOTIFY channel that announces that the events of a space are to be read.
pub const CHANNEL: &str = "bridge_spaces";

/// Maximum number of people of a space who have a ghost of their own. The messages of others come
/// from the ghost of the space, with their name.
const MAX_GHOSTS: i64 = 200;

/// How long a process may read the events of a space.
const READ_LEASE_SECONDS: f64 = 90.0;

/// The shortest and the longest time between two reads without a webhook, in seconds. In between, the
/// time grows with how long the space has been silent.
const MIN_INTERVAL_SECONDS: f64 = 5.0;
const MAX_INTERVAL_SECONDS: f64 = 60.0;
const SILENCE_DIVISOR: f64 = 20.0;

/// The time between two reads of a space in which the app hears only what is addressed to it, in
/// seconds: an administrator may have approved more.
const MENTIONS_INTERVAL_SECONDS: f64 = 900.0;

/// How much of what was read before is read again: an event can become visible later than one with
/// a later time. Those that are known are ignored.
const OVERLAP: TimeDelta = TimeDelta::seconds(30);

/// For how long Google keeps events.
const MAX_AGE: TimeDelta = TimeDelta::days(27);

/// Finds the chat of a space.
pub async fn find(db: impl PgExecutor<'_>, bridge: BridgeId, space: &str) -> Result<Option<BridgeChat>> {
    find_by_key(db, bridge, space).await
}

/// The sender of a message of a space: a ghost, and the name to show if the ghost is that of the
/// space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceSender {
    /// The ghost.
    pub ghost_id: UserId,
    /// The name that the message shows instead of the ghost's.
    pub author: Option<String>,
}

/// Returns the ghost of a person of a space. Creates it for a new one, and records a new name.
pub async fn find_or_create_sender(
    db: &PgPool,
    bridge: &BridgeAccount,
    chat: &BridgeChat,
    user_key: &str,
    name: Option<&str>,
) -> Result<SpaceSender> {
    if !chat.is_space {
        return Ok(SpaceSender { ghost_id: chat.ghost_id, author: None });
    }
    let name = name.and_then(clean_name);
    if let Some((ghost_id, known)) = find_ghost(db, chat.id, user_key).await?
        && name.as_ref().is_none_or(|name| name.as_str() == known)
    {
        return Ok(SpaceSender { ghost_id, author: None });
    }
    let mut log = events::begin(db, bridge.owner_id).await?;
    let ghost_id = match find_ghost(&mut *log, chat.id, user_key).await? {
        Some((ghost_id, _)) => {
            if let Some(name) = &name {
                let change = ProfileChange { display_name: Some(name), bio: None, avatar_file_id: None };
                users::change_profile(&mut log, ghost_id, &[], change).await?;
            }
            ghost_id
        }
        None => {
            let name = name.unwrap_or_else(|| {
                DisplayName::try_from(format!("{} user", Network::GoogleChat.title())).expect("a short name is valid")
            });
            if count_ghosts(&mut log, chat.id).await? >= MAX_GHOSTS {
                return Ok(SpaceSender { ghost_id: chat.ghost_id, author: Some(name.as_str().to_owned()) });
            }
            let ghost_id = create_ghost(&mut log, bridge, &name).await?;
            members::add_member(&mut log, chat.chat_id, ghost_id).await?;
            sqlx::query(
                "insert into bridge_ghosts (ghost_id, bridge_chat_id, chat_id, remote_user_key) values ($1, $2, $3, $4)",
            )
            .bind(ghost_id)
            .bind(chat.id)
            .bind(chat.chat_id)
            .bind(user_key)
            .execute(&mut *log)
            .await?;
            ghost_id
        }
    };
    log.commit().await?;
    Ok(SpaceSender { ghost_id, author: None })
}

fn clean_name(name: &str) -> Option<DisplayName> {
    super::chats::clean_name(name).and_then(|name| DisplayName::try_from(name).ok())
}

/// Finds the ghost of a person, with its name.
async fn find_ghost(db: impl PgExecutor<'_>, chat: BridgeChatId, user_key: &str) -> Result<Option<(UserId, String)>> {
    let sql = "select u.id, u.display_name from bridge_ghosts g join users u on u.id = g.ghost_id
               where g.bridge_chat_id = $1 and g.remote_user_key = $2";
    Ok(sqlx::query_as(sql).bind(chat).bind(user_key).fetch_optional(db).await?)
}

/// Whether a person of a space has a ghost, so that the name is known.
pub async fn has_ghost(db: impl PgExecutor<'_>, chat: BridgeChatId, user_key: &str) -> Result<bool> {
    Ok(find_ghost(db, chat, user_key).await?.is_some())
}

async fn count_ghosts(log: &mut PgConnection, chat: BridgeChatId) -> Result<i64> {
    let sql = "select count(*) from bridge_ghosts where bridge_chat_id = $1";
    Ok(sqlx::query_scalar(sql).bind(chat).fetch_one(log).await?)
}

/// Finds a space among those to which the app of a bridge was added, as its last check found them.
pub(super) async fn find_remote(db: impl PgExecutor<'_>, bridge: BridgeId, space: &str) -> Result<RemoteSpace> {
    let profile: Option<Option<Json<BridgeProfile>>> =
        sqlx::query_scalar("select profile from bridges where id = $1").bind(bridge).fetch_optional(db).await?;
    let spaces = profile.flatten().map(|Json(profile)| profile.spaces).unwrap_or_default();
    let found = spaces.into_iter().find(|one| one.name == space);
    found.ok_or_else(|| Error::invalid("space", "the app was not added to this space; add it there first"))
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
/// the app hears only what is addressed to it, there is nothing to read.
pub async fn request_read(db: &PgPool, chat: BridgeChatId, since: DateTime<Utc>) -> Result<()> {
    let requested = sqlx::query(
        "update bridge_chats
         set events_start_at = coalesce(events_start_at, $2), events_read_until = coalesce(events_read_until, $2),
             events_due_at = now()
         where id = $1 and hears is distinct from 'mentions'",
    )
    .bind(chat)
    .bind(since)
    .execute(db)
    .await?;
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
    /// What the app heard at the last read.
    pub hears: Option<Hears>,
    lease_until: DateTime<Utc>,
}

#[derive(sqlx::FromRow)]
struct ReadRow {
    id: BridgeChatId,
    bridge_id: BridgeId,
    remote_key: String,
    events_start_at: DateTime<Utc>,
    events_read_until: DateTime<Utc>,
    hears: Option<Hears>,
    events_leased_until: DateTime<Utc>,
}

/// Claims a space whose events are due. `None` if there is none.
pub async fn claim_read(db: &PgPool) -> Result<Option<SpaceRead>> {
    let row: Option<ReadRow> = sqlx::query_as(
        "with due as materialized (
             select c.id from bridge_chats c
             join bridges b on b.id = c.bridge_id and b.state = 'connected'
             join users u on u.id = b.owner_id and u.state = 'active'
             where c.events_due_at <= now() and (c.events_leased_until is null or c.events_leased_until < now())
               -- One space of each owner at a time.
               and not exists (
                   select from bridge_chats o join bridges ob on ob.id = o.bridge_id
                   where ob.owner_id = b.owner_id and o.events_leased_until > now()
               )
             order by c.events_due_at limit 1 for no key update of c skip locked
         )
         update bridge_chats c set events_leased_until = now() + make_interval(secs => $1)
         from due where c.id = due.id
         returning c.id, c.bridge_id, c.remote_key, c.events_start_at, c.events_read_until, c.hears,
                   c.events_leased_until",
    )
    .bind(READ_LEASE_SECONDS)
    .fetch_optional(db)
    .await?;
    let Some(row) = row else { return Ok(None) };
    let Some(account) = load_bridge_accounts(db, &[row.bridge_id]).await?.pop() else { return Ok(None) };
    let oldest = crate::time::now() - MAX_AGE;
    if row.events_read_until < oldest {
        tracing::warn!(bridge = %account.id, space = row.remote_key, since = %row.events_read_until,
                       "Google no longer keeps all events since the last read; some messages are missing");
    }
    Ok(Some(SpaceRead {
        chat: row.id,
        account,
        space: row.remote_key,
        since: (row.events_read_until - OVERLAP).max(row.events_start_at).max(oldest),
        hears: row.hears,
        lease_until: row.events_leased_until,
    }))
}

/// An event of a space.
#[derive(Debug, Clone)]
pub struct SpaceEvent {
    /// Its name at Google, which is unique.
    pub name: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// It, as Google described it.
    pub body: Vec<u8>,
}

/// What a read brought.
#[derive(Debug)]
pub struct ReadOutcome {
    /// The events, in order.
    pub events: Vec<SpaceEvent>,
    /// What the app hears; `None` if the read failed.
    pub hears: Option<Hears>,
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
        is_new |= inbox::insert(&mut tx, bridge, Sha256::digest(event.name.as_bytes()).as_slice(), &event.body).await?;
    }
    if is_new {
        inbox::set_due(&mut tx, bridge).await?;
    }
    let last = outcome.events.iter().map(|event| event.at).max().filter(|_| has_room);
    let pause = outcome.pause.map(|pause| pause.as_secs_f64());
    sqlx::query(
        "update bridge_chats
         set events_leased_until = null, hears = coalesce($3, hears),
             events_read_until = greatest(events_read_until, $4),
             events_due_at = case
                 -- A webhook came meanwhile.
                 when events_due_at > $2::timestamptz - make_interval(secs => $5) then events_due_at
                 else clock_timestamp() + make_interval(secs => case
                     when $6::float8 is not null then $6
                     when $7 then 0
                     when $3 = 'mentions' then $8
                     else least($10, greatest($9, extract(epoch from
                         clock_timestamp() - greatest(events_read_until, $4)) / $11))
                 end)
             end
         where id = $1 and events_leased_until = $2",
    )
    .bind(read.chat)
    .bind(read.lease_until)
    .bind(outcome.hears)
    .bind(last)
    .bind(READ_LEASE_SECONDS)
    .bind(pause.or_else(|| (!has_room).then_some(MAX_INTERVAL_SECONDS)))
    .bind(outcome.has_more)
    .bind(MENTIONS_INTERVAL_SECONDS)
    .bind(MIN_INTERVAL_SECONDS)
    .bind(MAX_INTERVAL_SECONDS)
    .bind(SILENCE_DIVISOR)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(())
}

/// Records that the app was removed from a space, or added again: messages wait in between.
pub async fn set_removed(db: &PgPool, chat: BridgeChatId, is_removed: bool) -> Result<()> {
    let reason = is_removed.then_some(super::PausedReason::Removed);
    super::chats::change_pause(db, chat, reason, super::PausedReason::Removed).await
}

/// Requires that a bridge leads to Google Chat.
pub(super) fn require_google_chat(account: &BridgeAccount) -> Result<()> {
    match account.network {
        Network::GoogleChat => Ok(()),
        Network::Whatsapp => Err(Error::invalid("space", "a bridge to WhatsApp connects phone numbers")),
    }
}
