//! Read and delivery markers: how far the caller has read and received a chat.

use crate::{
    AppState,
    extract::{ChatMember, Json},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    MessageId,
    receipts::{self, ReadMarker, ReceiptKind},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// The position of a marker: it covers all messages up to and including this message.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "message_id": 17 }))]
pub(crate) struct MarkerPosition {
    message_id: MessageId,
}

/// The first message that is unread.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "message_id": 17 }))]
pub(crate) struct UnreadFrom {
    message_id: MessageId,
}

/// Marks all messages up to a message as read. The marker never moves back.
pub(crate) async fn mark_read(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Json(MarkerPosition { message_id }): Json<MarkerPosition>,
) -> Result<Json<ReadMarker>> {
    Ok(Json(receipts::advance(&state.db, member.chat_id, member.user_id, ReceiptKind::Read, message_id).await?))
}

/// Marks a message and all after it as unread. Only the caller sees this.
pub(crate) async fn mark_unread(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Json(UnreadFrom { message_id }): Json<UnreadFrom>,
) -> Result<NoContent> {
    receipts::mark_unread(&state.db, member.chat_id, member.user_id, message_id).await?;
    Ok(NoContent)
}

/// Marks all messages up to a message as delivered. The marker never moves back.
pub(crate) async fn mark_delivered(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Json(MarkerPosition { message_id }): Json<MarkerPosition>,
) -> Result<Json<ReadMarker>> {
    Ok(Json(receipts::advance(&state.db, member.chat_id, member.user_id, ReceiptKind::Delivered, message_id).await?))
}
