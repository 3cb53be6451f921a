//! The optional Redis client. Redis only carries data between servers; the database is
//! the source of truth. Lost or forged data causes delays and nothing else.

use crate::{Error, Result};
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection, PubSub},
};
#[cfg(feature = "redis-cluster")]
use redis::{cluster::ClusterClient, cluster_async::ClusterConnection};
use std::{fmt, time::Duration};
use tokio::time::timeout;

/// How long Redis may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// How long Redis may take to reply.
const RESPONSE_TIMEOUT: Duration = Duration::from_millis(500);

/// How long the nodes of a cluster may take to reply to a blocking command: far
/// longer than any such command blocks.
#[cfg(feature = "redis-cluster")]
const BLOCKING_RESPONSE_TIMEOUT: Duration = Duration::from_secs(60);

/// The addresses of Redis.
#[derive(Clone)]
pub struct Redis {
    /// The single server, or some nodes of a cluster.
    nodes: Vec<Client>,
    #[cfg(feature = "redis-cluster")]
    urls: Vec<String>,
}

impl Redis {
    /// Parses a URL: `redis://user:password@host:6379/0`, `rediss://` for TLS, or
    /// `unix:///path?user=…&pass=…`. Several URLs, separated by commas, name nodes of
    /// a Redis Cluster. Does not connect yet.
    pub fn open(url: &str) -> Result<Self> {
        let urls: Vec<String> = url.split(',').map(|url| url.trim().to_owned()).collect();
        if urls.len() > 1 && !cfg!(feature = "redis-cluster") {
            return Err(Error::internal(
                "this build does not support Redis Cluster; build with --features redis-cluster",
            ));
        }
        let nodes = urls.iter().map(|url| Client::open(url.as_str())).collect::<Result<_, _>>();
        let nodes = nodes.map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self {
            nodes,
            #[cfg(feature = "redis-cluster")]
            urls,
        })
    }

    /// Opens a connection for commands that Redis answers at once.
    pub async fn connect(&self) -> Result<Connection> {
        self.connect_with(Some(RESPONSE_TIMEOUT)).await
    }

    /// Opens a connection for blocking commands: it has no response timeout.
    pub async fn connect_blocking(&self) -> Result<Connection> {
        self.connect_with(None).await
    }

    async fn connect_with(&self, response_timeout: Option<Duration>) -> Result<Connection> {
        match self.nodes.as_slice() {
            [node] => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_TIMEOUT))
                    .set_response_timeout(response_timeout);
                let connection = node.get_multiplexed_async_connection_with_config(&config).await;
                connection.map(Connection::Single).map_err(unavailable)
            }
            _ => self.connect_to_cluster(response_timeout).await,
        }
    }

    #[cfg(feature = "redis-cluster")]
    async fn connect_to_cluster(&self, response_timeout: Option<Duration>) -> Result<Connection> {
        let client = ClusterClient::builder(self.urls.iter().map(String::as_str))
            .connection_timeout(CONNECT_TIMEOUT)
            .response_timeout(response_timeout.unwrap_or(BLOCKING_RESPONSE_TIMEOUT))
            .build()
            .map_err(unavailable)?;
        client.get_async_connection().await.map(Connection::Cluster).map_err(unavailable)
    }

    #[cfg(not(feature = "redis-cluster"))]
    async fn connect_to_cluster(&self, _: Option<Duration>) -> Result<Connection> {
        Err(Error::internal("no Redis server is configured"))
    }

    /// Subscribes to a channel. In a cluster, every node receives what is published.
    pub async fn subscribe(&self, channel: &str) -> Result<PubSub> {
        let mut last_error = Error::Unavailable("no Redis server is configured".into());
        for node in &self.nodes {
            let subscribed = timeout(CONNECT_TIMEOUT, async {
                let mut pubsub = node.get_async_pubsub().await?;
                pubsub.subscribe(channel).await?;
                Ok(pubsub)
            });
            match subscribed.await {
                Ok(Ok(pubsub)) => return Ok(pubsub),
                Ok(Err(error)) => last_error = unavailable(error),
                Err(_) => last_error = Error::Unavailable("Redis did not answer in time".into()),
            }
        }
        Err(last_error)
    }
}

/// Converts a Redis error to `Error::Unavailable`.
pub fn unavailable(error: RedisError) -> Error {
    Error::Unavailable(error.into())
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Omit the passwords.
        let addresses = self.nodes.iter().map(|node| node.get_connection_info().addr().to_string());
        f.debug_list().entries(addresses).finish()
    }
}

/// A connection to a single server or to a cluster.
#[derive(Clone)]
pub enum Connection {
    /// A connection to a single server.
    Single(MultiplexedConnection),
    /// A connection that routes each command to the node that has the key.
    #[cfg(feature = "redis-cluster")]
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::Single(connection) => connection.req_packed_command(command),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.req_packed_command(command),
        }
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        match self {
            Self::Single(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::Single(connection) => connection.get_db(),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.get_db(),
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connection")
    }
}
