//! Who is here, and who types.

use super::{List, users::UserIdsParams};
use crate::{
    AppState,
    extract::{Caller, Json, Path, Query},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    ChatId, UserId,
    ephemeral::{Presence, Status},
    presence,
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// How somebody wishes to be seen while they are here.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewStatus", example = json!({ "status": "busy" }))]
pub(crate) struct NewStatus {
    status: Status,
}

/// Says how the caller wishes to be seen while they are here; it stays so until
/// they say otherwise. Who seems offline is told everything and seen by nobody.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(NewStatus { status }): Json<NewStatus>,
) -> Result<Json<Presence>> {
    Ok(Json(presence::set_status(&state.db, &state.ephemeral, caller.user_id, status).await?))
}

/// Whether a person is here who shares a chat with the caller.
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(user_id): Path<UserId>,
) -> Result<Json<Presence>> {
    Ok(Json(presence::get(&state.db, caller.user_id, user_id).await?))
}

/// Which of some people are here; of those who share no chat with the caller nothing
/// is said.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(UserIdsParams { ids }): Query<UserIdsParams>,
) -> Result<Json<List<Presence>>> {
    Ok(Json(List { items: presence::visible_to(&state.db, caller.user_id, &ids.0).await? }))
}

/// The caller types: the others in the chat are told, now and then, for as long as
/// this is said again every few seconds.
pub(crate) async fn notify_typing(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
) -> Result<NoContent> {
    state.typing.notify(caller.user_id, chat_id, true).await?;
    Ok(NoContent)
}
