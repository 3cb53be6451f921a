//! Rejects callers without a valid token before their body is read, so that only signed-in
//! users can make the server hold bodies.

use crate::limits::MAX_JSON_BYTES;
use axum::{
    body::{Body, HttpBody},
    extract::{MatchedPath, Request, State},
    http::{HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::auth::Authenticator;
use chat_http::ApiError;
use futures_util::StreamExt;
use std::{collections::HashMap, sync::Arc, time::Duration};
use tokio::time::timeout;

/// Maximum size of a body that is discarded as it comes, so that the client, which still
/// writes, receives the response. The connection of a larger body is closed.
const MAX_DISCARDED_BYTES: usize = MAX_JSON_BYTES;

/// How long a client has to send such a body.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// The methods of each path pattern, and whether they need a token.
#[derive(Debug, Default)]
pub(crate) struct RouteTable(HashMap<&'static str, Vec<(Method, bool)>>);

impl RouteTable {
    pub(crate) fn insert(&mut self, method: Method, path: &'static str, is_private: bool) {
        self.0.entry(path).or_default().push((method, is_private));
    }

    /// Whether the route of a request needs a token; `None` if no route reads its body.
    fn find(&self, request: &Request) -> Option<bool> {
        if matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS) {
            return None;
        }
        let path = request.extensions().get::<MatchedPath>()?;
        let mut routes = self.0.get(path.as_str())?.iter();
        routes.find(|(method, _)| method == request.method()).map(|(_, is_private)| *is_private)
    }
}

/// What the middleware needs.
#[derive(Debug)]
pub(crate) struct BodyGuard {
    pub(crate) routes: RouteTable,
    pub(crate) authenticator: Arc<Authenticator>,
}

/// The middleware: rejects a request with a body but without a valid token, unless its route
/// needs none. Whether the session is active is checked later. A body that no route reads is
/// dropped.
pub(crate) async fn reject_anonymous(State(guard): State<Arc<BodyGuard>>, request: Request, next: Next) -> Response {
    match guard.routes.find(&request) {
        None => return next.run(request.map(|_| Body::empty())).await,
        Some(false) => return next.run(request).await,
        Some(true) => {}
    }
    let header = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let Err(error) = guard.authenticator.identify(header).await else { return next.run(request).await };
    let is_discarded = can_discard(&request) && discard(request.into_body()).await;
    let mut response = ApiError(error).into_response();
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
