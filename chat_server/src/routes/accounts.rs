//! Export and deletion of an account.

use super::auth;
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json},
    openapi::{NdJson, NoContent},
};
use axum::{body::Body, extract::State};
use chat_core::{
    Error, accounts,
    audit::{Action, NewEntry},
    values::PasswordText,
};
use chat_http::Result;
use futures_util::{StreamExt, TryStreamExt, stream};
use schemars::JsonSchema;
use serde::Deserialize;
use std::sync::Arc;

/// Exports the caller's data and messages, as JSON lines.
pub(crate) async fn export(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
) -> Result<NdJson> {
    NewEntry::new(Action::Exported).with_actor(caller.user_id).with_client(&client).write(&state.db).await?;
    let mut pages = Box::pin(accounts::export(state.expensive_db.clone(), caller.user_id, Some(caller.session_id)));
    // The first page before the response, so that an error has a status. A slot for each page,
    // not for the whole export, whose length the client chooses.
    let slot = state.expensive_slots.acquire(caller.account_id).await?;
    let first = pages.try_next().await?;
    drop(slot);
    let rest = stream::try_unfold(pages, move |mut pages| {
        let state = Arc::clone(&state);
        async move {
            let _slot = state.expensive_slots.wait(caller.account_id).await?;
            Ok::<_, Error>(pages.try_next().await?.map(|page| (page, pages)))
        }
    });
    let pages = stream::iter(first.map(Ok)).chain(rest);
    Ok(NdJson(Body::from_stream(pages)))
}

/// The current password, which confirms the deletion of an account.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct DeleteAccount {
    password: PasswordText,
}

/// Deletes the caller's account permanently.
pub(crate) async fn delete(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Json(DeleteAccount { password }): Json<DeleteAccount>,
) -> Result<NoContent> {
    auth::verify_password(&state, &caller, password).await?;
    let entry = NewEntry::new(Action::AccountDeleted).with_actor(caller.user_id).with_client(&client);
    accounts::delete(&state.db, caller.user_id, entry).await?;
    state.authenticator.sessions.remove(caller.session_id);
    Ok(NoContent)
}
