//! Redaction: deleted content is not replayed. An event whose content was deleted is
//! replayed without the content.

use super::LogEntry;
use crate::{ChatId, MessageId, Result};
use serde_json::{Value, json};
use sqlx::PgExecutor;
use std::collections::HashSet;

/// The message whose content an event carries.
pub fn message_of(entry: &LogEntry) -> Option<MessageId> {
    entry.message_id.filter(|_| matches!(entry.kind.as_str(), "message.new" | "message.updated"))
}

/// The messages of a chat that an event deletes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Redaction {
    /// The chat.
    pub chat_id: ChatId,
    /// The first message; `None` means from the beginning of the chat.
    pub first: Option<MessageId>,
    /// The last message.
    pub last: MessageId,
}

impl Redaction {
    /// Returns the messages that an event deletes: one message for a deletion, all
    /// messages up to one for retention.
    pub fn from_entry(entry: &LogEntry) -> Option<Self> {
        let last = entry.message_id?;
        let first = match entry.kind.as_str() {
            "message.deleted" => Some(last),
            "chat.trimmed" => None,
            _ => return None,
        };
        Some(Self { chat_id: entry.chat_id?, first, last })
    }
}

/// The JSON of an event without the content, files, embeds, reactions and change of its message.
/// Mentions stay, because clients count from them.
pub fn redact(data: &str) -> Option<String> {
    let mut event: Value = serde_json::from_str(data).ok()?;
    let message = event.get_mut("message")?.as_object_mut()?;
    let empty = [
        ("content", json!("")),
        ("files", json!([])),
        ("reactions", json!([])),
        ("author", json!(null)),
        ("embeds", json!([])),
        ("change", json!(null)),
    ];
    for (field, empty) in empty {
        message.insert(field.into(), empty);
    }
    Some(event.to_string())
}

/// Redacts the entries whose messages were deleted later.
pub(crate) async fn redact_deleted(
    db: impl PgExecutor<'_>,
    entries: impl IntoIterator<Item = &mut LogEntry>,
) -> Result<()> {
    let messages: Vec<(&mut LogEntry, MessageId)> =
        entries.into_iter().filter_map(|entry| message_of(entry).map(|id| (entry, id))).collect();
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
    for (entry, id) in messages {
        if !existing.contains(&id)
            && let Some(data) = redact(&entry.data)
        {
            entry.data = data;
        }
    }
    Ok(())
}
