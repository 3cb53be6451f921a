//! The middleware layers of all servers, in one order.

use crate::{
    ApiError, problem,
    rate_limit::{AddressRejection, LIMIT_HEADER, RateLimiter, has_body},
    request_id,
    web_policy::WebPolicy,
};
use axum::{
    Router,
    extract::{MatchedPath, Request, State},
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

/// Adds the layers to a router, from the inside: a trace span, panic handling, early rejections,
/// CORS, compression, and all that concerns every request (`serve`).
pub fn with_layers(router: Router, policy: &WebPolicy, limiter: Option<Arc<RateLimiter>>) -> Router {
    let outer = Arc::new(OuterLayer { policy: policy.clone(), limiter });
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
        .layer(middleware::from_fn(reject_early))
        .layer(policy.origins.cors())
        .layer(CompressionLayer::new().compress_when(compressible))
        .layer(middleware::from_fn_with_state(outer, serve))
}

/// What the outer layer needs.
#[derive(Debug)]
struct OuterLayer {
    policy: WebPolicy,
    /// Counts the requests of each address.
    limiter: Option<Arc<RateLimiter>>,
}

/// The outer layer, for every request and response: the request id, the limit of the address,
/// the check of the host, security headers, and the bodies of errors. One layer, because each
/// request copies all layers.
async fn serve(State(outer): State<Arc<OuterLayer>>, mut request: Request, next: Next) -> Response {
    let id = request_id::assign(&mut request);
    let (method, uri) = (request.method().clone(), request.uri().clone());
    let counted = outer.limiter.as_ref().map_or(Ok(None), |limiter| limiter.count_address(&mut request));
    let mut response = match counted {
        Ok(status) => {
            let mut response = match outer.policy.check_host(&request) {
                Ok(()) => next.run(request).await,
                Err(error) => error.into_response(),
            };
            // The limit of the class says more.
            if let Some(status) = status.filter(|_| !response.headers().contains_key(LIMIT_HEADER)) {
                status.write_headers(response.headers_mut());
            }
            response
        }
        Err(status) => status.into_rejection(has_body(&request)),
    };
    outer.policy.write_headers(response.headers_mut());
    let mut response = problem::render(response, &method, uri.path(), id.to_str().unwrap_or_default());
    request_id::write(&mut response, id);
    response
}

/// Rejects a request of an address over its limit, and one with a compressed body, which no
/// handler could read. Inside CORS, so that a page can read the response.
async fn reject_early(request: Request, next: Next) -> Response {
    if let Some(rejection) = AddressRejection::respond(&request) {
        return rejection;
    }
    let encodings = request.headers().get_all(header::CONTENT_ENCODING).iter();
    let mut encodings = encodings.filter(|value| !value.as_bytes().eq_ignore_ascii_case(b"identity"));
    match encodings.next() {
        Some(_) => {
            ApiError(Error::UnsupportedMediaType("a request body must not have a Content-Encoding")).into_response()
        }
        None => next.run(request).await,
    }
}
