//! The accept loop of every server: limits on connections and on the time that a
//! first request head may take, then hyper, and a graceful shutdown.

use crate::{
    connection_limits::{AddressCounter, AddressPermit, ConnectionLimits},
    rewind::Rewind,
    shutdown::ShutdownPhase,
};
use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, StatusCode, header::CONNECTION},
};
use bytes::BytesMut;
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{convert::Infallible, future::Future, io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client has to send the head of its first request.
pub const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long open requests and streams have to end once no new connection is
/// accepted.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(7);

/// How long a kept-alive connection may wait between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The same for a connection that is accepted while the server is busy.
const BUSY_IDLE_TIMEOUT: Duration = Duration::from_secs(5);

/// The server is busy if fewer than one tenth of its connections are free.
const BUSY_FREE_DIVISOR: usize = 10;

/// Maximum size of a request head, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// Maximum number of header fields of a request.
const MAX_HEADERS: usize = 64;

/// Maximum number of bytes that a connection holds in the kernel before they are sent.
#[cfg(target_os = "linux")]
const MAX_UNSENT_BYTES: u32 = 128 * 1024;

/// After a shutdown request the server keeps accepting until no new connection has
/// arrived for this long, because a load balancer takes a moment to notice.
const ACCEPT_QUIET_PERIOD: Duration = Duration::from_millis(250);

/// Maximum time that the server keeps accepting after a shutdown request.
const MAX_ACCEPT_AFTER_SHUTDOWN: Duration = Duration::from_secs(2);

/// The pause after a failed `accept`, usually because no file descriptor is free.
const ACCEPT_RETRY_DELAY: Duration = Duration::from_millis(50);

/// A connection whose first request head has arrived completely.
#[derive(Debug)]
pub struct PeekedRequest {
    /// The connection.
    pub stream: TcpStream,
    /// All bytes read so far: the head and any bytes after it.
    pub buffer: BytesMut,
    /// The address of the client.
    pub peer: SocketAddr,
}

/// Receives each new connection before hyper does. It either serves the connection
/// itself, to its end, or returns the connection unchanged.
pub trait ConnectionHook: Clone + Send + Sync + 'static {
    /// Returns the connection, or serves it and returns nothing.
    fn try_take(&self, request: PeekedRequest) -> impl Future<Output = Option<PeekedRequest>> + Send;
}

/// A hook that takes no connection.
#[derive(Debug, Clone, Copy)]
pub struct NoHook;

impl ConnectionHook for NoHook {
    async fn try_take(&self, request: PeekedRequest) -> Option<PeekedRequest> {
        Some(request)
    }
}

/// The permit of one open connection. Each request has it in its extensions, for a
/// handler that keeps the connection open after the response.
#[derive(Debug, Clone)]
pub struct ConnectionPermit(Arc<PermitParts>);

#[derive(Debug)]
struct PermitParts {
    /// How long the connection may wait between requests.
    idle_timeout: Duration,
    _all: OwnedSemaphorePermit,
    _address: AddressPermit,
}

impl ConnectionPermit {
    fn new(idle_timeout: Duration, all: OwnedSemaphorePermit, address: AddressPermit) -> Self {
        Self(Arc::new(PermitParts { idle_timeout, _all: all, _address: address }))
    }
}

/// Raises the limit on open files to the maximum and returns it. Each open
/// connection needs one file descriptor.
pub fn raise_file_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "cannot raise the limit on open files");
    }
    getrlimit(Resource::Nofile).current
}

/// Serves connections until `shutdown`. Then keeps accepting until no new connection
/// arrives; open connections have `DRAIN_TIMEOUT` to finish.
pub async fn serve(
    listener: TcpListener,
    limits: ConnectionLimits,
    hook: impl ConnectionHook,
    router: Router,
    shutdown: CancellationToken,
) {
    let max_connections = limits.total;
    let permits = Arc::new(Semaphore::new(max_connections));
    let acceptor =
        Acceptor { listener, max_connections, permits: Arc::clone(&permits), addresses: AddressCounter::new(limits) };
    let mut connections = JoinSet::new();
    let draining = CancellationToken::new();
    let phase = ShutdownPhase { requested: shutdown.clone(), draining: draining.clone() };
    let mut accept_deadline = pin!(sleep_after(&shutdown, MAX_ACCEPT_AFTER_SHUTDOWN));
    loop {
        let (stream, peer, permit) = tokio::select! {
            biased;
            () = accept_deadline.as_mut() => break,
            accepted = acceptor.accept(&shutdown) => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
            Some(_) = connections.join_next() => continue,
        };
        connections.spawn(handle_connection(stream, peer, permit, hook.clone(), router.clone(), phase.clone()));
    }
    for (stream, peer, permit) in acceptor.drain_backlog() {
        connections.spawn(handle_connection(stream, peer, permit, hook.clone(), router.clone(), phase.clone()));
    }
    draining.cancel();
    // Upgraded connections hold permits too.
    let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
    if timeout(DRAIN_TIMEOUT, permits.acquire_many(all)).await.is_err() {
        let remaining = max_connections - permits.available_permits();
        tracing::warn!(connections = remaining, "closing connections that did not end in time");
    }
    connections.shutdown().await;
}

/// Sleeps for a time after an event.
async fn sleep_after(event: &CancellationToken, time: Duration) {
    event.cancelled().await;
    tokio::time::sleep(time).await;
}

/// Accepts connections within the limit.
struct Acceptor {
    listener: TcpListener,
    max_connections: usize,
    permits: Arc<Semaphore>,
    addresses: AddressCounter,
}

impl Acceptor {
    /// Accepts the next connection. Returns `None` after `shutdown`, once no connection
    /// arrives. At the limit, clients wait in the listen queue until a connection ends.
    async fn accept(&self, shutdown: &CancellationToken) -> Option<(TcpStream, SocketAddr, ConnectionPermit)> {
        let quiet_period = sleep_after(shutdown, ACCEPT_QUIET_PERIOD);
        let next = async {
            let permit = Arc::clone(&self.permits).acquire_owned().await.ok()?;
            loop {
                match self.listener.accept().await {
                    // The connection is closed at once if its address has too many.
                    Ok((stream, peer)) => match self.addresses.try_acquire(peer.ip()) {
                        Some(address) => return Some((stream, peer, self.create_permit(permit, address))),
                        None => self.addresses.log_rejection(peer.ip()),
                    },
                    Err(error) => {
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(ACCEPT_RETRY_DELAY).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            accepted = next => accepted,
            () = quiet_period => None,
        }
    }

    fn create_permit(&self, all: OwnedSemaphorePermit, address: AddressPermit) -> ConnectionPermit {
        let is_busy = self.permits.available_permits() < self.max_connections / BUSY_FREE_DIVISOR;
        ConnectionPermit::new(if is_busy { BUSY_IDLE_TIMEOUT } else { IDLE_TIMEOUT }, all, address)
    }

    /// Closes the listener and returns the connections that the kernel has already
    /// accepted. Reads them from the kernel directly, because the runtime may not
    /// have noticed the last ones.
    fn drain_backlog(self) -> Vec<(TcpStream, SocketAddr, ConnectionPermit)> {
        let Ok(listener) = self.listener.into_std() else { return Vec::new() };
        let mut backlog = Vec::new();
        while let Ok((stream, peer)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            let permit = Arc::clone(&self.permits).try_acquire_owned();
            let address = self.addresses.try_acquire(peer.ip());
            if let (Ok(stream), Ok(permit), Some(address)) = (stream, permit, address) {
                backlog.push((stream, peer, ConnectionPermit::new(IDLE_TIMEOUT, permit, address)));
            }
        }
        backlog
    }
}

/// Serves one connection. Each part has a box of its own, so that a connection that stays
/// open for hours holds only the memory of the part that serves it.
async fn handle_connection(
    stream: TcpStream,
    peer: SocketAddr,
    permit: ConnectionPermit,
    hook: impl ConnectionHook,
    router: Router,
    phase: ShutdownPhase,
) {
    let Some(request) = Box::pin(read_first_head(stream, peer, &phase)).await else { return };
    if let Some(request) = Box::pin(hook.try_take(request)).await {
        Box::pin(serve_http(request, permit, router, phase)).await;
    }
}

/// Limits how much of a response the kernel takes before the client reads it. It would take
/// megabytes from a client that pipelines requests and reads nothing, and the copies delay
/// others: with 40 such connections, others' p99 was 82 ms.
fn limit_unsent_bytes(stream: &TcpStream) {
    #[cfg(target_os = "linux")]
    let _ = socket2::SockRef::from(stream).set_tcp_notsent_lowat(MAX_UNSENT_BYTES);
    #[cfg(not(target_os = "linux"))]
    let _ = stream;
}

/// Reads the head of the first request. Returns `None` if the connection must be closed.
async fn read_first_head(stream: TcpStream, peer: SocketAddr, phase: &ShutdownPhase) -> Option<PeekedRequest> {
    let mut request = PeekedRequest { stream, buffer: BytesMut::new(), peer };
    // Each write is a complete frame, so waiting for more data only adds latency.
    let _ = request.stream.set_nodelay(true);
    limit_unsent_bytes(&request.stream);
    let head = tokio::select! {
        // A request that was sent before the drain began may still be on its way.
        () = sleep_after(&phase.draining, ACCEPT_QUIET_PERIOD) => return None,
        head = timeout(FIRST_HEAD_TIMEOUT, read_head(&mut request)) => head,
    };
    match head {
        Ok(Ok(true)) => Some(request),
        Ok(Ok(false)) => {
            let _ = request.stream.write_all(HEAD_TOO_LARGE).await;
            None
        }
        // The client closed the connection or is too slow: send no response.
        Ok(Err(_)) | Err(_) => None,
    }
}

const HEAD_TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Reads until the blank line; false if the head exceeds the size limit.
async fn read_head(request: &mut PeekedRequest) -> io::Result<bool> {
    loop {
        let old_len = request.buffer.len();
        if request.stream.read_buf(&mut request.buffer).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let unscanned = request.buffer.get(old_len.saturating_sub(3)..).unwrap_or_default();
        if unscanned.windows(4).any(|bytes| bytes == b"\r\n\r\n") {
            return Ok(true);
        }
        if request.buffer.len() > MAX_HEAD_BYTES {
            return Ok(false);
        }
    }
}

async fn serve_http(peeked: PeekedRequest, permit: ConnectionPermit, router: Router, phase: ShutdownPhase) {
    let ShutdownPhase { requested, draining } = phase;
    let peer = peeked.peer;
    let idle_timeout = permit.0.idle_timeout;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(permit.clone());
        let (router, requested) = (router.clone(), requested.clone());
        async move {
            let mut response = router.oneshot(request).await?;
            if requested.is_cancelled() && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(response)
        }
    });
    let io = TokioIo::new(Rewind::new(peeked.buffer, peeked.stream));
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(idle_timeout)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(io, service)
            .with_upgrades()
    );
    let result = tokio::select! {
        // Poll the connection first, so that a request that was read is started:
        // hyper would drop an unstarted request without a response.
        biased;
        result = connection.as_mut() => result,
        () = draining.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = result {
        tracing::debug!(%error, "connection ended early");
    }
}
