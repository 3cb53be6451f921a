//! A server under measurement. It runs on its own core; its CPU time and memory are
//! read from `/proc`.

use crate::SERVER_CORE;
use std::{
    ffi::OsStr,
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

/// The kernel counts CPU time in hundredths of a second.
const TICKS_PER_SECOND: f64 = 100.0;

pub(crate) struct Server {
    child: Child,
    /// The address, such as `127.0.0.1:1234`.
    pub(crate) address: String,
}

impl Server {
    /// Starts a program and waits until it logs `listening on http://…`.
    pub(crate) fn start(mut command: Command) -> Self {
        let mut child = command
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the server starts; build it with `cargo build --release`");
        let mut lines = BufReader::new(child.stderr.take().expect("its log")).lines();
        let address = loop {
            let line = lines.next().expect("the server logs its address").expect("text");
            if let Some((_, url)) = line.split_once("listening on http://") {
                break url.trim().to_owned();
            }
        };
        // Keep reading the log: the server would block on a full pipe.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    /// Starts a program with a known address and waits until it accepts connections.
    pub(crate) fn start_at(mut command: Command, address: String) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("the control starts");
        for _ in 0..500 {
            if std::net::TcpStream::connect(&address).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Self { child, address }
    }

    /// Returns the CPU time so far (user and system, in seconds) of the server and its children.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        process_tree(self.child.id()).into_iter().map(cpu_seconds).sum()
    }

    /// Returns the resident memory, in bytes, of the server and its children.
    pub(crate) fn resident_bytes(&self) -> f64 {
        process_tree(self.child.id()).into_iter().map(resident_bytes).sum()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in process_tree(self.child.id()) {
            if let Some(pid) = i32::try_from(process).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        let _ = self.child.wait();
    }
}

/// Returns a command that runs a program on the server's core.
pub(crate) fn pinned_command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &SERVER_CORE.to_string()]).arg(program);
    command
}

/// Returns the path of a program in the directory of this program.
pub(crate) fn sibling_binary(program: &str) -> PathBuf {
    std::env::current_exe().expect("our own path").with_file_name(program)
}

fn process_tree(pid: u32) -> Vec<u32> {
    let children = fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(process_tree);
    std::iter::once(pid).chain(children).collect()
}

fn cpu_seconds(pid: u32) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    // The name is in parentheses and may contain spaces; utime and stime follow it.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks = |nth: usize| fields.get(nth).and_then(|field| field.parse::<f64>().ok()).unwrap_or(0.0);
    (ticks(11) + ticks(12)) / TICKS_PER_SECOND
}

fn resident_bytes(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<f64>().ok()).unwrap_or(0.0) * 1024.0
}
