//! The messages of Discord's webhooks, as clients send and receive them.
//! <https://discord.com/developers/docs/resources/webhook>

use super::{WebhookMessage, parse_object};
use chat_core::{
    Result, Time,
    messages::{Embed, EmbedAuthor, EmbedField, Message},
    webhooks::Webhook,
};
use chrono::{DateTime, Datelike, Utc};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

/// A message to post.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct DiscordMessage {
    content: Option<String>,
    username: Option<String>,
    avatar_url: Option<String>,
    embeds: Option<Vec<DiscordEmbed>>,
    allowed_mentions: Option<AllowedMentions>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct AllowedMentions {
    parse: Option<Vec<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DiscordEmbed {
    title: Option<String>,
    description: Option<String>,
    url: Option<String>,
    color: Option<u32>,
    timestamp: Option<String>,
    footer: Option<Footer>,
    image: Option<Image>,
    thumbnail: Option<Image>,
    author: Option<Author>,
    fields: Option<Vec<Field>>,
}

#[derive(Debug, Deserialize)]
struct Footer {
    text: String,
}

#[derive(Debug, Deserialize)]
struct Image {
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Author {
    name: String,
    url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Field {
    #[serde(deserialize_with = "deserialize_text")]
    name: String,
    #[serde(deserialize_with = "deserialize_text")]
    value: String,
    inline: Option<bool>,
}

/// Accepts numbers and booleans too, as Discord does.
fn deserialize_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    match Value::deserialize(deserializer)? {
        Value::String(text) => Ok(text),
        value @ (Value::Number(_) | Value::Bool(_)) => Ok(value.to_string()),
        _ => Err(serde::de::Error::custom("must be a text")),
    }
}

impl DiscordEmbed {
    fn into_embed(self) -> Embed {
        let picture = self.image.or(self.thumbnail).and_then(|image| image.url);
        // Clients also send files of the message here, which are shown below it.
        let image_url = picture.filter(|url| !url.starts_with("attachment://"));
        let timestamp = self.timestamp.as_deref().and_then(parse_time);
        Embed {
            author: self.author.map(|author| EmbedAuthor { name: author.name, url: author.url }),
            title: self.title,
            url: self.url,
            description: self.description,
            color: self.color,
            fields: self.fields.unwrap_or_default().into_iter().map(Field::into_field).collect(),
            image_url,
            footer: self.footer.map(|footer| footer.text),
            timestamp,
        }
    }
}

/// Parses a time that every client can show: without a leap second, and with a year of four
/// digits. Others are ignored.
fn parse_time(text: &str) -> Option<Time> {
    let time = text.parse::<DateTime<Utc>>().ok()?;
    let time = DateTime::from_timestamp(time.timestamp(), time.timestamp_subsec_nanos().min(999_999_999))?;
    (1..=9_999).contains(&time.year()).then_some(Time(time))
}

impl Field {
    fn into_field(self) -> EmbedField {
        EmbedField { name: self.name, value: self.value, inline: self.inline.unwrap_or(false) }
    }
}

impl DiscordMessage {
    /// Parses JSON.
    pub(crate) fn parse(body: &[u8]) -> Result<Self> {
        parse_object(body)
    }

    /// Builds a message from the fields of a form, one of which can be the message as JSON.
    pub(crate) fn from_fields(fields: impl IntoIterator<Item = (String, String)>) -> Result<Self> {
        let mut message = Self::default();
        for (name, value) in fields {
            match name.as_str() {
                "payload_json" => return Self::parse(value.as_bytes()),
                "content" => message.content = Some(value),
                "username" => message.username = Some(value),
                "avatar_url" => message.avatar_url = Some(value),
                _ => {}
            }
        }
        Ok(message)
    }

    /// The changes of an edit.
    pub(crate) fn into_changes(self) -> Changes {
        let Self { content, embeds, allowed_mentions, .. } = self;
        let embeds = embeds.map(|embeds| embeds.into_iter().map(DiscordEmbed::into_embed).collect());
        Changes { content, embeds, has_mentions: allows_mentions(allowed_mentions) }
    }
}

/// The changes of an edit; absent fields stay unchanged.
#[derive(Debug)]
pub(crate) struct Changes {
    pub(crate) content: Option<String>,
    pub(crate) embeds: Option<Vec<Embed>>,
    /// Whether the names in the text mention users.
    pub(crate) has_mentions: bool,
}

fn allows_mentions(allowed: Option<AllowedMentions>) -> bool {
    let kinds = allowed.and_then(|allowed| allowed.parse);
    kinds.is_none_or(|kinds| kinds.iter().any(|kind| kind == "users" || kind == "everyone"))
}

impl From<DiscordMessage> for WebhookMessage {
    fn from(message: DiscordMessage) -> Self {
        let DiscordMessage { content, username, avatar_url, embeds, allowed_mentions } = message;
        Self {
            content: content.unwrap_or_default(),
            author: username,
            avatar_url,
            embeds: embeds.unwrap_or_default().into_iter().map(DiscordEmbed::into_embed).collect(),
            has_mentions: allows_mentions(allowed_mentions),
            nonce: None,
        }
    }
}

/// Describes a message as Discord does. Ids are texts.
pub(crate) fn describe_message(message: &Message, webhook: &Webhook) -> Value {
    let name = message.author.as_ref().map_or(webhook.name.as_str(), |author| author.name.as_str());
    let files = message.files.iter().map(|file| {
        json!({
            "id": file.id.to_string(), "filename": file.filename, "size": file.size, "url": file.url,
            "proxy_url": file.url, "content_type": file.mime_type,
        })
    });
    json!({
        "id": message.id.to_string(),
        "type": 0,
        "channel_id": message.chat_id.to_string(),
        "webhook_id": webhook.id.to_string(),
        "author": { "id": webhook.id.to_string(), "username": name, "discriminator": "0000", "avatar": null, "bot": true },
        "content": message.content,
        "timestamp": message.created_at,
        "edited_timestamp": message.edited_at,
        "tts": false,
        "mention_everyone": message.mentions_everyone,
        "mentions": [],
        "mention_roles": [],
        "attachments": files.collect::<Vec<_>>(),
        "embeds": message.embeds.iter().map(describe_embed).collect::<Vec<_>>(),
        "components": [],
        "flags": 0,
        "pinned": message.pinned,
    })
}

fn describe_embed(embed: &Embed) -> Value {
    let mut description = json!({ "type": "rich" });
    let mut insert = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            description[name] = value;
        }
    };
    insert("title", embed.title.as_ref().map(|title| json!(title)));
    insert("url", embed.url.as_ref().map(|url| json!(url)));
    insert("description", embed.description.as_ref().map(|text| json!(text)));
    insert("color", embed.color.map(|color| json!(color)));
    insert("timestamp", embed.timestamp.as_ref().map(|time| json!(time)));
    insert("footer", embed.footer.as_ref().map(|text| json!({ "text": text })));
    insert("image", embed.image_url.as_ref().map(|url| json!({ "url": url })));
    insert("author", embed.author.as_ref().map(|author| json!({ "name": author.name, "url": author.url })));
    if !embed.fields.is_empty() {
        insert("fields", Some(json!(embed.fields)));
    }
    description
}

/// Describes a webhook as Discord does.
pub(crate) fn describe_webhook(webhook: &Webhook) -> Value {
    json!({
        "id": webhook.id.to_string(), "type": 1, "name": webhook.name, "avatar": null,
        "channel_id": webhook.chat_id.to_string(), "guild_id": null, "application_id": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_times_that_every_client_shows_are_kept() {
        for good in ["2026-06-30T12:00:00Z", "2026-06-30T12:00:00.123+02:00", "2026-06-30T23:59:60Z"] {
            let time = parse_time(good).expect(good);
            assert!(!serde_json::to_string(&time).expect("a time").contains(":60"), "{good}");
        }
        for bad in ["", "now", "-0001-01-01T00:00:00Z", "+10000-01-01T00:00:00Z", "+262142-12-31T23:59:60Z"] {
            assert!(parse_time(bad).is_none(), "{bad}");
        }
    }
}
