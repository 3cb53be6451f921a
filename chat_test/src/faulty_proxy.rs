//! A proxy in front of Postgres that can interrupt connections silently: it forwards no
//! more bytes, but closes no connection.

use crate::TestDatabase;
use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream, unix},
};

/// The file name of Postgres's socket.
const SOCKET: &str = ".s.PGSQL.5432";

/// A proxy for a database's socket. It forwards all bytes until a test interrupts it.
#[derive(Debug)]
pub struct FaultyProxy {
    /// The database as reached through the proxy.
    pub database: TestDatabase,
    state: Arc<State>,
    _folder: TempDir,
}

#[derive(Debug, Default)]
struct State {
    listeners: AtomicUsize,
    is_cut: AtomicBool,
}

impl FaultyProxy {
    /// Starts a proxy to a database of the shared cluster.
    pub async fn to(database: &TestDatabase) -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let listener = UnixListener::bind(folder.path().join(SOCKET)).expect("a socket");
        let (scheme, rest) = database.url.split_once('@').expect("a URL");
        let (real, tail) = rest.split_once(":5432").expect("a URL");
        let real = PathBuf::from(real.replace("%2F", "/")).join(SOCKET);
        let stand_in = folder.path().display().to_string().replace('/', "%2F");
        let database = TestDatabase { url: format!("{scheme}@{stand_in}:5432{tail}") };
        let state = Arc::new(State::default());
        let shared = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = UnixStream::connect(&real).await.expect("Postgres is running");
                tokio::spawn(forward(near, far, Arc::clone(&shared)));
            }
        });
        Self { database, state, _folder: folder }
    }

    /// Number of connections that have begun to listen for notifications.
    pub fn listeners(&self) -> usize {
        self.state.listeners.load(Ordering::SeqCst)
    }

    /// Stops forwarding on all connections that are listening. Later connections work.
    pub fn cut_listeners(&self) {
        self.state.is_cut.store(true, Ordering::SeqCst);
    }
}

async fn forward(near: UnixStream, far: UnixStream, state: Arc<State>) {
    let (near_read, near_write) = near.into_split();
    let (far_read, far_write) = far.into_split();
    let is_cut_target = Arc::new(AtomicBool::new(false));
    let there = copy(near_read, far_write, Arc::clone(&state), Arc::clone(&is_cut_target));
    let back = copy(far_read, near_write, state, is_cut_target);
    tokio::join!(there, back);
}

async fn copy(
    mut from: unix::OwnedReadHalf,
    mut to: unix::OwnedWriteHalf,
    state: Arc<State>,
    is_cut_target: Arc<AtomicBool>,
) {
    let mut buffer = vec![0u8; 16 * 1024];
    while let Ok(n) = from.read(&mut buffer).await {
        let bytes = buffer.get(..n).filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else { return };
        // Matches the statement, not the server's confirmation of it.
        if bytes.windows(8).any(|eight| eight == b"LISTEN \"") {
            state.listeners.fetch_add(1, Ordering::SeqCst);
            is_cut_target.store(!state.is_cut.load(Ordering::SeqCst), Ordering::SeqCst);
        }
        if is_cut_target.load(Ordering::SeqCst) && state.is_cut.load(Ordering::SeqCst) {
            // Half open: the other side receives nothing, not even an end of stream.
            std::future::pending::<()>().await;
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
