//! Incoming webhooks: URLs to which programs post messages in the formats of other products.
//! Each webhook sends as a user of its own, which is a member of its chat.

use crate::{
    ChatId, Error, FileId, Result, Time, UserId, WebhookId, accounts,
    audit::{Action, Client, NewEntry},
    auth::{hash_secret, new_code, new_secret},
    events, hub_signature, members,
    permissions::Permission,
    sealing::{NOT_CONFIGURED, Sealer, SecretLocation},
    search::words,
    users::{self, ProfileChange},
    values::{DisplayName, GithubSecret, WebhookToken, deserialize_nullable},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Maximum number of webhooks of one chat.
pub(crate) const MAX_WEBHOOKS: i64 = 10;

/// A webhook to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewWebhook {
    /// The name that its messages show unless they choose another.
    pub name: DisplayName,
}

/// Changes to a webhook; absent fields stay unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct WebhookPatch {
    /// The name that its messages show unless they choose another.
    pub name: Option<DisplayName>,
    /// The avatar, an image that the caller uploaded; null removes it.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schemars(with = "Option<FileId>")]
    pub avatar_file_id: Option<Option<FileId>>,
    /// The secret with which GitHub signs deliveries; null removes it. With one, deliveries in GitHub's
    /// format that are not signed are refused.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schemars(with = "Option<GithubSecret>")]
    pub github_secret: Option<Option<GithubSecret>>,
}

/// A webhook, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct Webhook {
    /// The id.
    pub id: WebhookId,
    /// The chat to which it posts.
    pub chat_id: ChatId,
    /// The name that its messages show unless they choose another.
    pub name: String,
    /// The user that sends its messages.
    pub user_id: UserId,
    /// Who created it. It ends when this user leaves the chat.
    pub created_by: UserId,
    /// Whether deliveries in GitHub's format must be signed.
    pub has_github_secret: bool,
    /// When it was created.
    pub created_at: Time,
}

/// A webhook with its URL, which contains the secret and is shown only once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WebhookWithUrl {
    /// The webhook.
    #[serde(flatten)]
    pub webhook: Webhook,
    /// The secret. It is not stored and cannot be read again.
    pub token: String,
    /// The path to which programs post messages: `/api/webhooks/{id}/{token}`.
    pub url: String,
}

impl WebhookWithUrl {
    fn new(webhook: Webhook, token: String) -> Self {
        let url = format!("/api/webhooks/{}/{token}", webhook.id);
        Self { webhook, token, url }
    }
}

const COLUMNS: &str = "w.id, w.chat_id, u.display_name as name, w.user_id, u.owner_id as created_by,
    w.github_secret is not null as has_github_secret, w.created_at";

/// Where the secret of GitHub of a webhook is.
fn location(id: WebhookId) -> SecretLocation {
    SecretLocation { table: "webhooks", row: id.get() }
}

async fn require_permission(log: &mut PgConnection, chat: ChatId, actor: UserId) -> Result<()> {
    members::require_membership(log, chat, actor).await?.require(Permission::EditChat)
}

/// Creates a webhook of a chat, for a member who may edit the chat.
pub async fn create(
    db: &PgPool,
    actor: UserId,
    client: &Client,
    chat: ChatId,
    new: &NewWebhook,
) -> Result<WebhookWithUrl> {
    let mut log = events::begin(db, actor).await?;
    require_permission(&mut log, chat, actor).await?;
    let count: i64 =
        sqlx::query_scalar("select count(*) from webhooks where chat_id = $1").bind(chat).fetch_one(&mut *log).await?;
    if count >= MAX_WEBHOOKS {
        return Err(Error::Conflict { code: "too_many_webhooks", detail: "too many webhooks; delete one first" });
    }
    let username = format!("webhook-{}", new_code().to_ascii_lowercase().replace(['-', '_'], "x"));
    let user: UserId = sqlx::query_scalar(
        "insert into users (kind, owner_id, username, display_name, words) values ('webhook', $1, $2, $3, $4)
         returning id",
    )
    .bind(actor)
    .bind(&username)
    .bind(new.name.as_str())
    .bind(words(&format!("{username} {}", new.name.as_str())))
    .fetch_one(&mut *log)
    .await?;
    members::add_member(&mut log, chat, user).await?;
    let (token, hash) = new_secret();
    let id: WebhookId =
        sqlx::query_scalar("insert into webhooks (chat_id, user_id, token_hash) values ($1, $2, $3) returning id")
            .bind(chat)
            .bind(user)
            .bind(hash)
            .fetch_one(&mut *log)
            .await?;
    let entry = NewEntry::new(Action::WebhookCreated).with_actor(actor).with_chat(chat).with_client(client);
    entry.with_detail(new.name.as_str()).write(&mut *log).await?;
    let webhook = get(&mut log, chat, id).await?;
    log.commit().await?;
    Ok(WebhookWithUrl::new(webhook, token))
}

async fn get(log: &mut PgConnection, chat: ChatId, id: WebhookId) -> Result<Webhook> {
    let sql =
        format!("select {COLUMNS} from webhooks w join users u on u.id = w.user_id where w.chat_id = $1 and w.id = $2");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(chat).bind(id).fetch_optional(log).await?;
    found.ok_or(Error::NotFound("webhook"))
}

/// Lists the webhooks of a chat, by id, for a member who may edit the chat.
pub async fn list(db: &mut PgConnection, actor: UserId, chat: ChatId) -> Result<Vec<Webhook>> {
    require_permission(db, chat, actor).await?;
    let sql =
        format!("select {COLUMNS} from webhooks w join users u on u.id = w.user_id where w.chat_id = $1 order by w.id");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(chat).fetch_all(db).await?)
}

/// Changes the name, the avatar and the secret of GitHub of a webhook. `sealer` seals a new secret.
pub async fn update(
    db: &PgPool,
    sealer: Option<&Sealer>,
    actor: UserId,
    client: &Client,
    chat: ChatId,
    id: WebhookId,
    patch: WebhookPatch,
) -> Result<Webhook> {
    let mut log = events::begin(db, actor).await?;
    require_permission(&mut log, chat, actor).await?;
    let webhook = get(&mut log, chat, id).await?;
    let WebhookPatch { name, avatar_file_id, github_secret } = patch;
    let change = ProfileChange { display_name: name.as_ref(), avatar_file_id, ..ProfileChange::default() };
    users::change_profile(&mut log, webhook.user_id, &[actor], change).await?;
    if let Some(secret) = github_secret {
        let sealed = match (secret, sealer) {
            (Some(secret), Some(sealer)) => Some(sealer.seal(location(id), secret.as_str().as_bytes())?),
            (Some(_), None) => return Err(NOT_CONFIGURED),
            (None, _) => None,
        };
        sqlx::query("update webhooks set github_secret = $2 where id = $1")
            .bind(id)
            .bind(sealed)
            .execute(&mut *log)
            .await?;
        let entry = NewEntry::new(Action::WebhookUpdated).with_actor(actor).with_chat(chat).with_client(client);
        entry.with_detail(&webhook.name).write(&mut *log).await?;
    }
    let webhook = get(&mut log, chat, id).await?;
    log.commit().await?;
    Ok(webhook)
}

/// Replaces the secret of a webhook. The old URL stops working at once.
pub async fn renew(db: &PgPool, actor: UserId, client: &Client, chat: ChatId, id: WebhookId) -> Result<WebhookWithUrl> {
    let mut log = events::begin(db, actor).await?;
    require_permission(&mut log, chat, actor).await?;
    let webhook = get(&mut log, chat, id).await?;
    let (token, hash) = new_secret();
    sqlx::query("update webhooks set token_hash = $2 where id = $1").bind(id).bind(hash).execute(&mut *log).await?;
    let entry = NewEntry::new(Action::WebhookRenewed).with_actor(actor).with_chat(chat).with_client(client);
    entry.with_detail(&webhook.name).write(&mut *log).await?;
    log.commit().await?;
    Ok(WebhookWithUrl::new(webhook, token))
}

/// Deletes a webhook. Its messages stay, with the names that they show.
pub async fn delete(db: &PgPool, actor: UserId, client: &Client, chat: ChatId, id: WebhookId) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    require_permission(&mut log, chat, actor).await?;
    let webhook = get(&mut log, chat, id).await?;
    members::delete(&mut log, chat, webhook.user_id).await?;
    let entry = NewEntry::new(Action::WebhookDeleted).with_actor(actor).with_chat(chat).with_client(client);
    entry.with_detail(&webhook.name).write(&mut *log).await?;
    log.commit().await?;
    Ok(())
}

/// Erases the users of all webhooks and bridges of a chat that is about to be deleted.
pub(crate) async fn erase_all(log: &mut PgConnection, chat: ChatId) -> Result<()> {
    let users: Vec<UserId> =
        sqlx::query_scalar(
        "select user_id from webhooks where chat_id = $1 union all select ghost_id from bridge_chats where chat_id = $1",
    ).bind(chat).fetch_all(&mut *log).await?;
    for user in users {
        accounts::erase(&mut *log, user).await?;
    }
    Ok(())
}

/// Whether a delivery of GitHub may be posted: it is signed with the secret of the webhook, or there is
/// none.
pub async fn is_signed_by_github(
    db: impl PgExecutor<'_>,
    sealer: Option<&Sealer>,
    webhook: &Webhook,
    signature: &str,
    body: &[u8],
) -> Result<bool> {
    if !webhook.has_github_secret {
        return Ok(true);
    }
    let sealed: Option<Option<Vec<u8>>> = sqlx::query_scalar("select github_secret from webhooks where id = $1")
        .bind(webhook.id)
        .fetch_optional(db)
        .await?;
    let sealed = sealed.flatten().ok_or(Error::NotFound("webhook"))?;
    let sealer = sealer.ok_or(NOT_CONFIGURED)?;
    Ok(hub_signature::is_valid(&sealer.open(location(webhook.id), &sealed)?, signature, body))
}

/// Finds the webhook of a URL.
pub async fn find(db: impl PgExecutor<'_>, id: WebhookId, token: &WebhookToken) -> Result<Option<Webhook>> {
    let sql = format!(
        "select {COLUMNS} from webhooks w join users u on u.id = w.user_id
         where w.id = $1 and w.token_hash = $2 and u.state = 'active'
           and exists (select from users o where o.id = u.owner_id and o.state = 'active')"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(hash_secret(token.as_str())).fetch_optional(db).await?)
}
