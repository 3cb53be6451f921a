//! Chats.

use super::Items;
use crate::{
    Api,
    extract::{Caller, ChatMember, Input, Segment},
    openapi::{Done, Made},
};
use axum::{Json, extract::State};
use chat_core::{
    ChatId, Error, Result, UserId,
    chats::{self, Chat, ChatPatch, ChatRow, ChatType, Created, MAX_INITIAL_MEMBERS, NewChat},
    members,
    text::{ChatName, Description},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// A chat to be made. A direct chat has a `user_id` and nothing else; a channel has a
/// name; a group may have one.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewChat", example = json!({ "type": "group", "name": "Lunch", "members": [2, 3] }))]
pub(crate) struct Create {
    #[serde(rename = "type")]
    kind: ChatType,
    name: Option<ChatName>,
    description: Option<Description>,
    #[serde(default)]
    members: Vec<UserId>,
    user_id: Option<UserId>,
}

impl TryFrom<Create> for NewChat {
    type Error = Error;

    fn try_from(asked: Create) -> Result<Self> {
        let Create { kind, name, description, members, user_id } = asked;
        if kind == ChatType::Single {
            if name.is_some() || description.is_some() {
                return Err(Error::invalid("name", "a direct chat has no name and no description"));
            }
            return match (user_id, members.as_slice()) {
                (Some(other), []) => Ok(Self::Single(other)),
                (None, [other]) => Ok(Self::Single(*other)),
                _ => {
                    Err(Error::invalid_as("user_id", "missing", "a direct chat is with one person: give their user_id"))
                }
            };
        }
        if user_id.is_some() {
            return Err(Error::invalid("user_id", "only a direct chat has a user_id; list people in members"));
        }
        if name.is_none() && kind != ChatType::Group {
            return Err(Error::invalid_as("name", "missing", "a channel has a name"));
        }
        if members.len() > MAX_INITIAL_MEMBERS {
            return Err(Error::invalid("members", format!("a chat starts with at most {MAX_INITIAL_MEMBERS} people")));
        }
        let name = name.map(String::from).unwrap_or_default();
        let description = description.map(String::from).unwrap_or_default();
        Ok(Self::Room { kind, name, description, members })
    }
}

/// Creates a chat of any kind. A second direct chat of a pair is the first.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Input(asked): Input<Create>,
) -> Result<Made<Chat>> {
    let Created { chat, is_new } = chats::create(&api.db, caller.user_id, asked.try_into()?).await?;
    Ok(Made { is_new, body: chat })
}

/// The caller's chats, the most recently active first.
pub(crate) async fn list(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Items<ChatRow>>> {
    let mut db = api.db.acquire().await?;
    Ok(Json(Items { items: chats::list(&mut db, caller.user_id).await? }))
}

/// A chat.
pub(crate) async fn find(State(api): State<Arc<Api>>, member: ChatMember) -> Result<Json<Chat>> {
    chats::find(&api.db, member.chat_id, member.user_id).await.map(Json)
}

/// Changes a chat's name, description or topic.
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(chat_id): Segment<ChatId>,
    Input(patch): Input<ChatPatch>,
) -> Result<Json<Chat>> {
    chats::update(&api.db, caller.user_id, chat_id, &patch).await.map(Json)
}

/// Deletes a chat with everything in it.
pub(crate) async fn delete(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(chat_id): Segment<ChatId>,
) -> Result<Done> {
    chats::delete(&api.db, caller.user_id, chat_id).await?;
    Ok(Done)
}

/// Does not want to be disturbed by a chat.
pub(crate) async fn mute(State(api): State<Arc<Api>>, member: ChatMember) -> Result<Done> {
    members::set_muted(&api.db, member.chat_id, member.user_id, true).await?;
    Ok(Done)
}

/// ... and does again.
pub(crate) async fn unmute(State(api): State<Arc<Api>>, member: ChatMember) -> Result<Done> {
    members::set_muted(&api.db, member.chat_id, member.user_id, false).await?;
    Ok(Done)
}
