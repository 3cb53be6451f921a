//! The cursor: a position in the event log, the same on every transport.

use crate::EventId;
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

/// The position of a client in the event log: `<epoch>-<event id>`, opaque to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The history.
    pub epoch: Epoch,
    /// The last event that the client has.
    pub position: EventId,
}

/// The error for text that is not a cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("invalid cursor; send an event id from the stream unchanged")]
pub struct InvalidCursor;

impl fmt::Display for Cursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.epoch, self.position)
    }
}

impl FromStr for Cursor {
    type Err = InvalidCursor;

    fn from_str(text: &str) -> Result<Self, InvalidCursor> {
        let (epoch, position) = text.split_once('-').ok_or(InvalidCursor)?;
        let is_epoch = epoch.len() == 10 && epoch.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !is_epoch {
            return Err(InvalidCursor);
        }
        let position = match position {
            "0" => EventId::START,
            digits => digits.parse().map_err(|_| InvalidCursor)?,
        };
        Ok(Self { epoch: Epoch(epoch.into()), position })
    }
}

impl JsonSchema for Cursor {
    fn schema_name() -> Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "An opaque position in the event log. Send it back unchanged.", "type": "string",
            "pattern": "^[0-9a-f]{10}-(0|[1-9][0-9]*)$", "examples": ["0a1b2c3d4e-17"],
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
        for position in [EventId::START, "1".parse().expect("id"), "9007199254740991".parse().expect("id")] {
            let cursor = Cursor { epoch: Epoch::of(7, "00000001", 5), position };
            assert_eq!(cursor.to_string().parse(), Ok(cursor));
        }
    }

    #[test]
    fn garbage_is_not_a_cursor() {
        for bad in
            ["", "-", "7", "0123456789", "0123456789-", "0123456789--1", "0123456789-x", "012345678G-1", "01234567-1"]
        {
            assert_eq!(bad.parse::<Cursor>(), Err(InvalidCursor), "{bad}");
        }
    }
}
