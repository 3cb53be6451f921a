//! A running `confab dev`, and the processes that it starts.

use chat_test::{DEADLINE, Endpoints, Signal};
use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    time::Instant,
};
use tempfile::TempDir;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{Child, ChildStdout, Command},
    time::timeout,
};

/// A running `confab dev`.
pub(crate) struct Dev {
    pub(crate) process: Child,
    pub(crate) output: Vec<String>,
    pub(crate) lines: Lines<BufReader<ChildStdout>>,
    pub(crate) endpoints: Endpoints,
}

pub(crate) fn dev_command(data: &Path) -> Command {
    dev_command_at(data, "127.0.0.1:0")
}

pub(crate) fn dev_command_at(data: &Path, address: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_confab"));
    command.args(["dev", "--bind", address, "--data"]).arg(data);
    for variable in ["DATABASE_URL", "CHAT_BIND", "CHAT_DATA_DIR", "RUST_LOG"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    command
}

impl Dev {
    pub(crate) async fn start(data: &Path) -> Self {
        Self::run(dev_command(data)).await
    }

    pub(crate) async fn run(mut command: Command) -> Self {
        let mut process = command.spawn().expect("started");
        let mut lines = BufReader::new(process.stdout.take().expect("stdout is piped")).lines();
        let mut output = Vec::new();
        let url = loop {
            let line = timeout(DEADLINE, lines.next_line()).await.expect("a line within the deadline").expect("text");
            let line = line.unwrap_or_else(|| panic!("exited early; output: {output:?}"));
            output.push(line.clone());
            if let Some(url) = line.strip_prefix("listening on ") {
                break url.to_owned();
            }
        };
        Self { process, output, lines, endpoints: Endpoints { chat: url.clone(), notify: url } }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id().expect("running")
    }

    /// Sends a signal and waits until the process exits.
    pub(crate) async fn stop_with(&mut self, signal: Signal) {
        chat_test::signal(self.pid(), signal);
        timeout(DEADLINE, self.process.wait()).await.expect("exits within the deadline").expect("waited");
    }
}

/// Returns the Postgres processes of a directory. Without `/proc`, as on macOS, returns
/// the pid file of the running server.
pub(crate) fn postgres_processes(folder: &Path) -> Vec<PathBuf> {
    let Ok(processes) = fs::read_dir("/proc") else {
        return Vec::from_iter(Some(folder.join("postgres/data/postmaster.pid")).filter(|file| file.exists()));
    };
    processes
        .flatten()
        .map(|process| process.path())
        .filter(|process| {
            let command = fs::read(process.join("cmdline")).unwrap_or_default();
            let command = String::from_utf8_lossy(&command).into_owned();
            command.contains("postgres") && command.contains(&folder.display().to_string())
        })
        .collect()
}

pub(crate) async fn wait_until_no_postgres(folder: &Path) {
    let started_at = Instant::now();
    while !postgres_processes(folder).is_empty() {
        assert!(started_at.elapsed() < DEADLINE, "still running: {:?}", postgres_processes(folder));
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

pub(crate) fn create_readable_folder() -> TempDir {
    let folder = tempfile::tempdir().expect("a directory");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).expect("permissions set");
    folder
}

pub(crate) async fn expect_failure(mut command: Command) -> String {
    let Output { status, stderr, .. } =
        timeout(DEADLINE, command.stderr(Stdio::piped()).output()).await.expect("exits by itself").expect("run");
    assert!(!status.success());
    String::from_utf8_lossy(&stderr).into_owned()
}
