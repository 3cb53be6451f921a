//! Reads the stream in Redis for a follower, on a dedicated connection. Rejects every
//! entry that is not signed with the cluster key.

use super::{LogBatch, publisher::BATCH_FIELD, stream_key};
use chat_core::{
    Error, EventId, Result,
    cluster_key::ClusterKey,
    events::Epoch,
    redis::{Connection, Redis, unavailable},
};
use redis::{
    AsyncCommands, FromRedisValue,
    streams::{StreamReadOptions, StreamReadReply},
};

/// Maximum time that one read waits for entries, in milliseconds.
const BLOCK_MS: usize = 5_000;

/// Maximum number of entries read at once.
const MAX_ENTRIES_PER_READ: usize = 64;

/// A reader of one history's stream, starting after a position.
pub(crate) struct StreamReader<'a> {
    connection: Connection,
    cluster_key: &'a ClusterKey,
    key: String,
    after: String,
}

impl<'a> StreamReader<'a> {
    pub(super) async fn open(
        redis: &Redis,
        cluster_key: &'a ClusterKey,
        epoch: &Epoch,
        after: EventId,
    ) -> Result<Self> {
        let key = stream_key(cluster_key, epoch);
        Ok(Self { connection: redis.connect_blocking().await?, cluster_key, key, after: format!("{after}-0") })
    }

    /// Waits for the next batches. Returns an empty list if no batch arrives within
    /// `BLOCK_MS`. An entry without a valid signature of this cluster is an error.
    pub(crate) async fn next(&mut self) -> Result<Vec<LogBatch>> {
        let options = StreamReadOptions::default().block(BLOCK_MS).count(MAX_ENTRIES_PER_READ);
        let keys = [self.key.as_str()];
        let reply: Option<StreamReadReply> =
            self.connection.xread_options(&keys, &[self.after.as_str()], &options).await.map_err(unavailable)?;
        let mut batches = Vec::new();
        for entry in reply.into_iter().flat_map(|reply| reply.keys).flat_map(|key| key.ids) {
            let signed = entry.map.get(BATCH_FIELD).ok_or_else(|| Error::internal("the stream entry has no batch"))?;
            let signed = Vec::<u8>::from_redis_value_ref(signed).map_err(Error::internal)?;
            batches.push(LogBatch::decode(self.cluster_key.verify(&self.key, &signed)?)?);
            self.after = entry.id;
        }
        Ok(batches)
    }
}
