//! Identifiers. Each table has its own type, so that a chat id cannot be used as a
//! user id. Each id is an integer that JavaScript represents exactly.

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize};
use std::{borrow::Cow, fmt, str::FromStr};

/// The largest id: 2^53 − 1, the largest integer that is exact in a JSON number
/// for every client.
pub const MAX_ID: i64 = (1 << 53) - 1;

/// The error for text or a number that is not an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an id must be an integer from 1 to 9007199254740991")]
pub struct InvalidId;

macro_rules! ids {
    ($($(#[doc = $doc:literal])* $name:ident)*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, sqlx::Type)]
        #[serde(transparent)]
        #[sqlx(transparent)]
        pub struct $name(i64);

        impl $name {
            /// The smallest id.
            pub const MIN: Self = Self(1);

            /// Returns the number.
            pub const fn get(self) -> i64 {
                self.0
            }
        }

        impl TryFrom<i64> for $name {
            type Error = InvalidId;

            fn try_from(number: i64) -> Result<Self, InvalidId> {
                (1..=MAX_ID).contains(&number).then_some(Self(number)).ok_or(InvalidId)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                // Each id has exactly one text form: no plus sign, no leading zeros.
                if text.starts_with('0') || !text.bytes().all(|byte| byte.is_ascii_digit()) {
                    return Err(InvalidId);
                }
                text.parse::<i64>().map_err(|_| InvalidId)?.try_into()
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                i64::deserialize(from)?.try_into().map_err(serde::de::Error::custom)
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                let meaning = concat!($($doc),*).trim();
                json_schema!({
                    "description": meaning, "type": "integer", "format": "int64", "minimum": 1, "maximum": MAX_ID,
                })
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.0)
            }
        }
    )*};
}

ids! {
    /// A user.
    UserId
    /// A direct chat, a group or a channel.
    ChatId
    /// A message. Message ids increase in commit order.
    MessageId
    /// An uploaded file.
    FileId
    /// An incoming webhook of a chat.
    WebhookId
    /// An endpoint of outgoing webhooks: a URL of another server.
    EndpointId
    /// A bridge: an account on another network, such as WhatsApp, whose conversations are chats here.
    BridgeId
    /// A chat that a bridge connects to a conversation on another network.
    BridgeChatId
    /// A destination of the outbox: an endpoint or a connected chat.
    LaneId
    /// A delivery to another server: an entry of the outbox. Later deliveries have higher ids.
    DeliveryId
    /// An item of an inbox. Item ids increase in commit order.
    InboxItemId
    /// A saved message. Later ones have higher ids.
    SavedMessageId
    /// An entry of the audit log. Later entries have higher ids.
    AuditEntryId
    /// A position in the event log. Event ids increase in commit order.
    EventId
}

impl EventId {
    /// The position before the first event.
    pub const START: Self = Self(0);

    /// Returns the position `events` earlier, or the start.
    pub fn saturating_sub(self, events: i64) -> Self {
        Self((self.0 - events).max(0))
    }
}

impl From<EndpointId> for LaneId {
    fn from(EndpointId(id): EndpointId) -> Self {
        Self(id)
    }
}

impl From<LaneId> for EndpointId {
    fn from(LaneId(id): LaneId) -> Self {
        Self(id)
    }
}

impl From<BridgeChatId> for LaneId {
    fn from(BridgeChatId(id): BridgeChatId) -> Self {
        Self(id)
    }
}

impl Default for EventId {
    fn default() -> Self {
        Self::START
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_is_a_positive_number_below_two_to_the_53() {
        for good in ["1", "42", "9007199254740991"] {
            assert!(good.parse::<ChatId>().is_ok(), "{good}");
        }
        for bad in ["0", "01", "-1", "+1", "", "abc", "1.0", "9007199254740992", "99999999999999999999"] {
            assert_eq!(bad.parse::<ChatId>(), Err(InvalidId), "{bad}");
        }
    }
}
