//! Records the requests of signed-in users that are refused with 403 in the audit log.

use crate::AppState;
use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use chat_http::refusals::read_client;
use http::{StatusCode, header};
use std::sync::Arc;

/// The middleware: records a response with 403.
pub(crate) async fn record_forbidden(state: Arc<AppState>, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    // The code of an invite is a secret.
    let has_secret = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().contains("{code}"));
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let client = read_client(&state.rate_limiter, request.extensions(), request.headers());
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Ok(identity) =
            state.authenticator.identify(authorization.as_ref().and_then(|value| value.to_str().ok())).await
    {
        let path = match uri.path().rsplit_once('/') {
            Some((rest, _)) if has_secret => format!("{rest}/…"),
            _ => uri.path().to_owned(),
        };
        state.refusals.record(&state.db, identity.claims.user_id, &client, &format!("{method} {path}")).await;
    }
    response
}
