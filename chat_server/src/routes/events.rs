//! The event log over REST, and what a client needs to open a stream.

use crate::{
    Api,
    extract::{Asked, Caller, Limit},
    openapi::New,
};
use axum::{Json, extract::State};
use chat_core::{
    Result,
    auth::tickets::{self, Ticket},
    bootstrap::{self, Bootstrap},
    events::{self, Cursor, Page},
};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// A ticket that opens one stream, once, within half a minute.
pub(crate) async fn ticket(State(api): State<Arc<Api>>, caller: Caller) -> Result<New<Ticket>> {
    Ok(New(tickets::issue(&api.db, caller.claims()).await?))
}

#[derive(Deserialize, JsonSchema)]
pub(crate) struct After {
    after: Cursor,
    #[serde(default)]
    limit: Limit,
}

/// The events after a cursor, as the stream would carry them.
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Asked(After { after, limit }): Asked<After>,
) -> Result<Json<Page>> {
    events::page(&api.db, caller.user_id, &after, limit.0).await.map(Json)
}

/// Everything for a first screen, and the cursor to go on from.
pub(crate) async fn bootstrap(State(api): State<Arc<Api>>, caller: Caller) -> Result<Json<Bootstrap>> {
    bootstrap::read(&api.db, caller.user_id).await.map(Json)
}
