//! Server-Sent Events over HTTP: the handshake and the response head, for connections
//! served by hyper and by the fast path.

use crate::{
    NotifyServer, connection,
    handshake::{ConnectRequest, Handshake, is_allowed_origin},
    transport,
};
use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, HeaderName, HeaderValue, Uri, header},
    response::{IntoResponse, Response},
};
use chat_core::{
    Error,
    auth::{Audience, Identity, token},
};
use chat_http::{Result, cookies};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

/// A request extension that the fast path sets. The handler stores the handshake in it,
/// and the fast path then writes the stream itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct HandshakeSlot(Arc<Mutex<Option<Handshake>>>);

impl HandshakeSlot {
    fn put(&self, handshake: Handshake) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(handshake);
    }

    pub(crate) fn take(&self) -> Option<Handshake> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// The headers of a stream: no proxy may cache, compress or buffer it.
const STREAM_HEADERS: [(HeaderName, HeaderValue); 3] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store, no-transform")),
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no")),
];

/// Opens an event stream. For the fast path, only stores the handshake in the slot.
pub(crate) async fn events(
    State(server): State<Arc<NotifyServer>>,
    slot: Option<Extension<HandshakeSlot>>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response> {
    let handshake = handshake(&server, &uri, &headers).await?;
    let body = match slot {
        Some(Extension(slot)) => {
            slot.put(handshake);
            Body::empty()
        }
        None => {
            let (sender, frames) = mpsc::channel(1);
            tokio::spawn(async move {
                connection::run(&server, handshake, &transport::BodyTransport(sender)).await;
            });
            Body::from_stream(ReceiverStream::new(frames))
        }
    };
    Ok((STREAM_HEADERS, body).into_response())
}

/// Authenticates a request for an event stream by bearer token, ticket or cookie.
async fn handshake(server: &NotifyServer, uri: &Uri, headers: &HeaderMap) -> Result<Handshake> {
    let request = ConnectRequest::parse(uri, headers)?;
    let identity = match request.authenticate(server, headers).await? {
        Some(identity) => identity,
        // A browser sends the cookie with requests from any page, so check the origin.
        None => {
            let cookie = cookies::STREAM.find(headers, server.policy.is_https).ok_or(token::MISSING)?;
            if !is_allowed_origin(server, headers) {
                return Err(Error::Forbidden("this origin is not allowed to open event streams with a cookie").into());
            }
            let claims = server.authenticator.verifier().verify(cookie, Audience::Stream)?;
            // Only a signed-in device has the cookie.
            Identity::of_device(claims)
        }
    };
    Ok(Handshake::load(server, identity, request.resume).await?)
}
