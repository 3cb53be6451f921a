//! The writer: sends that arrive while one batch commits share the next. No
//! timer; a lone send goes at once, and a crowd travels together.

use super::{NewMessage, Sent, send};
use crate::{Error, Result, metrics};
use prometheus_client::{
    metrics::{counter::Counter, histogram::Histogram},
    registry::Registry,
};
use sqlx::{Connection, PgPool, Postgres, pool::PoolConnection};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// The most messages in one transaction.
const BATCH: usize = 256;

/// The most sends that may wait; more are told to come back.
const QUEUE: usize = 8_192;

/// The most text that may wait, in bytes.
const QUEUE_BYTES: usize = 32 * 1024 * 1024;

/// How long a connection that was just used is believed to be there still.
const BELIEVED: Duration = Duration::from_millis(50);

/// What a waiting send takes besides its text, in bytes.
const OVERHEAD_BYTES: usize = 512;

/// A handle to the task that writes. The task ends with its last handle.
#[derive(Debug, Clone)]
pub struct Writer {
    jobs: mpsc::Sender<Job>,
    room: Arc<Semaphore>,
    figures: Figures,
}

/// What the writer counts.
#[derive(Debug, Clone)]
struct Figures {
    batches: Histogram,
    writing: Histogram,
    refused: Counter,
}

struct Job {
    new: NewMessage,
    reply: oneshot::Sender<Result<Sent>>,
    _room: OwnedSemaphorePermit,
}

impl Writer {
    /// Starts the task that writes to this database.
    pub fn start(db: PgPool) -> Self {
        let (jobs, mut queue) = mpsc::channel(QUEUE);
        let figures = Figures { batches: metrics::counts(), writing: metrics::seconds(), refused: Counter::default() };
        let mut desk = Desk { db, kept: None, figures: figures.clone() };
        tokio::spawn(async move {
            let mut batch = Vec::with_capacity(BATCH);
            while queue.recv_many(&mut batch, BATCH).await > 0 {
                if !desk.write(std::mem::take(&mut batch)).await {
                    // The database is away. Nobody in the queue should wait for
                    // their own turn to find out.
                    while let Ok(job) = queue.try_recv() {
                        let _ = job.reply.send(Err(away()));
                    }
                }
            }
        });
        Self { jobs, room: Arc::new(Semaphore::new(QUEUE_BYTES)), figures }
    }

    /// Adds the writer's figures to those of its process.
    pub fn register(&self, registry: &mut Registry) {
        let Figures { batches, writing, refused } = &self.figures;
        registry.register("writer_batch_messages", "Messages that shared a transaction", batches.clone());
        registry.register("writer_batch_seconds", "Time to write a batch", writing.clone());
        registry.register("writer_refused", "Sends that found the queue full", refused.clone());
        let jobs = self.jobs.downgrade();
        metrics::gauge(registry, "writer_queue_messages", "Messages that wait to be written", move || {
            let queued = jobs.upgrade().map_or(0, |jobs| jobs.max_capacity() - jobs.capacity());
            i64::try_from(queued).unwrap_or(i64::MAX)
        });
        let room = Arc::clone(&self.room);
        metrics::gauge(registry, "writer_queue_bytes", "Memory of the messages that wait or are written", move || {
            i64::try_from(QUEUE_BYTES - room.available_permits()).unwrap_or(i64::MAX)
        });
    }

    /// Sends a message and waits until it is stored. An answer of `Unavailable`
    /// says that it may or may not be: try again with the same nonce.
    pub async fn send(&self, new: NewMessage) -> Result<Sent> {
        let bytes = u32::try_from(new.content.as_str().len() + OVERHEAD_BYTES).map_err(Error::internal)?;
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| self.full())?;
        let (reply, outcome) = oneshot::channel();
        self.jobs.try_send(Job { new, reply, _room: room }).map_err(|_| self.full())?;
        outcome.await.unwrap_or_else(|_| Err(away()))
    }

    fn full(&self) -> Error {
        self.figures.refused.inc();
        Error::Unavailable("the queue of messages to be written is full".into())
    }
}

fn away() -> Error {
    Error::Unavailable("messages could not be written to the database".into())
}

/// Where the writing is done: one connection that is kept from batch to batch, as
/// giving it back to the pool costs a round trip. After a pause it is asked whether
/// it is still there, so that a database that came back costs nobody a refusal;
/// under load the question would cost each batch a fifth of its time.
struct Desk {
    db: PgPool,
    kept: Option<(PoolConnection<Postgres>, Instant)>,
    figures: Figures,
}

impl Desk {
    /// Writes a batch and tells everyone in it; false if the database is away.
    async fn write(&mut self, mut batch: Vec<Job>) -> bool {
        // Whoever has hung up has not been told anything, and will ask again.
        batch.retain(|job| !job.reply.is_closed());
        let (news, replies): (Vec<_>, Vec<_>) = batch.into_iter().map(|job| (job.new, job.reply)).unzip();
        match self.send(&news).await {
            Ok(outcomes) => {
                for (reply, outcome) in replies.into_iter().zip(outcomes) {
                    let _ = reply.send(outcome);
                }
                true
            }
            Err(error @ Error::Unavailable(_)) => {
                let cause = std::error::Error::source(&error);
                tracing::warn!(messages = news.len(), ?cause, "a batch was not written");
                for reply in replies {
                    let _ = reply.send(Err(away()));
                }
                false
            }
            // One of them trips a constraint, such as a sender whose account is
            // being deleted: alone it fails alone.
            Err(_) => {
                let mut is_there = true;
                for (new, reply) in news.into_iter().zip(replies).filter(|(_, reply)| !reply.is_closed()) {
                    let outcome = if is_there { self.alone(new).await } else { Err(away()) };
                    is_there &= !matches!(outcome, Err(Error::Unavailable(_)));
                    let _ = reply.send(outcome);
                }
                is_there
            }
        }
    }

    async fn alone(&mut self, new: NewMessage) -> Result<Sent> {
        let mut outcomes = self.send(&[new]).await?;
        outcomes.pop().unwrap_or_else(|| Err(Error::internal("a batch of one has one outcome")))
    }

    async fn send(&mut self, batch: &[NewMessage]) -> Result<Vec<Result<Sent>>> {
        let mut connection = self.connection().await?;
        let begun = Instant::now();
        let outcomes = send(&mut connection, batch).await;
        self.figures.batches.observe(batch.len() as f64);
        self.figures.writing.observe(begun.elapsed().as_secs_f64());
        if !matches!(outcomes, Err(Error::Unavailable(_))) {
            self.kept = Some((connection, Instant::now()));
        }
        outcomes
    }

    async fn connection(&mut self) -> Result<PoolConnection<Postgres>> {
        if let Some((mut connection, used)) = self.kept.take()
            && (used.elapsed() < BELIEVED || connection.ping().await.is_ok())
        {
            return Ok(connection);
        }
        Ok(self.db.acquire().await?)
    }
}
