//! Housekeeping, by one process at a time: creates partitions of the log, drops old
//! ones, expires messages, and deletes sessions and files that nothing uses.

use crate::{FileId, MessageId, Result, audit, bridges, inbox, outbox};
use sqlx::{Connection, PgConnection, PgExecutor, PgPool};
use std::time::{Duration, Instant};

/// Number of events in one partition of the log.
const EVENTS_PER_PARTITION: i64 = 10_000_000;

/// Number of partitions created ahead of the last event: enough for half an hour at
/// 20,000 events per second.
const PARTITIONS_AHEAD: i32 = 3;

/// Maximum number of messages deleted in one transaction; small, so that senders do
/// not wait for long.
const EXPIRE_BATCH: i32 = 500;

/// Maximum number of messages of deleted chats deleted in one transaction.
const PURGE_BATCH: i32 = 500;

/// Maximum time that one run expires messages; the next run continues.
const EXPIRE_TIME_BUDGET: Duration = Duration::from_secs(20);

/// How long an uploaded file may wait to be attached, in hours.
const ORPHAN_MIN_AGE_HOURS: i32 = 24;

/// Maximum number of files deleted in one run.
const ORPHAN_BATCH: i64 = 1_000;

/// How long data is kept, and how much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionConfig {
    /// Days that events are kept, at least 1: how long a client can be away and
    /// still resume.
    pub event_days: u16,
    /// Days that messages are kept in chats without their own setting; 0 keeps them
    /// forever.
    pub message_days: u16,
    /// Maximum total size of one user's files, in bytes.
    pub user_quota_bytes: i64,
}

impl RetentionConfig {
    /// The defaults of all programs.
    pub const DEFAULT: Self = Self { event_days: 30, message_days: 0, user_quota_bytes: 5 * 1024 * 1024 * 1024 };
}

/// The result of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Partitions of the log created.
    pub partitions_created: i32,
    /// Partitions of the log dropped.
    pub partitions_dropped: i32,
    /// Messages deleted by retention.
    pub messages_expired: i32,
    /// Sessions, tokens, tickets, invites, reserved usernames, entries of the audit log and
    /// deliveries of webhooks deleted.
    pub records_expired: u64,
    /// Keys of blobs whose files were deleted; the caller deletes the bytes.
    pub blob_keys: Vec<String>,
}

/// Runs once, or returns `None` if another process is running.
pub async fn run(db: &PgPool, retention: RetentionConfig) -> Result<Option<Report>> {
    // Closing the connection releases the lock, even after an error.
    let mut lock_connection = db.acquire().await?.detach();
    let has_lock: bool =
        sqlx::query_scalar("select pg_try_advisory_lock(4861703374916)").fetch_one(&mut lock_connection).await?;
    let report = if has_lock { Some(run_all(&mut lock_connection, retention).await) } else { None };
    lock_connection.close().await?;
    report.transpose()
}

async fn run_all(db: &mut PgConnection, retention: RetentionConfig) -> Result<Report> {
    // First, because the log must not run out of partitions.
    let partitions_created = create_partitions(&mut *db).await?;
    let partitions_dropped = sqlx::query_scalar("select drop_event_partitions(now() - make_interval(days => $1))")
        .bind(i32::from(retention.event_days.max(1)))
        .fetch_one(&mut *db)
        .await?;
    let messages_expired = expire_messages(&mut *db, retention.message_days).await?;
    let records_expired = delete_expired(&mut *db).await?;
    let blob_keys = delete_orphans(&mut *db).await?;
    Ok(Report { partitions_created, partitions_dropped, messages_expired, records_expired, blob_keys })
}

/// Deletes files that no message and no profile uses, and returns their blob keys.
/// Finds candidates without the append lock and checks them again under it, because
/// a message may attach one in the meantime.
async fn delete_orphans(db: &mut PgConnection) -> Result<Vec<String>> {
    let candidates: Vec<FileId> = sqlx::query_scalar(
        "select f.id from files f
         where f.created_at < now() - make_interval(hours => $1)
           and not exists (select from message_files mf where mf.file_id = f.id)
           and not exists (select from users u where u.avatar_file_id = f.id)
           and not exists (select from webhook_avatars a where a.file_id = f.id)
         limit $2",
    )
    .bind(ORPHAN_MIN_AGE_HOURS)
    .bind(ORPHAN_BATCH)
    .fetch_all(&mut *db)
    .await?;
    if candidates.is_empty() {
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
               and not exists (select from webhook_avatars a where a.file_id = f.id)
             returning f.blob_key, f.thumbnail_key
         )
         select blob_key from gone union all select thumbnail_key from gone where thumbnail_key is not null",
    )
    .bind(candidates)
    .fetch_all(&mut *log)
    .await?;
    log.commit().await?;
    Ok(keys)
}

/// Deletes a batch of messages of deleted chats, and returns how many.
pub async fn purge_deleted_chats(db: impl PgExecutor<'_>) -> Result<i32> {
    Ok(sqlx::query_scalar("select purge_deleted_chats($1)").bind(PURGE_BATCH).fetch_one(db).await?)
}

/// Creates the partitions that the log will need soon, and returns how many.
pub async fn create_partitions(db: impl PgExecutor<'_>) -> Result<i32> {
    Ok(sqlx::query_scalar("select add_event_partitions($1, $2)")
        .bind(EVENTS_PER_PARTITION)
        .bind(PARTITIONS_AHEAD)
        .fetch_one(db)
        .await?)
}

async fn expire_messages(db: &mut PgConnection, server_days: u16) -> Result<i32> {
    let server_days = (server_days > 0).then_some(i32::from(server_days));
    let (started_at, mut total) = (Instant::now(), 0);
    while started_at.elapsed() < EXPIRE_TIME_BUDGET {
        // Found without the append lock, and checked again under it.
        let candidates: Vec<MessageId> = sqlx::query_scalar("select find_expired_messages($1, $2)")
            .bind(server_days)
            .bind(EXPIRE_BATCH)
            .fetch_all(&mut *db)
            .await?;
        if candidates.is_empty() {
            break;
        }
        let expired: i32 = sqlx::query_scalar("select delete_expired_messages($1, $2)")
            .bind(server_days)
            .bind(candidates)
            .fetch_one(&mut *db)
            .await?;
        total += expired;
        if expired < EXPIRE_BATCH {
            break;
        }
    }
    Ok(total)
}

/// Deletes sessions, tokens, tickets, invites and reserved usernames some time after they
/// ended, and old entries of inboxes, the audit log and the outbox. Ended sessions stay for 30 days, so that the reuse
/// of a stolen token is recognized.
async fn delete_expired(db: &mut PgConnection) -> Result<u64> {
    let mut deleted = 0;
    for sql in [
        "delete from sessions where least(revoked_at, expires_at) < now() - interval '30 days'",
        "delete from refresh_tokens where used_at < now() - interval '30 days'",
        "delete from stream_tickets where expires_at < now()",
        "delete from oauth_codes where expires_at < now() - interval '1 day'",
        "delete from mcp_confirmations where expires_at < now() - interval '1 day'",
        "delete from reserved_usernames where until_at < now()",
        "delete from invites where expires_at < now() - interval '30 days'",
    ] {
        deleted += sqlx::query(sql).execute(&mut *db).await?.rows_affected();
    }
    deleted += inbox::delete_old(&mut *db).await?;
    deleted += audit::delete_old(&mut *db).await?;
    deleted += outbox::clean_up::delete_old(&mut *db).await?;
    deleted += bridges::inbox::delete_old(db).await?;
    Ok(deleted)
}

/// Returns the given keys that belong to no file, because the upload was never
/// finished or the file was deleted.
pub async fn unreferenced_keys(db: &PgPool, keys: &[String]) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "select key from unnest($1::text[]) key
         where not exists (select from files f where f.blob_key = key)
           and not exists (select from files f where f.thumbnail_key = key)",
    )
    .bind(keys)
    .fetch_all(db)
    .await?)
}
