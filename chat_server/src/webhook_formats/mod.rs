//! The formats in which programs post to a webhook: those of Discord, of Slack, which
//! Mattermost and others also use, and of GitHub. Unknown fields are ignored, as the products
//! do.

pub(crate) mod discord;
pub(crate) mod github;
pub(crate) mod slack;

use chat_core::messages::Embed;

/// A message that a program posts to a webhook.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct WebhookMessage {
    /// The text, as Markdown.
    pub(crate) content: String,
    /// The name that the message shows; that of the webhook if absent.
    pub(crate) author: Option<String>,
    pub(crate) embeds: Vec<Embed>,
    /// Whether the names in the text mention users.
    pub(crate) has_mentions: bool,
    /// Identifies the delivery, so that a repeated one posts nothing.
    pub(crate) nonce: Option<String>,
}

/// Truncates a text, and marks that it did.
fn truncate(text: &str, max_chars: usize) -> String {
    match text.char_indices().nth(max_chars) {
        None => text.to_owned(),
        Some(_) => text.chars().take(max_chars - 1).chain(['…']).collect(),
    }
}
