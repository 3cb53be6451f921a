//! Members.

use super::{Page, UserPageParams};
use crate::{
    AppState,
    extract::{ChatMember, Json, Limit, Path, Query},
    openapi::{CreatedOrOk, NoContent},
};
use axum::extract::State;
use chat_core::{
    UserId,
    chats::model::Role,
    members::{self, Member},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Returns the members of a chat, ordered by user id.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Query(UserPageParams { after, limit: Limit(limit) }): Query<UserPageParams>,
) -> Result<Json<Page<Member>>> {
    let rows = members::list(&state.db, member.chat_id, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |member| member.user.id.get())))
}

/// A user to add. The default role is `member`.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewMember", example = json!({ "user_id": 3 }))]
pub(crate) struct NewMember {
    user_id: UserId,
    role: Option<Role>,
}

/// Adds a member. Idempotent.
pub(crate) async fn add(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Json(NewMember { user_id, role }): Json<NewMember>,
) -> Result<CreatedOrOk<Member>> {
    let role = role.unwrap_or(Role::Member);
    let outcome = members::add(&state.db, member.user_id, member.chat_id, user_id, role).await?;
    Ok(CreatedOrOk { is_new: outcome.is_new, body: outcome.member })
}

/// The new role of a member.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MemberPatch", example = json!({ "role": "admin" }))]
pub(crate) struct MemberPatch {
    role: Role,
}

/// Changes a member's role.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Path(user_id): Path<UserId>,
    Json(MemberPatch { role }): Json<MemberPatch>,
) -> Result<Json<Member>> {
    Ok(Json(members::set_role(&state.db, member.user_id, member.chat_id, user_id, role).await?))
}

/// Removes a member.
pub(crate) async fn remove(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    members::remove(&state.db, member.user_id, member.chat_id, user_id).await?;
    Ok(NoContent)
}

/// The new owner of a chat.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    user_id: UserId,
}

/// Transfers ownership; the caller becomes an admin.
pub(crate) async fn transfer(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Json(Transfer { user_id }): Json<Transfer>,
) -> Result<Json<Member>> {
    Ok(Json(members::transfer_ownership(&state.db, member.user_id, member.chat_id, user_id).await?))
}
