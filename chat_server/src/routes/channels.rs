//! Public channels, which every user can find and join. Also leaves a chat.

use super::Page;
use crate::{
    AppState,
    extract::{Caller, Json, Limit, Path, Query},
    openapi::{CreatedOrOk, NoContent},
};
use axum::extract::State;
use chat_core::{
    ChatId,
    auth::LIMITED_TO_CHATS,
    chats::{self, Chat},
    members,
    values::SearchText,
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChannelListParams {
    q: Option<SearchText>,
    after: Option<ChatId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns public channels, ordered by name.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(ChannelListParams { q, after, limit: Limit(limit) }): Query<ChannelListParams>,
) -> Result<Json<Page<Chat>>> {
    if caller.chats.is_some() {
        return Err(LIMITED_TO_CHATS.into());
    }
    let rows = chats::list_channels(&state.db, caller.user_id, q.as_ref(), after, limit + 1).await?;
    let filters = [("q", q.map(|text| text.as_str().to_owned()))];
    Ok(Json(Page::with_filters(rows, limit, &filters, |chat| ("after", chat.id.get()))))
}

/// Returns a public channel, also to users who are no members of it.
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
) -> Result<Json<Chat>> {
    Ok(Json(chats::get_channel(&state.db, chat_id, caller.user_id).await?))
}

/// Joins a public channel. Idempotent.
pub(crate) async fn join(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
) -> Result<CreatedOrOk<Chat>> {
    let outcome = members::join(&state.db, chat_id, caller.user_id).await?;
    let body = chats::get(&state.db, chat_id, caller.user_id).await?;
    Ok(CreatedOrOk { is_new: outcome.is_new, body })
}

/// Leaves a chat that is not a direct chat.
pub(crate) async fn leave(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
) -> Result<NoContent> {
    members::leave(&state.db, chat_id, caller.user_id).await?;
    Ok(NoContent)
}
