//! Pushes: the key of this server, and the subscription of the caller's device.

use crate::{
    AppState,
    extract::{Caller, Json},
    openapi::NoContent,
};
use axum::extract::State;
use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use chat_core::{
    Error,
    push::{
        NewNativeSubscription, NewSubscription, Renewal, Subscription,
        subscriptions::{self, PushKey},
    },
};
use chat_http::Result;
use schemars::JsonSchema;
use serde::Serialize;
use std::sync::Arc;

/// The key with which a browser subscribes.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PublicPushKey {
    /// The `applicationServerKey`, in base64url.
    public_key: String,
}

/// Returns the key of this server.
pub(crate) async fn get_key(State(state): State<Arc<AppState>>, _caller: Caller) -> Result<Json<PublicPushKey>> {
    let PushKey { public_key, .. } = subscriptions::load_key(&state.db, state.require_sealer()?).await?;
    Ok(Json(PublicPushKey { public_key: BASE64_URL_SAFE_NO_PAD.encode(public_key) }))
}

/// Returns the subscription of the caller's device.
pub(crate) async fn get_subscription(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<Subscription>> {
    Ok(Json(subscriptions::get(&state.db, caller.claims()).await?))
}

/// Subscribes the caller's device, or changes its subscription. It ends with the session.
pub(crate) async fn set_subscription(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(new): Json<NewSubscription>,
) -> Result<Json<Subscription>> {
    state.require_sealer()?;
    Ok(Json(subscriptions::set(&state.db, &state.outgoing, caller.claims(), new).await?))
}

/// Subscribes the caller's device, which runs a native app, or changes its subscription. It ends with the session.
pub(crate) async fn set_native_subscription(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    Json(new): Json<NewNativeSubscription>,
) -> Result<Json<Subscription>> {
    if !state.has_native_app {
        return Err(Error::Conflict { code: "no_native_app", detail: "this server pushes to no native app" }.into());
    }
    Ok(Json(subscriptions::set_native(&state.db, caller.claims(), new).await?))
}

/// Replaces a subscription, as a service worker does, which has no token.
pub(crate) async fn renew_subscription(
    State(state): State<Arc<AppState>>,
    Json(renewal): Json<Renewal>,
) -> Result<NoContent> {
    subscriptions::renew(&state.db, &state.outgoing, renewal).await?;
    Ok(NoContent)
}

/// Ends the subscription of the caller's device. Idempotent.
pub(crate) async fn delete_subscription(State(state): State<Arc<AppState>>, caller: Caller) -> Result<NoContent> {
    subscriptions::delete(&state.db, caller.session_id).await?;
    Ok(NoContent)
}
