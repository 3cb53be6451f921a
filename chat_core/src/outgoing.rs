//! Which servers Confab calls on behalf of users: only those that everybody on the internet can
//! reach, and those that the administrator allows by name or network.

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};
use url::{Host, Url};

/// Maximum length of a URL, in bytes.
pub const MAX_URL_BYTES: usize = 2000;

/// Targets that are allowed although they are private or have no TLS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AllowedTargets {
    networks: Vec<IpNet>,
    /// In lower case.
    hosts: Vec<String>,
}

/// The error for text that is not a list of targets.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is neither a network such as 10.0.0.0/8 nor the name of a host")]
pub struct InvalidTarget(String);

impl FromStr for AllowedTargets {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Self, InvalidTarget> {
        let mut allowed = Self::default();
        for target in text.split(',').map(str::trim).filter(|target| !target.is_empty()) {
            if let Ok(network) = target.parse::<IpNet>() {
                allowed.networks.push(network);
            } else if let Ok(address) = target.parse::<IpAddr>() {
                allowed.networks.push(address.into());
            } else if let Ok(Host::Domain(host)) = Host::parse(target) {
                allowed.hosts.push(host);
            } else {
                return Err(InvalidTarget(target.to_owned()));
            }
        }
        Ok(allowed)
    }
}

impl AllowedTargets {
    /// Only loopback addresses, for a server that only this machine can reach.
    pub fn loopback() -> Self {
        let networks =
            vec![IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::LOCALHOST, 8)), IpAddr::V6(Ipv6Addr::LOCALHOST).into()];
        Self { networks, hosts: vec!["localhost".into()] }
    }

    /// Whether requests may be sent to an address.
    pub fn allows_address(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address) || self.networks.iter().any(|network| network.contains(&address))
    }

    /// Whether requests may be sent to a host whatever its addresses are.
    pub fn allows_host(&self, host: &str) -> bool {
        self.hosts.iter().any(|allowed| allowed.eq_ignore_ascii_case(host.trim_end_matches('.')))
    }

    /// Whether the administrator has listed the host of a URL.
    pub fn includes(&self, url: &OutgoingUrl) -> bool {
        url.0.host().is_some_and(|host| self.includes_host(&host))
    }

    fn includes_host(&self, host: &Host<&str>) -> bool {
        let contains = |address: IpAddr| self.networks.iter().any(|network| network.contains(&address.to_canonical()));
        match host {
            Host::Domain(name) => self.allows_host(name),
            Host::Ipv4(address) => contains(IpAddr::V4(*address)),
            Host::Ipv6(address) => contains(IpAddr::V6(*address)),
        }
    }

    /// Parses the URL of another server. A name is resolved, and its addresses are checked, only
    /// when a request is sent.
    pub fn parse_url(&self, text: &str) -> Result<OutgoingUrl, &'static str> {
        if text.len() > MAX_URL_BYTES {
            return Err("a URL must have at most 2000 characters");
        }
        let url = Url::parse(text).map_err(|_| "must be a URL such as https://example.com/events")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("a URL must not contain a user name or a password");
        }
        if url.fragment().is_some() {
            return Err("a URL must not contain a fragment (#)");
        }
        let host = url.host().ok_or("a URL must contain a host")?;
        match url.scheme() {
            "https" => {}
            "http" if self.includes_host(&host) => {}
            _ => return Err("a URL must begin with https://"),
        }
        let is_allowed = match host {
            Host::Domain(name) => !is_local_name(name) || self.allows_host(name),
            Host::Ipv4(address) => self.allows_address(address.into()),
            Host::Ipv6(address) => self.allows_address(address.into()),
        };
        if !is_allowed {
            return Err("this address is not public, and the administrator has not allowed it (OUTGOING_ALLOW)");
        }
        if url.as_str().len() > MAX_URL_BYTES {
            return Err("a URL must have at most 2000 characters");
        }
        Ok(OutgoingUrl(url))
    }
}

/// Names that no public server has.
fn is_local_name(name: &str) -> bool {
    let name = name.trim_end_matches('.');
    let last = name.rsplit('.').next().unwrap_or_default();
    !name.contains('.') || ["localhost", "local", "internal", "home", "lan", "arpa"].contains(&last)
}

/// The URL of another server, to which requests may be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutgoingUrl(Url);

impl OutgoingUrl {
    /// Returns the URL.
    pub fn as_url(&self) -> &Url {
        &self.0
    }
}

impl fmt::Display for OutgoingUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Whether an address is unicast and public, by the IANA registries of special-purpose
/// addresses. Addresses that contain an IPv4 address (mapped, NAT64, 6to4, Teredo) are not.
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !SPECIAL_V4.iter().any(|network| network.contains(&address)),
        IpAddr::V6(address) => {
            GLOBAL_V6.contains(&address) && !SPECIAL_V6.iter().any(|network| network.contains(&address))
        }
    }
}

const fn v4(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

const fn v6(a: u16, b: u16, c: u16, prefix: u8) -> Ipv6Net {
    Ipv6Net::new_assert(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), prefix)
}

const SPECIAL_V4: [Ipv4Net; 16] = [
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(100, 64, 0, 10),
    v4(127, 0, 0, 8),
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 0, 2, 24),
    v4(192, 88, 99, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    // 168.63.129.16 is Azure's virtual public address.
    v4(168, 63, 129, 24),
    v4(224, 0, 0, 4),
    v4(240, 0, 0, 4),
];

/// Global unicast addresses; all others are special.
const GLOBAL_V6: Ipv6Net = v6(0x2000, 0, 0, 3);

const SPECIAL_V6: [Ipv6Net; 4] =
    [v6(0x2001, 0, 0, 23), v6(0x2001, 0xdb8, 0, 32), v6(0x2002, 0, 0, 16), v6(0x3fff, 0, 0, 20)];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_allowed() {
        let nothing = AllowedTargets::default();
        for public in ["1.1.1.1", "8.8.8.8", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "2a00:1450::1"] {
            assert!(nothing.allows_address(public.parse().expect("an address")), "{public}");
        }
        for special in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "100.100.100.200",
            "127.0.0.1",
            "127.9.9.9",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001:0:4136::1",
            "2001:db8::1",
            "fe80::1",
            "fc00::1",
            "fd00:ec2::254",
            "fec0::1",
            "ff02::1",
            "100::1",
            "5f00::1",
            "3fff::1",
        ] {
            assert!(!nothing.allows_address(special.parse().expect("an address")), "{special}");
        }
    }

    #[test]
    fn every_spelling_of_a_private_address_is_rejected() {
        let nothing = AllowedTargets::default();
        for good in
            ["https://example.com/x?y=z", "https://example.com:8443/", "https://1.1.1.1/", "https://[2606:4700::1]/"]
        {
            assert!(nothing.parse_url(good).is_ok(), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "ftp://example.com/",
            "http://example.com/",
            "https://",
            "https://user@example.com/",
            "https://:x@example.com/",
            "https://example.com/#x",
            "https://127.0.0.1/",
            "https://127.1/",
            "https://0x7f.1/",
            "https://2130706433/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:7f00:1]/",
            "https://localhost/",
            "https://LOCALHOST./",
            "https://x.localhost/",
            "https://intranet/",
            "https://printer.local/",
            "https://metadata.google.internal/",
            "https://169.254.169.254/latest/",
            "https://①②⑦.0.0.1/",
        ] {
            assert!(nothing.parse_url(bad).is_err(), "{bad}");
        }
        assert!(nothing.parse_url(&format!("https://example.com/{}", "x".repeat(2000))).is_err());
        assert!(
            nothing.parse_url(&format!("https://example.com/{}", "ü".repeat(500))).is_err(),
            "escaped it is longer"
        );
    }

    #[test]
    fn an_administrator_allows_hosts_and_networks() {
        let allowed: AllowedTargets = "10.1.0.0/16, 192.168.0.7, ::1, Build.Internal".parse().expect("targets");
        for good in ["http://10.1.2.3:8080/", "https://192.168.0.7/", "http://[::1]:9/", "http://build.internal/x"] {
            assert!(allowed.parse_url(good).is_ok(), "{good}");
        }
        for bad in ["https://10.2.0.1/", "http://example.com/", "https://192.168.0.8/", "https://x.build.internal/"] {
            assert!(allowed.parse_url(bad).is_err(), "{bad}");
        }
        assert!(AllowedTargets::loopback().parse_url("http://localhost:7/").is_ok());
        assert!(AllowedTargets::loopback().parse_url("http://127.0.0.1:7/").is_ok());
        for bad in ["10.0.0.0/33", "a b", "http://x"] {
            assert!(bad.parse::<AllowedTargets>().is_err(), "{bad}");
        }
        assert_eq!("".parse::<AllowedTargets>().expect("none"), AllowedTargets::default());
    }
}
