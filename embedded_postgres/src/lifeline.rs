//! A server process that ends with this process: a shell starts the server, and stops
//! it when the pipe from this process to the shell closes. The kernel closes the pipe
//! even if this process is killed.

use crate::{Error, OsUser, io_error, remove_postgres_variables};
use std::{
    ffi::OsString,
    fs::File,
    os::unix::process::CommandExt,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// Waits for the pipe to close, then asks the server for a fast shutdown. The first
/// argument, if not empty, is a directory to remove at the end.
const SCRIPT: &str = r#"
scratch=$1; shift
"$@" </dev/null & server=$!
trap 'kill -INT $server 2>/dev/null' INT TERM
read -r _
kill -INT $server 2>/dev/null
wait $server
if [ -n "$scratch" ]; then rm -rf "$scratch"; fi
"#;

/// How long `stop` waits for the shutdown.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Debug)]
pub(super) struct Lifeline {
    shell: Child,
}

impl Lifeline {
    /// Runs `server` in its own process group, so that Ctrl-C in the terminal does not
    /// reach it, and writes its output to `log`.
    pub(super) fn start(
        server: &Path,
        arguments: &[OsString],
        log: &Path,
        scratch: Option<&Path>,
        os_user: Option<&OsUser>,
    ) -> Result<Self, Error> {
        let log_file = File::create(log).map_err(io_error(format!("writing {}", log.display())))?;
        let errors = log_file.try_clone().map_err(io_error("opening the log twice"))?;
        let mut command = Command::new("/bin/sh");
        command
            .args(["-c", SCRIPT, "confab-postgres"])
            .arg(scratch.unwrap_or(Path::new("")))
            .arg(server)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(log_file)
            .stderr(errors)
            .process_group(0)
            .current_dir("/");
        remove_postgres_variables(&mut command);
        if let Some(os_user) = os_user {
            os_user.apply_to(&mut command);
        }
        let shell = command.spawn().map_err(io_error(format!("starting {}", server.display())))?;
        Ok(Self { shell })
    }

    /// Whether the shell, and so the server, is still running.
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.shell.try_wait(), Ok(None))
    }

    /// Requests a fast shutdown and waits until the server has stopped.
    pub(super) fn stop(&mut self) {
        drop(self.shell.stdin.take());
        let deadline = std::time::Instant::now() + STOP_TIMEOUT;
        while self.is_alive() && std::time::Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Lifeline {
    fn drop(&mut self) {
        self.stop();
    }
}
