//! What is done now and then, by one process at a time: making room in the log
//! and dropping what is too old, and forgetting what nobody will ask for.

use crate::{FileId, Result};
use sqlx::{Connection, PgConnection, PgExecutor, PgPool};
use std::time::{Duration, Instant};

/// How many events one partition of the log holds.
const PARTITION_EVENTS: i64 = 10_000_000;

/// How many partitions are ready ahead of the last event: at 20,000 events a
/// second, for half an hour.
const PARTITIONS_AHEAD: i32 = 3;

/// How many messages go in one transaction, so that those who send hardly wait.
const EXPIRE_BATCH: i32 = 500;

/// How long one round lets messages expire; the next goes on.
const EXPIRE_FOR: Duration = Duration::from_secs(20);

/// How long a file may wait to be shown, in hours.
const ORPHAN_HOURS: i32 = 24;

/// So many go at once; the rest the next time.
const ORPHAN_BATCH: i64 = 1_000;

/// How long things are kept.
#[derive(Debug, Clone, Copy)]
pub struct Retention {
    /// Events, in days: how long a client can be away and still resume.
    pub log_days: i32,
    /// Messages, in days, where their chat does not say; for ever, if `None`.
    pub message_days: Option<i32>,
}

/// What a round did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// Partitions made for the log.
    pub partitions_made: i32,
    /// Partitions of the log dropped.
    pub partitions_dropped: i32,
    /// Messages that had outlived their retention.
    pub messages: i32,
    /// Sessions, tokens, tickets and invites that had ended long ago.
    pub sessions: u64,
    /// Files that no message and no picture shows; their bytes can go.
    pub blob_keys: Vec<String>,
}

/// Does a round, or nothing if another process is at it.
pub async fn round(db: &PgPool, retention: Retention) -> Result<Option<Done>> {
    // The connection is closed afterwards, which gives the lock back whatever
    // happened.
    let mut turn = db.acquire().await?.detach();
    let is_ours: bool = sqlx::query_scalar("select pg_try_advisory_lock(4861703374916)").fetch_one(&mut turn).await?;
    let done = if is_ours { Some(all(&mut turn, retention).await) } else { None };
    turn.close().await?;
    done.transpose()
}

async fn all(db: &mut PgConnection, retention: Retention) -> Result<Done> {
    // Room first: that is what cannot wait.
    let partitions_made = make_room(&mut *db).await?;
    let partitions_dropped = sqlx::query_scalar("select drop_event_partitions(now() - make_interval(days => $1))")
        .bind(retention.log_days)
        .fetch_one(&mut *db)
        .await?;
    let messages = expire(&mut *db, retention.message_days).await?;
    let sessions = forget_ended(&mut *db).await?;
    let blob_keys = forget_orphans(&mut *db).await?;
    Ok(Done { partitions_made, partitions_dropped, messages, sessions, blob_keys })
}

/// Files that no message and nobody's profile shows; answers what to delete from
/// the store. They are looked for at leisure, and looked at once more with the log
/// held: one may be sent meanwhile.
async fn forget_orphans(db: &mut PgConnection) -> Result<Vec<String>> {
    let found: Vec<FileId> = sqlx::query_scalar(
        "select f.id from files f
         where f.created_at < now() - make_interval(hours => $1)
           and not exists (select from message_files mf where mf.file_id = f.id)
           and not exists (select from users u where u.avatar_file_id = f.id)
         limit $2",
    )
    .bind(ORPHAN_HOURS)
    .bind(ORPHAN_BATCH)
    .fetch_all(&mut *db)
    .await?;
    if found.is_empty() {
        return Ok(Vec::new());
    }
    let mut log = db.begin().await?;
    sqlx::query("select append_lock()").execute(&mut *log).await?;
    let keys = sqlx::query_scalar(
        "with gone as (
             delete from files f
             where f.id = any($1)
               and not exists (select from message_files mf where mf.file_id = f.id)
               and not exists (select from users u where u.avatar_file_id = f.id)
             returning f.blob_key, f.thumbnail_key
         )
         select blob_key from gone union all select thumbnail_key from gone where thumbnail_key is not null",
    )
    .bind(found)
    .fetch_all(&mut *log)
    .await?;
    log.commit().await?;
    Ok(keys)
}

/// Makes the partitions that the log will need soon; answers how many.
pub async fn make_room(db: impl PgExecutor<'_>) -> Result<i32> {
    Ok(sqlx::query_scalar("select add_event_partitions($1, $2)")
        .bind(PARTITION_EVENTS)
        .bind(PARTITIONS_AHEAD)
        .fetch_one(db)
        .await?)
}

async fn expire(db: &mut PgConnection, server_days: Option<i32>) -> Result<i32> {
    let (begun, mut all) = (Instant::now(), 0);
    while begun.elapsed() < EXPIRE_FOR {
        let taken: i32 = sqlx::query_scalar("select expire_messages($1, $2)")
            .bind(server_days)
            .bind(EXPIRE_BATCH)
            .fetch_one(&mut *db)
            .await?;
        all += taken;
        if taken < EXPIRE_BATCH {
            break;
        }
    }
    Ok(all)
}

/// Sessions stay a while after they end, so that a stolen token that comes late
/// is still told from one that never was.
async fn forget_ended(db: &mut PgConnection) -> Result<u64> {
    let mut gone = 0;
    for sql in [
        "delete from sessions where least(revoked_at, expires_at) < now() - interval '30 days'",
        "delete from refresh_tokens where used_at < now() - interval '30 days'",
        "delete from stream_tickets where expires_at < now()",
        "delete from invites where expires_at < now() - interval '30 days'",
    ] {
        gone += sqlx::query(sql).execute(&mut *db).await?.rows_affected();
    }
    Ok(gone)
}

/// Which of these keys belong to no file: their upload was never finished, or
/// their file is gone.
pub async fn strays(db: &PgPool, keys: &[String]) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "select key from unnest($1::text[]) key
         where not exists (select from files f where f.blob_key = key)
           and not exists (select from files f where f.thumbnail_key = key)",
    )
    .bind(keys)
    .fetch_all(db)
    .await?)
}
