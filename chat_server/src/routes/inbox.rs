//! The caller's inbox.

use super::Page;
use crate::{
    AppState,
    extract::{Caller, Json, Limit, Query},
    openapi::NoContent,
};
use axum::extract::State;
use chat_core::{
    InboxItemId,
    inbox::{self, InboxEntry, InboxMark, Kind},
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Which items of the inbox to list.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct InboxParams {
    /// Only items of this kind.
    kind: Option<Kind>,
    /// Only items with a lower id.
    before: Option<InboxItemId>,
    #[serde(default)]
    limit: Limit,
}

/// Returns the caller's inbox, newest first.
pub(crate) async fn list(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Query(InboxParams { kind, before, limit: Limit(limit) }): Query<InboxParams>,
) -> Result<Json<Page<InboxEntry>>> {
    let _slot = state.expensive_slots.acquire(caller.account_id).await?;
    let mut db = state.expensive_db.acquire().await?;
    let page = inbox::list(&mut db, caller.user_id, kind, before, limit + 1).await?;
    let filters = [("kind", kind.map(|kind| kind.name().to_owned()))];
    let resume_at = page.resume_before.map(|id| ("before", id.get()));
    let page = Page::with_filters(page.entries, limit, &filters, |row| ("before", row.item.id.get()));
    Ok(Json(page.or_resume_at(limit, &filters, resume_at)))
}

/// Marks the items of the inbox up to one as seen. Idempotent.
pub(crate) async fn mark_seen(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(mark): Json<InboxMark>,
) -> Result<NoContent> {
    inbox::mark_seen(&state.db, caller.user_id, mark).await?;
    Ok(NoContent)
}
