//! A message as a client submits it, and its validation.

use super::{MAX_FILES, NewMessage};
use crate::{
    ChatId, Error, FileId, MessageId, Result, UserId,
    values::{Content, Nonce},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

/// A message to send. A repeated nonce returns the first message.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewMessage", example = json!({ "content": "Hello, @bob!", "nonce": "5f2c" }))]
#[expect(missing_docs, reason = "the fields are documented once, in `NewMessage`")]
pub struct MessageDraft {
    pub content: Content,
    #[serde(default)]
    pub files: Vec<FileId>,
    pub reply_to: Option<MessageId>,
    pub nonce: Option<Nonce>,
}

impl MessageDraft {
    /// Validates the draft. The statement that writes the message also checks whether
    /// the sender may send it, which saves a query.
    pub fn into_new_message(self, sender_id: UserId, chat_id: ChatId) -> Result<NewMessage> {
        let Self { content, files, reply_to, nonce } = self;
        if content.is_blank() && files.is_empty() {
            return Err(Error::invalid("content", "a message must have text or files"));
        }
        if files.len() > MAX_FILES {
            return Err(Error::invalid("files", format!("a message can have at most {MAX_FILES} files")));
        }
        if (1..files.len()).any(|nth| files.get(..nth).is_some_and(|before| before.contains(&files[nth]))) {
            return Err(Error::invalid("files", "a message cannot have the same file twice"));
        }
        Ok(NewMessage { chat_id, sender_id, content, files, reply_to, nonce, has_mentions: true, extra: None })
    }
}
