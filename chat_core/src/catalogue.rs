//! The catalogue of events: every type that a stream carries, with its fields. The
//! database writes the events. These types are for the published schema and for the
//! tests, which parse every event that they receive as one of them.

use crate::{
    BridgeId, ChatId, EndpointId, InboxItemId, MessageId, Time, UserId,
    bridges::{BridgeState, Network, RelayState},
    chats::{Chat, model::Role},
    ephemeral::{Presence, Typing},
    events::Cursor,
    inbox::{InboxCount, InboxItem},
    messages::{Message, MessageKind},
    notification_settings::{NotificationLevel, NotificationSettings},
    permissions::Permission,
    users::User,
    webhook_endpoints::DisabledReason,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An event. A stream resumes after the cursor `id`; `at` is the time of the event.
/// Clients must ignore types and fields that they do not know.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", deny_unknown_fields)]
#[expect(missing_docs, reason = "each variant documents its fields")]
pub enum Event {
    /// A message was sent.
    #[serde(rename = "message.new")]
    NewMessage { id: Cursor, chat_id: ChatId, at: Time, message: Message },
    /// A message was edited. `mentions_before` and `mentions_everyone_before` let
    /// clients that count mentions adjust their counts.
    #[serde(rename = "message.updated")]
    MessageUpdated {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        message: Message,
        mentions_before: Vec<UserId>,
        mentions_everyone_before: bool,
    },
    /// A message was deleted. It stays in the history without its content.
    #[serde(rename = "message.deleted")]
    MessageDeleted {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        message_id: MessageId,
        sender_id: Option<UserId>,
        deleted_at: Time,
        #[serde(default)]
        kind: MessageKind,
        mentions_before: Vec<UserId>,
        mentions_everyone_before: bool,
    },
    /// All messages up to and including this one reached a device of the user.
    #[serde(rename = "message.delivered")]
    Delivered { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, message_id: MessageId, delivered_at: Time },
    /// The user read all messages up to and including this one.
    #[serde(rename = "message.read")]
    Read { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, message_id: MessageId, read_at: Time },
    /// A user reacted to a message.
    #[serde(rename = "reaction.added")]
    ReactionAdded { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: UserId, emoji: String },
    /// A user removed a reaction.
    #[serde(rename = "reaction.removed")]
    ReactionRemoved { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: UserId, emoji: String },
    /// A message was pinned.
    #[serde(rename = "message.pinned")]
    MessagePinned { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: Option<UserId> },
    /// A message was unpinned.
    #[serde(rename = "message.unpinned")]
    MessageUnpinned { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId, user_id: Option<UserId> },
    /// A chat was created; sent to each of its first members. Messages after
    /// `last_read_message_id` are unread.
    #[serde(rename = "chat.new")]
    NewChat { id: Cursor, chat_id: ChatId, at: Time, chat: Chat, last_read_message_id: Option<MessageId> },
    /// The name, description, topic or retention of a chat changed.
    #[serde(rename = "chat.updated")]
    ChatUpdated { id: Cursor, chat_id: ChatId, at: Time, chat: Chat },
    /// Retention deleted all messages up to and including this one.
    #[serde(rename = "chat.trimmed")]
    ChatTrimmed { id: Cursor, chat_id: ChatId, at: Time, message_id: MessageId },
    /// A chat was deleted; sent to each of its members.
    #[serde(rename = "chat.deleted")]
    ChatDeleted { id: Cursor, chat_id: ChatId, at: Time, chat: Chat },
    /// The recipient became a member of a chat. Messages after
    /// `last_read_message_id` are unread.
    #[serde(rename = "chat.added")]
    AddToChat { id: Cursor, chat_id: ChatId, at: Time, chat: Chat, last_read_message_id: Option<MessageId> },
    /// The recipient is no longer a member of a chat.
    #[serde(rename = "chat.removed")]
    RemoveFromChat { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, reason: RemovalReason },
    /// The recipient muted or unmuted a chat, or it notifies again by itself.
    #[serde(rename = "chat.muted")]
    ChatMuted {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        is_muted: bool,
        /// When the mute ends; null if the chat is not muted, or muted for good.
        #[serde(default)]
        muted_until: Option<Time>,
    },
    /// The recipient chose which messages of a chat notify.
    #[serde(rename = "chat.notification_level")]
    ChatNotificationLevel {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        /// Null for the level of the type of chat.
        notification_level: Option<NotificationLevel>,
    },
    /// The recipient's settings of notifications changed.
    #[serde(rename = "notification_settings.updated")]
    NotificationSettingsUpdated { id: Cursor, at: Time, settings: NotificationSettings },
    /// A user became a member; sent to the other members.
    #[serde(rename = "member.joined")]
    MemberJoined { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, role: Role, user: User },
    /// A user is no longer a member; sent to the other members.
    #[serde(rename = "member.left")]
    MemberLeft { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, reason: RemovalReason },
    /// The role of a member changed.
    #[serde(rename = "member.updated")]
    MemberUpdated { id: Cursor, chat_id: ChatId, at: Time, user_id: UserId, role: Role, permissions: Vec<Permission> },
    /// The recipient's read state of a chat changed; sent to all devices of the
    /// recipient. The position moves back if the recipient marks messages as unread.
    #[serde(rename = "read_state")]
    ReadState {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        last_read_message_id: MessageId,
        unread_count: i64,
        mention_count: i64,
    },
    /// The inbox of the recipient, or of the members of the chat, has a new item. A member sees one for everyone only
    /// if its message was sent after the member joined, by another user whom the member has not blocked.
    #[serde(rename = "inbox.added")]
    InboxAdded { id: Cursor, chat_id: ChatId, at: Time, item: InboxItem },
    /// An item was deleted with what it was about.
    #[serde(rename = "inbox.removed")]
    InboxRemoved { id: Cursor, chat_id: ChatId, at: Time, item: InboxItem },
    /// The recipient has seen the inbox up to an item. Chats that are not listed have no unseen items.
    #[serde(rename = "inbox.seen")]
    InboxSeen { id: Cursor, at: Time, last_seen_item_id: InboxItemId, chats: Vec<InboxCount> },
    /// The recipient saved a message for later.
    #[serde(rename = "message.saved")]
    MessageSaved { id: Cursor, at: Time, message_id: MessageId },
    /// The recipient unsaved a message, or it was deleted, or the recipient left its chat.
    #[serde(rename = "message.unsaved")]
    MessageUnsaved { id: Cursor, at: Time, message_id: MessageId },
    /// The username, display name, bio, avatar, custom status or time zone of a user changed. A custom status that ends
    /// by itself makes no event.
    #[serde(rename = "user.updated")]
    UserUpdated { id: Cursor, at: Time, user: User },
    /// The recipient blocked a user. The counts of their common chats may change:
    /// fetch `/api/chats` again.
    #[serde(rename = "user.blocked")]
    UserBlocked { id: Cursor, at: Time, user: User },
    /// The recipient unblocked a user. The counts of their common chats may change:
    /// fetch `/api/chats` again.
    #[serde(rename = "user.unblocked")]
    UserUnblocked { id: Cursor, at: Time, user: User },
    /// A session of the recipient has ended; the streams of the session end.
    #[serde(rename = "session.revoked")]
    SessionRevoked { id: Cursor, at: Time, session_id: Uuid },
    /// The server disabled one of the recipient's endpoints of webhooks.
    #[serde(rename = "webhook_endpoint.disabled")]
    EndpointDisabled { id: Cursor, at: Time, endpoint_id: EndpointId, url: String, reason: DisabledReason },
    /// A message got further on the network of a bridge, or will not arrive there.
    #[serde(rename = "message.relayed")]
    MessageRelayed {
        id: Cursor,
        chat_id: ChatId,
        at: Time,
        message_id: MessageId,
        bridge_id: BridgeId,
        network: Network,
        state: RelayState,
        error: Option<String>,
    },
    /// The state of one of the recipient's bridges, or of one of its chats, changed: fetch
    /// `/api/bridges` again.
    #[serde(rename = "bridge.updated")]
    BridgeUpdated {
        id: Cursor,
        at: Time,
        bridge_id: BridgeId,
        name: String,
        state: BridgeState,
        detail: Option<String>,
    },
    /// A user is typing or has stopped. Delivered at most once and not replayed.
    #[serde(rename = "typing")]
    Typing(Typing),
    /// The presence of a user changed. Delivered at most once and not replayed.
    #[serde(rename = "presence")]
    Presence(Presence),
    /// The first event of a stream. If the stream resumes, the missed events follow.
    #[serde(rename = "ready")]
    Ready { cursor: Cursor, resumed: bool, heartbeat_ms: u64, user_id: UserId },
    /// All missed events have been sent; the stream is live.
    #[serde(rename = "caught_up")]
    CaughtUp { cursor: Cursor },
    /// The missed events are not available. Fetch `/api/bootstrap` again.
    #[serde(rename = "reset")]
    Reset { cursor: Cursor, reason: String },
}

/// Why a user is no longer a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RemovalReason {
    /// The user left.
    Left,
    /// A member with the permission removed the user.
    Removed,
    /// The user was banned.
    Banned,
}
