//! What other networks sent: webhooks, stored as they arrived before they are acknowledged, and
//! processed afterwards, in order.

use super::{BridgeAccount, load_bridge_accounts};
use crate::{BridgeId, Error, Result, hub_signature, sealing::Sealer};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::time::{Duration, Instant};

/// The NOTIFY channel that announces new webhooks, and bridges whose account is to be checked.
pub const CHANNEL: &str = "bridge_inbox";

/// How long a process owns the inbox of a bridge. Longer than processing a batch takes.
pub const LEASE: Duration = Duration::from_secs(120);

/// Maximum number of webhooks that are processed in one batch.
pub const BATCH: i64 = 50;

/// Maximum number of webhooks of one bridge that wait.
const MAX_WAITING: i64 = 10_000;

/// Maximum size of all webhooks of one bridge that wait, in bytes.
const MAX_WAITING_BYTES: i64 = 64 * 1024 * 1024;

/// How long the hashes of processed webhooks are kept, in days. WhatsApp repeats a webhook for seven days;
/// a space is read again up to the last read, which is older only if reads have failed.
const KEPT_DAYS: i32 = 8;

/// Maximum number of webhooks that one statement deletes.
const DELETED_AT_ONCE: i64 = 5_000;

/// Maximum time that one run deletes webhooks; the next run continues.
const DELETE_TIME_BUDGET: Duration = Duration::from_secs(20);

/// Loads the account of a bridge, to verify a webhook. `None` if there is none.
pub async fn find_account(db: impl PgExecutor<'_>, id: BridgeId) -> Result<Option<BridgeAccount>> {
    Ok(load_bridge_accounts(db, &[id]).await?.pop())
}

/// Whether a token is the one with which the network verifies the webhook of a bridge.
pub fn is_verify_token(account: &BridgeAccount, sealer: &Sealer, token: &str) -> Result<bool> {
    let secrets = account.open_secrets(sealer)?;
    let secrets = secrets.whatsapp()?;
    // Hashed, so that the time does not depend on how much of it is right.
    Ok(Sha256::digest(secrets.verify_token.as_bytes()) == Sha256::digest(token.as_bytes()))
}

/// Whether a token is the secret part of the URL of the webhook of a bridge to Google Chat.
pub fn is_webhook_token(account: &BridgeAccount, sealer: &Sealer, token: &str) -> Result<bool> {
    let secrets = account.open_secrets(sealer)?;
    let expected = secrets.google_chat()?.webhook_token.as_bytes();
    // Hashed, so that the time does not depend on how much of it is right.
    Ok(Sha256::digest(expected) == Sha256::digest(token.as_bytes()))
}

/// Whether the signature of a webhook is that of the app, over the bytes that arrived.
pub fn is_signed(account: &BridgeAccount, sealer: &Sealer, signature: &str, body: &[u8]) -> Result<bool> {
    let secrets = account.open_secrets(sealer)?;
    Ok(hub_signature::is_valid(secrets.whatsapp()?.app_secret.as_str().as_bytes(), signature, body))
}

/// Stores a webhook. One that has arrived before is ignored.
pub async fn receive(db: &PgPool, bridge: BridgeId, body: &[u8]) -> Result<()> {
    let mut tx = db.begin().await?;
    lock_with_room(&mut tx, bridge).await?;
    if insert(&mut tx, bridge, None, Sha256::digest(body).as_slice(), body).await? {
        set_due(&mut tx, bridge).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Locks a bridge, so that webhooks at once cannot exceed its limit. Fails if too many wait.
pub(super) async fn lock_with_room(tx: &mut PgConnection, bridge: BridgeId) -> Result<()> {
    let is_disabled: Option<bool> =
        sqlx::query_scalar("select state = 'disabled' from bridges where id = $1 for no key update")
            .bind(bridge)
            .fetch_optional(&mut *tx)
            .await?;
    match is_disabled {
        None => return Err(Error::NotFound("bridge")),
        // The network repeats it later.
        Some(true) => return Err(Error::Unavailable("this bridge is disabled".into())),
        Some(false) => {}
    }
    let (count, bytes): (i64, i64) = sqlx::query_as(
        "select count(*), coalesce(sum(octet_length(body)), 0)::bigint from (
             select body from bridge_inbox where bridge_id = $1 and done_at is null limit $2
         ) i",
    )
    .bind(bridge)
    .bind(MAX_WAITING)
    .fetch_one(&mut *tx)
    .await?;
    if count >= MAX_WAITING || bytes >= MAX_WAITING_BYTES {
        return Err(Error::Unavailable("too many webhooks of this bridge wait".into()));
    }
    Ok(())
}

/// Stores what arrived, unless the same has arrived before. Returns whether it is new.
/// `key` is the space that it is about.
pub(super) async fn insert(
    tx: &mut PgConnection,
    bridge: BridgeId,
    key: Option<&str>,
    hash: &[u8],
    body: &[u8],
) -> Result<bool> {
    let inserted = sqlx::query(
        "insert into bridge_inbox (bridge_id, key, hash, body) values ($1, $2, $3, $4) on conflict do nothing",
    )
    .bind(bridge)
    .bind(key)
    .bind(hash)
    .bind(body)
    .execute(tx)
    .await?;
    Ok(inserted.rows_affected() > 0)
}

/// Makes the inbox due at once, although something of another remote user may wait for its next attempt.
pub(super) async fn set_due(tx: &mut PgConnection, bridge: BridgeId) -> Result<()> {
    sqlx::query("update bridges set inbox_due_at = now() where id = $1").bind(bridge).execute(&mut *tx).await?;
    super::notify_worker(tx).await
}

/// The right to process the inbox of a bridge, for a while.
#[derive(Debug)]
pub struct InboxLease {
    /// The bridge.
    pub account: BridgeAccount,
    until: DateTime<Utc>,
}

/// Claims the inbox of a bridge in which something is due. `None` if there is none.
pub async fn claim(db: &PgPool) -> Result<Option<InboxLease>> {
    let claimed: Option<(BridgeId, DateTime<Utc>)> = sqlx::query_as(
        "with due as materialized (
             select b.id from bridges b join users u on u.id = b.owner_id and u.state = 'active'
             where b.inbox_due_at <= now() and (b.inbox_leased_until is null or b.inbox_leased_until < now())
               and b.state <> 'disabled'
               -- One inbox of each owner at a time.
               and not exists (
                   select from bridges o where o.owner_id = b.owner_id and o.id <> b.id and o.inbox_leased_until > now()
               )
             order by b.inbox_due_at limit 1 for no key update of b skip locked
         )
         update bridges b set inbox_leased_until = now() + make_interval(secs => $1)
         from due where b.id = due.id returning b.id, b.inbox_leased_until",
    )
    .bind(LEASE.as_secs_f64())
    .fetch_optional(db)
    .await?;
    let Some((id, until)) = claimed else { return Ok(None) };
    let account = find_account(db, id).await?;
    Ok(account.map(|account| InboxLease { account, until }))
}

/// A webhook that waits.
#[derive(Debug, sqlx::FromRow)]
pub struct WaitingWebhook {
    /// The number, which increases in the order of arrival.
    pub id: i64,
    /// The body as it arrived.
    pub body: Vec<u8>,
    /// Earlier attempts.
    pub attempts: i16,
    /// How long ago it arrived, in seconds.
    pub age_seconds: f64,
}

/// Loads the oldest webhooks that wait, except those of spaces of which one is to be processed again later.
pub async fn load_waiting(db: impl PgExecutor<'_>, lease: &InboxLease) -> Result<Vec<WaitingWebhook>> {
    let sql = "select i.id, i.body, i.attempts, extract(epoch from now() - i.received_at)::float8 as age_seconds
               from bridge_inbox i
               where i.bridge_id = $1 and i.done_at is null and (i.key is null or not exists (
                   select from bridge_inbox e
                   where e.bridge_id = $1 and e.key = i.key and e.done_at is null and e.retry_at > now()
               ))
               order by i.id limit $2";
    Ok(sqlx::query_as(sql).bind(lease.account.id).bind(BATCH).fetch_all(db).await?)
}

/// What became of a webhook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// Everything in it was processed, except what an error describes.
    Done(Option<String>),
    /// It is to be processed again, because of this error.
    Retry(String),
}

/// Records what became of the webhooks of a batch, and releases the inbox.
pub async fn finish(
    db: &PgPool,
    lease: InboxLease,
    webhooks: &[WaitingWebhook],
    results: &[(i64, WebhookOutcome)],
) -> Result<()> {
    let attempts_of = |id| webhooks.iter().find(|webhook| webhook.id == id).map_or(0, |webhook| webhook.attempts);
    let mut pause: Option<Duration> = None;
    // Most need nothing more, and are recorded in one statement.
    let (done, others): (Vec<_>, Vec<_>) =
        results.iter().partition(|(_, processed)| *processed == WebhookOutcome::Done(None));
    sqlx::query(
        "update bridge_inbox
         set attempts = attempts + 1, error = null, done_at = now(), body = null, retry_at = null
         where id = any($1) and done_at is null",
    )
    .bind(done.iter().map(|(id, _)| *id).collect::<Vec<_>>())
    .execute(db)
    .await?;
    for (id, processed) in others {
        let (is_done, error, retry) = match processed {
            WebhookOutcome::Done(error) => (true, error.as_deref(), None),
            WebhookOutcome::Retry(error) => {
                let attempts = attempts_of(*id).clamp(0, 5);
                let longer = Duration::from_secs(2 << attempts);
                pause = Some(pause.map_or(longer, |pause| pause.min(longer)));
                (false, Some(error.as_str()), Some(longer))
            }
        };
        // The body contains personal data, and is not needed any more.
        sqlx::query(
            "update bridge_inbox
             set attempts = least(attempts + 1, 1000), error = left($3, 500), done_at = case when $2 then now() end,
                 body = case when $2 then null else body end,
                 retry_at = clock_timestamp() + make_interval(secs => $4)
             where id = $1 and done_at is null",
        )
        .bind(id)
        .bind(is_done)
        .bind(error)
        .bind(retry.map(|retry| retry.as_secs_f64()))
        .execute(db)
        .await?;
    }
    release(db, lease.account.id, lease.until, pause).await
}

async fn release(db: &PgPool, bridge: BridgeId, until: DateTime<Utc>, pause: Option<Duration>) -> Result<()> {
    let mut tx = db.begin().await?;
    // `receive` locks it too, so the next statement sees every webhook that it has stored.
    sqlx::query("select from bridges where id = $1 for no key update").bind(bridge).execute(&mut *tx).await?;
    sqlx::query(
        "update bridges b set inbox_leased_until = null, inbox_due_at = case
             -- What follows from another space than one that waits.
             when exists (
                 select from bridge_inbox i
                 where i.bridge_id = b.id and i.done_at is null and i.key is not null and not exists (
                     select from bridge_inbox e where e.bridge_id = b.id and e.key = i.key and e.done_at is null
                       and e.retry_at > clock_timestamp()
                 )
             ) then clock_timestamp()
             when not exists (select from bridge_inbox i where i.bridge_id = b.id and i.done_at is null) then null
             when $3::float8 is not null then clock_timestamp() + make_interval(secs => $3)
             -- Only what waits for its next attempt is left, or what a webhook without a space brought.
             else coalesce(
                 (select min(e.retry_at) from bridge_inbox e
                  where e.bridge_id = b.id and e.done_at is null and e.retry_at > clock_timestamp()
                    and not exists (
                        select from bridge_inbox i where i.bridge_id = b.id and i.done_at is null and i.key is null
                    )),
                 clock_timestamp())
             end
         where id = $1 and inbox_leased_until = $2",
    )
    .bind(bridge)
    .bind(until)
    .bind(pause.map(|pause| pause.as_secs_f64()))
    .execute(&mut *tx)
    .await?;
    // The next batch, or another bridge of the owner, need not wait until somebody looks again.
    super::notify_worker(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Deletes webhooks that were processed some time ago, and returns how many.
pub(crate) async fn delete_old(db: &mut PgConnection) -> Result<u64> {
    let (started_at, mut total) = (Instant::now(), 0);
    while started_at.elapsed() < DELETE_TIME_BUDGET {
        let deleted = sqlx::query(
            "delete from bridge_inbox where id in (
                 select id from bridge_inbox where done_at < now() - make_interval(days => $1) limit $2
             )",
        )
        .bind(KEPT_DAYS)
        .bind(DELETED_AT_ONCE)
        .execute(&mut *db)
        .await?
        .rows_affected();
        total += deleted;
        if deleted < DELETED_AT_ONCE as u64 {
            break;
        }
    }
    Ok(total)
}
