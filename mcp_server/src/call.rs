//! Runs the tools, by calls to REST.

use crate::{
    api::{Api, CallError},
    summary::{
        CatchUp, ChatDigest, ChatList, Done, MAX_CHATS, MAX_LIST_BYTES, MessageList, MessageSummary, PersonList,
        PersonSummary, UnreadChat, other_person,
    },
    text::{clean, clean_name},
    tools::{
        CatchUpInput, EditMessage, FindPeople, GetThread, MarkRead, React, ReadMessages, SearchMessages, SendMessage,
        ToolCall,
    },
};
use axum::http::Method;
use chat_core::{
    ChatId, MessageId, UserId,
    chats::{ChatSummary, ChatType},
    messages::Message,
    users::User,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use std::collections::{BTreeSet, HashMap};

/// How many messages a tool returns unless the caller chooses.
const DEFAULT_MESSAGES: u32 = 20;

/// Maximum number of messages that a tool returns.
const MAX_MESSAGES: u32 = 50;

/// Maximum number of chats that `catch_up` returns.
const MAX_UNREAD_CHATS: usize = 10;

/// Maximum number of messages of each chat that `catch_up` returns.
const MAX_UNREAD_MESSAGES: usize = 20;

/// Maximum number of people that `find_people` returns.
const MAX_PEOPLE: u8 = 20;

/// Runs a tool.
pub(crate) async fn run(api: &Api<'_>, call: ToolCall) -> Result<Value, CallError> {
    match call {
        ToolCall::ListChats(_) => to_json(list_chats(api).await?),
        ToolCall::CatchUp(input) => to_json(catch_up(api, &input).await?),
        ToolCall::ReadMessages(input) => to_json(read_messages(api, &input).await?),
        ToolCall::GetThread(input) => to_json(get_thread(api, &input).await?),
        ToolCall::SearchMessages(input) => to_json(search_messages(api, &input).await?),
        ToolCall::FindPeople(input) => to_json(find_people(api, &input).await?),
        ToolCall::SendMessage(input) => to_json(send_message(api, input).await?),
        ToolCall::EditMessage(EditMessage { message_id, text }) => {
            let path = format!("/api/messages/{message_id}");
            api.send(Method::PATCH, &path, Some(json!({ "content": text }))).await?;
            to_json(Done { message_id })
        }
        ToolCall::React(React { message_id, emoji, remove }) => {
            let emoji = encode(emoji.as_str());
            let method = if remove { Method::DELETE } else { Method::PUT };
            api.send(method, &format!("/api/messages/{message_id}/reactions/{emoji}"), None).await?;
            to_json(Done { message_id })
        }
        ToolCall::MarkRead(MarkRead { chat_id, message_id }) => {
            let body = json!({ "message_id": message_id });
            api.send(Method::PUT, &format!("/api/chats/{chat_id}/read"), Some(body)).await?;
            to_json(Done { message_id })
        }
    }
}

/// Describes a change to the user who has to confirm it. Fails if the user could not see what
/// would change. The lines of this server come first, texts of users last.
pub(crate) async fn preview(api: &Api<'_>, call: &ToolCall) -> Result<String, CallError> {
    Ok(match call {
        ToolCall::SendMessage(SendMessage { chat_id, text, reply_to, .. }) => {
            let chat = describe_chat(api, *chat_id).await?;
            let reply = match reply_to {
                Some(id) => format!("\nAs a reply to: {}", excerpt(&load_message(api, *id).await?)),
                None => String::new(),
            };
            format!("Send a message as you.\n{chat}{reply}\n\nText:\n{text}")
        }
        ToolCall::EditMessage(EditMessage { message_id, text }) => {
            let message = load_message(api, *message_id).await?;
            if message.sender_id != Some(api.user) {
                return Err("only its sender can edit a message".into());
            }
            let chat = describe_chat(api, message.chat_id).await?;
            let before = excerpt(&message);
            format!("Replace the text of your message {message_id}.\n{chat}\nBefore: {before}\n\nNew text:\n{text}")
        }
        ToolCall::React(React { message_id, emoji, remove }) => {
            let message = load_message(api, *message_id).await?;
            let chat = describe_chat(api, message.chat_id).await?;
            let action = if *remove { "Remove your reaction" } else { "React as you with" };
            format!("{action} {}\n{chat}\nMessage {message_id}: {}", emoji.as_str(), excerpt(&message))
        }
        ToolCall::MarkRead(MarkRead { chat_id, message_id }) => {
            let chat = describe_chat(api, *chat_id).await?;
            let message = load_message(api, *message_id).await?;
            format!("Mark as read, up to message {message_id}.\n{chat}\nMessage: {}", excerpt(&message))
        }
        _ => return Err("this tool changes nothing".into()),
    })
}

/// The beginning of the text of a message, on one line.
fn excerpt(message: &Message) -> String {
    match &message.change {
        Some(_) => "(the server tells what a member changed in the chat)".to_owned(),
        None => clean_name(&message.content, 200),
    }
}

async fn load_message(api: &Api<'_>, id: MessageId) -> Result<Message, CallError> {
    from_json(api.get(&format!("/api/messages/{id}")).await?)
}

/// Rejects a text that does not look as it is: a user could confirm what they cannot see.
pub(crate) fn check_visible(call: &ToolCall) -> Result<(), CallError> {
    let text = match call {
        ToolCall::SendMessage(SendMessage { text, .. }) | ToolCall::EditMessage(EditMessage { text, .. }) => text,
        _ => return Ok(()),
    };
    if text.trim().is_empty() {
        return Err("text must not be empty".into());
    }
    match clean(text) == *text {
        true => Ok(()),
        false => Err("the text contains characters that are invisible or change its direction; remove them".into()),
    }
}

/// Describes a chat on one line: its id first, the name that its members chose last.
async fn describe_chat(api: &Api<'_>, id: ChatId) -> Result<String, CallError> {
    let summary: ChatSummary = from_json(api.get(&format!("/api/chats/{id}")).await?)?;
    let chat = &summary.chat;
    Ok(match chat.kind {
        ChatType::Single => {
            let other = other_person(&summary, api.user);
            let person = load_people(api, other.into_iter()).await.into_values().next();
            match (person, other) {
                (Some(person), _) => format!("To: chat {id}, with @{}", person.username()),
                (None, Some(other)) => format!("To: chat {id}, with user {other}"),
                (None, None) => format!("To: chat {id}"),
            }
        }
        _ => format!("To: chat {id}, {} members, named: {}", chat.member_count, clean_name(&chat.name, 200)),
    })
}

pub(crate) async fn load_chats(api: &Api<'_>) -> Result<Vec<ChatSummary>, CallError> {
    items(api.get("/api/chats").await?)
}

async fn list_chats(api: &Api<'_>) -> Result<ChatList, CallError> {
    let mut chats = load_chats(api).await?;
    let has_more = chats.len() > MAX_CHATS;
    chats.truncate(MAX_CHATS);
    let people = load_people(api, chats.iter().filter_map(|summary| other_person(summary, api.user))).await;
    Ok(ChatList::new(chats.iter().map(|summary| ChatDigest::new(summary, api.user, &people)), has_more))
}

async fn catch_up(api: &Api<'_>, input: &CatchUpInput) -> Result<CatchUp, CallError> {
    let mut chats = load_chats(api).await?;
    chats.retain(|summary| summary.unread_count > 0 && input.chat_id.is_none_or(|id| id == summary.chat.id));
    // The list is sorted by activity; the order of equal chats stays.
    chats.sort_by_key(|summary| std::cmp::Reverse(summary.mention_count > 0));
    let mut has_more = chats.len() > MAX_UNREAD_CHATS;
    chats.truncate(MAX_UNREAD_CHATS);
    let mut unread = Vec::new();
    for summary in &chats {
        // Without a read marker all are unread: after the first message of the server.
        let after = summary.last_read_message_id.map_or_else(|| "1".to_owned(), |id| id.to_string());
        let path = format!("/api/chats/{}/messages?limit={MAX_UNREAD_MESSAGES}&after={after}", summary.chat.id);
        let page = api.get(&path).await?;
        let mut messages: Vec<Message> = items(page)?;
        messages.sort_by_key(|message| message.id);
        has_more |= usize::try_from(summary.unread_count).unwrap_or(0) > messages.len();
        unread.push((summary, messages));
    }
    let all: Vec<Message> = unread.iter().flat_map(|(_, messages)| messages.clone()).collect();
    let senders = all.iter().filter_map(|message| message.sender_id);
    let others = chats.iter().filter_map(|summary| other_person(summary, api.user));
    let people = load_people(api, senders.chain(others)).await;
    // Each chat has a share.
    let share = MAX_LIST_BYTES / unread.len().max(1);
    let mut chats = Vec::new();
    for (summary, messages) in &unread {
        let list = MessageList::new(messages, &people, false, share);
        has_more |= list.has_more;
        chats.push(UnreadChat { chat: ChatDigest::new(summary, api.user, &people), messages: list.messages });
    }
    Ok(CatchUp { chats, has_more })
}

async fn read_messages(api: &Api<'_>, input: &ReadMessages) -> Result<MessageList, CallError> {
    let limit = input.limit.unwrap_or(DEFAULT_MESSAGES).clamp(1, MAX_MESSAGES);
    let before = input.before.map(|id| format!("&before={id}")).unwrap_or_default();
    summarize(api, api.get(&format!("/api/chats/{}/messages?limit={limit}{before}", input.chat_id)).await?).await
}

/// Reads a chat and its newest messages.
pub(crate) async fn read_chat(api: &Api<'_>, id: ChatId) -> Result<(ChatDigest, MessageList), CallError> {
    let summary: ChatSummary = from_json(api.get(&format!("/api/chats/{id}")).await?)?;
    let messages = read_messages(api, &ReadMessages { chat_id: id, before: None, limit: None }).await?;
    let people = load_people(api, other_person(&summary, api.user).into_iter()).await;
    Ok((ChatDigest::new(&summary, api.user, &people), messages))
}

/// Reads a message of a chat.
pub(crate) async fn read_message(api: &Api<'_>, chat: ChatId, id: MessageId) -> Result<MessageSummary, CallError> {
    let message = load_message(api, id).await?;
    if message.chat_id != chat {
        return Err("message not found, or not visible to you".into());
    }
    let authors = load_authors(api, std::slice::from_ref(&message)).await;
    Ok(MessageSummary::new(&message, &authors))
}

async fn get_thread(api: &Api<'_>, input: &GetThread) -> Result<MessageList, CallError> {
    let id = input.message_id;
    let first: Message = from_json(api.get(&format!("/api/messages/{id}")).await?)?;
    let page = api.get(&format!("/api/messages/{id}/replies?limit={MAX_MESSAGES}")).await?;
    let has_more = !page["next"].is_null();
    let mut messages: Vec<Message> = items(page)?;
    messages.insert(0, first);
    let authors = load_authors(api, &messages).await;
    Ok(MessageList::new(&messages, &authors, has_more, MAX_LIST_BYTES))
}

async fn search_messages(api: &Api<'_>, input: &SearchMessages) -> Result<MessageList, CallError> {
    let query = encode(&input.query);
    let chat = input.chat_id.map(|id| format!("&chat_id={id}")).unwrap_or_default();
    summarize(api, api.get(&format!("/api/search?q={query}&limit={DEFAULT_MESSAGES}{chat}")).await?).await
}

async fn find_people(api: &Api<'_>, input: &FindPeople) -> Result<PersonList, CallError> {
    let query = encode(&input.query);
    let users: Vec<User> = items(api.get(&format!("/api/users/search?q={query}&limit={MAX_PEOPLE}")).await?)?;
    Ok(PersonList { people: users.iter().map(PersonSummary::from).collect() })
}

async fn send_message(api: &Api<'_>, input: SendMessage) -> Result<Done, CallError> {
    let body = json!({ "content": input.text, "reply_to": input.reply_to, "nonce": input.key });
    let sent = api.send(Method::POST, &format!("/api/chats/{}/messages", input.chat_id), Some(body)).await?;
    let message_id: MessageId = from_json(sent["id"].clone())?;
    Ok(Done { message_id })
}

/// Summarizes a page of messages with their authors.
async fn summarize(api: &Api<'_>, page: Value) -> Result<MessageList, CallError> {
    let has_more = !page["next"].is_null();
    let messages: Vec<Message> = items(page)?;
    let authors = load_authors(api, &messages).await;
    Ok(MessageList::new(&messages, &authors, has_more, MAX_LIST_BYTES))
}

async fn load_authors(api: &Api<'_>, messages: &[Message]) -> HashMap<UserId, PersonSummary> {
    load_people(api, messages.iter().filter_map(|message| message.sender_id)).await
}

/// Loads profiles, at most 100. None if the token cannot read profiles.
pub(crate) async fn load_people(api: &Api<'_>, ids: impl Iterator<Item = UserId>) -> HashMap<UserId, PersonSummary> {
    let ids: BTreeSet<UserId> = ids.collect();
    let ids: Vec<String> = ids.iter().take(100).map(ToString::to_string).collect();
    if ids.is_empty() {
        return HashMap::new();
    }
    let users = api.get(&format!("/api/users?ids={}", ids.join(","))).await.and_then(items::<User>);
    users.unwrap_or_default().iter().map(|user| (user.id, PersonSummary::from(user))).collect()
}

/// Encodes a text for a URL.
fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn items<T: DeserializeOwned>(mut page: Value) -> Result<Vec<T>, CallError> {
    from_json(page["items"].take())
}

fn from_json<T: DeserializeOwned>(value: Value) -> Result<T, CallError> {
    serde_json::from_value(value).map_err(|error| CallError(format!("unexpected response: {error}")))
}

pub(crate) fn to_json(value: impl Serialize) -> Result<Value, CallError> {
    serde_json::to_value(value).map_err(|error| CallError(error.to_string()))
}
