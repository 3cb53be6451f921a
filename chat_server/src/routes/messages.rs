//! Messages.

use super::{List, Page, UserPageParams, deserialize_time};
use crate::{
    AppState,
    extract::{Caller, ChatMember, Json, Limit, Path, Query, redact_unreadable},
    openapi::{CreatedOrOk, NoContent},
};
use axum::extract::State;
use chat_core::{
    ChatId, Error, MessageId,
    auth::Scope,
    files,
    messages::{self, Message, MessageDraft, MessageRevision, Position},
    receipts::{self, Receipt},
    users::User,
    values::{Content, Emoji},
};
use chat_http::Result;
use chrono::{DateTime, Utc};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Sends a message. A repeated nonce returns the first message. The statement that
/// writes the message also checks the membership, which saves a query.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat_id): Path<ChatId>,
    Json(draft): Json<MessageDraft>,
) -> Result<CreatedOrOk<Message>> {
    state.rate_limiter.charge_content(caller.account_id, draft.content.as_str())?;
    // A token that is limited to some chats cannot take files from others.
    if let Some(chats) = &caller.chats {
        files::require_in_chats(&state.db, caller.user_id, &draft.files, chats).await?;
    }
    let outcome = state.writer.send(draft.into_new_message(caller.user_id, chat_id)?).await?;
    Ok(CreatedOrOk { is_new: outcome.is_new, body: outcome.message })
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct HistoryParams {
    before: Option<MessageId>,
    after: Option<MessageId>,
    around: Option<MessageId>,
    /// The messages around the first one at or after this time, or on or after this date in UTC.
    #[serde(default, deserialize_with = "deserialize_time")]
    #[schemars(with = "Option<String>")]
    at: Option<DateTime<Utc>>,
    #[serde(default)]
    limit: Limit,
}

/// Returns a page of history, newest first.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Query(HistoryParams { before, after, around, at, limit: Limit(limit) }): Query<HistoryParams>,
) -> Result<Json<Page<Message>>> {
    let position = match (before, after, around, at) {
        (None, None, None, None) => Position::Newest,
        (Some(id), None, None, None) => Position::Before(id),
        (None, Some(id), None, None) => Position::After(id),
        (None, None, Some(id), None) => Position::Around(id),
        (None, None, None, Some(time)) => Position::At(time),
        _ => return Err(Error::invalid("before", "use only one of before, after, around and at").into()),
    };
    let mut db = state.db.acquire().await?;
    let page = messages::load_page(&mut db, member.user_id, member.chat_id, position, limit).await?;
    drop(db);
    let can_mark = member.grant.as_ref().is_none_or(|grant| grant.allows(Scope::ReceiptsWrite, member.chat_id));
    if let Some(newest) = page.messages.first().filter(|_| can_mark) {
        // If the marker cannot be advanced, the request still succeeds, and the next
        // request advances the marker.
        let delivered = receipts::auto_deliver(&state.db, member.chat_id, member.user_id, member.kind, newest.id).await;
        if let Err(error) = delivered {
            tracing::debug!(%error, "cannot mark a fetched page as delivered");
        }
    }
    Ok(Json(into_page(page, limit)))
}

fn into_page(page: messages::Page, limit: i64) -> Page<Message> {
    let next = page.next.map(|next| match next {
        Position::After(id) => format!("after={id}&limit={limit}"),
        Position::Before(id) | Position::Around(id) => format!("before={id}&limit={limit}"),
        Position::Newest | Position::At(_) => format!("limit={limit}"),
    });
    Page { items: page.messages, next }
}

/// Returns a message.
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<Message>> {
    let mut db = state.db.acquire().await?;
    Ok(Json(messages::get(&mut db, id, caller.user_id).await?))
}

/// The new text of a message.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "MessagePatch", example = json!({ "content": "Hello, Bob!" }))]
pub(crate) struct MessagePatch {
    content: Content,
}

/// Edits the text of one of the caller's messages.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Json(MessagePatch { content }): Json<MessagePatch>,
) -> Result<Json<Message>> {
    state.rate_limiter.charge_content(caller.account_id, content.as_str())?;
    Ok(Json(messages::update(&state.db, caller.user_id, id, &content, true).await?))
}

/// Deletes the content of a message; its row stays. Idempotent.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<NoContent> {
    messages::delete(&state.db, caller.user_id, id).await?;
    Ok(NoContent)
}

/// Returns the revisions of a message, oldest first.
pub(crate) async fn list_revisions(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<List<MessageRevision>>> {
    let mut db = state.db.acquire().await?;
    Ok(Json(List { items: messages::list_revisions(&mut db, caller.user_id, id).await? }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct RepliesParams {
    before: Option<MessageId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the replies to a message, newest first.
pub(crate) async fn list_replies(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Query(RepliesParams { before, limit: Limit(limit) }): Query<RepliesParams>,
) -> Result<Json<Page<Message>>> {
    let mut db = state.db.acquire().await?;
    let page = messages::load_replies(&mut db, caller.user_id, id, before, limit).await?;
    Ok(Json(into_page(page, limit)))
}

/// Returns the receipts of one of the caller's messages.
pub(crate) async fn list_receipts(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Query(UserPageParams { after, limit: Limit(limit) }): Query<UserPageParams>,
) -> Result<Json<Page<Receipt>>> {
    let mut db = state.db.acquire().await?;
    let rows = receipts::list_for_message(&mut db, caller.user_id, id, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |receipt| receipt.user_id.get())))
}

/// Returns the users who reacted to a message with an emoji.
pub(crate) async fn list_reacting_users(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Path(emoji): Path<Emoji>,
    Query(UserPageParams { after, limit: Limit(limit) }): Query<UserPageParams>,
) -> Result<Json<Page<User>>> {
    let mut db = state.db.acquire().await?;
    let rows = messages::list_reacting_users(&mut db, caller.user_id, id, &emoji, after, limit + 1).await?;
    Ok(Json(Page::of(rows, limit, |user| user.id.get())))
}

/// Adds a reaction. Idempotent.
pub(crate) async fn react(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Path(emoji): Path<Emoji>,
) -> Result<Json<Message>> {
    let message = messages::add_reaction(&state.db, caller.user_id, id, &emoji).await?;
    Ok(Json(redact_unreadable(caller.grant.as_deref(), caller.user_id, message)))
}

/// Removes a reaction. Idempotent.
pub(crate) async fn unreact(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
    Path(emoji): Path<Emoji>,
) -> Result<Json<Message>> {
    let message = messages::remove_reaction(&state.db, caller.user_id, id, &emoji).await?;
    Ok(Json(redact_unreadable(caller.grant.as_deref(), caller.user_id, message)))
}

/// Pins a message. Idempotent.
pub(crate) async fn pin(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<Message>> {
    let message = messages::pin(&state.db, caller.user_id, id).await?;
    Ok(Json(redact_unreadable(caller.grant.as_deref(), caller.user_id, message)))
}

/// Unpins a message. Idempotent.
pub(crate) async fn unpin(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<Json<Message>> {
    let message = messages::unpin(&state.db, caller.user_id, id).await?;
    Ok(Json(redact_unreadable(caller.grant.as_deref(), caller.user_id, message)))
}

/// Returns the pinned messages of a chat, most recently pinned first.
pub(crate) async fn list_pins(State(state): State<Arc<AppState>>, member: ChatMember) -> Result<Json<List<Message>>> {
    let mut db = state.db.acquire().await?;
    Ok(Json(List { items: messages::list_pins(&mut db, member.user_id, member.chat_id).await? }))
}
