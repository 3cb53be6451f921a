//! One process of a cluster: starts it, waits for it, restarts it and stops it.

use anyhow::{Context, bail};
use chat_http::acceptor::DRAIN_TIMEOUT;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    env,
    ffi::OsString,
    fmt,
    fs::File,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};
use tokio::{
    net::{TcpStream, UnixStream},
    process::{Child, Command},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// How long a process may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// How long a process may take to stop.
const STOP_TIMEOUT: Duration = DRAIN_TIMEOUT.saturating_add(Duration::from_secs(4));

/// A process that runs for longer than this counts as started.
const STABLE_AFTER: Duration = Duration::from_secs(5);

/// The unit of the restart delay. The first restart is immediate; a process that keeps
/// exiting restarts 2 to 16 units after its previous start.
const RESTART_BACKOFF: Duration = Duration::from_millis(500);

/// A process, running or not.
pub(super) struct Process {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    settings: Vec<(&'static str, OsString)>,
    endpoint: Endpoint,
    log: PathBuf,
    child: Option<Child>,
    started_at: Instant,
    /// Number of consecutive exits of the process soon after its start.
    failures: u32,
}

/// The address of a process.
enum Endpoint {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Process {
    /// One of Confab's servers, from the directory of this program.
    pub(super) fn server(
        kind: &str,
        at: SocketAddr,
        settings: Vec<(&'static str, OsString)>,
        folder: &Path,
    ) -> anyhow::Result<Self> {
        let program = env::current_exe().context("finding this program")?.with_file_name(kind);
        if !program.exists() {
            bail!("{} does not exist; build it with `cargo build --package {kind}`", program.display());
        }
        let log = folder.join(format!("{kind}-{}.log", at.port()));
        Ok(Self::new(format!("{kind} {at}"), program, Vec::new(), settings, Endpoint::Tcp(at), log))
    }

    /// A private Redis of this cluster, without persistence.
    pub(super) fn redis(socket: &Path, folder: &Path) -> anyhow::Result<Self> {
        let mut arguments: Vec<OsString> = vec!["--unixsocket".into(), socket.into()];
        arguments.extend(["--port", "0", "--appendonly", "no", "--save", ""].map(Into::into));
        let (program, log) = (find_program("redis-server")?, folder.join("redis.log"));
        let name = format!("redis-server {}", socket.display());
        Ok(Self::new(name, program, arguments, Vec::new(), Endpoint::Unix(socket.into()), log))
    }

    /// nginx, in front of the servers.
    pub(super) fn nginx(at: SocketAddr, configuration: &Path, folder: &Path) -> anyhow::Result<Self> {
        let arguments = vec!["-p".into(), folder.into(), "-c".into(), configuration.into()];
        let (program, log) = (find_program("nginx")?, folder.join("nginx.log"));
        Ok(Self::new(format!("nginx {at}"), program, arguments, Vec::new(), Endpoint::Tcp(at), log))
    }

    fn new(
        name: String,
        program: PathBuf,
        arguments: Vec<OsString>,
        settings: Vec<(&'static str, OsString)>,
        endpoint: Endpoint,
        log: PathBuf,
    ) -> Self {
        Self { name, program, arguments, settings, endpoint, log, child: None, started_at: Instant::now(), failures: 0 }
    }

    /// The name, such as `notify_server 127.0.0.1:6691`.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// Starts the process. If `setpriv` is installed, it ends if this process is killed.
    pub(super) fn start(&mut self) -> anyhow::Result<()> {
        self.started_at = Instant::now();
        let log = File::options().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("writing {}", self.log.display()))?;
        if let Endpoint::Unix(socket) = &self.endpoint {
            let _ = std::fs::remove_file(socket);
        }
        let mut command = match find_program("setpriv") {
            Ok(setpriv) => {
                let mut command = Command::new(setpriv);
                command.args(["--pdeathsig", "TERM", "--"]).arg(&self.program);
                command
            }
            Err(_) => Command::new(&self.program),
        };
        let child = command
            .args(&self.arguments)
            .envs(self.settings.iter().map(|(name, value)| (name, value)))
            // A separate process group: Ctrl-C in the terminal reaches only this process.
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(log.try_clone().context("duplicating the handle of the log")?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        self.child = Some(child.with_context(|| format!("starting {}", self.program.display()))?);
        Ok(())
    }

    /// Waits until the process accepts connections.
    pub(super) async fn wait_until_ready(&mut self, shutdown: &CancellationToken) -> anyhow::Result<()> {
        let ready = timeout(START_TIMEOUT, async {
            loop {
                if let Some(status) = self.exit_status()? {
                    bail!("{} did not start ({status}); see {}", self.name, self.log.display());
                }
                if self.endpoint.is_accepting().await || shutdown.is_cancelled() {
                    return Ok(());
                }
                sleep(Duration::from_millis(20)).await;
            }
        });
        ready.await.with_context(|| format!("{} took too long to start", self.name))?
    }

    /// Returns the exit status, if the process has exited.
    pub(super) fn exit_status(&mut self) -> anyhow::Result<Option<ExitStatus>> {
        let Some(child) = &mut self.child else { return Ok(None) };
        child.try_wait().with_context(|| format!("reading the status of {}", self.name))
    }

    /// Restarts the process if it has exited, and returns how it exited. The pause before
    /// a restart increases for a process that keeps exiting.
    pub(super) fn restart_if_exited(&mut self) -> anyhow::Result<Option<String>> {
        let status = match self.exit_status()? {
            Some(status) => status.to_string(),
            None if self.child.is_some() => return Ok(None),
            None => "it was not running".into(),
        };
        let uptime = self.started_at.elapsed();
        if uptime < RESTART_BACKOFF * 2_u32.pow(self.failures.min(4)) && self.failures > 0 {
            return Ok(None);
        }
        self.failures = if uptime > STABLE_AFTER { 0 } else { self.failures + 1 };
        self.child = None;
        self.start()?;
        Ok(Some(status))
    }

    /// Asks the process to stop and waits until it exits. Kills it after `STOP_TIMEOUT`.
    pub(super) async fn stop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::TERM);
        }
        if timeout(STOP_TIMEOUT, child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pid = self.child.as_ref().and_then(Child::id).unwrap_or_default();
        write!(f, "{:<40} process {pid:<8} log {}", self.name, self.log.display())
    }
}

impl Endpoint {
    async fn is_accepting(&self) -> bool {
        match self {
            Self::Tcp(address) => TcpStream::connect(address).await.is_ok(),
            Self::Unix(path) => UnixStream::connect(path).await.is_ok(),
        }
    }
}

/// Finds a program in PATH, `/usr/sbin` and `/usr/local/sbin`.
fn find_program(name: &str) -> anyhow::Result<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .chain(["/usr/sbin", "/usr/local/sbin"].map(PathBuf::from))
        .map(|folder| folder.join(name))
        .find(|program| program.is_file())
        .with_context(|| format!("{name} is not installed; `make cluster` installs it"))
}
