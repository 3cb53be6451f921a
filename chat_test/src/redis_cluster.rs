//! A Redis Cluster that belongs to one test: three nodes, each with a third of the slots.

use chat_core::redis::Redis;
use redis::{Cmd, FromRedisValue, cmd};
use std::process::Stdio;
use tempfile::TempDir;
use tokio::{
    net::TcpListener,
    process::{Child, Command},
};

const SLOTS: [(u16, u16); 3] = [(0, 5460), (5461, 10_922), (10_923, 16_383)];

/// A running Redis Cluster.
#[derive(Debug)]
pub struct TestRedisCluster {
    ports: Vec<u16>,
    _processes: Vec<Child>,
    _folder: TempDir,
}

impl TestRedisCluster {
    /// Starts an empty cluster.
    pub async fn start() -> Self {
        let folder = tempfile::tempdir().expect("a directory");
        let (mut ports, mut processes) = (Vec::new(), Vec::new());
        for _ in SLOTS {
            let (port, bus) = (free_port().await, free_port().await);
            let process = Command::new("redis-server")
                .args(["--bind", "127.0.0.1", "--save", "", "--cluster-enabled", "yes"])
                .args(["--port", &port.to_string(), "--cluster-port", &bus.to_string()])
                .args(["--cluster-config-file", &format!("{port}.conf"), "--loglevel", "warning"])
                .current_dir(folder.path())
                .stdout(Stdio::null())
                .kill_on_drop(true)
                .spawn()
                .expect("redis-server is installed");
            crate::eventually("a node answers", async || node(port).connect().await.is_ok()).await;
            processes.push(process);
            ports.push(port);
            if let [first, .., last] = ports.as_slice() {
                let () = query(
                    *last,
                    cmd("CLUSTER").arg("MEET").arg("127.0.0.1").arg(first).arg(fetch_bus_port(*first).await),
                )
                .await;
            }
        }
        for (port, (from, to)) in ports.iter().zip(SLOTS) {
            let () = query(*port, cmd("CLUSTER").arg("ADDSLOTSRANGE").arg(from).arg(to)).await;
        }
        for port in &ports {
            crate::eventually("all slots are assigned", async || {
                let state: String = query(*port, cmd("CLUSTER").arg("INFO")).await;
                state.contains("cluster_state:ok") && state.contains("cluster_known_nodes:3")
            })
            .await;
        }
        Self { ports, _processes: processes, _folder: folder }
    }

    /// The client that servers use.
    pub fn client(&self) -> Redis {
        let urls: Vec<String> = self.ports.iter().map(|port| format!("redis://127.0.0.1:{port}")).collect();
        Redis::open(&urls.join(",")).expect("URLs")
    }
}

async fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("its address").port()
}

fn node(port: u16) -> Redis {
    Redis::open(&format!("redis://127.0.0.1:{port}")).expect("a URL")
}

/// Returns the port on which a node talks to the other nodes.
async fn fetch_bus_port(port: u16) -> u16 {
    let (_, bus): (String, u16) = query(port, cmd("CONFIG").arg("GET").arg("cluster-port")).await;
    bus
}

async fn query<T: FromRedisValue>(port: u16, command: &Cmd) -> T {
    let mut connection = node(port).connect().await.expect("the node is running");
    command.query_async(&mut connection).await.expect("an answer")
}
