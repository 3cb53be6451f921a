//! Resources: chats and messages, which clients read by their URIs and follow (`subscription`).

use crate::{
    api::{Api, CallError},
    call,
    summary::{ChatResource, MAX_CHATS, other_person},
    text::clean_name,
};
use chat_core::{
    ChatId, MessageId,
    chats::{ChatSummary, ChatType},
    events::{self, EventHeader},
};
use rmcp::model::{Resource, ResourceTemplate};
use serde_json::Value;
use std::{fmt, str::FromStr};

/// The media type of all resources.
pub(crate) const MIME_TYPE: &str = "application/json";

/// How a URI begins.
const PREFIX: &str = "confab://chats/";

/// Maximum length of the name of a resource, in bytes.
const MAX_NAME_BYTES: usize = 200;

/// The URI of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum ResourceUri {
    /// A chat with its newest messages.
    Chat(ChatId),
    /// A message of a chat.
    Message(ChatId, MessageId),
}

impl ResourceUri {
    /// The chat that is read.
    pub(crate) fn chat(self) -> ChatId {
        match self {
            Self::Chat(chat) | Self::Message(chat, _) => chat,
        }
    }

    /// Whether an event changes what a user reads here.
    pub(crate) fn is_changed_by(self, event: &EventHeader) -> bool {
        event.chat_id == Some(self.chat())
            && !events::is_receipt(&event.kind)
            && match self {
                Self::Chat(_) => true,
                // Retention deletes all messages up to this one.
                Self::Message(_, message) if event.kind == "chat.trimmed" => event.message_id >= Some(message),
                Self::Message(_, message) => event.message_id == Some(message),
            }
    }
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chat(chat) => write!(f, "{PREFIX}{chat}"),
            Self::Message(chat, message) => write!(f, "{PREFIX}{chat}/messages/{message}"),
        }
    }
}

/// The error for text that is not the URI of a resource.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct InvalidUri;

impl FromStr for ResourceUri {
    type Err = InvalidUri;

    fn from_str(text: &str) -> Result<Self, InvalidUri> {
        let rest = text.strip_prefix(PREFIX).ok_or(InvalidUri)?;
        let uri = match rest.split_once("/messages/") {
            Some((chat, message)) => Self::Message(parse_id(chat)?, parse_id(message)?),
            None => Self::Chat(parse_id(rest)?),
        };
        // Each resource has one URI.
        if uri.to_string() == text { Ok(uri) } else { Err(InvalidUri) }
    }
}

fn parse_id<T: FromStr>(text: &str) -> Result<T, InvalidUri> {
    text.parse().map_err(|_| InvalidUri)
}

/// Lists the chats of the caller, the most recently active first.
pub(crate) async fn list(api: &Api<'_>) -> Result<Vec<Resource>, CallError> {
    let mut chats = call::load_chats(api).await?;
    chats.truncate(MAX_CHATS);
    let people = call::load_people(api, chats.iter().filter_map(|summary| other_person(summary, api.user))).await;
    let describe = |summary: &ChatSummary| {
        let chat = &summary.chat;
        let name = match other_person(summary, api.user).and_then(|id| people.get(&id)) {
            Some(person) => format!("@{}", person.username()),
            None => clean_name(&chat.name, MAX_NAME_BYTES),
        };
        let kind = match chat.kind {
            ChatType::Single => "A direct chat",
            ChatType::Group => "A group",
            ChatType::PrivateChannel | ChatType::PublicChannel => "A channel",
        };
        Resource::new(ResourceUri::Chat(chat.id).to_string(), name.clone())
            .with_title(name)
            .with_description(format!("{kind} with its newest messages"))
            .with_mime_type(MIME_TYPE)
    };
    Ok(chats.iter().map(describe).collect())
}

/// Lists the kinds of resources.
pub(crate) fn templates() -> Vec<ResourceTemplate> {
    let message = ResourceTemplate::new(format!("{PREFIX}{{chat_id}}/messages/{{message_id}}"), "message");
    let chat = ResourceTemplate::new(format!("{PREFIX}{{chat_id}}"), "chat");
    vec![
        chat.with_description("A chat with its newest messages").with_mime_type(MIME_TYPE),
        message.with_description("A message").with_mime_type(MIME_TYPE),
    ]
}

/// Reads a resource.
pub(crate) async fn read(api: &Api<'_>, uri: ResourceUri) -> Result<Value, CallError> {
    match uri {
        ResourceUri::Chat(id) => {
            let (chat, messages) = call::read_chat(api, id).await?;
            call::to_json(ChatResource { chat, messages: messages.messages, has_more: messages.has_more })
        }
        ResourceUri::Message(chat, id) => call::to_json(call::read_message(api, chat, id).await?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_resource_has_one_uri() {
        for good in ["confab://chats/1", "confab://chats/12/messages/34"] {
            assert_eq!(good.parse::<ResourceUri>().expect("valid").to_string(), good);
        }
        for bad in [
            "",
            "confab://chats/",
            "confab://chats/0",
            "confab://chats/01",
            "confab://chats/+1",
            "confab://chats/1/",
            "confab://chats/1/messages/",
            "confab://chats/1/messages/2/3",
            "CONFAB://chats/1",
            "file:///etc/passwd",
        ] {
            assert_eq!(bad.parse::<ResourceUri>(), Err(InvalidUri), "{bad}");
        }
    }
}
