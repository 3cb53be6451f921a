//! Runs the tools, by calls to REST.

use crate::{
    api::{Api, CallError},
    summary::{
        CatchUp, ChatDigest, ChatList, Done, MAX_CHATS, MessageList, PersonList, PersonSummary, UnreadChat,
        other_person,
    },
    text::clean,
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
const DEFAULT_MESSAGES: u8 = 20;

/// Maximum number of messages that a tool returns.
const MAX_MESSAGES: u8 = 50;

/// Maximum number of chats that `catch_up` returns.
const MAX_UNREAD_CHATS: usize = 10;

/// Maximum number of messages of each chat that `catch_up` returns.
const MAX_UNREAD_MESSAGES: usize = 20;

/// Maximum number of people that `find_people` returns.
const MAX_PEOPLE: u8 = 20;

/// Runs a tool. `key` identifies the call, so that a repeated call sends no second message.
pub(crate) async fn run(api: &Api<'_>, call: ToolCall, key: &str) -> Result<Value, CallError> {
    match call {
        ToolCall::ListChats(_) => to_json(list_chats(api).await?),
        ToolCall::CatchUp(input) => to_json(catch_up(api, &input).await?),
        ToolCall::ReadMessages(input) => to_json(read_messages(api, &input).await?),
        ToolCall::GetThread(input) => to_json(get_thread(api, &input).await?),
        ToolCall::SearchMessages(input) => to_json(search_messages(api, &input).await?),
        ToolCall::FindPeople(input) => to_json(find_people(api, &input).await?),
        ToolCall::SendMessage(input) => to_json(send_message(api, input, key).await?),
        ToolCall::EditMessage(EditMessage { message_id, text }) => {
            let path = format!("/api/messages/{message_id}");
            api.send(Method::PATCH, &path, Some(json!({ "content": text }))).await?;
            to_json(Done { message_id })
        }
        ToolCall::React(React { message_id, emoji, remove }) => {
            let emoji = encode(&emoji);
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

/// Describes a change to the user who has to confirm it. `None` if the tool only reads.
pub(crate) async fn preview(api: &Api<'_>, call: &ToolCall) -> Option<String> {
    Some(match call {
        ToolCall::SendMessage(SendMessage { chat_id, text, .. }) => {
            format!("Send to {}:\n\n{text}", describe_chat(api, *chat_id).await)
        }
        ToolCall::EditMessage(EditMessage { message_id, text }) => {
            format!("Replace your message {message_id} by:\n\n{text}")
        }
        ToolCall::React(React { message_id, emoji, remove: false }) => {
            format!("React to message {message_id} with {}", clean(emoji))
        }
        ToolCall::React(React { message_id, emoji, remove: true }) => {
            format!("Remove your reaction {} to message {message_id}", clean(emoji))
        }
        ToolCall::MarkRead(MarkRead { chat_id, .. }) => {
            format!("Mark the messages of {} as read", describe_chat(api, *chat_id).await)
        }
        _ => return None,
    })
}

/// Rejects a text that does not look as it is: a user could confirm what they cannot see.
pub(crate) fn check_visible(call: &ToolCall) -> Result<(), CallError> {
    let text = match call {
        ToolCall::SendMessage(SendMessage { text, .. }) | ToolCall::EditMessage(EditMessage { text, .. }) => text,
        _ => return Ok(()),
    };
    match clean(text) == *text {
        true => Ok(()),
        false => Err("the text contains characters that are invisible or change its direction; remove them".into()),
    }
}

async fn describe_chat(api: &Api<'_>, id: ChatId) -> String {
    let chat = api.get(&format!("/api/chats/{id}")).await.and_then(from_json::<ChatSummary>);
    match chat.map(|summary| summary.chat) {
        Ok(chat) if chat.kind == ChatType::Single => format!("a direct chat ({id})"),
        Ok(chat) => format!("“{}” ({} members)", clean(&chat.name), chat.member_count),
        // The token cannot read chats.
        Err(_) => format!("chat {id}"),
    }
}

async fn load_chats(api: &Api<'_>) -> Result<Vec<ChatSummary>, CallError> {
    items(api.get("/api/chats").await?)
}

async fn list_chats(api: &Api<'_>) -> Result<ChatList, CallError> {
    let mut chats = load_chats(api).await?;
    let has_more = chats.len() > MAX_CHATS;
    chats.truncate(MAX_CHATS);
    let people = load_people(api, chats.iter().filter_map(|summary| other_person(summary, api.user))).await;
    Ok(ChatList { chats: chats.iter().map(|summary| ChatDigest::new(summary, api.user, &people)).collect(), has_more })
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
        let after = summary.last_read_message_id.map(|id| format!("&after={id}")).unwrap_or_default();
        let path = format!("/api/chats/{}/messages?limit={MAX_UNREAD_MESSAGES}{after}", summary.chat.id);
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
    // One budget for all chats: what does not fit is left out.
    let list = MessageList::new(&all, &people, has_more);
    let mut summaries = list.messages.into_iter();
    let chats = unread.iter().map(|(summary, messages)| UnreadChat {
        chat: ChatDigest::new(summary, api.user, &people),
        messages: summaries.by_ref().take(messages.len()).collect(),
    });
    Ok(CatchUp { chats: chats.collect(), has_more: list.has_more })
}

async fn read_messages(api: &Api<'_>, input: &ReadMessages) -> Result<MessageList, CallError> {
    let limit = input.limit.unwrap_or(DEFAULT_MESSAGES).clamp(1, MAX_MESSAGES);
    let before = input.before.map(|id| format!("&before={id}")).unwrap_or_default();
    summarize(api, api.get(&format!("/api/chats/{}/messages?limit={limit}{before}", input.chat_id)).await?).await
}

async fn get_thread(api: &Api<'_>, input: &GetThread) -> Result<MessageList, CallError> {
    let id = input.message_id;
    let first: Message = from_json(api.get(&format!("/api/messages/{id}")).await?)?;
    let page = api.get(&format!("/api/messages/{id}/replies?limit={MAX_MESSAGES}")).await?;
    let has_more = !page["next"].is_null();
    let mut messages: Vec<Message> = items(page)?;
    messages.insert(0, first);
    let authors = load_authors(api, &messages).await;
    Ok(MessageList::new(&messages, &authors, has_more))
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

async fn send_message(api: &Api<'_>, input: SendMessage, key: &str) -> Result<Done, CallError> {
    let nonce = input.key.as_deref().unwrap_or(key);
    let body = json!({ "content": input.text, "reply_to": input.reply_to, "nonce": nonce });
    let sent = api.send(Method::POST, &format!("/api/chats/{}/messages", input.chat_id), Some(body)).await?;
    let message_id: MessageId = from_json(sent["id"].clone())?;
    Ok(Done { message_id })
}

/// Summarizes a page of messages with their authors.
async fn summarize(api: &Api<'_>, page: Value) -> Result<MessageList, CallError> {
    let has_more = !page["next"].is_null();
    let messages: Vec<Message> = items(page)?;
    let authors = load_authors(api, &messages).await;
    Ok(MessageList::new(&messages, &authors, has_more))
}

async fn load_authors(api: &Api<'_>, messages: &[Message]) -> HashMap<UserId, PersonSummary> {
    load_people(api, messages.iter().filter_map(|message| message.sender_id)).await
}

/// Loads profiles, at most 100. None if the token cannot read profiles.
async fn load_people(api: &Api<'_>, ids: impl Iterator<Item = UserId>) -> HashMap<UserId, PersonSummary> {
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

fn to_json(value: impl Serialize) -> Result<Value, CallError> {
    serde_json::to_value(value).map_err(|error| CallError(error.to_string()))
}
