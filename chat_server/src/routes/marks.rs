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
use serde::Deserialize;
use std::sync::Arc;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
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
