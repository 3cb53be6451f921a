//! Verifies that a request comes from Google, by the token in it.
//!
//! Tokens of Google have several forms, by the age and the configuration of the app: signed by the
//! service account of Google Chat for the number of the project, or by Google's identity service
//! for the URL of the webhook. The integration server fetches the public keys; the chat server, which
//! never calls other servers, reads them here.

use super::{BridgeAccount, GoogleChatSettings};
use crate::{Result, time::now};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header, jwk::JwkSet};
use serde::Deserialize;
use serde_json::Value;
use sqlx::{PgExecutor, PgPool, types::Json};
use std::time::Duration;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep},
};

/// The identity service of Google.
const GOOGLE_ISSUERS: [&str; 2] = ["https://accounts.google.com", "accounts.google.com"];

/// The service account of Google Chat.
const CHAT_ACCOUNT: &str = "chat@system.gserviceaccount.com";

/// The NOTIFY channel that announces that keys are to be fetched.
pub const CHANNEL: &str = "google_keys";

/// How often keys are fetched, in seconds.
const FETCH_SECONDS: f64 = 3600.0;

/// The time after which a fetch that failed is repeated, in seconds. It doubles with each further one.
const RETRY_SECONDS: f64 = 30.0;

/// How often a token with an unknown key can make the keys be fetched, in seconds.
const REQUEST_SECONDS: f64 = 60.0;

/// How long a token waits for keys that are being fetched.
const MAX_WAIT: Duration = Duration::from_secs(3);

/// Maximum number of tokens that wait for keys at once; others are refused. It bounds what tokens
/// with made-up keys cost.
static WAITING: Semaphore = Semaphore::const_new(4);

/// How long keys are kept after the last check of a bridge that needs them, in hours.
const NEEDED_HOURS: i32 = 48;

/// How much clocks may differ, in seconds.
const LEEWAY_SECONDS: u64 = 30;

/// The service account of an app whose webhook is that of a Workspace add-on.
fn add_on_account(settings: &GoogleChatSettings) -> String {
    format!("service-{}@gcp-sa-gsuiteaddons.iam.gserviceaccount.com", settings.project_number.as_str())
}

/// The issuers whose tokens a bridge accepts.
fn issuers_of(settings: &GoogleChatSettings) -> [String; 3] {
    [GOOGLE_ISSUERS[0].to_owned(), CHAT_ACCOUNT.to_owned(), add_on_account(settings)]
}

#[derive(Deserialize)]
struct Claims {
    #[serde(default)]
    email: Option<String>,
    #[serde(default)]
    email_verified: Option<Value>,
}

/// Whether a token proves that a request for a bridge comes from Google. `endpoint` is the public URL
/// of the webhook, if it is known: without it only tokens for the number of the project are accepted.
pub async fn is_from_google(db: &PgPool, account: &BridgeAccount, token: &str, endpoint: Option<&str>) -> Result<bool> {
    let Some(settings) = &account.settings.google_chat else { return Ok(false) };
    let Some((issuer, key_id)) = read_unverified(token) else { return Ok(false) };
    let keys_of = if GOOGLE_ISSUERS.contains(&issuer.as_str()) { GOOGLE_ISSUERS[0] } else { issuer.as_str() };
    if !issuers_of(settings).iter().any(|known| known == keys_of) {
        return Ok(false);
    }
    let audience = match issuer == CHAT_ACCOUNT {
        true => settings.project_number.as_str(),
        false => match endpoint {
            Some(endpoint) => endpoint,
            None => return Ok(false),
        },
    };
    let Some(key) = find_key(db, keys_of, &key_id).await? else { return Ok(false) };
    let mut validation = Validation::new(Algorithm::RS256);
    validation.set_audience(&[audience]);
    validation.set_issuer(&[&issuer]);
    validation.set_required_spec_claims(&["exp", "aud", "iss"]);
    validation.leeway = LEEWAY_SECONDS;
    validation.validate_nbf = true;
    let Ok(verified) = decode::<Claims>(token, &key, &validation) else { return Ok(false) };
    if keys_of != GOOGLE_ISSUERS[0] {
        return Ok(true);
    }
    // Everybody has tokens of the identity service: only these accounts speak for Google Chat, and
    // that of the app itself for its subscriptions.
    let Claims { email, email_verified } = verified.claims;
    let is_verified = matches!(email_verified, Some(Value::Bool(true))) || email_verified == Some("true".into());
    let add_on = add_on_account(settings);
    let senders = [CHAT_ACCOUNT, add_on.as_str(), settings.service_account.as_str()];
    Ok(is_verified && email.is_some_and(|email| senders.contains(&email.as_str())))
}

/// Reads the issuer and the id of the key, which are not verified yet.
fn read_unverified(token: &str) -> Option<(String, String)> {
    let header = decode_header(token).ok().filter(|header| header.alg == Algorithm::RS256)?;
    let payload = BASE64_URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let payload: Value = serde_json::from_slice(&payload).ok()?;
    Some((payload["iss"].as_str()?.to_owned(), header.kid?))
}

async fn find_key(db: &PgPool, issuer: &str, key_id: &str) -> Result<Option<DecodingKey>> {
    if let Some(key) = load_key(db, issuer, key_id).await? {
        return Ok(Some(key));
    }
    // The issuer may have a new key.
    let requested_at = now();
    let Ok(_permit) = WAITING.try_acquire() else { return Ok(None) };
    if !request_keys(db, issuer).await? {
        return Ok(None);
    }
    let deadline = Instant::now() + MAX_WAIT;
    while Instant::now() < deadline {
        sleep(Duration::from_millis(100)).await;
        let is_fetched: Option<bool> = sqlx::query_scalar("select fetched_at > $2 from google_keys where issuer = $1")
            .bind(issuer)
            .bind(requested_at)
            .fetch_optional(db)
            .await?
            .flatten();
        if is_fetched == Some(true) {
            break;
        }
    }
    load_key(db, issuer, key_id).await
}

async fn load_key(db: &PgPool, issuer: &str, key_id: &str) -> Result<Option<DecodingKey>> {
    let keys: Option<Option<Json<JwkSet>>> =
        sqlx::query_scalar("select keys from google_keys where issuer = $1").bind(issuer).fetch_optional(db).await?;
    let key = keys.flatten().and_then(|Json(keys)| DecodingKey::from_jwk(keys.find(key_id)?).ok());
    Ok(key)
}

/// Asks for the keys of an issuer to be fetched. Returns whether they are being fetched.
async fn request_keys(db: &PgPool, issuer: &str) -> Result<bool> {
    let requested = sqlx::query(
        "update google_keys set due_at = now(), requested_at = now()
         where issuer = $1 and (requested_at is null or requested_at < now() - make_interval(secs => $2))",
    )
    .bind(issuer)
    .bind(REQUEST_SECONDS)
    .execute(db)
    .await?;
    if requested.rows_affected() > 0 {
        sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(db).await?;
        return Ok(true);
    }
    // Another token has asked, and waits too.
    let sql = "select requested_at > coalesce(fetched_at, '-infinity') from google_keys where issuer = $1";
    let is_requested: Option<Option<bool>> = sqlx::query_scalar(sql).bind(issuer).fetch_optional(db).await?;
    Ok(is_requested.flatten() == Some(true))
}

/// Records that a bridge, whose account Google has accepted, needs the keys of its issuers.
pub async fn require_keys(db: &PgPool, settings: &GoogleChatSettings) -> Result<()> {
    sqlx::query(
        "insert into google_keys (issuer, needed_until)
         select issuer, now() + make_interval(hours => $2) from unnest($1::text[]) issuer
         on conflict (issuer) do update set needed_until = excluded.needed_until",
    )
    .bind(issuers_of(settings).as_slice())
    .bind(NEEDED_HOURS)
    .execute(db)
    .await?;
    sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(db).await?;
    Ok(())
}

/// Claims the issuers whose keys are to be fetched.
pub async fn claim_issuers(db: &PgPool) -> Result<Vec<String>> {
    Ok(sqlx::query_scalar(
        "with due as materialized (
             select issuer from google_keys where due_at <= now() and needed_until > now()
             order by due_at limit 8 for no key update skip locked
         )
         update google_keys k
         set failures = k.failures + 1,
             due_at = now() + make_interval(secs => least($2, $1 * power(2, least(k.failures, 10))))
         from due where k.issuer = due.issuer
         returning k.issuer",
    )
    .bind(RETRY_SECONDS)
    .bind(FETCH_SECONDS)
    .fetch_all(db)
    .await?)
}

/// The path, below `www.googleapis.com`, of the keys of an issuer.
pub fn keys_path(issuer: &str) -> String {
    match GOOGLE_ISSUERS.contains(&issuer) {
        true => "/oauth2/v3/certs".into(),
        false => format!("/service_accounts/v1/jwk/{issuer}"),
    }
}

/// Stores the keys of an issuer. Those that are no JSON Web Key Set are ignored.
pub async fn store_keys(db: impl PgExecutor<'_>, issuer: &str, keys: &str) -> Result<bool> {
    let Ok(keys) = serde_json::from_str::<JwkSet>(keys) else { return Ok(false) };
    sqlx::query(
        "update google_keys set keys = $2, fetched_at = clock_timestamp(), failures = 0,
             due_at = now() + make_interval(secs => $3)
         where issuer = $1",
    )
    .bind(issuer)
    .bind(Json(keys))
    .bind(FETCH_SECONDS)
    .execute(db)
    .await?;
    Ok(true)
}

/// Deletes the keys that no bridge needs.
pub async fn delete_unneeded(db: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query("delete from google_keys where needed_until < now()").execute(db).await?;
    Ok(())
}
