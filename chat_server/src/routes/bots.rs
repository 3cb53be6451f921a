//! Bots of the caller.

use super::List;
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, Path},
    openapi::{Created, NoContent},
};
use axum::extract::State;
use chat_core::{
    UserId,
    bots::{self, BotPatch, NewBot},
    users::User,
};
use chat_http::Result;
use std::sync::Arc;

/// Returns the caller's bots.
pub(crate) async fn list(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<User>>> {
    Ok(Json(List { items: bots::list(&state.db, caller.user_id).await? }))
}

/// Creates a bot.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Json(new): Json<NewBot>,
) -> Result<Created<User>> {
    Ok(Created(bots::create(&state.db, caller.user_id, &client, &new).await?))
}

/// Updates the profile of a bot.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(bot): Path<UserId>,
    Json(patch): Json<BotPatch>,
) -> Result<Json<User>> {
    state.rate_limiter.charge_text(caller.account_id, patch.bio.as_ref().map_or(0, |bio| bio.as_str().len()))?;
    Ok(Json(bots::update(&state.db, caller.user_id, bot, patch).await?))
}

/// Deletes a bot.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(bot): Path<UserId>,
) -> Result<NoContent> {
    bots::delete(&state.db, caller.user_id, &client, bot).await?;
    Ok(NoContent)
}
