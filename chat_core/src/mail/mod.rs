//! Mail. A row of `mails` says to whom to write and why; `contents` finds out what to write when the mail is sent,
//! so that the text is true then. A request stores the same row whether an account has the address or not, so that
//! the response and its timing do not reveal whether an account exists.

pub mod accounts;
pub mod contents;
pub mod digests;
pub mod language;
pub mod links;
pub mod queue;

pub use language::Language;

use crate::{Result, UserId, audit::Client};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sqlx::PgConnection;

/// The channel on which new mail is notified.
pub const CHANNEL: &str = "mails";

/// Maximum number of mails of one kind to one address in an hour.
const MAX_OF_KIND_PER_HOUR: i64 = 3;

/// Maximum number of mails of one kind to one address in a day, if others can cause it and its link is valid for a day
/// or more: the reader has a valid link however many others asked for. A link for a lost password is valid for an
/// hour, so only the limit of an hour applies.
const MAX_OF_KIND_PER_DAY: i64 = 10;

/// Maximum number of invitations that one user sends in a day.
const MAX_INVITATIONS_PER_DAY: i64 = 20;

/// Why a mail is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Kind {
    /// Somebody wants to create an account with the address.
    SignUp,
    /// Somebody wants to replace the password of the account with the address.
    PasswordReset,
    /// A user wants to use the address.
    EmailChange,
    /// The password of the user changed.
    PasswordChanged,
    /// The user has another address now.
    EmailChanged,
    /// The user signed in on a device that was not known.
    NewSignIn,
    /// An operator approved the account.
    AccountApproved,
    /// A user invites the reader to a chat.
    Invitation,
    /// The user has unread mentions.
    Digest,
}

impl Kind {
    /// Whether the limit of a day applies.
    fn is_limited_by_day(self) -> bool {
        matches!(self, Self::SignUp | Self::EmailChange | Self::Invitation)
    }

    /// How long a link in it is valid, in seconds; `None` if it has none.
    fn link_seconds(self) -> Option<f64> {
        match self {
            Self::PasswordReset => Some(3600.0),
            Self::SignUp | Self::EmailChange => Some(24.0 * 3600.0),
            // To unsubscribe: as long as the mail is stored.
            Self::Invitation | Self::Digest => Some(60.0 * 24.0 * 3600.0),
            Self::PasswordChanged | Self::EmailChanged | Self::NewSignIn | Self::AccountApproved => None,
        }
    }
}

/// A mail to be sent.
#[derive(Debug)]
pub struct NewMail<'a> {
    kind: Kind,
    address: &'a str,
    language: Language,
    user: Option<UserId>,
    data: Value,
}

impl<'a> NewMail<'a> {
    /// A mail of which only the address is known.
    pub fn to_address(kind: Kind, address: &'a str, language: Language) -> Self {
        Self { kind, address, language, user: None, data: json!({}) }
    }

    /// Adds the user whose account it is about, or who caused it.
    #[must_use]
    pub fn with_user(self, user: UserId) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Adds what the text needs.
    #[must_use]
    pub fn with_data(self, data: Value) -> Self {
        Self { data, ..self }
    }

    /// Stores the mail, in the transaction of what it is about. Returns false if the address gets too many, which a
    /// response must not reveal.
    pub async fn enqueue(self, db: &mut PgConnection) -> Result<bool> {
        let Self { kind, address, language, user, data } = self;
        // One at a time for each address, so that the limits hold.
        sqlx::query("select pg_advisory_xact_lock(hashtext('mail'), hashtext(lower($1)))")
            .bind(address)
            .execute(&mut *db)
            .await?;
        let inserted = sqlx::query(
            "insert into mails (kind, address, language, user_id, data)
             select $1, $2, $3, $4, $5
             where (select count(*) from mails
                    where lower(address) = lower($2) and kind = $1 and created_at > now() - interval '1 hour') < $6
               and (not $8 or (select count(*) from mails
                               where lower(address) = lower($2) and kind = $1
                                 and created_at > now() - interval '1 day') < $7)",
        )
        .bind(kind)
        .bind(address)
        .bind(language)
        .bind(user)
        .bind(data)
        .bind(MAX_OF_KIND_PER_HOUR)
        .bind(MAX_OF_KIND_PER_DAY)
        .bind(kind.is_limited_by_day())
        .execute(&mut *db)
        .await?;
        let is_stored = inserted.rows_affected() > 0;
        if is_stored {
            sqlx::query("select pg_notify($1, '')").bind(CHANNEL).execute(db).await?;
        }
        Ok(is_stored)
    }
}

/// Stores a notice to a user that something happened to the account. Addresses that are not verified get none, because
/// they may belong to others; only the approval of an account is told there too.
pub async fn enqueue_notice(db: &mut PgConnection, kind: Kind, user: UserId, client: Option<&Client>) -> Result<()> {
    let found: Option<(String, Language)> = sqlx::query_as(
        "select email, language from users
         where id = $1 and kind = 'person' and email is not null and deleted_at is null
           and ($2 or email_verified_at is not null)",
    )
    .bind(user)
    .bind(kind == Kind::AccountApproved)
    .fetch_optional(&mut *db)
    .await?;
    let Some((address, language)) = found else { return Ok(()) };
    let data =
        client.map_or_else(|| json!({}), |client| json!({ "address": client.address, "device": client.user_agent }));
    NewMail { kind, address: &address, language, user: Some(user), data }.enqueue(db).await?;
    Ok(())
}

/// Whether a user has sent as many invitations as a day allows.
pub async fn has_sent_all_invitations(db: &mut PgConnection, user: UserId) -> Result<bool> {
    let sql = "select count(*) from mails
               where user_id = $1 and kind = 'invitation' and created_at > now() - interval '1 day'";
    let sent: i64 = sqlx::query_scalar(sql).bind(user).fetch_one(db).await?;
    Ok(sent >= MAX_INVITATIONS_PER_DAY)
}
