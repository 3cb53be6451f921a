//! Presence and typing indicators.

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

/// The status that others see while the caller is connected.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewStatus", example = json!({ "status": "busy" }))]
pub(crate) struct NewStatus {
    status: Status,
}

/// Sets the status that others see while the caller is connected. It stays until the
/// caller changes it. A user with the status `offline` appears offline and still
/// receives all events.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(NewStatus { status }): Json<NewStatus>,
) -> Result<Json<Presence>> {
    Ok(Json(presence::set_status(&state.db, &state.ephemeral, caller.user_id, status).await?))
}

/// Returns the presence of a user who shares a chat with the caller.
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(user_id): Path<UserId>,
) -> Result<Json<Presence>> {
    Ok(Json(presence::get(&state.db, caller.user_id, user_id).await?))
}

/// Returns the presence of users by id. Users who share no chat with the caller are
/// omitted.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(UserIdsParams { ids }): Query<UserIdsParams>,
) -> Result<Json<List<Presence>>> {
    Ok(Json(List { items: presence::visible_to(&state.db, caller.user_id, &ids.0).await? }))
}

/// Sends a typing indicator to the other members, at a limited rate. The indicator
/// expires unless the client repeats the request every few seconds.
pub(crate) async fn notify_typing(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
) -> Result<NoContent> {
    state.typing.notify(caller.user_id, chat_id, true).await?;
    Ok(NoContent)
}
