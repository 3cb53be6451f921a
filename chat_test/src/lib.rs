//! The test harness: real servers on port 0 with a real Postgres, users of the servers,
//! and clients of their event streams. It uses domain terms, and waits with deadlines
//! instead of fixed sleeps.

mod api_response;
mod app;
mod balancer;
mod database;
mod event_stream;
mod faulty_proxy;
pub mod google;
pub mod graph;
mod mail_server;
mod push_service;
mod redis;
mod redis_cluster;
pub mod rest_file;
mod socket;
mod user;
mod webhook_receiver;

pub use self::redis::TestRedis;
pub use api_response::ApiResponse;
pub use app::{ALLOWED_ORIGIN, TestApp, metric, shared_cluster};
pub use balancer::Balancer;
pub use database::{TestDatabase, create_demo_database};
pub use event_stream::{Event, EventStream, SseReader};
pub use faulty_proxy::FaultyProxy;
pub use mail_server::{MailServer, ReceivedMail};
pub use push_service::{PushService, ReceivedPush, TestBrowser};
pub use redis_cluster::TestRedisCluster;
pub use socket::Socket;
pub use user::{Endpoints, TestUser};
pub use webhook_receiver::{ReceivedWebhook, Reply, WebhookReceiver};

pub use rustix::process::Signal;
use rustix::process::{Pid, kill_process};
use std::time::Duration;

/// How long a test waits for something that must happen. Long, because the tests run together on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A PNG image, 2 pixels wide and 3 pixels high.
pub const PNG: &[u8] =
    b"\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x02\x00\x00\x00\x03\
    \x08\x02\x00\x00\x00\x36\x88\x49\xd6\x00\x00\x00\x10\x49\x44\x41\x54\x78\xda\x63\x38\x21\x67\x03\
    \x44\x0c\x28\x14\x00\x4a\xbb\x06\xcd\x83\x36\x94\x25\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\
    \x82";

/// Sends a signal to a process.
pub fn signal(pid: u32, signal: Signal) {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw).expect("a process id");
    kill_process(pid, signal).expect("a running process");
}

/// Returns a process and all its descendants; each process comes after its children.
pub fn process_tree(pid: u32) -> Vec<u32> {
    let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap_or_default();
    let children = children.split_whitespace().filter_map(|child| child.parse().ok()).flat_map(process_tree);
    children.chain([pid]).collect()
}

/// Waits until a condition holds. Panics with `what` after the deadline.
pub async fn eventually<F: Future<Output = bool>>(what: &str, mut holds: impl FnMut() -> F) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !holds().await {
        assert!(tokio::time::Instant::now() < deadline, "never came true: {what}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
