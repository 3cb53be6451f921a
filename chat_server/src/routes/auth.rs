//! Sign-in, sign-out and sessions.

use super::List;
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, Limit, Path, Query},
    openapi::{NoContent, WithCookies},
    sign_in_throttle::Attempt,
};
use axum::{extract::State, http::HeaderMap};
use chat_core::{
    Error, UserId,
    audit::{self, Action, Activity, Client, NewEntry},
    auth::{
        Audience,
        sessions::{self, AuthenticatedSession, DEVICE_SECONDS, SESSION_SECONDS, Session, Tokens},
    },
    events, mail,
    users::{self, Me},
    values::{EmailText, Password, PasswordText, RefreshNonce, Username},
};
use chat_http::{Result, cookies, settings::PublicUrl};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::PgPool;
use std::sync::Arc;
use uuid::Uuid;

/// The credentials of an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "email": "alice@example.com", "password": "confab-demo" }))]
pub(crate) struct Signin {
    email: EmailText,
    password: PasswordText,
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

/// Opens a session. An unknown email address takes as long as a wrong password and
/// returns the same error.
pub(crate) async fn signin(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    headers: HeaderMap,
    Json(Signin { email, password }): Json<Signin>,
) -> Result<WithCookies<Json<AuthResponse>, 2>> {
    let credentials = users::find_credentials(&state.db, &email).await?;
    let (id, hash) = credentials.map(|credentials| (credentials.id, credentials.password_hash)).unzip();
    let known_device = find_device(&state, id, &headers);
    let attempt = start_attempt(&state, &email, known_device).await?;
    let is_correct = state.hasher.verify(password, hash).await?;
    let Some(id) = id.filter(|_| is_correct) else {
        if let Some(id) = id {
            // After the response, which must not take longer for an account that exists.
            tokio::spawn(record_failure(state.db.clone(), id, client, "wrong password"));
        }
        return Err(Error::Unauthorized {
            code: "credentials_invalid",
            detail: "the email address or the password is wrong",
        }
        .into());
    };
    attempt.succeed();
    match open_session(&state, id, &client, known_device.is_some()).await {
        Ok(signed_in) => build_auth_response(&state, signed_in).await,
        Err(error) => {
            if let Error::Inactive { code, .. } = error {
                record_failure(state.db.clone(), id, client, code).await;
            }
            Err(error.into())
        }
    }
}

async fn record_failure(db: PgPool, user: UserId, client: Client, reason: &'static str) {
    let entry = NewEntry::new(Action::SignInFailed).with_user(user).with_client(&client).with_detail(reason);
    if let Err(error) = entry.write(&db).await {
        tracing::warn!(%error, "a failed sign-in is not in the audit log");
    }
}

/// Returns the device of a request if the user has signed in on it before.
fn find_device(state: &AppState, user: Option<UserId>, headers: &HeaderMap) -> Option<Uuid> {
    let token = cookies::DEVICE.find(headers, is_https(state))?;
    let claims = state.signer.verifier().verify(token, Audience::Device).ok()?;
    (Some(claims.user_id) == user).then_some(claims.session_id)
}

/// Counts an attempt to sign in. Devices on which the user has signed in before are counted
/// apart from the others, so that failures elsewhere do not lock the user out.
async fn start_attempt<'a>(state: &'a AppState, email: &EmailText, known_device: Option<Uuid>) -> Result<Attempt<'a>> {
    if let Some(device) = known_device {
        return Ok(state.sign_in_throttle.start(("device", device))?);
    }
    // By the email and not by the user, so that an unknown email gets the same response.
    Ok(state.sign_in_throttle.start(("email", users::fold_email(&state.db, email).await?))?)
}

/// Opens a session. If the device is not known, the user is told by mail.
async fn open_session(
    state: &AppState,
    user: UserId,
    client: &Client,
    is_known_device: bool,
) -> Result<AuthenticatedSession, Error> {
    let mut tx = state.db.begin().await?;
    let session = sessions::open_in(&mut tx, &state.signer, user, Action::SignedIn, client).await?;
    if state.mail.is_some() && !is_known_device {
        mail::enqueue_notice(&mut tx, mail::Kind::NewSignIn, user, Some(client)).await?;
    }
    tx.commit().await?;
    Ok(session)
}

/// Exchanges a refresh token for a new pair of tokens.
pub(crate) async fn refresh(
    State(state): State<Arc<AppState>>,
    Json(Refresh { refresh_token, nonce }): Json<Refresh>,
) -> Result<WithCookies<Json<AuthResponse>, 2>> {
    state.rate_limiter.charge_refresh(&refresh_token)?;
    let signed_in = sessions::refresh(&state.db, &state.signer, &refresh_token, nonce.as_ref()).await?;
    build_auth_response(&state, signed_in).await
}

/// Revokes the caller's session.
pub(crate) async fn signout(State(state): State<Arc<AppState>>, caller: Caller) -> Result<WithCookies<NoContent, 1>> {
    sessions::revoke(&state.db, caller.claims()).await?;
    state.authenticator.sessions.remove(caller.session_id);
    Ok(WithCookies { cookies: [cookies::STREAM.to_header("", 0, is_https(&state))], response: NoContent })
}

/// Lists the caller's sessions.
pub(crate) async fn list_sessions(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<Session>>> {
    Ok(Json(List { items: sessions::list(&state.db, caller.claims()).await? }))
}

/// Lists the caller's sign-ins, failed ones included, changes of the password and exports.
pub(crate) async fn list_activity(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(ActivityParams { limit: Limit(limit) }): Query<ActivityParams>,
) -> Result<Json<List<Activity>>> {
    Ok(Json(List { items: audit::list_activity(&state.db, caller.user_id, limit).await? }))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ActivityParams {
    #[serde(default)]
    limit: Limit,
}

/// Revokes one of the caller's sessions, and closes every stream that it opened.
pub(crate) async fn revoke_session(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(session_id): Path<Uuid>,
) -> Result<NoContent> {
    sessions::revoke_one(&state.db, caller.user_id, session_id).await?;
    state.authenticator.sessions.remove(session_id);
    Ok(NoContent)
}

/// Revokes all sessions of the caller except the current one, and closes their streams.
pub(crate) async fn revoke_other_sessions(State(state): State<Arc<AppState>>, caller: Caller) -> Result<NoContent> {
    let mut log = events::begin(&state.db, caller.user_id).await?;
    let revoked = sessions::revoke_others(&mut log, caller.claims()).await?;
    log.commit().await?;
    revoked.into_iter().for_each(|session| state.authenticator.sessions.remove(session));
    Ok(NoContent)
}

/// The current and the new password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    current_password: PasswordText,
    new_password: Password,
}

/// Changes the password and revokes all other sessions.
pub(crate) async fn change_password(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Json(ChangePassword { current_password, new_password }): Json<ChangePassword>,
) -> Result<NoContent> {
    verify_password(&state, &caller, current_password).await?;
    let Me { user, email, .. } = users::get_me(&state.db, caller.user_id).await?;
    let username = Username::try_from(user.username).map_err(Error::internal)?;
    state.hasher.check_strength(&new_password, &username, email.as_deref().unwrap_or_default()).await?;
    let hash = state.hasher.hash(new_password).await?;
    let mut log = events::begin(&state.db, caller.user_id).await?;
    users::set_password_hash(&mut *log, caller.user_id, &hash).await?;
    NewEntry::new(Action::PasswordChanged).with_actor(caller.user_id).with_client(&client).write(&mut *log).await?;
    let revoked = sessions::revoke_others(&mut log, caller.claims()).await?;
    if state.mail.is_some() {
        mail::enqueue_notice(&mut log, mail::Kind::PasswordChanged, caller.user_id, None).await?;
    }
    log.commit().await?;
    revoked.into_iter().for_each(|session| state.authenticator.sessions.remove(session));
    Ok(NoContent)
}

/// Requires the current password of the caller.
pub(super) async fn verify_password(state: &AppState, caller: &Caller, password: PasswordText) -> Result<()> {
    let attempt = state.sign_in_throttle.start(("session", caller.session_id))?;
    let hash = users::get_password_hash(&state.db, caller.user_id).await?;
    if !state.hasher.verify(password, Some(hash)).await? {
        return Err(Error::Forbidden("the current password is wrong").into());
    }
    attempt.succeed();
    Ok(())
}

pub(super) async fn build_auth_response(
    state: &AppState,
    signed_in: AuthenticatedSession,
) -> Result<WithCookies<Json<AuthResponse>, 2>> {
    let AuthenticatedSession { claims, tokens, stream_token, device_token } = signed_in;
    let user = users::get_me(&state.db, claims.user_id).await?;
    let is_https = is_https(state);
    let cookies = [
        cookies::STREAM.to_header(&stream_token, SESSION_SECONDS, is_https),
        cookies::DEVICE.to_header(&device_token, DEVICE_SECONDS, is_https),
    ];
    Ok(WithCookies { cookies, response: Json(AuthResponse { tokens, user }) })
}

fn is_https(state: &AppState) -> bool {
    state.public_url.as_ref().is_some_and(PublicUrl::is_https)
}
