//! The payloads of ephemeral events.

use crate::{ChatId, Time, UserId, values::deserialize_variant};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

/// A user is typing in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Typing {
    /// The chat.
    pub chat_id: ChatId,
    /// The user.
    pub user_id: UserId,
    /// The username, for display.
    pub username: String,
    /// How long the indicator is valid unless it is repeated, in milliseconds; 0 if the
    /// user has stopped typing.
    pub expires_in_ms: u64,
}

/// The status of a user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// Connected.
    Online,
    /// Connected, but away.
    Away,
    /// Connected, but does not want to be disturbed.
    Busy,
    /// Not connected, or chose to appear offline.
    Offline,
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        const VARIANTS: [(&str, Status); 4] =
            [("online", Status::Online), ("away", Status::Away), ("busy", Status::Busy), ("offline", Status::Offline)];
        deserialize_variant(deserializer, &VARIANTS)
    }
}

/// The presence of a user, as others see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// The user.
    pub user_id: UserId,
    /// The status that others see.
    pub status: Status,
    /// When the user was last connected, if ever.
    pub last_seen: Option<Time>,
}

/// An event that is delivered at most once and never stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum EphemeralEvent {
    /// Sent to the members of the chat.
    Typing(Typing),
    /// Sent to the users who share a chat with this user.
    Presence(Presence),
    /// Sent to one user, to whom the presence of another looks different now.
    PresenceFor {
        /// The user who receives it.
        recipient: UserId,
        /// What the recipient sees.
        presence: Presence,
    },
}
