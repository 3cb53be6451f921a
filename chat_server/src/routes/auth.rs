//! Signing up, in and out, and the sessions that come of it.

use super::Items;
use crate::{
    Api,
    extract::{Caller, Input, Segment},
    openapi::{Done, New, WithCookie},
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, header},
};
use chat_core::{
    Error, Result,
    auth::{
        STREAM_COOKIE,
        sessions::{self, SESSION_SECONDS, Session, SignedIn, Tokens},
    },
    events,
    text::{Email, Password, RefreshNonce, Username},
    users::{self, Me, NewUser},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;
use uuid::Uuid;

/// Somebody new.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "username": "erin", "email": "erin@example.com", "password": "long unlikely words" }))]
pub(crate) struct Signup {
    username: Username,
    email: Email,
    password: Password,
}

/// Who signs in.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "email": "alice@example.com", "password": "confab-demo" }))]
pub(crate) struct Signin {
    email: Email,
    password: Password,
}

/// What the last answer with tokens gave.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Refresh {
    refresh_token: String,
    /// Lets this be asked for again, with the same, until the answer is heard.
    #[serde(default)]
    nonce: Option<RefreshNonce>,
}

/// Tokens, and who they are for.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Welcome {
    #[serde(flatten)]
    tokens: Tokens,
    user: Me,
}

/// Makes an account and signs it in.
pub(crate) async fn signup(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Input(Signup { username, email, password }): Input<Signup>,
) -> Result<WithCookie<New<Welcome>>> {
    api.hasher.check_strength(&password, &username, &email).await?;
    let password_hash = api.hasher.hash(password).await?;
    let id = users::create(&api.db, &NewUser { username, email, password_hash }).await?;
    let signed_in = sessions::open(&api.db, &api.signer, id, user_agent(&headers)).await?;
    let WithCookie { cookie, answer: Json(body) } = welcome(&api, &headers, signed_in).await?;
    Ok(WithCookie { cookie, answer: New(body) })
}

/// Opens a session. An unknown address takes as long, and is told the same, as a
/// wrong password.
pub(crate) async fn signin(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Input(Signin { email, password }): Input<Signin>,
) -> Result<WithCookie<Json<Welcome>>> {
    let known = users::credentials(&api.db, &email).await?;
    let (id, hash) = known.map(|known| (known.id, known.password_hash)).unzip();
    let matches = api.hasher.check(password, hash).await?;
    let id = id.filter(|_| matches).ok_or(Error::Unauthorized {
        code: "credentials_invalid",
        detail: "the e-mail address or the password is wrong",
    })?;
    let signed_in = sessions::open(&api.db, &api.signer, id, user_agent(&headers)).await?;
    welcome(&api, &headers, signed_in).await
}

/// Trades a refresh token for the next pair of tokens.
pub(crate) async fn refresh(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    Input(Refresh { refresh_token, nonce }): Input<Refresh>,
) -> Result<WithCookie<Json<Welcome>>> {
    let signed_in = sessions::refresh(&api.db, &api.signer, &refresh_token, nonce.as_ref()).await?;
    welcome(&api, &headers, signed_in).await
}

/// Ends the session.
pub(crate) async fn signout(
    State(api): State<Arc<Api>>,
    headers: HeaderMap,
    caller: Caller,
) -> Result<WithCookie<Done>> {
    sessions::end(&api.db, caller.claims()).await?;
    api.live.forget(caller.session_id);
    Ok(WithCookie { cookie: stream_cookie("", 0, &headers), answer: Done })
}

/// The caller's signed-in devices.
pub(crate) async fn sessions(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Items<Session>>> {
    Ok(Json(Items { items: sessions::list(&api.db, caller.claims()).await? }))
}

/// Ends one of the caller's sessions, and every stream that it opened.
pub(crate) async fn end_session(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Segment(session_id): Segment<Uuid>,
) -> Result<Done> {
    sessions::end_one(&api.db, caller.user_id, session_id).await?;
    api.live.forget(session_id);
    Ok(Done)
}

/// The password as it is, and as it is to be.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangePassword {
    current_password: Password,
    new_password: Password,
}

/// Changes the password. Every other session of the caller ends.
pub(crate) async fn change_password(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Input(ChangePassword { current_password, new_password }): Input<ChangePassword>,
) -> Result<Done> {
    prove(&api, caller, current_password).await?;
    let Me { user, email } = users::me(&api.db, caller.user_id).await?;
    let username = Username::try_from(user.username).map_err(Error::internal)?;
    let email = Email::try_from(email).map_err(Error::internal)?;
    api.hasher.check_strength(&new_password, &username, &email).await?;
    let hash = api.hasher.hash(new_password).await?;
    let mut log = events::begin(&api.db, caller.user_id).await?;
    users::set_password(&mut *log, caller.user_id, &hash).await?;
    sessions::end_others(&mut log, caller.claims()).await?;
    log.commit().await?;
    Ok(Done)
}

/// Refuses a caller who does not know their own password.
pub(super) async fn prove(api: &Api, caller: Caller, password: Password) -> Result<()> {
    let hash = users::password_hash(&api.db, caller.user_id).await?;
    match api.hasher.check(password, Some(hash)).await? {
        true => Ok(()),
        false => Err(Error::Forbidden("the current password is wrong")),
    }
}

/// What the device says it is.
fn user_agent(headers: &HeaderMap) -> &str {
    headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default()
}

async fn welcome(api: &Api, headers: &HeaderMap, signed_in: SignedIn) -> Result<WithCookie<Json<Welcome>>> {
    let user = users::me(&api.db, signed_in.claims.user_id).await?;
    let cookie = stream_cookie(&signed_in.stream_token, SESSION_SECONDS, headers);
    Ok(WithCookie { cookie, answer: Json(Welcome { tokens: signed_in.tokens, user }) })
}

/// Opens event streams and nothing else, so that a page can simply write
/// `new EventSource('/events')`.
fn stream_cookie(value: &str, seconds: i64, headers: &HeaderMap) -> String {
    let is_https = headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https");
    let secure = if is_https { "; Secure" } else { "" };
    format!("{STREAM_COOKIE}={value}; Path=/events; Max-Age={seconds}; HttpOnly; SameSite=Strict{secure}")
}
