//! Messages: sending, editing, reactions, pins and history.

mod change;
mod draft;
mod embed;
mod history;
mod pins;
mod reactions;
mod saved;
mod send;
pub(crate) mod system;
mod writer;

pub use change::{
    MAX_EMOJI, MAX_PINS, add_reaction, delete, list_revisions, pin, remove_reaction, set_extra, unpin, update,
};
pub use draft::MessageDraft;
pub use embed::{
    Embed, EmbedAuthor, EmbedField, MAX_EMBEDS, MAX_TOTAL_CHARS, MessageAuthor, MessageExtra, MessageTemplate,
    validate_embeds,
};
pub(crate) use history::find_first_at;
pub use history::{Page, Position, load_page, load_replies};
pub use pins::list_pins;
pub use reactions::list_reacting_users;
pub(crate) use saved::list_saved_ids;
pub use saved::{MAX_SAVED, SavedMessage, list_saved, save, unsave};
pub use system::{ChatChange, MessageKind};
pub use writer::Writer;

use crate::{
    ChatId, Error, FileId, MessageId, Result, Time, UserId,
    chats::model::{ChatType, Membership, Role},
    files::FileInfo,
    values::{Content, Nonce},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, types::Json};
use std::collections::HashSet;

/// Maximum number of files in one message.
pub const MAX_FILES: usize = 10;

/// A message as all members of its chat see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The id. Message ids increase in commit order.
    pub id: MessageId,
    /// The chat that contains the message.
    pub chat_id: ChatId,
    /// The sender; null if the user is no longer stored.
    pub sender_id: Option<UserId>,
    /// The text; empty if the message was deleted.
    pub content: String,
    /// The attached files, in the order that the sender chose.
    pub files: Vec<FileInfo>,
    /// The message of the same chat that this one replies to.
    pub reply_to: Option<MessageId>,
    /// The nonce that the sender chose for this send.
    pub nonce: Option<String>,
    /// When the message was sent.
    pub created_at: Time,
    /// When the text last changed.
    pub edited_at: Option<Time>,
    /// When the message was deleted.
    pub deleted_at: Option<Time>,
    /// The members mentioned by name.
    pub mentions: Vec<UserId>,
    /// Whether the message mentions everyone.
    pub mentions_everyone: bool,
    /// The reactions, by emoji.
    pub reactions: Vec<Reaction>,
    /// Whether the message is pinned in its chat.
    pub pinned: bool,
    /// The author that a message of a webhook shows instead of its sender; null for others.
    #[serde(default)]
    pub author: Option<MessageAuthor>,
    /// The embeds, which only webhooks send.
    #[serde(default)]
    pub embeds: Vec<Embed>,
    /// Who wrote the message.
    #[serde(default)]
    pub kind: MessageKind,
    /// What a system message tells; null for others, and if the message was deleted.
    #[serde(default)]
    pub change: Option<ChatChange>,
}

impl Message {
    /// The user whom a system message is about besides its sender.
    pub fn affected_user(&self) -> Option<UserId> {
        match self.change {
            Some(ChatChange::Added { user_id } | ChatChange::Removed { user_id }) => Some(user_id),
            _ => None,
        }
    }

    /// Removes the content, for a reader who may know of the message but not read it.
    pub fn redact(&mut self) {
        self.content = String::new();
        self.files = Vec::new();
        self.reactions = Vec::new();
        self.embeds = Vec::new();
        self.author = None;
        self.change = None;
    }
}

/// A revision: an earlier text of an edited message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct MessageRevision {
    /// The text that was replaced.
    pub content: String,
    /// When this text was replaced.
    pub edited_at: Time,
}

/// The reactions to a message with one emoji.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reaction {
    /// The emoji, one grapheme.
    pub emoji: String,
    /// Number of users who reacted with the emoji.
    pub count: i64,
    /// Whether the caller reacted with the emoji; null in events, which have many
    /// recipients.
    pub me: Option<bool>,
}

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// The chat to send to.
    pub chat_id: ChatId,
    /// The sender.
    pub sender_id: UserId,
    /// The text; blank only if there are files or embeds.
    pub content: Content,
    /// Files that the sender uploaded.
    pub files: Vec<FileId>,
    /// The message of the same chat to reply to.
    pub reply_to: Option<MessageId>,
    /// Makes the send idempotent: a repeated nonce returns the first message.
    pub nonce: Option<Nonce>,
    /// Whether the names in the text mention users.
    pub has_mentions: bool,
    /// What the message shows besides its text.
    pub extra: Option<Box<MessageExtra>>,
}

/// The result of a send.
#[derive(Debug, Clone)]
pub struct SendOutcome {
    /// The message; the first one if the nonce was used before.
    pub message: Message,
    /// Whether this send wrote the message.
    pub is_new: bool,
}

/// Whether a message, deleted or not, belongs to this chat.
pub(crate) async fn exists(db: impl PgExecutor<'_>, chat: ChatId, id: MessageId) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from messages where chat_id = $1 and id = $2)")
        .bind(chat)
        .bind(id)
        .fetch_one(db)
        .await?)
}

/// Whether a message is in one of the chats, or does not exist.
pub async fn is_in_chats(db: impl PgExecutor<'_>, message: MessageId, chats: &[ChatId]) -> Result<bool> {
    let sql = "select not exists (select from messages where id = $1 and chat_id <> all ($2))";
    Ok(sqlx::query_scalar(sql).bind(message).bind(chats).fetch_one(db).await?)
}

/// A message and the membership of one user in its chat.
#[derive(Debug, sqlx::FromRow)]
struct MessageAccess {
    chat_id: ChatId,
    sender_id: Option<UserId>,
    role: Role,
    #[sqlx(rename = "type")]
    kind: ChatType,
}

impl MessageAccess {
    fn membership(&self) -> Membership {
        Membership { role: self.role, kind: self.kind }
    }
}

/// Loads the access of a member; `NotFound` for other users.
async fn load_access(db: impl PgExecutor<'_>, id: MessageId, actor: UserId) -> Result<MessageAccess> {
    sqlx::query_as("select chat_id, sender_id, role, type from access_of($1, $2) where chat_id is not null")
        .bind(id)
        .bind(actor)
        .fetch_optional(db)
        .await?
        .ok_or(Error::NotFound("message"))
}

/// Returns the type of the chat of a message.
async fn find_chat_type(db: impl PgExecutor<'_>, id: MessageId) -> Result<Option<ChatType>> {
    Ok(sqlx::query_scalar("select c.type from messages m join chats c on c.id = m.chat_id where m.id = $1")
        .bind(id)
        .fetch_optional(db)
        .await?)
}

/// Returns the chat and the sender of a message.
pub(crate) async fn locate(db: impl PgExecutor<'_>, id: MessageId, viewer: UserId) -> Result<(ChatId, Option<UserId>)> {
    let MessageAccess { chat_id, sender_id, .. } = load_access(db, id, viewer).await?;
    Ok((chat_id, sender_id))
}

/// Returns a message as one member of its chat sees it.
pub async fn get(db: &mut PgConnection, id: MessageId, viewer: UserId) -> Result<Message> {
    load_access(&mut *db, id, viewer).await?;
    let mut messages = load_by_ids(&mut *db, &[id]).await?;
    fill_own_reactions(db, viewer, &mut messages).await?;
    messages.pop().ok_or(Error::NotFound("message"))
}

/// Loads messages in the order of the ids, as the viewer sees them. The caller has
/// checked that the viewer may see them.
pub(crate) async fn load_for_viewer(db: &mut PgConnection, ids: &[MessageId], viewer: UserId) -> Result<Vec<Message>> {
    let mut messages = load_by_ids(&mut *db, ids).await?;
    fill_own_reactions(db, viewer, &mut messages).await?;
    messages.sort_by_key(|message| ids.iter().position(|id| *id == message.id));
    Ok(messages)
}

/// Loads messages in no order, without the fields that depend on the viewer.
async fn load_by_ids(db: impl PgExecutor<'_>, ids: &[MessageId]) -> Result<Vec<Message>> {
    let rows: Vec<Json<Message>> =
        sqlx::query_scalar("select json from message_view where id = any($1)").bind(ids).fetch_all(db).await?;
    Ok(rows.into_iter().map(|Json(message)| message).collect())
}

/// Fills in whether the viewer has reacted.
pub(crate) async fn fill_own_reactions(
    db: impl PgExecutor<'_>,
    viewer: UserId,
    messages: &mut [Message],
) -> Result<()> {
    fill_reactions_of(db, messages, |_| Some(viewer)).await
}

/// Fills in, for each message, whether its own sender has reacted.
async fn fill_senders_reactions(db: impl PgExecutor<'_>, messages: &mut [Message]) -> Result<()> {
    fill_reactions_of(db, messages, |message| message.sender_id).await
}

/// Runs one query for all messages that have reactions, with a viewer for each.
async fn fill_reactions_of(
    db: impl PgExecutor<'_>,
    messages: &mut [Message],
    viewer_of: impl Fn(&Message) -> Option<UserId>,
) -> Result<()> {
    let (ids, viewers): (Vec<MessageId>, Vec<UserId>) = messages
        .iter()
        .filter(|message| !message.reactions.is_empty())
        .filter_map(|message| Some((message.id, viewer_of(message)?)))
        .unzip();
    if ids.is_empty() {
        return Ok(());
    }
    let own: Vec<(MessageId, String)> = sqlx::query_as(
        "select r.message_id, r.emoji
         from unnest($1::bigint[], $2::bigint[]) as viewed (message_id, user_id)
         join reactions r on r.message_id = viewed.message_id and r.user_id = viewed.user_id",
    )
    .bind(ids)
    .bind(viewers)
    .fetch_all(db)
    .await?;
    let own: HashSet<(MessageId, &str)> = own.iter().map(|(id, emoji)| (*id, emoji.as_str())).collect();
    for message in messages {
        for reaction in &mut message.reactions {
            reaction.me = Some(own.contains(&(message.id, reaction.emoji.as_str())));
        }
    }
    Ok(())
}
