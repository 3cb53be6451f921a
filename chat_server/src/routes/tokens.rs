//! API tokens of the caller and of the caller's bots.

use super::List;
use crate::{
    AppState,
    extract::{Caller, ClientInfo, Json, Path},
    openapi::{Created, NoContent},
};
use axum::extract::State;
use chat_core::auth::api_tokens::{self, ApiToken, CreatedApiToken, NewApiToken, TokenId};
use chat_http::Result;
use std::sync::Arc;

/// Returns the active tokens.
pub(crate) async fn list(State(state): State<Arc<AppState>>, caller: Caller) -> Result<Json<List<ApiToken>>> {
    Ok(Json(List { items: api_tokens::list(&state.db, caller.user_id).await? }))
}

/// Creates a token. The response is the only one with the token itself.
pub(crate) async fn create(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Json(new): Json<NewApiToken>,
) -> Result<Created<CreatedApiToken>> {
    Ok(Created(api_tokens::create(&state.db, caller.claims(), &client, new).await?))
}

/// Revokes a token. Idempotent.
pub(crate) async fn revoke(
    State(state): State<Arc<AppState>>,
    caller: Caller,
    ClientInfo(client): ClientInfo,
    Path(id): Path<TokenId>,
) -> Result<NoContent> {
    api_tokens::revoke(&state.db, caller.user_id, &client, id).await?;
    state.authenticator.sessions.remove(id.session());
    Ok(NoContent)
}
