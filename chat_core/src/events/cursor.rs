//! The cursor: a position in the event log, the same on every transport.

use crate::{EventId, Time};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::{borrow::Cow, fmt, str::FromStr};

/// The history that a position belongs to: ten hexadecimal digits of a hash over
/// the database's identity and timeline. A restore or a failover starts a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Epoch(Box<str>);

impl Epoch {
    /// Derives the epoch from the system identifier of a Postgres cluster, its
    /// timeline and the database in it.
    pub fn of(system: i64, timeline: &str, database: i64) -> Self {
        let mut digits = hex::encode(Sha256::digest(format!("{system}/{timeline}/{database}")));
        digits.truncate(10);
        Self(digits.into())
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Distinguishes an event from one that has the same id in another history.
///
/// After an older copy of the database is put back, the log assigns the lost ids again,
/// in the same epoch, to events with other times. The tag is a digest of the time in
/// microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag(u32);

impl Tag {
    /// Returns the tag of an event that was appended at this time.
    pub fn of(at: Time) -> Self {
        let microseconds = at.0.timestamp_micros();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "both halves are used")]
        Self((microseconds >> 32) as u32 ^ microseconds as u32)
    }
}

/// A position in the event log: after one event, or at the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position {
    /// The event.
    pub id: EventId,
    /// The tag of the event; `None` at the start.
    pub tag: Option<Tag>,
}

impl Position {
    /// The position before the first event.
    pub const START: Self = Self { id: EventId::START, tag: None };

    /// Returns the position after an event.
    pub fn after(id: EventId, at: Time) -> Self {
        Self { id, tag: Some(Tag::of(at)) }
    }

    /// Writes the cursor of this position.
    pub(super) fn write_cursor(self, epoch: &Epoch, to: &mut impl fmt::Write) -> fmt::Result {
        match self.tag {
            Some(Tag(tag)) => write!(to, "{epoch}.{tag:08x}-{}", self.id),
            None => write!(to, "{epoch}-{}", self.id),
        }
    }
}

/// The position of a client in the event log: `<epoch>.<tag>-<event id>`, or `<epoch>-0`
/// at the start. Opaque to the client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The history.
    pub epoch: Epoch,
    /// The last event that the client has.
    pub position: Position,
}

/// The error for text that is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid cursor; send an event id from the stream unchanged")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.position.write_cursor(&self.epoch, f)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let is_hex = |digits: &str| digits.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        let (history, id) = text.split_once('-').ok_or(InvalidCursor)?;
        let (epoch, tag) = match history.split_once('.') {
            Some((epoch, tag)) if tag.len() == 8 && is_hex(tag) => (epoch, Some(tag)),
            Some(_) => return Err(InvalidCursor),
            None => (history, None),
        };
        if epoch.len() != 10 || !is_hex(epoch) {
            return Err(InvalidCursor);
        }
        let id = match id {
            "0" if tag.is_none() => EventId::START,
            digits => digits.parse().map_err(|_| InvalidCursor)?,
        };
        let tag = tag.map(|tag| u32::from_str_radix(tag, 16)).transpose().map_err(|_| InvalidCursor)?.map(Tag);
        Ok(Self { epoch: Epoch(epoch.into()), position: Position { id, tag } })
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An opaque position in the event log. Send it back unchanged.", "type": "string",
            "pattern": "^[0-9a-f]{10}([.][0-9a-f]{8})?-(0|[1-9][0-9]*)$", "examples": ["0a1b2c3d4e.5f60718a-17"],
        })
    }
}

impl Serialize for Cursor {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Cursor {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_as_it_was_written() {
        let at = |id: &str, micros| {
            let time = chrono::DateTime::from_timestamp_micros(micros).expect("a time");
            Position::after(id.parse().expect("an id"), Time(time))
        };
        for position in [Position::START, at("1", 0), at("9007199254740991", 1_764_374_400_123_456)] {
            let cursor = Cursor { epoch: Epoch::of(7, "00000001", 5), position };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn garbage_is_not_a_cursor() {
        for bad in [
            "",
            "-",
            "7",
            "0123456789",
            "0123456789-",
            "0123456789--1",
            "0123456789-x",
            "012345678G-1",
            "01234567-1",
            "0123456789.-1",
            "0123456789.0123456-1",
            "0123456789.0123456G-1",
            "0123456789.01234567-0",
            "0123456789-1.01234567",
        ] {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }
}
