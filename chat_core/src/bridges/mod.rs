//! Bridges: accounts on other networks, such as WhatsApp, whose conversations are chats here.
//!
//! A bridge is owned by a person. Each remote user on the other network is a ghost here: a user who is
//! a member of one chat. `chats` connects chats to remote users, `inbox` keeps what the network sent
//! until it is processed, `relay` records which message is which on the other side, `templates` sends
//! templates, and `failures` lists what did not arrive.

pub mod chats;
pub mod failures;
pub mod inbox;
mod model;
pub mod relay;
pub mod templates;

pub use model::{
    Bridge, BridgeCapabilities, BridgeChat, BridgeChatPatch, BridgePatch, BridgeProfile, BridgeSecrets, BridgeSettings,
    BridgeState, ChatBridge, FailedDelivery, FailedRelay, Network, NewBridge, NewBridgeChat, PausedReason,
    ReadReceipts, RelayState, Template, TemplateMessage,
};

use crate::{
    BridgeId, Error, Result, Time, UserId,
    audit::{Action, Client, NewEntry},
    auth::new_secret,
    events, outbox,
    sealing::{Sealer, SecretLocation},
    users,
    values::BridgeName,
};
use model::{MAX_AGENTS, NewWhatsappAccount, WhatsappSecretsPatch};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Maximum number of bridges of one person.
pub(crate) const MAX_BRIDGES: i64 = 3;

/// Where the secrets of a bridge are.
fn location(id: BridgeId) -> SecretLocation {
    SecretLocation { table: "bridges", row: id.get() }
}

#[derive(sqlx::FromRow)]
struct Row {
    id: BridgeId,
    network: Network,
    name: String,
    settings: Json<BridgeSettings>,
    profile: Option<Json<BridgeProfile>>,
    templates: Json<Vec<Template>>,
    secrets: Vec<u8>,
    state: BridgeState,
    state_detail: Option<String>,
    state_changed_at: Time,
    failed_webhooks: i64,
    created_at: Time,
}

const COLUMNS: &str = "b.id, b.network, b.name, b.settings, b.profile, b.templates, b.secrets, b.state, b.state_detail,
    b.state_changed_at, b.created_at,
    (select count(*) from (
         select from bridge_inbox i where i.bridge_id = b.id and i.error is not null and i.done_at is not null limit 1000
     ) i) as failed_webhooks";

impl Row {
    fn into_bridge(self, sealer: &Sealer) -> Bridge {
        let secrets = open_secrets(sealer, self.id, &self.secrets);
        Bridge {
            webhook_path: format!("/in/whatsapp/{}", self.id),
            verify_token: secrets.ok().map(|secrets| secrets.verify_token),
            id: self.id,
            network: self.network,
            name: self.name,
            settings: self.settings.0,
            profile: self.profile.map(|Json(profile)| profile),
            templates: self.templates.0,
            state: self.state,
            state_detail: self.state_detail,
            state_changed_at: self.state_changed_at,
            failed_webhooks: self.failed_webhooks,
            created_at: self.created_at,
        }
    }
}

fn seal_secrets(sealer: &Sealer, id: BridgeId, secrets: &BridgeSecrets) -> Result<Vec<u8>> {
    sealer.seal(location(id), &serde_json::to_vec(secrets).map_err(Error::internal)?)
}

fn open_secrets(sealer: &Sealer, id: BridgeId, sealed: &[u8]) -> Result<BridgeSecrets> {
    serde_json::from_slice(&sealer.open(location(id), sealed)?).map_err(Error::internal)
}

/// Creates a bridge. The integration server then checks its credentials.
pub async fn create(db: &PgPool, sealer: &Sealer, owner: UserId, client: &Client, new: NewBridge) -> Result<Bridge> {
    let NewBridge { name, whatsapp, member_ids } = new;
    let NewWhatsappAccount { phone_number_id, business_account_id, access_token, app_secret } = whatsapp;
    require_few_members(&member_ids)?;
    let settings = BridgeSettings {
        phone_number_id,
        business_account_id,
        member_ids,
        read_receipts: ReadReceipts::First,
        shows_names: true,
        relays_bots: false,
        sends_edits: true,
    };
    let secrets = BridgeSecrets { access_token, app_secret, verify_token: new_secret().0 };
    let mut tx = db.begin().await?;
    // Locked, so that two requests at once cannot exceed the limit.
    users::lock_active(&mut tx, owner).await?;
    let same: Vec<bool> =
        sqlx::query_scalar("select settings ->> 'phone_number_id' = $2 from bridges where owner_id = $1")
            .bind(owner)
            .bind(settings.phone_number_id.as_str())
            .fetch_all(&mut *tx)
            .await?;
    if i64::try_from(same.len()).is_ok_and(|count| count >= MAX_BRIDGES) {
        return Err(Error::Conflict { code: "too_many_bridges", detail: "too many bridges; delete one first" });
    }
    if same.contains(&true) {
        // Both would relay each message.
        let detail = "you have a bridge for this phone number already";
        return Err(Error::Conflict { code: "bridge_exists", detail });
    }
    let id: BridgeId = sqlx::query_scalar(
        "insert into bridges (owner_id, network, name, settings, secrets) values ($1, $2, $3, $4, '') returning id",
    )
    .bind(owner)
    .bind(Network::Whatsapp)
    .bind(name.as_str())
    .bind(Json(&settings))
    .fetch_one(&mut *tx)
    .await?;
    sqlx::query("update bridges set secrets = $2 where id = $1")
        .bind(id)
        .bind(seal_secrets(sealer, id, &secrets)?)
        .execute(&mut *tx)
        .await?;
    outbox::feed::start(&mut tx).await?;
    let entry = NewEntry::new(Action::BridgeCreated).with_actor(owner).with_client(client);
    entry.with_detail(name.as_str()).write(&mut *tx).await?;
    notify_worker(&mut *tx).await?;
    let bridge = find_owned(&mut *tx, owner, id).await?;
    tx.commit().await?;
    Ok(bridge.into_bridge(sealer))
}

fn require_few_members(members: &[UserId]) -> Result<()> {
    match members.len() {
        0..=MAX_AGENTS => Ok(()),
        _ => Err(Error::invalid("member_ids", format!("must be at most {MAX_AGENTS} users"))),
    }
}

/// The bridge is disabled, so nothing would be sent.
const DISABLED: Error = Error::Conflict { code: "bridge_disabled", detail: "this bridge is disabled; enable it first" };

/// Wakes the integration server.
async fn notify_worker(db: impl PgExecutor<'_>) -> Result<()> {
    sqlx::query("select pg_notify($1, '')").bind(inbox::CHANNEL).execute(db).await?;
    Ok(())
}

async fn find_owned(db: impl PgExecutor<'_>, owner: UserId, id: BridgeId) -> Result<Row> {
    let sql = format!("select {COLUMNS} from bridges b where b.id = $2 and b.owner_id = $1");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(owner).bind(id).fetch_optional(db).await?;
    found.ok_or(Error::NotFound("bridge"))
}

/// Lists the bridges of a user, by id.
pub async fn list(db: impl PgExecutor<'_>, sealer: &Sealer, owner: UserId) -> Result<Vec<Bridge>> {
    let sql = format!("select {COLUMNS} from bridges b where b.owner_id = $1 order by b.id");
    let rows: Vec<Row> = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(owner).fetch_all(db).await?;
    Ok(rows.into_iter().map(|row| row.into_bridge(sealer)).collect())
}

/// Returns a bridge of a user.
pub async fn get(db: impl PgExecutor<'_>, sealer: &Sealer, owner: UserId, id: BridgeId) -> Result<Bridge> {
    Ok(find_owned(db, owner, id).await?.into_bridge(sealer))
}

/// Changes a bridge. New secrets, and `is_enabled`, make it check its account again.
pub async fn update(
    db: &PgPool,
    sealer: &Sealer,
    owner: UserId,
    client: &Client,
    id: BridgeId,
    patch: BridgePatch,
) -> Result<Bridge> {
    let BridgePatch { name, whatsapp, member_ids, read_receipts, shows_names, relays_bots, sends_edits, is_enabled } =
        patch;
    require_few_members(member_ids.as_deref().unwrap_or_default())?;
    let mut log = events::begin(db, owner).await?;
    sqlx::query("select from bridges where id = $1 and owner_id = $2 for no key update")
        .bind(id)
        .bind(owner)
        .execute(&mut *log)
        .await?;
    let row = find_owned(&mut *log, owner, id).await?;
    let mut settings = row.settings.0;
    settings.member_ids = member_ids.unwrap_or(settings.member_ids);
    settings.read_receipts = read_receipts.unwrap_or(settings.read_receipts);
    settings.shows_names = shows_names.unwrap_or(settings.shows_names);
    settings.relays_bots = relays_bots.unwrap_or(settings.relays_bots);
    settings.sends_edits = sends_edits.unwrap_or(settings.sends_edits);
    let has_new_secrets = whatsapp.is_some();
    let secrets = match whatsapp {
        Some(WhatsappSecretsPatch { access_token, app_secret }) => {
            let mut secrets = open_secrets(sealer, id, &row.secrets)?;
            secrets.access_token = access_token.unwrap_or(secrets.access_token);
            secrets.app_secret = app_secret.unwrap_or(secrets.app_secret);
            seal_secrets(sealer, id, &secrets)?
        }
        None => row.secrets,
    };
    let state = match is_enabled {
        Some(false) => Some((BridgeState::Disabled, Some("owner"))),
        Some(true) if row.state != BridgeState::Connected => Some((BridgeState::Connecting, None)),
        _ if has_new_secrets && row.state != BridgeState::Disabled => Some((BridgeState::Connecting, None)),
        _ => None,
    };
    sqlx::query("update bridges set name = coalesce($2, name), settings = $3, secrets = $4 where id = $1")
        .bind(id)
        .bind(name.as_ref().map(BridgeName::as_str))
        .bind(Json(&settings))
        .bind(secrets)
        .execute(&mut *log)
        .await?;
    if let Some((state, detail)) = state {
        if row.state == BridgeState::Disabled {
            // What was written while it was disabled is not sent.
            sqlx::query(
                "update bridge_chats set starts_after = (select coalesce(max(id), 0) from events) where bridge_id = $1",
            )
            .bind(id)
            .execute(&mut *log)
            .await?;
        }
        set_state(&mut log, id, state, detail).await?;
    }
    if has_new_secrets || is_enabled.is_some() {
        let entry = NewEntry::new(Action::BridgeUpdated).with_actor(owner).with_client(client);
        entry.with_detail(&row.name).write(&mut *log).await?;
    }
    let bridge = find_owned(&mut *log, owner, id).await?;
    log.commit().await?;
    Ok(bridge.into_bridge(sealer))
}

/// Changes the state. The caller holds the append lock, because the owner is told.
async fn set_state(log: &mut PgConnection, id: BridgeId, state: BridgeState, detail: Option<&str>) -> Result<bool> {
    let changed = sqlx::query(
        "update bridges
         set state = $2, state_detail = left($3, 500), state_changed_at = clock_timestamp(),
             check_due_at = case when $2 = 'connecting' then now() else check_due_at end
         where id = $1 and (state, state_detail) is distinct from ($2, left($3, 500))",
    )
    .bind(id)
    .bind(state)
    .bind(detail)
    .execute(&mut *log)
    .await?;
    notify_worker(log).await?;
    Ok(changed.rows_affected() > 0)
}

/// Disables a bridge that works, on behalf of the server. The owner is notified.
pub async fn disable(db: &PgPool, id: BridgeId, detail: &str) -> Result<()> {
    end(db, id, None, BridgeState::Disabled, detail).await
}

/// Stops a bridge that works, because the network refuses its account. The owner is notified once.
/// Does nothing if the owner has changed the secrets meanwhile.
pub async fn stop(db: &PgPool, account: &BridgeAccount, detail: &str) -> Result<()> {
    end(db, account.id, Some(&account.secrets), BridgeState::Stopped, detail).await
}

async fn end(db: &PgPool, id: BridgeId, secrets: Option<&[u8]>, state: BridgeState, detail: &str) -> Result<()> {
    let mut log = db.begin_with("begin; select append_lock()").await?;
    let is_running: Option<bool> = sqlx::query_scalar(
        "select state in ('connecting', 'connected') and secrets = coalesce($2, secrets) from bridges
         where id = $1 for no key update",
    )
    .bind(id)
    .bind(secrets)
    .fetch_optional(&mut *log)
    .await?;
    if is_running == Some(true) && set_state(&mut log, id, state, Some(detail)).await? {
        tracing::warn!(bridge = %id, detail, "a bridge no longer relays messages");
    }
    log.commit().await?;
    Ok(())
}

/// Disables the bridges of a user, because the user's sessions end.
pub(crate) async fn disable_all(log: &mut PgConnection, user: UserId) -> Result<()> {
    let ids: Vec<BridgeId> =
        sqlx::query_scalar("select id from bridges where owner_id = $1 and state <> 'disabled' order by id")
            .bind(user)
            .fetch_all(&mut *log)
            .await?;
    for id in ids {
        set_state(&mut *log, id, BridgeState::Disabled, Some("sessions_ended")).await?;
    }
    Ok(())
}

/// Deletes a bridge. Its chats and messages stay; the integration server erases its ghosts, and
/// deletes what is left of it.
pub async fn delete(db: &PgPool, owner: UserId, client: &Client, id: BridgeId) -> Result<()> {
    let mut tx = db.begin().await?;
    let row = find_owned(&mut *tx, owner, id).await?;
    let deleted = sqlx::query("delete from bridges where id = $1").bind(id).execute(&mut *tx).await?;
    if deleted.rows_affected() == 0 {
        return Err(Error::NotFound("bridge"));
    }
    let entry = NewEntry::new(Action::BridgeDeleted).with_actor(owner).with_client(client);
    entry.with_detail(&row.name).write(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// The account of a bridge, for the integration server.
#[derive(Debug, Clone)]
pub struct BridgeAccount {
    /// The bridge.
    pub id: BridgeId,
    /// The owner.
    pub owner_id: UserId,
    /// The network.
    pub network: Network,
    /// What the owner chose.
    pub settings: BridgeSettings,
    /// Whether it works.
    pub state: BridgeState,
    secrets: Vec<u8>,
}

impl BridgeAccount {
    /// Opens the secrets.
    pub fn open_secrets(&self, sealer: &Sealer) -> Result<BridgeSecrets> {
        open_secrets(sealer, self.id, &self.secrets)
    }
}

#[derive(sqlx::FromRow)]
struct BridgeAccountRow {
    id: BridgeId,
    owner_id: UserId,
    network: Network,
    settings: Json<BridgeSettings>,
    state: BridgeState,
    secrets: Vec<u8>,
}

impl From<BridgeAccountRow> for BridgeAccount {
    fn from(row: BridgeAccountRow) -> Self {
        let BridgeAccountRow { id, owner_id, network, settings: Json(settings), state, secrets } = row;
        Self { id, owner_id, network, settings, state, secrets }
    }
}

/// Loads accounts. A bridge whose owner is suspended is stopped.
pub async fn load_bridge_accounts(db: impl PgExecutor<'_>, ids: &[BridgeId]) -> Result<Vec<BridgeAccount>> {
    let rows: Vec<BridgeAccountRow> = sqlx::query_as(
        "select b.id, b.owner_id, b.network, b.settings, b.secrets,
                case when u.state = 'active' or b.state = 'disabled' then b.state else 'stopped' end as state
         from bridges b join users u on u.id = b.owner_id where b.id = any($1)",
    )
    .bind(ids)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(BridgeAccount::from).collect())
}

/// How often the account of a connected bridge is checked, in seconds.
const CHECK_SECONDS: f64 = 3600.0;

/// The time after which a check that brought no result is repeated, in seconds.
const CHECK_RETRY_SECONDS: f64 = 30.0;

/// Claims the bridges whose account is to be checked.
pub async fn claim_checks(db: &PgPool) -> Result<Vec<BridgeId>> {
    Ok(sqlx::query_scalar(
        "with due as materialized (
             select id from bridges where check_due_at <= now() and state in ('connecting', 'connected')
             order by check_due_at limit 8 for no key update skip locked
         )
         update bridges b set check_due_at = now() + make_interval(secs => $1) from due where b.id = due.id
         returning b.id",
    )
    .bind(CHECK_RETRY_SECONDS)
    .fetch_all(db)
    .await?)
}

/// Records that the network accepted the credentials, and what it told of the account. Messages
/// that wait are sent.
pub async fn set_connected(
    db: &PgPool,
    account: &BridgeAccount,
    profile: &BridgeProfile,
    templates: &[Template],
) -> Result<()> {
    let id = account.id;
    let mut log = db.begin_with("begin; select append_lock()").await?;
    let changed = sqlx::query(
        "update bridges set profile = $2, templates = $3, check_due_at = now() + make_interval(secs => $4)
         where id = $1 and secrets = $5",
    )
    .bind(id)
    .bind(Json(profile))
    .bind(Json(templates))
    .bind(CHECK_SECONDS)
    .bind(&account.secrets)
    .execute(&mut *log)
    .await?;
    if changed.rows_affected() == 0 {
        // The owner has changed the secrets meanwhile, so they are checked again.
        return Ok(());
    }
    let was_connecting: bool =
        sqlx::query_scalar("select exists (select from bridges where id = $1 and state = 'connecting')")
            .bind(id)
            .fetch_one(&mut *log)
            .await?;
    if was_connecting {
        set_state(&mut log, id, BridgeState::Connected, None).await?;
    }
    log.commit().await?;
    if was_connecting {
        tracing::info!(bridge = %id, "a bridge relays messages");
        let mut tx = db.begin().await?;
        outbox::wake_bridge(&mut tx, id).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Seals all secrets again, with the newest key, and returns how many bridges there are.
pub async fn reseal_all(db: &PgPool, sealer: &Sealer) -> Result<usize> {
    let ids: Vec<BridgeId> = sqlx::query_scalar("select id from bridges order by id").fetch_all(db).await?;
    for id in &ids {
        let mut tx = db.begin().await?;
        let row: Option<Vec<u8>> = sqlx::query_scalar("select secrets from bridges where id = $1 for no key update")
            .bind(id)
            .fetch_optional(&mut *tx)
            .await?;
        let Some(secrets) = row else { continue };
        sqlx::query("update bridges set secrets = $2 where id = $1")
            .bind(id)
            .bind(sealer.seal(location(*id), &sealer.open(location(*id), &secrets)?)?)
            .execute(&mut *tx)
            .await?;
        tx.commit().await?;
    }
    Ok(ids.len())
}
