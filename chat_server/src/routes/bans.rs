//! Keeping people out of a chat.

use super::{AfterPerson, Page};
use crate::{
    Api,
    extract::{Asked, ChatMember, Input, Limit, Segment},
    openapi::Done,
};
use axum::{Json, extract::State};
use chat_core::{
    Result, UserId,
    bans::{self, Ban},
    text::Reason,
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Who is kept out, by id.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Asked(AfterPerson { after, limit: Limit(limit) }): Asked<AfterPerson>,
) -> Result<Json<Page<Ban>>> {
    let mut db = api.db.acquire().await?;
    let rows = bans::list(&mut db, member.user_id, member.chat_id, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |ban| ban.user.id.get())))
}

/// Why somebody is kept out.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "NewBan", example = json!({ "reason": "spam" }))]
pub(crate) struct Create {
    reason: Option<Reason>,
}

/// Takes a person out and keeps them out. Twice is once.
pub(crate) async fn create(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Segment(user_id): Segment<UserId>,
    Input(Create { reason }): Input<Create>,
) -> Result<Done> {
    bans::ban(&api.db, member.user_id, member.chat_id, user_id, reason.as_ref()).await?;
    Ok(Done)
}

/// Lets a person come in again. Twice is once.
pub(crate) async fn lift(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Segment(user_id): Segment<UserId>,
) -> Result<Done> {
    bans::lift(&api.db, member.user_id, member.chat_id, user_id).await?;
    Ok(Done)
}
