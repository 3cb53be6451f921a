//! The fast path of event streams: a connection whose first request is a plain `GET
//! /events` is served directly on the socket, with a third of the memory that hyper
//! would use. Every other connection is passed to hyper with all of its bytes.

use crate::{
    NotifyServer, connection,
    handshake::Handshake,
    sse::{self, HandshakeSlot},
    transport::SocketTransport,
};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::ConnectInfo,
    http::{HeaderMap, HeaderName, HeaderValue, Request, Response, Uri, header},
    routing::get,
};
use chat_http::{
    acceptor::{ConnectionHook, PeekedRequest},
    layers,
};
use httparse::Status;
use std::{net::SocketAddr, sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};
use tower::ServiceExt;

/// Maximum number of header fields. Hyper rejects a request with more header fields.
const MAX_HEADERS: usize = 64;

/// Maximum size of an error body, in bytes.
const MAX_ERROR_BYTES: usize = 64 * 1024;

/// How long a client may take to receive an error response.
const ERROR_RESPONSE_TIMEOUT: Duration = Duration::from_secs(5);

/// Serves event streams without hyper. The head of a response comes from the same
/// handler and the same layers as on any other connection.
#[derive(Debug, Clone)]
pub struct SseFastPath {
    server: Arc<NotifyServer>,
    router: Router,
}

impl SseFastPath {
    pub(crate) fn new(server: Arc<NotifyServer>) -> Self {
        let events = Router::new().route(crate::EVENTS_PATH, get(sse::events)).with_state(Arc::clone(&server));
        let router = layers::with_layers(events, &server.policy, Some(Arc::clone(&server.rate_limiter)));
        Self { server, router }
    }

    /// Answers a request for an event stream with the head of the stream or with an error,
    /// and returns the stream if it is open. Returns any other request unchanged.
    async fn open(&self, request: PeekedRequest) -> Result<Option<(Handshake, TcpStream)>, PeekedRequest> {
        let Some((uri, headers)) = parse_stream_request(&request.buffer) else { return Err(request) };
        let PeekedRequest { mut stream, buffer, peer } = request;
        drop(buffer);
        let (response, slot) = self.respond(uri, headers, peer).await;
        let Some(handshake) = slot.take() else {
            let _ = timeout(ERROR_RESPONSE_TIMEOUT, write_error(&mut stream, response)).await;
            return Ok(None);
        };
        let is_open = stream.write_all(&encode_head(&response, None)).await.is_ok();
        Ok(is_open.then_some((handshake, stream)))
    }

    async fn respond(&self, uri: Uri, headers: HeaderMap, peer: SocketAddr) -> (Response<Body>, HandshakeSlot) {
        let slot = HandshakeSlot::default();
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        *request.headers_mut() = headers;
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(slot.clone());
        let Ok(response) = self.router.clone().oneshot(request).await;
        (response, slot)
    }
}

impl ConnectionHook for SseFastPath {
    async fn try_take(&self, request: PeekedRequest) -> Option<PeekedRequest> {
        // Boxed, because the future is large and is dropped before the stream begins.
        match Box::pin(self.open(request)).await {
            Ok(Some((handshake, stream))) => {
                connection::run(&self.server, handshake, &SocketTransport(stream)).await;
                None
            }
            Ok(None) => None,
            Err(other) => Some(other),
        }
    }
}

async fn write_error(stream: &mut TcpStream, response: Response<Body>) -> std::io::Result<()> {
    let (parts, body) = response.into_parts();
    let body = to_bytes(body, MAX_ERROR_BYTES).await.map_err(std::io::Error::other)?;
    let mut bytes = encode_head(&Response::from_parts(parts, Body::empty()), Some(body.len()));
    bytes.extend_from_slice(&body);
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// Encodes the head of a response on a connection that closes after it.
fn encode_head(response: &Response<Body>, content_length: Option<usize>) -> Vec<u8> {
    let status = response.status();
    let mut head = format!("HTTP/1.1 {} {}\r\n", status.as_u16(), status.canonical_reason().unwrap_or_default());
    for (name, value) in response.headers() {
        if let (false, Ok(value)) = (name == header::CONTENT_LENGTH || name == header::CONNECTION, value.to_str()) {
            head.extend([name.as_str(), ": ", value, "\r\n"]);
        }
    }
    if let Some(length) = content_length {
        head.push_str(&format!("content-length: {length}\r\n"));
    }
    head.push_str("connection: close\r\n\r\n");
    head.into_bytes()
}

/// Parses the target and headers of a plain `GET /events`. Returns `None` for any other
/// request.
fn parse_stream_request(buffer: &[u8]) -> Option<(Uri, HeaderMap)> {
    if !buffer.starts_with(b"GET /events ") && !buffer.starts_with(b"GET /events?") {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(Status::Complete(_)) = request.parse(buffer) else { return None };
    let uri = request.path?.parse::<Uri>().ok()?;
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    let is_plain =
        ["upgrade", "transfer-encoding", "content-length", "expect"].iter().all(|name| !headers.contains_key(*name));
    (is_plain && !needs_chunks(&headers)).then_some((uri, headers))
}

/// Whether the client shows an event late unless the body has chunks, which only hyper
/// writes: urllib3, and so requests, waits until a buffer is full.
fn needs_chunks(headers: &HeaderMap) -> bool {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    agent.contains("python-requests") || agent.contains("urllib3")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_get_of_events_is_taken() {
        let is_taken = |request: &str| parse_stream_request(request.as_bytes()).is_some();
        assert!(is_taken("GET /events HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(is_taken("GET /events?ticket=t HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 1\r\n\r\n"));
        for other in [
            "POST /events HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /eventsx HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /api/me HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            "GET /events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
            "GET /events HTTP/1.1\r\nHost: x\r\nUser-Agent: python-requests/2.34.2\r\n\r\n",
            "GET /events HTTP/1.1\r\nHost: x\r\nUser-Agent: python-urllib3/2.5.0\r\n\r\n",
            "GET /events HTTP/1.1\r\nbro ken\r\n\r\n",
        ] {
            assert!(!is_taken(other), "{other:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
            let mut request = b"GET /events?".to_vec();
            request.extend(tail);
            let _ = parse_stream_request(&request);
        }
    }
}
