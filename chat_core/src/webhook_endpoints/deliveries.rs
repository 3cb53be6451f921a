//! Deliveries to an endpoint: their list, tests, retries and replays.

use super::{find_owned, lock_owned, model::Endpoint};
use crate::{
    DeliveryId, EndpointId, Error, Result, Time, UserId,
    events::{self, Cursor},
    outbox::{self, State},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

/// Maximum number of events that one request replays.
const MAX_REPLAYED: i64 = 1_000;

/// The type of an entry that an owner sends to try an endpoint.
const TEST: &str = "test";

/// A delivery to an endpoint.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
#[schemars(rename = "WebhookDelivery")]
pub struct Delivery {
    /// The id.
    pub id: DeliveryId,
    /// The type of the event.
    pub event_type: String,
    /// Whether it waits, was delivered, or was given up.
    pub state: State,
    /// The number of attempts.
    pub attempts: i16,
    /// When it entered the outbox.
    pub created_at: Time,
    /// The earliest time of the next attempt; null if there is none.
    pub next_attempt_at: Option<Time>,
    /// When it was delivered or given up.
    pub settled_at: Option<Time>,
    /// The HTTP status of the last response; null if there was none.
    pub status: Option<i16>,
    /// Why the last attempt failed.
    pub error: Option<String>,
}

/// The result of a replay.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "WebhookReplay")]
pub struct ReplayResult {
    /// The number of deliveries that were inserted.
    pub deliveries: u64,
    /// The position up to which the log was read.
    pub cursor: Cursor,
    /// Whether more events follow: send another request with this cursor.
    pub more: bool,
}

const DELIVERY_COLUMNS: &str = "o.id, o.type as event_type, o.state, o.attempts, o.created_at,
    case o.state when 'waiting' then greatest(o.due_at, l.due_at) end as next_attempt_at, o.settled_at, o.status, o.error";

/// The endpoint is disabled.
const DISABLED: Error =
    Error::Conflict { code: "endpoint_disabled", detail: "this endpoint is disabled; enable it first" };

/// Sends a test event to an endpoint, unless one is waiting.
pub async fn send_test(db: &PgPool, owner: UserId, id: EndpointId) -> Result<Delivery> {
    let mut tx = db.begin().await?;
    require_enabled(&mut tx, owner, id).await?;
    let is_waiting: bool =
        sqlx::query_scalar("select exists (select from outbox where lane_id = $1 and state = 'waiting' and type = $2)")
            .bind(id)
            .bind(TEST)
            .fetch_one(&mut *tx)
            .await?;
    if is_waiting {
        return Err(Error::Conflict { code: "test_waiting", detail: "the last test has not been answered yet" });
    }
    let delivery: DeliveryId = sqlx::query_scalar(
        "insert into outbox (lane_id, type, data) values ($1, $2, json_build_object('endpoint_id', $1)) returning id",
    )
    .bind(id)
    .bind(TEST)
    .fetch_one(&mut *tx)
    .await?;
    outbox::wake(&mut tx, id).await?;
    let delivery = get_delivery(&mut tx, id, delivery).await?;
    tx.commit().await?;
    Ok(delivery)
}

/// Locks the lane of an endpoint, and returns the endpoint if it is enabled.
async fn require_enabled(tx: &mut PgConnection, owner: UserId, id: EndpointId) -> Result<Endpoint> {
    let endpoint = lock_owned(tx, owner, id).await?;
    if endpoint.disabled_at.is_none() { Ok(endpoint) } else { Err(DISABLED) }
}

async fn get_delivery(db: &mut PgConnection, endpoint: EndpointId, id: DeliveryId) -> Result<Delivery> {
    let sql = format!(
        "select {DELIVERY_COLUMNS} from outbox o join outbox_lanes l on l.id = o.lane_id
         where o.lane_id = $1 and o.id = $2"
    );
    let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(endpoint).bind(id).fetch_optional(db).await?;
    found.ok_or(Error::NotFound("delivery"))
}

/// Which deliveries to list.
#[derive(Debug, Clone, Copy, Default)]
pub struct DeliveryFilter {
    /// Only deliveries in this state.
    pub state: Option<State>,
    /// Only deliveries with a lower id.
    pub before: Option<DeliveryId>,
}

/// Lists the deliveries of an endpoint, newest first.
pub async fn list(
    db: &mut PgConnection,
    owner: UserId,
    id: EndpointId,
    filter: DeliveryFilter,
    limit: i64,
) -> Result<Vec<Delivery>> {
    find_owned(&mut *db, owner, id).await?;
    // In the text, so that each state uses its own index.
    let of_state = filter.state.map(|state| format!("and o.state = '{}'", state.name())).unwrap_or_default();
    let sql = format!(
        "select {DELIVERY_COLUMNS} from outbox o join outbox_lanes l on l.id = o.lane_id
         where o.lane_id = $1 {of_state} and ($2::bigint is null or o.id < $2)
         order by o.id desc limit $3"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).bind(filter.before).bind(limit);
    Ok(query.fetch_all(db).await?)
}

/// Sends a delivery again, before all others that wait.
pub async fn retry(db: &PgPool, owner: UserId, endpoint: EndpointId, id: DeliveryId) -> Result<Delivery> {
    let mut tx = db.begin().await?;
    require_enabled(&mut tx, owner, endpoint).await?;
    get_delivery(&mut tx, endpoint, id).await?;
    sqlx::query(
        "update outbox set state = 'waiting', settled_at = null, attempts = 0, due_at = to_timestamp(0) where id = $1",
    )
    .bind(id)
    .execute(&mut *tx)
    .await?;
    outbox::wake(&mut tx, endpoint).await?;
    let delivery = get_delivery(&mut tx, endpoint, id).await?;
    tx.commit().await?;
    Ok(delivery)
}

/// Sends the events after a cursor again, at most `MAX_REPLAYED`: those that the user of the
/// endpoint received at the time, and that the endpoint selects now. Reads them with connections
/// of `reads`.
pub async fn replay(
    db: &PgPool,
    reads: &PgPool,
    owner: UserId,
    id: EndpointId,
    after: &Cursor,
) -> Result<ReplayResult> {
    // Read before the transaction begins, which holds a lock and a connection.
    let user = find_owned(reads, owner, id).await?.user_id;
    let page = events::load_entries(reads, user, after, MAX_REPLAYED).await?;
    let mut tx = db.begin().await?;
    let filter = require_enabled(&mut tx, owner, id).await?.filter();
    if outbox::count_waiting(&mut *tx, id).await? + MAX_REPLAYED > outbox::MAX_WAITING {
        return Err(Error::Conflict {
            code: "too_many_deliveries",
            detail: "too many deliveries wait; try again later",
        });
    }
    let selected = page.entries.iter().filter(|event| filter.matches(&event.kind, event.chat_id));
    let entries: Vec<_> =
        selected.map(|event| outbox::NewEntry { lane: id.into(), event: event.id, kind: event.kind.clone() }).collect();
    let deliveries = outbox::insert(&mut tx, &entries).await?;
    tx.commit().await?;
    Ok(ReplayResult { deliveries, cursor: page.cursor, more: page.has_more })
}
