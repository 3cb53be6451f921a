//! The first page: sign in as somebody of the demo world, see a chat live, say
//! something. It goes when the frontend comes.

use axum::{
    Router,
    http::{HeaderName, HeaderValue, header},
    response::{AppendHeaders, Html, IntoResponse},
    routing::get,
};

const POLICY: &str = "default-src 'self'; object-src 'none'; frame-ancestors 'none'; base-uri 'none'";

pub(crate) fn router() -> Router {
    Router::new()
        .route("/", get(|| async { (headers(), Html(include_str!("index.html"))) }))
        .route("/page.js", get(|| async { asset("text/javascript; charset=utf-8", include_str!("page.js")) }))
        .route("/page.css", get(|| async { asset("text/css; charset=utf-8", include_str!("page.css")) }))
        .route("/icon.svg", get(|| async { asset("image/svg+xml", include_str!("icon.svg")) }))
}

fn asset(kind: &'static str, text: &'static str) -> impl IntoResponse {
    (headers(), [(header::CONTENT_TYPE, HeaderValue::from_static(kind))], text)
}

fn headers() -> AppendHeaders<[(HeaderName, HeaderValue); 4]> {
    AppendHeaders([
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY)),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
    ])
}
