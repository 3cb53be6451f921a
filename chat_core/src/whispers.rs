//! What is said to those who are there now, and kept nowhere: who comes and goes,
//! who types. It reaches the notify servers through Redis, or through NOTIFY where
//! there is none or it is away. At most once.

use crate::{
    ChatId, Error, Result, UserId,
    presence::Presence,
    realm::Realm,
    redis::{Connection, Redis, away},
};
use futures_util::StreamExt;
use redis::AsyncCommands;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::{Mutex, OnceCell},
    time::timeout,
};

/// The NOTIFY channel on which whispers come.
pub const CHANNEL: &str = "whispers";

/// The most bytes of one parcel: NOTIFY takes 7,999.
const MAX_PARCEL: usize = 7_000;

/// How long Redis is left alone after it failed: those who whisper do not wait for
/// it one after the other.
const PAUSE: Duration = Duration::from_secs(1);

/// How long Redis may say nothing before it is asked anew.
const SILENCE: Duration = Duration::from_secs(20);

/// Somebody types.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// Where.
    pub chat_id: ChatId,
    /// Who.
    pub user_id: UserId,
    /// Their name, to be shown.
    pub username: String,
    /// How long that holds unless it is said again, in milliseconds; 0 when they
    /// stopped.
    pub expires_in_ms: u64,
}

/// One of the things that are whispered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Whisper {
    /// To the members of the chat.
    Typing(Typing),
    /// To those who share a chat with the person.
    Presence(Presence),
}

/// The way to the notify servers.
#[derive(Debug, Clone)]
pub struct Whispers(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    db: PgPool,
    redis: Option<Meeting>,
}

/// Where the servers of a realm meet.
#[derive(Debug)]
struct Meeting {
    redis: Redis,
    realm: OnceCell<Realm>,
    line: Mutex<Line>,
}

/// The connection that is kept, or when there was last none to be had.
#[derive(Debug, Default)]
struct Line {
    connection: Option<Connection>,
    failed_at: Option<Instant>,
}

impl Whispers {
    /// Through Redis if there is one. Nothing is asked yet.
    pub fn new(db: PgPool, redis: Option<Redis>) -> Self {
        let redis = redis.map(|redis| Meeting { redis, realm: OnceCell::new(), line: Mutex::default() });
        Self(Arc::new(Inner { db, redis }))
    }

    /// Says some things to all notify servers. What cannot be said is forgotten.
    pub async fn say(&self, whispers: &[Whisper]) {
        for parcel in parcels(whispers) {
            if let Err(error) = self.send(&parcel).await {
                tracing::debug!(%error, "a whisper was not heard");
            }
        }
    }

    async fn send(&self, parcel: &str) -> Result<()> {
        if let Some(meeting) = &self.0.redis {
            match meeting.publish(&self.0.db, parcel).await {
                Ok(()) => return Ok(()),
                // Those who doubt Redis listen to the database.
                Err(error) => tracing::debug!(%error, "whispering through the database"),
            }
        }
        sqlx::query("select pg_notify($1, $2)").bind(CHANNEL).bind(parcel).execute(&self.0.db).await?;
        Ok(())
    }

    /// What is whispered through Redis, parcel by parcel, until nothing is for a
    /// while: the connection may be half open, so it is time for another. For ever
    /// nothing, where there is no Redis.
    pub async fn hear(&self, mut heard: impl FnMut(Vec<Whisper>)) -> Result<()> {
        let Some(meeting) = &self.0.redis else { return std::future::pending().await };
        let (realm, channel) = meeting.channel(&self.0.db).await?;
        let mut messages = meeting.redis.subscribe(&channel).await?.into_on_message();
        while let Ok(message) = timeout(SILENCE, messages.next()).await {
            let message = message.ok_or_else(|| Error::Unavailable("Redis has closed the connection".into()))?;
            match realm.open(&channel, message.get_payload_bytes()).and_then(open) {
                Ok(whispers) => heard(whispers),
                Err(error) => tracing::warn!(%error, "somebody else whispers on our channel in Redis"),
            }
        }
        Ok(())
    }
}

/// What is in a parcel.
pub fn open(parcel: &[u8]) -> Result<Vec<Whisper>> {
    serde_json::from_slice(parcel).map_err(Error::internal)
}

impl Meeting {
    async fn channel(&self, db: &PgPool) -> Result<(&Realm, String)> {
        let realm = self.realm.get_or_try_init(|| Realm::of(db)).await?;
        Ok((realm, realm.key(CHANNEL)))
    }

    async fn publish(&self, db: &PgPool, parcel: &str) -> Result<()> {
        let (realm, channel) = self.channel(db).await?;
        let sealed = realm.seal(&channel, parcel.as_bytes());
        let mut line = self.line.lock().await;
        if line.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return Err(Error::Unavailable("Redis has just failed".into()));
        }
        let kept = line.connection.take();
        let published = async {
            let mut connection = match kept {
                Some(connection) => connection,
                None => self.redis.connect().await?,
            };
            let () = connection.publish(&channel, sealed).await.map_err(away)?;
            Ok(connection)
        };
        let (connection, outcome) = match published.await {
            Ok(connection) => (Some(connection), Ok(())),
            Err(error) => (None, Err(error)),
        };
        *line = Line { failed_at: outcome.is_err().then(Instant::now), connection };
        outcome
    }
}

/// As few parcels as hold them all.
fn parcels(whispers: &[Whisper]) -> Vec<String> {
    let mut parcels: Vec<String> = Vec::new();
    for whisper in whispers {
        let Ok(text) = serde_json::to_string(whisper) else { continue };
        match parcels.last_mut() {
            Some(parcel) if parcel.len() + text.len() < MAX_PARCEL => {
                parcel.push(',');
                parcel.push_str(&text);
            }
            _ => parcels.push(format!("[{text}")),
        }
    }
    parcels.iter_mut().for_each(|parcel| parcel.push(']'));
    parcels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_whispers_travel_in_few_parcels_and_all_arrive() {
        let whispers: Vec<Whisper> = (1..1_000)
            .map(|id| {
                Whisper::Typing(Typing {
                    chat_id: id.try_into().expect("an id"),
                    user_id: id.try_into().expect("an id"),
                    username: "somebody".into(),
                    expires_in_ms: 6_000,
                })
            })
            .collect();
        let parcels = parcels(&whispers);
        assert!(parcels.len() < 20 && parcels.iter().all(|parcel| parcel.len() < 7_999), "{}", parcels.len());
        let arrived: Vec<Whisper> =
            parcels.iter().flat_map(|parcel| open(parcel.as_bytes()).expect("a parcel")).collect();
        assert_eq!(arrived, whispers);
    }
}
