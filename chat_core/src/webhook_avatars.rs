//! Images at other servers that webhooks show beside their messages.
//!
//! The chat server asks for an image by a row, and the integration server, which alone calls other
//! servers, loads it. The first message with an image waits a moment for it; the others have it.

use crate::{FileId, Result, UserId, outgoing::AllowedTargets, webhooks::Webhook};
use sqlx::{PgExecutor, PgPool};
use std::time::Duration;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

/// The NOTIFY channel that announces that an image is to be loaded.
pub const CHANNEL: &str = "webhook_avatars";

/// Maximum size of an image, in bytes.
pub const MAX_BYTES: u64 = 2 * 1024 * 1024;

/// Maximum number of URLs of one webhook. A new one replaces the least recently used, whose file stays for the
/// messages that show it.
const MAX_PER_WEBHOOK: i64 = 50;

/// How often a message that waits looks for its image.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// How precisely it is known when an image was last used, in seconds.
const USED_SECONDS: f64 = 60.0;

/// How long a message waits for its image.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Maximum number of messages that wait at once. Others are sent without an image.
const MAX_WAITING: usize = 16;
static WAITING: Semaphore = Semaphore::const_new(MAX_WAITING);

/// When an image that could not be loaded is tried again, in seconds.
const RETRY_SECONDS: f64 = 600.0;

/// The longest time that an image takes to be loaded, in seconds. Until then its owner has no other
/// one loaded.
const LOADING_SECONDS: f64 = 15.0;

/// An image that is to be loaded.
#[derive(Debug, sqlx::FromRow)]
pub struct PendingAvatar {
    id: i64,
    /// Where it is.
    pub url: String,
    /// The user of the webhook, to whom the file will belong.
    pub user_id: UserId,
}

/// What is known of an image.
#[derive(sqlx::FromRow)]
struct KnownAvatar {
    file_id: Option<FileId>,
    is_pending: bool,
    /// Whether it was asked for so recently that a message may wait for it.
    is_new: bool,
    /// Whether it is not asked for again yet.
    is_recent: bool,
    is_used_recently: bool,
}

/// Returns the file with an image for a message of a webhook. `None` if there is none, or not in time.
pub async fn find_or_load(
    db: &PgPool,
    allowed: &AllowedTargets,
    webhook: &Webhook,
    url: &str,
) -> Result<Option<FileId>> {
    if allowed.parse_url(url).is_err() {
        return Ok(None);
    }
    match load(db, webhook, url).await? {
        Some(KnownAvatar { file_id: Some(file), is_used_recently, .. }) => {
            if !is_used_recently {
                touch(db, webhook, url).await?;
            }
            return Ok(Some(file));
        }
        Some(known) if known.is_pending && known.is_new => {}
        Some(known) if known.is_recent => return Ok(None),
        _ => request(db, webhook, url).await?,
    }
    let Ok(_permit) = WAITING.try_acquire() else { return Ok(None) };
    let deadline = Instant::now() + MAX_WAIT;
    while Instant::now() < deadline {
        sleep(POLL_INTERVAL).await;
        match load(db, webhook, url).await? {
            Some(known) if known.is_pending => {}
            known => return Ok(known.and_then(|known| known.file_id)),
        }
    }
    Ok(None)
}

async fn load(db: &PgPool, webhook: &Webhook, url: &str) -> Result<Option<KnownAvatar>> {
    Ok(sqlx::query_as(
        "select file_id, loaded_at is null or loaded_at < requested_at as is_pending,
                requested_at > now() - make_interval(secs => $3) as is_new,
                requested_at > now() - make_interval(secs => $4) as is_recent,
                used_at > now() - make_interval(secs => $5) as is_used_recently
         from webhook_avatars where user_id = $1 and url = $2",
    )
    .bind(webhook.user_id)
    .bind(url)
    .bind(MAX_WAIT.as_secs_f64())
    .bind(RETRY_SECONDS)
    .bind(USED_SECONDS)
    .fetch_optional(db)
    .await?)
}

/// Records that a message uses an image.
async fn touch(db: &PgPool, webhook: &Webhook, url: &str) -> Result<()> {
    sqlx::query("update webhook_avatars set used_at = now() where user_id = $1 and url = $2")
        .bind(webhook.user_id)
        .bind(url)
        .execute(db)
        .await?;
    Ok(())
}

/// Asks for an image to be loaded, unless another message has just asked.
async fn request(db: &PgPool, webhook: &Webhook, url: &str) -> Result<()> {
    sqlx::query(
        "insert into webhook_avatars as a (user_id, chat_id, url) values ($1, $2, $3)
         on conflict (user_id, url) do update set is_due = true, requested_at = now()
         where a.file_id is null and a.requested_at < now() - make_interval(secs => $4)",
    )
    .bind(webhook.user_id)
    .bind(webhook.chat_id)
    .bind(url)
    .bind(RETRY_SECONDS)
    .execute(db)
    .await?;
    sqlx::query(
        "update webhook_avatars set url = null, is_due = false where id in (
             select id from webhook_avatars where user_id = $1 and url is not null order by used_at desc offset $2
         )",
    )
    .bind(webhook.user_id)
    .bind(MAX_PER_WEBHOOK)
    .execute(db)
    .await?;
    sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(db).await?;
    Ok(())
}

/// Claims a due image whose owner has no other image loading.
pub async fn claim(db: &PgPool) -> Result<Option<PendingAvatar>> {
    Ok(sqlx::query_as(
        "update webhook_avatars set is_due = false, loading_since = now()
         where id = (
             select a.id from webhook_avatars a join users u on u.id = a.user_id
             where a.is_due and not exists (
                 select from webhook_avatars b join users v on v.id = b.user_id
                 where v.owner_id = u.owner_id and b.loading_since > now() - make_interval(secs => $1)
             )
             order by a.used_at limit 1 for update of a skip locked
         )
         returning id, url, user_id",
    )
    .bind(LOADING_SECONDS)
    .fetch_optional(db)
    .await?)
}

/// Records the file with an image, or that there is none.
pub async fn finish(db: impl PgExecutor<'_>, avatar: &PendingAvatar, file: Option<FileId>) -> Result<()> {
    sqlx::query(
        "update webhook_avatars set file_id = coalesce(file_id, $2), loaded_at = clock_timestamp(), loading_since = null where id = $1",
    )
    .bind(avatar.id)
    .bind(file)
    .execute(db)
    .await?;
    Ok(())
}
