//! Ephemeral events through Redis: one channel for the servers of a cluster, each
//! message signed with the cluster key.

use super::{CHANNEL, EphemeralEvent, decode_batch};
use crate::{
    Error, Result,
    cluster_key::ClusterKey,
    redis::{Connection, Redis, unavailable},
};
use futures_util::StreamExt;
use redis::AsyncCommands;
use sqlx::PgPool;
use std::time::{Duration, Instant};
use tokio::{
    sync::{Mutex, OnceCell},
    time::timeout,
};

/// Pause after a Redis failure before the next attempt, so that publishers do not
/// wait for Redis one after the other.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// How long a subscription may be silent before it is renewed.
const IDLE_TIMEOUT: Duration = Duration::from_secs(20);

/// The Redis channel of ephemeral events.
#[derive(Debug)]
pub(super) struct RedisBus {
    redis: Redis,
    cluster_key: OnceCell<ClusterKey>,
    cached: Mutex<CachedConnection>,
}

/// The connection for publishing, or the time of its last failure.
#[derive(Debug, Default)]
struct CachedConnection {
    connection: Option<Connection>,
    failed_at: Option<Instant>,
}

impl RedisBus {
    pub(super) fn new(redis: Redis) -> Self {
        Self { redis, cluster_key: OnceCell::new(), cached: Mutex::default() }
    }

    async fn channel(&self, db: &PgPool) -> Result<(&ClusterKey, String)> {
        let cluster_key = self.cluster_key.get_or_try_init(|| ClusterKey::load(db)).await?;
        Ok((cluster_key, cluster_key.redis_key(CHANNEL)))
    }

    pub(super) async fn publish(&self, db: &PgPool, batch: &str) -> Result<()> {
        let (cluster_key, channel) = self.channel(db).await?;
        let signed = cluster_key.sign(&channel, batch.as_bytes());
        let mut cached = self.cached.lock().await;
        if cached.failed_at.is_some_and(|at| at.elapsed() < RETRY_PAUSE) {
            return Err(Error::Unavailable("Redis failed less than a second ago".into()));
        }
        let reusable = cached.connection.take();
        let published = async {
            let mut connection = match reusable {
                Some(connection) => connection,
                None => self.redis.connect().await?,
            };
            let () = connection.publish(&channel, signed).await.map_err(unavailable)?;
            Ok(connection)
        };
        let (connection, outcome) = match published.await {
            Ok(connection) => (Some(connection), Ok(())),
            Err(error) => (None, Err(error)),
        };
        *cached = CachedConnection { failed_at: outcome.is_err().then(Instant::now), connection };
        outcome
    }

    pub(super) async fn subscribe(&self, db: &PgPool, mut on_events: impl FnMut(Vec<EphemeralEvent>)) -> Result<()> {
        let (cluster_key, channel) = self.channel(db).await?;
        let mut messages = self.redis.subscribe(&channel).await?.into_on_message();
        while let Ok(message) = timeout(IDLE_TIMEOUT, messages.next()).await {
            let message = message.ok_or_else(|| Error::Unavailable("Redis closed the connection".into()))?;
            match cluster_key.verify(&channel, message.get_payload_bytes()).and_then(decode_batch) {
                Ok(events) => on_events(events),
                Err(error) => tracing::warn!(%error, "ignored a message in Redis that is not signed or cannot be read"),
            }
        }
        Ok(())
    }
}
