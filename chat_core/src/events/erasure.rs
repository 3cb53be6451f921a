//! What was taken back is not told again: the log keeps the event that told it,
//! without the words.

use super::LogEntry;
use crate::{ChatId, MessageId, Result};
use serde::Deserialize;
use serde_json::{Value, json};
use sqlx::PgExecutor;
use std::collections::HashSet;

/// The message whose words an event tells.
pub fn told_by(entry: &LogEntry) -> Option<MessageId> {
    #[derive(Deserialize)]
    struct Told {
        message: Named,
    }
    #[derive(Deserialize)]
    struct Named {
        id: MessageId,
    }
    if !matches!(entry.kind.as_str(), "message.new" | "message.updated") {
        return None;
    }
    serde_json::from_str::<Told>(&entry.data).ok().map(|told| told.message.id)
}

/// Messages of a chat that an event takes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TakenBack {
    /// Of this chat.
    pub chat_id: ChatId,
    /// None from the first.
    from: Option<MessageId>,
    upto: MessageId,
}

impl TakenBack {
    /// By deletion one, by retention all up to one.
    pub fn by(entry: &LogEntry) -> Option<Self> {
        #[derive(Deserialize)]
        struct Named {
            message_id: MessageId,
        }
        let is_one = match entry.kind.as_str() {
            "message.deleted" => true,
            "chat.trimmed" => false,
            _ => return None,
        };
        let upto = serde_json::from_str::<Named>(&entry.data).ok()?.message_id;
        let from = is_one.then_some(upto);
        Some(Self { chat_id: entry.chat_id?, from, upto })
    }

    /// Whether it takes this one back.
    pub fn includes(&self, message: MessageId) -> bool {
        message <= self.upto && self.from.is_none_or(|from| message >= from)
    }
}

/// The JSON of an event that told a message, without what it said and showed. Whom
/// it called stays: counts are made from it.
pub fn without_words(data: &str) -> Option<String> {
    let mut event: Value = serde_json::from_str(data).ok()?;
    let message = event.get_mut("message")?.as_object_mut()?;
    for (field, nothing) in [("content", json!("")), ("files", json!([])), ("reactions", json!([]))] {
        message.insert(field.into(), nothing);
    }
    Some(event.to_string())
}

/// Takes the words out of what was taken back since.
pub(super) async fn erase(db: impl PgExecutor<'_>, entries: &mut [LogEntry]) -> Result<()> {
    let told: Vec<(usize, MessageId)> =
        entries.iter().enumerate().filter_map(|(nth, entry)| Some((nth, told_by(entry)?))).collect();
    if told.is_empty() {
        return Ok(());
    }
    let ids: Vec<MessageId> = told.iter().map(|(_, id)| *id).collect();
    let standing: Vec<MessageId> =
        sqlx::query_scalar("select id from messages where id = any($1) and deleted_at is null")
            .bind(ids)
            .fetch_all(db)
            .await?;
    let standing: HashSet<MessageId> = standing.into_iter().collect();
    for (nth, id) in told {
        if let (false, Some(entry)) = (standing.contains(&id), entries.get_mut(nth))
            && let Some(data) = without_words(&entry.data)
        {
            entry.data = data;
        }
    }
    Ok(())
}
