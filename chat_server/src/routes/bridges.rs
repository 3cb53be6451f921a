//! Bridges: accounts on other networks, the chats that they connect, and the webhooks by which the
//! networks reach this server.

use super::{List, Page};
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, Limit, Path, Query, RawBody},
    openapi::{Created, NoContent, ProgramResponse},
};
use axum::{extract::State, http::HeaderMap, response::IntoResponse};
use chat_core::{
    BridgeChatId, BridgeId, ChatId, DeliveryId, Error,
    bridges::{
        self, Bridge, BridgeChat, BridgeChatPatch, BridgePatch, ChatBridge, FailedDelivery, NewBridge, NewBridgeChat,
        PausedReason, TemplateMessage, chats, failures, google_keys, inbox, templates,
    },
    messages::Message,
    values::WebhookToken,
};
use chat_http::Result;
use http::StatusCode;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Returns the bridges of the caller.
pub(crate) async fn list(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<Bridge>>> {
    let Some(sealer) = &state.sealer else { return Ok(Json(List { items: Vec::new() })) };
    Ok(Json(List { items: bridges::list(&state.db, sealer, caller.user_id).await? }))
}

/// Creates a bridge.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Json(new): Json<NewBridge>,
) -> Result<Created<Bridge>> {
    let sealer = state.require_sealer()?;
    Ok(Created(bridges::create(&state.db, sealer, caller.claims(), &client, new).await?))
}

/// Returns a bridge.
pub(crate) async fn get(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<BridgeId>,
) -> Result<Json<Bridge>> {
    Ok(Json(bridges::get(&state.db, state.require_sealer()?, caller.user_id, id).await?))
}

/// Changes, enables or disables a bridge.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<BridgeId>,
    Json(patch): Json<BridgePatch>,
) -> Result<Json<Bridge>> {
    let sealer = state.require_sealer()?;
    Ok(Json(bridges::update(&state.db, sealer, caller.user_id, &client, id, patch).await?))
}

/// Deletes a bridge.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<BridgeId>,
) -> Result<NoContent> {
    bridges::delete(&state.db, caller.user_id, &client, id).await?;
    Ok(NoContent)
}

/// The start of a page of connected chats, newest first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct BridgeChatParams {
    /// Only chats with a lower id.
    before: Option<BridgeChatId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the chats that a bridge connects.
pub(crate) async fn list_chats(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<BridgeId>,
    Query(BridgeChatParams { before, limit: Limit(limit) }): Query<BridgeChatParams>,
) -> Result<Json<Page<BridgeChat>>> {
    let mut db = state.db.acquire().await?;
    let rows = chats::list(&mut db, caller.user_id, id, before, limit + 1).await?;
    Ok(Json(Page::with_filters(rows, limit, &[], |row| ("before", row.id.get()))))
}

/// Connects a chat to a remote user.
pub(crate) async fn connect_chat(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<BridgeId>,
    Json(new): Json<NewBridgeChat>,
) -> Result<Created<BridgeChat>> {
    Ok(Created(chats::connect(&state.db, caller.user_id, &client, id, new).await?))
}

/// Pauses a connected chat, or makes it send again.
pub(crate) async fn update_chat(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<BridgeId>,
    Path(chat): Path<BridgeChatId>,
    Json(BridgeChatPatch { is_paused }): Json<BridgeChatPatch>,
) -> Result<Json<BridgeChat>> {
    let reason = is_paused.then_some(PausedReason::Owner);
    Ok(Json(chats::set_paused(&state.db, caller.user_id, id, chat, reason).await?))
}

/// Disconnects a chat.
pub(crate) async fn disconnect_chat(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<BridgeId>,
    Path(chat): Path<BridgeChatId>,
) -> Result<NoContent> {
    chats::disconnect(&state.db, caller.user_id, &client, id, chat).await?;
    Ok(NoContent)
}

/// The start of a page of failed deliveries, newest first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct FailureParams {
    /// Only deliveries with a lower id.
    before: Option<DeliveryId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the failed deliveries of a bridge.
pub(crate) async fn list_failures(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<BridgeId>,
    Query(FailureParams { before, limit: Limit(limit) }): Query<FailureParams>,
) -> Result<Json<Page<FailedDelivery>>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    let mut db = state.expensive_db.acquire().await?;
    let rows = failures::list(&mut db, caller.user_id, id, before, limit + 1).await?;
    Ok(Json(Page::with_filters(rows, limit, &[], |row| ("before", row.id.get()))))
}

/// Sends a failed delivery again.
pub(crate) async fn retry(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<BridgeId>,
    Path(delivery): Path<DeliveryId>,
) -> Result<NoContent> {
    failures::retry(&state.db, caller.user_id, id, delivery).await?;
    Ok(NoContent)
}

/// Returns the bridges of a chat.
pub(crate) async fn list_for_chat(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<Json<List<ChatBridge>>> {
    let mut db = state.db.acquire().await?;
    Ok(Json(List { items: chats::list_for_chat(&mut db, caller.user_id, chat).await? }))
}

/// Sends a template.
pub(crate) async fn send_template(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat): Path<ChatId>,
    Json(template): Json<TemplateMessage>,
) -> Result<Created<Message>> {
    let new = {
        let mut db = state.db.acquire().await?;
        templates::build_template_message(&mut db, caller.user_id, chat, template).await?
    };
    Ok(Created(state.writer.send(new).await?.message))
}

/// Limits how many webhooks of networks are verified and stored at once: everybody can send one.
static WEBHOOKS: Semaphore = Semaphore::const_new(8);

/// The query with which a network verifies the URL of a webhook. It may add others.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct VerificationParams {
    #[serde(rename = "hub.mode", default)]
    mode: String,
    #[serde(rename = "hub.verify_token", default)]
    verify_token: String,
    #[serde(rename = "hub.challenge", default)]
    challenge: String,
}

/// Verifies the URL of a webhook: returns the challenge if the token is right.
pub(crate) async fn verify_whatsapp(
    State(state): State<Arc<AppState>>,
    Path(id): Path<BridgeId>,
    Query(VerificationParams { mode, verify_token, challenge }): Query<VerificationParams>,
) -> Result<ProgramResponse> {
    const WRONG: Error = Error::Forbidden("the verify token is wrong");
    let sealer = state.sealer.as_ref().ok_or(WRONG)?;
    let _permit = WEBHOOKS.acquire().await.map_err(Error::internal)?;
    let account = inbox::find_account(&state.db, id).await?.ok_or(Error::NotFound("bridge"))?;
    if mode != "subscribe" || !inbox::is_verify_token(&account, sealer, &verify_token)? {
        return Err(WRONG.into());
    }
    // As text, so that it cannot be a page of this origin.
    Ok(ProgramResponse(challenge.into_response()))
}

/// Stores a webhook of WhatsApp, after its signature was verified over the bytes that arrived. It
/// is processed afterwards.
pub(crate) async fn receive_whatsapp(
    State(state): State<Arc<AppState>>,
    Path(id): Path<BridgeId>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<ProgramResponse> {
    const WRONG: Error = Error::Forbidden("the signature is wrong");
    let sealer = state.sealer.as_ref().ok_or(WRONG)?;
    let _permit = WEBHOOKS.acquire().await.map_err(Error::internal)?;
    let account = inbox::find_account(&state.db, id).await?.ok_or(Error::NotFound("bridge"))?;
    let signature = headers.get("x-hub-signature-256").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !inbox::is_signed(&account, sealer, signature, &body)? {
        return Err(WRONG.into());
    }
    inbox::receive(&state.db, id, &body).await?;
    Ok(ProgramResponse(StatusCode::OK.into_response()))
}

/// The token of a request of Google: in the header, or in the body of an event of an add-on.
fn read_google_token(headers: &HeaderMap, body: &[u8]) -> Option<String> {
    if let Some(token) = headers.get("authorization").and_then(|value| value.to_str().ok()?.strip_prefix("Bearer ")) {
        return Some(token.to_owned());
    }
    let body: Value = serde_json::from_slice(body).ok()?;
    body["authorizationEventObject"]["systemIdToken"].as_str().map(str::to_owned)
}

/// Stores an event of Google Chat, or a push of a subscription, after its token was verified. It is
/// processed afterwards.
pub(crate) async fn receive_google_chat(
    State(state): State<Arc<AppState>>,
    Path(id): Path<BridgeId>,
    Path(webhook_token): Path<WebhookToken>,
    headers: HeaderMap,
    RawBody(body): RawBody,
) -> Result<ProgramResponse> {
    const WRONG: Error =
        Error::Unauthorized { code: "token_invalid", detail: "the token is not one of Google Chat for this bridge" };
    let _permit = WEBHOOKS.acquire().await.map_err(Error::internal)?;
    let account = inbox::find_account(&state.db, id).await?.ok_or(Error::NotFound("bridge"))?;
    let sealer = state.sealer.as_ref().ok_or(Error::NotFound("bridge"))?;
    if !inbox::is_webhook_token(&account, sealer, webhook_token.as_str())? {
        return Err(Error::NotFound("bridge").into());
    }
    let token = read_google_token(&headers, &body).ok_or(WRONG)?;
    let path = bridges::google_webhook_path(id, webhook_token.as_str());
    let endpoint = state.public_url.as_ref().map(|url| format!("{}{path}", url.as_str()));
    if !google_keys::is_from_google(&state.db, &account, &token, endpoint.as_deref()).await? {
        tracing::info!(bridge = %id, "refused a webhook of Google Chat: its token was not verified (audience, issuer, expiry, keys or PUBLIC_URL)");
        return Err(WRONG.into());
    }
    inbox::receive(&state.db, id, &body).await?;
    // An empty object: the app does not answer at once.
    Ok(ProgramResponse(axum::Json(json!({})).into_response()))
}
