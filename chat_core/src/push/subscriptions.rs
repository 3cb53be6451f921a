//! The devices to which messages are pushed, and the key of this cluster.

use super::feed;
use crate::{
    Error, Result,
    auth::{Claims, sessions},
    outgoing::AllowedTargets,
    sealing::{Sealer, SecretLocation},
    values::DeviceToken,
};
use aws_lc_rs::{
    encoding::AsBigEndian,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair},
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// Maximum number of devices of one user. Another one replaces the oldest.
const MAX_SUBSCRIPTIONS: i64 = 20;

/// Length of the public key of a browser, an uncompressed point of P-256, and of its secret, in bytes.
const P256DH_BYTES: usize = 65;
const AUTH_BYTES: usize = 16;

/// The beginning of the endpoint of a device that runs a native app; its registration token follows.
pub const FCM_SCHEME: &str = "fcm:";

/// What a notification shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Preview {
    /// The sender, the chat and the beginning of the text.
    #[default]
    Full,
    /// The sender and the chat.
    Sender,
    /// Only that there is a message.
    None,
}

/// A subscription of a browser, as `PushSubscription.toJSON()` describes it.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NewSubscription {
    /// The URL at the push service.
    #[schemars(length(min = 1, max = 2000))]
    pub endpoint: String,
    /// The keys of the browser.
    pub keys: SubscriptionKeys,
    /// What a notification shows.
    #[serde(default)]
    pub preview: Preview,
}

/// A device that runs a native app.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewNativeSubscription {
    /// The registration token of the app at Firebase Cloud Messaging.
    pub token: DeviceToken,
    /// What a notification shows.
    #[serde(default)]
    pub preview: Preview,
}

/// The keys of a subscription, in base64url.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SubscriptionKeys {
    /// The public key: 65 bytes.
    #[schemars(length(min = 1, max = 100))]
    pub p256dh: String,
    /// The secret: 16 bytes.
    #[schemars(length(min = 1, max = 100))]
    pub auth: String,
}

/// A stored subscription, for the device itself.
#[derive(Debug, Serialize, JsonSchema, sqlx::FromRow)]
pub struct Subscription {
    /// What a notification shows.
    pub preview: Preview,
}

/// The replacement of a subscription by the browser itself. Only the browser and this server know the secret of the
/// old one.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct Renewal {
    /// The URL of the old subscription.
    #[schemars(length(min = 1, max = 2000))]
    pub endpoint: String,
    /// The secret of the old subscription: 16 bytes in base64url.
    #[schemars(length(min = 1, max = 100))]
    pub auth: String,
    /// The URL of the new subscription.
    #[schemars(length(min = 1, max = 2000))]
    pub new_endpoint: String,
    /// The keys of the new subscription.
    pub new_keys: SubscriptionKeys,
}

/// Replaces a subscription, for all accounts that share the browser. `NotFound` if it is not known.
pub async fn renew(db: &PgPool, allowed: &AllowedTargets, renewal: Renewal) -> Result<()> {
    allowed.parse_url(&renewal.new_endpoint).map_err(|detail| Error::invalid("new_endpoint", detail))?;
    let p256dh = decode("new_keys.p256dh", &renewal.new_keys.p256dh, P256DH_BYTES)?;
    let new_auth = decode("new_keys.auth", &renewal.new_keys.auth, AUTH_BYTES)?;
    let auth = decode("auth", &renewal.auth, AUTH_BYTES)?;
    let mut tx = db.begin().await?;
    let sessions: Vec<Uuid> = sqlx::query_scalar(
        "update push_subscriptions set endpoint = $3, p256dh = $4, auth = $5, failing_since = null, paused_until = null
         where endpoint = $1 and auth = $2 returning session_id",
    )
    .bind(&renewal.endpoint)
    .bind(auth)
    .bind(&renewal.new_endpoint)
    .bind(p256dh)
    .bind(new_auth)
    .fetch_all(&mut *tx)
    .await?;
    if sessions.is_empty() {
        return Err(Error::NotFound("subscription"));
    }
    retry_now(&mut tx, &sessions).await?;
    tx.commit().await?;
    Ok(())
}

/// Retries at once what failed with the old endpoint. An attempt that is under way ends first.
async fn retry_now(tx: &mut PgConnection, sessions: &[Uuid]) -> Result<()> {
    sqlx::query(
        "update push_notifications set due_at = now(), attempts = 0
         where session_id = any ($1) and attempts > 0 and (leased_until is null or leased_until <= now())",
    )
    .bind(sessions)
    .execute(tx)
    .await?;
    Ok(())
}

/// Stores the subscription of a device, instead of the one that it had.
pub async fn set(db: &PgPool, allowed: &AllowedTargets, caller: Claims, new: NewSubscription) -> Result<Subscription> {
    allowed.parse_url(&new.endpoint).map_err(|detail| Error::invalid("endpoint", detail))?;
    let p256dh = decode("keys.p256dh", &new.keys.p256dh, P256DH_BYTES)?;
    let auth = decode("keys.auth", &new.keys.auth, AUTH_BYTES)?;
    store(db, caller, Device { endpoint: new.endpoint, p256dh, auth, preview: new.preview }).await
}

/// Stores the subscription of a device that runs a native app, instead of the one that it had.
pub async fn set_native(db: &PgPool, caller: Claims, new: NewNativeSubscription) -> Result<Subscription> {
    let endpoint = format!("{FCM_SCHEME}{}", new.token.as_str());
    // An app has one account: the device of the account before shows nothing of it any more.
    sqlx::query("delete from push_subscriptions where endpoint = $1 and user_id <> $2")
        .bind(&endpoint)
        .bind(caller.user_id)
        .execute(db)
        .await?;
    store(db, caller, Device { endpoint, p256dh: Vec::new(), auth: Vec::new(), preview: new.preview }).await
}

/// A device to store. One of a native app has no keys.
struct Device {
    endpoint: String,
    p256dh: Vec<u8>,
    auth: Vec<u8>,
    preview: Preview,
}

async fn store(db: &PgPool, caller: Claims, new: Device) -> Result<Subscription> {
    let mut tx = db.begin().await?;
    sessions::lock_user(&mut tx, caller).await?;
    feed::start(&mut tx).await?;
    sqlx::query(
        "insert into push_subscriptions (session_id, user_id, endpoint, p256dh, auth, preview)
         values ($1, $2, $3, $4, $5, $6)
         on conflict (session_id) do update set
             endpoint = excluded.endpoint, p256dh = excluded.p256dh, auth = excluded.auth, preview = excluded.preview,
             failing_since = null, paused_until = null",
    )
    .bind(caller.session_id)
    .bind(caller.user_id)
    .bind(&new.endpoint)
    .bind(&new.p256dh)
    .bind(&new.auth)
    .bind(new.preview)
    .execute(&mut *tx)
    .await?;
    retry_now(&mut tx, &[caller.session_id]).await?;
    // A session that was lost on this device: one push is enough.
    sqlx::query("delete from push_subscriptions where user_id = $1 and endpoint = $2 and session_id <> $3")
        .bind(caller.user_id)
        .bind(&new.endpoint)
        .bind(caller.session_id)
        .execute(&mut *tx)
        .await?;
    sqlx::query(
        "delete from push_subscriptions where session_id in (
             select session_id from push_subscriptions where user_id = $1 order by created_at desc offset $2
         )",
    )
    .bind(caller.user_id)
    .bind(MAX_SUBSCRIPTIONS)
    .execute(&mut *tx)
    .await?;
    tx.commit().await?;
    Ok(Subscription { preview: new.preview })
}

fn decode(field: &'static str, text: &str, length: usize) -> Result<Vec<u8>> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok().filter(|bytes| bytes.len() == length);
    bytes.ok_or_else(|| Error::invalid(field, format!("must be {length} bytes in base64url")))
}

/// Returns the subscription of a device.
pub async fn get(db: impl PgExecutor<'_>, caller: Claims) -> Result<Subscription> {
    let found = sqlx::query_as("select preview from push_subscriptions where session_id = $1 and user_id = $2");
    let found = found.bind(caller.session_id).bind(caller.user_id).fetch_optional(db).await?;
    found.ok_or(Error::NotFound("subscription"))
}

/// Deletes the subscription of a device. Idempotent.
pub async fn delete(db: impl PgExecutor<'_>, session: Uuid) -> Result<()> {
    sqlx::query("delete from push_subscriptions where session_id = $1").bind(session).execute(db).await?;
    Ok(())
}

/// Deletes the subscriptions of sessions that have ended.
pub async fn delete_ended(db: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query(
        "delete from push_subscriptions p using sessions s
         where s.id = p.session_id and (s.revoked_at is not null or s.expires_at <= now())",
    )
    .execute(db)
    .await?;
    Ok(())
}

/// The key of this cluster.
#[derive(Debug, Clone)]
pub struct PushKey {
    /// The public key: an uncompressed point of P-256.
    pub public_key: Vec<u8>,
    /// The private key.
    pub private_key: Vec<u8>,
}

#[derive(sqlx::FromRow)]
struct KeyRow {
    id: i64,
    public_key: Vec<u8>,
    private_key: Vec<u8>,
}

fn location(id: i64) -> SecretLocation {
    SecretLocation { table: "push_keys", row: id }
}

/// Loads the key of this cluster. The first caller creates it.
pub async fn load_key(db: &PgPool, sealer: &Sealer) -> Result<PushKey> {
    let load = || sqlx::query_as::<_, KeyRow>("select id, public_key, private_key from push_keys").fetch_optional(db);
    let row = match load().await? {
        Some(row) => row,
        None => {
            create_key(db, sealer).await?;
            load().await?.ok_or_else(|| Error::internal("the key for pushes was deleted"))?
        }
    };
    let private_key = sealer.open(location(row.id), &row.private_key)?;
    Ok(PushKey { public_key: row.public_key, private_key })
}

async fn create_key(db: &PgPool, sealer: &Sealer) -> Result<()> {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).map_err(Error::internal)?;
    let private_key = pair.private_key().as_be_bytes().map_err(Error::internal)?;
    let id: i64 = sqlx::query_scalar("select nextval(pg_get_serial_sequence('push_keys', 'id'))").fetch_one(db).await?;
    // Another process may be faster.
    sqlx::query(
        "insert into push_keys (id, public_key, private_key) overriding system value values ($1, $2, $3)
         on conflict do nothing",
    )
    .bind(id)
    .bind(pair.public_key().as_ref())
    .bind(sealer.seal(location(id), private_key.as_ref())?)
    .execute(db)
    .await?;
    Ok(())
}
