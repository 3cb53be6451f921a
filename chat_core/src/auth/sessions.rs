//! Sessions: one per signed-in device, kept alive by single-use refresh tokens. A
//! device that sends a nonce with a refresh can retry it until it has received the
//! response.

use super::{Audience, Claims, Signer, hash_secret, new_secret, next_secret, token::ACCESS_SECONDS};
use crate::{
    Error, Result, Time, UserId,
    audit::{Action, Client, NewEntry},
    bridges, events, mail,
    operators::AccountState,
    time::now,
    users,
    values::RefreshNonce,
    webhook_endpoints,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::collections::HashSet;
use uuid::Uuid;

/// Lifetime of a session without a refresh, in seconds.
pub const SESSION_SECONDS: i64 = 30 * 24 * 3600;

/// How long a device is known after its last sign-in or refresh, in seconds.
pub const DEVICE_SECONDS: i64 = 365 * 24 * 3600;

/// Maximum number of expired sessions that are ended in one transaction.
const EXPIRE_BATCH: i64 = 500;

/// The tokens of a signed-in device.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Tokens {
    /// The access token, for `Authorization: Bearer`.
    pub token: String,
    /// A single-use token to exchange for the next pair of tokens.
    pub refresh_token: String,
    /// Lifetime of the access token, in seconds.
    pub expires_in: i64,
}

/// A session with newly issued tokens.
#[derive(Debug)]
pub struct AuthenticatedSession {
    /// The user and the session.
    pub claims: Claims,
    /// The tokens for the response body.
    pub tokens: Tokens,
    /// The token for the stream cookie; valid for event streams only.
    pub stream_token: String,
    /// The token for the device cookie; proves only that the user has signed in.
    pub device_token: String,
}

/// A signed-in device, as its owner sees it.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct Session {
    /// The id.
    pub id: Uuid,
    /// The `User-Agent` that the device sent when it signed in.
    pub user_agent: String,
    /// When the device signed in.
    pub created_at: Time,
    /// When the device last received tokens.
    pub used_at: Time,
    /// When the session expires unless it is refreshed.
    pub expires_at: Time,
    /// Whether this is the session that sent the request.
    pub current: bool,
}

/// Opens a session for an authenticated user whose account is active, and writes the
/// action into the audit log.
pub async fn open(
    db: &PgPool,
    signer: &Signer,
    user_id: UserId,
    action: Action,
    client: &Client,
) -> Result<AuthenticatedSession> {
    let mut tx = db.begin().await?;
    let session = open_in(&mut tx, signer, user_id, action, client).await?;
    tx.commit().await?;
    Ok(session)
}

/// Does what [`open`] does, as a part of a transaction.
pub async fn open_in(
    tx: &mut PgConnection,
    signer: &Signer,
    user_id: UserId,
    action: Action,
    client: &Client,
) -> Result<AuthenticatedSession> {
    let claims = Claims { user_id, session_id: Uuid::new_v4() };
    // Mail is written in the language of the last sign-in.
    sqlx::query("update users set language = $2 where id = $1 and language <> $2")
        .bind(user_id)
        .bind(client.language)
        .execute(&mut *tx)
        .await?;
    // Locked, so that a suspension sees the session or prevents it.
    let state = sqlx::query_scalar("select state from users where id = $1 and deleted_at is null for share")
        .bind(user_id)
        .fetch_optional(&mut *tx)
        .await?;
    match state {
        Some(AccountState::Active) => {}
        Some(AccountState::Pending) => return Err(PENDING),
        Some(AccountState::Suspended) => return Err(SUSPENDED),
        None => return Err(Error::NotFound("user")),
    }
    sqlx::query(
        "insert into sessions (id, user_id, user_agent, expires_at)
         values ($1, $2, left($3, 250), now() + make_interval(secs => $4))",
    )
    .bind(claims.session_id)
    .bind(user_id)
    .bind(&client.user_agent)
    .bind(SESSION_SECONDS as f64)
    .execute(&mut *tx)
    .await?;
    NewEntry::new(action).with_actor(user_id).with_client(client).write(&mut *tx).await?;
    let (refresh_token, hash) = new_secret();
    insert_refresh_token(tx, claims, &hash).await?;
    issue_tokens(signer, claims, refresh_token)
}

/// Exchanges a refresh token for the next pair. Reuse of a token revokes the session,
/// because one of the two users of the token has a stolen copy. Exception: a retry
/// with the same nonce returns the same pair again until that pair is used, because
/// the first response may have been lost.
pub async fn refresh(
    db: &PgPool,
    signer: &Signer,
    refresh_token: &str,
    nonce: Option<&RefreshNonce>,
) -> Result<AuthenticatedSession> {
    let (next, next_hash) = nonce.map_or_else(new_secret, |nonce| next_secret(refresh_token, nonce.as_str()));
    let mut tx = db.begin().await?;
    let found: Option<(Uuid, UserId, bool, bool)> = sqlx::query_as(
        "select s.id, s.user_id, t.used_at is not null, s.revoked_at is not null or s.expires_at < now()
         from refresh_tokens t join sessions s on s.id = t.session_id
         where t.hash = $1 and not exists (select from api_tokens a where a.session_id = s.id)
         for update",
    )
    .bind(hash_secret(refresh_token))
    .fetch_optional(&mut *tx)
    .await?;
    let Some((session_id, user_id, is_used, is_ended)) = found else {
        return Err(Error::Unauthorized { code: "token_invalid", detail: "this refresh token is not valid" });
    };
    let claims = Claims { user_id, session_id };
    let is_retry = is_used && is_unused(&mut tx, claims, &next_hash).await?;
    if is_ended || (is_used && !is_retry) {
        // In a separate transaction: `revoke` takes the append lock first.
        tx.rollback().await?;
        revoke(db, claims).await?;
        return Err(REVOKED);
    }
    if !is_retry {
        sqlx::query("update refresh_tokens set used_at = now() where hash = $1")
            .bind(hash_secret(refresh_token))
            .execute(&mut *tx)
            .await?;
        insert_refresh_token(&mut tx, claims, &next_hash).await?;
    }
    sqlx::query("update sessions set used_at = now(), expires_at = now() + make_interval(secs => $2) where id = $1")
        .bind(session_id)
        .bind(SESSION_SECONDS as f64)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    issue_tokens(signer, claims, next)
}

/// Locks the user of a session for a change that outlives the session, such as a new API token. Rejects a
/// session that was revoked since the request began: whoever revoked it expects no such change later.
pub(crate) async fn lock_user(db: &mut PgConnection, claims: Claims) -> Result<()> {
    users::lock_active(db, claims.user_id).await?;
    match find_active(&mut *db, &[claims]).await?.is_empty() {
        true => Err(REVOKED),
        false => Ok(()),
    }
}

/// Revokes a session and closes every stream that it opened.
pub async fn revoke(db: &PgPool, Claims { user_id, session_id }: Claims) -> Result<()> {
    let mut log = events::begin(db, user_id).await?;
    sqlx::query("update sessions set revoked_at = now() where id = $1 and revoked_at is null")
        .bind(session_id)
        .execute(&mut *log)
        .await?;
    log.commit().await?;
    Ok(())
}

/// Revokes one of a user's sessions by its id.
pub async fn revoke_one(db: &PgPool, user: UserId, session: Uuid) -> Result<()> {
    let sql = "select exists (
                   select from sessions s where s.id = $1 and s.user_id = $2
                     and not exists (select from api_tokens t where t.session_id = s.id)
               )";
    let is_theirs: bool = sqlx::query_scalar(sql).bind(session).bind(user).fetch_one(db).await?;
    if !is_theirs {
        return Err(Error::NotFound("session"));
    }
    revoke(db, Claims { user_id: user, session_id: session }).await
}

/// Revokes all sessions of a user and of the user's bots except the current one, API tokens
/// included, disables their endpoints of webhooks and their bridges, and returns the ids of the sessions.
pub async fn revoke_others(log: &mut PgConnection, claims: Claims) -> Result<Vec<Uuid>> {
    lock_user_row(log, claims.user_id).await?;
    let sql = "update sessions set revoked_at = now()
               where (user_id = $1 or user_id in (select id from users where owner_id = $1))
                 and id <> $2 and revoked_at is null
               returning id";
    let revoked = sqlx::query_scalar(sql).bind(claims.user_id).bind(claims.session_id).fetch_all(&mut *log).await?;
    disable_integrations(log, claims.user_id).await?;
    Ok(revoked)
}

/// Revokes all sessions of a user and of the user's bots, API tokens included, and disables their
/// endpoints of webhooks and their bridges.
pub(crate) async fn revoke_all(log: &mut PgConnection, user: UserId) -> Result<()> {
    lock_user_row(log, user).await?;
    sqlx::query(
        "update sessions set revoked_at = now()
         where (user_id = $1 or user_id in (select id from users where owner_id = $1)) and revoked_at is null",
    )
    .bind(user)
    .execute(&mut *log)
    .await?;
    disable_integrations(log, user).await
}

/// Waits for requests that hold `lock_user`, so that what they create is revoked or disabled too.
async fn lock_user_row(log: &mut PgConnection, user: UserId) -> Result<()> {
    sqlx::query("select from users where id = $1 for no key update").bind(user).execute(log).await?;
    Ok(())
}

/// Disables what sends the user's chats to other servers, the codes that programs have not
/// exchanged, and links in mails that change the account: the sessions may have ended because somebody else had access.
async fn disable_integrations(log: &mut PgConnection, user: UserId) -> Result<()> {
    sqlx::query("delete from oauth_codes where user_id = $1").bind(user).execute(&mut *log).await?;
    mail::links::revoke_of_user(log, user).await?;
    webhook_endpoints::disable_all(log, user).await?;
    bridges::disable_all(log, user).await
}

/// Marks sessions that have expired as revoked, which ends their streams.
pub async fn revoke_expired(db: &PgPool) -> Result<()> {
    // Found without the append lock.
    let expired: Vec<Uuid> = sqlx::query_scalar(
        "select id from sessions where revoked_at is null and expires_at < now() order by expires_at limit $1",
    )
    .bind(EXPIRE_BATCH)
    .fetch_all(db)
    .await?;
    if expired.is_empty() {
        return Ok(());
    }
    let mut log = db.begin().await?;
    sqlx::query("select append_lock()").execute(&mut *log).await?;
    sqlx::query(
        "update sessions set revoked_at = now() where id = any($1) and revoked_at is null and expires_at < now()",
    )
    .bind(expired)
    .execute(&mut *log)
    .await?;
    log.commit().await?;
    Ok(())
}

/// Lists a user's signed-in devices: the current one, then the most recently used first.
pub async fn list(db: &PgPool, claims: Claims) -> Result<Vec<Session>> {
    Ok(sqlx::query_as(
        "select id, user_agent, created_at, used_at, expires_at, id = $2 as current
         from sessions
         where user_id = $1 and revoked_at is null and expires_at > now()
           and not exists (select from api_tokens t where t.session_id = sessions.id)
         order by id = $2 desc, used_at desc, id limit 100",
    )
    .bind(claims.user_id)
    .bind(claims.session_id)
    .fetch_all(db)
    .await?)
}

/// Returns those of the given sessions that are active and belong to their user.
pub async fn find_active(db: impl PgExecutor<'_>, sessions: &[Claims]) -> Result<HashSet<Uuid>> {
    let active: Vec<Uuid> = sqlx::query_scalar(
        "select s.id from unnest($1::uuid[], $2::bigint[]) claimed (id, user_id)
         join sessions s on s.id = claimed.id and s.user_id = claimed.user_id
         where s.revoked_at is null and s.expires_at > now()",
    )
    .bind(sessions.iter().map(|claims| claims.session_id).collect::<Vec<_>>())
    .bind(sessions.iter().map(|claims| claims.user_id).collect::<Vec<_>>())
    .fetch_all(db)
    .await?;
    Ok(active.into_iter().collect())
}

/// The account waits for the approval of an operator.
pub const PENDING: Error = Error::Inactive {
    code: "account_pending",
    detail: "an operator of this server has to approve your account first; then you can sign in",
};

/// The account is suspended.
const SUSPENDED: Error =
    Error::Inactive { code: "account_suspended", detail: "an operator of this server has suspended your account" };

/// The session of the token was revoked or has expired.
pub const REVOKED: Error =
    Error::Unauthorized { code: "session_revoked", detail: "this session has ended; sign in again" };

/// Stores the hash of a refresh token.
pub(crate) async fn insert_refresh_token(db: &mut PgConnection, claims: Claims, hash: &[u8]) -> Result<()> {
    sqlx::query("insert into refresh_tokens (hash, session_id) values ($1, $2)")
        .bind(hash)
        .bind(claims.session_id)
        .execute(db)
        .await?;
    Ok(())
}

/// Whether this refresh token of the session was issued and is unused.
async fn is_unused(db: &mut PgConnection, claims: Claims, hash: &[u8]) -> Result<bool> {
    let sql = "select exists (select from refresh_tokens where hash = $1 and session_id = $2 and used_at is null)";
    Ok(sqlx::query_scalar(sql).bind(hash).bind(claims.session_id).fetch_one(db).await?)
}

fn issue_tokens(signer: &Signer, claims: Claims, refresh_token: String) -> Result<AuthenticatedSession> {
    let now = now();
    Ok(AuthenticatedSession {
        claims,
        tokens: Tokens {
            token: signer.sign(claims, Audience::Api, now, ACCESS_SECONDS)?,
            refresh_token,
            expires_in: ACCESS_SECONDS,
        },
        stream_token: signer.sign(claims, Audience::Stream, now, SESSION_SECONDS)?,
        device_token: signer.sign(claims, Audience::Device, now, DEVICE_SECONDS)?,
    })
}
