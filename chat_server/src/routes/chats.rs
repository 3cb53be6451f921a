//! Chats.

use super::List;
use crate::{
    AppState,
    extract::{Caller, ChatMember, Json, Path, redact_unreadable},
    openapi::{CreatedOrOk, NoContent},
};
use axum::extract::State;
use chat_core::{
    ChatId, UserId,
    auth::Grant,
    chats::{self, Chat, ChatDraft, ChatPatch, ChatSummary, CreateOutcome},
};
use chat_http::Result;
use std::sync::Arc;

/// Creates a chat of any type. Returns the existing direct chat if the pair has one.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(draft): Json<ChatDraft>,
) -> Result<CreatedOrOk<Chat>> {
    state.rate_limiter.charge_members(caller.account_id, draft.members.len())?;
    state.rate_limiter.charge_text(caller.account_id, draft.text_bytes())?;
    let CreateOutcome { chat, is_new } = chats::create(&state.db, caller.user_id, draft.try_into()?).await?;
    Ok(CreatedOrOk { is_new, body: chat })
}

/// Returns the caller's chats, most recently active first.
pub(crate) async fn list(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<ChatSummary>>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    let mut db = state.db.acquire().await?;
    let mut items = chats::list(&mut db, caller.user_id).await?;
    if let Some(chats) = &caller.chats {
        items.retain(|summary| chats.contains(&summary.chat.id));
    }
    for summary in &mut items {
        redact_last_message(caller.grant.as_deref(), caller.user_id, summary);
    }
    Ok(Json(List { items }))
}

/// Returns a chat.
pub(crate) async fn get(State(state): State<Arc<AppState>>, member: ChatMember) -> Result<Json<ChatSummary>> {
    let mut db = state.db.acquire().await?;
    let mut summary = chats::get_summary(&mut db, member.chat_id, member.user_id).await?;
    redact_last_message(member.grant.as_deref(), member.user_id, &mut summary);
    Ok(Json(summary))
}

/// Removes the content of the last message unless the token can read messages.
fn redact_last_message(grant: Option<&Grant>, user: UserId, summary: &mut ChatSummary) {
    summary.last_message = summary.last_message.take().map(|message| redact_unreadable(grant, user, message));
}

/// Updates a chat's name, description, topic or retention.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
    Json(patch): Json<ChatPatch>,
) -> Result<Json<Chat>> {
    state.rate_limiter.charge_text(caller.account_id, patch.text_bytes())?;
    Ok(Json(chats::update(&state.db, caller.user_id, chat_id, &patch).await?))
}

/// Deletes a chat and everything in it.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
) -> Result<NoContent> {
    chats::delete(&state.db, caller.user_id, chat_id).await?;
    Ok(NoContent)
}
