//! Links that let people into a chat.

use super::{Items, created};
use crate::{
    Api,
    extract::{Caller, ChatMember, Input, Segment},
};
use axum::{Json, extract::State, http::StatusCode, response::IntoResponse};
use chat_core::{
    Result,
    invites::{self, Invite, NewInvite, Preview},
    text::InviteCode,
};
use std::sync::Arc;

/// Makes a link.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Input(new): Input<NewInvite>,
) -> Result<(StatusCode, Json<Invite>)> {
    let invite = invites::create(&api.db, member.user_id, member.chat_id, &new).await?;
    Ok((StatusCode::CREATED, Json(invite)))
}

/// The links that still open, the newest first.
pub(crate) async fn list(State(api): State<Arc<Api>>, member: ChatMember) -> Result<Json<Items<Invite>>> {
    let mut db = api.db.acquire().await?;
    Ok(Json(Items { items: invites::list(&mut db, member.user_id, member.chat_id).await? }))
}

/// Takes a link back.
pub(crate) async fn revoke(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Segment(code): Segment<InviteCode>,
) -> Result<StatusCode> {
    invites::revoke(&api.db, member.user_id, member.chat_id, &code).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Where a link leads.
pub(crate) async fn preview(
    State(api): State<Arc<Api>>,
    _: Caller,
    Segment(code): Segment<InviteCode>,
) -> Result<Json<Preview>> {
    invites::preview(&api.db, &code).await.map(Json)
}

/// Follows a link into its chat. Twice is once.
pub(crate) async fn accept(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(code): Segment<InviteCode>,
) -> Result<impl IntoResponse> {
    let accepted = invites::accept(&api.db, caller.user_id, &code).await?;
    Ok((created(accepted.is_new), Json(accepted.chat)))
}
