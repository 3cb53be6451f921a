//! The accounts of bridges, as the integration server uses them: their secrets, and the checks
//! whether the network accepts them.

use super::{BridgeProfile, BridgeSecrets, BridgeSettings, BridgeState, Network, Template, open_secrets, set_state};
use crate::{BridgeId, Result, UserId, outbox, sealing::Sealer};
use sqlx::{PgExecutor, PgPool, types::Json};

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
    pub(super) secrets: Vec<u8>,
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

/// The same for Google Chat: a check finds the spaces to which the app was added.
const GOOGLE_CHECK_SECONDS: f64 = 60.0;

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
    .bind(match account.network {
        Network::Whatsapp => CHECK_SECONDS,
        Network::GoogleChat => GOOGLE_CHECK_SECONDS,
    })
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
