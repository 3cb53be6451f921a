//! How often one person, or one address, may ask. Limits are per server: they
//! keep a runaway client from crowding out the others, not an army.

use crate::Api;
use axum::{
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, Method, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use chat_core::{
    Error, Result, UserId,
    auth::{self, Audience},
};
use governor::{
    NotUntil, Quota, RateLimiter,
    clock::{Clock, QuantaClock, QuantaInstant},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use std::{
    hash::Hash,
    net::{IpAddr, Ipv6Addr, SocketAddr},
    num::NonZeroU32,
    str::FromStr,
    sync::Arc,
    time::Duration,
};

/// What a request is, to those who count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Where passwords and tokens are tried; by address.
    Auth,
    /// Files; by person.
    Upload,
    /// What changes something; by person.
    Write,
    /// What only looks; by person.
    Read,
}

impl Class {
    fn of(request: &Request) -> Self {
        match request.uri().path() {
            "/api/signup" | "/api/signin" | "/api/token/refresh" | "/api/me/password" => Self::Auth,
            // A password proves that it is its owner who closes an account.
            "/api/me" if request.method() == Method::DELETE => Self::Auth,
            "/api/upload" => Self::Upload,
            _ if request.method() == Method::GET || request.method() == Method::HEAD => Self::Read,
            _ => Self::Write,
        }
    }
}

/// So many in so long; all of them may come at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rate {
    count: NonZeroU32,
    period: Duration,
}

impl Rate {
    const fn per_second(count: u32) -> Self {
        Self { count: NonZeroU32::new(count).expect("more than none"), period: Duration::from_secs(1) }
    }

    const fn per_minute(count: u32) -> Self {
        Self { period: Duration::from_secs(60), ..Self::per_second(count) }
    }

    fn quota(self) -> Quota {
        let each = self.period / self.count.get();
        Quota::with_period(each).map_or(Quota::per_second(self.count), |quota| quota.allow_burst(self.count))
    }
}

impl FromStr for Rate {
    type Err = ();

    /// As in `20/s`, `600/m` or `1000/h`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (count, period) = text.split_once('/').ok_or(())?;
        let seconds = match period {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            _ => return Err(()),
        };
        Ok(Self { count: count.parse().map_err(|_| ())?, period: Duration::from_secs(seconds) })
    }
}

/// `off`, `on`, or `on` with other numbers for some classes, as in
/// `auth=10/m,write=20/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits(Option<Rates>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Rates {
    auth: Rate,
    upload: Rate,
    write: Rate,
    read: Rate,
    /// Of one address, whoever is behind it.
    address: Rate,
}

/// Generous: a person who types, and their devices, never meet them.
const DEFAULT: Rates = Rates {
    auth: Rate::per_minute(60),
    upload: Rate::per_minute(120),
    write: Rate::per_second(50),
    read: Rate::per_second(100),
    address: Rate::per_second(1_000),
};

/// Text that is no setting of rate limits.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a rate limit; give off, on, or some of auth=60/m,upload=120/m,write=50/s,read=100/s,address=1000/s"
)]
pub struct InvalidRateLimits(String);

impl RateLimits {
    /// Nobody counts.
    pub const OFF: Self = Self(None);
    /// As they come.
    pub const ON: Self = Self(Some(DEFAULT));
}

impl FromStr for RateLimits {
    type Err = InvalidRateLimits;

    fn from_str(text: &str) -> Result<Self, InvalidRateLimits> {
        match text {
            "off" => return Ok(Self::OFF),
            "on" => return Ok(Self::ON),
            _ => {}
        }
        let mut rates = DEFAULT;
        for part in text.split(',') {
            let invalid = || InvalidRateLimits(part.to_owned());
            let (class, rate) = part.trim().split_once('=').ok_or_else(invalid)?;
            let rate = rate.parse().map_err(|()| invalid())?;
            match class {
                "auth" => rates.auth = rate,
                "upload" => rates.upload = rate,
                "write" => rates.write = rate,
                "read" => rates.read = rate,
                "address" => rates.address = rate,
                _ => return Err(invalid()),
            }
        }
        Ok(Self(Some(rates)))
    }
}

type Limiter<K> = RateLimiter<K, DashMapStateStore<K>, QuantaClock, StateInformationMiddleware>;

/// Who has asked how often.
#[derive(Debug)]
pub struct Counters {
    limiters: Option<Limiters>,
    /// How many proxies stand before this server and say who is calling.
    proxies: usize,
    clock: QuantaClock,
}

#[derive(Debug)]
struct Limiters {
    auth: Limiter<IpAddr>,
    upload: Limiter<UserId>,
    write: Limiter<UserId>,
    read: Limiter<UserId>,
    address: Limiter<IpAddr>,
}

fn limiter<K: Hash + Eq + Clone>(rate: Rate) -> Limiter<K> {
    RateLimiter::dashmap(rate.quota()).with_middleware()
}

impl Counters {
    /// Counts from nothing. `proxies` is how many of ours a request has passed.
    pub fn new(limits: RateLimits, proxies: usize) -> Self {
        let limiters = limits.0.map(|rates| Limiters {
            auth: limiter(rates.auth),
            upload: limiter(rates.upload),
            write: limiter(rates.write),
            read: limiter(rates.read),
            address: limiter(rates.address),
        });
        Self { limiters, proxies, clock: QuantaClock::default() }
    }

    /// Forgets those who have not asked for long.
    pub fn tidy(&self) {
        let Some(Limiters { auth, upload, write, read, address }) = &self.limiters else { return };
        [auth, address].into_iter().for_each(RateLimiter::retain_recent);
        [upload, write, read].into_iter().for_each(RateLimiter::retain_recent);
    }

    /// What is left to somebody after this request, or that it is one too many.
    fn count<K: Hash + Eq + Clone>(&self, limiter: &Limiter<K>, key: &K) -> Result<Left, Left> {
        match limiter.check_key(key) {
            Ok(snapshot) => {
                let (limit, remaining) = (snapshot.quota().burst_size().get(), snapshot.remaining_burst_capacity());
                let reset = snapshot.quota().replenish_interval() * (limit - remaining.min(limit));
                Ok(Left { limit, remaining, reset })
            }
            Err(not_until) => Err(self.none_left(&not_until)),
        }
    }

    fn none_left(&self, not_until: &NotUntil<QuantaInstant>) -> Left {
        let reset = not_until.wait_time_from(self.clock.now());
        Left { limit: not_until.quota().burst_size().get(), remaining: 0, reset }
    }
}

/// What is left of a limit.
struct Left {
    limit: u32,
    remaining: u32,
    /// Until there is more: all of it, or one if there is none.
    reset: Duration,
}

impl Left {
    fn tell(&self, headers: &mut HeaderMap) {
        let mut tell = |name: &'static str, number: u64| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
        };
        tell("ratelimit-limit", self.limit.into());
        tell("ratelimit-remaining", self.remaining.into());
        tell("ratelimit-reset", seconds(self.reset));
    }
}

/// Whole ones, rounded up.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// The path of every request: refused when it is one too many, and told what is
/// left.
pub(crate) async fn limit(State(api): State<Arc<Api>>, request: Request, next: Next) -> Response {
    let counters = &api.counters;
    let Some(limiters) = &counters.limiters else { return next.run(request).await };
    match counted(&api, counters, limiters, &request) {
        Ok(left) => {
            let mut response = next.run(request).await;
            left.tell(response.headers_mut());
            response
        }
        Err(left) => {
            let mut response = Error::TooMany.into_response();
            left.tell(response.headers_mut());
            response.headers_mut().insert(header::RETRY_AFTER, seconds(left.reset).max(1).into());
            response
        }
    }
}

fn counted(api: &Api, counters: &Counters, limiters: &Limiters, request: &Request) -> Result<Left, Left> {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    let address = address(peer, request.headers(), counters.proxies);
    let of_address = counters.count(&limiters.address, &address)?;
    let class = Class::of(request);
    if class == Class::Auth {
        return counters.count(&limiters.auth, &address);
    }
    let Some(user) = caller(api, request.headers()) else { return Ok(of_address) };
    match class {
        Class::Upload => counters.count(&limiters.upload, &user),
        Class::Read => counters.count(&limiters.read, &user),
        Class::Write | Class::Auth => counters.count(&limiters.write, &user),
    }
}

/// Who calls, if they say so; whether they still may is asked later.
fn caller(api: &Api, headers: &HeaderMap) -> Option<UserId> {
    let bearer = auth::bearer(headers.get(header::AUTHORIZATION)?.to_str().ok()?)?;
    api.signer.verifier().verify(bearer, Audience::Api).ok().map(|claims| claims.user_id)
}

/// Who is calling: the peer, or whom the last of our proxies says it is. One home
/// has a whole network of IPv6 addresses, and counts once.
fn address(peer: Option<IpAddr>, headers: &HeaderMap, proxies: usize) -> IpAddr {
    let forwarded = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let forwarded: Vec<&str> = forwarded.flat_map(|list| list.split(',')).map(str::trim).collect();
    let said = (proxies > 0).then(|| forwarded.iter().rev().nth(proxies - 1)).flatten();
    let address = said.and_then(|text| text.parse().ok()).or(peer).unwrap_or(Ipv6Addr::UNSPECIFIED.into());
    match address {
        IpAddr::V6(address) if address.to_ipv4_mapped().is_none() => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        other => other.to_canonical(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read_from_one_setting() {
        assert_eq!("off".parse::<RateLimits>().expect("limits"), RateLimits::OFF);
        assert_eq!("on".parse::<RateLimits>().expect("limits"), RateLimits::ON);
        let RateLimits(Some(rates)) = "write=5/m, read=7/s".parse().expect("limits") else { panic!("on") };
        assert_eq!(rates, Rates { write: Rate::per_minute(5), read: Rate::per_second(7), ..DEFAULT });
        for bad in ["", "yes", "write", "write=5", "write=0/s", "write=5/d", "write=-1/s", "swim=5/s", "write=5/s,,"] {
            assert!(bad.parse::<RateLimits>().is_err(), "{bad}");
        }
    }

    #[test]
    fn only_our_own_proxies_are_believed() {
        let peer = Some("10.0.0.9".parse().expect("an address"));
        let mut headers = HeaderMap::new();
        headers.append("x-forwarded-for", HeaderValue::from_static("6.6.6.6, 203.0.113.7"));
        headers.append("x-forwarded-for", HeaderValue::from_static("10.0.0.8"));
        for (proxies, expected) in [(0, "10.0.0.9"), (1, "10.0.0.8"), (2, "203.0.113.7"), (9, "10.0.0.9")] {
            assert_eq!(address(peer, &headers, proxies).to_string(), expected, "{proxies} proxies");
        }
        let of = |text: &str| address(text.parse().ok(), &HeaderMap::new(), 0);
        assert_eq!(of("2001:db8:1:2:3:4:5:6"), of("2001:db8:1:2:9::"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
    }
}
