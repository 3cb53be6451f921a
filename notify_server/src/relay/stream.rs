//! A follower's ear: reads the stream in Redis, on a connection of its own, and
//! believes nothing that does not bear the realm's seal.

use super::{Piece, publisher::FIELD, stream_key};
use chat_core::{
    Error, EventId, Result,
    events::Epoch,
    realm::Realm,
    redis::{Connection, Redis, away},
};
use redis::{
    AsyncCommands, FromRedisValue,
    streams::{StreamReadOptions, StreamReadReply},
};

/// How long one question waits for an answer, in milliseconds.
const BLOCK_MS: usize = 5_000;

/// How many entries are read at once.
const COUNT: usize = 64;

/// The stream of one history, read from some position on.
pub(crate) struct Stream<'a> {
    connection: Connection,
    realm: &'a Realm,
    key: String,
    after: String,
}

impl<'a> Stream<'a> {
    pub(super) async fn open(redis: &Redis, realm: &'a Realm, epoch: &Epoch, after: EventId) -> Result<Self> {
        let key = stream_key(realm, epoch);
        Ok(Self { connection: redis.connect_to_wait().await?, realm, key, after: format!("{after}-0") })
    }

    /// Waits for the next pieces, and answers none when nothing came for a while.
    /// An entry that no server of this realm wrote is an error.
    pub(crate) async fn next(&mut self) -> Result<Vec<Piece>> {
        let options = StreamReadOptions::default().block(BLOCK_MS).count(COUNT);
        let keys = [self.key.as_str()];
        let found: Option<StreamReadReply> =
            self.connection.xread_options(&keys, &[self.after.as_str()], &options).await.map_err(away)?;
        let mut pieces = Vec::new();
        for entry in found.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            let sealed = entry.map.get(FIELD).ok_or_else(|| Error::internal("an entry without a piece"))?;
            let sealed = Vec::<u8>::from_redis_value_ref(sealed).map_err(Error::internal)?;
            pieces.push(Piece::read(self.realm.open(&self.key, &sealed)?)?);
            self.after = entry.id;
        }
        Ok(pieces)
    }
}
