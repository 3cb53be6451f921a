//! Rate limits by user, by address and by class of route. Each server process counts
//! for itself. The limits prevent one faulty client from using up the capacity.
//!
//! A long text, a large chat or a message with many mentions costs more than one write: `BYTES_PER_WRITE`,
//! `MEMBERS_PER_WRITE`, `MENTIONS_PER_WRITE`. This surcharge also applies to the commands of WebSockets, whose
//! number the notify server limits apart.

mod setting;

pub use setting::{InvalidRateLimits, RateLimits};

use crate::{ApiError, metrics::METRICS_PATH, probes::PROBES, trusted_proxies::TrustedProxies};
use axum::{
    body::HttpBody,
    extract::{ConnectInfo, Request},
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, Method, header},
    response::{IntoResponse, Response},
};
use chat_core::{Error, UserId, WebhookId, mentions::MAX_MENTIONS};
use governor::{
    NotUntil,
    clock::{Clock, QuantaClock, QuantaInstant},
    middleware::StateInformationMiddleware,
    state::keyed::DashMapStateStore,
};
use percent_encoding::percent_decode_str;
use setting::Rate;
use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::{IpAddr, SocketAddr},
    num::NonZeroU32,
    time::Duration,
};

/// Number of bytes of text that one write includes. A longer text counts as several writes.
const BYTES_PER_WRITE: usize = 4 * 1024;

/// Number of members that one write includes. A chat with more initial members counts as
/// several writes: each member is a row and an event.
const MEMBERS_PER_WRITE: usize = 5;

/// So many mentions in a message cost as much as a write.
const MENTIONS_PER_WRITE: usize = 5;

/// How often one refresh token can be sent. A correct client sends it once, or a few times
/// while the network fails.
const REFRESHES_OF_ONE_TOKEN: Rate = Rate::per_minute(20);

/// The class of a route. Each class has its own limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RouteClass {
    /// Verifies a password or a token; limited by address.
    Auth,
    /// Exchanges a refresh token; limited by address, apart from `Auth`: the token cannot be
    /// guessed, and many users may share an address. Also limited by token (`charge_refresh`).
    Refresh,
    /// Stores files; limited by user.
    Upload,
    /// Changes data; limited by user.
    Write,
    /// Changes what others see of a user; limited by user, besides the limit of writes.
    Profile,
    /// Does something that the audit log records; limited by user, besides the limit of writes.
    Audited,
    /// Edits a message; limited by user and message in two ways, besides the limit of writes.
    Edit,
    /// Only reads data; limited by user.
    Read,
    /// Is sent by a program that knows the URL of a webhook; limited by webhook
    /// (`count_webhook`).
    Webhook,
}

type KeyedLimiter<K> = governor::RateLimiter<K, DashMapStateStore<K>, QuantaClock, StateInformationMiddleware>;

/// Counts the requests of each user and address.
#[derive(Debug)]
pub struct RateLimiter {
    limiters: Option<Limiters>,
    trusted_proxies: TrustedProxies,
    clock: QuantaClock,
}

#[derive(Debug)]
struct Limiters {
    auth: KeyedLimiter<IpAddr>,
    refresh: KeyedLimiter<IpAddr>,
    upload: KeyedLimiter<UserId>,
    write: KeyedLimiter<UserId>,
    write_burst: NonZeroU32,
    profile: KeyedLimiter<UserId>,
    audited: KeyedLimiter<UserId>,
    edit: KeyedLimiter<(UserId, String)>,
    edit_burst: KeyedLimiter<(UserId, String)>,
    read: KeyedLimiter<UserId>,
    webhook: KeyedLimiter<WebhookId>,
    mail: KeyedLimiter<IpAddr>,
    text: KeyedLimiter<UserId>,
    address: KeyedLimiter<IpAddr>,
    refresh_token: KeyedLimiter<u64>,
    hasher: RandomState,
}

fn keyed_limiter<K: Hash + Eq + Clone>(rate: Rate) -> KeyedLimiter<K> {
    governor::RateLimiter::dashmap(rate.quota()).with_middleware()
}

impl RateLimiter {
    /// Creates a limiter that has counted no request.
    pub fn new(limits: RateLimits, trusted_proxies: TrustedProxies) -> Self {
        let limiters = limits.0.map(|rates| Limiters {
            auth: keyed_limiter(rates.auth),
            refresh: keyed_limiter(rates.refresh),
            upload: keyed_limiter(rates.upload),
            write: keyed_limiter(rates.write),
            write_burst: rates.write.count,
            profile: keyed_limiter(rates.profile),
            audited: keyed_limiter(rates.audited),
            edit: keyed_limiter(rates.edit),
            edit_burst: keyed_limiter(rates.edit_burst),
            read: keyed_limiter(rates.read),
            webhook: keyed_limiter(rates.webhook),
            mail: keyed_limiter(rates.mail),
            text: keyed_limiter(rates.text),
            address: keyed_limiter(rates.address),
            refresh_token: keyed_limiter(REFRESHES_OF_ONE_TOKEN),
            hasher: RandomState::new(),
        });
        Self { limiters, trusted_proxies, clock: QuantaClock::default() }
    }

    /// Removes users and addresses that have their full limit again.
    pub fn remove_stale(&self) {
        let Some(limiters) = &self.limiters else { return };
        let Limiters {
            auth,
            refresh,
            upload,
            write,
            profile,
            audited,
            edit,
            edit_burst,
            read,
            text,
            address,
            mail,
            ..
        } = limiters;
        [auth, refresh, address, mail].into_iter().for_each(governor::RateLimiter::retain_recent);
        [edit, edit_burst].into_iter().for_each(governor::RateLimiter::retain_recent);
        [upload, write, profile, audited, read, text].into_iter().for_each(governor::RateLimiter::retain_recent);
        limiters.refresh_token.retain_recent();
        limiters.webhook.retain_recent();
    }

    /// Counts the size of a text, besides the write that was counted for the request.
    pub fn charge_text(&self, user: UserId, bytes: usize) -> Result<(), Error> {
        self.charge_write(user, bytes / BYTES_PER_WRITE)?;
        let Some(limiters) = &self.limiters else { return Ok(()) };
        let kibibytes = u32::try_from(bytes.div_ceil(1024)).unwrap_or(u32::MAX);
        match limiters.text.check_key_n(&user, NonZeroU32::new(kibibytes).unwrap_or(NonZeroU32::MIN)) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(not_until)) => Err(self.wait_for(&not_until)),
            Err(_) => Err(Error::TooManyRequests),
        }
    }

    /// Counts the text of a message as [`Self::charge_text`] does, and the users whom it may mention: each gets an
    /// item of the inbox and an event.
    pub fn charge_content(&self, user: UserId, content: &str) -> Result<(), Error> {
        self.charge_text(user, content.len())?;
        self.charge_write(user, content.matches('@').take(MAX_MENTIONS).count() / MENTIONS_PER_WRITE)
    }

    /// Counts the initial members of a chat, besides the write that was counted for the request.
    pub fn charge_members(&self, user: UserId, members: usize) -> Result<(), Error> {
        self.charge_write(user, members / MEMBERS_PER_WRITE)
    }

    /// Counts the use of a refresh token.
    pub fn charge_refresh(&self, token: &str) -> Result<(), Error> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        let allowed = limiters.refresh_token.check_key(&limiters.hasher.hash_one(token));
        allowed.map(|_| ()).map_err(|not_until| self.wait_for(&not_until))
    }

    /// Counts a mail to an address that a client named.
    pub fn charge_mail(&self, client: Option<IpAddr>) -> Result<(), Error> {
        let (Some(limiters), Some(client)) = (&self.limiters, client) else { return Ok(()) };
        limiters.mail.check_key(&client).map(|_| ()).map_err(|not_until| self.wait_for(&not_until))
    }

    /// Counts a request to a webhook; `None` without limits.
    pub fn count_webhook(&self, webhook: WebhookId) -> Result<Option<RateLimitStatus>, RateLimitStatus> {
        self.limiters.as_ref().map(|limiters| self.count(&limiters.webhook, &webhook)).transpose()
    }

    fn charge_write(&self, user: UserId, extra: usize) -> Result<(), Error> {
        let Some(limiters) = &self.limiters else { return Ok(()) };
        // A write that costs more than the whole limit needs the whole limit.
        let extra = u32::try_from(extra).unwrap_or(u32::MAX).min(limiters.write_burst.get() - 1);
        let Some(extra) = NonZeroU32::new(extra) else { return Ok(()) };
        match limiters.write.check_key_n(&user, extra) {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Error::TooManyRequests),
        }
    }

    fn wait_for(&self, not_until: &NotUntil<QuantaInstant>) -> Error {
        Error::TooManyRequestsFor(whole_seconds(not_until.wait_time_from(self.clock.now())).max(1))
    }

    /// The address of the client that sent a request; of an IPv6 address the first of its /64
    /// network.
    pub fn client_address(&self, extensions: &Extensions, headers: &HeaderMap) -> IpAddr {
        let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
        self.trusted_proxies.client_address(peer, headers)
    }

    /// Counts a request by its class, for the user whose limits it counts for, and returns the
    /// rest of the limit; `None` without limits, and without a user where the class needs one.
    pub fn check(
        &self,
        request: &Request,
        class: RouteClass,
        user: Option<UserId>,
    ) -> Result<Option<RateLimitStatus>, RateLimitStatus> {
        let Some(limiters) = &self.limiters else { return Ok(None) };
        let address = self.client_address(request.extensions(), request.headers());
        match class {
            RouteClass::Auth => return self.count(&limiters.auth, &address).map(Some),
            RouteClass::Refresh => return self.count(&limiters.refresh, &address).map(Some),
            _ => {}
        }
        let Some(user) = user else { return Ok(None) };
        match class {
            RouteClass::Upload => self.count(&limiters.upload, &user),
            RouteClass::Read => self.count(&limiters.read, &user),
            RouteClass::Write | RouteClass::Auth | RouteClass::Refresh | RouteClass::Webhook => {
                self.count(&limiters.write, &user)
            }
            RouteClass::Profile => {
                self.count(&limiters.write, &user)?;
                self.count(&limiters.profile, &user)
            }
            RouteClass::Audited => {
                self.count(&limiters.write, &user)?;
                self.count(&limiters.audited, &user)
            }
            RouteClass::Edit => {
                self.count(&limiters.write, &user)?;
                // Decoded, so that one message has one key.
                let path = percent_decode_str(request.uri().path()).decode_utf8_lossy().into_owned();
                let key = (user, path);
                self.count(&limiters.edit_burst, &key)?;
                self.count(&limiters.edit, &key)
            }
        }
        .map(Some)
    }

    fn count<K: Hash + Eq + Clone>(
        &self,
        limiter: &KeyedLimiter<K>,
        key: &K,
    ) -> Result<RateLimitStatus, RateLimitStatus> {
        match limiter.check_key(key) {
            Ok(snapshot) => {
                let (limit, remaining) = (snapshot.quota().burst_size().get(), snapshot.remaining_burst_capacity());
                let reset = snapshot.quota().replenish_interval() * (limit - remaining.min(limit));
                Ok(RateLimitStatus { limit, remaining, reset })
            }
            Err(not_until) => Err(self.exceeded(&not_until)),
        }
    }

    fn exceeded(&self, not_until: &NotUntil<QuantaInstant>) -> RateLimitStatus {
        let reset = not_until.wait_time_from(self.clock.now());
        RateLimitStatus { limit: not_until.quota().burst_size().get(), remaining: 0, reset }
    }
}

/// The state of a limit after a request.
#[derive(Debug, Clone)]
pub struct RateLimitStatus {
    limit: u32,
    remaining: u32,
    /// Time until the full limit is available or, after a rejection, until one request is.
    reset: Duration,
}

impl RateLimitStatus {
    /// Writes the state into the headers of a response.
    pub fn write_headers(&self, headers: &mut HeaderMap) {
        let mut insert = |name: &'static str, number: u64| {
            headers.insert(HeaderName::from_static(name), HeaderValue::from(number));
        };
        insert(LIMIT_HEADER, self.limit.into());
        insert("ratelimit-remaining", self.remaining.into());
        insert("ratelimit-reset", whole_seconds(self.reset));
    }

    /// Rejects a request over the limit. The connection of one with a body, which is not read, ends
    /// with the response.
    pub fn into_rejection(self, has_body: bool) -> Response {
        let mut response = ApiError(Error::TooManyRequests).into_response();
        self.write_headers(response.headers_mut());
        response.headers_mut().insert(header::RETRY_AFTER, whole_seconds(self.reset).max(1).into());
        if has_body {
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

pub(crate) const LIMIT_HEADER: &str = "ratelimit-limit";

/// Returns a duration in seconds, rounded up.
pub fn whole_seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// A rejection by the limit of an address, which is answered inside CORS.
#[derive(Debug, Clone)]
pub(crate) struct AddressRejection(RateLimitStatus);

impl AddressRejection {
    /// Responds to a request of a page that `RateLimiter::count_address` has rejected.
    pub(crate) fn respond(request: &Request) -> Option<Response> {
        let Self(status) = request.extensions().get::<Self>().cloned()?;
        Some(status.into_rejection(has_body(request)))
    }
}

impl RateLimiter {
    /// Counts a request of an address, whatever will answer it; `None` for probes and without
    /// limits. Fails if the request is over the limit, unless it is from a page: that one is
    /// rejected inside CORS, so that the page can read the response.
    pub(crate) fn count_address(&self, request: &mut Request) -> Result<Option<RateLimitStatus>, RateLimitStatus> {
        let Some(limiters) = &self.limiters else { return Ok(None) };
        let path = request.uri().path();
        if PROBES.contains(&path) || path == METRICS_PATH {
            return Ok(None);
        }
        let address = self.client_address(request.extensions(), request.headers());
        match self.count(&limiters.address, &address) {
            Ok(status) => Ok(Some(status)),
            Err(status) if request.headers().contains_key(header::ORIGIN) && *request.method() != Method::OPTIONS => {
                request.extensions_mut().insert(AddressRejection(status.clone()));
                Ok(Some(status))
            }
            Err(status) => Err(status),
        }
    }
}

/// Whether a request has a body. It is not read before a rejection.
pub fn has_body(request: &Request) -> bool {
    request.body().size_hint().upper() != Some(0)
}
