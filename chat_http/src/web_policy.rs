//! What browsers may do with a server: which origins may call it, at which hosts it
//! answers, and the security headers of every response.

use crate::{AllowedOrigins, ApiError, metrics::METRICS_PATH, probes::PROBES, settings::PublicUrl};
use axum::{
    extract::Request,
    http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Version, header, uri::Authority},
    response::{IntoResponse, Response},
};
use chat_core::Error;
use std::net::{IpAddr, SocketAddr};

/// What browsers may do with a server.
#[derive(Debug, Clone, Default)]
pub struct WebPolicy {
    /// The origins whose pages may call the server.
    pub origins: AllowedOrigins,
    /// The hosts at which the server answers.
    pub hosts: AllowedHosts,
    /// Whether browsers reach the server over TLS.
    pub is_https: bool,
}

/// The hosts at which a server answers. A page whose host name was bound to another
/// address after it was loaded sends the name of its own host, and is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum AllowedHosts {
    /// Every host, because the server does not know its name.
    #[default]
    Any,
    /// Loopback names and addresses.
    Loopback,
    /// This host, and loopback names and addresses.
    Public(String),
}

impl AllowedHosts {
    /// The hosts of a server that listens on an address, directly or behind a proxy.
    pub fn new(public_url: Option<&PublicUrl>, bind: SocketAddr, is_proxied: bool) -> Self {
        match public_url {
            Some(url) => Self::Public(url.host().to_ascii_lowercase()),
            None if bind.ip().is_loopback() && !is_proxied => Self::Loopback,
            None => Self::Any,
        }
    }

    pub(crate) fn contains(&self, host: &str) -> bool {
        let host = host.to_ascii_lowercase();
        let host = host.strip_suffix('.').unwrap_or(&host);
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        let is_loopback =
            address.is_ok_and(|ip| ip.is_loopback()) || host == "localhost" || host.ends_with(".localhost");
        match self {
            Self::Any => true,
            Self::Loopback => is_loopback,
            Self::Public(name) => is_loopback || host == name,
        }
    }
}

/// Paths that a public server answers at every host, because load balancers and scrapers
/// call them by address.
const INTERNAL_PATHS: [&str; 3] = [PROBES[0], PROBES[1], METRICS_PATH];

impl WebPolicy {
    /// Rejects a request without exactly one valid `Host`, or for another host.
    pub(crate) fn check_host(&self, request: &Request) -> Result<(), HostError> {
        check_host(&self.hosts, request)
    }

    /// Adds the security headers that the response does not have.
    pub(crate) fn write_headers(&self, headers: &mut HeaderMap) {
        for (name, value) in SECURITY_HEADERS {
            headers.entry(name).or_insert(value);
        }
        if self.is_https {
            headers.insert(header::STRICT_TRANSPORT_SECURITY, HSTS);
        }
    }
}

fn check_host(allowed: &AllowedHosts, request: &Request) -> Result<(), HostError> {
    let host = single_host(request.headers())?;
    if host.is_none() && request.version() > Version::HTTP_10 {
        return Err(HostError::Invalid);
    }
    if *allowed != AllowedHosts::Loopback && INTERNAL_PATHS.contains(&request.uri().path()) {
        return Ok(());
    }
    // A target such as `http://host/path` takes precedence over the header.
    let target = request.uri().host().map(str::to_owned);
    match target.or(host) {
        Some(host) if !allowed.contains(&host) => Err(HostError::NotAllowed),
        _ => Ok(()),
    }
}

/// The host of the `Host` header, without the port.
fn single_host(headers: &HeaderMap) -> Result<Option<String>, HostError> {
    let mut values = headers.get_all(header::HOST).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let authority = value.to_str().ok().and_then(|text| text.parse::<Authority>().ok()).ok_or(HostError::Invalid)?;
    let has_only_host = authority.as_str() == authority.host() || authority.port_u16().is_some();
    match values.next() {
        None if has_only_host && !authority.as_str().contains('@') => Ok(Some(authority.host().to_owned())),
        _ => Err(HostError::Invalid),
    }
}

/// Why a request is rejected for its host.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum HostError {
    /// The `Host` header is missing, repeated or not a host.
    Invalid,
    /// The server does not answer at this host.
    NotAllowed,
}

impl IntoResponse for HostError {
    fn into_response(self) -> Response {
        match self {
            Self::Invalid => {
                let detail = "the request must have exactly one valid Host header";
                ApiError(Error::Malformed(detail.into())).into_response()
            }
            Self::NotAllowed => StatusCode::MISDIRECTED_REQUEST.into_response(),
        }
    }
}

/// Two years.
const HSTS: HeaderValue = HeaderValue::from_static("max-age=63072000");

/// The headers of every response that does not set them itself. The content security
/// policy is for responses that are not pages: a browser that shows one loads nothing and
/// runs nothing.
const SECURITY_HEADERS: [(HeaderName, HeaderValue); 7] = [
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static("camera=(), geolocation=(), microphone=(), payment=(), usb=()"),
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_local_server_answers_only_at_loopback_names() {
        let bind: SocketAddr = "127.0.0.1:6688".parse().expect("an address");
        let hosts = AllowedHosts::new(None, bind, false);
        assert!(
            ["localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "[::1]"]
                .iter()
                .all(|host| hosts.contains(host))
        );
        assert!(
            ["evil.example", "10.0.0.1", "localhost.evil.example", "[::2]", ""]
                .iter()
                .all(|host| !hosts.contains(host))
        );
        assert_eq!(AllowedHosts::new(None, bind, true), AllowedHosts::Any, "a proxy checks the host");
        assert_eq!(AllowedHosts::new(None, "0.0.0.0:1".parse().expect("an address"), false), AllowedHosts::Any);
    }

    #[test]
    fn a_public_server_answers_only_at_its_own_name() {
        let url: PublicUrl = "https://Chat.example:8443".parse().expect("a URL");
        let hosts = AllowedHosts::new(Some(&url), "0.0.0.0:1".parse().expect("an address"), true);
        assert!(hosts.contains("chat.example") && hosts.contains("CHAT.EXAMPLE") && hosts.contains("127.0.0.1"));
        assert!(!hosts.contains("evil.example") && !hosts.contains("chat.example.evil.example"));
    }

    #[test]
    fn there_is_exactly_one_host() {
        let hosts = |values: &[&'static str]| {
            let pairs = values.iter().map(|value| (header::HOST, HeaderValue::from_static(value)));
            single_host(&HeaderMap::from_iter(pairs))
        };
        assert_eq!(hosts(&["a.example:80"]), Ok(Some("a.example".into())));
        assert_eq!(hosts(&["[::1]:80"]), Ok(Some("[::1]".into())));
        assert_eq!(hosts(&[]), Ok(None));
        for bad in [&["a b"][..], &["a.example/x"], &["user@a.example"], &["a.example:x"], &[""]] {
            assert!(hosts(bad).is_err(), "{bad:?}");
        }
        let mut twice = HeaderMap::new();
        twice.append(header::HOST, HeaderValue::from_static("a"));
        twice.append(header::HOST, HeaderValue::from_static("a"));
        assert!(single_host(&twice).is_err());
    }
}
