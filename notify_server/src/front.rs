//! The stream front: a connection whose first request asks for events is served
//! here, on the bare socket, at a third of the memory that hyper would hold for
//! it. Every other connection goes on to hyper with all of its bytes.

use crate::{Notify, session, sse, wire::Socket};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use chat_core::net::{FirstRequest, Front};
use httparse::Status;
use std::{sync::Arc, time::Duration};
use tokio::{io::AsyncWriteExt, time::timeout};

/// More fields than this go to hyper, which refuses them.
const MAX_HEADERS: usize = 64;

/// How long a refusal may take to be read.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(5);

/// Takes the streams.
#[derive(Debug, Clone)]
pub struct StreamFront(Arc<Notify>);

impl StreamFront {
    pub(crate) fn new(notify: Arc<Notify>) -> Self {
        Self(notify)
    }
}

impl Front for StreamFront {
    async fn take(&self, first: FirstRequest) -> Option<FirstRequest> {
        let Some((uri, headers)) = stream_request(&first.read) else { return Some(first) };
        let notify = &self.0;
        let FirstRequest { mut stream, read, .. } = first;
        drop(read);
        match sse::open(notify, &uri, &headers).await {
            Ok(opening) => {
                let head = sse::head(notify, &headers);
                drop((uri, headers));
                if stream.write_all(head.as_bytes()).await.is_ok() {
                    session::run(notify, opening, &Socket(stream)).await;
                }
            }
            Err(error) => {
                let refusal = sse::refusal(notify, &headers, &error);
                let _ = timeout(REFUSAL_TIMEOUT, async {
                    stream.write_all(refusal.as_bytes()).await?;
                    stream.shutdown().await
                })
                .await;
            }
        }
        None
    }
}

/// The target and headers of a plain `GET /events`; anything else, and anything
/// odd, is hyper's.
fn stream_request(read: &[u8]) -> Option<(Uri, HeaderMap)> {
    if !read.starts_with(b"GET /events ") && !read.starts_with(b"GET /events?") {
        return None;
    }
    let mut fields = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut request = httparse::Request::new(&mut fields);
    let Ok(Status::Complete(_)) = request.parse(read) else { return None };
    let uri = request.path?.parse::<Uri>().ok()?;
    let mut headers = HeaderMap::with_capacity(request.headers.len());
    for field in request.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    let is_plain =
        ["upgrade", "transfer-encoding", "content-length", "expect"].iter().all(|name| !headers.contains_key(*name));
    is_plain.then_some((uri, headers))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_get_of_events_is_taken() {
        let taken = |request: &str| stream_request(request.as_bytes()).is_some();
        assert!(taken("GET /events HTTP/1.1\r\nHost: x\r\n\r\n"));
        assert!(taken("GET /events?ticket=t HTTP/1.1\r\nHost: x\r\nLast-Event-ID: 1\r\n\r\n"));
        for other in [
            "POST /events HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /eventsx HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /api/me HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /events HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc",
            "GET /events HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n",
            "GET /events HTTP/1.1\r\nbro ken\r\n\r\n",
        ] {
            assert!(!taken(other), "{other:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_make_it_panic(tail in proptest::collection::vec(proptest::num::u8::ANY, 0..512)) {
            let mut request = b"GET /events?".to_vec();
            request.extend(tail);
            let _ = stream_request(&request);
        }
    }
}
