//! Leaving.

use super::auth;
use crate::{
    AppState,
    extract::{Caller, Json},
    openapi::{NdJson, NoContent},
};
use axum::{body::Body, extract::State};
use chat_core::{accounts, values::Password};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Everything that is known of the caller, and everything they said.
pub(crate) async fn export(State(state): State<Arc<AppState>>, caller: Caller) -> Result<NdJson> {
    Ok(NdJson(Body::from_stream(accounts::export(state.db.clone(), caller.user_id))))
}

/// The proof that it is its owner who closes an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteAccount {
    password: Password,
}

/// Closes the caller's account for good.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(DeleteAccount { password }): Json<DeleteAccount>,
) -> Result<NoContent> {
    auth::verify_password(&state, caller, password).await?;
    accounts::delete(&state.db, caller.user_id).await?;
    state.session_cache.remove(caller.session_id);
    Ok(NoContent)
}
