//! Bridges: accounts on other networks, such as WhatsApp, whose conversations are chats here.
//!
//! A bridge is owned by a person. Each remote user on the other network is a ghost here: a user who is
//! a member of one chat. `accounts` is what the integration server knows of a bridge, `chats` connects
//! chats to remote users and `spaces` reads spaces of Google Chat, `ghosts` are the users who stand for them, `inbox` keeps what the network sent
//! until it is processed, `google_keys` verifies who sent it, `relay` records which message is which on the
//! other side, `attempts` and `statuses` how far it got there, `templates` sends templates, and
//! `failures` lists what did not arrive.

mod accounts;
pub mod attempts;
pub mod chats;
pub mod failures;
pub mod ghosts;
pub mod google_keys;
pub mod inbox;
mod model;
pub mod relay;
pub mod spaces;
pub mod statuses;
pub mod templates;

pub use accounts::{BridgeAccount, claim_checks, load_bridge_accounts, set_connected};
pub use model::{
    Bridge, BridgeCapabilities, BridgeChat, BridgeChatPatch, BridgePatch, BridgeProfile, BridgeSecrets, BridgeSettings,
    BridgeState, ChatBridge, EventAccess, FailedDelivery, FailedRelay, GoogleChatSecrets, GoogleChatSettings, Network,
    NewBridge, NewBridgeChat, PausedReason, ReadReceipts, RelayState, RemoteSpace, ServiceAccountKey, Template,
    TemplateMessage, WhatsappSettings,
};

use crate::{
    BridgeId, Error, Result, Time, UserId,
    audit::{Action, Client, NewEntry},
    auth::{Claims, new_secret, sessions},
    events, outbox,
    sealing::{Sealer, SecretLocation},
    values::{BridgeName, ServiceAccountKeyText},
};
use model::{
    GoogleChatPatch, MAX_AGENTS, NewGoogleChatAccount, NewWhatsappAccount, WhatsappSecrets, WhatsappSecretsPatch,
};
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
        let secrets = open_secrets(sealer, self.id, &self.secrets).ok();
        let (webhook_path, verify_token) = match secrets {
            Some(BridgeSecrets::GoogleChat(secrets)) => (google_webhook_path(self.id, &secrets.webhook_token), None),
            Some(BridgeSecrets::Whatsapp(secrets)) => (webhook_path(self.network, self.id), Some(secrets.verify_token)),
            None => (webhook_path(self.network, self.id), None),
        };
        Bridge {
            webhook_path,
            verify_token,
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

/// The path of the webhook to which a network sends.
fn webhook_path(network: Network, id: BridgeId) -> String {
    format!("/in/{}/{id}", network.slug())
}

/// The path of the webhook of a bridge to Google Chat, with its secret part.
pub fn google_webhook_path(id: BridgeId, webhook_token: &str) -> String {
    format!("{}/{webhook_token}", webhook_path(Network::GoogleChat, id))
}

fn seal_secrets(sealer: &Sealer, id: BridgeId, secrets: &BridgeSecrets) -> Result<Vec<u8>> {
    sealer.seal(location(id), &serde_json::to_vec(secrets).map_err(Error::internal)?)
}

fn open_secrets(sealer: &Sealer, id: BridgeId, sealed: &[u8]) -> Result<BridgeSecrets> {
    serde_json::from_slice(&sealer.open(location(id), sealed)?).map_err(Error::internal)
}

/// Creates a bridge. The integration server then checks its credentials.
pub async fn create(db: &PgPool, sealer: &Sealer, caller: Claims, client: &Client, new: NewBridge) -> Result<Bridge> {
    let owner = caller.user_id;
    let NewBridge { name, whatsapp, google_chat, member_ids } = new;
    require_few_members(&member_ids)?;
    let (network, key, secrets, whatsapp, google_chat) = match (whatsapp, google_chat) {
        (Some(account), None) => {
            let NewWhatsappAccount { phone_number_id, business_account_id, access_token, app_secret } = account;
            let secrets = WhatsappSecrets { access_token, app_secret, verify_token: new_secret().0 };
            let account = WhatsappSettings { phone_number_id, business_account_id };
            let key = account.phone_number_id.as_str().to_owned();
            (Network::Whatsapp, key, BridgeSecrets::Whatsapp(secrets), Some(account), None)
        }
        (None, Some(NewGoogleChatAccount { project_number, service_account_key })) => {
            let secrets = read_service_account_key(&service_account_key)?;
            let account = GoogleChatSettings { project_number, service_account: secrets.client_email.clone() };
            let key = account.service_account.clone();
            let secrets = GoogleChatSecrets { key: secrets, webhook_token: new_secret().0 };
            (Network::GoogleChat, key, BridgeSecrets::GoogleChat(secrets), None, Some(account))
        }
        _ => return Err(Error::invalid("whatsapp", "a bridge has an account at either WhatsApp or Google Chat")),
    };
    let settings = BridgeSettings {
        whatsapp,
        google_chat,
        member_ids,
        read_receipts: ReadReceipts::First,
        shows_names: true,
        relays_bots: false,
        sends_edits: true,
    };
    let mut tx = db.begin().await?;
    // Locked, so that two requests at once cannot exceed the limit.
    sessions::lock_user(&mut tx, caller).await?;
    let same: Vec<bool> = sqlx::query_scalar(
        "select $2 in (coalesce(settings #>> '{whatsapp,phone_number_id}', ''),
                           coalesce(settings #>> '{google_chat,service_account}', ''))
             from bridges where owner_id = $1",
    )
    .bind(owner)
    .bind(key)
    .fetch_all(&mut *tx)
    .await?;
    if i64::try_from(same.len()).is_ok_and(|count| count >= MAX_BRIDGES) {
        return Err(Error::Conflict { code: "too_many_bridges", detail: "too many bridges; delete one first" });
    }
    if same.contains(&true) {
        // Both would relay each message.
        let detail = "you have a bridge for this account already";
        return Err(Error::Conflict { code: "bridge_exists", detail });
    }
    let id: BridgeId = sqlx::query_scalar(
        "insert into bridges (owner_id, network, name, settings, secrets) values ($1, $2, $3, $4, '') returning id",
    )
    .bind(owner)
    .bind(network)
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

/// Reads the key file of a service account.
fn read_service_account_key(text: &ServiceAccountKeyText) -> Result<ServiceAccountKey> {
    const FIELD: &str = "google_chat.service_account_key";
    let invalid = |detail: &'static str| Error::invalid(FIELD, detail);
    let key: ServiceAccountKey = serde_json::from_str(text.as_str()).map_err(|_| {
        invalid("must be the JSON key file of a service account, with client_email, private_key and private_key_id")
    })?;
    jsonwebtoken::EncodingKey::from_rsa_pem(key.private_key.as_bytes())
        .map_err(|_| invalid("the private key in the file is not an RSA key in PEM"))?;
    let is_account = key.client_email.len() <= 200
        && key.client_email.contains('@')
        && key.client_email.bytes().all(|byte| byte.is_ascii_graphic());
    if is_account { Ok(key) } else { Err(invalid("client_email in the file is not the address of a service account")) }
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
    let BridgePatch {
        name,
        whatsapp,
        google_chat,
        member_ids,
        read_receipts,
        shows_names,
        relays_bots,
        sends_edits,
        is_enabled,
    } = patch;
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
    let has_new_secrets = whatsapp.is_some() || google_chat.is_some();
    let secrets = match (row.network, whatsapp, google_chat) {
        (_, None, None) => row.secrets,
        (Network::Whatsapp, Some(WhatsappSecretsPatch { access_token, app_secret }), None) => {
            let mut secrets = open_secrets(sealer, id, &row.secrets)?.whatsapp()?.clone();
            secrets.access_token = access_token.unwrap_or(secrets.access_token);
            secrets.app_secret = app_secret.unwrap_or(secrets.app_secret);
            seal_secrets(sealer, id, &BridgeSecrets::Whatsapp(secrets))?
        }
        (Network::GoogleChat, None, Some(GoogleChatPatch { project_number, service_account_key })) => {
            let mut secrets = open_secrets(sealer, id, &row.secrets)?.google_chat()?.clone();
            if let Some(text) = service_account_key {
                let key = read_service_account_key(&text)?;
                if key.client_email != secrets.key.client_email {
                    let detail = "this is the key of another service account; create a bridge for it";
                    return Err(Error::invalid("google_chat.service_account_key", detail));
                }
                secrets.key = key;
            }
            if let (Some(account), Some(number)) = (&mut settings.google_chat, project_number) {
                account.project_number = number;
            }
            seal_secrets(sealer, id, &BridgeSecrets::GoogleChat(secrets))?
        }
        (network, whatsapp, _) => {
            let field = if whatsapp.is_some() { "whatsapp" } else { "google_chat" };
            return Err(Error::invalid(field, format!("this is a bridge to {}", network.title())));
        }
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
