//! The people in a chat.

use super::{AfterPerson, Page};
use crate::{
    Api,
    extract::{Asked, ChatMember, Input, Limit, Segment},
    openapi::{Done, Made},
};
use axum::{Json, extract::State};
use chat_core::{
    Result, UserId,
    members::{self, Member, Role},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// The members, by id.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Asked(AfterPerson { after, limit: Limit(limit) }): Asked<AfterPerson>,
) -> Result<Json<Page<Member>>> {
    let rows = members::list(&api.db, member.chat_id, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |member| member.user.id.get())))
}

/// Whom to bring in. Without a role they are a member.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewMember", example = json!({ "user_id": 3 }))]
pub(crate) struct Add {
    user_id: UserId,
    role: Option<Role>,
}

/// Brings a person in. Twice is once.
pub(crate) async fn add(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Input(Add { user_id, role }): Input<Add>,
) -> Result<Made<Member>> {
    let role = role.unwrap_or(Role::Member);
    let added = members::add(&api.db, member.user_id, member.chat_id, user_id, role).await?;
    Ok(Made { is_new: added.is_new, body: added.member })
}

/// Another role.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MemberPatch", example = json!({ "role": "admin" }))]
pub(crate) struct Update {
    role: Role,
}

/// Gives a member another role.
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Segment(user_id): Segment<UserId>,
    Input(Update { role }): Input<Update>,
) -> Result<Json<Member>> {
    members::set_role(&api.db, member.user_id, member.chat_id, user_id, role).await.map(Json)
}

/// Takes a person out.
pub(crate) async fn remove(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Segment(user_id): Segment<UserId>,
) -> Result<Done> {
    members::remove(&api.db, member.user_id, member.chat_id, user_id).await?;
    Ok(Done)
}

/// Who is to own the chat.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Transfer {
    user_id: UserId,
}

/// Hands the chat over: another becomes its owner, the caller an admin.
pub(crate) async fn transfer(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Input(Transfer { user_id }): Input<Transfer>,
) -> Result<Json<Member>> {
    members::transfer(&api.db, member.user_id, member.chat_id, user_id).await.map(Json)
}
