//! Exchanges codes for tokens, refreshes tokens and revokes them, as RFC 6749 and RFC 7009 describe.

use super::AuthorizationServer;
use crate::{
    ChatId, Error, Result, UserId,
    audit::{Action, Client, NewEntry},
    auth::{
        Audience, Claims, Signer, Verifier,
        api_tokens::{self, NewTokenRow, TokenId, TokenSource},
        hash_secret, new_secret, sessions,
        token::ACCESS_SECONDS,
    },
    cluster_key::ClusterKey,
    time::now,
    users,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::Serialize;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use uuid::Uuid;

/// How long a refresh token can be sent again, in seconds, while its successor is not used: the response
/// may have been lost, or two requests sent at once. It has the same successor each time.
const OVERLAP_SECONDS: f64 = 30.0;

/// Maximum number of grants of one user to one program, such as one per device. Another one replaces the
/// oldest.
const MAX_GRANTS: i64 = 5;

/// Maximum number of parameters of a request.
const MAX_FIELDS: usize = 20;

/// The context in which the successor of a refresh token is derived.
const SUCCESSOR: &str = "oauth refresh token";

/// The tokens of a program.
#[derive(Debug, Serialize)]
pub struct ProgramTokens {
    access_token: String,
    token_type: &'static str,
    expires_in: i64,
    refresh_token: String,
    scope: String,
}

/// Why a program gets no tokens.
#[derive(Debug)]
pub enum TokenError {
    /// The program made a mistake: the code of RFC 6749, and a description.
    Refused(&'static str, &'static str),
    /// Another error.
    Failed(Error),
}

impl<E: Into<Error>> From<E> for TokenError {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

const INVALID_CODE: TokenError = TokenError::Refused("invalid_grant", "the code is not valid for this request");
const INVALID_REFRESH_TOKEN: TokenError =
    TokenError::Refused("invalid_grant", "the refresh token is not valid; ask the user again");

/// The parameters of a request to the token endpoint, from a form.
#[derive(Debug, Default)]
pub struct TokenRequest {
    fields: Vec<(String, String)>,
}

impl TokenRequest {
    /// Reads the fields of a form. None may occur twice.
    pub fn new(fields: impl IntoIterator<Item = (String, String)>) -> Result<Self, TokenError> {
        let mut request = Self::default();
        for (name, value) in fields {
            if request.fields.len() == MAX_FIELDS {
                return Err(TokenError::Refused("invalid_request", "too many parameters"));
            }
            if request.find(&name).is_some() {
                return Err(TokenError::Refused("invalid_request", "a parameter occurs twice"));
            }
            request.fields.push((name, value));
        }
        Ok(request)
    }

    fn find(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(one, _)| one == name).map(|(_, value)| value.as_str())
    }

    fn get(&self, name: &str) -> Result<&str, TokenError> {
        self.find(name).ok_or(TokenError::Refused("invalid_request", "a required parameter is missing"))
    }

    /// Returns the refresh token, which limits how often it can be sent.
    pub fn refresh_token(&self) -> Option<&str> {
        self.find("refresh_token")
    }

    /// Checks the audience. A program that names none gets the only one there is.
    fn check_resource(&self, server: &AuthorizationServer) -> Result<(), TokenError> {
        match self.find("resource") {
            Some(resource) if !server.is_resource(resource) => {
                Err(TokenError::Refused("invalid_target", "resource must be the URL of the MCP server"))
            }
            _ => Ok(()),
        }
    }
}

/// Issues tokens for a code or a refresh token.
pub async fn issue(
    db: &PgPool,
    signer: &Signer,
    key: &ClusterKey,
    server: &AuthorizationServer,
    client: &Client,
    request: &TokenRequest,
) -> Result<ProgramTokens, TokenError> {
    let grant_type = request.get("grant_type")?;
    request.check_resource(server)?;
    match grant_type {
        "authorization_code" => exchange(db, signer, client, request).await,
        "refresh_token" => refresh(db, signer, key, client, request).await,
        _ => Err(TokenError::Refused("unsupported_grant_type", "use authorization_code or refresh_token")),
    }
}

#[derive(sqlx::FromRow)]
struct CodeRow {
    user_id: UserId,
    client_id: String,
    client_name: String,
    redirect_uri: String,
    code_challenge: String,
    scopes: Vec<String>,
    chat_ids: Option<Vec<ChatId>>,
    write_chat_ids: Option<Vec<ChatId>>,
    is_expired: bool,
    session_id: Option<Uuid>,
    is_revoked: bool,
}

/// Exchanges a code. A code that comes twice was stolen: what it was exchanged for is revoked.
async fn exchange(
    db: &PgPool,
    signer: &Signer,
    client: &Client,
    request: &TokenRequest,
) -> Result<ProgramTokens, TokenError> {
    let hash = hash_secret(request.get("code")?);
    let (client_id, verifier) = (request.get("client_id")?, request.get("code_verifier")?);
    let user: Option<UserId> =
        sqlx::query_scalar("select user_id from oauth_codes where hash = $1").bind(&hash).fetch_optional(db).await?;
    let mut tx = db.begin().await?;
    // The user first, as whoever revokes all sessions does.
    users::lock_active(&mut tx, user.ok_or(INVALID_CODE)?).await.map_err(|error| match error {
        Error::NotFound(_) => INVALID_CODE,
        error => error.into(),
    })?;
    let code: Option<CodeRow> = sqlx::query_as(
        "select c.user_id, c.client_id, c.client_name, c.redirect_uri, c.code_challenge, c.scopes, c.chat_ids,
                c.write_chat_ids, c.expires_at <= now() as is_expired, c.session_id,
                exists (select from sessions s where s.id = c.session_id and s.revoked_at is not null) as is_revoked
         from oauth_codes c where c.hash = $1 for update of c",
    )
    .bind(&hash)
    .fetch_optional(&mut *tx)
    .await?;
    let code = code.filter(|code| code.client_id == client_id && !code.is_revoked).ok_or(INVALID_CODE)?;
    if let Some(session_id) = code.session_id {
        // In a separate transaction: `revoke` takes the append lock first.
        tx.rollback().await?;
        api_tokens::revoke(db, code.user_id, client, TokenId::from(session_id)).await?;
        return Err(INVALID_CODE);
    }
    // OAuth 2.1 has no `redirect_uri` here; older clients send it.
    let has_other_uri = request.find("redirect_uri").is_some_and(|uri| uri != code.redirect_uri);
    if code.is_expired || has_other_uri || !is_verifier_of(verifier, &code.code_challenge) {
        return Err(INVALID_CODE);
    }
    api_tokens::require_token_quota(&mut tx, code.user_id).await.map_err(|error| match error {
        Error::Conflict { detail, .. } => TokenError::Refused("invalid_grant", detail),
        error => error.into(),
    })?;
    let claims = Claims { user_id: code.user_id, session_id: Uuid::new_v4() };
    let row = NewTokenRow {
        claims,
        name: &code.client_name,
        source: TokenSource::Program { client_id },
        lifetime_seconds: Some(sessions::SESSION_SECONDS as f64),
        scopes: &code.scopes,
        chat_ids: code.chat_ids.as_deref(),
        write_chat_ids: code.write_chat_ids.as_deref(),
    };
    row.insert(&mut tx).await?;
    sqlx::query("update oauth_codes set session_id = $2 where hash = $1")
        .bind(hash)
        .bind(claims.session_id)
        .execute(&mut *tx)
        .await?;
    let entry = NewEntry::new(Action::TokenCreated).with_actor(code.user_id).with_client(client);
    entry.with_detail(&code.client_name).write(&mut *tx).await?;
    let (refresh_token, _) = new_secret();
    sessions::insert_refresh_token(&mut tx, claims, &hash_refresh_token(&refresh_token)).await?;
    tx.commit().await?;
    api_tokens::revoke_old_grants(db, code.user_id, client, client_id, MAX_GRANTS).await?;
    sign(signer, claims, refresh_token, &code.scopes)
}

/// Whether a verifier is the secret whose digest the program sent first (RFC 7636).
fn is_verifier_of(verifier: &str, challenge: &str) -> bool {
    let is_well_formed = (43..=128).contains(&verifier.len())
        && verifier.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte));
    is_well_formed && BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(verifier)) == challenge
}

#[derive(sqlx::FromRow)]
struct RefreshRow {
    session_id: Uuid,
    user_id: UserId,
    scopes: Vec<String>,
    is_ended: bool,
    is_used: bool,
    /// Whether it was used just now, and its successor is not used yet.
    is_retry: bool,
}

/// Replaces a refresh token. The reuse of one revokes the grant, because one of its two users has a
/// stolen copy.
async fn refresh(
    db: &PgPool,
    signer: &Signer,
    key: &ClusterKey,
    client: &Client,
    request: &TokenRequest,
) -> Result<ProgramTokens, TokenError> {
    let token = request.get("refresh_token")?;
    let client_id = request.get("client_id")?;
    // Only this cluster can derive it, so that an old token is of no use to a thief.
    let next = BASE64_URL_SAFE_NO_PAD.encode(key.derive(SUCCESSOR, token.as_bytes()));
    let (hash, next_hash) = (hash_refresh_token(token), hash_refresh_token(&next));
    let mut tx = db.begin().await?;
    // Locked by a statement of its own: the next one sees the successor of another request.
    sqlx::query("select from refresh_tokens where hash = $1 for update").bind(&hash).execute(&mut *tx).await?;
    let row: Option<RefreshRow> = sqlx::query_as(
        "select s.id as session_id, s.user_id, t.scopes,
                s.revoked_at is not null or s.expires_at <= now() as is_ended, r.used_at is not null as is_used,
                coalesce(r.used_at > now() - make_interval(secs => $3), false) and exists (
                    select from refresh_tokens next where next.hash = $4 and next.used_at is null
                ) as is_retry
         from refresh_tokens r
         join sessions s on s.id = r.session_id
         join api_tokens t on t.session_id = s.id
         where r.hash = $1 and t.client_id = $2
         for update of s",
    )
    .bind(&hash)
    .bind(client_id)
    .bind(OVERLAP_SECONDS)
    .bind(&next_hash)
    .fetch_optional(&mut *tx)
    .await?;
    let row = row.filter(|row| !row.is_ended).ok_or(INVALID_REFRESH_TOKEN)?;
    let claims = Claims { user_id: row.user_id, session_id: row.session_id };
    if row.is_used && !row.is_retry {
        // In a separate transaction: `revoke` takes the append lock first.
        tx.rollback().await?;
        api_tokens::revoke(db, claims.user_id, client, TokenId::from(claims.session_id)).await?;
        return Err(INVALID_REFRESH_TOKEN);
    }
    let granted = |name: &str| row.scopes.iter().any(|scope| scope == name);
    if request.find("scope").is_some_and(|names| names.split_whitespace().any(|name| !granted(name))) {
        return Err(TokenError::Refused("invalid_scope", "the user did not grant one of the scopes"));
    }
    if !row.is_retry {
        sqlx::query("update refresh_tokens set used_at = now() where hash = $1").bind(&hash).execute(&mut *tx).await?;
        sessions::insert_refresh_token(&mut tx, claims, &next_hash).await?;
    }
    sqlx::query("update sessions set used_at = now(), expires_at = now() + make_interval(secs => $2) where id = $1")
        .bind(claims.session_id)
        .bind(sessions::SESSION_SECONDS as f64)
        .execute(&mut *tx)
        .await?;
    tx.commit().await?;
    sign(signer, claims, next, &row.scopes)
}

/// The hash under which a refresh token of a program is stored. It differs from that of the same text as
/// a token of a device, so that no route takes one for the other.
fn hash_refresh_token(token: &str) -> Vec<u8> {
    hash_secret(&format!("program {token}"))
}

fn sign(
    signer: &Signer,
    claims: Claims,
    refresh_token: String,
    scopes: &[String],
) -> Result<ProgramTokens, TokenError> {
    Ok(ProgramTokens {
        access_token: signer.sign(claims, Audience::Mcp, now(), ACCESS_SECONDS)?,
        token_type: "Bearer",
        expires_in: ACCESS_SECONDS,
        refresh_token,
        scope: scopes.join(" "),
    })
}

/// Revokes the grant of a token, and returns its session. An unknown token is not an error (RFC 7009).
pub async fn revoke(
    db: &PgPool,
    verifier: &Verifier,
    client: &Client,
    request: &TokenRequest,
) -> Result<Option<Uuid>, TokenError> {
    let token = request.get("token")?;
    let session = verifier.verify(token, Audience::Mcp).ok().map(|claims| claims.session_id);
    let found: Option<(UserId, Uuid)> = sqlx::query_as(
        "select s.user_id, s.id from sessions s join api_tokens t on t.session_id = s.id
         where s.id = coalesce($1, (select session_id from refresh_tokens where hash = $2)) and t.client_id = $3",
    )
    .bind(session)
    .bind(hash_refresh_token(token))
    .bind(request.get("client_id")?)
    .fetch_optional(db)
    .await?;
    let Some((user, session)) = found else { return Ok(None) };
    api_tokens::revoke(db, user, client, TokenId::from(session)).await?;
    Ok(Some(session))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_verifier_of_the_specification_proves_its_challenge() {
        // RFC 7636, appendix B.
        let (verifier, challenge) =
            ("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk", "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM");
        assert!(is_verifier_of(verifier, challenge));
        for bad in ["", &verifier[1..], &verifier.replace('d', "e"), challenge, &"é".repeat(40)] {
            assert!(!is_verifier_of(bad, challenge), "{bad}");
        }
    }
}
