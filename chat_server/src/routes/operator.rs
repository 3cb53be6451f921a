//! What operators can do: list users, approve, suspend and sign them out, remove content,
//! and read the audit log.

use super::{List, Page};
use crate::{
    AppState,
    extract::{Json, Limit, OperatorCaller, Path, Query},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    AuditEntryId, ChatId, MessageId, UserId,
    audit::{self, Action, AuditEntry, Filter},
    chats::Chat,
    default_channels,
    operators::{self, AccountState, UserAccount, UserFilter},
    values::{Reason, SearchText},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserAccountParams {
    /// Beginnings of the words of the names, or of the email address.
    q: Option<SearchText>,
    state: Option<AccountState>,
    after: Option<UserId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the default channels, in the order in which they were added.
pub(crate) async fn list_default_channels(
    State(state): State<Arc<AppState>>,
    _operator: OperatorCaller,
) -> Result<Json<List<Chat>>> {
    Ok(Json(List { items: default_channels::list(&state.db).await? }))
}

/// Makes a public channel a default channel, which new users join. Idempotent.
pub(crate) async fn add_default_channel(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(chat_id): Path<ChatId>,
) -> Result<NoContent> {
    default_channels::add(&state.db, &operator, chat_id).await?;
    Ok(NoContent)
}

/// Makes a default channel an ordinary one.
pub(crate) async fn remove_default_channel(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(chat_id): Path<ChatId>,
) -> Result<NoContent> {
    default_channels::remove(&state.db, &operator, chat_id).await?;
    Ok(NoContent)
}

/// Returns users with their email address and state, ordered by id.
pub(crate) async fn list_users(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Query(UserAccountParams { q, state: account_state, after, limit: Limit(limit) }): Query<UserAccountParams>,
) -> Result<Json<Page<UserAccount>>> {
    let filter = UserFilter { text: q, state: account_state, after };
    let _slot = state.expensive_slots.acquire(operator.user_id).await?;
    let rows = operators::list_users(&state.expensive_db, &filter, limit + 1).await?;
    let filters = [("q", filter.text.map(|text| text.as_str().to_owned())), ("state", account_state.map(name_of))];
    Ok(Json(Page::with_filters(rows, limit, &filters, |row| ("after", row.user.id.get()))))
}

/// The reason for a suspension, which only operators see.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "reason": "spam" }))]
pub(crate) struct NewSuspension {
    reason: Option<Reason>,
}

/// Ends the sessions of a user, who cannot sign in again. Idempotent.
pub(crate) async fn suspend(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(user_id): Path<UserId>,
    Json(NewSuspension { reason }): Json<NewSuspension>,
) -> Result<NoContent> {
    operator.suspend(&state.db, user_id, reason.as_ref()).await?;
    Ok(NoContent)
}

/// Lets a suspended user sign in again. Idempotent.
pub(crate) async fn end_suspension(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    operator.end_suspension(&state.db, user_id).await?;
    Ok(NoContent)
}

/// Lets a user sign in whose account waits for approval. Idempotent.
pub(crate) async fn approve(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    operator.approve(&state.db, user_id, state.mail.is_some()).await?;
    Ok(NoContent)
}

/// Deletes an account that waits for approval.
pub(crate) async fn reject(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    operator.reject(&state.db, user_id).await?;
    Ok(NoContent)
}

/// Ends all sessions of a user.
pub(crate) async fn end_sessions(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    operator.end_sessions(&state.db, user_id).await?;
    Ok(NoContent)
}

/// Replaces the display name of a user by the username, and removes the bio and avatar.
pub(crate) async fn remove_profile(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(user_id): Path<UserId>,
) -> Result<NoContent> {
    operator.remove_profile(&state.db, user_id).await?;
    Ok(NoContent)
}

/// Deletes a message of any chat. Idempotent.
pub(crate) async fn remove_message(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(message_id): Path<MessageId>,
) -> Result<NoContent> {
    operator.remove_message(&state.db, message_id).await?;
    Ok(NoContent)
}

/// Deletes a chat with everything in it.
pub(crate) async fn remove_chat(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Path(chat_id): Path<ChatId>,
) -> Result<NoContent> {
    operator.remove_chat(&state.db, chat_id).await?;
    Ok(NoContent)
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct AuditParams {
    /// Only entries about this user, or about what the user did.
    user_id: Option<UserId>,
    action: Option<Action>,
    /// Only entries with a lower id.
    before: Option<AuditEntryId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the name of a state or an action, as requests and responses have it.
fn name_of(value: impl Serialize) -> String {
    serde_json::to_value(value).ok().and_then(|value| value.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Returns the audit log, newest first.
pub(crate) async fn list_audit(
    State(state): State<Arc<AppState>>,
    OperatorCaller(operator): OperatorCaller,
    Query(params): Query<AuditParams>,
) -> Result<Json<Page<AuditEntry>>> {
    let AuditParams { user_id, action, before, limit: Limit(limit) } = params;
    let _slot = state.expensive_slots.acquire(operator.user_id).await?;
    let rows = audit::list(&state.expensive_db, Filter { user: user_id, action, before }, limit + 1).await?;
    let filters = [("user_id", user_id.map(|id| id.to_string())), ("action", action.map(name_of))];
    Ok(Json(Page::with_filters(rows, limit, &filters, |entry| ("before", entry.id.get()))))
}
