//! The only HTTP client that calls other servers on behalf of users.
//!
//! It connects only to the addresses that `AllowedTargets` allows: it resolves names itself and
//! uses the addresses that it has checked, so a name cannot change in between. It follows no
//! redirects, uses no proxies, and has limits for time, size and requests to one host.

use crate::slots::{Slot, Slots};
use bytes::Bytes;
use chat_core::{
    Error,
    outgoing::{AllowedTargets, OutgoingUrl},
    time::now,
};
use futures_util::{Stream, stream};
use reqwest::{
    Client, Method, RequestBuilder, Response, StatusCode,
    dns::{Addrs, Name, Resolve, Resolving},
    header::{CONTENT_TYPE, HeaderMap, RETRY_AFTER},
    redirect::Policy,
};
use std::{
    io,
    net::{SocketAddr, ToSocketAddrs},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
    time::timeout,
};

/// Time limit of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);

/// Time limit of connecting.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Time limit of resolving a name, and of waiting until another name has been resolved.
const RESOLVE_TIMEOUT: Duration = Duration::from_secs(4);

/// How long the body of a response is read, so that the connection can be used again.
const BODY_TIMEOUT: Duration = Duration::from_secs(1);

/// Maximum size of the part of a response that is read, in bytes.
const MAX_RESPONSE_BYTES: usize = 16 * 1024;

/// Maximum number of names that are resolved at once.
const MAX_LOOKUPS: usize = 64;

/// Maximum number of requests to one public host at once, whoever sends them.
const MAX_PER_HOST: usize = 16;

/// How long an idle connection is kept.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Maximum number of idle connections to each host.
const MAX_IDLE_PER_HOST: usize = 4;

/// Calls other servers.
#[derive(Debug, Clone)]
pub(crate) struct OutgoingClient {
    client: Client,
    allowed: AllowedTargets,
    hosts: Slots<String>,
}

/// The response of another server.
#[derive(Debug)]
pub(crate) struct EndpointResponse {
    pub(crate) status: StatusCode,
    /// After how much time the server asks for the next request.
    pub(crate) retry_after: Option<Duration>,
    /// Whether the server says that the body is JSON.
    pub(crate) is_json: bool,
    /// The beginning of the body.
    pub(crate) body: String,
}

/// How much of a response is read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ResponseLimits {
    /// Maximum size, in bytes.
    pub(crate) bytes: usize,
    /// Maximum time.
    pub(crate) time: Duration,
}

/// A response whose body is not read yet. It holds a slot of its host.
#[derive(Debug)]
pub(crate) struct PendingResponse {
    pub(crate) response: Response,
    _slot: Option<Slot<String>>,
}

/// Why there is no response.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The URL is not allowed.
    NotAllowed(&'static str),
    /// Nothing was sent, because too many other requests or lookups are in progress.
    Busy,
    /// Nothing was sent, because there is no connection.
    NotConnected(String),
    /// The request failed; the server may have received it.
    Failed(String),
}

impl PendingResponse {
    /// Returns the body as it arrives. It holds the slot of the host.
    pub(crate) fn into_chunks(self) -> impl Stream<Item = Result<Bytes, Error>> {
        stream::try_unfold(self, |mut opened| async {
            let chunk = opened.response.chunk().await;
            let chunk = chunk.map_err(|error| Error::Unavailable(error.into()))?;
            Ok(chunk.map(|bytes| (bytes, opened)))
        })
    }
}

impl OutgoingClient {
    pub(crate) fn new(allowed: AllowedTargets) -> reqwest::Result<Self> {
        let resolver = GuardedResolver { allowed: allowed.clone(), lookups: Arc::new(Semaphore::new(MAX_LOOKUPS)) };
        let client = Client::builder()
            .user_agent(concat!("Confab/", env!("CARGO_PKG_VERSION")))
            .dns_resolver(Arc::new(resolver))
            .redirect(Policy::none())
            .no_proxy()
            .http1_only()
            .timeout(REQUEST_TIMEOUT)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(IDLE_TIMEOUT)
            .pool_max_idle_per_host(MAX_IDLE_PER_HOST)
            .build()?;
        Ok(Self { client, allowed, hosts: Slots::new(MAX_PER_HOST) })
    }

    /// Returns a client with a limit of its own for the requests to one host.
    pub(crate) fn with_host_limit(&self, limit: usize) -> Self {
        Self { hosts: Slots::new(limit), ..self.clone() }
    }

    /// Posts a JSON body with some headers. Only the beginning of the response is read.
    pub(crate) async fn post(
        &self,
        url: &str,
        headers: HeaderMap,
        body: String,
    ) -> Result<EndpointResponse, CallError> {
        let limits = ResponseLimits { bytes: MAX_RESPONSE_BYTES, time: BODY_TIMEOUT };
        self.call(Method::POST, url, limits, |request| request.headers(headers).body(body)).await
    }

    /// Sends a request, and reads its response within limits.
    pub(crate) async fn call(
        &self,
        method: Method,
        url: &str,
        limits: ResponseLimits,
        build: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<EndpointResponse, CallError> {
        let PendingResponse { response, _slot } = self.open(method, url, build).await?;
        let status = response.status();
        let retry_after = read_retry_after(response.headers());
        let is_json = is_json(response.headers());
        Ok(EndpointResponse { status, retry_after, is_json, body: read_start(response, limits).await })
    }

    /// Sends a request, and returns its response before its body is read. The time limit of the
    /// request includes the body.
    pub(crate) async fn open(
        &self,
        method: Method,
        url: &str,
        build: impl FnOnce(RequestBuilder) -> RequestBuilder,
    ) -> Result<PendingResponse, CallError> {
        // Addresses in the URL are not resolved, so they are checked here.
        let url = self.allowed.parse_url(url).map_err(CallError::NotAllowed)?;
        let slot = self.acquire_host(&url)?;
        let request = build(self.client.request(method, url.as_url().clone()));
        let response = request.send().await.map_err(|error| CallError::of(&error))?;
        Ok(PendingResponse { response, _slot: slot })
    }

    /// Takes a slot of the host. Hosts that the administrator has listed have no limit.
    fn acquire_host(&self, url: &OutgoingUrl) -> Result<Option<Slot<String>>, CallError> {
        if self.allowed.includes(url) {
            return Ok(None);
        }
        let host = url.as_url().host_str().unwrap_or_default().to_owned();
        self.hosts.try_acquire(&host).map(Some).ok_or(CallError::Busy)
    }
}

impl CallError {
    /// Describes an error for the owner of an endpoint, without the URL, which may contain a
    /// secret.
    fn of(error: &reqwest::Error) -> Self {
        if error.is_timeout() && !error.is_connect() {
            return Self::Failed("no response in time".into());
        }
        let mut text = "the request failed".to_owned();
        let mut source = std::error::Error::source(error);
        while let Some(error) = source {
            if error.is::<LookupsBusy>() {
                return Self::Busy;
            }
            text = error.to_string();
            source = error.source();
        }
        if error.is_connect() { Self::NotConnected(text) } else { Self::Failed(text) }
    }
}

/// Reads the beginning of a body. A body that is slow or too long is not read to its end.
async fn read_start(mut response: Response, limits: ResponseLimits) -> String {
    let mut bytes = Vec::new();
    let read = async {
        while bytes.len() < limits.bytes {
            match response.chunk().await {
                Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
                Ok(None) | Err(_) => return,
            }
        }
    };
    // What has arrived by then is enough.
    let _ = timeout(limits.time, read).await;
    bytes.truncate(limits.bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads `Retry-After`, in seconds or as a time.
fn read_retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return Some(Duration::from_secs(seconds));
    }
    let at = chrono::DateTime::parse_from_rfc2822(text).ok()?;
    (at.to_utc() - now()).to_std().ok()
}

/// Whether the media type is JSON, or a kind of it.
fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    kind == "application/json" || kind.starts_with("application/") && kind.ends_with("+json")
}

/// Resolves names to the addresses that are allowed.
#[derive(Debug)]
struct GuardedResolver {
    allowed: AllowedTargets,
    lookups: Arc<Semaphore>,
}

impl Resolve for GuardedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        let (allowed, lookups) = (self.allowed.clone(), Arc::clone(&self.lookups));
        Box::pin(async move {
            let permit = timeout(RESOLVE_TIMEOUT, lookups.acquire_owned()).await.map_err(|_| LookupsBusy)??;
            let found = timeout(RESOLVE_TIMEOUT, look_up(permit, name.as_str().to_owned())).await;
            let found =
                found.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, "the name was not resolved in time"))??;
            let allows_host = allowed.allows_host(name.as_str());
            let addresses: Vec<SocketAddr> =
                found.into_iter().filter(|address| allows_host || allowed.allows_address(address.ip())).collect();
            if addresses.is_empty() {
                return Err("the host has no public address".into());
            }
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

/// Too many names are being resolved.
#[derive(Debug, thiserror::Error)]
#[error("too many names are being resolved")]
struct LookupsBusy;

/// Looks a name up. The permit is held until the lookup has ended, even if nobody waits for it.
async fn look_up(permit: OwnedSemaphorePermit, name: String) -> io::Result<Vec<SocketAddr>> {
    let lookup = spawn_blocking(move || {
        let _permit = permit;
        (name.as_str(), 0).to_socket_addrs().map(Iterator::collect)
    });
    lookup.await.map_err(io::Error::other)?
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };

    /// Answers every connection with these bytes, and returns the address.
    async fn answer_with(bytes: &'static str) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    let _ = socket.read(&mut request).await;
                    let _ = socket.write_all(bytes.as_bytes()).await;
                });
            }
        });
        address
    }

    async fn post(allowed: &str, url: &str) -> Result<EndpointResponse, CallError> {
        let client = OutgoingClient::new(allowed.parse().expect("targets")).expect("a client");
        client.post(url, HeaderMap::new(), "{}".into()).await
    }

    #[tokio::test]
    async fn a_name_with_a_private_address_is_not_called() {
        let address = answer_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let port = address.port();
        // Allowed as a name: it is called.
        let answer = post("localhost", &format!("http://localhost:{port}/")).await.expect("an answer");
        assert_eq!(answer.status, 200);
        // A resolver without the name in its list refuses the address behind it.
        let resolver = GuardedResolver { allowed: AllowedTargets::default(), lookups: Arc::new(Semaphore::new(1)) };
        let resolved = resolver.resolve("localhost".parse().expect("a name")).await;
        assert!(resolved.is_err_and(|error| error.to_string().contains("no public address")));
        for url in [format!("http://{address}/"), format!("https://{address}/"), format!("https://localhost:{port}/")] {
            assert!(matches!(post("", &url).await, Err(CallError::NotAllowed(_))), "{url}");
        }
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_is_not_followed() {
        let target = answer_with("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await;
        let location = format!("HTTP/1.1 307 Moved\r\nlocation: http://{target}/\r\ncontent-length: 0\r\n\r\n");
        let address = answer_with(location.leak()).await;
        let answer = post("127.0.0.0/8", &format!("http://{address}/")).await.expect("an answer");
        assert_eq!(answer.status, 307);
    }

    #[tokio::test]
    async fn a_long_or_incomplete_body_is_cut() {
        let long =
            format!("HTTP/1.1 500 X\r\nretry-after: 7\r\ncontent-length: 9999999\r\n\r\n{}", "x".repeat(100_000));
        let address = answer_with(long.leak()).await;
        let answer = post("127.0.0.0/8", &format!("http://{address}/")).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.retry_after), (500, Some(Duration::from_secs(7))));
        assert!(answer.body.len() == MAX_RESPONSE_BYTES && answer.body.starts_with("xxx"));
        let address = answer_with("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf").await;
        let answer = post("127.0.0.0/8", &format!("http://{address}/")).await.expect("an answer");
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, "half"));
    }

    #[tokio::test]
    async fn one_public_host_is_called_a_limited_number_of_times_at_once() {
        let client = OutgoingClient::new(AllowedTargets::default()).expect("a client");
        let url = AllowedTargets::default().parse_url("https://example.com/").expect("a URL");
        let slots: Vec<_> = (0..MAX_PER_HOST).map(|_| client.acquire_host(&url).expect("a slot")).collect();
        assert!(matches!(client.acquire_host(&url), Err(CallError::Busy)));
        drop(slots);
        assert!(client.acquire_host(&url).is_ok());
    }
}
