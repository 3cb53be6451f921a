//! Transports the log to this replica's hub. Without Redis each replica polls the log.
//! With Redis only the leader polls the log and appends its batches to a stream in Redis,
//! which the followers read. A batch must continue at the follower's position and be
//! signed with the cluster key. Any other batch, or a missing batch for new events,
//! trips the follower's circuit breaker: the follower polls the log itself for a while.

mod log_batch;
mod publisher;
mod stream_reader;

pub(crate) use log_batch::LogBatch;
pub(crate) use publisher::Publisher;

use chat_core::{Result, cluster_key::ClusterKey, events::Epoch, redis::Redis};
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use stream_reader::StreamReader;
use tokio::sync::{OnceCell, watch};

/// How long the circuit breaker stays open at first. Each further trip soon after
/// doubles the time, up to `MAX_PAUSE`.
const INITIAL_PAUSE: Duration = Duration::from_secs(2);

const MAX_PAUSE: Duration = Duration::from_secs(60);

/// How events get from the log to the hub. The log is the source of truth: every relayed
/// event is also in the log, and an event that is not relayed is read from the log.
#[derive(Debug)]
pub(crate) enum Relay {
    /// Every replica polls the log.
    Local,
    /// The leader polls the log for all replicas.
    Redis(Box<RedisRelay>),
}

/// A stream in Redis that the replicas of a cluster share.
#[derive(Debug)]
pub(crate) struct RedisRelay {
    redis: Redis,
    db: PgPool,
    cluster_key: OnceCell<ClusterKey>,
    /// Whether this replica leads.
    is_leader: watch::Receiver<bool>,
    breaker: Mutex<CircuitBreaker>,
    publisher: Publisher,
}

/// Prevents a follower from using Redis for a while after the relay failed.
#[derive(Debug)]
struct CircuitBreaker {
    open_until: Option<Instant>,
    pause: Duration,
}

/// How a replica currently gets its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Polls the log for itself.
    Standalone,
    /// Polls the log for all replicas.
    Leader,
    /// Reads what the leader publishes.
    Follower,
}

impl Relay {
    /// Returns the mode that applies now.
    pub(crate) fn mode(&self) -> Mode {
        match self {
            Self::Local => Mode::Standalone,
            Self::Redis(relay) if *relay.is_leader.borrow() => Mode::Leader,
            Self::Redis(relay) if relay.lock().open_until.is_some_and(|until| Instant::now() < until) => {
                Mode::Standalone
            }
            Self::Redis(_) => Mode::Follower,
        }
    }

    /// Publishes a batch for the other replicas.
    pub(crate) fn publish(&self, batch: Arc<LogBatch>) {
        if let Self::Redis(relay) = self {
            relay.publisher.try_publish(batch);
        }
    }
}

impl RedisRelay {
    pub(crate) fn new(redis: Redis, db: PgPool, is_leader: watch::Receiver<bool>, publisher: Publisher) -> Self {
        let breaker = Mutex::new(CircuitBreaker { open_until: None, pause: INITIAL_PAUSE });
        Self { redis, db, cluster_key: OnceCell::new(), is_leader, breaker, publisher }
    }

    /// Opens the stream of a history, to read the batches after a position.
    pub(crate) async fn open_stream(&self, epoch: &Epoch, after: chat_core::EventId) -> Result<StreamReader<'_>> {
        let cluster_key = self.cluster_key.get_or_try_init(|| ClusterKey::load(&self.db)).await?;
        StreamReader::open(&self.redis, cluster_key, epoch, after).await
    }

    /// Waits until this replica leads.
    pub(crate) async fn wait_until_leader(&self) {
        let mut is_leader = self.is_leader.clone();
        if is_leader.wait_for(|is_leader| *is_leader).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Opens the circuit breaker, and returns for how long.
    pub(crate) fn trip_breaker(&self) -> Duration {
        let mut breaker = self.lock();
        let now = Instant::now();
        // A failure long after the last one starts with the short pause again.
        if breaker.open_until.is_none_or(|until| now > until + MAX_PAUSE) {
            breaker.pause = INITIAL_PAUSE;
        }
        let pause = breaker.pause;
        breaker.open_until = Some(now + pause);
        breaker.pause = (pause * 2).min(MAX_PAUSE);
        pause
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, CircuitBreaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the Redis key of a history's stream.
fn stream_key(cluster_key: &ClusterKey, epoch: &Epoch) -> String {
    cluster_key.redis_key(format_args!("events:{epoch}"))
}
