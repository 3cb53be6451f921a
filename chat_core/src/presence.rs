//! Presence: which users are connected, and the status that others see.

use crate::{
    ChatId, Error, Result, UserId,
    ephemeral::{EphemeralBus, EphemeralEvent, Presence, Status},
};
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;
use uuid::Uuid;

/// How long a user may be disconnected before others see it: long enough to reload
/// a page or to replace a replica.
pub const GRACE_PERIOD: Duration = Duration::from_secs(10);

/// Presence changes are sent to the members of chats up to this size; in larger chats
/// clients request the presence. Otherwise a thousand users who connect to one chat
/// would cause a million deliveries.
pub const MAX_PRESENCE_FANOUT: i64 = 200;

/// Returns the presence of one user, for a viewer who may see it.
pub async fn get(db: &PgPool, viewer: UserId, user_id: UserId) -> Result<Presence> {
    visible_to(db, viewer, &[user_id]).await?.pop().ok_or(Error::NotFound("user"))
}

/// Returns the presence of the given users who share a chat with the viewer. A user who has
/// blocked the viewer, or the owner of a bot, looks like one who was never online.
pub async fn visible_to(db: impl PgExecutor<'_>, viewer: UserId, user_ids: &[UserId]) -> Result<Vec<Presence>> {
    Ok(sqlx::query_as(
        "with blocked as (
             select $1::bigint as id union all select owner_id from users where id = $1 and owner_id is not null
         )
         select * from presence_of(array(
             select other.user_id from chat_members own join chat_members other using (chat_id)
             where own.user_id = $1 and other.user_id = any($2)
               and not exists (
                   select from blocks b join blocked on blocked.id = b.blocked_id where b.blocker_id = other.user_id
               )
             union
             select $1 where $1 = any($2)
         ))
         union
         select b.blocker_id, 'offline', null from blocks b join blocked on blocked.id = b.blocked_id
         where b.blocker_id = any($2) and exists (
             select from chat_members own join chat_members other using (chat_id)
             where own.user_id = $1 and other.user_id = b.blocker_id
         )
         order by user_id",
    )
    .bind(viewer)
    .bind(user_ids)
    .fetch_all(db)
    .await?)
}

/// Returns the presence of some users, for any viewer.
pub async fn load(db: impl PgExecutor<'_>, user_ids: &[UserId]) -> Result<Vec<Presence>> {
    Ok(sqlx::query_as("select * from presence_of($1)").bind(user_ids).fetch_all(db).await?)
}

/// Sets the status that others see while the user is connected, and sends it to the
/// users who share a chat with the user. If the user is not connected, the status is
/// sent when the user connects.
pub async fn set_status(db: &PgPool, ephemeral: &EphemeralBus, user_id: UserId, status: Status) -> Result<Presence> {
    sqlx::query(
        "insert into presences as p (user_id, status, last_seen) values ($1, $2, clock_timestamp())
         on conflict (user_id) do update set
             status = excluded.status,
             last_seen = case excluded.status when 'offline' then excluded.last_seen else p.last_seen end",
    )
    .bind(user_id)
    .bind(status)
    .execute(db)
    .await?;
    let presence = get(db, user_id, user_id).await?;
    if status == Status::Offline || presence.status != Status::Offline {
        ephemeral.publish(&[EphemeralEvent::Presence(presence.clone())]).await;
    }
    Ok(presence)
}

/// Sends the presence of a user to one viewer, after a block has changed what the viewer sees.
/// An event that cannot be sent is dropped.
pub async fn send_to(db: &PgPool, ephemeral: &EphemeralBus, viewer: UserId, user_id: UserId) {
    match visible_to(db, viewer, &[user_id]).await {
        Ok(visible) => {
            let events =
                visible.into_iter().map(|presence| EphemeralEvent::PresenceFor { recipient: viewer, presence });
            ephemeral.publish(&events.collect::<Vec<_>>()).await;
        }
        Err(error) => tracing::debug!(%error, "cannot send a presence after a block"),
    }
}

/// Records that users connected to a replica, and returns those who came online.
pub async fn mark_connected(db: &PgPool, replica: Uuid, user_ids: &[UserId]) -> Result<Vec<Presence>> {
    let online_user_ids: Vec<UserId> =
        sqlx::query_scalar("select mark_connected($1, $2)").bind(replica).bind(user_ids).fetch_all(db).await?;
    load(db, &online_user_ids).await
}

/// Records that users left a replica one `GRACE_PERIOD` ago, and returns those who
/// went offline.
pub async fn mark_disconnected(db: &PgPool, replica: Uuid, user_ids: &[UserId]) -> Result<Vec<Presence>> {
    let offline_user_ids: Vec<UserId> = sqlx::query_scalar("select mark_disconnected($1, $2, $3)")
        .bind(replica)
        .bind(user_ids)
        .bind(GRACE_PERIOD)
        .fetch_all(db)
        .await?;
    load(db, &offline_user_ids).await
}

/// Removes replicas that stopped their heartbeat, and returns the users who went
/// offline with them.
pub async fn reap_replicas(db: &PgPool) -> Result<Vec<Presence>> {
    let offline_user_ids: Vec<UserId> =
        sqlx::query_scalar("select reap_replicas($1)").bind(GRACE_PERIOD).fetch_all(db).await?;
    load(db, &offline_user_ids).await
}

/// Returns the chats whose members receive the presence of these users.
pub async fn memberships(db: &PgPool, user_ids: &[UserId]) -> Result<Vec<(UserId, ChatId)>> {
    Ok(sqlx::query_as(
        "with own as materialized (
             select user_id, chat_id from chat_members where user_id = any($1)
         ), small as (
             select chat_id from (select distinct chat_id from own) chat
             where (select count(*) from (select from chat_members m where m.chat_id = chat.chat_id limit $2 + 1) m) <= $2
         )
         select user_id, chat_id from own join small using (chat_id)",
    )
    .bind(user_ids)
    .bind(MAX_PRESENCE_FANOUT)
    .fetch_all(db)
    .await?)
}
