//! Limits what waits, and deletes what is no longer needed.

use super::{MAX_WAITING, State};
use crate::{BridgeId, EndpointId, Result};
use sqlx::{PgConnection, PgExecutor, PgPool, Postgres, Transaction};
use std::time::{Duration, Instant};

/// How long delivered entries are kept, in hours.
const DELIVERED_HOURS: i32 = 24;

/// How long dead entries are kept, in days.
const DEAD_DAYS: i32 = 14;

/// Maximum number of entries that one statement deletes.
const BATCH: i64 = 5_000;

/// Maximum time that one run deletes entries; the next run continues.
const DELETE_TIME_BUDGET: Duration = Duration::from_secs(20);

/// Returns the endpoints and the bridges that are enabled, and have a lane with more than
/// [`MAX_WAITING`] waiting entries. One of the two is set.
pub async fn list_overfull(db: impl PgExecutor<'_>) -> Result<Vec<(Option<EndpointId>, Option<BridgeId>)>> {
    let sql = "select e.id, c.bridge_id
               from outbox o
               join outbox_targets t on t.id = o.lane_id and t.is_enabled
               left join webhook_endpoints e on e.id = o.lane_id
               left join bridge_chats c on c.id = o.lane_id
               where o.state = 'waiting' group by o.lane_id, e.id, c.bridge_id having count(*) > $1";
    Ok(sqlx::query_as(sql).bind(MAX_WAITING).fetch_all(db).await?)
}

/// Takes the right to clean up until the transaction is dropped. `None` if another process has it.
pub async fn lock_clean_up(db: &PgPool) -> Result<Option<Transaction<'static, Postgres>>> {
    let mut tx = db.begin_with("begin; set local idle_in_transaction_session_timeout = 0").await?;
    let is_locked: bool =
        sqlx::query_scalar("select pg_try_advisory_xact_lock(4861703374919)").fetch_one(&mut *tx).await?;
    Ok(is_locked.then_some(tx))
}

/// Deletes a batch of what deleted endpoints and connected chats left: entries, relayed messages,
/// and then their lanes. Returns how many rows were deleted.
pub async fn purge_deleted(db: &PgPool) -> Result<u64> {
    let mut deleted = 0;
    for sql in [
        "delete from outbox where id in (
             select o.id from outbox_lanes l join outbox o on o.lane_id = l.id
             where not exists (select from outbox_targets t where t.id = l.id) limit $1
         )",
        "delete from bridge_messages where id in (
             select m.id from outbox_lanes l join bridge_messages m on m.lane_id = l.id
             where not exists (select from outbox_targets t where t.id = l.id) limit $1
         )",
        "delete from bridge_inbox where id in (
             select i.id from bridge_inbox i
             where not exists (select from bridges b where b.id = i.bridge_id) limit $1
         )",
    ] {
        deleted += sqlx::query(sql).bind(BATCH).execute(db).await?.rows_affected();
    }
    if deleted == 0 {
        sqlx::query(
            "delete from outbox_lanes l
             where not exists (select from outbox_targets t where t.id = l.id)
               and not exists (select from outbox o where o.lane_id = l.id)
               and not exists (select from bridge_messages m where m.lane_id = l.id)",
        )
        .execute(db)
        .await?;
    }
    Ok(deleted)
}

/// Deletes entries that were settled some time ago, and returns how many.
pub(crate) async fn delete_old(db: &mut PgConnection) -> Result<u64> {
    let (started_at, mut total) = (Instant::now(), 0);
    for (state, hours) in [(State::Delivered, DELIVERED_HOURS), (State::Dead, DEAD_DAYS * 24)] {
        while started_at.elapsed() < DELETE_TIME_BUDGET {
            let deleted = sqlx::query(
                "delete from outbox where id in (
                     select id from outbox
                     where state = $1 and settled_at < now() - make_interval(hours => $2)
                     order by settled_at limit $3
                     -- One that is sent again at this moment stays.
                     for update skip locked
                 )",
            )
            .bind(state)
            .bind(hours)
            .bind(BATCH)
            .execute(&mut *db)
            .await?
            .rows_affected();
            total += deleted;
            if deleted < BATCH as u64 {
                break;
            }
        }
    }
    Ok(total)
}
