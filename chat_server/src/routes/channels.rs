//! Public channels: found, joined and left by anybody.

use super::Page;
use crate::{
    Api,
    extract::{Asked, Caller, Limit, Segment},
    openapi::{Done, Made},
};
use axum::{Json, extract::State};
use chat_core::{
    ChatId, Result,
    chats::{self, Chat},
    members,
    text::SearchText,
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Search {
    q: Option<SearchText>,
    after: Option<ChatId>,
    #[serde(default)]
    limit: Limit,
}

/// Public channels, by name.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    _: Caller,
    Asked(Search { q, after, limit: Limit(limit) }): Asked<Search>,
) -> Result<Json<Page<Chat>>> {
    let rows = chats::channels(&api.db, q.as_ref(), after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |chat| chat.id.get())))
}

/// Joins a public channel. Twice is once.
pub(crate) async fn join(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(chat_id): Segment<ChatId>,
) -> Result<Made<Chat>> {
    let added = members::join(&api.db, chat_id, caller.user_id).await?;
    let body = chats::find(&api.db, chat_id, caller.user_id).await?;
    Ok(Made { is_new: added.is_new, body })
}

/// Leaves any chat but a direct one.
pub(crate) async fn leave(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(chat_id): Segment<ChatId>,
) -> Result<Done> {
    members::leave(&api.db, chat_id, caller.user_id).await?;
    Ok(Done)
}
