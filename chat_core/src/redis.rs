//! The way to Redis, where there is one. It carries between servers what is true
//! elsewhere; what it loses, and what it makes up, costs time and nothing else.

use crate::{Error, Result};
use redis::{
    AsyncConnectionConfig, Client, Cmd, Pipeline, RedisError, RedisFuture, Value,
    aio::{ConnectionLike, MultiplexedConnection, PubSub},
};
#[cfg(feature = "redis-cluster")]
use redis::{cluster::ClusterClient, cluster_async::ClusterConnection};
use std::{fmt, time::Duration};
use tokio::time::timeout;

/// How long Redis may take to let somebody in.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// How long the nodes of a cluster may take to answer a question that waits: far
/// longer than any waits.
#[cfg(feature = "redis-cluster")]
const WAITING_PATIENCE: Duration = Duration::from_secs(60);

/// Where Redis is.
#[derive(Clone)]
pub struct Redis {
    /// The one server, or some nodes of a cluster.
    nodes: Vec<Client>,
    #[cfg(feature = "redis-cluster")]
    urls: Vec<String>,
}

impl Redis {
    /// By a URL: `redis://user:password@host:6379/0`, `rediss://` with TLS, or
    /// `unix:///path?user=…&pass=…`; or by several with commas between them, some
    /// nodes of a Redis Cluster. Nothing is asked yet.
    pub fn at(url: &str) -> Result<Self> {
        let urls: Vec<String> = url.split(',').map(|url| url.trim().to_owned()).collect();
        if urls.len() > 1 && !cfg!(feature = "redis-cluster") {
            return Err(Error::internal("this build knows no Redis Cluster: build with --features redis-cluster"));
        }
        let nodes = urls.iter().map(|url| Client::open(url.as_str())).collect::<Result<_, _>>();
        let nodes = nodes.map_err(|error| Error::internal(error.to_string()))?;
        Ok(Self {
            nodes,
            #[cfg(feature = "redis-cluster")]
            urls,
        })
    }

    /// A connection for questions that are answered at once.
    pub async fn connect(&self) -> Result<Connection> {
        self.connect_with(Some(PATIENCE)).await
    }

    /// A connection for a question that waits: it has no patience to lose.
    pub async fn connect_to_wait(&self) -> Result<Connection> {
        self.connect_with(None).await
    }

    async fn connect_with(&self, patience: Option<Duration>) -> Result<Connection> {
        match self.nodes.as_slice() {
            [one] => {
                let config = AsyncConnectionConfig::new()
                    .set_connection_timeout(Some(CONNECT_PATIENCE))
                    .set_response_timeout(patience);
                let connection = one.get_multiplexed_async_connection_with_config(&config).await;
                connection.map(Connection::One).map_err(away)
            }
            _ => self.connect_to_cluster(patience).await,
        }
    }

    #[cfg(feature = "redis-cluster")]
    async fn connect_to_cluster(&self, patience: Option<Duration>) -> Result<Connection> {
        let client = ClusterClient::builder(self.urls.iter().map(String::as_str))
            .connection_timeout(CONNECT_PATIENCE)
            .response_timeout(patience.unwrap_or(WAITING_PATIENCE))
            .build()
            .map_err(away)?;
        client.get_async_connection().await.map(Connection::Cluster).map_err(away)
    }

    #[cfg(not(feature = "redis-cluster"))]
    async fn connect_to_cluster(&self, _: Option<Duration>) -> Result<Connection> {
        Err(Error::internal("there is no Redis at all"))
    }

    /// A connection that hears what is published. In a cluster each node hears it.
    pub async fn subscribe(&self, channel: &str) -> Result<PubSub> {
        let mut failed = Error::Unavailable("there is no Redis at all".into());
        for node in &self.nodes {
            let subscribed = timeout(CONNECT_PATIENCE, async {
                let mut heard = node.get_async_pubsub().await?;
                heard.subscribe(channel).await?;
                Ok(heard)
            });
            match subscribed.await {
                Ok(Ok(heard)) => return Ok(heard),
                Ok(Err(error)) => failed = away(error),
                Err(_) => failed = Error::Unavailable("Redis did not answer in time".into()),
            }
        }
        Err(failed)
    }
}

/// What a failure of Redis is to whoever asked.
pub fn away(error: RedisError) -> Error {
    Error::Unavailable(error.into())
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the passwords.
        let addresses = self.nodes.iter().map(|node| node.get_connection_info().addr().to_string());
        f.debug_list().entries(addresses).finish()
    }
}

/// A connection to one server, or to the cluster that it is a node of.
#[derive(Clone)]
pub enum Connection {
    /// To one.
    One(MultiplexedConnection),
    /// To whichever node has the key.
    #[cfg(feature = "redis-cluster")]
    Cluster(ClusterConnection),
}

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        match self {
            Self::One(connection) => connection.req_packed_command(command),
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
            Self::One(connection) => connection.req_packed_commands(pipeline, offset, count),
            #[cfg(feature = "redis-cluster")]
            Self::Cluster(connection) => connection.req_packed_commands(pipeline, offset, count),
        }
    }

    fn get_db(&self) -> i64 {
        match self {
            Self::One(connection) => connection.get_db(),
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
