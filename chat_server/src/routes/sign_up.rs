//! Sign-up. If addresses are verified, it has two steps: the first only sends a mail, also if an account has the
//! address, so that the response does not tell; the second creates the account.

use super::auth::{AuthResponse, build_auth_response};
use crate::{
    AppState,
    extract::{ClientInfo, Json},
    openapi::{Created, Operation, OperationOutput, WithCookies},
};
use axum::{
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
};
use chat_core::{
    Error, UserId, accounts,
    audit::{Action, Client, NewEntry},
    auth::sessions,
    default_channels, invites,
    mail::{
        self, NewMail,
        links::{self, Link},
    },
    operators::{self, AccountState},
    users::{self, NewUser},
    values::{Email, InviteCode, LinkToken, Password, Username},
};
use chat_http::{Result, sign_up::SignUpPolicy};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::sync::Arc;

/// A new account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(example = json!({ "username": "erin", "email": "erin@example.com", "password": "long unlikely words" }))]
pub(crate) struct Signup {
    username: Username,
    email: Email,
    /// The password. A server that verifies addresses ignores it: it is chosen with the link in the mail.
    #[serde(default)]
    password: Option<Password>,
    /// The code of an invite to a chat, which the new user joins. If an operator has to approve
    /// the account, the user joins then. A server that verifies addresses only checks it; the user accepts it afterwards.
    #[serde(default)]
    invite: Option<InviteCode>,
}

/// The second step of a sign-up.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SignupConfirmation {
    /// The token of the link in the mail.
    token: LinkToken,
    /// The password.
    password: Password,
    /// Another username than that of the sign-up, which may be taken meanwhile.
    #[serde(default)]
    username: Option<Username>,
}

/// 201 with the new account, or 202 with what has to happen first.
pub(crate) enum SignupResponse {
    SignedIn(Box<WithCookies<Created<AuthResponse>, 2>>),
    Pending(SignupStep),
}

/// What a sign-up waits for.
#[derive(Clone, Copy, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum SignupStep {
    /// The user opens the link in the mail.
    Verification,
    /// An operator approves the account.
    Approval,
}

/// The body of 202.
#[derive(Serialize, JsonSchema)]
struct PendingSignupResponse {
    /// What the sign-up waits for.
    waits_for: SignupStep,
}

impl IntoResponse for SignupResponse {
    fn into_response(self) -> Response {
        match self {
            Self::SignedIn(response) => response.into_response(),
            Self::Pending(waits_for) => {
                (StatusCode::ACCEPTED, Json(PendingSignupResponse { waits_for })).into_response()
            }
        }
    }
}

impl OperationOutput for SignupResponse {
    fn describe_output(operation: &mut Operation<'_>) {
        WithCookies::<Created<AuthResponse>, 2>::describe_output(operation);
        operation.add_json_response::<PendingSignupResponse>(202, "Accepted; something has to happen first.");
    }
}

/// The data of the mail of a sign-up.
#[derive(Serialize, Deserialize)]
struct PendingSignup {
    username: Username,
    invite: Option<InviteCode>,
}

/// Creates an account and signs it in, unless an operator has to approve it or the address has to be verified.
pub(crate) async fn signup(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    Json(Signup { username, email, password, invite }): Json<Signup>,
) -> Result<SignupResponse> {
    require_allowed(&state, &email, invite.as_ref()).await?;
    if state.mail.is_some_and(|mail| mail.is_verification_required) {
        send_link(&state, &client, &email, PendingSignup { username, invite }).await?;
        return Ok(SignupResponse::Pending(SignupStep::Verification));
    }
    let password = password.ok_or_else(|| Error::invalid_with_code("password", "missing", "must be given"))?;
    create_account(&state, &client, Account { username, email, password, invite }, None).await
}

/// Creates the account of a sign-up whose address is verified by the token of a link.
pub(crate) async fn confirm(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    Json(SignupConfirmation { token, password, username }): Json<SignupConfirmation>,
) -> Result<SignupResponse> {
    let link = links::find(&state.db, mail::Kind::SignUp, token.as_str()).await?;
    let pending: PendingSignup = serde_json::from_value(link.data.clone()).map_err(Error::internal)?;
    let email = link.email()?;
    // An invite only matters here if the server needs one. The user joins its chat afterwards: somebody else may have
    // sent the sign-up.
    let invite = pending.invite.filter(|_| state.sign_up == SignUpPolicy::Invite);
    require_allowed(&state, &email, invite.as_ref()).await?;
    let username = username.unwrap_or(pending.username);
    create_account(&state, &client, Account { username, email, password, invite: None }, Some(link)).await
}

/// Sends the link with which a sign-up continues.
async fn send_link(state: &AppState, client: &Client, email: &Email, pending: PendingSignup) -> Result<()> {
    if !users::is_username_free(&state.db, &pending.username).await? {
        return Err(Error::Conflict { code: "username_taken", detail: "this username is taken" }.into());
    }
    state.rate_limiter.charge_mail(client.address)?;
    let mut tx = state.db.begin().await?;
    let data = serde_json::to_value(pending).map_err(Error::internal)?;
    NewMail::to_address(mail::Kind::SignUp, email.as_str(), client.language).with_data(data).enqueue(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// An account to be created.
struct Account {
    username: Username,
    email: Email,
    password: Password,
    invite: Option<InviteCode>,
}

/// Creates an account; with a link, the address is verified.
async fn create_account(
    state: &AppState,
    client: &Client,
    account: Account,
    link: Option<Link>,
) -> Result<SignupResponse> {
    let Account { username, email, password, invite } = account;
    state.hasher.check_strength(&password, &username, email.as_str()).await?;
    let password_hash = state.hasher.hash(password).await?;
    let is_approval_required = state.sign_up == SignUpPolicy::Approval;
    let new = NewUser {
        username,
        email,
        password_hash,
        state: if is_approval_required { AccountState::Pending } else { AccountState::Active },
        group_privacy: state.group_privacy,
        pending_invite: invite.clone().filter(|_| is_approval_required),
        is_email_verified: link.is_some(),
        language: client.language,
    };
    let id = insert_user(state, &new, link.as_ref()).await?;
    if is_approval_required && !operators::is_operator(&state.db, id).await? {
        NewEntry::new(Action::SignedUp).with_actor(id).with_client(client).write(&state.db).await?;
        return Ok(SignupResponse::Pending(SignupStep::Approval));
    }
    if let Some(invite) = &invite
        && let Err(error) = invites::accept(&state.db, id, invite).await
    {
        // Another user joined with the last use of the invite in the meantime.
        accounts::undo_sign_up(&state.db, id).await?;
        return Err(error.into());
    }
    default_channels::join_all(&state.db, id).await;
    let signed_in = sessions::open(&state.db, &state.signer, id, Action::SignedUp, client).await?;
    let WithCookies { cookies, response: Json(body) } = build_auth_response(state, signed_in).await?;
    Ok(SignupResponse::SignedIn(Box::new(WithCookies { cookies, response: Created(body) })))
}

async fn insert_user(state: &AppState, new: &NewUser, link: Option<&Link>) -> Result<UserId> {
    let mut tx = state.db.begin().await?;
    if let Some(link) = link {
        links::use_up(&mut tx, link).await?;
    }
    let id = users::create(&mut *tx, new).await?;
    tx.commit().await?;
    Ok(id)
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
