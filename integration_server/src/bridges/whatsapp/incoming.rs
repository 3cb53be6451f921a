//! Reads the webhooks of WhatsApp. Fields that are missing or unknown are ignored: the platform
//! adds some from time to time.

use super::graph::{decode_hash, describe_error};
use crate::bridges::{
    receiving::{InboxItem, list, require_few_items, text_of},
    text::to_markdown,
};
use chat_core::{
    DeliveryId,
    bridges::{RelayState, chats::RemoteUser, statuses::Status},
    time::now,
};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Something that a webhook tells.
#[derive(Debug, Clone)]
pub(crate) enum Item {
    /// A message, or a change of one.
    Message(Box<IncomingMessage>),
    /// A status of a message that Confab sent, from this remote user.
    Status { remote_user_key: String, status: Status, error_code: i64 },
}

impl InboxItem for Item {
    fn key(&self) -> &str {
        match self {
            Self::Message(message) => message.remote_user.phone.as_deref().unwrap_or(&message.remote_user.key),
            Self::Status { remote_user_key, .. } => remote_user_key,
        }
    }

    fn is_move(&self) -> bool {
        matches!(self, Self::Message(message) if matches!(message.content, IncomingContent::Moved { .. }))
    }
}

/// A message of a remote user, or to a remote user by the business itself on another device.
#[derive(Debug, Clone)]
pub(crate) struct IncomingMessage {
    /// The id of the message.
    pub(crate) id: String,
    /// The remote user.
    pub(crate) remote_user: RemoteUser,
    /// When it was sent.
    pub(crate) at: DateTime<Utc>,
    /// The id of the message to which it replies.
    pub(crate) reply_to: Option<String>,
    /// Whether the business sent it on another device.
    pub(crate) is_echo: bool,
    /// What it is.
    pub(crate) content: IncomingContent,
}

/// What a message of a remote user is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum IncomingContent {
    /// A text, in Markdown.
    Text(String),
    /// A file.
    Media(IncomingMedia),
    /// A reaction; no emoji removes it.
    Reaction { to: String, emoji: Option<String> },
    /// Another text for an earlier message.
    Edit { of: String, text: String },
    /// The end of an earlier message.
    Deletion { of: String },
    /// Another address of the remote user.
    Moved { key: String, phone: Option<String> },
}

/// A file of a remote user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IncomingMedia {
    /// Its id.
    pub(crate) id: String,
    /// What it is, such as `image`.
    pub(crate) kind: String,
    /// The text below it, in Markdown.
    pub(crate) caption: String,
    /// Its name.
    pub(crate) filename: String,
    /// The SHA-256 of its bytes.
    pub(crate) sha256: Option<Vec<u8>>,
}

/// Reads a webhook: what it tells about one phone number.
pub(crate) fn parse(body: &[u8], phone_number_id: &str) -> Result<Vec<Item>, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let mut items = Vec::new();
    let changes = list(&body["entry"]).flat_map(|entry| list(&entry["changes"]));
    for value in changes.map(|change| &change["value"]) {
        if value["metadata"]["phone_number_id"].as_str() != Some(phone_number_id) {
            continue;
        }
        let profiles = &value["contacts"];
        items.extend(list(&value["messages"]).filter_map(|message| parse_message(message, profiles, false)));
        items.extend(list(&value["message_echoes"]).filter_map(|message| parse_message(message, profiles, true)));
        items.extend(list(&value["statuses"]).filter_map(parse_status));
    }
    require_few_items(items)
}

/// The digits of a phone number.
fn phone_of(value: &Value) -> Option<String> {
    let digits: String = value.as_str()?.chars().filter(char::is_ascii_digit).collect();
    (7..=15).contains(&digits.len()).then_some(digits)
}

fn time_of(value: &Value) -> DateTime<Utc> {
    let seconds = value.as_str().and_then(|text| text.parse().ok()).or_else(|| value.as_i64());
    let at = seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0));
    // A clock that is wrong must not open a long window.
    at.map_or_else(now, |at| at.min(now()))
}

fn parse_message(message: &Value, profiles: &Value, is_echo: bool) -> Option<Item> {
    let (phone, user_id) = match is_echo {
        false => (phone_of(&message["from"]), text_of(&message["from_user_id"])),
        true => (phone_of(&message["to"]), text_of(&message["to_user_id"])),
    };
    let entry = list(profiles).find(|one| {
        (user_id.is_some() && text_of(&one["user_id"]) == user_id)
            || (phone.is_some() && phone_of(&one["wa_id"]) == phone)
    });
    let entry = entry.or_else(|| list(profiles).next().filter(|_| list(profiles).count() == 1)).unwrap_or(&Value::Null);
    let user_id = user_id.or_else(|| text_of(&entry["user_id"]));
    let phone = phone.or_else(|| phone_of(&entry["wa_id"]));
    let profile = &entry["profile"];
    let name = text_of(&profile["name"]).or_else(|| text_of(&profile["username"]).map(|name| format!("@{name}")));
    let remote_user = RemoteUser { key: user_id.or_else(|| phone.clone())?, phone, name, is_space: false };
    Some(Item::Message(Box::new(IncomingMessage {
        id: text_of(&message["id"])?,
        at: time_of(&message["timestamp"]),
        reply_to: text_of(&message["context"]["id"]),
        is_echo,
        content: parse_content(message, &remote_user),
        remote_user,
    })))
}

fn parse_content(message: &Value, remote_user: &RemoteUser) -> IncomingContent {
    let kind = message["type"].as_str().unwrap_or_default();
    let of = &message[kind];
    let text = match kind {
        "text" => text_of(&of["body"]).map(|text| to_markdown(&text)),
        "image" | "video" | "audio" | "document" | "sticker" => {
            return IncomingContent::Media(IncomingMedia {
                id: text_of(&of["id"]).unwrap_or_default(),
                kind: kind.to_owned(),
                caption: text_of(&of["caption"]).map(|text| to_markdown(&text)).unwrap_or_default(),
                filename: text_of(&of["filename"]).unwrap_or_else(|| default_filename(kind, &of["mime_type"])),
                sha256: of["sha256"].as_str().and_then(decode_hash),
            });
        }
        "reaction" => {
            let to = text_of(&of["message_id"]).unwrap_or_default();
            return IncomingContent::Reaction { to, emoji: text_of(&of["emoji"]) };
        }
        "edit" => {
            let edited = &of["message"];
            let text = text_of(&edited["text"]["body"]).or_else(|| {
                let kind = edited["type"].as_str()?;
                text_of(&edited[kind]["caption"])
            });
            let of = text_of(&of["original_message_id"]).unwrap_or_default();
            return IncomingContent::Edit { of, text: to_markdown(&text.unwrap_or_default()) };
        }
        "revoke" => {
            return IncomingContent::Deletion { of: text_of(&of["original_message_id"]).unwrap_or_default() };
        }
        "system" => {
            let phone = phone_of(&of["wa_id"]).or_else(|| phone_of(&of["new_wa_id"]));
            let key = text_of(&of["user_id"]).or_else(|| phone.clone());
            let is_move = text_of(&of["type"]).is_some_and(|kind| kind.contains("changed"));
            match key.filter(|id| is_move && *id != remote_user.key) {
                Some(key) => return IncomingContent::Moved { key, phone },
                None => text_of(&of["body"]).map(|text| format!("_{text}_")),
            }
        }
        "location" => Some(describe_location(of)),
        "contacts" => Some(list(of).map(describe_card).collect::<Vec<_>>().join("\n")),
        "interactive" => describe_interactive(of),
        "button" => text_of(&of["text"]),
        "order" => Some(describe_order(of)),
        _ => None,
    };
    let text = text.filter(|text| !text.trim().is_empty());
    IncomingContent::Text(text.unwrap_or_else(|| {
        let reason = list(&message["errors"]).next().map(describe_error);
        let reason = reason.map(|reason| format!(": {reason}")).unwrap_or_default();
        format!(
            "_[a message of the type “{}” cannot be shown{reason}]_",
            kind.chars().filter(char::is_ascii_alphanumeric).take(32).collect::<String>()
        )
    }))
}

fn default_filename(kind: &str, mime_type: &Value) -> String {
    let mime_type = mime_type.as_str().unwrap_or_default().split(';').next().unwrap_or_default();
    let extension =
        mime_type.rsplit('/').next().filter(|text| text.len() <= 8 && text.chars().all(char::is_alphanumeric));
    match extension {
        Some("jpeg") => format!("{kind}.jpg"),
        Some(extension) if !extension.is_empty() => format!("{kind}.{extension}"),
        _ => kind.to_owned(),
    }
}

fn describe_location(location: &Value) -> String {
    let (latitude, longitude) = (location["latitude"].as_f64(), location["longitude"].as_f64());
    let mut lines: Vec<String> = [&location["name"], &location["address"]].into_iter().filter_map(text_of).collect();
    if let (Some(latitude), Some(longitude)) = (latitude, longitude) {
        lines.push(format!(
            "https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map=16/{latitude}/{longitude}"
        ));
    }
    format!("📍 {}", lines.join("\n"))
}

fn describe_card(card: &Value) -> String {
    let name = text_of(&card["name"]["formatted_name"]).unwrap_or_else(|| "Unknown name".into());
    let phones = list(&card["phones"]).filter_map(|phone| text_of(&phone["phone"]));
    let emails = list(&card["emails"]).filter_map(|email| text_of(&email["email"]));
    let details = phones.chain(emails).collect::<Vec<_>>().join(", ");
    format!("👤 {name}: {details}")
}

fn describe_interactive(interactive: &Value) -> Option<String> {
    let reply = interactive["type"].as_str().map(|kind| &interactive[kind])?;
    let description = text_of(&reply["description"]).map(|text| format!("\n{text}")).unwrap_or_default();
    let title = text_of(&reply["title"]).or_else(|| text_of(&reply["body"]))?;
    Some(format!("{title}{description}"))
}

fn describe_order(order: &Value) -> String {
    let items = list(&order["product_items"]).map(|item| {
        let number = |value: &Value| value.as_f64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_default();
        format!(
            "{} × {} ({} {})",
            number(&item["quantity"]),
            text_of(&item["product_retailer_id"]).unwrap_or_default(),
            number(&item["item_price"]),
            text_of(&item["currency"]).unwrap_or_default(),
        )
    });
    let note = text_of(&order["text"]);
    let lines: Vec<String> = note.into_iter().chain(items).collect();
    format!("🛒 {}", lines.join("\n"))
}

fn parse_status(status: &Value) -> Option<Item> {
    let state = match status["status"].as_str()? {
        "sent" => RelayState::Sent,
        "delivered" => RelayState::Delivered,
        "read" | "played" => RelayState::Read,
        "failed" => RelayState::Failed,
        _ => return None,
    };
    let error = list(&status["errors"]).next();
    let key = text_of(&status["recipient_id"]).or_else(|| text_of(&status["recipient_user_id"]));
    let reference = status["biz_opaque_callback_data"].as_str().and_then(parse_reference);
    Some(Item::Status {
        remote_user_key: key.unwrap_or_default(),
        error_code: error.and_then(|error| error["code"].as_i64()).unwrap_or_default(),
        status: Status { remote_id: text_of(&status["id"])?, reference, state, error: error.map(describe_error) },
    })
}

/// What Confab sends along with a message, and each status repeats.
pub(crate) fn write_reference(delivery: DeliveryId, part: i16) -> String {
    format!("confab:{delivery}:{part}")
}

fn parse_reference(text: &str) -> Option<(DeliveryId, i16)> {
    let (delivery, part) = text.strip_prefix("confab:")?.split_once(':')?;
    Some((delivery.parse().ok()?, part.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse_one(message: Value) -> IncomingMessage {
        let profiles = json!([{ "profile": { "name": "Eve" }, "wa_id": "491511234567", "user_id": "DE.42" }]);
        let value = json!({ "metadata": { "phone_number_id": "7" }, "contacts": profiles, "messages": [message] });
        let body = json!({ "entry": [{ "changes": [{ "field": "messages", "value": value }] }] });
        let items = parse(body.to_string().as_bytes(), "7").expect("a webhook");
        let [Item::Message(message)] = items.as_slice() else { panic!("{items:?}") };
        (**message).clone()
    }

    fn text(kind: &str, of: Value) -> String {
        let message =
            json!({ "id": "wamid.1", "from": "491511234567", "timestamp": "1700000000", "type": kind, kind: of });
        match parse_one(message).content {
            IncomingContent::Text(text) => text,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn each_type_of_message_becomes_a_text_if_it_is_no_file() {
        assert_eq!(text("text", json!({ "body": "*hi*" })), "**hi**");
        assert_eq!(text("button", json!({ "text": "Yes", "payload": "y" })), "Yes");
        let reply = json!({ "type": "list_reply", "list_reply": { "id": "1", "title": "Red", "description": "wine" } });
        assert_eq!(text("interactive", reply), "Red\nwine");
        assert!(
            text("location", json!({ "latitude": 52.5, "longitude": 13.4, "name": "Berlin" })).contains("mlat=52.5")
        );
        let card = json!([{ "name": { "formatted_name": "Bob" }, "phones": [{ "phone": "+49 1" }] }]);
        assert_eq!(text("contacts", card), "👤 Bob: +49 1");
        let items = json!([{ "product_retailer_id": "a", "quantity": 2, "item_price": 3.5, "currency": "EUR" }]);
        assert_eq!(text("order", json!({ "product_items": items })), "🛒 2 × a (3.5 EUR)");
        assert!(text("hologram", json!({})).contains("“hologram” cannot be shown"));
        assert!(text("text", json!({ "body": "" })).contains("cannot be shown"));
    }

    #[test]
    fn a_remote_user_is_known_by_its_key_or_else_its_phone_number() {
        let message = parse_one(json!({ "id": "w", "from": "491511234567", "type": "text", "text": { "body": "x" } }));
        assert_eq!(message.remote_user.key, "DE.42");
        assert_eq!(message.remote_user.phone.as_deref(), Some("491511234567"));
        assert_eq!(message.remote_user.name.as_deref(), Some("Eve"));
        let value = json!({ "metadata": { "phone_number_id": "7" },
                            "messages": [{ "id": "w", "from_user_id": "DE.1", "type": "text", "text": { "body": "x" } }] });
        let body = json!({ "entry": [{ "changes": [{ "value": value }] }] }).to_string();
        let items = parse(body.as_bytes(), "7").expect("a webhook");
        assert_eq!(items[0].key(), "DE.1");
        assert!(parse(body.as_bytes(), "8").expect("a webhook").is_empty(), "it is about another number");
    }

    #[test]
    fn changes_of_messages_name_the_message() {
        let of = |kind: &str, of: Value| {
            parse_one(json!({ "id": "w", "from": "491511234567", "type": kind, kind: of })).content
        };
        assert_eq!(
            of("reaction", json!({ "message_id": "m" })),
            IncomingContent::Reaction { to: "m".into(), emoji: None }
        );
        let edit = json!({ "original_message_id": "m", "message": { "type": "text", "text": { "body": "new" } } });
        assert_eq!(of("edit", edit), IncomingContent::Edit { of: "m".into(), text: "new".into() });
        assert_eq!(of("revoke", json!({ "original_message_id": "m" })), IncomingContent::Deletion { of: "m".into() });
        let moved = json!({ "type": "user_changed_number", "wa_id": "4915199999999", "body": "moved" });
        let expected = IncomingContent::Moved { key: "4915199999999".into(), phone: Some("4915199999999".into()) };
        assert_eq!(of("system", moved), expected);
    }

    #[test]
    fn a_status_repeats_what_was_sent_along() {
        let delivery: DeliveryId = "12".parse().expect("an id");
        assert_eq!(parse_reference(&write_reference(delivery, 3)), Some((delivery, 3)));
        assert_eq!(parse_reference("something else"), None);
        let status = json!({ "id": "wamid.9", "status": "failed", "recipient_id": "49151", "errors": [
            { "code": 131_047, "title": "Re-engagement message", "error_data": { "details": "24 hours" } }] });
        let Some(Item::Status { status, error_code, .. }) = parse_status(&status) else { panic!("no status") };
        assert_eq!((status.state, error_code), (RelayState::Failed, 131_047));
        assert_eq!(status.error.as_deref(), Some("Re-engagement message (131047): 24 hours"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..256)) {
            let _ = parse(&bytes, "7");
        }
    }
}
