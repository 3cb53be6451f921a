//! The way to Redis, where there is one. It carries between servers what is true
//! elsewhere; what it loses, and what it makes up, costs time and nothing else.

use crate::{Error, Result};
use redis::{
    AsyncConnectionConfig, Client, RedisError,
    aio::{MultiplexedConnection, PubSub},
};
use std::{fmt, time::Duration};
use tokio::time::timeout;

/// How long Redis may take to let somebody in.
const CONNECT_PATIENCE: Duration = Duration::from_secs(1);

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where Redis is.
#[derive(Clone)]
pub struct Redis(Client);

impl Redis {
    /// By a URL: `redis://user:password@host:6379/0`, `rediss://` with TLS, or
    /// `unix:///path?user=…&pass=…`. Nothing is asked yet.
    pub fn at(url: &str) -> Result<Self> {
        Client::open(url).map(Self).map_err(|error| Error::internal(error.to_string()))
    }

    /// A connection for questions that are answered at once.
    pub async fn connect(&self) -> Result<MultiplexedConnection> {
        self.connect_with(Some(PATIENCE)).await
    }

    /// A connection for a question that waits: it has no patience to lose.
    pub async fn connect_to_wait(&self) -> Result<MultiplexedConnection> {
        self.connect_with(None).await
    }

    async fn connect_with(&self, patience: Option<Duration>) -> Result<MultiplexedConnection> {
        let config =
            AsyncConnectionConfig::new().set_connection_timeout(Some(CONNECT_PATIENCE)).set_response_timeout(patience);
        self.0.get_multiplexed_async_connection_with_config(&config).await.map_err(away)
    }

    /// A connection that hears what is published.
    pub async fn subscribe(&self, channel: &str) -> Result<PubSub> {
        let subscribed = timeout(CONNECT_PATIENCE, async {
            let mut heard = self.0.get_async_pubsub().await?;
            heard.subscribe(channel).await?;
            Ok(heard)
        });
        subscribed.await.map_err(|_| Error::Unavailable("Redis did not answer in time".into()))?.map_err(away)
    }
}

/// What a failure of Redis is to whoever asked.
pub fn away(error: RedisError) -> Error {
    Error::Unavailable(error.into())
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Without the password.
        write!(f, "Redis({})", self.0.get_connection_info().addr())
    }
}
