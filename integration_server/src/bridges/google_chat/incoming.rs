//! Reads what Google Chat sends: events of an app in both of their forms, pushes of a subscription, and
//! the list of events of a space. Fields that are missing or unknown are ignored.

use super::account::{is_space_name, read_space};
use crate::bridges::{
    receiving::{InboxItem, list, require_few_items, text_of},
    text::{replace_outside_code, to_markdown},
};
use base64::{Engine, prelude::BASE64_STANDARD};
use chat_core::{bridges::RemoteSpace, time::now};
use chrono::{DateTime, Utc};
use serde_json::Value;

/// Maximum number of files of one message that are loaded.
const MAX_ATTACHMENTS: usize = 10;

/// What the names of events begin with.
const EVENT_PREFIX: &str = "google.workspace.chat.";

/// How an item reached the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// By a webhook: the list of events has it too, if the app may read it.
    Webhook,
    /// By the list of events of a space.
    List,
}

/// Something that happened in a space.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// The space.
    pub(crate) space: RemoteSpace,
    /// When it happened.
    pub(crate) at: DateTime<Utc>,
    /// How it reached the server.
    pub(crate) source: Source,
    /// What happened.
    pub(crate) content: ItemContent,
}

impl InboxItem for Item {
    fn key(&self) -> &str {
        &self.space.name
    }
}

/// What happened in a space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ItemContent {
    /// A message, new or changed.
    Message(Box<IncomingMessage>),
    /// The message with this name was deleted.
    Deletion(String),
    /// A reaction to the message with this name.
    Reaction { message: String, person: RemotePerson, emoji: String, is_added: bool },
    /// The app was added, by this person.
    Added(RemotePerson),
    /// The app was removed.
    Removed,
    /// Something else: the list of events has it.
    Other,
}

/// Somebody at Google Chat.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RemotePerson {
    /// The name in the API, such as `users/123`.
    pub(crate) key: String,
    /// The name that people see.
    pub(crate) name: Option<String>,
    /// Whether it is an app.
    pub(crate) is_app: bool,
}

/// A message of Google Chat.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct IncomingMessage {
    /// The name in the API, such as `spaces/AAA/messages/BBB`.
    pub(crate) name: String,
    /// The name of its thread.
    pub(crate) thread: Option<String>,
    /// Whether it replies in its thread.
    pub(crate) is_reply: bool,
    /// The name of the message that it quotes.
    pub(crate) quotes: Option<String>,
    /// Who sent it.
    pub(crate) sender: RemotePerson,
    /// Its text, in Markdown.
    pub(crate) text: String,
    /// Its files.
    pub(crate) attachments: Vec<Attachment>,
}

/// A file of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// The file name.
    pub(crate) filename: String,
    /// Its name in the API; `None` if it is at Google Drive.
    pub(crate) resource: Option<String>,
}

/// Reads a webhook or a listed event.
pub(crate) fn parse(body: &[u8]) -> Result<Vec<Item>, String> {
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
    let items = if body["eventType"].is_string() {
        parse_event(text_of(&body["eventType"]).unwrap_or_default().as_str(), &body, time_of(&body["eventTime"]), None)
            .into_iter()
            .map(|(space, at, content)| Item { space, at, source: Source::List, content })
            .collect()
    } else if body["message"]["attributes"].is_object() {
        parse_push(&body["message"])
    } else if body["chat"].is_object() {
        parse_add_on_event(&body["chat"]).into_iter().collect()
    } else {
        parse_app_event(&body).into_iter().collect::<Vec<_>>()
    };
    require_few_items(items)
}

/// A time, or now. A clock that is wrong must not skip events.
fn time_of(value: &Value) -> DateTime<Utc> {
    let at = value.as_str().and_then(|text| DateTime::parse_from_rfc3339(text).ok());
    at.map_or_else(now, |at| at.to_utc().min(now()))
}

/// An event of an app in its first form.
fn parse_app_event(event: &Value) -> Option<Item> {
    let space = match event["space"].is_object() {
        true => &event["space"],
        false => &event["message"]["space"],
    };
    let space = read_space(space)?;
    let kind = event["type"].as_str()?;
    let content = match kind {
        "MESSAGE" => parse_message(&event["message"], &event["user"])?,
        "ADDED_TO_SPACE" => ItemContent::Added(parse_person(&event["user"])),
        "REMOVED_FROM_SPACE" => ItemContent::Removed,
        _ => ItemContent::Other,
    };
    Some(Item { space, at: time_of(&event["eventTime"]), source: Source::Webhook, content })
}

/// An event of an app in the form of Workspace add-ons.
fn parse_add_on_event(chat: &Value) -> Option<Item> {
    let of = |name: &str| Some(&chat[name]).filter(|payload| payload.is_object());
    let (payload, content) = if let Some(payload) = of("messagePayload") {
        (payload, parse_message(&payload["message"], &chat["user"])?)
    } else if let Some(payload) = of("addedToSpacePayload") {
        (payload, ItemContent::Added(parse_person(&chat["user"])))
    } else if let Some(payload) = of("removedFromSpacePayload") {
        (payload, ItemContent::Removed)
    } else {
        return None;
    };
    let space = read_space(&payload["space"]).or_else(|| read_space(&payload["message"]["space"]))?;
    Some(Item { space, at: time_of(&chat["eventTime"]), source: Source::Webhook, content })
}

/// A push of a subscription by Google Pub/Sub: an event with or without what it is about.
fn parse_push(message: &Value) -> Vec<Item> {
    let attributes = &message["attributes"];
    let kind = attributes["ce-type"].as_str().unwrap_or_default();
    let subject = attributes["ce-subject"].as_str().and_then(|subject| subject.strip_prefix("//chat.googleapis.com/"));
    let data = message["data"].as_str().and_then(|text| BASE64_STANDARD.decode(text).ok()).unwrap_or_default();
    let data: Value = serde_json::from_slice(&data).unwrap_or_default();
    let at = time_of(&attributes["ce-time"]);
    parse_event(kind, &data, at, subject.filter(|name| is_space_name(name)))
        .into_iter()
        .map(|(space, at, content)| Item { space, at, source: Source::Webhook, content })
        .collect()
}

/// The fields of what an event is about: in a listed event below the name of its type, in a push at
/// the top.
fn data_of<'a>(event: &'a Value, kind: &str) -> &'a Value {
    let field = match kind {
        "message.v1.created" => "messageCreatedEventData",
        "message.v1.updated" => "messageUpdatedEventData",
        "message.v1.deleted" => "messageDeletedEventData",
        "message.v1.batchCreated" => "messageBatchCreatedEventData",
        "message.v1.batchUpdated" => "messageBatchUpdatedEventData",
        "message.v1.batchDeleted" => "messageBatchDeletedEventData",
        "reaction.v1.created" => "reactionCreatedEventData",
        "reaction.v1.deleted" => "reactionDeletedEventData",
        "reaction.v1.batchCreated" => "reactionBatchCreatedEventData",
        "reaction.v1.batchDeleted" => "reactionBatchDeletedEventData",
        _ => return &Value::Null,
    };
    if event[field].is_object() { &event[field] } else { event }
}

/// Reads an event of a space, which can be about several messages or reactions.
fn parse_event(
    kind: &str,
    event: &Value,
    at: DateTime<Utc>,
    subject: Option<&str>,
) -> Vec<(RemoteSpace, DateTime<Utc>, ItemContent)> {
    let kind = kind.strip_prefix(EVENT_PREFIX).unwrap_or_default();
    let data = data_of(event, kind);
    let one = |field: &str, many: &str| -> Vec<Value> {
        match data[many].as_array() {
            Some(items) => items.iter().map(|item| item[field].clone()).collect(),
            None => vec![data[field].clone()],
        }
    };
    let is_deleted = kind.to_ascii_lowercase().ends_with("deleted");
    let (values, contents): (Vec<Value>, Vec<Option<ItemContent>>) = if kind.starts_with("message.") {
        let of = |message: &Value| match is_deleted {
            true => message_name(message).map(ItemContent::Deletion),
            false => parse_message(message, &Value::Null),
        };
        let values = one("message", "messages");
        let contents = values.iter().map(of).collect();
        (values, contents)
    } else if kind.starts_with("reaction.") {
        let values = one("reaction", "reactions");
        let contents = values.iter().map(|reaction| parse_reaction(reaction, !is_deleted)).collect();
        (values, contents)
    } else {
        (Vec::new(), Vec::new())
    };
    let found = values.iter().zip(contents).filter_map(|(value, content)| {
        let space = space_of(value["name"].as_str()?)?;
        Some((RemoteSpace { name: space, title: None, is_direct: false }, at, content?))
    });
    let mut found: Vec<_> = found.collect();
    if found.is_empty()
        && let Some(subject) = subject
    {
        found.push((RemoteSpace { name: subject.to_owned(), title: None, is_direct: false }, at, ItemContent::Other));
    }
    found
}

/// The name of the space of a message or a reaction.
fn space_of(name: &str) -> Option<String> {
    let mut parts = name.splitn(3, '/');
    let space = format!("{}/{}", parts.next()?, parts.next()?);
    is_space_name(&space).then_some(space)
}

/// Whether a text is the name of a message. It becomes part of a URL.
pub(super) fn is_message_name(name: &str) -> bool {
    let mut parts = name.split('/');
    let is_id = |id: Option<&str>| {
        id.is_some_and(|id| {
            (1..=128).contains(&id.len())
                && !id.starts_with('.')
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
        })
    };
    parts.next() == Some("spaces")
        && is_id(parts.next())
        && parts.next() == Some("messages")
        && is_id(parts.next())
        && parts.next().is_none()
}

fn message_name(message: &Value) -> Option<String> {
    text_of(&message["name"]).filter(|name| is_message_name(name))
}

fn parse_person(user: &Value) -> RemotePerson {
    RemotePerson {
        key: text_of(&user["name"]).filter(|key| key.len() <= 128).unwrap_or_default(),
        name: text_of(&user["displayName"]),
        is_app: user["type"] == "BOT",
    }
}

/// Reads a message. One that was deleted meanwhile is its deletion.
fn parse_message(message: &Value, user: &Value) -> Option<ItemContent> {
    let name = message_name(message)?;
    if message["deleteTime"].is_string() || message["deletionMetadata"].is_object() {
        return Some(ItemContent::Deletion(name));
    }
    // Only one person and the app see it.
    if message["privateMessageViewer"].is_object() {
        return None;
    }
    let sender = if message["sender"].is_object() { &message["sender"] } else { user };
    let sender = parse_person(sender);
    if sender.key.is_empty() {
        return None;
    }
    let attachments: Vec<Attachment> =
        list(&message["attachment"]).filter_map(parse_attachment).take(MAX_ATTACHMENTS).collect();
    let drive = list(&message["attachment"]).filter_map(parse_drive_link).take(MAX_ATTACHMENTS);
    let mut lines: Vec<String> = vec![parse_text(message)];
    lines.extend(drive);
    let mut text = lines.join("\n").trim().to_owned();
    if text.is_empty() && attachments.is_empty() {
        text = "_[a message without a text cannot be shown]_".into();
    }
    Some(ItemContent::Message(Box::new(IncomingMessage {
        name,
        thread: text_of(&message["thread"]["name"]).filter(|thread| thread.len() <= 256),
        is_reply: message["threadReply"] == true,
        quotes: text_of(&message["quotedMessageMetadata"]["name"]).filter(|name| is_message_name(name)),
        sender,
        text,
        attachments,
    })))
}

/// The text of a message, in Markdown.
fn parse_text(message: &Value) -> String {
    let Some(formatted) = text_of(&message["formattedText"]) else {
        return text_of(&message["text"]).map(|text| to_markdown(&text)).unwrap_or_default();
    };
    let people: Vec<RemotePerson> =
        list(&message["annotations"]).map(|one| parse_person(&one["userMention"]["user"])).collect();
    let linked = replace_outside_code(&formatted, |part, output| replace_references(part, &people, output));
    to_markdown(&linked)
}

/// Replaces the links and mentions of Google Chat, which stand between angle brackets.
fn replace_references(text: &str, people: &[RemotePerson], output: &mut String) {
    let mut rest = text;
    while let Some(start) = rest.find('<') {
        output.push_str(&rest[..start]);
        let inside = &rest[start + 1..];
        let end = inside.find(['<', '>', '\n']).filter(|end| inside.as_bytes()[*end] == b'>');
        let reference = end.map(|end| &inside[..end]);
        rest = match (reference, end) {
            (Some(reference), Some(end)) if reference.starts_with("users/") => {
                let name =
                    people.iter().find(|person| person.key == reference).and_then(|person| person.name.as_deref());
                let name = if reference == "users/all" { Some("all") } else { name };
                let name: String = name.unwrap_or("somebody").chars().filter(|c| !c.is_control()).take(64).collect();
                output.push_str(&format!("@{name}"));
                &inside[end + 1..]
            }
            (Some(reference), Some(end)) if reference.starts_with("http") => {
                match reference.split_once('|') {
                    Some((url, title)) => output.push_str(&format!("[{}]({url})", title.replace(['[', ']'], ""))),
                    None => output.push_str(reference),
                }
                &inside[end + 1..]
            }
            _ => {
                output.push('<');
                inside
            }
        };
    }
    output.push_str(rest);
}

fn parse_attachment(attachment: &Value) -> Option<Attachment> {
    if attachment["driveDataRef"].is_object() {
        return None;
    }
    let filename = text_of(&attachment["contentName"]).unwrap_or_else(|| "file".into());
    let filename: String = filename.chars().take(255).collect();
    Some(Attachment { filename, resource: text_of(&attachment["attachmentDataRef"]["resourceName"]) })
}

/// A file at Google Drive, as a link: only people with access there can open it.
fn parse_drive_link(attachment: &Value) -> Option<String> {
    let id = text_of(&attachment["driveDataRef"]["driveFileId"])?;
    let is_id = id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    let name = text_of(&attachment["contentName"]).unwrap_or_else(|| "file".into()).replace(['[', ']', '\n'], " ");
    is_id.then(|| format!("📎 [{name}](https://drive.google.com/open?id={id})"))
}

fn parse_reaction(reaction: &Value, is_added: bool) -> Option<ItemContent> {
    let message = reaction["name"].as_str()?.split_once("/reactions/")?.0;
    let person = parse_person(&reaction["user"]);
    // Custom emoji are pictures of one organization.
    let emoji = text_of(&reaction["emoji"]["unicode"])?;
    (is_message_name(message) && !person.key.is_empty()).then(|| ItemContent::Reaction {
        message: message.to_owned(),
        person,
        emoji,
        is_added,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn parse_one(body: &Value) -> Item {
        let items = parse(body.to_string().as_bytes()).expect("an event");
        let [item] = items.as_slice() else { panic!("{items:?}") };
        item.clone()
    }

    fn message() -> Value {
        json!({ "name": "spaces/AAA/messages/B.C", "sender": { "name": "users/1", "displayName": "Eve", "type": "HUMAN" },
                "text": "hi", "thread": { "name": "spaces/AAA/threads/B" } })
    }

    #[test]
    fn each_form_of_an_event_is_read() {
        let space = json!({ "name": "spaces/AAA", "displayName": "Plans", "spaceType": "SPACE" });
        let first = parse_one(&json!({ "type": "MESSAGE", "space": space, "message": message() }));
        let add_on = json!({ "chat": { "messagePayload": { "space": space, "message": message() } } });
        let data = BASE64_STANDARD.encode(json!({ "message": message() }).to_string());
        let attributes = json!({ "ce-type": "google.workspace.chat.message.v1.created",
                                 "ce-subject": "//chat.googleapis.com/spaces/AAA" });
        let push = json!({ "message": { "data": data, "attributes": attributes }, "subscription": "s" });
        let listed = json!({ "name": "spaces/AAA/spaceEvents/1", "eventType": "google.workspace.chat.message.v1.created",
                             "messageCreatedEventData": { "message": message() } });
        for body in [add_on, push, listed.clone()] {
            let item = parse_one(&body);
            assert_eq!((item.space.name.as_str(), &item.content), ("spaces/AAA", &first.content), "{body}");
        }
        assert_eq!(first.space.title.as_deref(), Some("Plans"));
        assert_eq!((first.source, parse_one(&listed).source), (Source::Webhook, Source::List));
        let bare = json!({ "message": { "attributes": attributes } });
        assert_eq!(parse_one(&bare).content, ItemContent::Other, "the list of events has it");
        for (kind, content) in [
            ("ADDED_TO_SPACE", ItemContent::Added(RemotePerson::default())),
            ("REMOVED_FROM_SPACE", ItemContent::Removed),
        ] {
            assert_eq!(parse_one(&json!({ "type": kind, "space": space })).content, content);
        }
    }

    #[test]
    fn batches_deletions_and_reactions_are_read() {
        let batch = json!({ "eventType": "google.workspace.chat.message.v1.batchDeleted",
            "messageBatchDeletedEventData": { "messages": [{ "message": { "name": "spaces/A/messages/1" } },
                                                           { "message": { "name": "spaces/A/messages/2" } }] } });
        let items = parse(batch.to_string().as_bytes()).expect("an event");
        assert_eq!(items.len(), 2);
        assert_eq!(items[1].content, ItemContent::Deletion("spaces/A/messages/2".into()));
        let reaction = |emoji: Value| {
            json!({ "eventType": "google.workspace.chat.reaction.v1.created", "reactionCreatedEventData": { "reaction":
                    { "name": "spaces/A/messages/1/reactions/2", "user": { "name": "users/1" }, "emoji": emoji } } })
        };
        let item = parse_one(&reaction(json!({ "unicode": "👍" })));
        assert!(matches!(item.content, ItemContent::Reaction { is_added: true, .. }), "{item:?}");
        assert!(parse(reaction(json!({ "customEmoji": {} })).to_string().as_bytes()).expect("an event").is_empty());
        let mut deleted = message();
        deleted["deleteTime"] = json!("2026-01-01T00:00:00Z");
        let item = parse_one(&json!({ "eventType": "google.workspace.chat.message.v1.created",
                                      "messageCreatedEventData": { "message": deleted } }));
        assert_eq!(item.content, ItemContent::Deletion("spaces/AAA/messages/B.C".into()));
        let mut private = message();
        private["privateMessageViewer"] = json!({ "name": "users/1" });
        let body = json!({ "type": "MESSAGE", "space": { "name": "spaces/AAA" }, "message": private });
        assert!(parse(body.to_string().as_bytes()).expect("an event").is_empty(), "only one person may see it");
    }

    #[test]
    fn a_text_becomes_markdown() {
        let people = json!([{ "userMention": { "user": { "name": "users/7", "displayName": "Bob" } } }]);
        for (formatted, expected) in [
            ("*hi* <users/7> and <users/8>", "**hi** @Bob and @somebody"),
            ("<https://a.example|the plan> <https://b.example>", "[the plan](https://a.example) https://b.example"),
            ("1 < 2 > 0, <users/all>", "1 < 2 > 0, @all"),
            ("`<users/7>` ~x~", "`<users/7>` ~~x~~"),
        ] {
            assert_eq!(parse_text(&json!({ "formattedText": formatted, "annotations": people })), expected);
        }
    }

    #[test]
    fn names_that_become_part_of_a_url_are_checked() {
        assert!(is_message_name("spaces/A_b-1/messages/x.y") && is_message_name("spaces/A/messages/client-1"));
        for bad in
            ["spaces/A/messages/..", "spaces/A/messages/x?y", "spaces/A/messages/x/y", "users/1", "spaces//messages/x"]
        {
            assert!(!is_message_name(bad), "{bad}");
        }
        assert!(!is_space_name("spaces/../x") && !is_space_name("spaces/") && is_space_name("spaces/AAA"));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..256)) {
            let _ = parse(&bytes);
        }

        #[test]
        fn no_text_makes_it_panic(text in "[a-c<>|/`*_~ \n\u{e4}]{0,60}") {
            parse_text(&json!({ "formattedText": text }));
        }
    }
}
