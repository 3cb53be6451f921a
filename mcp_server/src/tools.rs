//! The tools: their names, descriptions, inputs and outputs, and the scopes that they need.

use crate::summary::{CatchUp, ChatList, Done, MessageList, PersonList};
use chat_core::{
    ChatId, MessageId,
    auth::{Grant, Scope},
    oauth::SCOPES,
    values::Emoji,
};
use rmcp::{
    handler::server::common::{schema_for_input, schema_for_output},
    model::{Tool, ToolAnnotations},
};
use schemars::JsonSchema;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// What a tool does, with its arguments.
#[derive(Debug)]
pub(crate) enum ToolCall {
    ListChats(NoInput),
    CatchUp(CatchUpInput),
    ReadMessages(ReadMessages),
    GetThread(GetThread),
    SearchMessages(SearchMessages),
    FindPeople(FindPeople),
    SendMessage(SendMessage),
    EditMessage(EditMessage),
    React(React),
    MarkRead(MarkRead),
}

impl ToolCall {
    /// Removes the key that the model chose for a message.
    pub(crate) fn forget_key(&mut self) {
        if let Self::SendMessage(input) = self {
            input.key = None;
        }
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoInput {}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct CatchUpInput {
    /// Only this chat; all chats with unread messages if absent.
    pub(crate) chat_id: Option<ChatId>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReadMessages {
    /// The chat.
    pub(crate) chat_id: ChatId,
    /// Only messages before this one; the newest if absent.
    pub(crate) before: Option<MessageId>,
    /// How many messages, at most 50; 20 if absent.
    #[schemars(range(min = 1, max = 50))]
    pub(crate) limit: Option<u32>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct GetThread {
    /// The message to which the others reply.
    pub(crate) message_id: MessageId,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SearchMessages {
    /// Words, in any order.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) query: String,
    /// Only in this chat.
    pub(crate) chat_id: Option<ChatId>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FindPeople {
    /// The beginning of a name.
    #[schemars(length(min = 1, max = 100))]
    pub(crate) query: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SendMessage {
    /// The chat.
    pub(crate) chat_id: ChatId,
    /// The text, in Markdown.
    #[schemars(length(min = 1, max = 65536))]
    pub(crate) text: String,
    /// The message of the same chat to which this one replies.
    pub(crate) reply_to: Option<MessageId>,
    /// A text of your choice that names this message: a repeated call with the same key sends
    /// nothing and returns the first message.
    #[schemars(length(min = 1, max = 64))]
    pub(crate) key: Option<String>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EditMessage {
    /// A message of the caller.
    pub(crate) message_id: MessageId,
    /// The new text, in Markdown.
    #[schemars(length(min = 1, max = 65536))]
    pub(crate) text: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct React {
    /// The message.
    pub(crate) message_id: MessageId,
    /// One emoji.
    pub(crate) emoji: Emoji,
    /// Remove the reaction instead of adding it.
    #[serde(default)]
    pub(crate) remove: bool,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MarkRead {
    /// The chat.
    pub(crate) chat_id: ChatId,
    /// All messages up to this one are marked as read.
    pub(crate) message_id: MessageId,
}

/// A tool.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ToolInfo {
    pub(crate) name: &'static str,
    title: &'static str,
    /// All that the token needs.
    scopes: &'static [Scope],
    describe_input: fn() -> Tool,
    parse: fn(Value) -> Result<ToolCall, String>,
}

/// Declares a tool from its input, output and call.
macro_rules! tool {
    ($name:literal, $title:literal, $description:literal, $scopes:expr, $input:ty, $output:ty, $call:expr) => {
        ToolInfo {
            name: $name,
            title: $title,
            scopes: $scopes,
            describe_input: || {
                let input = schema_for_input::<$input>().expect("the input is an object");
                Tool::new($name, $description, input).with_raw_output_schema(schema_for_output::<$output>())
            },
            parse: |arguments| parse::<$input>(arguments).map($call),
        }
    };
}

/// All tools, in the order in which they are listed.
pub(crate) const TOOLS: [ToolInfo; 10] = {
    use Scope::{ChatsRead, MessagesRead, MessagesWrite, ReactionsWrite, ReceiptsWrite, SearchRead, UsersRead};
    [
        tool!(
            "list_chats",
            "List chats",
            "List the chats of the caller, the most recently active first, with the numbers of unread messages and mentions.",
            &[ChatsRead],
            NoInput,
            ChatList,
            ToolCall::ListChats
        ),
        tool!(
            "catch_up",
            "Catch up",
            "Get the unread messages of the caller, chat by chat, those with mentions first. Changes nothing: use mark_read afterwards if the user wants it.",
            &[ChatsRead, MessagesRead],
            CatchUpInput,
            CatchUp,
            ToolCall::CatchUp
        ),
        tool!(
            "read_messages",
            "Read messages",
            "Read messages of a chat, newest first.",
            &[MessagesRead],
            ReadMessages,
            MessageList,
            ToolCall::ReadMessages
        ),
        tool!(
            "get_thread",
            "Get a thread",
            "Get a message and the replies to it, newest reply first.",
            &[MessagesRead],
            GetThread,
            MessageList,
            ToolCall::GetThread
        ),
        tool!(
            "search_messages",
            "Search messages",
            "Search the messages of the caller's chats, best match first.",
            &[SearchRead],
            SearchMessages,
            MessageList,
            ToolCall::SearchMessages
        ),
        tool!(
            "find_people",
            "Find people",
            "Find users by the beginning of a name, and by an exact name those who share no chat with the caller.",
            &[UsersRead],
            FindPeople,
            PersonList,
            ToolCall::FindPeople
        ),
        tool!(
            "send_message",
            "Send a message",
            "Send a message to a chat as the caller. Other people will read it.",
            &[MessagesWrite],
            SendMessage,
            Done,
            ToolCall::SendMessage
        ),
        tool!(
            "edit_message",
            "Edit a message",
            "Replace the text of a message of the caller. Others see that it was edited, and its earlier text.",
            &[MessagesWrite],
            EditMessage,
            Done,
            ToolCall::EditMessage
        ),
        tool!(
            "react",
            "React",
            "Add an emoji to a message as the caller, or remove it.",
            &[ReactionsWrite],
            React,
            Done,
            ToolCall::React
        ),
        tool!(
            "mark_read",
            "Mark as read",
            "Mark the messages of a chat as read, up to one. Their senders can see it.",
            &[ReceiptsWrite],
            MarkRead,
            Done,
            ToolCall::MarkRead
        ),
    ]
};

fn parse<T: DeserializeOwned>(arguments: Value) -> Result<T, String> {
    serde_json::from_value(arguments).map_err(|error| error.to_string())
}

impl ToolInfo {
    /// Finds a tool by its name.
    pub(crate) fn find(name: &str) -> Option<&'static Self> {
        TOOLS.iter().find(|tool| tool.name == name)
    }

    /// Whether a token can use the tool; a signed-in device can use all.
    pub(crate) fn is_available(&self, grant: Option<&Grant>) -> bool {
        self.missing_scope(grant).is_none()
    }

    /// The first scope of the tool that a token does not have.
    pub(crate) fn missing_scope(&self, grant: Option<&Grant>) -> Option<Scope> {
        let grant = grant?;
        self.scopes.iter().copied().find(|scope| grant.require(*scope).is_err())
    }

    /// The scopes of a token and those of the tool, separated by spaces.
    pub(crate) fn scopes_with(&self, grant: &Grant) -> String {
        let is_wanted = |scope: &Scope| grant.require(*scope).is_ok() || self.scopes.contains(scope);
        SCOPES.into_iter().filter(is_wanted).map(Scope::name).collect::<Vec<_>>().join(" ")
    }

    /// The scope with which the tool changes something; `None` if it only reads.
    pub(crate) fn write_scope(&self) -> Option<Scope> {
        self.scopes.iter().copied().find(|scope| scope.is_write())
    }

    /// Describes the tool for clients.
    pub(crate) fn describe(&self) -> Tool {
        let is_read_only = self.write_scope().is_none();
        let annotations = ToolAnnotations::with_title(self.title)
            .read_only(is_read_only)
            .destructive(false)
            .idempotent(true)
            .open_world(false);
        (self.describe_input)().annotate(annotations)
    }

    /// Reads the arguments of a call.
    pub(crate) fn parse(&self, arguments: Value) -> Result<ToolCall, String> {
        (self.parse)(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn programs_can_ask_for_the_scopes_of_the_tools() {
        let needed: BTreeSet<Scope> = TOOLS.iter().flat_map(|tool| tool.scopes).copied().collect();
        assert_eq!(needed, BTreeSet::from(SCOPES));
    }
}
