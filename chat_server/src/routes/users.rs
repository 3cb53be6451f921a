//! Users, profiles and blocks.

use super::{List, Page};
use crate::{
    AppState,
    extract::{Caller, Json, Limit, Path, Query, UserIds},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    UserId,
    auth::LIMITED_TO_CHATS,
    blocks,
    chats::{self, Chat},
    events, presence,
    users::{self, Me, User, UserPatch, UserScope},
    values::{SearchText, Username},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Returns the caller's profile.
pub(crate) async fn get_me(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<Me>> {
    Ok(Json(users::get_me(&state.db, caller.user_id).await?))
}

/// Updates the caller's profile.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(patch): Json<UserPatch>,
) -> Result<Json<Me>> {
    state.rate_limiter.charge_text(caller.account_id, patch.bio.as_ref().map_or(0, |bio| bio.as_str().len()))?;
    let mut log = events::begin(&state.db, caller.user_id).await?;
    users::update(&mut log, caller.user_id, &patch).await?;
    let me = users::get_me(&mut *log, caller.user_id).await?;
    log.commit().await?;
    Ok(Json(me))
}

/// Returns a user: anybody in an open directory, and otherwise one who is or was in a chat of
/// the caller.
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<UserId>,
) -> Result<Json<User>> {
    Ok(Json(users::get(&state.db, caller.user_id, state.user_directory, id).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserIdsParams {
    pub(super) ids: UserIds,
}

/// Returns the users with the given ids. Unknown ids are omitted, and unless the directory is
/// open also those of users who never were in a chat of the caller.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(UserIdsParams { ids }): Query<UserIdsParams>,
) -> Result<Json<List<User>>> {
    Ok(Json(List { items: users::find_many(&state.db, caller.user_id, state.user_directory, &ids.0).await? }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserSearchParams {
    q: SearchText,
    #[serde(default)]
    limit: Limit,
}

/// Returns the users whose name starts with a text, if they share a chat with the caller or
/// the directory is open, and all users with exactly this name.
pub(crate) async fn search(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(UserSearchParams { q, limit }): Query<UserSearchParams>,
) -> Result<Json<List<User>>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    Ok(Json(List {
        items: users::search(&state.expensive_db, caller.user_id, state.user_directory, &q, limit.0).await?,
    }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DirectoryParams {
    /// Whom to list: those who share a chat with the caller, or everyone in an open directory.
    #[serde(default)]
    scope: UserScope,
    /// The username after which the page starts.
    after: Option<Username>,
    #[serde(default)]
    limit: Limit,
}

/// Returns people and bots by username. In a directory that is not open, only those who share a chat with the caller.
pub(crate) async fn list_directory(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(DirectoryParams { scope, after, limit: Limit(limit) }): Query<DirectoryParams>,
) -> Result<Json<Page<User>>> {
    if caller.chats.is_some() {
        return Err(LIMITED_TO_CHATS.into());
    }
    let visible = if state.user_directory == UserScope::Contacts { UserScope::Contacts } else { scope };
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    let after = after.as_ref().map(Username::as_str);
    let mut items = users::list_directory(&state.expensive_db, caller.user_id, visible, after, limit + 1).await?;
    let has_more = items.len() > usize::try_from(limit).unwrap_or(0);
    items.truncate(usize::try_from(limit).unwrap_or(0));
    let next = items.last().filter(|_| has_more).map(|last| {
        let scope = if scope == UserScope::Contacts { "contacts" } else { "everyone" };
        // A username needs no escapes.
        format!("scope={scope}&after={}&limit={limit}", last.username)
    });
    Ok(Json(Page { items, next }))
}

/// Returns the chats that the caller shares with a user.
pub(crate) async fn list_shared_chats(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(user_id): Path<UserId>,
) -> Result<Json<List<Chat>>> {
    users::get(&state.db, caller.user_id, state.user_directory, user_id).await?;
    Ok(Json(List { items: chats::list_shared(&state.db, caller.user_id, user_id, caller.chats.as_deref()).await? }))
}

/// Returns the users whom the caller has blocked, most recently blocked first.
pub(crate) async fn list_blocked(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<User>>> {
    Ok(Json(List { items: blocks::list(&state.db, caller.user_id).await? }))
}

/// Blocks a user. Idempotent.
pub(crate) async fn block(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    // Otherwise the list of blocks would show the profile of any id.
    users::get(&state.db, caller.user_id, state.user_directory, user_id).await?;
    if blocks::block(&state.db, caller.user_id, user_id).await? {
        presence::send_to(&state.db, &state.ephemeral, user_id, caller.user_id).await;
    }
    Ok(NoContent)
}

/// Unblocks a user. Idempotent.
pub(crate) async fn unblock(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    if blocks::unblock(&state.db, caller.user_id, user_id).await? {
        presence::send_to(&state.db, &state.ephemeral, user_id, caller.user_id).await;
    }
    Ok(NoContent)
}
