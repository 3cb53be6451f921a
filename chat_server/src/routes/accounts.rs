//! Leaving.

use super::auth;
use crate::{
    Api,
    extract::{Caller, Input},
    openapi::{Done, Lines},
};
use axum::{body::Body, extract::State};
use chat_core::{Result, accounts, text::Password};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Everything that is known of the caller, and everything they said.
pub(crate) async fn export(State(api): State<Arc<Api>>, caller: Caller) -> Result<Lines> {
    Ok(Lines(Body::from_stream(accounts::export(api.db.clone(), caller.user_id))))
}

/// The proof that it is its owner who closes an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Close {
    password: Password,
}

/// Closes the caller's account for good.
pub(crate) async fn close(
    State(api): State<Arc<Api>>,
    caller: Caller,
    Input(Close { password }): Input<Close>,
) -> Result<Done> {
    auth::prove(&api, caller, password).await?;
    accounts::close(&api.db, caller.user_id).await?;
    api.live.forget(caller.session_id);
    Ok(Done)
}
