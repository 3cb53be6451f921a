//! The formats in which programs post to a webhook: those of Discord, of Slack, which
//! Mattermost and others also use, and of GitHub. Unknown fields are ignored, as the products
//! do.

pub(crate) mod discord;
pub(crate) mod github;
pub(crate) mod slack;

use chat_core::{
    Error, Result,
    messages::{Embed, MAX_EMBEDS, MAX_TOTAL_CHARS},
    values::is_bidi_control,
};
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// A message that a program posts to a webhook.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct WebhookMessage {
    /// The text, as Markdown.
    pub(crate) content: String,
    /// The name that the message shows; that of the webhook if absent.
    pub(crate) author: Option<String>,
    /// The URL of an image that the message shows instead of the avatar of the webhook.
    pub(crate) avatar_url: Option<String>,
    pub(crate) embeds: Vec<Embed>,
    /// Whether the names in the text mention users.
    pub(crate) has_mentions: bool,
    /// Identifies the delivery, so that a repeated one posts nothing.
    pub(crate) nonce: Option<String>,
}

/// Parses a JSON object. Serde would accept a list of the fields too.
fn parse_object<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let object: Map<String, Value> = serde_json::from_slice(body).map_err(malformed)?;
    serde_json::from_value(Value::Object(object)).map_err(malformed)
}

fn malformed(error: serde_json::Error) -> Error {
    Error::Malformed(format!("not a message: {error}"))
}

/// Removes characters that an embed cannot contain, truncates the text, and marks that it did.
fn fit(text: &str, max_chars: usize) -> String {
    let allowed = |c: &char| !is_bidi_control(*c) && (!c.is_control() || matches!(c, '\n' | '\t'));
    let text: String = text.chars().filter(allowed).collect();
    match text.char_indices().nth(max_chars) {
        None => text,
        Some(_) => text.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Keeps a URL that an embed can contain. Products that accept others show no link for them.
fn fit_url(url: Option<String>) -> Option<String> {
    let is_allowed = |url: &String| {
        url.len() <= 2_048
            && (url.starts_with("https://") || url.starts_with("http://"))
            && !url.chars().any(|c| c.is_whitespace() || c.is_control() || is_bidi_control(c))
    };
    url.filter(is_allowed)
}

/// Drops and truncates what exceeds the limits of all embeds of a message.
fn fit_embeds(embeds: impl IntoIterator<Item = Embed>) -> Vec<Embed> {
    let mut remaining = MAX_TOTAL_CHARS;
    let mut fitting = Vec::new();
    for mut embed in embeds.into_iter().take(MAX_EMBEDS) {
        let description = embed.description.take();
        let Some(free) = remaining.checked_sub(embed.count_chars()) else { break };
        embed.description = description.map(|text| fit(&text, free.min(4_096))).filter(|text| !text.is_empty());
        remaining -= embed.count_chars();
        fitting.push(embed);
    }
    fitting
}
