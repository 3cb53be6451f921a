//! Chats.

use super::Items;
use crate::{
    Api,
    extract::{Caller, ChatMember, Input, Segment},
    openapi::{Done, Made},
};
use axum::{Json, extract::State};
use chat_core::{
    ChatId, Result,
    chats::{self, Chat, ChatDraft, ChatPatch, ChatRow, Created},
    members,
};
use std::sync::Arc;

/// Creates a chat of any kind. A second direct chat of a pair is the first.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Input(draft): Input<ChatDraft>,
) -> Result<Made<Chat>> {
    let Created { chat, is_new } = chats::create(&api.db, caller.user_id, draft.try_into()?).await?;
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
