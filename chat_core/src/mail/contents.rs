//! What a mail says, found out when it is sent: what is no longer true is not written.

use super::{
    Kind, Language,
    accounts::{self, ActiveAccount},
    digests::{self, Digest, DigestOutcome},
    links,
    queue::DueMail,
};
use crate::Result;
use sqlx::{PgConnection, PgPool};

/// What a mail says.
#[derive(Debug)]
pub enum Content {
    /// Finish the sign-up.
    ConfirmSignUp {
        /// The username that was wanted.
        username: String,
        /// The code of the invite with which the user came.
        invite: Option<String>,
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

/// A mail as it is to be sent.
#[derive(Debug)]
pub struct Outgoing {
    /// To whom: the address of the account if there is one, and not the one of a request.
    pub address: String,
    /// In which language.
    pub language: Language,
    /// What it says.
    pub content: Content,
}

/// The result of [`compose`].
#[derive(Debug)]
pub enum ComposeOutcome {
    /// This is to be sent.
    Send(Box<Outgoing>),
    /// There is nothing to write any more.
    Drop,
    /// It is too early; try in so many seconds.
    Postpone(f64),
}

impl From<Option<Outgoing>> for ComposeOutcome {
    fn from(outgoing: Option<Outgoing>) -> Self {
        outgoing.map_or(Self::Drop, |outgoing| Self::Send(Box::new(outgoing)))
    }
}

/// Finds out what a mail says.
pub async fn compose(db: &PgPool, due: &DueMail) -> Result<ComposeOutcome> {
    let db = &mut *db.acquire().await?;
    let outgoing = match due.kind {
        Kind::SignUp => compose_sign_up(db, due).await?,
        Kind::PasswordReset => compose_password_reset(db, due).await?,
        Kind::EmailChange => compose_email_change(db, due).await?,
        Kind::Invitation => compose_invitation(db, due).await?,
        Kind::Digest => return compose_digest(db, due).await,
        Kind::PasswordChanged | Kind::EmailChanged | Kind::NewSignIn | Kind::AccountApproved => {
            compose_notice(db, due).await?
        }
    };
    Ok(outgoing.into())
}

async fn compose_sign_up(db: &mut PgConnection, due: &DueMail) -> Result<Option<Outgoing>> {
    if let Some(owner) = accounts::find_active(&mut *db, &due.address).await? {
        return Ok(Some(account_exists(owner)));
    }
    if is_in_use(db, &due.address).await? {
        return Ok(None);
    }
    let Some(token) = links::create(db, due).await? else { return Ok(None) };
    let invite = Some(due.text("invite")).filter(|invite| !invite.is_empty());
    Ok(Some(due.outgoing(Content::ConfirmSignUp { username: due.text("username"), invite, token })))
}

async fn compose_password_reset(db: &mut PgConnection, due: &DueMail) -> Result<Option<Outgoing>> {
    let Some(owner) = accounts::find_active(&mut *db, &due.address).await? else { return Ok(None) };
    let Some(token) = links::create(db, due).await? else { return Ok(None) };
    let ActiveAccount { username, email, language, .. } = owner;
    Ok(Some(Outgoing { address: email, language, content: Content::ResetPassword { username, token } }))
}

async fn compose_email_change(db: &mut PgConnection, due: &DueMail) -> Result<Option<Outgoing>> {
    let Some(user) = find_user(db, due).await? else { return Ok(None) };
    match accounts::find_active(&mut *db, &due.address).await? {
        Some(owner) if owner.id != user.id => return Ok(Some(account_exists(owner))),
        None if is_in_use(db, &due.address).await? => return Ok(None),
        _ => {}
    }
    let Some(token) = links::create(db, due).await? else { return Ok(None) };
    let content = Content::ConfirmEmail { username: user.username, token };
    Ok(Some(Outgoing { address: due.address.clone(), language: user.language, content }))
}

async fn compose_notice(db: &mut PgConnection, due: &DueMail) -> Result<Option<Outgoing>> {
    let Some(ActiveAccount { username, .. }) = find_user(db, due).await? else { return Ok(None) };
    let content = match due.kind {
        Kind::PasswordChanged => Content::PasswordChanged { username },
        Kind::EmailChanged => Content::EmailChanged { username },
        Kind::AccountApproved => Content::AccountApproved { username },
        _ => Content::NewSignIn { username, device: due.text("device"), address: due.text("address") },
    };
    Ok(Some(due.outgoing(content)))
}

/// The inviter still has to be a member who can invite, and the reader may have an account that wants none.
async fn compose_invitation(db: &mut PgConnection, due: &DueMail) -> Result<Option<Outgoing>> {
    let code = due.text("code");
    let found: Option<(String, String, String)> = sqlx::query_as(
        "select coalesce(nullif(u.display_name, ''), u.username), c.name, coalesce(reader.email, $3)
         from active_invites i join chats c on c.id = i.chat_id
         join users u on u.id = i.created_by and u.state = 'active'
         join chat_members m on m.chat_id = c.id and m.user_id = u.id and 'invite' = any (permissions_of(c.type, m.role))
         left join users reader on lower(reader.email) = lower($3)
         where i.code = $1 and u.id = $2
           and not exists (select from mail_suppressions s where s.address = lower($3))
           and not exists (select from chat_members o where o.chat_id = c.id and o.user_id = reader.id)
           and not exists (select from chat_bans b where b.chat_id = c.id and b.user_id = reader.id)
           and not exists (
               select from blocks b
               where (b.blocker_id, b.blocked_id) in ((reader.id, u.id), (u.id, reader.id))
           )",
    )
    .bind(&code)
    .bind(due.user_id)
    .bind(&due.address)
    .fetch_optional(&mut *db)
    .await?;
    let Some((inviter, chat, address)) = found else { return Ok(None) };
    let Some(token) = links::create(db, due).await? else { return Ok(None) };
    let content = Content::Invitation { inviter, chat, code, token };
    Ok(Some(Outgoing { address, language: due.language, content }))
}

async fn compose_digest(db: &mut PgConnection, due: &DueMail) -> Result<ComposeOutcome> {
    let Some(user) = due.user_id else { return Ok(ComposeOutcome::Drop) };
    match digests::load(db, user, &due.address).await? {
        DigestOutcome::Send(digest) => {
            let Some(token) = links::create(db, due).await? else { return Ok(ComposeOutcome::Drop) };
            Ok(Some(due.outgoing(Content::Digest { digest, token })).into())
        }
        DigestOutcome::Drop => Ok(ComposeOutcome::Drop),
        DigestOutcome::Postpone(seconds) => Ok(ComposeOutcome::Postpone(seconds)),
    }
}

fn account_exists(owner: ActiveAccount) -> Outgoing {
    let ActiveAccount { username, email, language, .. } = owner;
    Outgoing { address: email, language, content: Content::AccountExists { username } }
}

impl DueMail {
    fn outgoing(&self, content: Content) -> Outgoing {
        Outgoing { address: self.address.clone(), language: self.language, content }
    }

    /// A text that the mail was stored with.
    fn text(&self, key: &str) -> String {
        self.data.get(key).and_then(|value| value.as_str()).unwrap_or_default().to_owned()
    }
}

/// Whether an account has the address, also one that cannot be used.
async fn is_in_use(db: &mut PgConnection, address: &str) -> Result<bool> {
    let sql = "select exists (select from users where lower(email) = lower($1))";
    Ok(sqlx::query_scalar(sql).bind(address).fetch_one(db).await?)
}

/// The active account that the mail is about.
async fn find_user(db: &mut PgConnection, due: &DueMail) -> Result<Option<ActiveAccount>> {
    let sql = "select id, username, email, language from users
               where id = $1 and kind = 'person' and state = 'active' and deleted_at is null";
    Ok(sqlx::query_as(sql).bind(due.user_id).fetch_optional(db).await?)
}
