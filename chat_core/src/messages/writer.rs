//! The writer, a group commit: sends that arrive while one batch commits share the
//! next batch. There is no timer, so a single send is written at once.

use super::{NewMessage, SendOutcome, send::send};
use crate::{Error, Result, metrics};
use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};
use sqlx::{Connection, PgPool, Postgres, pool::PoolConnection};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    task::spawn_blocking,
};

/// Maximum number of messages in one transaction.
const MAX_BATCH: usize = 256;

/// Maximum number of sends in the queue; further sends are rejected as `Unavailable`.
const MAX_QUEUED: usize = 8_192;

/// Maximum memory of queued sends, in bytes.
const MAX_QUEUED_BYTES: usize = 32 * 1024 * 1024;

/// The idle time after which a connection is pinged before use.
const PING_AFTER: Duration = Duration::from_millis(50);

/// The memory that a queued send takes besides its text, in bytes.
const OVERHEAD_BYTES: usize = 512;

/// A handle to the task that writes messages. The task ends when its last handle is
/// dropped.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    queued_bytes: Arc<Semaphore>,
    is_storage_low: Arc<AtomicBool>,
    metrics: WriterMetrics,
}

/// The metrics of the writer.
#[derive(Debug, Clone)]
struct WriterMetrics {
    batch_size: Histogram,
    batch_seconds: Histogram,
    rejected: Counter,
}

struct Job {
    new: NewMessage,
    mentions: Vec<String>,
    reply: oneshot::Sender<Result<SendOutcome>>,
    _permit: OwnedSemaphorePermit,
}

impl Writer {
    /// Starts the task that writes to this database.
    pub fn start(db: PgPool) -> Self {
        let (jobs, mut queue) = mpsc::channel(MAX_QUEUED);
        let metrics = WriterMetrics {
            batch_size: metrics::size_histogram(),
            batch_seconds: metrics::duration_histogram(),
            rejected: Counter::default(),
        };
        let mut batch_writer = BatchWriter { db, connection: None, metrics: metrics.clone() };
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(MAX_BATCH);
            while queue.recv_many(&mut batch, MAX_BATCH).await > 0 {
                if !batch_writer.write(std::mem::take(&mut batch)).await {
                    // The database is unavailable: fail all queued sends now, so
                    // that they do not wait for separate attempts.
                    while let Ok(job) = queue.try_recv() {
                        let _ = job.reply.send(Err(unavailable()));
                    }
                }
            }
        });
        let queued_bytes = Arc::new(Semaphore::new(MAX_QUEUED_BYTES));
        Self { jobs, queued_bytes, is_storage_low: Arc::default(), metrics }
    }

    /// Sets whether the disk is almost full. Then each send is rejected.
    pub fn set_storage_low(&self, is_low: bool) {
        self.is_storage_low.store(is_low, Ordering::Relaxed);
    }

    /// Whether the disk is almost full.
    pub fn is_storage_low(&self) -> bool {
        self.is_storage_low.load(Ordering::Relaxed)
    }

    /// Adds the writer's metrics to those of its process.
    pub fn register(&self, registry: &mut Registry) {
        let WriterMetrics { batch_size, batch_seconds, rejected } = &self.metrics;
        registry.register("writer_batch_messages", "Messages per transaction", batch_size.clone());
        registry.register("writer_batch_seconds", "Time to write a batch", batch_seconds.clone());
        registry.register("writer_rejected", "Sends rejected because the queue was full", rejected.clone());
        let gauges = [
            ("writer_queue_messages", "Messages waiting to be written"),
            ("writer_queue_bytes", "Memory of the messages waiting or being written"),
        ];
        let (jobs, free_bytes) = (self.jobs.downgrade(), Arc::clone(&self.queued_bytes));
        metrics::register_gauges(registry, gauges, move || {
            let messages = jobs.upgrade().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
            let bytes = MAX_QUEUED_BYTES - free_bytes.available_permits();
            [messages, bytes].map(|count| i64::try_from(count).unwrap_or(i64::MAX))
        });
    }

    /// Sends a message and waits until it is stored. After `Unavailable` it may or
    /// may not be stored: retry with the same nonce.
    pub async fn send(&self, new: NewMessage) -> Result<SendOutcome> {
        if self.is_storage_low() {
            return Err(Error::InsufficientStorage);
        }
        let extra_bytes = new.extra.as_ref().map_or(0, |extra| extra.bytes());
        let bytes =
            u32::try_from(new.content.as_str().len() + extra_bytes + OVERHEAD_BYTES).map_err(Error::internal)?;
        let permit = Arc::clone(&self.queued_bytes).try_acquire_many_owned(bytes).map_err(|_| self.reject())?;
        // Here and not in the writer, so that a text that takes long delays only its sender.
        let (new, mentions) = spawn_blocking_if(new.content.as_str().len() > INLINE_PARSE_BYTES, move || {
            let mentions = if new.has_mentions { new.content.mentions() } else { Vec::new() };
            (new, mentions)
        })
        .await?;
        let (reply, outcome) = oneshot::channel();
        self.jobs.try_send(Job { new, mentions, reply, _permit: permit }).map_err(|_| self.reject())?;
        outcome.await.unwrap_or_else(|_| Err(unavailable()))
    }

    fn reject(&self) -> Error {
        self.metrics.rejected.inc();
        Error::Unavailable("the message write queue is full".into())
    }
}

/// Maximum size of a text that is parsed on the thread of the request, in bytes.
const INLINE_PARSE_BYTES: usize = 2_048;

async fn spawn_blocking_if<T: Send + 'static>(is_slow: bool, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    if is_slow { spawn_blocking(work).await.map_err(Error::internal) } else { Ok(work()) }
}

fn unavailable() -> Error {
    Error::Unavailable("messages could not be written to the database".into())
}

/// Writes the batches. It keeps one connection from batch to batch, because
/// returning it to the pool costs a round trip. It pings the connection after a
/// pause, so that no send fails on a connection that a database restart broke. Under
/// load it does not, because a ping would cost each batch a fifth of its time.
struct BatchWriter {
    db: PgPool,
    connection: Option<(PoolConnection<Postgres>, Instant)>,
    metrics: WriterMetrics,
}

impl BatchWriter {
    /// Writes a batch and replies to each send; returns false if the database is
    /// unavailable.
    async fn write(&mut self, mut batch: Vec<Job>) -> bool {
        // A caller that has disconnected received no outcome and will retry.
        batch.retain(|job| !job.reply.is_closed());
        let (messages, replies): (Vec<_>, Vec<_>) =
            batch.into_iter().map(|job| ((job.new, job.mentions), job.reply)).unzip();
        let (new_messages, mentions): (Vec<_>, Vec<_>) = messages.into_iter().unzip();
        match self.send(&new_messages, &mentions).await {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    let _ = reply.send(outcome);
                }
                true
            }
            Err(error @ Error::Unavailable(_)) => {
                let cause = std::error::Error::source(&error);
                tracing::warn!(messages = new_messages.len(), ?cause, "a batch could not be written");
                for reply in replies {
                    let _ = reply.send(Err(unavailable()));
                }
                false
            }
            // One message violates a constraint, for example because its sender's
            // account is being deleted. Sent one by one, only that message fails.
            Err(_) => {
                let mut is_available = true;
                let messages = new_messages.into_iter().zip(mentions).zip(replies);
                for ((new, names), reply) in messages.filter(|(_, reply)| !reply.is_closed()) {
                    let outcome = if is_available { self.send_one(new, names).await } else { Err(unavailable()) };
                    is_available &= !matches!(outcome, Err(Error::Unavailable(_)));
                    let _ = reply.send(outcome);
                }
                is_available
            }
        }
    }

    async fn send_one(&mut self, new: NewMessage, mentions: Vec<String>) -> Result<SendOutcome> {
        let mut outcomes = self.send(&[new], &[mentions]).await?;
        outcomes.pop().unwrap_or_else(|| Err(Error::internal("a batch of one message returned no outcome")))
    }

    async fn send(&mut self, batch: &[NewMessage], mentions: &[Vec<String>]) -> Result<Vec<Result<SendOutcome>>> {
        let mut connection = self.acquire().await?;
        let started_at = Instant::now();
        let outcomes = send(&mut connection, batch, mentions).await;
        self.metrics.batch_size.observe(batch.len() as f64);
        self.metrics.batch_seconds.observe(started_at.elapsed().as_secs_f64());
        if !matches!(outcomes, Err(Error::Unavailable(_))) {
            self.connection = Some((connection, Instant::now()));
        }
        outcomes
    }

    async fn acquire(&mut self) -> Result<PoolConnection<Postgres>> {
        if let Some((mut connection, last_used)) = self.connection.take()
            && (last_used.elapsed() < PING_AFTER || connection.ping().await.is_ok())
        {
            return Ok(connection);
        }
        Ok(self.db.acquire().await?)
    }
}
