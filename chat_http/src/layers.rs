//! The layers that every request passes, in one order for all servers.

use crate::{AllowedOrigins, ApiError, problem, request_id};
use axum::{Router, body::Body, extract::MatchedPath, http::Request, middleware, response::IntoResponse};
use chat_core::Error;
use tower_http::{
    catch_panic::CatchPanicLayer,
    compression::{
        CompressionLayer,
        predicate::{NotForContentType, Predicate, SizeAbove},
    },
    trace::TraceLayer,
};

/// A smaller body is not compressed, in bytes: it fits into one packet anyway.
const MIN_COMPRESSED_BYTES: u64 = 1024;

/// Wraps a router: request id, problem bodies, panics, a trace span, compression,
/// and CORS outermost.
pub fn with_layers(router: Router, origins: &AllowedOrigins) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &Request<Body>| {
            // The matched route, never the full URI: a query can hold a ticket.
            let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str);
            let request_id = request_id::request_id(request.headers());
            tracing::debug_span!("http", method = %request.method(), route, request_id)
        })
        .on_failure(());
    // Streams must not wait for a compressor's buffer, and files are mostly
    // compressed already.
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
        .layer(middleware::from_fn(problem::render))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn(request_id::assign))
        .layer(origins.cors())
}
