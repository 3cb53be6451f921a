//! Appends the leader's batches to the stream in Redis, without delaying the leader.
//! Followers read a batch that cannot be appended from the log.

use super::{LogBatch, stream_key};
use crate::metrics::Metrics;
use chat_core::{
    EventId, Result,
    cluster_key::ClusterKey,
    events,
    redis::{Connection, Redis, unavailable},
};
use redis::{
    AsyncCommands,
    streams::{StreamMaxlen, StreamRangeReply},
};
use sqlx::PgPool;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Maximum number of queued batches. Further batches are dropped, and followers read
/// them from the log.
const MAX_QUEUED_BATCHES: usize = 64;

/// Maximum number of batches in the stream. A replica that is further behind reads the
/// log. A batch is at most about 1 MiB, and usually far smaller.
const MAX_STREAM_ENTRIES: usize = 256;

/// How long to wait after a failure before Redis is used again.
const RETRY_DELAY: Duration = Duration::from_millis(250);

/// The only field of a stream entry.
pub(super) const BATCH_FIELD: &str = "batch";

/// A handle to the task that appends batches.
#[derive(Debug)]
pub(crate) struct Publisher {
    queue: mpsc::Sender<Arc<LogBatch>>,
    metrics: Arc<Metrics>,
}

impl Publisher {
    pub(crate) fn start(redis: Redis, db: PgPool, metrics: Arc<Metrics>, shutdown: CancellationToken) -> Self {
        let (queue, mut batches) = mpsc::channel::<Arc<LogBatch>>(MAX_QUEUED_BATCHES);
        let mut stream_writer = StreamWriter { redis, db, cluster_key: None, connection: None, failed_at: None };
        let publisher = Self { queue, metrics: Arc::clone(&metrics) };
        tokio::spawn(async move {
            while let Some(Some(batch)) = shutdown.run_until_cancelled(batches.recv()).await {
                match stream_writer.append(&batch).await {
                    Ok(true) => metrics.record_relay_batch("appended"),
                    Ok(false) => metrics.record_relay_batch("dropped"),
                    Err(error) => {
                        metrics.record_relay_batch("failed");
                        tracing::warn!(%error, cause = error.source_text(), "cannot append to the stream in Redis");
                        stream_writer.failed_at = Some(Instant::now());
                        stream_writer.connection = None;
                    }
                }
            }
        });
        publisher
    }

    /// Queues a batch to be appended; drops it if the queue is full.
    pub(crate) fn try_publish(&self, batch: Arc<LogBatch>) {
        if self.queue.try_send(batch).is_err() {
            self.metrics.record_relay_batch("dropped");
        }
    }
}

struct StreamWriter {
    redis: Redis,
    db: PgPool,
    cluster_key: Option<ClusterKey>,
    connection: Option<Connection>,
    failed_at: Option<Instant>,
}

impl StreamWriter {
    /// Appends a batch. Returns false during the wait after a failure.
    async fn append(&mut self, batch: &LogBatch) -> Result<bool> {
        if self.failed_at.is_some_and(|at| at.elapsed() < RETRY_DELAY) {
            return Ok(false);
        }
        if self.cluster_key.is_none() {
            self.cluster_key = Some(ClusterKey::load(&self.db).await?);
        }
        if self.connection.is_none() {
            self.connection = Some(self.redis.connect().await?);
        }
        let (Some(cluster_key), Some(connection)) = (&self.cluster_key, &mut self.connection) else { return Ok(false) };
        let key = stream_key(cluster_key, &batch.epoch);
        let signed = cluster_key.sign(&key, &batch.encode()?);
        let Err(rejection) = append_entry(connection, &key, batch.end.id, &signed).await else { return Ok(true) };
        // Usually another leader has already appended this batch. But a stream that
        // is ahead of the log belongs to another history.
        let last_entry = last_entry_position(connection, &key).await?;
        if last_entry.is_none_or(|last_entry| last_entry <= batch.end.id.get()) {
            return if last_entry.is_some() { Ok(true) } else { Err(rejection) };
        }
        let last = events::head(&self.db).await?.last.id;
        if last_entry.is_some_and(|last_entry| last_entry > last.get()) {
            tracing::warn!(stream = %key, ?last_entry, %last, "the stream in Redis is ahead of the log; starting a new one");
            let () = connection.del(&key).await.map_err(unavailable)?;
            append_entry(connection, &key, batch.end.id, &signed).await?;
        }
        Ok(true)
    }
}

/// Uses the position as the entry's id, so that Redis rejects a leader that is
/// behind.
async fn append_entry(connection: &mut Connection, key: &str, end: EventId, signed: &[u8]) -> Result<()> {
    let id = format!("{end}-0");
    let _: Option<String> = connection
        .xadd_maxlen(key, StreamMaxlen::Approx(MAX_STREAM_ENTRIES), id, &[(BATCH_FIELD, signed)])
        .await
        .map_err(unavailable)?;
    Ok(())
}

/// Returns the position of the last entry.
async fn last_entry_position(connection: &mut Connection, key: &str) -> Result<Option<i64>> {
    let reply: StreamRangeReply = connection.xrevrange_count(key, "+", "-", 1).await.map_err(unavailable)?;
    let id = reply.ids.first().and_then(|entry| entry.id.split('-').next()?.parse::<u64>().ok());
    Ok(id.map(|id| i64::try_from(id).unwrap_or(i64::MAX)))
}
