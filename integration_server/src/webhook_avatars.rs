//! Loads the images that webhooks show beside their messages (`chat_core::webhook_avatars`).

use crate::{client::OutgoingClient, loader::Load};
use chat_core::{
    FileId, Result,
    files::{self, NewFile},
    webhook_avatars::{self, MAX_BYTES, PendingAvatar},
};
use file_store::FileStore;
use reqwest::{
    Method, StatusCode,
    header::{ACCEPT, HeaderValue},
};
use sqlx::PgPool;
use std::time::Duration;
use tokio::time::timeout;

/// Time limit of an image.
const LOAD_TIMEOUT: Duration = Duration::from_secs(10);

/// The name of the files.
const FILENAME: &str = "avatar";

/// Loads the images of webhooks.
pub(crate) struct WebhookAvatars {
    pub(crate) db: PgPool,
    pub(crate) client: OutgoingClient,
    pub(crate) files: FileStore,
    pub(crate) user_quota_bytes: i64,
}

impl Load for WebhookAvatars {
    type Item = PendingAvatar;

    async fn claim(&self) -> Result<Option<PendingAvatar>> {
        webhook_avatars::claim(&self.db).await
    }

    async fn load(&self, avatar: PendingAvatar) -> Result<()> {
        let file = timeout(LOAD_TIMEOUT, self.load_file(&avatar)).await.ok().flatten();
        if file.is_none() {
            tracing::info!(webhook_user = %avatar.user_id, "cannot load the image of a webhook");
        }
        webhook_avatars::finish(&self.db, &avatar, file).await
    }
}

impl WebhookAvatars {
    /// Stores an image as a file. `None` if there is none: the message shows the avatar of the webhook.
    async fn load_file(&self, avatar: &PendingAvatar) -> Option<FileId> {
        let accept = HeaderValue::from_static("image/png, image/jpeg, image/webp, image/gif");
        let opened = self.client.open(Method::GET, &avatar.url, |request| request.header(ACCEPT, accept)).await.ok()?;
        if opened.response.status() != StatusCode::OK {
            return None;
        }
        let free = files::require_quota(&self.db, avatar.user_id, self.user_quota_bytes).await.ok()?;
        let stored =
            self.files.store(avatar.user_id, opened.into_chunks(), FILENAME, MAX_BYTES.min(free)).await.ok()?;
        self.register(avatar, stored).await
    }

    async fn register(&self, avatar: &PendingAvatar, stored: NewFile) -> Option<FileId> {
        if stored.image.is_some()
            && let Ok(created) =
                files::create(&self.db, avatar.user_id, std::slice::from_ref(&stored), self.user_quota_bytes).await
        {
            return created.first().map(|file| file.id);
        }
        self.files.discard(vec![stored]).await;
        None
    }
}
