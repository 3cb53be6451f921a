//! The background jobs of a chat server.

use crate::{AppState, disk_space};
use chat_core::{
    Error, Result,
    auth::sessions,
    housekeeping::{self, Report, RetentionConfig},
    notification_settings, search, time,
};
use chrono::TimeDelta;
use file_store::BlobStore;
use futures_util::TryStreamExt;
use sqlx::PgPool;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval, sleep};
use tokio_util::sync::CancellationToken;

/// How often partitions of the log are created, expired sessions and mutes end, and stale rate limits
/// are removed.
const MINUTE_JOB_INTERVAL: Duration = Duration::from_secs(60);

/// How often housekeeping runs.
const HOUSEKEEPING_INTERVAL: Duration = Duration::from_secs(3600);

/// How often the job looks for deleted chats.
const PURGE_INTERVAL: Duration = Duration::from_secs(5);

/// The pause after a batch, as a multiple of the time it took.
const PURGE_PAUSE_FACTOR: u32 = 3;

/// Maximum number of blob keys in one query.
const KEYS_PER_QUERY: usize = 1_000;

/// The minimum age at which a blob without a file is deleted, in hours.
const MIN_UNREFERENCED_HOURS: i64 = 24;

/// Runs housekeeping once and deletes the bytes of deleted files. Returns `None` if
/// another process is running it.
pub async fn run_housekeeping(db: &PgPool, blobs: &BlobStore, retention: RetentionConfig) -> Result<Option<Report>> {
    let report = housekeeping::run(db, retention).await?;
    if let Some(report) = &report {
        blobs.delete_all(report.blob_keys.iter().cloned()).await;
        delete_unreferenced_blobs(db, blobs).await?;
    }
    Ok(report)
}

/// Deletes blobs that belong to no file. A crash after the bytes of an upload are stored
/// and before the row is written leaves such a blob.
async fn delete_unreferenced_blobs(db: &PgPool, blobs: &BlobStore) -> Result<()> {
    let old_keys = blobs.list_stored_before(time::now() - TimeDelta::hours(MIN_UNREFERENCED_HOURS));
    old_keys
        .try_chunks(KEYS_PER_QUERY)
        .map_err(|error| error.1)
        .try_for_each(|keys| async move {
            let unreferenced = housekeeping::unreferenced_keys(db, &keys).await?;
            blobs.delete_all(unreferenced).await;
            Ok::<(), Error>(())
        })
        .await
}

/// Starts the jobs. `shutdown` stops them.
pub(crate) fn spawn(state: &Arc<AppState>, shutdown: &CancellationToken) {
    tokio::spawn(search::run_indexer(state.db.clone(), shutdown.clone()));
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(run_minute_job(Arc::clone(state))));
    let watch = disk_space::watch(Arc::clone(state), state.files.blobs().folder().to_owned(), state.min_free_bytes);
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(watch));
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(run_purge_job(state.db.clone())));
    tokio::spawn(shutdown.clone().run_until_cancelled_owned(run_housekeeping_job(Arc::clone(state))));
}

async fn run_minute_job(state: Arc<AppState>) {
    let mut ticks = interval(MINUTE_JOB_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        state.rate_limiter.remove_stale();
        state.sign_in_throttle.remove_stale();
        state.refusals.remove_stale();
        state.files.pixel_budget().remove_stale();
        if let Err(error) = sessions::revoke_expired(&state.db).await {
            tracing::warn!(%error, "cannot end expired sessions");
        }
        if let Err(error) = notification_settings::end_mutes(&state.db).await {
            tracing::warn!(%error, "cannot unmute chats whose time is over");
        }
        match housekeeping::create_partitions(&state.db).await {
            Ok(0) => {}
            Ok(created) => tracing::debug!(created, "created partitions of the event log"),
            Err(error) => tracing::warn!(%error, "cannot create partitions of the event log"),
        }
    }
}

/// Deletes the messages of deleted chats, with pauses so that others are not delayed.
async fn run_purge_job(db: PgPool) {
    loop {
        let started_at = Instant::now();
        let pause = match housekeeping::purge_deleted_chats(&db).await {
            Ok(0) => PURGE_INTERVAL,
            Ok(_) => started_at.elapsed() * PURGE_PAUSE_FACTOR,
            Err(error) => {
                tracing::debug!(%error, "cannot delete the messages of deleted chats");
                PURGE_INTERVAL
            }
        };
        sleep(pause).await;
    }
}

async fn run_housekeeping_job(state: Arc<AppState>) {
    let mut ticks = interval(HOUSEKEEPING_INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        match run_housekeeping(&state.db, state.files.blobs(), state.retention).await {
            Ok(Some(report)) => tracing::debug!(?report, "housekeeping done"),
            Ok(None) => {}
            Err(error) => tracing::warn!(%error, "housekeeping failed"),
        }
    }
}
