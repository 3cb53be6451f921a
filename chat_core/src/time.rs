//! The wire format of time, and the only place that reads the clock.

use chrono::{DateTime, Utc};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Cow;

/// An instant: RFC 3339 in UTC with microseconds, the same text that the
/// database's `to_rfc3339` writes into events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Deserialize, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct Time(pub DateTime<Utc>);

impl JsonSchema for Time {
    fn schema_name() -> Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "RFC 3339 in UTC with microseconds.", "type": "string", "format": "date-time",
            "examples": ["2026-01-31T12:00:00.000000Z"],
        })
    }
}

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&self.0.format("%Y-%m-%dT%H:%M:%S%.6fZ"))
    }
}

/// Reads the wall clock, for token lifetimes. Stored times come from the database.
#[expect(clippy::disallowed_methods, reason = "this is the clock that the lint points to")]
pub fn now() -> DateTime<Utc> {
    Utc::now()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_always_has_six_digits_and_a_z() {
        let at: Time = serde_json::from_str("\"2026-01-02T03:04:05Z\"").expect("RFC 3339");
        assert_eq!(serde_json::to_string(&at).expect("text"), "\"2026-01-02T03:04:05.000000Z\"");
    }
}
