//! What notifies the caller: settings, levels and mutes of chats, and the notification of a chat.

use crate::{
    AppState,
    extract::{Caller, ChatMember, Json, Query},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    MessageId, Time,
    notification_settings::{self, NotificationLevel, NotificationSettings, NotificationSettingsPatch},
    push::{Preview, notifications, rules::Urgency},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// Returns what notifies the caller.
pub(crate) async fn get_settings(
    State(state): State<Arc<AppState>>,
    caller: Caller,
) -> Result<Json<NotificationSettings>> {
    Ok(Json(notification_settings::get(&state.db, caller.user_id).await?))
}

/// Changes what notifies the caller.
pub(crate) async fn update_settings(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(patch): Json<NotificationSettingsPatch>,
) -> Result<Json<NotificationSettings>> {
    Ok(Json(notification_settings::update(&state.db, caller.user_id, patch).await?))
}

/// How long a chat is muted.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct MuteParams {
    /// When the chat notifies again, at most a year away; absent for good.
    until: Option<Time>,
}

/// Mutes a chat.
pub(crate) async fn mute(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Query(MuteParams { until }): Query<MuteParams>,
) -> Result<NoContent> {
    notification_settings::mute(&state.db, member.chat_id, member.user_id, until).await?;
    Ok(NoContent)
}

/// Unmutes a chat.
pub(crate) async fn unmute(State(state): State<Arc<AppState>>, member: ChatMember) -> Result<NoContent> {
    notification_settings::unmute(&state.db, member.chat_id, member.user_id).await?;
    Ok(NoContent)
}

/// Which messages of a chat notify.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationLevelPatch {
    /// Null for the level of the type of chat.
    #[serde(deserialize_with = "Option::deserialize")]
    notification_level: Option<NotificationLevel>,
}

/// Chooses which messages of a chat notify the caller.
pub(crate) async fn set_level(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Json(NotificationLevelPatch { notification_level }): Json<NotificationLevelPatch>,
) -> Result<NoContent> {
    notification_settings::set_level(&state.db, member.chat_id, member.user_id, notification_level).await?;
    Ok(NoContent)
}

/// Which messages a notification is about.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NotificationParams {
    /// The first message.
    since: MessageId,
}

/// The notification of a chat.
#[derive(Serialize, JsonSchema)]
pub(crate) struct ChatNotification {
    /// What a device shows; null if there is nothing to notify of.
    notification: Option<MessageNotification>,
}

/// What a device shows.
#[derive(Serialize, JsonSchema)]
pub(crate) struct MessageNotification {
    /// Who wrote, and where.
    title: String,
    /// The beginning of the text.
    body: String,
    /// The newest message that notifies.
    message_id: MessageId,
    /// Whether a message is for the caller: a direct message, a mention, a reply or a keyword.
    is_urgent: bool,
}

/// Returns the notification of a chat's unread messages, as a push would show it.
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    member: ChatMember,
    Query(NotificationParams { since }): Query<NotificationParams>,
) -> Result<Json<ChatNotification>> {
    let (user, chat) = (member.user_id, member.chat_id);
    let _slot = state.expensive_slots.acquire(user).await?;
    let content = notifications::compose_for_chat(&state.db, user, chat, since, Preview::Full).await?;
    let notification = content.map(|content| MessageNotification {
        title: content.title,
        body: content.body,
        message_id: content.message_id,
        is_urgent: content.urgency == Urgency::High,
    });
    Ok(Json(ChatNotification { notification }))
}
