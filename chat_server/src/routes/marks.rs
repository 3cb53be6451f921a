//! How far the caller has received and read a chat.

use crate::{
    Api,
    extract::{ChatMember, Input},
};
use axum::{Json, extract::State};
use chat_core::{
    MessageId, Result,
    receipts::{self, Kind, Mark},
};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use std::sync::Arc;

/// Everything up to and including this message.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "message_id": 17 }))]
pub(crate) struct Upto {
    message_id: MessageId,
}

/// Everything up to this message was read. Never moves back.
pub(crate) async fn read(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Input(Upto { message_id }): Input<Upto>,
) -> Result<Json<Mark>> {
    receipts::mark(&api.db, member.chat_id, member.user_id, Kind::Read, message_id).await.map(Json)
}

/// Everything up to this message reached a device. Never moves back.
pub(crate) async fn delivered(
    State(api): State<Arc<Api>>,
    member: ChatMember,
    Input(Upto { message_id }): Input<Upto>,
) -> Result<Json<Mark>> {
    receipts::mark(&api.db, member.chat_id, member.user_id, Kind::Delivered, message_id).await.map(Json)
}
