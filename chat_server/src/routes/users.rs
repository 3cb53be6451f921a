//! People.

use super::Items;
use crate::{
    Api,
    extract::{Asked, Caller, Input, Limit, Segment, UserIds},
    openapi::Done,
};
use axum::{Json, extract::State};
use chat_core::{
    Result, UserId, blocks, events,
    text::SearchText,
    users::{self, Me, User, UserPatch},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The caller.
pub(crate) async fn me(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Me>> {
    users::me(&api.db, caller.user_id).await.map(Json)
}

/// Changes what others see of the caller.
pub(crate) async fn update(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Input(patch): Input<UserPatch>,
) -> Result<Json<Me>> {
    let mut log = events::begin(&api.db, caller.user_id).await?;
    users::update(&mut log, caller.user_id, &patch).await?;
    let me = users::me(&mut *log, caller.user_id).await?;
    log.commit().await?;
    Ok(Json(me))
}

/// A person.
pub(crate) async fn find(State(api): State<Arc<Api>>, _: Caller, Segment(id): Segment<UserId>) -> Result<Json<User>> {
    users::find(&api.db, id).await.map(Json)
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct ByIds {
    pub(super) ids: UserIds,
}

/// People, by their ids; of those there are none of, nothing.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    _: Caller,
    Asked(ByIds { ids }): Asked<ByIds>,
) -> Result<Json<Items<User>>> {
    Ok(Json(Items { items: users::among(&api.db, &ids.0).await? }))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct Search {
    q: SearchText,
    #[serde(default)]
    limit: Limit,
}

/// People whose name starts with a text.
pub(crate) async fn search(
    State(api): State<Arc<Api>>,
    _: Caller,
    Asked(Search { q, limit }): Asked<Search>,
) -> Result<Json<Items<User>>> {
    Ok(Json(Items { items: users::search(&api.db, &q, limit.0).await? }))
}

/// Whom the caller has blocked, the last first.
pub(crate) async fn blocks(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Items<User>>> {
    Ok(Json(Items { items: blocks::list(&api.db, caller.user_id).await? }))
}

/// Blocks a person. Twice is once.
pub(crate) async fn block(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(user_id): Segment<UserId>,
) -> Result<Done> {
    blocks::block(&api.db, caller.user_id, user_id).await?;
    Ok(Done)
}

/// Takes a block back. Twice is once.
pub(crate) async fn unblock(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(user_id): Segment<UserId>,
) -> Result<Done> {
    blocks::unblock(&api.db, caller.user_id, user_id).await?;
    Ok(Done)
}
