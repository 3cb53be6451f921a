//! The middleware layers of all servers, in one order.

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

/// Minimum size of a compressed body, in bytes. A smaller body fits into one packet.
const MIN_COMPRESSED_BYTES: u64 = 1024;

/// Adds the layers to a router: request id, problem bodies, panic handling, a trace
/// span, compression, and CORS as the outermost layer.
pub fn with_layers(router: Router, origins: &AllowedOrigins) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(|request: &Request<Body>| {
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
        .layer(middleware::from_fn(problem::render))
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn(request_id::assign))
        .layer(origins.cors())
}
