//! Who is here, and who types.

use super::{Items, users::ByIds};
use crate::{
    Api,
    extract::{Asked, Caller, Input, Segment},
    openapi::Done,
};
use axum::{Json, extract::State};
use chat_core::{
    ChatId, Result, UserId,
    presence::{self, Presence, Status},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// How somebody wishes to be seen while they are here.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewStatus", example = json!({ "status": "busy" }))]
pub(crate) struct Update {
    status: Status,
}

/// Says how the caller wishes to be seen while they are here; it stays so until
/// they say otherwise. Who seems offline is told everything and seen by nobody.
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Input(Update { status }): Input<Update>,
) -> Result<Json<Presence>> {
    presence::set(&api.db, &api.whispers, caller.user_id, status).await.map(Json)
}

/// Whether a person is here who shares a chat with the caller.
pub(crate) async fn find(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(person): Segment<UserId>,
) -> Result<Json<Presence>> {
    presence::find(&api.db, caller.user_id, person).await.map(Json)
}

/// Which of some people are here; of those who share no chat with the caller nothing
/// is said.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(ByIds { ids }): Asked<ByIds>,
) -> Result<Json<Items<Presence>>> {
    Ok(Json(Items { items: presence::seen_by(&api.db, caller.user_id, &ids.0).await? }))
}

/// The caller types: the others in the chat are told, now and then, for as long as
/// this is said again every few seconds.
pub(crate) async fn types(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(chat_id): Segment<ChatId>,
) -> Result<Done> {
    api.typists.say(caller.user_id, chat_id, true).await?;
    Ok(Done)
}
