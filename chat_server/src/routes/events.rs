//! What a client needs to open an event stream.

use crate::{Api, extract::Caller};
use axum::{Json, extract::State, http::StatusCode};
use chat_core::{
    Result,
    auth::tickets::{self, Ticket},
};
use std::sync::Arc;

/// A ticket that opens one stream, once, within half a minute.
pub(crate) async fn ticket(State(api): State<Arc<Api>>, caller: Caller) -> Result<(StatusCode, Json<Ticket>)> {
    Ok((StatusCode::CREATED, Json(tickets::issue(&api.db, caller.claims()).await?)))
}
