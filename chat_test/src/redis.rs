//! A Redis for one test. Servers connect to it through a proxy that can delay replies,
//! and tests can pause, kill and restart it.

use chat_core::redis::Redis;
use redis::{Cmd, FromRedisValue};
use std::{
    path::{Path, PathBuf},
    process::Stdio,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream, unix},
    process::{Child, Command},
};

/// A Redis server and the proxy in front of it.
#[derive(Debug)]
pub struct TestRedis {
    process: Mutex<Option<Child>>,
    delay_ms: Arc<AtomicU64>,
    folder: TempDir,
}

impl TestRedis {
    /// Starts an empty Redis.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let redis = Self { process: Mutex::default(), delay_ms: Arc::default(), folder };
        redis.launch().await;
        let (near, far) = (redis.path("proxy"), redis.path("redis"));
        let listener = UnixListener::bind(near).expect("a socket");
        let delay = Arc::clone(&redis.delay_ms);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let Ok(far) = UnixStream::connect(&far).await else { continue };
                let ((from_near, to_near), (from_far, to_far)) = (near.into_split(), far.into_split());
                tokio::spawn(copy(from_near, to_far, Arc::default()));
                tokio::spawn(copy(from_far, to_near, Arc::clone(&delay)));
            }
        });
        redis
    }

    /// Starts an empty Redis again after `kill`.
    pub async fn launch(&self) {
        let _ = std::fs::remove_file(self.path("redis"));
        let process = Command::new("redis-server")
            .args(["--port", "0", "--save", "", "--appendonly", "no", "--loglevel", "warning", "--unixsocket"])
            .arg(self.path("redis"))
            .current_dir(self.folder.path())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is installed");
        *self.lock() = Some(process);
        crate::eventually("Redis answers", async || UnixStream::connect(self.path("redis")).await.is_ok()).await;
    }

    /// Kills the Redis process.
    pub async fn kill(&self) {
        let process = self.lock().take();
        process.expect("Redis is running").kill().await.expect("killed");
    }

    /// Sends a signal to the Redis process.
    pub fn signal(&self, signal: crate::Signal) {
        crate::signal(self.lock().as_ref().and_then(Child::id).expect("Redis is running"), signal);
    }

    /// Delays all later replies.
    pub fn set_reply_delay(&self, delay: Duration) {
        self.delay_ms.store(u64::try_from(delay.as_millis()).expect("some time"), Ordering::Relaxed);
    }

    /// The client that servers use, through the proxy.
    pub fn client(&self) -> Redis {
        Redis::open(&self.url()).expect("a URL")
    }

    /// The URL that servers use, through the proxy.
    pub fn url(&self) -> String {
        format!("unix://{}", self.path("proxy").display())
    }

    /// The URL of Redis itself, without the proxy.
    pub fn direct_url(&self) -> String {
        format!("unix://{}", self.path("redis").display())
    }

    /// Runs a command without the proxy.
    pub async fn query<T: FromRedisValue>(&self, command: &Cmd) -> T {
        self.try_query(command).await.expect("an answer")
    }

    /// Like [`Self::query`], but returns the error that Redis replies with.
    pub async fn try_query<T: FromRedisValue>(&self, command: &Cmd) -> redis::RedisResult<T> {
        let redis = Redis::open(&self.direct_url()).expect("a URL");
        let mut connection = redis.connect().await.expect("Redis is running");
        command.query_async(&mut connection).await
    }

    /// Returns the key of the only event stream in Redis.
    pub async fn event_stream_key(&self) -> String {
        let keys: Vec<String> = self.query(redis::cmd("KEYS").arg("confab:*:events:*")).await;
        let [key] = keys.as_slice() else { panic!("expected one stream, found {keys:?}") };
        key.clone()
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Child>> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn copy(mut from: unix::OwnedReadHalf, mut to: unix::OwnedWriteHalf, delay_ms: Arc<AtomicU64>) {
    let mut buffer = vec![0u8; 64 * 1024];
    while let Ok(n) = from.read(&mut buffer).await {
        tokio::time::sleep(Duration::from_millis(delay_ms.load(Ordering::Relaxed))).await;
        let bytes = buffer.get(..n).filter(|bytes| !bytes.is_empty());
        let Some(bytes) = bytes else { return };
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
