//! Invites: links through which users join a chat.

use super::{List, mail::require_mail};
use crate::{
    AppState,
    extract::{Caller, ChatMember, ClientInfo, Json, Path},
    openapi::{Accepted, Created, CreatedOrOk, NoContent},
};
use axum::extract::State;
use chat_core::{
    chats::Chat,
    invites::{self, Invite, InviteSummary, NewInvite, Preview},
    values::{Email, InviteCode},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Creates an invite.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Json(new): Json<NewInvite>,
) -> Result<Created<Invite>> {
    let invite = invites::create(&state.db, member.user_id, member.chat_id, &new).await?;
    Ok(Created(invite))
}

/// The address of whom to invite.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewInvitation {
    email: Email,
}

/// Sends an invitation with an invite for one user. The response does not tell whether the address wants any.
pub(crate) async fn send(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    ClientInfo(client): ClientInfo,
    Json(NewInvitation { email }): Json<NewInvitation>,
) -> Result<Accepted> {
    require_mail(&state)?;
    state.rate_limiter.charge_mail(client.address)?;
    invites::send(&state.db, member.user_id, member.chat_id, &email, client.language).await?;
    Ok(Accepted)
}

/// Returns the active invites of a chat, newest first.
pub(crate) async fn list(State(state): State<Arc<AppState>>, member: ChatMember) -> Result<Json<List<Invite>>> {
    let mut db = state.db.acquire().await?;
    Ok(Json(List { items: invites::list(&mut db, member.user_id, member.chat_id).await? }))
}

/// Revokes an invite.
pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Path(code): Path<InviteCode>,
) -> Result<NoContent> {
    invites::revoke(&state.db, member.user_id, member.chat_id, &code).await?;
    Ok(NoContent)
}

/// Returns a preview of an invite.
pub(crate) async fn preview(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(code): Path<InviteCode>,
) -> Result<Json<Preview>> {
    Ok(Json(invites::preview(&state.db, caller.user_id, &code).await?))
}

/// Returns who invites where.
pub(crate) async fn summarize(
    State(state): State<Arc<AppState>>,
    Path(code): Path<InviteCode>,
) -> Result<Json<InviteSummary>> {
    Ok(Json(invites::summarize(&state.db, &code).await?))
}

/// Accepts an invite: adds the caller to its chat. Idempotent.
pub(crate) async fn accept(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(code): Path<InviteCode>,
) -> Result<CreatedOrOk<Chat>> {
    let outcome = invites::accept(&state.db, caller.user_id, &code).await?;
    Ok(CreatedOrOk { is_new: outcome.is_new, body: outcome.chat })
}
