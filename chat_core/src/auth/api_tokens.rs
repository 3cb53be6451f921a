//! API tokens, with which programs act for a bot or for a person. A token is a session that
//! no device signed in to, limited to some scopes and possibly to some chats.
//!
//! The text of a token is `cfb_` and 64 characters: the id of the session, and 256 random bits. The
//! prefix lets scanners find tokens that were published by mistake. A token that a user grants to a
//! program by OAuth (`oauth`) has no text.

use super::{Claims, Grant, Identity, Scope, hash_secret, sessions};
use crate::{
    ChatId, Error, Result, Time, UserId,
    audit::{Action, Client, NewEntry},
    bots, events,
    values::TokenName,
};
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use rand::Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, de};
use sqlx::{PgConnection, PgExecutor, PgPool};
use std::sync::Arc;
use uuid::Uuid;

/// The beginning of every API token.
pub const PREFIX: &str = "cfb_";

/// Maximum number of active tokens of one user. Each bot has its own.
const MAX_TOKENS: i64 = 50;

/// Maximum number of chats to which a token is limited.
const MAX_CHATS: usize = 100;

/// Maximum lifetime of a token that expires, in days.
const MAX_DAYS: u16 = 3650;

const DAY_SECONDS: f64 = 24.0 * 3600.0;

/// A token to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewApiToken {
    /// What the token is for.
    pub name: TokenName,
    /// What the token can do.
    #[serde(deserialize_with = "deserialize_scopes")]
    #[schemars(length(min = 1, max = Scope::ALL.len()))]
    pub scopes: Vec<Scope>,
    /// The only chats that the token reads and writes to; all chats of the user if absent.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub chat_ids: Option<Vec<ChatId>>,
    /// The only ones of these chats that the token writes to; all of them if absent.
    #[serde(default)]
    #[schemars(length(max = 100))]
    pub write_chat_ids: Option<Vec<ChatId>>,
    /// After how many days the token expires; never if absent.
    #[serde(default)]
    #[schemars(range(min = 1, max = 3650))]
    pub expires_in_days: Option<u16>,
    /// The bot of the caller that the token acts for; the caller if absent.
    #[serde(default)]
    pub bot_id: Option<UserId>,
}

pub(crate) fn deserialize_scopes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Scope>, D::Error> {
    let mut scopes = Vec::<Scope>::deserialize(deserializer)?;
    if scopes.len() > Scope::ALL.len() {
        return Err(de::Error::custom(format!("must be at most {} scopes", Scope::ALL.len())));
    }
    scopes.sort_unstable();
    scopes.dedup();
    if scopes.is_empty() { Err(de::Error::custom("must be at least one scope")) } else { Ok(scopes) }
}

/// The id of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(transparent)]
#[sqlx(transparent)]
pub struct TokenId(Uuid);

impl TokenId {
    /// Returns the id of the session of the token.
    pub fn session(self) -> Uuid {
        self.0
    }
}

impl From<Uuid> for TokenId {
    fn from(id: Uuid) -> Self {
        Self(id)
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct ApiToken {
    /// The id.
    pub id: TokenId,
    /// The user whom the token acts for: the caller or one of the caller's bots.
    pub user_id: UserId,
    /// What the token is for.
    pub name: String,
    /// The last four characters of the token; null if the user granted it to a program.
    pub last_four: Option<String>,
    /// The program to which the user granted the token: the URL of its description; null if the user
    /// copied the token.
    pub client_id: Option<String>,
    /// What the token can do.
    #[sqlx(try_from = "Vec<String>")]
    pub scopes: ScopeList,
    /// The only chats that the token reads and writes to; null means all.
    pub chat_ids: Option<Vec<ChatId>>,
    /// The only ones of these chats that the token writes to; null means all of them.
    pub write_chat_ids: Option<Vec<ChatId>>,
    /// When the token was created.
    pub created_at: Time,
    /// When the token was last used, to the minute; null if it never was.
    pub used_at: Option<Time>,
    /// When the token expires; null if never.
    pub expires_at: Option<Time>,
}

/// Scopes, as the database stores them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct ScopeList(pub Vec<Scope>);

impl From<Vec<String>> for ScopeList {
    /// A scope that this version does not know grants nothing.
    fn from(names: Vec<String>) -> Self {
        Self(names.iter().filter_map(|name| Scope::parse(name)).collect())
    }
}

/// A new token, with its secret, which is shown only once.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CreatedApiToken {
    /// The token, for `Authorization: Bearer`. It is not stored and cannot be read again.
    pub token: String,
    /// Its properties.
    #[serde(flatten)]
    pub properties: ApiToken,
}

const COLUMNS: &str =
    "t.session_id as id, s.user_id, t.name, nullif(t.last_four, '') as last_four, t.client_id, t.scopes, t.chat_ids, t.write_chat_ids,
    s.created_at, nullif(s.used_at, s.created_at) as used_at, nullif(s.expires_at, 'infinity') as expires_at";

/// Creates a token for the caller or for one of the caller's bots.
pub async fn create(db: &PgPool, caller: Claims, client: &Client, new: NewApiToken) -> Result<CreatedApiToken> {
    let owner = caller.user_id;
    let NewApiToken { name, scopes, chat_ids, write_chat_ids, expires_in_days, bot_id } = new;
    let ChatLists { chat_ids, write_chat_ids } = ChatLists::new(chat_ids, write_chat_ids)?;
    if expires_in_days.is_some_and(|days| !(1..=MAX_DAYS).contains(&days)) {
        return Err(Error::invalid("expires_in_days", format!("must be from 1 to {MAX_DAYS}")));
    }
    let session_id = Uuid::new_v4();
    let token = encode(session_id);
    let mut tx = db.begin().await?;
    sessions::lock_user(&mut tx, caller).await?;
    let user_id = bots::resolve_self_or_bot(&mut tx, owner, bot_id).await?;
    require_token_quota(&mut tx, user_id).await?;
    let row = NewTokenRow {
        claims: Claims { user_id, session_id },
        name: name.as_str(),
        source: TokenSource::Copied { text: &token },
        lifetime_seconds: expires_in_days.map(|days| f64::from(days) * DAY_SECONDS),
        scopes: &scopes.iter().map(|scope| scope.name().to_owned()).collect::<Vec<_>>(),
        chat_ids: chat_ids.as_deref(),
        write_chat_ids: write_chat_ids.as_deref(),
    };
    row.insert(&mut tx).await?;
    let entry = NewEntry::new(Action::TokenCreated).with_actor(owner).with_client(client);
    let entry = entry.with_detail(name.as_str());
    if user_id == owner { entry } else { entry.with_user(user_id) }.write(&mut *tx).await?;
    let sql = format!("select {COLUMNS} from api_tokens t join sessions s on s.id = t.session_id where s.id = $1");
    let properties = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(session_id).fetch_one(&mut *tx).await?;
    tx.commit().await?;
    Ok(CreatedApiToken { token, properties })
}

/// Returns `Conflict` (`too_many_tokens`) if the user has the maximum number of active tokens. The caller has
/// locked the user.
pub(crate) async fn require_token_quota(db: &mut PgConnection, user: UserId) -> Result<()> {
    let count: i64 = sqlx::query_scalar(
        "select count(*) from api_tokens t join sessions s on s.id = t.session_id
         where s.user_id = $1 and s.revoked_at is null and s.expires_at > now()",
    )
    .bind(user)
    .fetch_one(db)
    .await?;
    if count >= MAX_TOKENS {
        return Err(Error::Conflict { code: "too_many_tokens", detail: "too many tokens; revoke one first" });
    }
    Ok(())
}

/// Revokes the grants of a user to a program that are older than the newest `keep`.
pub(crate) async fn revoke_old_grants(
    db: &PgPool,
    user: UserId,
    client: &Client,
    client_id: &str,
    keep: i64,
) -> Result<()> {
    let old: Vec<TokenId> = sqlx::query_scalar(
        "select s.id from api_tokens t join sessions s on s.id = t.session_id
         where t.client_id = $2 and s.user_id = $1 and s.revoked_at is null and s.expires_at > now()
         order by s.created_at desc offset $3",
    )
    .bind(user)
    .bind(client_id)
    .bind(keep)
    .fetch_all(db)
    .await?;
    for id in old {
        revoke(db, user, client, id).await?;
    }
    Ok(())
}

/// How a program gets a token.
pub(crate) enum TokenSource<'a> {
    /// The user copies this text.
    Copied { text: &'a str },
    /// The user grants it to the program with this id.
    Program { client_id: &'a str },
}

/// A token to be stored.
pub(crate) struct NewTokenRow<'a> {
    pub(crate) claims: Claims,
    pub(crate) name: &'a str,
    pub(crate) source: TokenSource<'a>,
    pub(crate) lifetime_seconds: Option<f64>,
    pub(crate) scopes: &'a [String],
    pub(crate) chat_ids: Option<&'a [ChatId]>,
    pub(crate) write_chat_ids: Option<&'a [ChatId]>,
}

impl NewTokenRow<'_> {
    /// Stores the token and its session.
    pub(crate) async fn insert(&self, db: &mut PgConnection) -> Result<()> {
        let (hash, last_four, client_id) = match self.source {
            TokenSource::Copied { text } => (Some(hash_secret(text)), &text[text.len() - 4..], None),
            TokenSource::Program { client_id } => (None, "", Some(client_id)),
        };
        sqlx::query(
            "with session as (
                 insert into sessions (id, user_id, created_at, used_at, expires_at)
                 values ($1, $2, now(), now(), coalesce(now() + make_interval(secs => $3), 'infinity'))
             )
             insert into api_tokens (session_id, name, hash, last_four, client_id, scopes, chat_ids, write_chat_ids)
             values ($1, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(self.claims.session_id)
        .bind(self.claims.user_id)
        .bind(self.lifetime_seconds)
        .bind(self.name)
        .bind(hash)
        .bind(last_four)
        .bind(client_id)
        .bind(self.scopes)
        .bind(self.chat_ids)
        .bind(self.write_chat_ids)
        .execute(db)
        .await?;
        Ok(())
    }
}

/// The chats to which a token is limited; `None` means all.
pub(crate) struct ChatLists {
    /// Those that it reads and writes to.
    pub(crate) chat_ids: Option<Vec<ChatId>>,
    /// Those of them that it writes to.
    pub(crate) write_chat_ids: Option<Vec<ChatId>>,
}

impl ChatLists {
    /// Sorts and checks the lists.
    pub(crate) fn new(chat_ids: Option<Vec<ChatId>>, write_chat_ids: Option<Vec<ChatId>>) -> Result<Self> {
        let unique = |field: &'static str, chats: Option<Vec<ChatId>>| {
            let Some(mut chats) = chats else { return Ok(None) };
            chats.sort_unstable();
            chats.dedup();
            match chats.len() {
                0..=MAX_CHATS => Ok(Some(chats)),
                _ => Err(Error::invalid(field, format!("must be at most {MAX_CHATS} chats"))),
            }
        };
        let chat_ids = unique("chat_ids", chat_ids)?;
        let write_chat_ids = unique("write_chat_ids", write_chat_ids)?;
        if let (Some(chats), Some(write_chats)) = (&chat_ids, &write_chat_ids)
            && write_chats.iter().any(|chat| !chats.contains(chat))
        {
            return Err(Error::invalid("write_chat_ids", "must be some of chat_ids"));
        }
        Ok(Self { chat_ids, write_chat_ids })
    }
}

/// Lists the active tokens of a user and of the user's bots, the newest first.
pub async fn list(db: impl PgExecutor<'_>, owner: UserId) -> Result<Vec<ApiToken>> {
    let sql = format!(
        "select {COLUMNS} from api_tokens t join sessions s on s.id = t.session_id join users u on u.id = s.user_id
         where (u.id = $1 or u.owner_id = $1) and s.revoked_at is null and s.expires_at > now()
         order by s.created_at desc, s.id"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(owner).fetch_all(db).await?)
}

/// Revokes a token of a user or of one of the user's bots, and closes its streams. Idempotent.
pub async fn revoke(db: &PgPool, owner: UserId, client: &Client, id: TokenId) -> Result<()> {
    let mut log = events::begin(db, owner).await?;
    let found: Option<(UserId, String, bool)> = sqlx::query_as(
        "select u.id, t.name, s.revoked_at is not null
         from api_tokens t join sessions s on s.id = t.session_id join users u on u.id = s.user_id
         where s.id = $2 and (u.id = $1 or u.owner_id = $1)",
    )
    .bind(owner)
    .bind(id)
    .fetch_optional(&mut *log)
    .await?;
    let (user, name, is_revoked) = found.ok_or(Error::NotFound("token"))?;
    if is_revoked {
        return Ok(());
    }
    sqlx::query("update sessions set revoked_at = now() where id = $1").bind(id).execute(&mut *log).await?;
    let entry = NewEntry::new(Action::TokenRevoked).with_actor(owner).with_client(client).with_detail(&name);
    if user == owner { entry } else { entry.with_user(user) }.write(&mut *log).await?;
    log.commit().await?;
    Ok(())
}

/// Builds a token for a session.
fn encode(session: Uuid) -> String {
    let mut bytes = [0; 48];
    bytes[..16].copy_from_slice(session.as_bytes());
    rand::rng().fill_bytes(&mut bytes[16..]);
    format!("{PREFIX}{}", BASE64_URL_SAFE_NO_PAD.encode(bytes))
}

/// Whether a text has the form of a token.
pub(super) fn is_well_formed(token: &str) -> bool {
    decode(token).is_some()
}

/// Returns the id of the session of a token; `None` if the text is not a token.
fn decode(token: &str) -> Option<Uuid> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token.strip_prefix(PREFIX)?).ok()?;
    let bytes: [u8; 48] = bytes.try_into().ok()?;
    Some(Uuid::from_bytes(bytes[..16].try_into().ok()?))
}

/// What the database knows of a token.
#[derive(sqlx::FromRow)]
struct GrantRow {
    user_id: UserId,
    owner_id: Option<UserId>,
    scopes: Option<Vec<String>>,
    chat_ids: Option<Vec<ChatId>>,
    write_chat_ids: Option<Vec<ChatId>>,
    client_id: Option<String>,
}

impl GrantRow {
    fn into_identity(self, session_id: Uuid) -> Identity {
        let Self { user_id, owner_id, scopes, chat_ids, write_chat_ids, client_id } = self;
        let grant = scopes.map(|scopes| Grant::new(ScopeList::from(scopes).0, chat_ids, write_chat_ids));
        let grant = grant.map(|grant| Arc::new(grant.of_program(client_id.is_some())));
        Identity { claims: Claims { user_id, session_id }, account_id: owner_id.unwrap_or(user_id), grant }
    }
}

/// Finds whom a token acts for, and what it can do. Whether the session is active is checked
/// elsewhere.
pub(super) async fn find(db: impl PgExecutor<'_>, token: &str) -> Result<Option<Identity>> {
    let Some(session_id) = decode(token) else { return Ok(None) };
    let row: Option<GrantRow> = sqlx::query_as(
        "select s.user_id, u.owner_id, t.scopes, t.chat_ids, t.write_chat_ids, t.client_id
         from api_tokens t join sessions s on s.id = t.session_id join users u on u.id = s.user_id
         where s.id = $1 and t.hash = $2",
    )
    .bind(session_id)
    .bind(hash_secret(token))
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| row.into_identity(session_id)))
}

/// Finds the identity of an active session, of a device or of an API token.
pub(super) async fn find_session(db: impl PgExecutor<'_>, claims: Claims) -> Result<Option<Identity>> {
    let row: Option<GrantRow> = sqlx::query_as(
        "select s.user_id, u.owner_id, t.scopes, t.chat_ids, t.write_chat_ids, t.client_id
         from sessions s join users u on u.id = s.user_id left join api_tokens t on t.session_id = s.id
         where s.id = $1 and s.user_id = $2 and s.revoked_at is null and s.expires_at > now()",
    )
    .bind(claims.session_id)
    .bind(claims.user_id)
    .fetch_optional(db)
    .await?;
    Ok(row.map(|row| row.into_identity(claims.session_id)))
}

/// Records that a token was used now.
pub(super) async fn touch(db: impl PgExecutor<'_>, session: Uuid) -> Result<()> {
    sqlx::query("update sessions set used_at = clock_timestamp() where id = $1 and revoked_at is null")
        .bind(session)
        .execute(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_names_its_session() {
        let session = Uuid::new_v4();
        let (one, other) = (encode(session), encode(session));
        assert!(one != other && one.len() == PREFIX.len() + 64);
        assert_eq!(decode(&one), Some(session));
        for bad in ["", "cfb_", "cfb_AAAA", &one[1..], &one[..one.len() - 4], &format!("{one}AAAA")] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
