//! The setting `RATE_LIMITS`.

use governor::Quota;
use std::{num::NonZeroU32, str::FromStr, time::Duration};

/// Maximum number of requests in a period, also in one burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rate {
    pub(super) count: NonZeroU32,
    period: Duration,
}

impl Rate {
    pub(super) const fn per_second(count: u32) -> Self {
        Self { count: NonZeroU32::new(count).expect("more than none"), period: Duration::from_secs(1) }
    }

    pub(super) const fn per_minute(count: u32) -> Self {
        Self { period: Duration::from_secs(60), ..Self::per_second(count) }
    }

    pub(super) const fn per_hour(count: u32) -> Self {
        Self { period: Duration::from_secs(3600), ..Self::per_second(count) }
    }

    pub(super) const fn per_day(count: u32) -> Self {
        Self { period: Duration::from_secs(24 * 3600), ..Self::per_second(count) }
    }

    pub(super) fn quota(self) -> Quota {
        let interval = self.period / self.count.get();
        Quota::with_period(interval).map_or(Quota::per_second(self.count), |quota| quota.allow_burst(self.count))
    }
}

impl FromStr for Rate {
    type Err = ();

    /// Parses `20/s`, `600/m`, `1000/h` or `5000/d`.
    fn from_str(text: &str) -> Result<Self, ()> {
        let (count, period) = text.split_once('/').ok_or(())?;
        let seconds = match period {
            "s" => 1,
            "m" => 60,
            "h" => 3600,
            "d" => 24 * 3600,
            _ => return Err(()),
        };
        Ok(Self { count: count.parse().map_err(|_| ())?, period: Duration::from_secs(seconds) })
    }
}

/// The setting: `off`, `on`, or different limits for some classes, such as
/// `auth=10/m,write=20/s`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimits(pub(super) Option<Rates>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rates {
    pub(super) auth: Rate,
    pub(super) refresh: Rate,
    pub(super) upload: Rate,
    pub(super) write: Rate,
    pub(super) profile: Rate,
    pub(super) audited: Rate,
    /// Edits of one message by one user, sustained.
    pub(super) edit: Rate,
    /// The same, in a short time.
    pub(super) edit_burst: Rate,
    pub(super) read: Rate,
    /// Requests to one webhook.
    pub(super) webhook: Rate,
    /// Mail to addresses that a client names.
    pub(super) mail: Rate,
    /// Text that a user writes, in KiB; a short text counts as one.
    pub(super) text: Rate,
    /// All requests of one address.
    pub(super) address: Rate,
}

/// The default limits. A user who types, on several devices, stays far below them.
const DEFAULT: Rates = Rates {
    auth: Rate::per_minute(60),
    refresh: Rate::per_minute(600),
    upload: Rate::per_minute(120),
    write: Rate::per_second(50),
    profile: Rate::per_minute(10),
    audited: Rate::per_minute(30),
    edit: Rate::per_minute(20),
    edit_burst: Rate::per_second(1),
    read: Rate::per_second(100),
    webhook: Rate::per_minute(60),
    mail: Rate::per_hour(30),
    text: Rate::per_day(256 * 1024),
    address: Rate::per_second(1_000),
};

/// The error for text that is not a setting of rate limits.
#[derive(Debug, thiserror::Error)]
#[error(
    "`{0}` is not a rate limit; use off, on, or some of auth=60/m,refresh=600/m,upload=120/m,write=50/s,text=262144/d,profile=10/m,audited=30/m,edit=20/m,edit_burst=1/s,read=100/s,webhook=60/m,mail=30/h,address=1000/s"
)]
pub struct InvalidRateLimits(String);

impl RateLimits {
    /// No limits.
    pub const OFF: Self = Self(None);
    /// The default limits.
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
                "refresh" => rates.refresh = rate,
                "upload" => rates.upload = rate,
                "write" => rates.write = rate,
                "profile" => rates.profile = rate,
                "audited" => rates.audited = rate,
                "edit" => rates.edit = rate,
                "edit_burst" => rates.edit_burst = rate,
                "text" => rates.text = rate,
                "read" => rates.read = rate,
                "webhook" => rates.webhook = rate,
                "mail" => rates.mail = rate,
                "address" => rates.address = rate,
                _ => return Err(invalid()),
            }
        }
        Ok(Self(Some(rates)))
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
        for bad in ["", "yes", "write", "write=5", "write=0/s", "write=5/w", "write=-1/s", "swim=5/s", "write=5/s,,"] {
            assert!(bad.parse::<RateLimits>().is_err(), "{bad}");
        }
    }
}
