//! A TCP load balancer. Its only health check is whether a server accepts connections.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
};

/// Distributes connections round-robin over the servers that accept them.
#[derive(Debug)]
pub struct Balancer {
    /// The URL of the balancer, such as `http://127.0.0.1:1234`.
    pub url: String,
}

impl Balancer {
    /// Starts a balancer in front of these servers.
    pub async fn start(servers: Vec<SocketAddr>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("its address"));
        let turn = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((mut near, _)) = listener.accept().await {
                let (servers, turn) = (servers.clone(), Arc::clone(&turn));
                tokio::spawn(async move {
                    let first = turn.fetch_add(1, Ordering::Relaxed);
                    for nth in 0..servers.len() {
                        let server = servers[(first + nth) % servers.len()];
                        if let Ok(mut far) = TcpStream::connect(server).await {
                            let _ = copy_bidirectional(&mut near, &mut far).await;
                            return;
                        }
                    }
                });
            }
        });
        Self { url }
    }
}
