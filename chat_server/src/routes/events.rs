//! The event log over REST, and the requests that a client sends before it opens a
//! stream.

use crate::{
    AppState,
    extract::{Caller, Json, Limit, Query},
    openapi::Created,
};
use axum::extract::State;
use chat_core::{
    auth::tickets::{self, Ticket},
    bootstrap::{self, Bootstrap},
    catalogue::Event,
    events::{self, Cursor},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::sync::Arc;

/// Creates a ticket that opens one stream, once, within 30 seconds.
pub(crate) async fn create_ticket(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Created<Ticket>> {
    Ok(Created(tickets::issue(&state.db, caller.claims()).await?))
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct EventPageParams {
    after: Cursor,
    #[serde(default)]
    limit: Limit,
}

/// A page of the events of one user, in order.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct EventPage {
    /// The events, as the stream sends them. A page can be empty even if it is not the
    /// last.
    #[schemars(with = "Vec<Event>")]
    events: Vec<Box<RawValue>>,
    /// The cursor at the end of this page.
    cursor: Cursor,
    /// Whether more events can be read now.
    more: bool,
}

/// Lists the events after a cursor, as the stream would send them.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(EventPageParams { after, limit }): Query<EventPageParams>,
) -> Result<Json<EventPage>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    let page = events::load_page(&state.db, caller.user_id, &after, limit.0).await?;
    Ok(Json(EventPage { events: page.events, cursor: page.cursor, more: page.more }))
}

/// Returns the initial state of a client, and the cursor to resume from.
pub(crate) async fn bootstrap(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<Bootstrap>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    Ok(Json(bootstrap::load(&state.db, caller.user_id).await?))
}
