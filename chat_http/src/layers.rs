//! The middleware layers of all servers, in one order.

use crate::{
    ApiError, problem,
    rate_limit::{self, RateLimiter},
    request_id,
    web_policy::{self, WebPolicy},
};
use axum::{
    Router,
    extract::{MatchedPath, Request},
    http::header,
    middleware::{self, Next},
    response::{IntoResponse, Response},
};
use chat_core::Error;
use std::sync::Arc;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    trace::TraceLayer,
};

/// Minimum size of a compressed body, in bytes. A smaller body fits into one packet.
const MIN_COMPRESSED_BYTES: u64 = 1024;

/// Adds the layers to a router, from the inside: a trace span, panic handling, the rejection of
/// encoded bodies and of addresses over their limit, CORS, the check of the host, the count of
/// each address, if there is a limiter, security headers, problem bodies, compression and the
/// request id.
pub fn with_layers(router: Router, policy: &WebPolicy, limiter: Option<Arc<RateLimiter>>) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &Request| {
            // Log the matched route, never the full URI: a query can contain a ticket.
            let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
            let request_id = request_id::request_id(request.headers());
            tracing::debug_span!("http", method = %request.method(), route, request_id)
        })
        .on_failure(());
    // A compressor would buffer and so delay streams, and most files are already
    // compressed.
    let compressible = SizeAbove::new(MIN_COMPRESSED_BYTES)
        .and(NotForContentType::SSE)
        .and(NotForContentType::IMAGES)
        .and(NotForContentType::const_new("application/octet-stream"))
        .and(NotForContentType::const_new("application/zip"))
        .and(NotForContentType::const_new("video/"))
        .and(NotForContentType::const_new("audio/"));
    router
        .layer(trace)
        .layer(CatchPanicLayer::custom(|panic: Box<dyn std::any::Any + Send>| {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message");
            ApiError(Error::internal(format!("panic: {text}"))).into_response()
        }))
        .layer(middleware::from_fn(reject_encoded_body))
        .layer(middleware::from_fn(rate_limit::reject_address))
        .layer(policy.origins.cors())
        .layer(middleware::from_fn_with_state(policy.clone(), web_policy::enforce_host))
        .layer(middleware::from_fn_with_state(limiter, rate_limit::count_address))
        .layer(middleware::from_fn_with_state(policy.clone(), web_policy::set_headers))
        .layer(middleware::from_fn(problem::render))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn(request_id::assign))
}

/// Rejects a compressed request body, which no handler could read.
async fn reject_encoded_body(request: Request, next: Next) -> Response {
    let encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let mut encodings = encodings.filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    match encodings.next() {
        Some(_) => {
            ApiError(Error::UnsupportedMediaType("a request body must not have a Content-Encoding")).into_response()
        }
        None => next.run(request).await,
    }
}
