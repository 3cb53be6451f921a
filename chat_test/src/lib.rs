//! The harness: real servers on port 0 over a real Postgres of their own, people
//! who use them, and what those people hear. It speaks the domain and waits with
//! deadlines, never with sleeps.

mod api_response;
mod app;
mod balancer;
mod database;
mod event_stream;
mod faulty_proxy;
mod redis;
mod redis_cluster;
pub mod rest_file;
mod socket;
mod user;

pub use self::redis::TestRedis;
pub use api_response::ApiResponse;
pub use app::{ALLOWED_ORIGIN, TestApp, metric, shared_cluster};
pub use balancer::Balancer;
pub use database::{TestDatabase, create_demo_database};
pub use event_stream::{Event, EventStream, SseReader};
pub use faulty_proxy::FaultyProxy;
pub use redis_cluster::TestRedisCluster;
pub use socket::Socket;
pub use user::{Endpoints, TestUser};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use std::time::Duration;

/// How long anything may take that is bound to happen.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A picture, two pixels wide and three high.
pub const PNG: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x02\x00\x00\x00\x03\
    \x08\x02\x00\x00\x00\x36\x88\x49\xd6\x00\x00\x00\x10\x49\x44\x41\x54\x78\xda\x63\x38\x21\x67\x03\
    \x44\x0c\x28\x14\x00\x4a\xbb\x06\xcd\x83\x36\x94\x25\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\
    \x82";

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("a process that runs");
}

/// A process and all of its children, the youngest first.
pub fn process_tree(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(process_tree);
    children.chain([pid]).collect()
}

/// Waits until something is so, and says what it was if it never is.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
