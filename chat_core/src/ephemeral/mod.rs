//! Events that are delivered at most once and never stored: presence and typing.
//! They reach the notify servers through Redis, or through NOTIFY if there is no
//! Redis or it fails.

mod payload;
mod redis_bus;

pub use payload::{EphemeralEvent, Presence, Status, Typing};

use crate::{Error, Result, redis::Redis, time::now};
use redis_bus::RedisBus;
use serde::Deserialize;
use sqlx::PgPool;
use std::sync::Arc;

/// The NOTIFY channel of ephemeral events.
pub const CHANNEL: &str = "ephemeral";

/// Maximum size of a batch in bytes; the limit of NOTIFY is 7,999.
const MAX_BATCH_BYTES: usize = 7_000;

/// Publishes ephemeral events to all notify servers.
#[derive(Debug, Clone)]
pub struct EphemeralBus(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: PgPool,
    redis: Option<RedisBus>,
}

impl EphemeralBus {
    /// Creates a bus that uses Redis if it is configured. Connects on first use.
    pub fn new(db: PgPool, redis: Option<Redis>) -> Self {
        Self(Arc::new(Inner { db, redis: redis.map(RedisBus::new) }))
    }

    /// Sends events to all notify servers; drops events that cannot be sent.
    pub async fn publish(&self, events: &[EphemeralEvent]) {
        for batch in encode_batches(events, now().timestamp_millis()) {
            if let Err(error) = self.send_batch(&batch).await {
                tracing::debug!(%error, "dropped ephemeral events");
            }
        }
    }

    async fn send_batch(&self, batch: &str) -> Result<()> {
        if let Some(bus) = &self.0.redis {
            match bus.publish(&self.0.db, batch).await {
                Ok(()) => return Ok(()),
                // A replica whose circuit breaker is open listens to the database.
                Err(error) => tracing::debug!(%error, "sending ephemeral events through the database"),
            }
        }
        sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(batch).execute(&self.0.db).await?;
        Ok(())
    }

    /// Calls `on_events` for each batch from Redis, until Redis has been silent for
    /// a while: the connection may be half open, and the caller subscribes again.
    /// Without Redis it never returns.
    pub async fn subscribe(&self, on_events: impl FnMut(Vec<EphemeralEvent>)) -> Result<()> {
        match &self.0.redis {
            Some(bus) => bus.subscribe(&self.0.db, on_events).await,
            None => std::future::pending().await,
        }
    }
}

/// Maximum age of a batch, in milliseconds. An older one was delayed or is a copy of an
/// earlier one. It allows for clocks that differ.
const MAX_AGE_MS: i64 = 30_000;

/// Events with the time at which they were published.
#[derive(Deserialize)]
struct Batch {
    /// In milliseconds since 1970.
    at: i64,
    events: Vec<EphemeralEvent>,
}

/// The events of a batch. A batch that is too old has none.
pub fn decode_batch(batch: &[u8]) -> Result<Vec<EphemeralEvent>> {
    decode_batch_at(batch, now().timestamp_millis())
}

fn decode_batch_at(batch: &[u8], now_ms: i64) -> Result<Vec<EphemeralEvent>> {
    let Batch { at, events } = serde_json::from_slice(batch).map_err(Error::internal)?;
    let age_ms = now_ms.saturating_sub(at);
    if age_ms.saturating_abs() > MAX_AGE_MS {
        tracing::debug!(age_ms, "ignored ephemeral events: they are old, or the clocks of the servers differ");
        return Ok(Vec::new());
    }
    Ok(events)
}

/// Packs events, in order, into batches of at most about `MAX_BATCH_BYTES`.
fn encode_batches(events: &[EphemeralEvent], now_ms: i64) -> Vec<String> {
    let mut batches: Vec<String> = Vec::new();
    for event in events {
        let Ok(text) = serde_json::to_string(event) else { continue };
        match batches.last_mut() {
            Some(batch) if batch.len() + text.len() < MAX_BATCH_BYTES => {
                batch.push(',');
                batch.push_str(&text);
            }
            _ => batches.push(format!("{{\"at\":{now_ms},\"events\":[{text}")),
        }
    }
    batches.iter_mut().for_each(|batch| batch.push_str("]}"));
    batches
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_events_fit_in_few_batches_and_none_is_lost() {
        let events: Vec<EphemeralEvent> = (1..1_000)
            .map(|id| {
                EphemeralEvent::Typing(Typing {
                    chat_id: id.try_into().expect("an id"),
                    user_id: id.try_into().expect("an id"),
                    username: "somebody".into(),
                    expires_in_ms: 6_000,
                })
            })
            .collect();
        let batches = encode_batches(&events, 1_000_000);
        assert!(batches.len() < 20 && batches.iter().all(|batch| batch.len() < 7_999), "{}", batches.len());
        let decoded: Vec<EphemeralEvent> =
            batches.iter().flat_map(|batch| decode_batch_at(batch.as_bytes(), 1_000_500).expect("a batch")).collect();
        assert_eq!(decoded, events);
        for other in [1_000_000 + MAX_AGE_MS + 1, 1_000_000 - MAX_AGE_MS - 1] {
            let replayed = batches.iter().flat_map(|batch| decode_batch_at(batch.as_bytes(), other).expect("a batch"));
            assert_eq!(replayed.count(), 0, "a copy of an old batch has no effect");
        }
    }
}
