//! The peers whose `X-Forwarded-For` header determines the client's address.

use axum::http::HeaderMap;
use ipnet::IpNet;
use std::{
    net::{IpAddr, Ipv6Addr},
    str::FromStr,
    sync::{Arc, Once},
};

/// The addresses of the operator's own reverse proxies.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TrustedProxies(Arc<[IpNet]>);

/// The error for text that is not a list of networks.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is not an address or a network; use a comma-separated list such as 10.0.0.0/8,::1")]
pub struct InvalidNetwork(String);

impl FromStr for TrustedProxies {
    type Err = InvalidNetwork;

    /// Parses a comma-separated list of addresses and CIDR networks.
    fn from_str(list: &str) -> Result<Self, InvalidNetwork> {
        let parts = list.split(',').map(str::trim).filter(|part| !part.is_empty());
        let parse = |part: &str| {
            let network = part.parse::<IpNet>().ok();
            let network = network.or_else(|| part.parse::<IpAddr>().ok().map(IpNet::from));
            network.ok_or_else(|| InvalidNetwork(part.to_owned()))
        };
        Ok(Self(parts.map(parse).collect::<Result<_, _>>()?))
    }
}

impl TrustedProxies {
    /// Returns the address of the client: the peer, or, if the peer is a trusted proxy,
    /// the rightmost entry of `X-Forwarded-For` that is not a trusted proxy. IPv6
    /// addresses are truncated to their /64 network, because one client has all of it.
    pub fn client_address(&self, peer: Option<IpAddr>, headers: &HeaderMap) -> IpAddr {
        let peer = peer.unwrap_or(Ipv6Addr::UNSPECIFIED.into()).to_canonical();
        let mut client = peer;
        if self.contains(peer) {
            let lines: Vec<&str> =
                headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
            let entries = lines.iter().rev().flat_map(|line| line.rsplit(',')).map(str::trim);
            for entry in entries {
                // A trusted proxy never writes an entry that is not an address.
                let Ok(address) = entry.parse::<IpAddr>() else { break };
                client = address.to_canonical();
                if !self.contains(client) {
                    break;
                }
            }
        } else if headers.contains_key("x-forwarded-for") {
            static WARNING: Once = Once::new();
            WARNING.call_once(|| {
                tracing::warn!(%peer, "ignoring X-Forwarded-For from an address that is not in TRUSTED_PROXIES");
            });
        }
        network_of(client)
    }

    /// Whether there are no trusted proxies.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether an address is one of a trusted proxy.
    pub(crate) fn contains(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// Truncates an IPv6 address to its /64 network.
pub(crate) fn network_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn client(proxies: &str, peer: &str, forwarded: &[&'static str]) -> String {
        let mut headers = HeaderMap::new();
        for line in forwarded {
            headers.append("x-forwarded-for", HeaderValue::from_static(line));
        }
        let proxies: TrustedProxies = proxies.parse().expect("networks");
        proxies.client_address(peer.parse().ok(), &headers).to_string()
    }

    #[test]
    fn only_trusted_proxies_say_who_the_client_is() {
        let forwarded = ["6.6.6.6, 203.0.113.7", "10.0.0.8"];
        assert_eq!(client("", "10.0.0.9", &forwarded), "10.0.0.9");
        assert_eq!(client("192.0.2.0/24", "10.0.0.9", &forwarded), "10.0.0.9");
        assert_eq!(client("10.0.0.9", "10.0.0.9", &forwarded), "10.0.0.8");
        assert_eq!(client("10.0.0.0/8", "10.0.0.9", &forwarded), "203.0.113.7");
        assert_eq!(client("10.0.0.0/8", "::ffff:10.0.0.9", &forwarded), "203.0.113.7");
        assert_eq!(client("10.0.0.0/8", "10.0.0.9", &["6.6.6.6, unknown"]), "10.0.0.9");
        assert_eq!(client("10.0.0.0/8", "10.0.0.9", &["10.0.0.7, 10.0.0.8"]), "10.0.0.7");
        assert_eq!(client("10.0.0.0/8", "10.0.0.9", &[]), "10.0.0.9");
    }

    #[test]
    fn one_ipv6_network_is_one_client() {
        assert_eq!(client("", "2001:db8:1:2:3:4:5:6", &[]), client("", "2001:db8:1:2:9::", &[]));
        assert_eq!(client("", "::ffff:192.0.2.1", &[]), "192.0.2.1");
    }

    #[test]
    fn a_list_that_is_not_networks_is_refused() {
        for bad in ["1", "10.0.0.0/33", "localhost", "10.0.0.1;10.0.0.2"] {
            assert!(bad.parse::<TrustedProxies>().is_err(), "{bad}");
        }
    }
}
