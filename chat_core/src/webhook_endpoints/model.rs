//! The types of endpoints, as the API describes them.

use crate::{
    ChatId, EndpointId, Time, UserId,
    outgoing::MAX_URL_BYTES,
    values::{EndpointDescription, deserialize_nullable},
};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, de};
use std::borrow::Cow;

/// The types of events that endpoints receive: all that concern a chat, except those about one
/// member's own settings. Endpoints also receive `log.gap` and `test`.
pub const EVENT_TYPES: [&str; 18] = [
    "message.new",
    "message.updated",
    "message.deleted",
    "message.delivered",
    "message.read",
    "message.pinned",
    "message.unpinned",
    "reaction.added",
    "reaction.removed",
    "chat.new",
    "chat.updated",
    "chat.trimmed",
    "chat.deleted",
    "chat.added",
    "chat.removed",
    "member.joined",
    "member.left",
    "member.updated",
];

/// A type of event that endpoints receive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventType(&'static str);

impl EventType {
    /// Returns the type if endpoints receive it.
    pub fn parse(name: &str) -> Option<Self> {
        EVENT_TYPES.iter().find(|known| **known == name).map(|known| Self(known))
    }

    /// Returns the name.
    pub fn name(self) -> &'static str {
        self.0
    }
}

impl<'de> Deserialize<'de> for EventType {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let name = String::deserialize(from)?;
        Self::parse(&name).ok_or_else(|| de::Error::custom(format!("must be one of {}", EVENT_TYPES.join(", "))))
    }
}

impl JsonSchema for EventType {
    fn schema_name() -> Cow<'static, str> {
        "WebhookEventType".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A type of event that endpoints of webhooks receive.", "type": "string", "enum": EVENT_TYPES,
        })
    }
}

/// Which events an endpoint receives.
#[derive(Debug, Clone, sqlx::FromRow)]
pub(crate) struct EventFilter {
    event_types: Option<Vec<String>>,
    chat_ids: Option<Vec<ChatId>>,
}

impl EventFilter {
    /// Whether the endpoint receives an event that its user may receive.
    pub(crate) fn matches(&self, kind: &str, chat: Option<ChatId>) -> bool {
        EventType::parse(kind).is_some()
            && chat.is_some_and(|chat| self.chat_ids.as_ref().is_none_or(|chats| chats.contains(&chat)))
            && self.event_types.as_ref().is_none_or(|types| types.iter().any(|one| one == kind))
    }
}

/// An endpoint to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewWebhookEndpoint")]
pub struct NewEndpoint {
    /// Where the events are sent. It must be https, and public, unless the administrator allows
    /// the host.
    #[schemars(length(min = 1, max = MAX_URL_BYTES))]
    pub url: String,
    /// What the endpoint is for.
    #[serde(default)]
    pub description: Option<EndpointDescription>,
    /// The only types of events that are sent; all types if absent.
    #[serde(default)]
    #[schemars(length(min = 1, max = EVENT_TYPES.len()))]
    pub event_types: Option<Vec<EventType>>,
    /// The only chats whose events are sent; all chats of the user if absent.
    #[serde(default)]
    #[schemars(length(min = 1, max = 100))]
    pub chat_ids: Option<Vec<ChatId>>,
    /// The bot of the caller whose events are sent; the caller's own if absent.
    #[serde(default)]
    pub bot_id: Option<UserId>,
}

/// Changes to an endpoint; absent fields stay unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "WebhookEndpointPatch")]
pub struct EndpointPatch {
    /// Where the events are sent.
    #[schemars(length(min = 1, max = MAX_URL_BYTES))]
    pub url: Option<String>,
    /// What the endpoint is for.
    pub description: Option<EndpointDescription>,
    /// The only types of events that are sent; null means all.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schemars(with = "Option<Vec<EventType>>")]
    pub event_types: Option<Option<Vec<EventType>>>,
    /// The only chats whose events are sent; null means all chats of the user.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schemars(with = "Option<Vec<ChatId>>")]
    pub chat_ids: Option<Option<Vec<ChatId>>>,
    /// Whether events are sent. What happened while it was disabled is not sent, unless it is
    /// replayed.
    pub is_enabled: Option<bool>,
}

/// Why an endpoint is disabled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum DisabledReason {
    /// The owner disabled it.
    Owner,
    /// Every attempt failed for three days.
    Failing,
    /// It answered 410 Gone.
    Gone,
    /// More than 20,000 deliveries waited for it.
    Backlog,
    /// All sessions of the owner were ended, for example because the password changed.
    SessionsEnded,
}

/// An endpoint, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
#[schemars(rename = "WebhookEndpoint")]
pub struct Endpoint {
    /// The id.
    pub id: EndpointId,
    /// Whose events are sent: the caller's or those of one of the caller's bots.
    pub user_id: UserId,
    /// Where the events are sent.
    pub url: String,
    /// What the endpoint is for; may be empty.
    pub description: String,
    /// The only types of events that are sent; null means all.
    pub event_types: Option<Vec<String>>,
    /// The only chats whose events are sent; null means all chats of the user.
    pub chat_ids: Option<Vec<ChatId>>,
    /// When it was created.
    pub created_at: Time,
    /// When it was disabled; null while it is enabled.
    pub disabled_at: Option<Time>,
    /// Why it is disabled; null while it is enabled.
    pub disabled_reason: Option<DisabledReason>,
    /// Since when every attempt fails; null if the last one succeeded.
    pub failing_since: Option<Time>,
}

impl Endpoint {
    /// Returns which events the endpoint receives.
    pub(crate) fn filter(&self) -> EventFilter {
        EventFilter { event_types: self.event_types.clone(), chat_ids: self.chat_ids.clone() }
    }
}

/// An endpoint with its signing secret, which is shown only once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookEndpointWithSecret")]
pub struct EndpointWithSecret {
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// The secret that signs the deliveries: `whsec_` and a key in Base64. It cannot be read
    /// again.
    pub secret: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_known_names() {
        assert!(EventType::parse("message.new").is_some());
        for other in ["read_state", "typing", "user.updated", "message.New", ""] {
            assert!(EventType::parse(other).is_none(), "{other}");
        }
    }
}
