//! The accept loop that both servers share: limits on connections and on how
//! long a first request may take to arrive, then hyper, and an orderly end.

use axum::{
    Router,
    extract::ConnectInfo,
    http::{HeaderValue, StatusCode, header::CONNECTION},
};
use bytes::{Buf, BytesMut};
use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::{
    convert::Infallible,
    future::Future,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a client has to send the head of its first request.
pub const FIRST_HEAD_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a kept-alive connection may wait between requests.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// The largest head of a request, in bytes.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// The most header fields of a request.
const MAX_HEADERS: usize = 64;

/// How long open requests and streams have to end once nobody new is let in.
pub const DRAIN_TIMEOUT: Duration = Duration::from_secs(7);

/// Once asked to stop, a server goes on accepting until nobody has come for so
/// long: a balancer in front takes a moment to notice.
const QUIET: Duration = Duration::from_millis(250);

/// ... but no longer than this.
const STILL_OPEN: Duration = Duration::from_secs(2);

/// A token that is cancelled by Ctrl-C or SIGTERM. A second Ctrl-C ends the
/// process at once.
pub fn shutdown_on_signal() -> CancellationToken {
    let token = CancellationToken::new();
    let asked = token.clone();
    tokio::spawn(async move {
        signalled().await;
        tracing::info!("stopping; once more to stop at once");
        asked.cancel();
        signalled().await;
        std::process::exit(130);
    });
    token
}

/// Raises the limit on open files as far as it goes and answers it; each open
/// connection needs one.
pub fn raise_file_limit() -> Option<u64> {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        tracing::debug!(%error, "cannot raise the limit on open files");
    }
    getrlimit(Resource::Nofile).current
}

async fn signalled() {
    let mut terminate = signal(SignalKind::terminate()).expect("a signal handler can be set");
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// A connection whose first request head has arrived, whole.
#[derive(Debug)]
pub struct FirstRequest {
    /// The connection.
    pub stream: TcpStream,
    /// All bytes read so far: the head and whatever came with it.
    pub read: BytesMut,
    /// Who is calling.
    pub peer: SocketAddr,
}

/// A look at each new connection before hyper gets it. One that it wants to
/// serve itself it keeps, to the end; any other it gives back untouched.
pub trait Front: Clone + Send + Sync + 'static {
    /// Gives the connection back, or serves it and gives back nothing.
    fn take(&self, first: FirstRequest) -> impl Future<Output = Option<FirstRequest>> + Send;
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoFront;

impl Front for NoFront {
    async fn take(&self, first: FirstRequest) -> Option<FirstRequest> {
        Some(first)
    }
}

/// Serves connections until `shutdown`. Then those that still come are served
/// until there are none, and the open ones finish for at most `DRAIN_TIMEOUT`.
pub async fn serve(
    listener: TcpListener,
    max_connections: usize,
    front: impl Front,
    router: Router,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(max_connections));
    let door = Door { listener, places: Arc::clone(&places) };
    let mut connections = JoinSet::new();
    let closing = CancellationToken::new();
    let ending = Ending { shutdown: shutdown.clone(), closing: closing.clone() };
    let mut closed = pin!(after(&shutdown, STILL_OPEN));
    loop {
        let (stream, peer, place) = tokio::select! {
            biased;
            () = closed.as_mut() => break,
            accepted = door.accept(&shutdown) => match accepted {
                Some(accepted) => accepted,
                None => break,
            },
            Some(_) = connections.join_next() => continue,
        };
        connections.spawn(connection(stream, peer, place, front.clone(), router.clone(), ending.clone()));
    }
    for (stream, peer, place) in door.close() {
        connections.spawn(connection(stream, peer, place, front.clone(), router.clone(), ending.clone()));
    }
    closing.cancel();
    // Those that became something else have their places too.
    let all = u32::try_from(max_connections).unwrap_or(u32::MAX);
    if timeout(DRAIN_TIMEOUT, places.acquire_many(all)).await.is_err() {
        let left = max_connections - places.available_permits();
        tracing::warn!(connections = left, "cutting connections that did not end in time");
    }
    connections.shutdown().await;
}

/// The two steps in which a server ends.
#[derive(Debug, Clone)]
struct Ending {
    /// It has been asked to: each answer is the last on its connection.
    shutdown: CancellationToken,
    /// Nobody new is let in: connections that are idle end.
    closing: CancellationToken,
}

/// A connection's place among those that are held at once. A request carries it,
/// for who keeps the connection after it.
#[derive(Debug, Clone)]
pub struct Place(#[expect(dead_code, reason = "held, not read")] Arc<OwnedSemaphorePermit>);

/// Returns so long after something has happened.
async fn after(event: &CancellationToken, pause: Duration) {
    event.cancelled().await;
    tokio::time::sleep(pause).await;
}

/// Where connections come in.
struct Door {
    listener: TcpListener,
    places: Arc<Semaphore>,
}

impl Door {
    /// The next connection; `None` after `shutdown`, once nobody comes. At the cap
    /// it leaves callers in the listen queue until somebody goes.
    async fn accept(&self, shutdown: &CancellationToken) -> Option<(TcpStream, SocketAddr, Place)> {
        let quiet = after(shutdown, QUIET);
        let next = async {
            let place = Arc::clone(&self.places).acquire_owned().await.ok()?;
            loop {
                match self.listener.accept().await {
                    Ok((stream, peer)) => return Some((stream, peer, Place(Arc::new(place)))),
                    Err(error) => {
                        // Out of file descriptors, mostly; it passes as others hang up.
                        tracing::warn!(%error, "cannot accept a connection");
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                }
            }
        };
        tokio::select! {
            biased;
            accepted = next => accepted,
            () = quiet => None,
        }
    }

    /// Lets nobody in any more but those whom the kernel has let in. It is asked
    /// itself: the runtime may not have heard of the last of them.
    fn close(self) -> Vec<(TcpStream, SocketAddr, Place)> {
        let Ok(listener) = self.listener.into_std() else { return Vec::new() };
        let mut last = Vec::new();
        while let Ok((stream, peer)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            let place = Arc::clone(&self.places).try_acquire_owned();
            if let (Ok(stream), Ok(place)) = (stream, place) {
                last.push((stream, peer, Place(Arc::new(place))));
            }
        }
        last
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    place: Place,
    front: impl Front,
    router: Router,
    ending: Ending,
) {
    let mut first = FirstRequest { stream, read: BytesMut::new(), peer };
    // Frames are written whole; waiting for more to send only adds latency.
    let _ = first.stream.set_nodelay(true);
    let head = tokio::select! {
        // What it has to say may be on its way.
        () = after(&ending.closing, QUIET) => return,
        head = timeout(FIRST_HEAD_TIMEOUT, read_head(&mut first)) => head,
    };
    match head {
        Ok(Ok(true)) => {}
        Ok(Ok(false)) => {
            let _ = first.stream.write_all(HEAD_TOO_LARGE).await;
            return;
        }
        // Gone, or too slow: there is nobody to answer to.
        Ok(Err(_)) | Err(_) => return,
    }
    if let Some(first) = front.take(first).await {
        http(first, place, router, ending).await;
    }
}

const HEAD_TOO_LARGE: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// Reads until the blank line; false if it does not come within the limit.
async fn read_head(first: &mut FirstRequest) -> io::Result<bool> {
    loop {
        let seen = first.read.len();
        if first.stream.read_buf(&mut first.read).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let fresh = first.read.get(seen.saturating_sub(3)..).unwrap_or_default();
        if fresh.windows(4).any(|four| four == b"\r\n\r\n") {
            return Ok(true);
        }
        if first.read.len() > MAX_HEAD_BYTES {
            return Ok(false);
        }
    }
}

async fn http(first: FirstRequest, place: Place, router: Router, Ending { shutdown, closing }: Ending) {
    let peer = first.peer;
    let service = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(place.clone());
        let (router, shutdown) = (router.clone(), shutdown.clone());
        async move {
            let mut answer = router.oneshot(request).await?;
            if shutdown.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let io = TokioIo::new(Reread { read: first.read, stream: first.stream });
    let mut connection = pin!(
        http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(IDLE_TIMEOUT)
            .max_headers(MAX_HEADERS)
            .max_buf_size(MAX_HEAD_BYTES)
            .serve_connection(io, service)
            .with_upgrades()
    );
    let ended = tokio::select! {
        // First, so that a request that has been read is begun: one that is not
        // would be dropped as if there were none.
        biased;
        ended = connection.as_mut() => ended,
        () = closing.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// A connection whose first bytes were read already and are read again.
struct Reread {
    read: BytesMut,
    stream: TcpStream,
}

impl AsyncRead for Reread {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, to: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.read.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, to);
        }
        let n = self.read.len().min(to.remaining());
        to.put_slice(self.read.get(..n).unwrap_or_default());
        self.read.advance(n);
        if self.read.is_empty() {
            self.read = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Reread {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, from)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, from)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
