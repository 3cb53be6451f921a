//! Operators: what users who moderate the whole server can do. Each action is in the
//! audit log.

use crate::{
    ChatId, Error, MessageId, Result, Time, UserId, accounts,
    audit::{Action, Client, NewEntry},
    auth::sessions,
    default_channels, events, invites, mail,
    search::{split_name_query, words},
    users::User,
    values::{InviteCode, Reason, SearchText},
    webhooks,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, QueryBuilder, types::Json};

/// Whether an account can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "account_state", rename_all = "snake_case")]
pub enum AccountState {
    /// The user can sign in.
    Active,
    /// The account waits for the approval of an operator.
    Pending,
    /// An operator has suspended the account.
    Suspended,
}

/// A user as an operator sees them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct UserAccount {
    /// The public profile.
    #[serde(flatten)]
    pub user: User,
    /// The email address used to sign in; null for a bot.
    pub email: Option<String>,
    /// Whether the account can be used.
    pub state: AccountState,
    /// Whether the user is an operator.
    pub is_operator: bool,
    /// When a device of the user last received tokens, or an API token of the user was last used;
    /// null if none was lately.
    pub last_used_at: Option<Time>,
}

/// Which users to list.
#[derive(Debug, Default)]
pub struct UserFilter {
    /// Only users whose names match, or whose email address begins with it.
    pub text: Option<SearchText>,
    /// Only accounts in this state.
    pub state: Option<AccountState>,
    /// Only users with a higher id.
    pub after: Option<UserId>,
}

/// Lists users by id. Deleted accounts are omitted.
pub async fn list_users(db: impl PgExecutor<'_>, filter: &UserFilter, limit: i64) -> Result<Vec<UserAccount>> {
    let mut sql = QueryBuilder::new(
        "select user_json(u) as \"user\", u.email, u.state, u.is_operator,
                (select max(s.used_at) from sessions s where s.user_id = u.id) as last_used_at
         from users u where u.deleted_at is null",
    );
    if let Some(text) = &filter.text {
        // A union, because an index serves each part but not an `or`; and an array, so that the
        // planner does not join it with all users.
        sql.push(" and u.id = any(array(select id from users where lower(email) like ");
        sql.push_bind(format!("{}%", escape_like(&text.as_str().trim().to_lowercase())));
        let beginnings = split_name_query(text);
        if !beginnings.is_empty() {
            sql.push(" union select id from users where deleted_at is null");
            for beginning in beginnings {
                sql.push(" and words like ").push_bind(format!("% {beginning}%"));
            }
        }
        sql.push("))");
    }
    // Constants, so that the planner can use the partial index.
    match filter.state {
        None => {}
        Some(AccountState::Active) => {
            sql.push(" and u.state = 'active'");
        }
        Some(AccountState::Pending) => {
            sql.push(" and u.state = 'pending'");
        }
        Some(AccountState::Suspended) => {
            sql.push(" and u.state = 'suspended'");
        }
    }
    if let Some(after) = filter.after {
        sql.push(" and u.id > ").push_bind(after);
    }
    sql.push(" order by u.id limit ").push_bind(limit);
    let rows: Vec<UserAccountRow> = sql.build_query_as().fetch_all(db).await?;
    Ok(rows.into_iter().map(UserAccount::from).collect())
}

#[derive(sqlx::FromRow)]
struct UserAccountRow {
    user: Json<User>,
    email: Option<String>,
    state: AccountState,
    is_operator: bool,
    last_used_at: Option<Time>,
}

impl From<UserAccountRow> for UserAccount {
    fn from(row: UserAccountRow) -> Self {
        let UserAccountRow { user: Json(user), email, state, is_operator, last_used_at } = row;
        Self { user, email, state, is_operator, last_used_at }
    }
}

/// Escapes what has a meaning in a pattern of `like`.
fn escape_like(text: &str) -> String {
    text.replace('\\', r"\\").replace('%', r"\%").replace('_', r"\_")
}

/// Whether a user is an operator.
pub async fn is_operator(db: impl PgExecutor<'_>, user: UserId) -> Result<bool> {
    let sql = "select exists (select from users where id = $1 and is_operator and state = 'active')";
    Ok(sqlx::query_scalar(sql).bind(user).fetch_one(db).await?)
}

/// Makes a user an operator, and approves their account if it is pending; or makes an operator
/// an ordinary user. Idempotent.
pub async fn set_operator(db: &PgPool, user: UserId, is_operator: bool) -> Result<()> {
    let mut tx = db.begin().await?;
    let is_pending = lock_state(&mut tx, user).await? == AccountState::Pending;
    // Nobody else may be there to approve the account.
    if is_operator && is_pending {
        set_state(&mut tx, user, AccountState::Active).await?;
        NewEntry::new(Action::AccountApproved).with_user(user).write(&mut *tx).await?;
    }
    let changed = sqlx::query("update users set is_operator = $2 where id = $1 and is_operator <> $2")
        .bind(user)
        .bind(is_operator)
        .execute(&mut *tx)
        .await?;
    if changed.rows_affected() == 1 {
        let action = if is_operator { Action::OperatorAppointed } else { Action::OperatorDismissed };
        NewEntry::new(action).with_user(user).write(&mut *tx).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// The operator who acts, and their client.
#[derive(Debug, Clone)]
pub struct Operator {
    /// The user.
    pub user_id: UserId,
    /// The client that sent the request.
    pub client: Client,
}

impl Operator {
    pub(crate) fn entry(&self, action: Action) -> NewEntry<'_> {
        NewEntry::new(action).with_actor(self.user_id).with_client(&self.client)
    }

    /// Suspends an account: ends its sessions and those of its bots, and it cannot sign in.
    /// Idempotent.
    pub async fn suspend(&self, db: &PgPool, user: UserId, reason: Option<&Reason>) -> Result<()> {
        if user == self.user_id {
            return Err(Error::invalid("user_id", "you cannot suspend yourself"));
        }
        let mut log = events::begin(db, self.user_id).await?;
        // Two operators who suspend each other at once: the first one prevails.
        if !is_operator(&mut *log, self.user_id).await? {
            return Err(Error::Forbidden("only operators of this server can do this"));
        }
        match lock_state(&mut log, user).await? {
            AccountState::Active => {}
            AccountState::Suspended => return Ok(()),
            AccountState::Pending => return Err(PENDING),
        }
        set_state(&mut log, user, AccountState::Suspended).await?;
        sessions::revoke_all(&mut log, user).await?;
        self.entry(Action::AccountSuspended)
            .with_user(user)
            .with_detail(reason.map_or("", Reason::as_str))
            .write(&mut *log)
            .await?;
        log.commit().await?;
        Ok(())
    }

    /// Ends the suspension of an account. Idempotent.
    pub async fn end_suspension(&self, db: &PgPool, user: UserId) -> Result<()> {
        let mut tx = db.begin().await?;
        match lock_state(&mut tx, user).await? {
            AccountState::Suspended => {}
            AccountState::Active => return Ok(()),
            AccountState::Pending => return Err(PENDING),
        }
        set_state(&mut tx, user, AccountState::Active).await?;
        self.entry(Action::SuspensionEnded).with_user(user).write(&mut *tx).await?;
        tx.commit().await?;
        Ok(())
    }

    /// Lets a user sign in whose account waits for approval, and accepts the invite with which
    /// they signed up. Idempotent.
    pub async fn approve(&self, db: &PgPool, user: UserId, is_mail_sent: bool) -> Result<()> {
        let mut tx = db.begin().await?;
        if lock_state(&mut tx, user).await? != AccountState::Pending {
            return Ok(());
        }
        set_state(&mut tx, user, AccountState::Active).await?;
        let invite: Option<String> =
            sqlx::query_scalar("select pending_invite from users where id = $1").bind(user).fetch_one(&mut *tx).await?;
        sqlx::query("update users set pending_invite = null where id = $1").bind(user).execute(&mut *tx).await?;
        self.entry(Action::AccountApproved).with_user(user).write(&mut *tx).await?;
        if is_mail_sent {
            mail::enqueue_notice(&mut tx, mail::Kind::AccountApproved, user, None).await?;
        }
        tx.commit().await?;
        default_channels::join_all(db, user).await;
        let Some(code) = invite.and_then(|code| InviteCode::try_from(code).ok()) else { return Ok(()) };
        match invites::accept(db, user, &code).await {
            // The invite may have ended, or the user may be banned.
            Ok(_) | Err(Error::NotFound(_) | Error::Forbidden(_) | Error::Conflict { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes an account that waits for approval.
    pub async fn reject(&self, db: &PgPool, user: UserId) -> Result<()> {
        let mut log = events::begin(db, self.user_id).await?;
        if lock_state(&mut log, user).await? != AccountState::Pending {
            return Err(Error::Conflict { code: "not_pending", detail: "this account does not wait for approval" });
        }
        accounts::anonymize(&mut log, user).await?;
        self.entry(Action::AccountRejected).with_user(user).write(&mut *log).await?;
        log.commit().await?;
        Ok(())
    }

    /// Ends all sessions of a user.
    pub async fn end_sessions(&self, db: &PgPool, user: UserId) -> Result<()> {
        let mut log = events::begin(db, self.user_id).await?;
        lock_state(&mut log, user).await?;
        sessions::revoke_all(&mut log, user).await?;
        self.entry(Action::SessionsEnded).with_user(user).write(&mut *log).await?;
        log.commit().await?;
        Ok(())
    }

    /// Replaces the display name of a user by the username, and removes the bio, avatar and custom status.
    pub async fn remove_profile(&self, db: &PgPool, user: UserId) -> Result<()> {
        let mut log = events::begin(db, self.user_id).await?;
        lock_state(&mut log, user).await?;
        let username: String =
            sqlx::query_scalar("select username from users where id = $1").bind(user).fetch_one(&mut *log).await?;
        sqlx::query(
            "update users set display_name = username, bio = '', avatar_file_id = null, words = $2, custom_status = null,
                              custom_status_expires_at = null where id = $1",
        )
        .bind(user)
        .bind(words(&username))
        .execute(&mut *log)
        .await?;
        self.entry(Action::ProfileRemoved).with_user(user).write(&mut *log).await?;
        log.commit().await?;
        Ok(())
    }

    /// Deletes a message of any chat. Idempotent.
    pub async fn remove_message(&self, db: &PgPool, message: MessageId) -> Result<()> {
        let mut log = events::begin(db, self.user_id).await?;
        let (chat, sender): (ChatId, Option<UserId>) =
            sqlx::query_as("select chat_id, sender_id from messages where id = $1")
                .bind(message)
                .fetch_optional(&mut *log)
                .await?
                .ok_or(Error::NotFound("message"))?;
        let is_new: bool = sqlx::query_scalar("select erase_message($1)").bind(message).fetch_one(&mut *log).await?;
        if is_new {
            let entry = self.entry(Action::MessageRemoved).with_message(message).with_chat(chat);
            let entry = match sender {
                Some(sender) => entry.with_user(sender),
                None => entry,
            };
            entry.write(&mut *log).await?;
        }
        log.commit().await?;
        Ok(())
    }

    /// Deletes a chat with everything in it.
    pub async fn remove_chat(&self, db: &PgPool, chat: ChatId) -> Result<()> {
        let mut log = events::begin(db, self.user_id).await?;
        webhooks::erase_all(&mut log, chat).await?;
        let name: String = sqlx::query_scalar("delete from chats where id = $1 returning name")
            .bind(chat)
            .fetch_optional(&mut *log)
            .await?
            .ok_or(Error::NotFound("chat"))?;
        self.entry(Action::ChatRemoved).with_chat(chat).with_detail(&name).write(&mut *log).await?;
        log.commit().await?;
        Ok(())
    }
}

const PENDING: Error =
    Error::Conflict { code: "pending", detail: "this account waits for approval; approve or reject it" };

/// Returns the state of an account, and locks it until the end of the transaction.
async fn lock_state(db: &mut PgConnection, user: UserId) -> Result<AccountState> {
    sqlx::query_scalar("select state from users where id = $1 and deleted_at is null for no key update")
        .bind(user)
        .fetch_optional(db)
        .await?
        .ok_or(Error::NotFound("user"))
}

async fn set_state(db: &mut PgConnection, user: UserId, state: AccountState) -> Result<()> {
    sqlx::query("update users set state = $2 where id = $1").bind(user).bind(state).execute(db).await?;
    Ok(())
}
