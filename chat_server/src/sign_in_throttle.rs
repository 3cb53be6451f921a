//! Slows down guesses of one account's password from many addresses. It counts failed
//! sign-ins by account, but those of known devices apart: a user who has signed in on a
//! device before can do so again during an attack.

use chat_core::{Error, Result};
use chat_http::rate_limit::whole_seconds;
use std::{
    collections::HashMap,
    hash::{BuildHasher, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

/// Number of failures in a row that do not slow down the next attempt.
const MAX_FAILURES: u32 = 10;

/// The time between two attempts after that.
const RETRY_INTERVAL: Duration = Duration::from_secs(60);

/// How long failures count.
const FAILURE_TTL: Duration = Duration::from_secs(24 * 3600);

/// Maximum number of accounts and devices whose failures are counted. Beyond it, those with
/// the oldest failures are deleted.
const MAX_ENTRIES: usize = 100_000;

/// Counts failed sign-ins. Each server process counts for itself.
#[derive(Debug)]
pub(crate) struct SignInThrottle {
    is_enabled: bool,
    hasher: RandomState,
    failures: Mutex<HashMap<u64, Failures>>,
}

#[derive(Debug, Clone, Copy)]
struct Failures {
    count: u32,
    last: Instant,
}

/// An attempt that counts as failed until it succeeds.
#[derive(Debug)]
pub(crate) struct Attempt<'a> {
    throttle: &'a SignInThrottle,
    key: u64,
}

impl SignInThrottle {
    pub(crate) fn new(is_enabled: bool) -> Self {
        Self { is_enabled, hasher: RandomState::new(), failures: Mutex::default() }
    }

    /// Starts an attempt for an account or a device; fails with the time to wait.
    pub(crate) fn start(&self, subject: impl Hash) -> Result<Attempt<'_>> {
        self.start_at(self.hasher.hash_one(subject), Instant::now())
    }

    fn start_at(&self, key: u64, now: Instant) -> Result<Attempt<'_>> {
        let attempt = Attempt { throttle: self, key };
        if !self.is_enabled {
            return Ok(attempt);
        }
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        if failures.len() >= MAX_ENTRIES && !failures.contains_key(&key) {
            evict_oldest(&mut failures);
        }
        let counted = failures.entry(key).or_insert(Failures { count: 0, last: now });
        let waited = now.saturating_duration_since(counted.last);
        if counted.count >= MAX_FAILURES && waited < RETRY_INTERVAL {
            return Err(Error::TooManyAttempts(whole_seconds(RETRY_INTERVAL - waited)));
        }
        *counted = Failures { count: counted.count.saturating_add(1), last: now };
        Ok(attempt)
    }

    /// Deletes failures that no longer count.
    pub(crate) fn remove_stale(&self) {
        let now = Instant::now();
        let mut failures = self.failures.lock().unwrap_or_else(PoisonError::into_inner);
        failures.retain(|_, counted| now.saturating_duration_since(counted.last) < FAILURE_TTL);
    }
}

/// Deletes the older half of the failures.
fn evict_oldest(failures: &mut HashMap<u64, Failures>) {
    let mut times: Vec<Instant> = failures.values().map(|counted| counted.last).collect();
    let middle = times.len() / 2;
    let median = *times.select_nth_unstable(middle).1;
    failures.retain(|_, counted| counted.last > median);
}

impl Attempt<'_> {
    /// The password was right: deletes the failures.
    pub(crate) fn succeed(self) {
        self.throttle.failures.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_ten_failures_an_attempt_is_possible_once_a_minute() {
        let (throttle, now) = (SignInThrottle::new(true), Instant::now());
        for _ in 0..MAX_FAILURES {
            throttle.start_at(1, now).expect("a free attempt");
        }
        assert!(matches!(throttle.start_at(1, now), Err(Error::TooManyAttempts(60))));
        let later = now + Duration::from_millis(40_100);
        assert!(matches!(throttle.start_at(1, later), Err(Error::TooManyAttempts(20))), "a refused attempt is free");
        throttle.start_at(2, now).expect("another account");
        throttle.start_at(1, now + RETRY_INTERVAL).expect("an attempt after a minute");
        assert!(throttle.start_at(1, now + RETRY_INTERVAL).is_err());
        throttle.start_at(1, now + 2 * RETRY_INTERVAL).expect("the next minute").succeed();
        throttle.start_at(1, now + 2 * RETRY_INTERVAL).expect("success resets the count");
    }

    #[test]
    fn the_number_of_counted_accounts_is_bounded() {
        let (throttle, now) = (SignInThrottle::new(true), Instant::now());
        for key in 0..MAX_ENTRIES as u64 + 10 {
            throttle.start_at(key, now + Duration::from_nanos(key)).expect("an attempt");
        }
        let counted = throttle.failures.lock().expect("no panic");
        assert!(counted.len() <= MAX_ENTRIES && counted.contains_key(&(MAX_ENTRIES as u64)));
    }
}
