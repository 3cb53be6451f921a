//! The leader's pen: appends what was read to the stream in Redis. It never holds
//! the leader up; what it cannot append, the others read from the log.

use super::{Piece, stream_key};
use crate::figures::Figures;
use chat_core::{
    Error, EventId, Result, events,
    realm::Realm,
    redis::{Connection, Redis, away},
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

/// How many pieces may wait; more are dropped, and read from the log.
const QUEUE: usize = 64;

/// How many pieces the stream holds. A replica that is further behind reads the
/// log; a piece is at most about 1 MiB, and mostly far less.
const MAX_PIECES: usize = 256;

/// How long Redis is left alone after it failed.
const PAUSE: Duration = Duration::from_millis(250);

/// The one field of an entry.
pub(super) const FIELD: &str = "piece";

/// A handle to the task that appends.
#[derive(Debug)]
pub(crate) struct Publisher {
    queue: mpsc::Sender<Arc<Piece>>,
    figures: Arc<Figures>,
}

impl Publisher {
    pub(crate) fn start(redis: Redis, db: PgPool, figures: Arc<Figures>, shutdown: CancellationToken) -> Self {
        let (queue, mut pieces) = mpsc::channel::<Arc<Piece>>(QUEUE);
        let mut pen = Pen { redis, db, realm: None, connection: None, failed_at: None };
        let counted = Arc::clone(&figures);
        tokio::spawn(async move {
            while let Some(Some(piece)) = shutdown.run_until_cancelled(pieces.recv()).await {
                match pen.append(&piece).await {
                    Ok(true) => counted.relayed("appended"),
                    Ok(false) => counted.relayed("dropped"),
                    Err(error) => {
                        counted.relayed("failed");
                        tracing::warn!(%error, cause = cause(&error), "cannot append to the stream in Redis");
                        pen.failed_at = Some(Instant::now());
                        pen.connection = None;
                    }
                }
            }
        });
        Self { queue, figures }
    }

    /// Appends a piece, soon, if all goes well.
    pub(crate) fn offer(&self, piece: Arc<Piece>) {
        if self.queue.try_send(piece).is_err() {
            self.figures.relayed("dropped");
        }
    }
}

pub(crate) fn cause(error: &Error) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}

struct Pen {
    redis: Redis,
    db: PgPool,
    realm: Option<Realm>,
    connection: Option<Connection>,
    failed_at: Option<Instant>,
}

impl Pen {
    /// Appends a piece; false if Redis is left alone for now.
    async fn append(&mut self, piece: &Piece) -> Result<bool> {
        if self.failed_at.is_some_and(|at| at.elapsed() < PAUSE) {
            return Ok(false);
        }
        if self.realm.is_none() {
            self.realm = Some(Realm::of(&self.db).await?);
        }
        if self.connection.is_none() {
            self.connection = Some(self.redis.connect().await?);
        }
        let (Some(realm), Some(connection)) = (&self.realm, &mut self.connection) else { return Ok(false) };
        let key = stream_key(realm, &piece.epoch);
        let sealed = realm.seal(&key, &piece.write()?);
        let Err(refused) = add(connection, &key, piece.upto, &sealed).await else { return Ok(true) };
        // Mostly a piece that another leader has appended. But a stream that is
        // ahead of the log itself has nothing to do with it.
        let top = top(connection, &key).await?;
        if top.is_none_or(|top| top <= piece.upto.get()) {
            return if top.is_some() { Ok(true) } else { Err(refused) };
        }
        let last = events::head(&self.db).await?.last;
        if top.is_some_and(|top| top > last.get()) {
            tracing::warn!(stream = %key, ?top, %last, "the stream in Redis is ahead of the log; beginning a new one");
            let () = connection.del(&key).await.map_err(away)?;
            add(connection, &key, piece.upto, &sealed).await?;
        }
        Ok(true)
    }
}

/// With the position as the entry's id: Redis refuses a leader that is behind.
async fn add(connection: &mut Connection, key: &str, upto: EventId, sealed: &[u8]) -> Result<()> {
    let id = format!("{upto}-0");
    let _: Option<String> =
        connection.xadd_maxlen(key, StreamMaxlen::Approx(MAX_PIECES), id, &[(FIELD, sealed)]).await.map_err(away)?;
    Ok(())
}

/// The position of the last entry.
async fn top(connection: &mut Connection, key: &str) -> Result<Option<i64>> {
    let found: StreamRangeReply = connection.xrevrange_count(key, "+", "-", 1).await.map_err(away)?;
    let id = found.ids.first().and_then(|entry| entry.id.split('-').next()?.parse::<u64>().ok());
    Ok(id.map(|id| i64::try_from(id).unwrap_or(i64::MAX)))
}
