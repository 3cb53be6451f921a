//! The failed deliveries of a bridge: their list, and another attempt.

use super::{FailedDelivery, find_owned};
use crate::{BridgeChatId, BridgeId, DeliveryId, Error, Result, UserId, outbox};
use sqlx::{PgConnection, PgPool};

/// Lists the failed deliveries of a bridge, newest first, with lower ids than `before`.
pub async fn list(
    db: &mut PgConnection,
    owner: UserId,
    bridge: BridgeId,
    before: Option<DeliveryId>,
    limit: i64,
) -> Result<Vec<FailedDelivery>> {
    find_owned(&mut *db, owner, bridge).await?;
    Ok(sqlx::query_as(
        // The network can also refuse a message that it has accepted before.
        "select o.id, c.chat_id, m.message_id, o.type as event_type, o.settled_at, coalesce(m.error, o.error) as error
         from bridge_chats c
         cross join lateral (
             (select * from outbox o
              where o.lane_id = c.id and o.state = 'dead' and ($2::bigint is null or o.id < $2)
              order by o.id desc limit $3)
             union all
             (select o.* from bridge_messages r join outbox o on o.id = r.delivery_id and o.state = 'delivered'
              where r.lane_id = c.id and r.state = 'failed' and ($2::bigint is null or o.id < $2)
              order by r.id desc limit $3)
         ) o
         left join lateral (
             select r.message_id, r.error from bridge_messages r
             where r.delivery_id = o.id order by r.state <> 'failed', r.part limit 1
         ) m on true
         where c.bridge_id = $1 order by o.id desc limit $3",
    )
    .bind(bridge)
    .bind(before)
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// Sends a failed delivery again, before all others that wait.
pub async fn retry(db: &PgPool, owner: UserId, bridge: BridgeId, id: DeliveryId) -> Result<()> {
    find_owned(db, owner, bridge).await?;
    let lane: Option<BridgeChatId> = sqlx::query_scalar(
        "select c.id from outbox o join bridge_chats c on c.id = o.lane_id and c.bridge_id = $1
         where o.id = $2 and (o.state = 'dead' or exists (
             select from bridge_messages r where r.delivery_id = o.id and r.state = 'failed'
         ))",
    )
    .bind(bridge)
    .bind(id)
    .fetch_optional(db)
    .await?;
    let lane = lane.ok_or(Error::NotFound("delivery"))?;
    let mut tx = db.begin().await?;
    outbox::lock_lane(&mut tx, lane).await?;
    // The parts that arrived are not sent again.
    sqlx::query("delete from bridge_messages where lane_id = $1 and delivery_id = $2 and state = 'failed'")
        .bind(lane)
        .bind(id)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "update outbox set state = 'waiting', settled_at = null, attempts = 0, due_at = to_timestamp(0)
         where id = $1 and state <> 'waiting'",
    )
    .bind(id)
    .execute(&mut *tx)
    .await?;
    outbox::wake(&mut tx, lane).await?;
    tx.commit().await?;
    Ok(())
}
