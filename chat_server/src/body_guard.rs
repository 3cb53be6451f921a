//! Rejects callers without a valid token before their body is read, so that only signed-in
//! users can make the server hold bodies.

use axum::{
    body::Body,
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::auth::{self, Audience, Verifier, token};
use chat_http::ApiError;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Maximum size of a body that is read and discarded, so that the client, which still
/// writes, receives the response. After a larger body the connection is closed.
const MAX_DISCARDED_BYTES: usize = 16 * 1024;

/// How long a client has to send such a body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The methods of each path pattern that need a token.
#[derive(Debug, Default)]
pub(crate) struct PrivateRoutes(HashMap<&'static str, Vec<Method>>);

impl PrivateRoutes {
    pub(crate) fn insert(&mut self, method: Method, path: &'static str) {
        self.0.entry(path).or_default().push(method);
    }

    fn contains(&self, request: &Request) -> bool {
        let path = request.extensions().get::<MatchedPath>();
        path.and_then(|path| self.0.get(path.as_str())).is_some_and(|methods| methods.contains(request.method()))
    }
}

/// What the middleware needs.
#[derive(Debug)]
pub(crate) struct BodyGuard {
    pub(crate) private: PrivateRoutes,
    pub(crate) verifier: Verifier,
}

/// The middleware: rejects a request with a body but without a valid token, unless its route
/// needs none. Whether the session is active is checked later.
pub(crate) async fn reject_anonymous(State(guard): State<Arc<BodyGuard>>, request: Request, next: Next) -> Response {
    if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) || !guard.private.contains(&request) {
        return next.run(request).await;
    }
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let verified = match header.and_then(auth::parse_bearer_token) {
        Some(bearer) => guard.verifier.verify(bearer, Audience::Api).map(|_| ()),
        None => Err(token::MISSING),
    };
    let Err(error) = verified else { return next.run(request).await };
    let is_discarded = discard(request.into_body()).await;
    let mut response = ApiError(error).into_response();
    if !is_discarded {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Reads a small body; returns false if it is larger or late.
async fn discard(body: Body) -> bool {
    matches!(timeout(DISCARD_TIMEOUT, axum::body::to_bytes(body, MAX_DISCARDED_BYTES)).await, Ok(Ok(_)))
}
