//! The audit log: who signed in, failed to sign in, changed an account, a role or a ban,
//! exported data, or was refused. Triggers write the entries about roles and bans
//! (`migrations/0033_operators.sql`); entries never change.

use crate::{AuditEntryId, ChatId, MessageId, Result, Time, UserId, mail::Language};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::PgExecutor;
use std::net::IpAddr;

/// How long entries are kept, in days.
pub const RETENTION_DAYS: i32 = 365;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Action {
    /// A user created an account.
    SignedUp,
    /// A user signed in.
    SignedIn,
    /// Somebody tried to sign in with a wrong password.
    SignInFailed,
    /// A user changed the password.
    PasswordChanged,
    /// The command line or a link in a mail replaced the password.
    PasswordReset,
    /// A user has another email address.
    EmailChanged,
    /// A user created an API token, for themselves or for a bot.
    TokenCreated,
    /// A user revoked an API token.
    TokenRevoked,
    /// A user let a program act for them.
    ProgramAuthorized,
    /// A user created a bot.
    BotCreated,
    /// A user deleted a bot.
    BotDeleted,
    /// A member created a webhook of a chat.
    WebhookCreated,
    /// A member changed or removed the secret of GitHub of a webhook.
    WebhookUpdated,
    /// A member replaced the URL of a webhook.
    WebhookRenewed,
    /// A member deleted a webhook.
    WebhookDeleted,
    /// A user created an endpoint of outgoing webhooks.
    EndpointCreated,
    /// A user changed the URL of an endpoint.
    EndpointUpdated,
    /// A user replaced the secret of an endpoint.
    EndpointSecretRotated,
    /// A user deleted an endpoint.
    EndpointDeleted,
    /// A user created a bridge.
    BridgeCreated,
    /// A user changed the credentials of a bridge, or enabled or disabled it.
    BridgeUpdated,
    /// A user deleted a bridge.
    BridgeDeleted,
    /// A user connected a chat to a remote user.
    BridgeConnected,
    /// A user disconnected a chat from a remote user.
    BridgeDisconnected,
    /// A user exported their data.
    Exported,
    /// A user deleted the account.
    AccountDeleted,
    /// An operator approved an account.
    AccountApproved,
    /// An operator rejected an account that waited for approval, and so deleted it.
    AccountRejected,
    /// An operator suspended an account.
    AccountSuspended,
    /// An operator ended the suspension of an account.
    SuspensionEnded,
    /// An operator ended all sessions of a user.
    SessionsEnded,
    /// An operator removed the display name, bio and avatar of a user.
    ProfileRemoved,
    /// An operator removed a message.
    MessageRemoved,
    /// An operator deleted a chat.
    ChatRemoved,
    /// An operator made a public channel a default channel.
    DefaultChannelAdded,
    /// An operator made a default channel an ordinary one.
    DefaultChannelRemoved,
    /// The command line made a user an operator.
    OperatorAppointed,
    /// The command line made an operator an ordinary user.
    OperatorDismissed,
    /// The role of a member changed.
    RoleChanged,
    /// A user was banned from a chat.
    Banned,
    /// A user was unbanned from a chat.
    Unbanned,
    /// A request was refused because the user lacks the permission.
    Refused,
}

/// The client that sent a request.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Client {
    /// Its address; of an IPv6 address the first of its /64 network.
    pub address: Option<IpAddr>,
    /// Its `User-Agent`, at most 250 characters.
    pub user_agent: String,
    /// The language that it prefers.
    pub language: Language,
}

/// An entry to write.
#[derive(Debug, Clone)]
pub struct NewEntry<'a> {
    action: Action,
    actor: Option<UserId>,
    user: Option<UserId>,
    chat: Option<ChatId>,
    message: Option<MessageId>,
    client: Option<&'a Client>,
    detail: &'a str,
}

impl<'a> NewEntry<'a> {
    /// An entry about an action of the command line, or of a client without a session.
    pub fn new(action: Action) -> Self {
        Self { action, actor: None, user: None, chat: None, message: None, client: None, detail: "" }
    }

    /// Adds the user who acted.
    #[must_use]
    pub fn with_actor(self, actor: UserId) -> Self {
        Self { actor: Some(actor), ..self }
    }

    /// Adds the user whom the action concerns.
    #[must_use]
    pub fn with_user(self, user: UserId) -> Self {
        Self { user: Some(user), ..self }
    }

    /// Adds the chat that the action concerns.
    #[must_use]
    pub fn with_chat(self, chat: ChatId) -> Self {
        Self { chat: Some(chat), ..self }
    }

    /// Adds the message that the action concerns.
    #[must_use]
    pub fn with_message(self, message: MessageId) -> Self {
        Self { message: Some(message), ..self }
    }

    /// Adds the client.
    #[must_use]
    pub fn with_client(self, client: &'a Client) -> Self {
        Self { client: Some(client), ..self }
    }

    /// Adds a text, which is truncated to 1,000 characters.
    #[must_use]
    pub fn with_detail(self, detail: &'a str) -> Self {
        Self { detail, ..self }
    }

    /// Writes the entry.
    pub async fn write(self, db: impl PgExecutor<'_>) -> Result<()> {
        sqlx::query(
            "insert into audit_log (action, actor_id, user_id, chat_id, message_id, address, user_agent, detail)
             values ($1, $2, $3, $4, $5, $6::inet, left($7, 250), left($8, 1000))",
        )
        .bind(self.action)
        .bind(self.actor)
        .bind(self.user)
        .bind(self.chat)
        .bind(self.message)
        .bind(self.client.and_then(|client| client.address).map(|address| address.to_string()))
        .bind(self.client.map_or("", |client| &client.user_agent))
        .bind(self.detail)
        .execute(db)
        .await?;
        Ok(())
    }
}

/// An entry of the audit log.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct AuditEntry {
    /// The id.
    pub id: AuditEntryId,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub action: Action,
    /// Who acted; null for the command line, and for a client without a session.
    pub actor_id: Option<UserId>,
    /// The user whom the action concerns, if it is another one than the actor.
    pub user_id: Option<UserId>,
    /// The chat that the action concerns, if any.
    pub chat_id: Option<ChatId>,
    /// The message that the action concerns, if any.
    pub message_id: Option<MessageId>,
    /// The address of the client, if known; of an IPv6 address the first of its /64 network.
    pub address: Option<String>,
    /// The `User-Agent` of the client; may be empty.
    pub user_agent: String,
    /// More about the action, such as the reason of a suspension; may be empty.
    pub detail: String,
}

/// Which entries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct Filter {
    /// Only entries whose actor or subject is this user.
    pub user: Option<UserId>,
    /// Only entries about this action.
    pub action: Option<Action>,
    /// Only entries with a lower id.
    pub before: Option<AuditEntryId>,
}

const COLUMNS: &str =
    "id, at, action, actor_id, user_id, chat_id, message_id, host(address) as address, user_agent, detail";

/// Lists entries, newest first.
pub async fn list(db: impl PgExecutor<'_>, filter: Filter, limit: i64) -> Result<Vec<AuditEntry>> {
    // Two conditions that can each use an index, instead of one with `or`.
    let sql = match filter.user {
        None => format!(
            "select {COLUMNS} from audit_log
             where $1::bigint is null and ($2::text is null or action = $2) and ($3::bigint is null or id < $3)
             order by id desc limit $4"
        ),
        Some(_) => format!(
            "select {COLUMNS} from audit_log where id in (
                 (select id from audit_log where actor_id = $1 and ($2::text is null or action = $2)
                  and ($3::bigint is null or id < $3) order by id desc limit $4)
                 union
                 (select id from audit_log where user_id = $1 and ($2::text is null or action = $2)
                  and ($3::bigint is null or id < $3) order by id desc limit $4)
             )
             order by id desc limit $4"
        ),
    };
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .bind(filter.user)
        .bind(filter.action)
        .bind(filter.before)
        .bind(limit)
        .fetch_all(db)
        .await?)
}

/// One security-related action on a user's account.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct Activity {
    /// The id.
    pub id: AuditEntryId,
    /// When it happened.
    pub at: Time,
    /// What happened.
    pub action: Action,
    /// The address of the client, if known; of an IPv6 address the first of its /64 network.
    pub address: Option<String>,
    /// The `User-Agent` of the client; may be empty.
    pub user_agent: String,
}

/// Lists the sign-ins of a user, failed ones included, the changes of the password and of API
/// tokens and bots, and exports, newest first. It does not show who operates the server.
pub async fn list_activity(db: impl PgExecutor<'_>, user: UserId, limit: i64) -> Result<Vec<Activity>> {
    Ok(sqlx::query_as(
        "select id, at, action, host(address) as address, user_agent from audit_log
         where id in (
             (select id from audit_log
              where actor_id = $1 and action in (
                  'signed_up', 'signed_in', 'password_changed', 'exported', 'token_created', 'token_revoked',
                  'bot_created', 'bot_deleted', 'endpoint_created', 'endpoint_updated', 'endpoint_secret_rotated', 'endpoint_deleted',
                  'bridge_created', 'bridge_updated', 'bridge_deleted', 'bridge_connected', 'bridge_disconnected'
              )
              order by id desc limit $2)
             union all
             (select id from audit_log where user_id = $1 and action in ('sign_in_failed', 'password_reset')
              order by id desc limit $2)
         )
         order by id desc limit $2",
    )
    .bind(user)
    .bind(limit)
    .fetch_all(db)
    .await?)
}

/// Deletes the entries that are older than [`RETENTION_DAYS`], and returns how many.
pub(crate) async fn delete_old(db: impl PgExecutor<'_>) -> Result<u64> {
    let sql = "delete from audit_log where at < now() - make_interval(days => $1)";
    Ok(sqlx::query(sql).bind(RETENTION_DAYS).execute(db).await?.rows_affected())
}
