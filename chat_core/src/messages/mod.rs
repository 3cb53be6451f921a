//! Messages: what they are, how they are sent, and how history is read.

mod history;
mod send;
mod writer;

pub use history::{Page, Position, page};
pub use send::send;
pub use writer::Writer;

use crate::{
    ChatId, FileId, MessageId, Result, Time, UserId,
    files::FileInfo,
    text::{Content, Nonce},
};
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;

/// The most files one message shows.
pub const MAX_FILES: usize = 10;

/// A message as everyone in its chat sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// The id; ids grow in commit order.
    pub id: MessageId,
    /// Where it was said.
    pub chat_id: ChatId,
    /// Null once that person's account is gone.
    pub sender_id: Option<UserId>,
    /// Empty once deleted.
    pub content: String,
    /// In the order the sender gave.
    pub files: Vec<FileInfo>,
    /// The message of the same chat that this one answers.
    pub reply_to: Option<MessageId>,
    /// The sender's own name for this send.
    pub nonce: Option<String>,
    /// When it was written.
    pub created_at: Time,
    /// When its text last changed.
    pub edited_at: Option<Time>,
    /// When it was deleted.
    pub deleted_at: Option<Time>,
    /// Who reacted, by emoji.
    pub reactions: Vec<Reaction>,
    /// Whether it is pinned in its chat.
    pub pinned: bool,
}

/// How many people reacted with one emoji.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reaction {
    /// One grapheme.
    pub emoji: String,
    /// People.
    pub count: i64,
    /// Whether the viewer is one of them.
    pub me: bool,
}

/// A message to be sent.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Where.
    pub chat_id: ChatId,
    /// By whom.
    pub sender_id: UserId,
    /// Blank only if there are files.
    pub content: Content,
    /// Uploads of the sender's own.
    pub files: Vec<FileId>,
    /// A message of the same chat.
    pub reply_to: Option<MessageId>,
    /// Same nonce, same message.
    pub nonce: Option<Nonce>,
}

/// What became of a send.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The message; the first one if its nonce was used before.
    pub message: Message,
    /// Whether this send wrote it.
    pub is_new: bool,
}

/// Whether a message, deleted or not, is of this chat.
pub(crate) async fn exists(db: impl PgExecutor<'_>, chat: ChatId, id: MessageId) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from messages where chat_id = $1 and id = $2)")
        .bind(chat)
        .bind(id)
        .fetch_one(db)
        .await?)
}
