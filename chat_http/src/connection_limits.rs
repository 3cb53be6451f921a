//! The limits on open connections: in all, and of one client address.

use crate::trusted_proxies::{TrustedProxies, network_of};
use std::{
    collections::{HashMap, hash_map::Entry},
    net::IpAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

/// How often a rejected connection is logged.
const LOG_INTERVAL: Duration = Duration::from_secs(60);

/// The limits on open connections.
#[derive(Debug, Clone)]
pub struct ConnectionLimits {
    /// Maximum number of open connections.
    pub total: usize,
    /// Maximum number of open connections of one IPv4 address or IPv6 /64 network.
    /// Loopback addresses and trusted proxies have no such limit.
    pub per_address: usize,
    /// The trusted proxies.
    pub trusted_proxies: TrustedProxies,
}

impl ConnectionLimits {
    /// A limit on all connections and none on those of one address.
    pub fn in_all(total: usize) -> Self {
        Self { total, per_address: usize::MAX, trusted_proxies: TrustedProxies::default() }
    }
}

/// Counts the open connections of each address.
#[derive(Debug)]
pub(crate) struct AddressCounter {
    limits: ConnectionLimits,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
    /// When a rejection was last logged.
    logged_at: Mutex<Option<Instant>>,
}

/// The permit of one open connection of an address.
#[derive(Debug)]
pub(crate) struct AddressPermit {
    address: Option<IpAddr>,
    open: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

impl AddressCounter {
    pub(crate) fn new(limits: ConnectionLimits) -> Self {
        Self { limits, open: Arc::default(), logged_at: Mutex::default() }
    }

    /// Logs that an address has too many connections, at most once a minute.
    pub(crate) fn log_rejection(&self, peer: IpAddr) {
        let mut logged_at = self.logged_at.lock().unwrap_or_else(PoisonError::into_inner);
        if logged_at.is_none_or(|at| at.elapsed() >= LOG_INTERVAL) {
            *logged_at = Some(Instant::now());
            tracing::warn!(%peer, limit = self.limits.per_address, "closing connections: this address has too many");
        }
    }

    /// Counts a connection; `None` if the address has too many.
    pub(crate) fn try_acquire(&self, peer: IpAddr) -> Option<AddressPermit> {
        let peer = peer.to_canonical();
        let open = Arc::clone(&self.open);
        if peer.is_loopback() || self.limits.trusted_proxies.contains(peer) {
            return Some(AddressPermit { address: None, open });
        }
        let address = network_of(peer);
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(address).or_default();
        if *count >= self.limits.per_address {
            return None;
        }
        *count += 1;
        drop(counts);
        Some(AddressPermit { address: Some(address), open })
    }
}

impl Drop for AddressPermit {
    fn drop(&mut self) {
        let Some(address) = self.address else { return };
        let mut counts = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Entry::Occupied(mut count) = counts.entry(address) {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_address_has_a_limited_number_of_connections() {
        let limits =
            ConnectionLimits { total: 100, per_address: 2, trusted_proxies: "10.0.0.0/8".parse().expect("networks") };
        let counter = AddressCounter::new(limits);
        let acquire = |address: &str| counter.try_acquire(address.parse().expect("an address"));
        let first = acquire("203.0.113.7").expect("a permit");
        let _second = acquire("::ffff:203.0.113.7").expect("a permit");
        assert!(acquire("203.0.113.7").is_none());
        assert!(acquire("203.0.113.8").is_some());
        drop(first);
        assert!(acquire("203.0.113.7").is_some());
        let _networks = [acquire("2001:db8::1").expect("a permit"), acquire("2001:db8::2").expect("a permit")];
        assert!(acquire("2001:db8::3").is_none(), "one /64 network is one client");
        let exempt: Vec<_> = (0..9).flat_map(|_| [acquire("127.0.0.1"), acquire("::1"), acquire("10.1.2.3")]).collect();
        assert!(exempt.iter().all(Option::is_some));
    }

    #[test]
    fn an_address_without_connections_uses_no_memory() {
        let limits = ConnectionLimits { total: 1, per_address: 1, trusted_proxies: TrustedProxies::default() };
        let counter = AddressCounter::new(limits);
        drop(counter.try_acquire("203.0.113.7".parse().expect("an address")));
        assert!(counter.open.lock().expect("the counts").is_empty());
    }
}
