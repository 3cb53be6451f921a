//! The notify server replicas of one database and their leader, which exists for
//! efficiency only. Two leaders at once, or none, cause delays and nothing else.

use crate::Result;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// How often a replica sends a heartbeat.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(400);

/// How long a heartbeat is valid. The next leader takes over within this time plus
/// one heartbeat interval: 1.6 seconds.
pub const LEASE: Duration = Duration::from_millis(1_200);

/// The database's reply to a heartbeat.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct HeartbeatStatus {
    /// The leader.
    pub leader: Uuid,
    /// Whether the database did not know the replica, or no longer did.
    pub is_first: bool,
}

/// Sends the heartbeat of a replica, with its name.
pub async fn heartbeat(db: &PgPool, replica: Uuid, name: &str) -> Result<HeartbeatStatus> {
    let query = sqlx::query_as("select * from heartbeat($1, $2, $3)").bind(replica).bind(name).bind(LEASE);
    Ok(query.fetch_one(db).await?)
}

/// Returns the name of the leader, if there is one.
pub async fn find_leader(db: &PgPool) -> Result<Option<String>> {
    let query =
        "select name from replicas where heartbeat_at >= clock_timestamp() - $1 order by started_at, id limit 1";
    Ok(sqlx::query_scalar(query).bind(LEASE).fetch_optional(db).await?)
}

/// Makes another replica the leader. Users connected here still count as connected for
/// the usual grace period, in which they reconnect to another replica.
pub async fn step_down(db: &PgPool, replica: Uuid) -> Result<()> {
    sqlx::query("update replicas set started_at = 'infinity' where id = $1").bind(replica).execute(db).await?;
    Ok(())
}
