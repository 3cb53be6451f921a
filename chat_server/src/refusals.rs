//! Records refused requests in the audit log: those of signed-in users who lack the
//! permission. At most 5 requests of a user are recorded per minute.

use crate::{AppState, extract::read_user_agent};
use axum::{
    extract::{MatchedPath, Request},
    middleware::Next,
    response::Response,
};
use chat_core::{
    UserId,
    audit::{Action, Client, NewEntry},
};
use chat_http::rate_limit;
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use http::{StatusCode, header};
use std::{num::NonZeroU32, sync::Arc};

/// Number of refused requests of one user that are recorded in a minute.
const RECORDED_PER_MINUTE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

/// Limits how many refusals are recorded.
#[derive(Debug)]
pub(crate) struct Refusals(DefaultKeyedRateLimiter<UserId>);

impl Refusals {
    pub(crate) fn new() -> Self {
        Self(RateLimiter::keyed(Quota::per_minute(RECORDED_PER_MINUTE)))
    }

    /// Removes users who have their full limit again.
    pub(crate) fn remove_stale(&self) {
        self.0.retain_recent();
    }
}

/// The middleware: records a response with 403.
pub(crate) async fn record_forbidden(state: Arc<AppState>, request: Request, next: Next) -> Response {
    // Copied cheaply, because nearly no request is refused.
    let (method, uri) = (request.method().clone(), request.uri().clone());
    // The code of an invite is a secret.
    let has_secret = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().contains("{code}"));
    let address = state.rate_limiter.client_address(request.extensions(), request.headers());
    let authorization = request.headers().get(header::AUTHORIZATION).cloned();
    let user_agent = request.headers().get(header::USER_AGENT).cloned();
    let response = next.run(request).await;
    if response.status() == StatusCode::FORBIDDEN
        && let Some(user) = authorization.and_then(|value| rate_limit::claimed_user(state.signer.verifier(), &value))
        && state.refusals.0.check_key(&user).is_ok()
    {
        let client = Client { address: Some(address), user_agent: read_user_agent(user_agent.as_ref()) };
        let path = match uri.path().rsplit_once('/') {
            Some((rest, _)) if has_secret => format!("{rest}/…"),
            _ => uri.path().to_owned(),
        };
        let detail = format!("{method} {path}");
        let entry = NewEntry::new(Action::Refused).with_actor(user).with_client(&client).with_detail(&detail);
        if let Err(error) = entry.write(&state.db).await {
            tracing::warn!(%error, "a refused request is not in the audit log");
        }
    }
    response
}
