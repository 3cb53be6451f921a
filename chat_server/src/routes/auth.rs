//! Sign-up, sign-in, sign-out and sessions.

use super::List;
use crate::{
    AppState,
    extract::{Caller, Json, Path},
    openapi::{Created, NoContent, WithCookie},
};
use axum::{
    extract::State,
    http::{HeaderMap, header},
};
use chat_core::{
    Error, accounts,
    auth::{
        sessions::{self, AuthenticatedSession, SESSION_SECONDS, Session, Tokens},
        stream_cookie_name,
    },
    events, invites,
    users::{self, Me, NewUser},
    values::{Email, InviteCode, Password, RefreshNonce, Username},
};
use chat_http::{Result, settings::PublicUrl, sign_up::SignUpPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// A new account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "username": "erin", "email": "erin@example.com", "password": "long unlikely words" }))]
pub(crate) struct Signup {
    username: Username,
    email: Email,
    password: Password,
    /// The code of an invite to a chat, which the new user joins.
    #[serde(default)]
    invite: Option<InviteCode>,
}

/// The credentials of an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "email": "alice@example.com", "password": "confab-demo" }))]
pub(crate) struct Signin {
    email: Email,
    password: Password,
}

/// The latest refresh token of the client.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: String,
    /// Makes the request idempotent: a repeated token and nonce return the same new
    /// tokens, until the new tokens are used.
    #[serde(default)]
    nonce: Option<RefreshNonce>,
}

/// New tokens, and the user whom they authenticate.
#[derive(Serialize, JsonSchema)]
pub(crate) struct AuthResponse {
    #[serde(flatten)]
    tokens: Tokens,
    user: Me,
}

/// Creates an account and signs it in.
pub(crate) async fn signup(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Json(Signup { username, email, password, invite }): Json<Signup>,
) -> Result<WithCookie<Created<AuthResponse>>> {
    require_allowed(&state, &email, invite.as_ref()).await?;
    state.hasher.check_strength(&password, &username, &email).await?;
    let password_hash = state.hasher.hash(password).await?;
    let id = users::create(&state.db, &NewUser { username, email, password_hash }).await?;
    if let Some(invite) = &invite
        && let Err(error) = invites::accept(&state.db, id, invite).await
    {
        // Another user joined with the last use of the invite in the meantime.
        accounts::delete(&state.db, id).await?;
        return Err(error.into());
    }
    let signed_in = sessions::open(&state.db, &state.signer, id, user_agent(&headers)).await?;
    let WithCookie { cookie, response: Json(body) } = build_auth_response(&state, signed_in).await?;
    Ok(WithCookie { cookie, response: Created(body) })
}

/// Rejects a new account that the policy of the server does not allow, or whose invite is
/// not active.
async fn require_allowed(state: &AppState, email: &Email, invite: Option<&InviteCode>) -> Result<()> {
    match (&state.sign_up, invite) {
        (SignUpPolicy::Closed, _) => return Err(Error::Forbidden("this server accepts no new accounts").into()),
        (SignUpPolicy::Invite, None) => {
            let detail = "this server needs an invite to a chat; open an invite link to sign up";
            return Err(Error::invalid_with_code("invite", "missing", detail).into());
        }
        _ => {}
    }
    if !state.sign_up.allows_email(email.as_str()) {
        let detail = format!("only addresses of {} can sign up", state.sign_up.domains().join(", "));
        return Err(Error::invalid_with_code("email", "domain_not_allowed", detail).into());
    }
    match invite {
        Some(code) if !invites::is_active(&state.db, code).await? => {
            Err(Error::invalid_with_code("invite", "not_active", "this invite has expired or was revoked").into())
        }
        _ => Ok(()),
    }
}

/// Opens a session. An unknown email address takes as long as a wrong password and
/// returns the same error.
pub(crate) async fn signin(
    State(state): State<Arc<AppState>>,
    headers: HeaderMap,
    Json(Signin { email, password }): Json<Signin>,
) -> Result<WithCookie<Json<AuthResponse>>> {
    let credentials = users::find_credentials(&state.db, &email).await?;
    let (id, hash) = credentials.map(|credentials| (credentials.id, credentials.password_hash)).unzip();
    let matches = state.hasher.verify(password, hash).await?;
    let id = id.filter(|_| matches).ok_or(Error::Unauthorized {
        code: "credentials_invalid",
        detail: "the email address or the password is wrong",
    })?;
    let signed_in = sessions::open(&state.db, &state.signer, id, user_agent(&headers)).await?;
    build_auth_response(&state, signed_in).await
}

/// Exchanges a refresh token for a new pair of tokens.
pub(crate) async fn refresh(
    State(state): State<Arc<AppState>>,
    Json(Refresh { refresh_token, nonce }): Json<Refresh>,
) -> Result<WithCookie<Json<AuthResponse>>> {
    let signed_in = sessions::refresh(&state.db, &state.signer, &refresh_token, nonce.as_ref()).await?;
    build_auth_response(&state, signed_in).await
}

/// Revokes the caller's session.
pub(crate) async fn signout(State(state): State<Arc<AppState>>, caller: Caller) -> Result<WithCookie<NoContent>> {
    sessions::revoke(&state.db, caller.claims()).await?;
    state.session_cache.remove(caller.session_id);
    Ok(WithCookie { cookie: stream_cookie("", 0, &state), response: NoContent })
}

/// Lists the caller's sessions.
pub(crate) async fn list_sessions(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<Session>>> {
    Ok(Json(List { items: sessions::list(&state.db, caller.claims()).await? }))
}

/// Revokes one of the caller's sessions, and closes every stream that it opened.
pub(crate) async fn revoke_session(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(session_id): Path<Uuid>,
) -> Result<NoContent> {
    sessions::revoke_one(&state.db, caller.user_id, session_id).await?;
    state.session_cache.remove(session_id);
    Ok(NoContent)
}

/// Revokes all sessions of the caller except the current one, and closes their streams.
pub(crate) async fn revoke_other_sessions(State(state): State<Arc<AppState>>, caller: Caller) -> Result<NoContent> {
    let mut log = events::begin(&state.db, caller.user_id).await?;
    let revoked = sessions::revoke_others(&mut log, caller.claims()).await?;
    log.commit().await?;
    revoked.into_iter().for_each(|session| state.session_cache.remove(session));
    Ok(NoContent)
}

/// The current and the new password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    current_password: Password,
    new_password: Password,
}

/// Changes the password and revokes all other sessions.
pub(crate) async fn change_password(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(ChangePassword { current_password, new_password }): Json<ChangePassword>,
) -> Result<NoContent> {
    verify_password(&state, caller, current_password).await?;
    let Me { user, email } = users::get_me(&state.db, caller.user_id).await?;
    let username = Username::try_from(user.username).map_err(Error::internal)?;
    let email = Email::try_from(email).map_err(Error::internal)?;
    state.hasher.check_strength(&new_password, &username, &email).await?;
    let hash = state.hasher.hash(new_password).await?;
    let mut log = events::begin(&state.db, caller.user_id).await?;
    users::set_password_hash(&mut *log, caller.user_id, &hash).await?;
    let revoked = sessions::revoke_others(&mut log, caller.claims()).await?;
    log.commit().await?;
    revoked.into_iter().for_each(|session| state.session_cache.remove(session));
    Ok(NoContent)
}

/// Requires the current password of the caller.
pub(super) async fn verify_password(state: &AppState, caller: Caller, password: Password) -> Result<()> {
    let hash = users::get_password_hash(&state.db, caller.user_id).await?;
    match state.hasher.verify(password, Some(hash)).await? {
        true => Ok(()),
        false => Err(Error::Forbidden("the current password is wrong").into()),
    }
}

/// Returns the user agent of the client.
fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn build_auth_response(
    state: &AppState,
    signed_in: AuthenticatedSession,
) -> Result<WithCookie<Json<AuthResponse>>> {
    let user = users::get_me(&state.db, signed_in.claims.user_id).await?;
    let cookie = stream_cookie(&signed_in.stream_token, SESSION_SECONDS, state);
    Ok(WithCookie { cookie, response: Json(AuthResponse { tokens: signed_in.tokens, user }) })
}

/// Returns the cookie that authenticates event streams and nothing else. It lets a page
/// call `new EventSource('/events')`.
fn stream_cookie(value: &str, seconds: i64, state: &AppState) -> String {
    let is_https = state.public_url.as_ref().is_some_and(PublicUrl::is_https);
    let (name, secure) = (stream_cookie_name(is_https), if is_https { "; Secure" } else { "" });
    format!("{name}={value}; Path=/events; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}
