//! The encoding of a log batch between replicas: one header line, then two lines for
//! each event. The second line is the event's data as stored in the log.

use chat_core::{
    ChatId, Error, EventId, MessageId, Result, Time, UserId,
    events::{Cursor, Epoch, LogEntry, Position},
};
use serde::{Deserialize, Serialize};

/// All events after one position up to another position.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct LogBatch {
    pub(crate) epoch: Epoch,
    pub(crate) after: Position,
    pub(crate) end: Position,
    pub(crate) entries: Vec<LogEntry>,
}

/// The fields that routing needs, encoded as a JSON array to save the field names.
#[derive(Serialize, Deserialize)]
struct EntryHeader<'a>(
    EventId,
    #[serde(borrow)] std::borrow::Cow<'a, str>,
    Option<ChatId>,
    Option<UserId>,
    Option<MessageId>,
    Time,
    #[serde(default)] Vec<ChatId>,
);

impl LogBatch {
    /// Encodes the batch.
    pub(crate) fn encode(&self) -> Result<Vec<u8>> {
        let at = |position| Cursor { epoch: self.epoch.clone(), position };
        let size: usize = self.entries.iter().map(|entry| entry.data.len() + 96).sum();
        let mut bytes = Vec::with_capacity(size + 64);
        bytes.extend_from_slice(format!("{} {}\n", at(self.after), at(self.end)).as_bytes());
        for entry in &self.entries {
            let header = EntryHeader(
                entry.id,
                entry.kind.as_str().into(),
                entry.chat_id,
                entry.user_id,
                entry.message_id,
                entry.at,
                entry.chat_ids.clone(),
            );
            serde_json::to_writer(&mut bytes, &header).map_err(Error::internal)?;
            bytes.push(b'\n');
            bytes.extend_from_slice(entry.data.as_bytes());
            bytes.push(b'\n');
        }
        Ok(bytes)
    }

    /// Whether the batch continues at a position: it begins there, or contains its event.
    pub(crate) fn follows(&self, position: Position) -> bool {
        self.after == position || self.entries.iter().any(|entry| entry.position() == position)
    }

    /// Decodes the output of `encode`.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let mut lines = std::str::from_utf8(bytes).map_err(Error::internal)?.lines();
        let mut line = || lines.next().ok_or_else(|| Error::internal("the batch is truncated"));
        let (after, end) = line()?.split_once(' ').ok_or_else(|| Error::internal("the batch header is malformed"))?;
        let after: Cursor = after.parse().map_err(Error::internal)?;
        let end: Cursor = end.parse().map_err(Error::internal)?;
        let mut entries = Vec::new();
        while let Ok(header) = line() {
            let EntryHeader(id, kind, chat_id, user_id, message_id, at, chat_ids) =
                serde_json::from_str(header).map_err(Error::internal)?;
            entries.push(LogEntry {
                id,
                kind: kind.into_owned(),
                chat_id,
                user_id,
                chat_ids,
                message_id,
                at,
                data: line()?.to_owned(),
            });
        }
        Ok(Self { epoch: end.epoch, after: after.position, end: end.position, entries })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn entry() -> impl Strategy<Value = LogEntry> {
        let id = 1..1_000_000i64;
        let word = "[^\\r\\n]{0,40}";
        (id, "[a-z.]{1,20}", proptest::option::of(1..99i64), proptest::option::of(1..99i64), word).prop_map(
            |(id, kind, chat, user, word)| LogEntry {
                id: id.try_into().expect("an id"),
                kind,
                chat_id: chat.map(|id| id.try_into().expect("an id")),
                user_id: user.map(|id| id.try_into().expect("an id")),
                chat_ids: chat.into_iter().chain(user).map(|id| id.try_into().expect("an id")).collect(),
                message_id: user.map(|id| id.try_into().expect("an id")),
                at: Time(chrono::DateTime::UNIX_EPOCH + chrono::Duration::microseconds(id * 7)),
                data: serde_json::json!({ "word": word }).to_string(),
            },
        )
    }

    proptest! {
        #[test]
        fn a_batch_decodes_as_it_was_encoded(entries in proptest::collection::vec(entry(), 0..8), to in 1..99i64) {
            let batch = LogBatch {
                epoch: Epoch::of(1, "00000001", 1),
                after: Position::START,
                end: Position { id: to.try_into().expect("an id"), tag: None },
                entries,
            };
            prop_assert_eq!(LogBatch::decode(&batch.encode().expect("written")).expect("read"), batch);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..256)) {
            let _ = LogBatch::decode(&bytes);
        }
    }
}
