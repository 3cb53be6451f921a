//! Server-Sent Events: who asks, from where they resume, and the head of the
//! answer, for both ways a request comes in.

use crate::{
    Notify,
    opening::{Asked, Opening, is_own_page},
    session, wire,
};
use axum::{
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header},
    response::{IntoResponse, Response},
};
use chat_core::{
    Error, Result,
    auth::{self, Audience, token},
    web,
};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// Finds out who asks for a stream and where they left off.
pub(crate) async fn open(notify: &Notify, uri: &Uri, headers: &HeaderMap) -> Result<Opening> {
    let asked = Asked::read(uri, headers)?;
    let claims = match asked.claims(notify, headers).await? {
        Some(claims) => claims,
        // A cookie is sent by the browser without asking the page.
        None => {
            let cookie = cookie(headers).ok_or(token::MISSING)?;
            if !is_own_page(notify, headers) {
                return Err(Error::Forbidden("this page may not open streams with a cookie"));
            }
            notify.verifier.verify(cookie, Audience::Stream)?
        }
    };
    Opening::of(notify, claims, asked.resume).await
}

fn cookie(headers: &HeaderMap) -> Option<&str> {
    headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .find_map(|pair| pair.trim().strip_prefix(auth::STREAM_COOKIE)?.strip_prefix('='))
}

/// The headers of a stream: nothing on the way may keep or change it.
const HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

/// A stream through axum, on a connection that was used before.
pub(crate) async fn events(State(notify): State<Arc<Notify>>, uri: Uri, headers: HeaderMap) -> Result<Response> {
    let opening = open(&notify, &uri, &headers).await?;
    let (sender, body) = mpsc::channel(1);
    tokio::spawn(async move {
        session::run(&notify, opening, &wire::Body(sender)).await;
    });
    Ok((HEADERS, Body::from_stream(ReceiverStream::new(body))).into_response())
}

/// The head of a stream that we write ourselves.
pub(crate) fn head(notify: &Notify, headers: &HeaderMap) -> String {
    let mut head = status_line(StatusCode::OK);
    for (name, value) in HEADERS {
        push(&mut head, name.as_str(), &value);
    }
    push(&mut head, "x-request-id", &web::new_request_id());
    push_cors(&mut head, notify, headers);
    head.push_str("connection: close\r\n\r\n");
    head
}

/// A refusal that we write ourselves, the same as axum's would be.
pub(crate) fn refusal(notify: &Notify, headers: &HeaderMap, error: &Error) -> String {
    let id = web::new_request_id();
    let request_id = id.to_str().unwrap_or_default();
    web::log_fault(error, &Method::GET, "/events", request_id);
    let body = serde_json::to_string(&error.problem(request_id)).unwrap_or_default();
    let mut head = status_line(error.status());
    push(&mut head, "content-type", &HeaderValue::from_static(web::PROBLEM_JSON));
    push(&mut head, "content-length", &body.len().into());
    push(&mut head, "x-request-id", &id);
    match error.status() {
        StatusCode::UNAUTHORIZED => push(&mut head, "www-authenticate", &HeaderValue::from_static("Bearer")),
        StatusCode::SERVICE_UNAVAILABLE => push(&mut head, "retry-after", &web::RETRY_AFTER_SECONDS.into()),
        _ => {}
    }
    push_cors(&mut head, notify, headers);
    head.push_str("connection: close\r\n\r\n");
    head + &body
}

fn status_line(status: StatusCode) -> String {
    format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default())
}

fn push(head: &mut String, name: &str, value: &HeaderValue) {
    if let Ok(value) = value.to_str() {
        head.push_str(name);
        head.push_str(": ");
        head.push_str(value);
        head.push_str("\r\n");
    }
}

fn push_cors(head: &mut String, notify: &Notify, headers: &HeaderMap) {
    let Some(origin) = headers.get(header::ORIGIN).filter(|origin| notify.origins.allow(origin)) else { return };
    push(head, "access-control-allow-origin", origin);
    push(head, "access-control-allow-credentials", &HeaderValue::from_static("true"));
    push(head, "vary", &HeaderValue::from_static("origin"));
}
