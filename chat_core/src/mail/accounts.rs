//! Changes of accounts by links in mails.

use super::{
    Kind, Language, NewMail, enqueue_notice,
    links::{self, Link},
};
use crate::{
    Result, UserId,
    audit::{Action, Client, NewEntry},
    auth::{Claims, sessions},
    events, users,
};
use sqlx::{PgExecutor, PgPool};

/// Replaces the password of the account with the address of a link, which is thereby verified, and ends all sessions
/// of its user. The link can be used once.
pub async fn reset_password(db: &PgPool, link: &Link, password_hash: &str, client: &Client) -> Result<()> {
    let user = find_active(db, &link.address).await?.ok_or(links::INVALID)?.id;
    let mut log = events::begin(db, user).await?;
    // The address may have changed meanwhile.
    users::lock_active(&mut log, user).await.map_err(|_| links::INVALID)?;
    if find_active(&mut *log, &link.address).await?.is_none_or(|account| account.id != user) {
        return Err(links::INVALID);
    }
    links::use_up(&mut log, link).await?;
    users::set_password_hash(&mut *log, user, password_hash).await?;
    users::mark_email_verified(&mut log, user).await?;
    sessions::revoke_all(&mut log, user).await?;
    NewEntry::new(Action::PasswordReset).with_user(user).with_client(client).write(&mut *log).await?;
    enqueue_notice(&mut log, Kind::PasswordChanged, user, None).await?;
    log.commit().await?;
    Ok(())
}

/// Returns the active account of a person with an email address. Mail goes to the address of the account, not to the
/// one of a request, which may be written in another way.
pub async fn find_active(db: impl PgExecutor<'_>, email: &str) -> Result<Option<ActiveAccount>> {
    let sql = "select id, username, email, language from users
               where lower(email) = lower($1) and kind = 'person' and state = 'active' and deleted_at is null";
    Ok(sqlx::query_as(sql).bind(email).fetch_optional(db).await?)
}

/// The active account of a person.
#[derive(Debug, sqlx::FromRow)]
pub struct ActiveAccount {
    /// The id.
    pub id: UserId,
    /// The username.
    pub username: String,
    /// The address, as the user wrote it.
    pub email: String,
    /// The language of mail to the user.
    pub language: Language,
}

/// Stores a mail with a link that gives the caller's account another address.
pub async fn request_email_change(db: &PgPool, caller: Claims, mail: NewMail<'_>) -> Result<()> {
    let mut tx = db.begin().await?;
    // The session may have been revoked meanwhile.
    sessions::lock_user(&mut tx, caller).await?;
    mail.enqueue(&mut tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Gives a user the address that received a link, and tells the previous address. The link can be used once.
pub async fn confirm_email(db: &PgPool, link: &Link, client: &Client) -> Result<()> {
    let user = link.user_id.ok_or(links::INVALID)?;
    let mut log = events::begin(db, user).await?;
    users::lock_active(&mut log, user).await.map_err(|_| links::INVALID)?;
    links::use_up(&mut log, link).await?;
    let is_other: bool = sqlx::query_scalar("select email is distinct from $2 from users where id = $1")
        .bind(user)
        .bind(&link.address)
        .fetch_one(&mut *log)
        .await?;
    // Links to the previous address must not give the account to whoever reads it.
    links::revoke_of_user(&mut log, user).await?;
    if is_other {
        enqueue_notice(&mut log, Kind::EmailChanged, user, None).await?;
        NewEntry::new(Action::EmailChanged).with_actor(user).with_client(client).write(&mut *log).await?;
    }
    users::set_verified_email(&mut log, user, &link.address).await?;
    log.commit().await?;
    Ok(())
}
