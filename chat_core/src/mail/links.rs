//! The links in mails. Whoever has the token of one receives mail at its address.

use super::{Kind, queue::DueMail};
use crate::{
    Error, Result, UserId,
    auth::{hash_secret, new_secret},
    values::Email,
};
use serde_json::Value;
use sqlx::{PgConnection, PgExecutor};

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

/// Creates the link of a mail, and returns its token.
pub(super) async fn create(db: &mut PgConnection, due: &DueMail) -> Result<String> {
    let (token, hash) = new_secret();
    sqlx::query(
        "insert into mail_links (hash, mail_id, expires_at) values ($1, $2, now() + make_interval(secs => $3))",
    )
    .bind(hash)
    .bind(due.id)
    .bind(due.kind.link_seconds())
    .execute(db)
    .await?;
    Ok(token)
}

/// Finds a link of one kind by its token.
pub async fn find(db: impl PgExecutor<'_>, kind: Kind, token: &str) -> Result<Link> {
    find_any(db, token).await?.filter(|link| link.kind == kind).ok_or(INVALID)
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

/// Makes the links useless that change the account of a user, also those that are not sent yet: somebody else may
/// have caused them.
pub(crate) async fn revoke_of_user(tx: &mut PgConnection, user: UserId) -> Result<()> {
    for sql in [
        "update mails set due_at = null where user_id = $1 and kind = 'email_change' and due_at is not null",
        "delete from mail_links l using mails m
         where m.id = l.mail_id and m.user_id = $1 and m.kind = 'email_change'",
        "delete from mail_links l using mails m, users u
         where m.id = l.mail_id and u.id = $1 and lower(m.address) = lower(u.email) and m.kind = 'password_reset'",
    ] {
        sqlx::query(sql).bind(user).execute(&mut *tx).await?;
    }
    Ok(())
}

/// Stops the mail that a link is for: digests to the user, or all invitations to the address. Idempotent.
pub async fn unsubscribe(db: &mut PgConnection, token: &str) -> Result<()> {
    let link = find_any(&mut *db, token).await?.ok_or(INVALID)?;
    match (link.kind, link.user_id) {
        (Kind::Digest, Some(user)) => {
            let sql = "insert into notification_settings as s (user_id, email_digest) values ($1, false)
                       on conflict (user_id) do update set email_digest = false where s.email_digest";
            sqlx::query("select append_lock()").execute(&mut *db).await?;
            sqlx::query(sql).bind(user).execute(db).await?;
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
