//! Incoming webhooks: their management by members, and the routes to which programs post.

use super::List;
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, Path, Query},
    openapi::{Created, NoContent, ProgramResponse},
    upload_form::UploadForm,
    webhook_formats::{
        WebhookMessage,
        discord::{self, Changes, DiscordMessage},
        github,
        slack::SlackMessage,
    },
    webhook_request::{WebhookBody, WebhookCaller},
};
use axum::{extract::State, http::HeaderMap, response::IntoResponse};
use chat_core::{
    ChatId, Error, FileId, MessageId, WebhookId,
    messages::{
        self, Embed, MAX_FILES, Message, MessageAuthor, MessageExtra, NewMessage, SendOutcome, validate_embeds,
    },
    values::{Content, DisplayName, Nonce},
    webhook_avatars,
    webhooks::{self, NewWebhook, Webhook, WebhookPatch, WebhookWithUrl},
};
use chat_http::Result;
use http::StatusCode;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use std::sync::Arc;

/// Returns the webhooks of a chat.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(chat): Path<ChatId>,
) -> Result<Json<List<Webhook>>> {
    let mut db = state.db.acquire().await?;
    Ok(Json(List { items: webhooks::list(&mut db, caller.user_id, chat).await? }))
}

/// Creates a webhook. The response and that of `renew` are the only ones with the URL.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(chat): Path<ChatId>,
    Json(new): Json<NewWebhook>,
) -> Result<Created<WebhookWithUrl>> {
    Ok(Created(webhooks::create(&state.db, caller.user_id, &client, chat, &new).await?))
}

/// Changes the name, the avatar and the secret of GitHub of a webhook.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(chat): Path<ChatId>,
    Path(id): Path<WebhookId>,
    Json(patch): Json<WebhookPatch>,
) -> Result<Json<Webhook>> {
    Ok(Json(webhooks::update(&state.db, state.sealer.as_ref(), caller.user_id, &client, chat, id, patch).await?))
}

/// Replaces the URL of a webhook.
pub(crate) async fn renew(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(chat): Path<ChatId>,
    Path(id): Path<WebhookId>,
) -> Result<Created<WebhookWithUrl>> {
    Ok(Created(webhooks::renew(&state.db, caller.user_id, &client, chat, id).await?))
}

/// Deletes a webhook.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(chat): Path<ChatId>,
    Path(id): Path<WebhookId>,
) -> Result<NoContent> {
    webhooks::delete(&state.db, caller.user_id, &client, chat, id).await?;
    Ok(NoContent)
}

/// The query of a request to post. Programs add others, which are ignored.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct PostParams {
    /// Whether the response is the message; otherwise it is empty.
    #[serde(default, deserialize_with = "deserialize_flag")]
    wait: bool,
}

/// Accepts the spellings of JavaScript, of Python, and of numbers.
fn deserialize_flag<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let text = String::deserialize(deserializer)?;
    Ok(text.eq_ignore_ascii_case("true") || text == "1")
}

/// Posts a message in Discord's format, as JSON or as a form with files.
pub(crate) async fn post(
    State(state): State<Arc<AppState>>,
    WebhookCaller(webhook): WebhookCaller,
    Query(PostParams { wait }): Query<PostParams>,
    body: WebhookBody,
) -> Result<ProgramResponse> {
    let (message, files) = match body {
        WebhookBody::Json(bytes) => (DiscordMessage::parse(&bytes)?, Vec::new()),
        WebhookBody::Fields(fields, _) => (DiscordMessage::from_fields(fields)?, Vec::new()),
        WebhookBody::Form(form) => receive_form(&state, &webhook, form).await?,
    };
    let message = send(&state, &webhook, message.into(), files).await?;
    Ok(ProgramResponse(match wait {
        true => Json(discord::describe_message(&message, &webhook)).into_response(),
        false => StatusCode::NO_CONTENT.into_response(),
    }))
}

/// Posts a message in Slack's format. The response is `ok`, as clients expect.
pub(crate) async fn post_slack(
    State(state): State<Arc<AppState>>,
    WebhookCaller(webhook): WebhookCaller,
    body: WebhookBody,
) -> Result<ProgramResponse> {
    let message = match body {
        WebhookBody::Json(bytes) => SlackMessage::parse(&bytes)?,
        WebhookBody::Fields(fields, _) => SlackMessage::from_fields(fields)?,
        WebhookBody::Form(_) => return Err(Error::UnsupportedMediaType("send JSON, or a form with `payload`").into()),
    };
    send(&state, &webhook, message.into(), Vec::new()).await?;
    Ok(ProgramResponse("ok".into_response()))
}

/// Posts an event of GitHub. A repeated delivery posts nothing. If the webhook has a secret of GitHub, the
/// delivery must be signed with it.
pub(crate) async fn post_github(
    State(state): State<Arc<AppState>>,
    WebhookCaller(webhook): WebhookCaller,
    headers: HeaderMap,
    body: WebhookBody,
) -> Result<ProgramResponse> {
    let (payload, bytes) = match body {
        WebhookBody::Json(bytes) => (serde_json::from_slice(&bytes), bytes),
        WebhookBody::Fields(fields, bytes) => {
            let payload = fields.into_iter().find(|(name, _)| name == "payload").map(|(_, value)| value);
            (serde_json::from_str(&payload.unwrap_or_default()), bytes)
        }
        WebhookBody::Form(_) => return Err(Error::UnsupportedMediaType("send JSON, or a form with `payload`").into()),
    };
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).filter(|text| !text.is_empty());
    let signature = header("x-hub-signature-256").unwrap_or_default();
    if !webhooks::is_signed_by_github(&state.db, state.sealer.as_ref(), &webhook, signature, &bytes).await? {
        return Err(Error::Forbidden("the signature is missing or wrong").into());
    }
    let payload: Map<String, Value> = payload.map_err(|error| Error::Malformed(format!("not an event: {error}")))?;
    let payload = Value::Object(payload);
    let event = header("x-github-event");
    let event = event.ok_or_else(|| Error::invalid_with_code("X-GitHub-Event", "missing", "the header is missing"))?;
    send(&state, &webhook, github::describe(event, header("x-github-delivery"), &payload), Vec::new()).await?;
    Ok(ProgramResponse(StatusCode::NO_CONTENT.into_response()))
}

/// Returns the webhook of a URL in Discord's format.
pub(crate) async fn get(WebhookCaller(webhook): WebhookCaller) -> Result<ProgramResponse> {
    Ok(ProgramResponse(Json(discord::describe_webhook(&webhook)).into_response()))
}

/// Returns a message of a webhook in Discord's format.
pub(crate) async fn get_message(
    State(state): State<Arc<AppState>>,
    WebhookCaller(webhook): WebhookCaller,
    Path(id): Path<MessageId>,
) -> Result<ProgramResponse> {
    let message = find_own(&state, &webhook, id).await?;
    Ok(ProgramResponse(Json(discord::describe_message(&message, &webhook)).into_response()))
}

/// Edits a message of a webhook, in Discord's format.
pub(crate) async fn update_message(
    State(state): State<Arc<AppState>>,
    WebhookCaller(webhook): WebhookCaller,
    Path(id): Path<MessageId>,
    body: WebhookBody,
) -> Result<ProgramResponse> {
    let changes = match body {
        WebhookBody::Json(bytes) => DiscordMessage::parse(&bytes)?,
        WebhookBody::Fields(fields, _) => DiscordMessage::from_fields(fields)?,
        WebhookBody::Form(form) => DiscordMessage::from_fields(form.read_fields().await?)?,
    };
    let message = find_own(&state, &webhook, id).await?;
    let Changes { content, embeds, has_mentions } = changes.into_changes();
    // Validated before anything is written.
    let content = content.map(parse_content).transpose()?;
    let embeds = embeds.map(validate_embeds).transpose()?;
    let bytes = content.as_ref().map_or(0, |content| content.as_str().len());
    state.rate_limiter.charge_text(webhook.created_by, bytes + embed_bytes(embeds.as_deref().unwrap_or_default())?)?;
    let is_blank = content.as_ref().map_or(message.content.trim().is_empty(), Content::is_blank);
    if is_blank && embeds.as_ref().unwrap_or(&message.embeds).is_empty() && message.files.is_empty() {
        return Err(Error::invalid("content", "a message must have text, embeds or files").into());
    }
    // The embeds first if they replace the text.
    let edits_text_first = content.as_ref().is_some_and(|content| !content.is_blank());
    let extra = embeds.map(|embeds| MessageExtra { author: message.author, embeds, ..MessageExtra::default() });
    if let (Some(extra), false) = (&extra, edits_text_first) {
        messages::set_extra(&state.db, webhook.user_id, id, extra).await?;
    }
    if let Some(content) = content {
        messages::update(&state.db, webhook.user_id, id, &content, has_mentions).await?;
    }
    if let (Some(extra), true) = (&extra, edits_text_first) {
        messages::set_extra(&state.db, webhook.user_id, id, extra).await?;
    }
    let message = find_own(&state, &webhook, id).await?;
    Ok(ProgramResponse(Json(discord::describe_message(&message, &webhook)).into_response()))
}

/// Deletes a message of a webhook.
pub(crate) async fn delete_message(
    State(state): State<Arc<AppState>>,
    WebhookCaller(webhook): WebhookCaller,
    Path(id): Path<MessageId>,
) -> Result<NoContent> {
    find_own(&state, &webhook, id).await?;
    messages::delete(&state.db, webhook.user_id, id).await?;
    Ok(NoContent)
}

/// Finds a message that a webhook sent.
async fn find_own(state: &AppState, webhook: &Webhook, id: MessageId) -> Result<Message> {
    let mut db = state.db.acquire().await?;
    let message = messages::get(&mut db, id, webhook.user_id).await?;
    match message.sender_id == Some(webhook.user_id) && message.deleted_at.is_none() {
        true => Ok(message),
        false => Err(Error::NotFound("message").into()),
    }
}

fn parse_content(content: String) -> Result<Content> {
    Ok(Content::try_from(content).map_err(|detail| Error::invalid("content", detail))?)
}

/// The size of embeds as they are stored.
fn embed_bytes(embeds: &[Embed]) -> Result<usize> {
    Ok(serde_json::to_string(embeds).map_err(Error::internal)?.len())
}

/// Stores the files of a form, and reads the message in its fields.
async fn receive_form(
    state: &Arc<AppState>,
    webhook: &Webhook,
    form: UploadForm,
) -> Result<(DiscordMessage, Vec<FileId>)> {
    let (fields, files) = super::files::receive_form(state, webhook.user_id, webhook.created_by, form, false).await?;
    Ok((DiscordMessage::from_fields(fields)?, files.into_iter().map(|file| file.id).collect()))
}

/// Sends a message of a webhook.
async fn send(state: &AppState, webhook: &Webhook, message: WebhookMessage, files: Vec<FileId>) -> Result<Message> {
    let WebhookMessage { content, author, avatar_url, embeds, has_mentions, nonce } = message;
    let content = parse_content(content)?;
    let embeds = validate_embeds(embeds)?;
    if content.is_blank() && embeds.is_empty() && files.is_empty() {
        return Err(Error::invalid("content", "a message must have text, embeds or files").into());
    }
    if files.len() > MAX_FILES {
        return Err(Error::invalid("files", format!("a message can have at most {MAX_FILES} files")).into());
    }
    let author = match author {
        Some(name) => DisplayName::try_from(name).map_err(|detail| Error::invalid("username", detail))?.into(),
        None => webhook.name.clone(),
    };
    state.rate_limiter.charge_text(webhook.created_by, content.as_str().len() + embed_bytes(&embeds)?)?;
    let avatar = match avatar_url.as_deref().map(str::trim).filter(|url| !url.is_empty()) {
        Some(url) => webhook_avatars::find_or_load(&state.db, &state.outgoing, webhook, url).await?,
        None => None,
    };
    let nonce = nonce.map(Nonce::try_from).transpose().map_err(|detail| Error::invalid("nonce", detail))?;
    let SendOutcome { message, .. } = state
        .writer
        .send(NewMessage {
            chat_id: webhook.chat_id,
            sender_id: webhook.user_id,
            content,
            files,
            reply_to: None,
            nonce,
            has_mentions,
            extra: Some(Box::new(MessageExtra {
                author: Some(MessageAuthor {
                    name: author,
                    avatar_url: avatar.map(|file| format!("/api/files/{file}")),
                }),
                embeds,
                ..MessageExtra::default()
            })),
        })
        .await?;
    Ok(message)
}
