//! What was taken back is not told again: the log keeps the event that told it,
//! without the words.

use super::LogEntry;
use crate::{ChatId, MessageId, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgExecutor;
use std::collections::HashSet;

/// The message whose words an event tells.
pub fn message_of(entry: &LogEntry) -> Option<MessageId> {
    #[derive(Deserialize)]
    struct Payload {
        message: MessageRef,
    }
    #[derive(Deserialize)]
    struct MessageRef {
        id: MessageId,
    }
    if !matches!(entry.kind.as_str(), "message.new" | "message.updated") {
        return None;
    }
    serde_json::from_str::<Payload>(&entry.data).ok().map(|payload| payload.message.id)
}

/// Messages of a chat that an event takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redaction {
    /// Of this chat.
    pub chat_id: ChatId,
    /// None from the first.
    first: Option<MessageId>,
    last: MessageId,
}

impl Redaction {
    /// By deletion one, by retention all up to one.
    pub fn from_entry(entry: &LogEntry) -> Option<Self> {
        #[derive(Deserialize)]
        struct Payload {
            message_id: MessageId,
        }
        let is_one = match entry.kind.as_str() {
            "message.deleted" => true,
            "chat.trimmed" => false,
            _ => return None,
        };
        let last = serde_json::from_str::<Payload>(&entry.data).ok()?.message_id;
        let first = is_one.then_some(last);
        Some(Self { chat_id: entry.chat_id?, first, last })
    }

    /// Whether it takes this one back.
    pub fn covers(&self, message: MessageId) -> bool {
        message <= self.last && self.first.is_none_or(|first| message >= first)
    }
}

/// The JSON of an event that told a message, without what it said and showed. Whom
/// it called stays: counts are made from it.
pub fn redact(data: &str) -> Option<String> {
    let mut event: Value = serde_json::from_str(data).ok()?;
    let message = event.get_mut("message")?.as_object_mut()?;
    for (field, empty) in [("content", json!("")), ("files", json!([])), ("reactions", json!([]))] {
        message.insert(field.into(), empty);
    }
    Some(event.to_string())
}

/// Takes the words out of what was taken back since.
pub(super) async fn redact_deleted(db: impl PgExecutor<'_>, entries: &mut [LogEntry]) -> Result<()> {
    let messages: Vec<(usize, MessageId)> =
        entries.iter().enumerate().filter_map(|(index, entry)| Some((index, message_of(entry)?))).collect();
    if messages.is_empty() {
        return Ok(());
    }
    let ids: Vec<MessageId> = messages.iter().map(|(_, id)| *id).collect();
    let existing: Vec<MessageId> =
        sqlx::query_scalar("select id from messages where id = any($1) and deleted_at is null")
            .bind(ids)
            .fetch_all(db)
            .await?;
    let existing: HashSet<MessageId> = existing.into_iter().collect();
    for (index, id) in messages {
        if let (false, Some(entry)) = (existing.contains(&id), entries.get_mut(index))
            && let Some(data) = redact(&entry.data)
        {
            entry.data = data;
        }
    }
    Ok(())
}
