//! Links that let people into a chat.

use super::Items;
use crate::{
    Api,
    extract::{Caller, ChatMember, Input, Segment},
    openapi::{Done, Made, New},
};
use axum::{Json, extract::State};
use chat_core::{
    Result,
    chats::Chat,
    invites::{self, Invite, NewInvite, Preview},
    text::InviteCode,
};
use std::sync::Arc;

/// Makes a link.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Input(new): Input<NewInvite>,
) -> Result<New<Invite>> {
    let invite = invites::create(&api.db, member.user_id, member.chat_id, &new).await?;
    Ok(New(invite))
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
) -> Result<Done> {
    invites::revoke(&api.db, member.user_id, member.chat_id, &code).await?;
    Ok(Done)
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
) -> Result<Made<Chat>> {
    let accepted = invites::accept(&api.db, caller.user_id, &code).await?;
    Ok(Made { is_new: accepted.is_new, body: accepted.chat })
}
