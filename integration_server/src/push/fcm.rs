//! Pushes to native apps, through Firebase Cloud Messaging (HTTP v1). Unlike Web Push, Google can read them.

use crate::{
    bridges::google_chat::{
        api::GoogleError,
        tokens::{AccessTokens, Scope},
    },
    client::{CallError, OutgoingClient, ResponseLimits},
};
use anyhow::{Context, bail};
use chat_core::{
    bridges::ServiceAccountKey,
    push::{
        notifications::{Content, DueNotification, Outcome},
        rules::Urgency,
    },
    time::now,
};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use std::{fmt, fs, path::Path, time::Duration};
use url::Url;

/// How long FCM keeps a push for a device that is off, in seconds.
const TTL_SECONDS: i64 = 24 * 3600;

/// Time limit of a push.
const PUSH_TIMEOUT: Duration = Duration::from_secs(8);

/// How much of a response is read: an error names its reason.
const LIMITS: ResponseLimits = ResponseLimits { bytes: 16 * 1024, time: Duration::from_secs(2) };

/// The code of a device whose app was removed.
const UNREGISTERED: &str = "UNREGISTERED";

/// The Firebase project of a native app.
#[derive(Clone)]
pub struct FcmConfig {
    project: String,
    key: ServiceAccountKey,
}

impl fmt::Debug for FcmConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FcmConfig({})", self.project)
    }
}

impl FcmConfig {
    /// Reads the key file of a service account of the project; `None` without a project.
    pub fn read(project: Option<&str>, key_file: Option<&Path>) -> anyhow::Result<Option<Self>> {
        let Some(project) = project else { return Ok(None) };
        let Some(key_file) = key_file else { bail!("FCM_PROJECT needs FCM_SERVICE_ACCOUNT_FILE") };
        let text = fs::read(key_file).with_context(|| format!("FCM_SERVICE_ACCOUNT_FILE: {}", key_file.display()))?;
        let key =
            serde_json::from_slice(&text).context("FCM_SERVICE_ACCOUNT_FILE is not the key of a service account")?;
        Ok(Some(Self { project: project.to_owned(), key }))
    }
}

/// Sends pushes through FCM.
pub(crate) struct Fcm {
    key: ServiceAccountKey,
    url: String,
    client: OutgoingClient,
    tokens: AccessTokens,
}

impl Fcm {
    pub(crate) fn new(
        FcmConfig { project, key }: FcmConfig,
        client: OutgoingClient,
        fcm_url: &Url,
        token_url: Url,
    ) -> Self {
        let url = format!("{}/v1/projects/{project}/messages:send", fcm_url.as_str().trim_end_matches('/'));
        Self { key, url, tokens: AccessTokens::new(client.clone(), token_url), client }
    }

    /// Sends a notification to the device with a registration token.
    pub(crate) async fn send(
        &self,
        due: &DueNotification,
        device: &str,
        content: &Content,
        navigate: &str,
        unread_chats: i64,
    ) -> Outcome {
        let access_token = match self.tokens.get(&self.key, Scope::Push).await {
            Ok(token) => token,
            Err(GoogleError::Busy) => return Outcome::Postponed,
            Err(GoogleError::Temporary { pause, .. }) => return Outcome::Failed(Some(pause.as_secs_f64())),
            Err(error) => {
                tracing::warn!(why = error.why(), "FCM rejects the service account of this server");
                return Outcome::Rejected;
            }
        };
        let message = describe(due, device, content, navigate, unread_chats);
        let sent = self.client.call(Method::POST, &self.url, LIMITS, |request| {
            request.timeout(PUSH_TIMEOUT).bearer_auth(&access_token).json(&message)
        });
        let response = match sent.await {
            Ok(response) => response,
            Err(CallError::Busy) => return Outcome::Postponed,
            Err(_) => return Outcome::Failed(None),
        };
        let body: Value = serde_json::from_str(&response.body).unwrap_or_default();
        match response.status {
            status if status.is_success() => content.sent(),
            _ if has_error_code(&body, UNREGISTERED) => Outcome::Gone,
            StatusCode::BAD_REQUEST if names_the_token(&body) => Outcome::Gone,
            StatusCode::UNAUTHORIZED => {
                // The access token may have ended early.
                self.tokens.forget(&self.key, Scope::Push);
                tracing::warn!("FCM does not accept the access token of this server; trying again");
                Outcome::Failed(None)
            }
            // The project or the service account may be wrong, not the device.
            status @ (StatusCode::FORBIDDEN | StatusCode::NOT_FOUND) => {
                tracing::warn!(%status, "FCM rejects this server; FCM_PROJECT or its service account may be wrong");
                Outcome::Rejected
            }
            status if status == StatusCode::TOO_MANY_REQUESTS || status.is_server_error() => {
                Outcome::Failed(response.retry_after.map(|pause| pause.as_secs_f64()))
            }
            status => {
                tracing::warn!(%status, "FCM refuses a push");
                Outcome::Refused
            }
        }
    }
}

/// Whether an error of FCM has a code.
fn has_error_code(body: &Value, code: &str) -> bool {
    body["error"]["details"].as_array().into_iter().flatten().any(|detail| detail["errorCode"] == code)
}

/// Whether a request was invalid because of the registration token.
fn names_the_token(body: &Value) -> bool {
    let details = body["error"]["details"].as_array().into_iter().flatten();
    let mut violations = details.flat_map(|detail| detail["fieldViolations"].as_array().into_iter().flatten());
    violations.any(|violation| violation["field"] == "message.token")
}

/// What the device gets. One notification for each chat: a later one takes its place.
fn describe(due: &DueNotification, device: &str, content: &Content, navigate: &str, unread_chats: i64) -> Value {
    let tag = format!("chat-{}-{}", due.user_id, due.chat_id);
    let is_urgent = content.urgency == Urgency::High;
    json!({
        "message": {
            "token": device,
            "notification": { "title": content.title, "body": content.body },
            // All values are texts.
            "data": {
                "user_id": due.user_id.to_string(),
                "chat_id": due.chat_id.to_string(),
                "message_id": content.message_id.to_string(),
                "navigate": navigate,
                "app_badge": unread_chats.to_string(),
            },
            "android": {
                "priority": if is_urgent { "HIGH" } else { "NORMAL" },
                "ttl": format!("{TTL_SECONDS}s"),
                // No collapse key: FCM keeps only four of them for a device that is off.
                "notification": { "tag": tag, "notification_count": unread_chats },
            },
            "apns": {
                "headers": {
                    "apns-priority": if is_urgent { "10" } else { "5" },
                    "apns-collapse-id": tag,
                    "apns-expiration": (now().timestamp() + TTL_SECONDS).to_string(),
                },
                "payload": { "aps": { "badge": unread_chats, "thread-id": tag } },
            },
        }
    })
}
