//! Requests to a webhook: the secret in the path instead of a token, and bodies of several
//! kinds.

use crate::{AppState, upload_form::UploadForm};
use axum::{
    RequestExt,
    extract::{FromRequest, FromRequestParts, Request},
    http::{header, request::Parts},
};
use bytes::Bytes;
use chat_core::{
    Error, WebhookId,
    values::WebhookToken,
    webhooks::{self, Webhook},
};
use chat_http::{ApiError, Result, extract::Path};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// The webhook that a request names and whose secret it knows. Other callers get 404, before
/// their body is read.
#[derive(Debug, Clone)]
pub(crate) struct WebhookCaller(pub(crate) Webhook);

impl FromRequestParts<Arc<AppState>> for WebhookCaller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<AppState>) -> Result<Self> {
        // `request_guard` has found it.
        Ok(parts.extensions.get::<Self>().cloned().ok_or(Error::NotFound("webhook"))?)
    }
}

/// Limits how many webhooks are looked up at once: everybody can send a URL.
static LOOKUPS: Semaphore = Semaphore::const_new(4);

/// Finds the webhook of the path.
pub(crate) async fn find_webhook(parts: &mut Parts, state: &AppState) -> Result<WebhookCaller> {
    let Path(id) = Path::<WebhookId>::from_request_parts(parts, &()).await?;
    let Path(token) = Path::<WebhookToken>::from_request_parts(parts, &()).await?;
    let _permit = LOOKUPS.acquire().await.map_err(Error::internal)?;
    let webhook = webhooks::find(&state.db, id, &token).await?.ok_or(Error::NotFound("webhook"))?;
    Ok(WebhookCaller(webhook))
}

/// The body of a request to a webhook.
pub(crate) enum WebhookBody {
    /// JSON. Some clients send it under another type or none.
    Json(Bytes),
    /// The fields of a form without files, and the form as it arrived.
    Fields(Vec<(String, String)>, Bytes),
    /// A form that can have files.
    Form(UploadForm),
}

impl FromRequest<Arc<AppState>> for WebhookBody {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &Arc<AppState>) -> Result<Self> {
        let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.to_ascii_lowercase();
        if kind.starts_with("multipart/form-data") {
            return Ok(Self::Form(UploadForm::from_request(request, state).await?));
        }
        let is_fields = kind.starts_with("application/x-www-form-urlencoded");
        let body: Bytes = request.extract().await.map_err(Error::internal)?;
        Ok(match is_fields {
            true => Self::Fields(form_urlencoded::parse(&body).into_owned().collect(), body),
            false => Self::Json(body),
        })
    }
}
