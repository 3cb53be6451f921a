//! The links in mails. Whoever has the token of one receives mail at its address.

use super::{Kind, queue::DueMail};
use crate::{
    Error, Result, UserId,
    auth::{hash_secret, new_secret},
    notification_settings::{self, NotificationSettingsPatch},
    values::Email,
};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// What a link is for.
#[derive(Debug, sqlx::FromRow)]
pub struct Link {
    mail_id: i64,
    /// The address that received it.
    pub address: String,
    /// Whose account it is about or who caused the mail, if that was known.
    pub user_id: Option<UserId>,
    /// What the mail was stored with.
    pub data: Value,
    kind: Kind,
}

impl Link {
    /// The address, as a valid one.
    pub fn email(&self) -> Result<Email> {
        Email::try_from(self.address.clone()).map_err(Error::internal)
    }
}

/// The link is wrong, was used, or is too old.
pub const INVALID: Error =
    Error::Conflict { code: "link_invalid", detail: "this link has expired or was used; request another one" };

/// Creates the link of a mail, and returns its token; `None` if the mail was revoked.
pub(super) async fn create(db: &mut PgConnection, due: &DueMail) -> Result<Option<String>> {
    let (token, hash) = new_secret();
    let inserted = sqlx::query(
        "insert into mail_links (hash, mail_id, expires_at)
         select $1, id, now() + make_interval(secs => $3) from mails
         where id = $2 and attempts = $4 and due_at is not null for share",
    )
    .bind(hash)
    .bind(due.id)
    .bind(due.kind.link_seconds())
    .bind(due.attempts)
    .execute(db)
    .await?;
    Ok((inserted.rows_affected() > 0).then_some(token))
}

/// Finds a link of one kind by its token.
pub async fn find(db: impl PgExecutor<'_>, kind: Kind, token: &str) -> Result<Link> {
    find_any(db, token).await?.filter(|link| link.kind == kind).ok_or(INVALID)
}

/// Whether a link stops invitations; otherwise it stops digests, or nothing.
pub async fn is_of_invitation(db: impl PgExecutor<'_>, token: &str) -> Result<bool> {
    Ok(find_any(db, token).await?.is_some_and(|link| link.kind == Kind::Invitation))
}

async fn find_any(db: impl PgExecutor<'_>, token: &str) -> Result<Option<Link>> {
    Ok(sqlx::query_as(
        "select l.mail_id, m.address, m.user_id, m.data, m.kind
         from mail_links l join mails m on m.id = l.mail_id where l.hash = $1 and l.expires_at > now()",
    )
    .bind(hash_secret(token))
    .fetch_optional(db)
    .await?)
}

/// Uses a link up, with all others of its kind to the address. Fails if it was used meanwhile.
pub async fn use_up(tx: &mut PgConnection, link: &Link) -> Result<()> {
    let used: Vec<i64> = sqlx::query_scalar(
        "delete from mail_links l using mails m
         where m.id = l.mail_id and m.kind = $1 and lower(m.address) = lower($2) and l.expires_at > now()
         returning m.id",
    )
    .bind(link.kind)
    .bind(&link.address)
    .fetch_all(tx)
    .await?;
    if used.contains(&link.mail_id) { Ok(()) } else { Err(INVALID) }
}

/// Revokes links that change the account of a user, and the mails with such links that wait or are being sent:
/// somebody else may have caused them.
pub(crate) async fn revoke_of_user(tx: &mut PgConnection, user: UserId) -> Result<()> {
    // Another number of attempts, so that an attempt under way neither creates a link nor makes the mail due again.
    let revoked: Vec<i64> = sqlx::query_scalar(
        "update mails m set due_at = null, attempts = m.attempts + 1
         from users u
         where u.id = $1 and (m.user_id = u.id and m.kind = 'email_change'
                              or lower(m.address) = lower(u.email) and m.kind = 'password_reset')
         returning m.id",
    )
    .bind(user)
    .fetch_all(&mut *tx)
    .await?;
    sqlx::query("delete from mail_links where mail_id = any ($1)").bind(revoked).execute(tx).await?;
    Ok(())
}

/// Stops the mail that a link is for: digests to the user, or all invitations to the address. Idempotent.
pub async fn unsubscribe(db: &PgPool, token: &str) -> Result<()> {
    let link = find_any(db, token).await?.ok_or(INVALID)?;
    match (link.kind, link.user_id) {
        (Kind::Digest, Some(user)) => {
            let patch = NotificationSettingsPatch { email_digest: Some(false), ..NotificationSettingsPatch::default() };
            notification_settings::update(db, user, patch).await?;
        }
        (Kind::Invitation, _) => {
            sqlx::query("insert into mail_suppressions (address) values (lower($1)) on conflict do nothing")
                .bind(&link.address)
                .execute(db)
                .await?;
        }
        _ => return Err(INVALID),
    }
    Ok(())
}
