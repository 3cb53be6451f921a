//! What users do by mail: replace a lost password, change the address, and stop mail.

use super::auth::verify_password;
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, Query},
    openapi::{Accepted, NoContent, SeeOther},
};
use axum::extract::State;
use chat_core::{
    Error,
    mail::{self, NewMail, accounts, links},
    values::{Email, EmailText, LinkToken, Password, PasswordText, Username},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// The address of an account whose password is lost.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordReset {
    email: EmailText,
}

/// A new password for the account of a link.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PasswordResetConfirmation {
    /// The token of the link in the mail.
    token: LinkToken,
    new_password: Password,
}

/// Another address, and the current password.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmailChange {
    email: Email,
    current_password: PasswordText,
}

/// The token of a link in a mail.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct LinkParams {
    token: LinkToken,
}

/// Sends a link with which to choose a new password. The response is the same without an account.
pub(crate) async fn request_password_reset(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    Json(PasswordReset { email }): Json<PasswordReset>,
) -> Result<Accepted> {
    require_mail(&state)?;
    state.rate_limiter.charge_mail(client.address)?;
    let mut tx = state.db.begin().await?;
    NewMail::to_address(mail::Kind::PasswordReset, email.as_str(), client.language).enqueue(&mut tx).await?;
    tx.commit().await?;
    Ok(Accepted)
}

/// Replaces the password of the account of a link, and ends all sessions of its user.
pub(crate) async fn reset_password(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    Json(PasswordResetConfirmation { token, new_password }): Json<PasswordResetConfirmation>,
) -> Result<NoContent> {
    let link = links::find(&state.db, mail::Kind::PasswordReset, token.as_str()).await?;
    let account = accounts::find_active(&state.db, &link.address).await?.ok_or(links::INVALID)?;
    let username = Username::try_from(account.username).map_err(Error::internal)?;
    state.hasher.check_strength(&new_password, &username, &account.email).await?;
    let hash = state.hasher.hash(new_password).await?;
    accounts::reset_password(&state.db, &link, &hash, &client).await?;
    Ok(NoContent)
}

/// Sends a link to the new address, with which the caller's account gets it. With the current address, the link
/// verifies it.
pub(crate) async fn request_email_change(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Json(EmailChange { email, current_password }): Json<EmailChange>,
) -> Result<Accepted> {
    require_mail(&state)?;
    if !state.sign_up.allows_email(email.as_str()) {
        let detail = format!("only addresses of {} are possible", state.sign_up.domains().join(", "));
        return Err(Error::invalid_with_code("email", "domain_not_allowed", detail).into());
    }
    verify_password(&state, &caller, current_password).await?;
    state.rate_limiter.charge_mail(client.address)?;
    let mail = NewMail::to_address(mail::Kind::EmailChange, email.as_str(), client.language).with_user(caller.user_id);
    accounts::request_email_change(&state.db, caller.claims(), mail).await?;
    Ok(Accepted)
}

/// Gives the user of a link its address.
pub(crate) async fn confirm_email(
    State(state): State<Arc<AppState>>,
    ClientInfo(client): ClientInfo,
    Json(LinkParams { token }): Json<LinkParams>,
) -> Result<NoContent> {
    let link = links::find(&state.db, mail::Kind::EmailChange, token.as_str()).await?;
    accounts::confirm_email(&state.db, &link, &client).await?;
    Ok(NoContent)
}

/// Shows the page that asks whether to stop the mail: mail programs without RFC 8058 open the link with GET, which
/// changes nothing.
pub(crate) async fn show_unsubscribe(
    State(state): State<Arc<AppState>>,
    Query(LinkParams { token }): Query<LinkParams>,
) -> Result<SeeOther> {
    let of = if links::is_of_invitation(&state.db, token.as_str()).await? { "invitations" } else { "digests" };
    Ok(SeeOther(format!("/unsubscribe#token={}&of={of}", token.as_str())))
}

/// Stops the mail that a link is for (RFC 8058): digests, or invitations to the address. Idempotent.
pub(crate) async fn unsubscribe(
    State(state): State<Arc<AppState>>,
    Query(LinkParams { token }): Query<LinkParams>,
) -> Result<NoContent> {
    links::unsubscribe(&state.db, token.as_str()).await?;
    Ok(NoContent)
}

/// Rejects what needs mail if the server sends none.
pub(super) fn require_mail(state: &AppState) -> Result<()> {
    match state.mail {
        Some(_) => Ok(()),
        None => Err(Error::Conflict { code: "mail_off", detail: "this server sends no mail" }.into()),
    }
}
