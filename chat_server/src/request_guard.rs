//! What happens before a route handles a request, in one middleware: who sends it, whether it
//! is within the limits and may write now, and whether its body is worth reading. One layer
//! instead of several, because each request copies all layers (docs/operations.md, "Layers").

use crate::{
    AppState, disk_space,
    limits::MAX_JSON_BYTES,
    router::{Access, RouteTable},
    webhook_request::find_webhook,
};
use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::{Error, WebhookId, auth::Identity};
use chat_http::{ApiError, Result, rate_limit::has_body, refusals::read_client};
use futures_util::StreamExt;
use std::{sync::Arc, time::Duration};
use tokio::time::timeout;

/// Maximum size of a body that is discarded as it comes, so that the client, which still
/// writes, receives the response. The connection of a larger body is closed.
const MAX_DISCARDED_BYTES: usize = MAX_JSON_BYTES;

/// How long a client has to send such a body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// What the middleware needs.
#[derive(Debug)]
pub(crate) struct RequestGuard {
    pub(crate) routes: RouteTable,
    pub(crate) state: Arc<AppState>,
}

/// Who sends a request, and what its route requires. Whether the session is active is checked
/// by `Caller`.
#[derive(Debug, Clone)]
pub(crate) struct VerifiedRequest {
    pub(crate) identity: Identity,
    pub(crate) access: Access,
}

/// The middleware.
pub(crate) async fn guard(State(guard): State<Arc<RequestGuard>>, mut request: Request, next: Next) -> Response {
    let state = &guard.state;
    let route = guard.routes.find(&request);
    let access = route.map(|route| route.access);
    let verified = match access {
        None | Some(Access::Public | Access::Webhook | Access::Network) => None,
        Some(access) => {
            let identity = match request.extensions().get::<Identity>() {
                // The MCP server has verified the token, which may be for it only.
                Some(identity) => Ok(identity.clone()),
                None => {
                    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
                    state.authenticator.identify(header).await
                }
            };
            Some(identity.map(|identity| VerifiedRequest { identity, access }))
        }
    };
    let account = verified.as_ref().and_then(|verified| Some(verified.as_ref().ok()?.identity.account_id));
    let has_body = has_body(&request);
    let counted = match route {
        Some(route) => state.rate_limiter.check(&request, route.class, account),
        None => Ok(None),
    };
    let mut status = match counted {
        Ok(status) => status,
        Err(status) => return status.into_rejection(has_body),
    };
    let mut response = match verified {
        _ if disk_space::is_refused(state, &request) => ApiError(Error::InsufficientStorage).into_response(),
        Some(Err(error)) => reject(request, error.into()).await,
        Some(Ok(verified)) => {
            request.extensions_mut().insert(verified.clone());
            run_recording(state, &verified.identity, request, next).await
        }
        None if access == Some(Access::Webhook) => match verify_webhook(&mut request, state).await {
            Ok(webhook) => match state.rate_limiter.count_webhook(webhook) {
                Ok(counted) => {
                    status = counted;
                    next.run(drop_unread_body(request)).await
                }
                Err(status) => return status.into_rejection(has_body),
            },
            Err(error) => reject(request, error).await,
        },
        // No route reads the body of a request that matches none.
        None if access.is_none() => next.run(request.map(|_| Body::empty())).await,
        None => next.run(drop_unread_body(request)).await,
    };
    if let Some(status) = status {
        status.write_headers(response.headers_mut());
    }
    response
}

/// Runs the handler, and records a response with 403 in the audit log.
async fn run_recording(state: &AppState, identity: &Identity, request: Request, next: Next) -> Response {
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let user_agent = request.headers().get(header::USER_AGENT).cloned();
    let address = state.rate_limiter.client_address(request.extensions(), request.headers());
    // The code of an invite is a secret. The URLs of webhooks do not come here: they have no
    // identity.
    let has_secret = request.extensions().get::<MatchedPath>().is_some_and(|path| path.as_str().contains("{code}"));
    let response = next.run(drop_unread_body(request)).await;
    if response.status() == StatusCode::FORBIDDEN {
        let path = match uri.path().rsplit_once('/') {
            Some((rest, _)) if has_secret => format!("{rest}/…"),
            _ => uri.path().to_owned(),
        };
        let client = read_client(address, user_agent.as_ref());
        state.refusals.record(&state.db, identity.claims.user_id, &client, &format!("{method} {path}")).await;
    }
    response
}

/// Finds the webhook of the path, for `WebhookCaller`.
async fn verify_webhook(request: &mut Request, state: &AppState) -> Result<WebhookId> {
    let (mut parts, body) = std::mem::take(request).into_parts();
    let found = find_webhook(&mut parts, state).await;
    *request = Request::from_parts(parts, body);
    let found = found?;
    let id = found.0.id;
    request.extensions_mut().insert(found);
    Ok(id)
}

/// Drops a body that no route reads.
fn drop_unread_body(request: Request) -> Request {
    match *request.method() {
        Method::GET | Method::HEAD | Method::OPTIONS => request.map(|_| Body::empty()),
        _ => request,
    }
}

/// Rejects a request without reading its body, so that only those who may send a body can make
/// the server hold it.
async fn reject(request: Request, error: ApiError) -> Response {
    let is_discarded = !has_body(&request) || can_discard(&request) && discard(request.into_body()).await;
    let mut response = error.into_response();
    if !is_discarded {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Whether the client has sent its body, or will soon, and the body is not too large.
fn can_discard(request: &Request) -> bool {
    let max = MAX_DISCARDED_BYTES as u64;
    !request.headers().contains_key(header::EXPECT) && request.body().size_hint().upper().is_none_or(|size| size <= max)
}

/// Discards a body; returns false if it is too large, late or incomplete.
async fn discard(body: Body) -> bool {
    let mut frames = body.into_data_stream();
    let mut size = 0;
    let read = async {
        while let Some(frame) = frames.next().await {
            let Ok(bytes) = frame else { return false };
            size += bytes.len();
            if size > MAX_DISCARDED_BYTES {
                return false;
            }
        }
        true
    };
    timeout(DISCARD_TIMEOUT, read).await.unwrap_or(false)
}
