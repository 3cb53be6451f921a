//! Outgoing webhooks: the caller's endpoints on other servers, and the deliveries to them.

use super::{List, Page};
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, Limit, Path, Query},
    openapi::{Created, NoContent},
};
use axum::extract::State;
use chat_core::{
    DeliveryId, EndpointId,
    events::Cursor,
    outbox::State as DeliveryState,
    sealing::{NOT_CONFIGURED, Sealer},
    webhook_endpoints::{
        self, Endpoint, EndpointPatch, EndpointWithSecret, NewEndpoint,
        deliveries::{self, Delivery, DeliveryFilter, ReplayResult},
    },
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

impl AppState {
    /// The keys that seal the secrets of endpoints and bridges. Fails if the server has none.
    pub(super) fn require_sealer(&self) -> Result<&Sealer> {
        Ok(self.sealer.as_ref().ok_or(NOT_CONFIGURED)?)
    }
}

/// Returns the endpoints of the caller and of the caller's bots.
pub(crate) async fn list(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<Endpoint>>> {
    Ok(Json(List { items: webhook_endpoints::list(&state.db, caller.user_id).await? }))
}

/// Creates an endpoint. The response and that of `rotate_secret` are the only ones with the
/// secret.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Json(new): Json<NewEndpoint>,
) -> Result<Created<EndpointWithSecret>> {
    let (sealer, allowed) = (state.require_sealer()?, &state.outgoing);
    Ok(Created(webhook_endpoints::create(&state.db, sealer, allowed, caller.claims(), &client, new).await?))
}

/// Changes, enables or disables an endpoint.
pub(crate) async fn update(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<EndpointId>,
    Json(patch): Json<EndpointPatch>,
) -> Result<Json<Endpoint>> {
    Ok(Json(webhook_endpoints::update(&state.db, &state.outgoing, caller.user_id, &client, id, patch).await?))
}

/// Deletes an endpoint.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<EndpointId>,
) -> Result<NoContent> {
    webhook_endpoints::delete(&state.db, caller.user_id, &client, id).await?;
    Ok(NoContent)
}

/// Replaces the secret of an endpoint.
pub(crate) async fn rotate_secret(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<EndpointId>,
) -> Result<Created<EndpointWithSecret>> {
    let sealer = state.require_sealer()?;
    Ok(Created(webhook_endpoints::rotate_secret(&state.db, sealer, caller.user_id, &client, id).await?))
}

/// Sends a test event.
pub(crate) async fn test(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<EndpointId>,
) -> Result<Created<Delivery>> {
    Ok(Created(deliveries::send_test(&state.db, caller.user_id, id).await?))
}

/// The start of a page of deliveries, newest first.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeliveryParams {
    /// Only deliveries in this state.
    state: Option<DeliveryState>,
    /// Only deliveries with a lower id.
    before: Option<DeliveryId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the deliveries to an endpoint.
pub(crate) async fn list_deliveries(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    Query(DeliveryParams { state: of_state, before, limit: Limit(limit) }): Query<DeliveryParams>,
) -> Result<Json<Page<Delivery>>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    let mut db = state.expensive_db.acquire().await?;
    let filter = DeliveryFilter { state: of_state, before };
    let rows = deliveries::list(&mut db, caller.user_id, id, filter, limit + 1).await?;
    let filters = [("state", of_state.map(|state| state.name().to_owned()))];
    Ok(Json(Page::with_filters(rows, limit, &filters, |row| ("before", row.id.get()))))
}

/// Sends a delivery again.
pub(crate) async fn retry(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    Path(delivery): Path<DeliveryId>,
) -> Result<Json<Delivery>> {
    Ok(Json(deliveries::retry(&state.db, caller.user_id, id, delivery).await?))
}

/// Where a replay begins.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct ReplayParams {
    /// The `id` of the last event that the endpoint has.
    after: Cursor,
}

/// Sends the events after a cursor again.
pub(crate) async fn replay(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<EndpointId>,
    Json(ReplayParams { after }): Json<ReplayParams>,
) -> Result<Json<ReplayResult>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    Ok(Json(deliveries::replay(&state.db, &state.expensive_db, caller.user_id, id, &after).await?))
}
