//! The messages that the caller has saved for later.

use super::Page;
use crate::{
    AppState,
    extract::{Caller, Json, Limit, Path, Query},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    MessageId, SavedMessageId,
    messages::{self, SavedMessage},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Which saved messages to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct SavedMessageParams {
    /// Only saved messages with a lower id.
    before: Option<SavedMessageId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the messages that the caller has saved, the last saved first.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(SavedMessageParams { before, limit: Limit(limit) }): Query<SavedMessageParams>,
) -> Result<Json<Page<SavedMessage>>> {
    let mut db = state.db.acquire().await?;
    let saved = messages::list_saved(&mut db, caller.user_id, before, limit + 1).await?;
    Ok(Json(Page::with_filters(saved, limit, &[], |saved| ("before", saved.id.get()))))
}

/// Saves a message for later. Idempotent.
pub(crate) async fn save(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<NoContent> {
    messages::save(&state.db, caller.user_id, id).await?;
    Ok(NoContent)
}

/// Unsaves a message. Idempotent.
pub(crate) async fn unsave(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Path(id): Path<MessageId>,
) -> Result<NoContent> {
    messages::unsave(&state.db, caller.user_id, id).await?;
    Ok(NoContent)
}
