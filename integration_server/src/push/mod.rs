//! Pushes: finds out what is to be pushed (`chat_core::push`), encrypts it for each device, and gives it
//! to the push service of the browser (Web Push). Devices of native apps get it through `fcm`.

mod encryption;
mod fcm;
mod vapid;

pub(crate) use fcm::Fcm;
pub use fcm::FcmConfig;

use crate::{
    client::{CallError, EndpointResponse, OutgoingClient, ResponseLimits},
    loader::Load,
    notifications::Wakers,
};
use aws_lc_rs::hmac;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_core::{
    Error, Result,
    push::{
        feed::{self, Advance},
        notifications::{self, Content, DueNotification, Outcome},
        rules::Urgency,
        subscriptions,
    },
    sealing::Sealer,
    time::now,
};
use chat_http::settings::PublicUrl;
use encryption::MAX_TEXT_BYTES;
use reqwest::{
    Method, StatusCode, Url,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::json;
use sqlx::PgPool;
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::OnceCell,
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use vapid::Vapid;

/// The pause after a round of the feed, so that busy chats are read in batches.
const ROUND_PAUSE: Duration = Duration::from_millis(200);

/// Maximum delay of a message whose notification is lost.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// The pause while nobody has subscribed, and after an error.
const IDLE_PAUSE: Duration = Duration::from_secs(2);

/// How long a push service keeps a push for a device that is off, in seconds.
const TTL_SECONDS: u32 = 24 * 3600;

/// Maximum length of a topic, in characters of base64url.
const TOPIC_CHARS: usize = 32;

/// Maximum number of requests to one push service at once, apart from those of other features.
pub(crate) const MAX_PER_HOST: usize = 16;

/// Time limit of a push.
const PUSH_TIMEOUT: Duration = Duration::from_secs(8);

/// Limits of a response, whose body tells nothing.
const LIMITS: ResponseLimits = ResponseLimits { bytes: 1024, time: Duration::from_secs(1) };

/// The contact without a public URL.
const NO_CONTACT: &str = "mailto:operator@localhost";

/// Sends pushes.
pub(crate) struct Pushes {
    pub(crate) db: PgPool,
    pub(crate) sealer: Sealer,
    pub(crate) client: OutgoingClient,
    pub(crate) public_url: Option<PublicUrl>,
    /// Loaded with the first push.
    pub(crate) vapid: OnceCell<Vapid>,
    /// For the devices of native apps, if there are any.
    pub(crate) fcm: Option<Fcm>,
}

/// Makes notifications of new messages until `shutdown`.
pub(crate) async fn run_feed(db: PgPool, wakers: Arc<Wakers>, shutdown: CancellationToken) {
    let run = async {
        loop {
            match feed::advance(&db).await {
                Ok(Advance::Advanced { has_more: true }) => {}
                Ok(Advance::Advanced { has_more: false }) => {
                    wakers.pushes.notify_one();
                    sleep(ROUND_PAUSE).await;
                }
                Ok(Advance::Idle) => {
                    let _ = timeout(POLL_INTERVAL, wakers.push_feed.notified()).await;
                }
                Ok(Advance::NoSubscription) => sleep(IDLE_PAUSE).await,
                Err(error) => {
                    tracing::warn!(%error, cause = error.source_text(), "cannot read the log for pushes; trying again");
                    sleep(IDLE_PAUSE).await;
                }
            }
        }
    };
    shutdown.run_until_cancelled(run).await;
}

impl Load for Pushes {
    type Item = DueNotification;

    async fn claim(&self) -> Result<Option<DueNotification>> {
        notifications::claim(&self.db).await
    }

    async fn load(&self, due: DueNotification) -> Result<()> {
        let attempt = async {
            match notifications::compose(&self.db, &due).await? {
                Some((content, unread_chats)) => self.send(&due, &content, unread_chats).await,
                None => Ok(Outcome::Dropped),
            }
        };
        let outcome = attempt.await.unwrap_or_else(|error| {
            tracing::warn!(%error, cause = error.source_text(), "cannot push; trying again");
            Outcome::Failed(None)
        });
        notifications::finish(&self.db, &due, outcome).await
    }
}

impl Pushes {
    async fn send(&self, due: &DueNotification, content: &Content, unread_chats: i64) -> Result<Outcome> {
        if let Some(device) = due.endpoint.strip_prefix(subscriptions::FCM_SCHEME) {
            let Some(fcm) = &self.fcm else { return Ok(Outcome::Rejected) };
            return Ok(fcm.send(due, device, content, &self.navigate_url(due, content), unread_chats).await);
        }
        let vapid = self.vapid.get_or_try_init(|| self.load_vapid()).await?;
        let Ok(endpoint) = Url::parse(&due.endpoint) else { return Ok(Outcome::Gone) };
        let text = self.describe(due, content, unread_chats);
        // Keys that are no point of the curve are of no use.
        let Ok(body) = encryption::encrypt(&due.p256dh, &due.auth, text.as_bytes()) else { return Ok(Outcome::Gone) };
        let authorization = vapid.authorization(&endpoint.origin().ascii_serialization(), now().timestamp());
        let authorization = authorization.map_err(Error::internal)?;
        let urgency = match content.urgency {
            Urgency::High => "high",
            Urgency::Normal => "normal",
        };
        let sent = self.client.call(Method::POST, &due.endpoint, LIMITS, |request| {
            request
                .timeout(PUSH_TIMEOUT)
                .header(AUTHORIZATION, authorization)
                .header(CONTENT_ENCODING, "aes128gcm")
                .header(CONTENT_TYPE, "application/octet-stream")
                .header("ttl", TTL_SECONDS)
                .header("urgency", urgency)
                .header("topic", topic(due))
                .body(body)
        });
        let response = match sent.await {
            Ok(response) => response,
            Err(CallError::NotAllowed(_)) => return Ok(Outcome::Gone),
            Err(CallError::Busy) => return Ok(Outcome::Postponed),
            Err(CallError::NotConnected(_) | CallError::Failed(_)) => return Ok(Outcome::Failed(None)),
        };
        Ok(match response.status {
            status if status.is_success() => content.sent(),
            StatusCode::NOT_FOUND | StatusCode::GONE => Outcome::Gone,
            status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
                // The key or the contact of this server may be wrong, not the device. Users choose the service.
                tracing::warn!(%status, service = endpoint.host_str(), "a push service rejects this server");
                Outcome::Rejected
            }
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => failed(&response),
            status if status.is_server_error() => failed(&response),
            // It cannot succeed.
            _ => Outcome::Refused,
        })
    }

    async fn load_vapid(&self) -> Result<Vapid> {
        let key = subscriptions::load_key(&self.db, &self.sealer).await?;
        let contact = self.public_url.as_ref().filter(|url| url.is_https());
        let contact = contact.map_or(NO_CONTACT, PublicUrl::as_str);
        Vapid::new(&key, contact.to_owned()).map_err(Error::internal)
    }

    /// What the device gets: a declarative message, which browsers show without a script of ours, and which
    /// our service worker reads too.
    fn describe(&self, due: &DueNotification, content: &Content, unread_chats: i64) -> String {
        let build = |body: &str| {
            json!({
                "web_push": 8030,
                "notification": {
                    "title": content.title,
                    "body": body,
                    "navigate": self.navigate_url(due, content),
                    // Several accounts may share a device.
                    "tag": format!("chat-{}-{}", due.user_id, due.chat_id),
                    "silent": content.urgency == Urgency::Normal,
                    "data": { "user_id": due.user_id, "chat_id": due.chat_id, "message_id": content.message_id },
                },
                "app_badge": unread_chats,
                "mutable": true,
            })
            .to_string()
        };
        let text = build(&content.body);
        if text.len() <= MAX_TEXT_BYTES { text } else { build("") }
    }

    /// The page that a click opens.
    fn navigate_url(&self, due: &DueNotification, content: &Content) -> String {
        let origin = self.public_url.as_ref().map_or("", PublicUrl::as_str);
        format!("{origin}/chats/{}/{}", due.chat_id, content.message_id)
    }
}

fn failed(response: &EndpointResponse) -> Outcome {
    Outcome::Failed(response.retry_after.map(|pause| pause.as_secs_f64()))
}

/// Names the notifications of one chat on one device, so that a push service keeps only the newest one for
/// a device that is off. Without the secret of the browser it tells the service nothing.
fn topic(due: &DueNotification) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, &due.auth);
    let tag = hmac::sign(&key, format!("{} {}", due.user_id, due.chat_id).as_bytes());
    let mut topic = BASE64_URL_SAFE_NO_PAD.encode(tag);
    topic.truncate(TOPIC_CHARS);
    topic
}
