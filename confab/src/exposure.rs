//! What is open to others: checked when a server starts. On a loopback address without a
//! proxy, only the key file is.

use crate::database;
use anyhow::bail;
use chat_http::{WebPolicy, rate_limit::RateLimits};
use fixtures::demo;
use std::{net::SocketAddr, os::unix::fs::PermissionsExt, path::PathBuf};

/// The settings of a server that decide what is open.
pub(crate) struct Exposure<'a> {
    pub(crate) bind: SocketAddr,
    pub(crate) database_url: &'a str,
    pub(crate) policy: &'a WebPolicy,
    /// Whether a proxy makes a loopback address reachable.
    pub(crate) is_proxied: bool,
    pub(crate) rate_limits: RateLimits,
    /// Files that only their owner may read.
    pub(crate) secrets: Vec<PathBuf>,
    /// Whether the demo accounts, whose password is public, may be open.
    pub(crate) allows_demo: bool,
}

impl Exposure<'_> {
    /// Warns of each protection that is off. Refuses demo accounts on an address that
    /// other machines can reach.
    pub(crate) async fn check(&self) -> anyhow::Result<()> {
        for file in &self.secrets {
            let mode = std::fs::metadata(file).map(|metadata| metadata.permissions().mode());
            if mode.is_ok_and(|mode| mode & 0o077 != 0) {
                tracing::warn!(file = %file.display(), "other users of this machine can read this key; run `chmod 600`");
            }
        }
        if self.bind.ip().is_loopback() && !self.is_proxied {
            return Ok(());
        }
        let address = self.bind;
        if !self.policy.is_https {
            tracing::warn!(%address, "no TLS: passwords and messages cross the network unencrypted; \
                serve through a proxy with TLS and set PUBLIC_URL to its https address");
        }
        if self.rate_limits == RateLimits::OFF {
            tracing::warn!(%address, "rate limits are off: one client can use up this server; set RATE_LIMITS=on");
        }
        match demo::has_accounts(&database::create_pool(self.database_url)?).await {
            Ok(true) if self.allows_demo => {
                tracing::warn!(%address, "everybody can sign in with the demo accounts, whose password is public");
            }
            Ok(true) => bail!(
                "the demo accounts, whose password is public, would be open at {address}; listen on a loopback address, \
                 use a database without them (`--seed none` and a new --data directory), or add --public-demo"
            ),
            Ok(false) => {}
            Err(_) if self.allows_demo => {}
            Err(error) => return Err(database::database_error(error).context("looking for the demo accounts")),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::auth::Hasher;
    use chat_test::TestDatabase;

    #[tokio::test]
    async fn the_demo_accounts_are_not_open_to_other_machines_unless_allowed() {
        let database = TestDatabase::create().await;
        let policy = WebPolicy::default();
        let check_behind = async |is_proxied: bool, bind: &str, allows_demo: bool| {
            let exposure = Exposure {
                bind: bind.parse().expect("an address"),
                database_url: &database.url,
                policy: &policy,
                is_proxied,
                rate_limits: RateLimits::ON,
                secrets: Vec::new(),
                allows_demo,
            };
            exposure.check().await.map_err(|error| error.to_string())
        };
        let check = async |bind: &str, allows_demo| check_behind(false, bind, allows_demo).await;
        sqlx::query("delete from users").execute(&database.pool(1)).await.expect("an empty database");
        check("192.0.2.1:80", false).await.expect("nothing is open");
        assert!(demo::seed(&database.pool(2), &Hasher::new().expect("a hasher")).await.expect("seeded"));
        assert!(check("192.0.2.1:80", false).await.expect_err("refused").contains("--public-demo"));
        assert!(check("0.0.0.0:80", false).await.is_err());
        check("127.0.0.1:80", false).await.expect("open to this machine only");
        assert!(check_behind(true, "127.0.0.1:80", false).await.is_err(), "a proxy opens it to others");
        check("192.0.2.1:80", true).await.expect("allowed");
    }
}
