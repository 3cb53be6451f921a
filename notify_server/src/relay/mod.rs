//! How the log reaches this replica's hub. Without Redis each replica tails the
//! log. With it one of them does, the leader, and appends what it reads to a
//! stream in Redis, from which the others hear it. What they hear must follow on
//! what they have and bear the realm's seal; anything else, and silence while the
//! log grows, is a doubt, and whoever doubts tails the log itself for a while.

mod log_batch;
mod publisher;
mod stream_reader;

pub(crate) use log_batch::LogBatch;
pub(crate) use publisher::{Publisher, error_source};

use chat_core::{Result, cluster_key::ClusterKey, events::Epoch, redis::Redis};
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use stream_reader::StreamReader;
use tokio::sync::{OnceCell, watch};

/// How long a first doubt lasts; each that follows soon lasts twice as long, up
/// to `MAX_PAUSE`.
const INITIAL_PAUSE: Duration = Duration::from_secs(2);

const MAX_PAUSE: Duration = Duration::from_secs(60);

/// The way from the log to the hub. Never a source of truth: what it carries is
/// in the log, and what it does not carry is read from there.
#[derive(Debug)]
pub(crate) enum Relay {
    /// Every replica tails the log.
    Local,
    /// The leader does, for all.
    Redis(Box<RedisRelay>),
}

/// A stream in Redis that the replicas of a realm share.
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

/// When Redis was last found wanting.
#[derive(Debug)]
struct CircuitBreaker {
    open_until: Option<Instant>,
    pause: Duration,
}

/// What a replica does now to get its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Read the log, for itself.
    Standalone,
    /// Read the log, for all.
    Leader,
    /// Hear the leader.
    Follower,
}

impl Relay {
    /// What is to be done now.
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

    /// What was read, for the others.
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

    /// Opens the stream of a history, to read on from a position.
    pub(crate) async fn open_stream(&self, epoch: &Epoch, after: chat_core::EventId) -> Result<StreamReader<'_>> {
        let cluster_key = self.cluster_key.get_or_try_init(|| ClusterKey::load(&self.db)).await?;
        StreamReader::open(&self.redis, cluster_key, epoch, after).await
    }

    /// Returns once this replica leads.
    pub(crate) async fn wait_until_leader(&self) {
        let mut is_leader = self.is_leader.clone();
        if is_leader.wait_for(|is_leader| *is_leader).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Turns away from Redis for a while.
    pub(crate) fn trip_breaker(&self) -> Duration {
        let mut breaker = self.lock();
        let now = Instant::now();
        // Long after the last one it is a first one again.
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

/// Where the stream of a history is.
fn stream_key(cluster_key: &ClusterKey, epoch: &Epoch) -> String {
    cluster_key.redis_key(format_args!("events:{epoch}"))
}
