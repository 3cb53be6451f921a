//! Outgoing webhooks: endpoints on other servers, to which the events of a user's chats are
//! sent, signed by the Standard Webhooks specification.

pub mod deliveries;
mod model;

pub(crate) use model::EventFilter;
pub use model::{DisabledReason, EVENT_TYPES, Endpoint, EndpointPatch, EndpointWithSecret, EventType, NewEndpoint};

use crate::{
    ChatId, EndpointId, Error, Result, UserId,
    audit::{Action, Client, NewEntry},
    auth::{Claims, sessions},
    bots,
    outbox::{self, feed},
    outgoing::AllowedTargets,
    sealing::{Sealer, SecretLocation},
    values::EndpointDescription,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use rand::Rng;
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Maximum number of endpoints of one person, those of the person's bots included.
const MAX_ENDPOINTS: i64 = 10;

/// Maximum number of chats to which an endpoint is limited.
const MAX_CHATS: usize = 100;

/// The beginning of a signing secret, and the length of its key in bytes.
const SECRET_PREFIX: &str = "whsec_";
const SECRET_BYTES: usize = 32;

/// How long the previous secret still signs after a rotation, in hours.
const PREVIOUS_SECRET_HOURS: i32 = 24;

const COLUMNS: &str = "e.id, e.user_id, e.url, e.description, e.event_types, e.chat_ids, e.created_at, e.disabled_at,
    e.disabled_reason, l.failing_since";

fn location(id: EndpointId) -> SecretLocation {
    SecretLocation { table: "webhook_endpoints", row: id.get() }
}

/// Returns a new secret as bytes and as text.
fn new_secret() -> ([u8; SECRET_BYTES], String) {
    let mut bytes = [0; SECRET_BYTES];
    rand::rng().fill_bytes(&mut bytes);
    (bytes, format!("{SECRET_PREFIX}{}", BASE64_STANDARD.encode(bytes)))
}

/// Creates an endpoint for the caller or for one of the caller's bots.
pub async fn create(
    db: &PgPool,
    sealer: &Sealer,
    allowed: &AllowedTargets,
    caller: Claims,
    client: &Client,
    new: NewEndpoint,
) -> Result<EndpointWithSecret> {
    let owner = caller.user_id;
    let url = allowed.parse_url(&new.url).map_err(|detail| Error::invalid("url", detail))?;
    let chat_ids = normalize_chats(new.chat_ids)?;
    let event_types = normalize_types(new.event_types)?;
    let mut tx = db.begin().await?;
    sessions::lock_user(&mut tx, caller).await?;
    let user = bots::resolve_self_or_bot(&mut tx, owner, new.bot_id).await?;
    let count: i64 = sqlx::query_scalar(
        "select count(*) from webhook_endpoints e join users u on u.id = e.user_id where u.id = $1 or u.owner_id = $1",
    )
    .bind(owner)
    .fetch_one(&mut *tx)
    .await?;
    if count >= MAX_ENDPOINTS {
        return Err(Error::Conflict { code: "too_many_endpoints", detail: "too many endpoints; delete one first" });
    }
    let id = outbox::create_lane(&mut tx).await?.into();
    feed::start(&mut tx).await?;
    let (bytes, secret) = new_secret();
    sqlx::query(
        "insert into webhook_endpoints (id, user_id, url, description, event_types, chat_ids, secret, starts_after)
         values ($1, $2, $3, $4, $5, $6, $7, (select coalesce(max(id), 0) from events))",
    )
    .bind(id)
    .bind(user)
    .bind(url.to_string())
    .bind(new.description.as_ref().map_or("", EndpointDescription::as_str))
    .bind(event_types)
    .bind(chat_ids)
    .bind(sealer.seal(location(id), &bytes)?)
    .execute(&mut *tx)
    .await?;
    let entry = NewEntry::new(Action::EndpointCreated).with_actor(owner).with_client(client);
    let detail = url.to_string();
    let entry = entry.with_detail(&detail);
    if user == owner { entry } else { entry.with_user(user) }.write(&mut *tx).await?;
    let endpoint = find_owned(&mut *tx, owner, id).await?;
    tx.commit().await?;
    Ok(EndpointWithSecret { endpoint, secret })
}

fn normalize_chats(chats: Option<Vec<ChatId>>) -> Result<Option<Vec<ChatId>>> {
    let Some(mut chats) = chats else { return Ok(None) };
    chats.sort_unstable();
    chats.dedup();
    match chats.len() {
        1..=MAX_CHATS => Ok(Some(chats)),
        _ => Err(Error::invalid("chat_ids", format!("must be 1 to {MAX_CHATS} chats, or absent for all"))),
    }
}

fn normalize_types(types: Option<Vec<EventType>>) -> Result<Option<Vec<&'static str>>> {
    let Some(types) = types else { return Ok(None) };
    let mut types: Vec<&str> = types.iter().map(|kind| kind.name()).collect();
    types.sort_unstable();
    types.dedup();
    match types.is_empty() {
        true => Err(Error::invalid("event_types", "must be at least one type, or absent for all")),
        false => Ok(Some(types)),
    }
}

/// Finds an endpoint of a user or of one of the user's bots.
async fn find_owned(db: impl PgExecutor<'_>, owner: UserId, id: EndpointId) -> Result<Endpoint> {
    let sql = format!(
        "select {COLUMNS} from webhook_endpoints e join outbox_lanes l on l.id = e.id join users u on u.id = e.user_id
         where e.id = $2 and (u.id = $1 or u.owner_id = $1)"
    );
    let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(owner).bind(id).fetch_optional(db).await?;
    found.ok_or(Error::NotFound("endpoint"))
}

/// Lists the endpoints of a user and of the user's bots, by id.
pub async fn list(db: impl PgExecutor<'_>, owner: UserId) -> Result<Vec<Endpoint>> {
    let sql = format!(
        "select {COLUMNS} from webhook_endpoints e join outbox_lanes l on l.id = e.id join users u on u.id = e.user_id
         where u.id = $1 or u.owner_id = $1 order by e.id"
    );
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(owner).fetch_all(db).await?)
}

/// Changes an endpoint.
pub async fn update(
    db: &PgPool,
    allowed: &AllowedTargets,
    owner: UserId,
    client: &Client,
    id: EndpointId,
    patch: EndpointPatch,
) -> Result<Endpoint> {
    let EndpointPatch { url, description, event_types, chat_ids, is_enabled } = patch;
    let url = url.map(|url| allowed.parse_url(&url)).transpose().map_err(|detail| Error::invalid("url", detail))?;
    let (sets_types, event_types) = (event_types.is_some(), normalize_types(event_types.flatten())?);
    let (sets_chats, chat_ids) = (chat_ids.is_some(), normalize_chats(chat_ids.flatten())?);
    let mut tx = db.begin().await?;
    let before = lock_owned(&mut tx, owner, id).await?;
    let new_url = url.map(|url| url.to_string()).filter(|url| *url != before.url);
    sqlx::query(
        "update webhook_endpoints
         set url = coalesce($2, url), description = coalesce($3, description),
             event_types = case when $4 then $5 else event_types end,
             chat_ids = case when $6 then $7 else chat_ids end
         where id = $1",
    )
    .bind(id)
    .bind(&new_url)
    .bind(description.as_ref().map(EndpointDescription::as_str))
    .bind(sets_types)
    .bind(event_types)
    .bind(sets_chats)
    .bind(chat_ids)
    .execute(&mut *tx)
    .await?;
    if let Some(url) = &new_url {
        forget_failures(&mut tx, id).await?;
        let entry = NewEntry::new(Action::EndpointUpdated).with_actor(owner).with_client(client);
        entry.with_detail(url).write(&mut *tx).await?;
    }
    match (is_enabled, before.disabled_at.is_some()) {
        (Some(true), true) => enable(&mut tx, id).await?,
        (Some(false), _) => {
            set_disabled(&mut tx, id, DisabledReason::Owner).await?;
            outbox::mark_waiting_dead(&mut *tx, id).await?;
        }
        _ => {}
    }
    let endpoint = find_owned(&mut *tx, owner, id).await?;
    tx.commit().await?;
    Ok(endpoint)
}

/// Finds an endpoint of a user or of one of the user's bots, and locks its lane.
async fn lock_owned(tx: &mut PgConnection, owner: UserId, id: EndpointId) -> Result<Endpoint> {
    // First, so that nobody can lock the lanes of others.
    find_owned(&mut *tx, owner, id).await?;
    outbox::lock_lane(tx, id).await?;
    find_owned(tx, owner, id).await
}

/// Enables an endpoint: later events are sent. What waited when it was disabled is not.
async fn enable(tx: &mut PgConnection, id: EndpointId) -> Result<()> {
    let enabled = sqlx::query(
        "update webhook_endpoints e
         set disabled_at = null, disabled_reason = null, starts_after = (select coalesce(max(id), 0) from events)
         from users u where e.id = $1 and u.id = e.user_id and u.state = 'active' and u.deleted_at is null",
    )
    .bind(id)
    .execute(&mut *tx)
    .await?;
    if enabled.rows_affected() == 0 {
        return Err(Error::Conflict { code: "bot_inactive", detail: "the bot of this endpoint is suspended" });
    }
    outbox::mark_waiting_dead(&mut *tx, id).await?;
    forget_failures(tx, id).await
}

/// Starts the count of failures again. A run that is in progress must not restore it, so its
/// lease ends.
async fn forget_failures(tx: &mut PgConnection, id: EndpointId) -> Result<()> {
    sqlx::query(
        "update outbox_lanes set failures = 0, failing_since = null, paused_until = null, leased_until = null
         where id = $1",
    )
    .bind(id)
    .execute(tx)
    .await?;
    Ok(())
}

async fn set_disabled(tx: &mut PgConnection, id: EndpointId, reason: DisabledReason) -> Result<()> {
    sqlx::query(
        "update webhook_endpoints set disabled_at = now(), disabled_reason = $2 where id = $1 and disabled_at is null",
    )
    .bind(id)
    .bind(reason)
    .execute(tx)
    .await?;
    Ok(())
}

/// Disables an endpoint on behalf of the server, which tells its owner. What waits is not sent.
pub async fn disable(db: &PgPool, id: EndpointId, reason: DisabledReason) -> Result<()> {
    let mut log = db.begin_with("begin; select append_lock()").await?;
    outbox::lock_lane(&mut log, id).await?;
    set_disabled(&mut log, id, reason).await?;
    log.commit().await?;
    // Many rows, so not under the append lock. The owner may have enabled it meanwhile.
    let mut tx = db.begin().await?;
    outbox::lock_lane(&mut tx, id).await?;
    let sql = "select exists (select from webhook_endpoints where id = $1 and disabled_at is not null)";
    let is_disabled: bool = sqlx::query_scalar(sql).bind(id).fetch_one(&mut *tx).await?;
    if is_disabled {
        outbox::mark_waiting_dead(&mut *tx, id).await?;
    }
    tx.commit().await?;
    Ok(())
}

/// Disables the endpoints of a user and of the user's bots, because the user's sessions end.
pub(crate) async fn disable_all(log: &mut PgConnection, user: UserId) -> Result<()> {
    sqlx::query(
        "select from outbox_lanes where id in (
             select e.id from webhook_endpoints e join users u on u.id = e.user_id where u.id = $1 or u.owner_id = $1
         )
         order by id for no key update",
    )
    .bind(user)
    .execute(&mut *log)
    .await?;
    sqlx::query(
        "update webhook_endpoints set disabled_at = now(), disabled_reason = $2
         where disabled_at is null and user_id in (select id from users where id = $1 or owner_id = $1)",
    )
    .bind(user)
    .bind(DisabledReason::SessionsEnded)
    .execute(log)
    .await?;
    Ok(())
}

/// Deletes an endpoint. The integration server deletes its deliveries.
pub async fn delete(db: &PgPool, owner: UserId, client: &Client, id: EndpointId) -> Result<()> {
    let mut tx = db.begin().await?;
    let endpoint = find_owned(&mut *tx, owner, id).await?;
    let deleted = sqlx::query("delete from webhook_endpoints where id = $1").bind(id).execute(&mut *tx).await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::NotFound("endpoint"));
    }
    let entry = NewEntry::new(Action::EndpointDeleted).with_actor(owner).with_client(client);
    entry.with_detail(&endpoint.url).write(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Replaces the secret of an endpoint. The previous one signs too, for a day.
pub async fn rotate_secret(
    db: &PgPool,
    sealer: &Sealer,
    owner: UserId,
    client: &Client,
    id: EndpointId,
) -> Result<EndpointWithSecret> {
    let mut tx = db.begin().await?;
    let endpoint = find_owned(&mut *tx, owner, id).await?;
    let (bytes, secret) = new_secret();
    sqlx::query(
        "update webhook_endpoints
         set previous_secret = secret, previous_until = now() + make_interval(hours => $3), secret = $2
         where id = $1",
    )
    .bind(id)
    .bind(sealer.seal(location(id), &bytes)?)
    .bind(PREVIOUS_SECRET_HOURS)
    .execute(&mut *tx)
    .await?;
    let entry = NewEntry::new(Action::EndpointSecretRotated).with_actor(owner).with_client(client);
    entry.with_detail(&endpoint.url).write(&mut *tx).await?;
    tx.commit().await?;
    Ok(EndpointWithSecret { endpoint, secret })
}

/// What a sender needs to know of an endpoint.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct Target {
    /// The endpoint.
    pub id: EndpointId,
    /// The person whose endpoint it is, or who owns its bot.
    pub owner_id: UserId,
    /// Where to send.
    pub url: String,
    /// Whether it is disabled.
    pub is_disabled: bool,
    secret: Vec<u8>,
    previous_secret: Option<Vec<u8>>,
}

impl Target {
    /// Opens the keys that sign a delivery: the current one, and after a rotation the previous
    /// one.
    pub fn open_keys(&self, sealer: &Sealer) -> Result<Vec<Vec<u8>>> {
        let sealed = [Some(&self.secret), self.previous_secret.as_ref()];
        sealed.into_iter().flatten().map(|sealed| sealer.open(location(self.id), sealed)).collect()
    }
}

/// Loads endpoints to send to.
pub async fn load_targets(db: impl PgExecutor<'_>, ids: &[crate::LaneId]) -> Result<Vec<Target>> {
    Ok(sqlx::query_as(
        "select e.id, coalesce(u.owner_id, u.id) as owner_id, e.url, e.disabled_at is not null as is_disabled, e.secret,
                case when e.previous_until > now() then e.previous_secret end as previous_secret
         from webhook_endpoints e join users u on u.id = e.user_id where e.id = any($1)",
    )
    .bind(ids)
    .fetch_all(db)
    .await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_has_the_form_of_the_specification() {
        let (bytes, text) = new_secret();
        let key = text.strip_prefix("whsec_").expect("the prefix");
        assert_eq!(BASE64_STANDARD.decode(key).expect("Base64"), bytes);
        assert_ne!(new_secret().1, text);
    }
}
