//! What goes over a stream, type by type. The database writes the events; this
//! says what is in them, for the published schema and for the tests, which read
//! every event they hear as one of these.

use super::Cursor;
use crate::{
    ChatId, MessageId, Time, UserId, chats::Chat, members::Role, messages::Message, presence::Presence, users::User,
    whispers::Typing,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An event. `id` is the position after it, to resume from; `at` is when it
/// happened. Clients ignore types and fields that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", deny_unknown_fields)]
#[expect(missing_docs, reason = "each is said once, in the contract of its variant")]
pub enum Event {
    /// Somebody said something.
    #[serde(rename = "message.new")]
    NewMessage { id: Cursor, chat_id: ChatId, at: Time, message: Message },
    /// An author edited a message. Whom it called before is told for those who
    /// count what calls them.
    #[serde(rename = "message.updated")]
    MessageUpdated {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        message: Message,
        mentions_before: Vec<UserId>,
        mentions_everyone_before: bool,
    },
    /// A message was taken back: its place stays.
    #[serde(rename = "message.deleted")]
    MessageDeleted {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        message_id: MessageId,
        sender_id: Option<UserId>,
        deleted_at: Time,
        mentions_before: Vec<UserId>,
        mentions_everyone_before: bool,
    },
    /// Everything up to this message reached a device of this person.
    #[serde(rename = "message.delivered")]
    Delivered { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, message_id: MessageId, delivered_at: Time },
    /// This person read everything up to this message.
    #[serde(rename = "message.read")]
    Read { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, message_id: MessageId, read_at: Time },
    /// Somebody reacted.
    #[serde(rename = "reaction.added")]
    ReactionAdded { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: UserId, emoji: String },
    /// Somebody took a reaction back.
    #[serde(rename = "reaction.removed")]
    ReactionRemoved { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: UserId, emoji: String },
    /// Somebody pinned a message.
    #[serde(rename = "message.pinned")]
    MessagePinned { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: Option<UserId> },
    /// Somebody took a pin off.
    #[serde(rename = "message.unpinned")]
    MessageUnpinned { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: Option<UserId> },
    /// A chat that was just made, to each of its first members. What is later
    /// than `last_read_message_id` is new to them.
    #[serde(rename = "chat.new")]
    NewChat { id: Cursor, chat_id: ChatId, at: Time, chat: Chat, last_read_message_id: Option<MessageId> },
    /// The name, the description or the topic changed.
    #[serde(rename = "chat.updated")]
    ChatUpdated { id: Cursor, chat_id: ChatId, at: Time, chat: Chat },
    /// Retention took away all messages up to and including this one.
    #[serde(rename = "chat.trimmed")]
    ChatTrimmed { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId },
    /// A chat is gone, to each of its members.
    #[serde(rename = "chat.deleted")]
    ChatDeleted { id: Cursor, chat_id: ChatId, at: Time, chat: Chat },
    /// The one who hears this came into a chat.
    #[serde(rename = "chat.added")]
    AddToChat { id: Cursor, chat_id: ChatId, at: Time, chat: Chat, last_read_message_id: Option<MessageId> },
    /// The one who hears this is out of a chat.
    #[serde(rename = "chat.removed")]
    RemoveFromChat { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, reason: RemovalReason },
    /// The one who hears this does not want to be disturbed by a chat, or does again.
    #[serde(rename = "chat.muted")]
    ChatMuted { id: Cursor, chat_id: ChatId, at: Time, is_muted: bool },
    /// Somebody came in.
    #[serde(rename = "member.joined")]
    MemberJoined { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, role: Role, user: User },
    /// Somebody is out.
    #[serde(rename = "member.left")]
    MemberLeft { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, reason: RemovalReason },
    /// Somebody has another role.
    #[serde(rename = "member.updated")]
    MemberUpdated { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, role: Role },
    /// What is left to read, to the reader's own devices.
    #[serde(rename = "read_state")]
    ReadState {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        last_read_message_id: MessageId,
        unread_count: i64,
        mention_count: i64,
    },
    /// A person's name, bio or picture changed.
    #[serde(rename = "user.updated")]
    UserUpdated { id: Cursor, at: Time, user: User },
    /// A session of the one who hears this ended; a stream that it opened ends too.
    #[serde(rename = "session.revoked")]
    SessionRevoked { id: Cursor, at: Time, session_id: Uuid },
    /// Somebody types, or has stopped; at most once, and never told again.
    #[serde(rename = "typing")]
    Typing(Typing),
    /// Somebody is seen to come, to go, or otherwise; at most once, and never told
    /// again.
    #[serde(rename = "presence")]
    Presence(Presence),
    /// The first event of a stream. What was missed follows, if it resumes.
    #[serde(rename = "ready")]
    Ready { cursor: Cursor, resumed: bool, heartbeat_ms: u64, user_id: UserId },
    /// All that was missed has been told.
    #[serde(rename = "caught_up")]
    CaughtUp { cursor: Cursor },
    /// What was missed cannot be told: start over from `/api/bootstrap`.
    #[serde(rename = "reset")]
    Reset { cursor: Cursor, reason: String },
}

/// Why somebody is out of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// They went.
    Left,
    /// Somebody took them out.
    Removed,
    /// Somebody keeps them out.
    Banned,
}
