//! What a mail says, found out when it is sent: what is no longer true is not written.

use super::{
    Kind,
    digests::{self, Digest},
    links,
    queue::DueMail,
};
use crate::{
    ChatId, Result, UserId,
    accounts::{self, ActiveAccount},
};
use sqlx::{PgConnection, PgPool};

/// What a mail says.
#[derive(Debug)]
pub enum Content {
    /// Finish the sign-up.
    ConfirmSignUp {
        /// The username that was wanted.
        username: String,
        /// The token of the link.
        token: String,
    },
    /// The reader has an account already, although somebody wanted to use the address for one.
    AccountExists {
        /// The username of the account.
        username: String,
    },
    /// Choose a new password.
    ResetPassword {
        /// The username of the account.
        username: String,
        /// The token of the link.
        token: String,
    },
    /// Confirm that the address belongs to the account.
    ConfirmEmail {
        /// The username of the account.
        username: String,
        /// The token of the link.
        token: String,
    },
    /// The password changed.
    PasswordChanged {
        /// The username of the account.
        username: String,
    },
    /// The account has another address now.
    EmailChanged {
        /// The username of the account.
        username: String,
    },
    /// A device signed in that was not known.
    NewSignIn {
        /// The username of the account.
        username: String,
        /// Its `User-Agent`.
        device: String,
        /// Its address.
        address: String,
    },
    /// An operator approved the account.
    AccountApproved {
        /// The username of the account.
        username: String,
    },
    /// A user invites the reader.
    Invitation {
        /// The name of the user.
        inviter: String,
        /// The name of the chat.
        chat: String,
        /// The code of the invite.
        code: String,
        /// The token of the link that stops further invitations.
        token: String,
    },
    /// Unread mentions.
    Digest {
        /// What is unread.
        digest: Digest,
        /// The token of the link that stops digests.
        token: String,
    },
}

/// The result of [`compose`].
#[derive(Debug)]
pub enum Composed {
    /// This is to be sent.
    Ready(Box<Content>),
    /// There is nothing to write any more.
    Nothing,
    /// It is too early; try in so many seconds.
    Later(f64),
}

/// Finds out what a mail says.
pub async fn compose(db: &PgPool, due: &DueMail) -> Result<Composed> {
    if due.is_too_old {
        return Ok(Composed::Nothing);
    }
    let db = &mut *db.acquire().await?;
    match (due.kind, due.user_id) {
        (Kind::Digest, Some(user)) => compose_digest(db, due, user).await,
        _ => {
            Ok(compose_content(db, due).await?.map_or(Composed::Nothing, |content| Composed::Ready(Box::new(content))))
        }
    }
}

async fn compose_digest(db: &mut PgConnection, due: &DueMail, user: UserId) -> Result<Composed> {
    match digests::load(db, user).await? {
        digests::Loaded::Ready(digest) => {
            let token = links::create(db, due).await?;
            Ok(Composed::Ready(Box::new(Content::Digest { digest, token })))
        }
        digests::Loaded::Nothing => Ok(Composed::Nothing),
        digests::Loaded::Later(seconds) => Ok(Composed::Later(seconds)),
    }
}

async fn compose_content(db: &mut PgConnection, due: &DueMail) -> Result<Option<Content>> {
    let text = |key: &str| due.data.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned();
    let at_address = accounts::find_active(&mut *db, &due.address).await?;
    let of_user = match due.user_id {
        Some(user) => find_by_id(db, user).await?,
        None => None,
    };
    Ok(match (due.kind, at_address, of_user) {
        (Kind::SignUp, Some(owner), _) => Some(Content::AccountExists { username: owner.username }),
        (Kind::SignUp, None, _) if is_in_use(db, &due.address).await? => None,
        (Kind::SignUp, None, _) => {
            Some(Content::ConfirmSignUp { username: text("username"), token: links::create(db, due).await? })
        }
        (Kind::PasswordReset, Some(owner), _) => {
            Some(Content::ResetPassword { username: owner.username, token: links::create(db, due).await? })
        }
        (Kind::EmailChange, Some(owner), Some(user)) if owner.id != user.id => {
            Some(Content::AccountExists { username: owner.username })
        }
        (Kind::EmailChange, _, Some(user)) => {
            Some(Content::ConfirmEmail { username: user.username, token: links::create(db, due).await? })
        }
        (Kind::PasswordChanged, _, Some(user)) => Some(Content::PasswordChanged { username: user.username }),
        (Kind::EmailChanged, _, Some(user)) => Some(Content::EmailChanged { username: user.username }),
        (Kind::NewSignIn, _, Some(user)) => {
            Some(Content::NewSignIn { username: user.username, device: text("device"), address: text("address") })
        }
        (Kind::AccountApproved, _, Some(user)) => Some(Content::AccountApproved { username: user.username }),
        (Kind::Invitation, _, Some(_)) => compose_invitation(db, due, &text("code")).await?,
        (Kind::PasswordReset | Kind::EmailChange | Kind::Digest, ..)
        | (Kind::PasswordChanged | Kind::EmailChanged | Kind::NewSignIn, ..)
        | (Kind::AccountApproved | Kind::Invitation, ..) => None,
    })
}

async fn compose_invitation(db: &mut PgConnection, due: &DueMail, code: &str) -> Result<Option<Content>> {
    let names: Option<(String, String, ChatId)> = sqlx::query_as(
        "select coalesce(nullif(u.display_name, ''), u.username), c.name, c.id
         from active_invites i join chats c on c.id = i.chat_id join users u on u.id = i.created_by
         where i.code = $1 and u.id = $2
           and not exists (select from mail_suppressions s where s.address = lower($3))",
    )
    .bind(code)
    .bind(due.user_id)
    .bind(&due.address)
    .fetch_optional(&mut *db)
    .await?;
    let Some((inviter, chat, _)) = names else { return Ok(None) };
    let token = links::create(db, due).await?;
    Ok(Some(Content::Invitation { inviter, chat, code: code.to_owned(), token }))
}

/// Whether an account that cannot be used has the address.
async fn is_in_use(db: &mut PgConnection, address: &str) -> Result<bool> {
    let sql = "select exists (select from users where lower(email) = lower($1))";
    Ok(sqlx::query_scalar(sql).bind(address).fetch_one(db).await?)
}

async fn find_by_id(db: &mut PgConnection, user: UserId) -> Result<Option<ActiveAccount>> {
    let sql = "select id, username from users where id = $1 and state = 'active' and deleted_at is null";
    Ok(sqlx::query_as(sql).bind(user).fetch_optional(db).await?)
}
