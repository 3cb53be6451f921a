//! Bans.

use super::{Page, UserPageParams};
use crate::{
    AppState,
    extract::{ChatMember, Json, Limit, Path, Query},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    UserId,
    bans::{self, Ban},
    users,
    values::Reason,
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Returns the bans of a chat, ordered by user id.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Query(UserPageParams { after, limit: Limit(limit) }): Query<UserPageParams>,
) -> Result<Json<Page<Ban>>> {
    let mut db = state.db.acquire().await?;
    let rows = bans::list(&mut db, member.user_id, member.chat_id, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |ban| ban.user.id.get())))
}

/// The reason for a ban.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewBan", example = json!({ "reason": "spam" }))]
pub(crate) struct NewBan {
    reason: Option<Reason>,
}

/// Removes a user and prevents them from joining again. Idempotent.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Path(user_id): Path<UserId>,
    Json(NewBan { reason }): Json<NewBan>,
) -> Result<NoContent> {
    // Otherwise the list of bans would show the profile of any id.
    users::get(&state.db, member.user_id, state.user_directory, user_id).await?;
    bans::ban(&state.db, member.user_id, member.chat_id, user_id, reason.as_ref()).await?;
    Ok(NoContent)
}

/// Unbans a user. Idempotent.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    bans::unban(&state.db, member.user_id, member.chat_id, user_id).await?;
    Ok(NoContent)
}
