//! The notify servers that run over one database, and which of them leads: for
//! efficiency only. Two that lead at once, or none, cost time and nothing else.

use crate::Result;
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// How often a replica says that it lives.
pub const HEARTBEAT_INTERVAL: Duration = Duration::from_millis(400);

/// How long one word of it holds. The next leader is found within this and one
/// beat: 1.6 seconds.
pub const LEASE: Duration = Duration::from_millis(1_200);

/// What a replica learns when it says that it lives.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct HeartbeatStatus {
    /// Who leads.
    pub leader: Uuid,
    /// Whether the database had not heard of it, or no longer.
    pub is_first: bool,
}

/// Says that a replica lives, and where.
pub async fn heartbeat(db: &PgPool, replica: Uuid, name: &str) -> Result<HeartbeatStatus> {
    let query = sqlx::query_as("select * from heartbeat($1, $2, $3)").bind(replica).bind(name).bind(LEASE);
    Ok(query.fetch_one(db).await?)
}

/// The name of the one that leads, if one does.
pub async fn find_leader(db: &PgPool) -> Result<Option<String>> {
    let query =
        "select name from replicas where heartbeat_at >= clock_timestamp() - $1 order by started_at, id limit 1";
    Ok(sqlx::query_scalar(query).bind(LEASE).fetch_optional(db).await?)
}

/// Hands over to another. Those connected here count as connected for the usual
/// grace, in which they come back elsewhere.
pub async fn step_down(db: &PgPool, replica: Uuid) -> Result<()> {
    sqlx::query("update replicas set started_at = 'infinity' where id = $1").bind(replica).execute(db).await?;
    Ok(())
}
