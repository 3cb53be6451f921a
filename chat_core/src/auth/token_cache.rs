//! Tokens that were checked a moment ago. Checking a signature takes some forty
//! microseconds; remembering that it was good takes one.

use super::{Audience, Claims};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

/// The most tokens remembered; past that all are forgotten and checked again.
const CAPACITY: usize = 65_536;

type Hash = [u8; 32];

/// Good tokens by their hash, until they expire.
#[derive(Default)]
pub(super) struct TokenCache(RwLock<HashMap<Hash, CachedToken>>);

#[derive(Clone, Copy)]
struct CachedToken {
    audience: Audience,
    claims: Claims,
    expires_at: i64,
}

impl TokenCache {
    /// Whom a token speaks for, if it was found good for this use and still is.
    pub(super) fn get(&self, token: &str, audience: Audience, now: DateTime<Utc>) -> Option<Claims> {
        let entries = *self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash(token))?;
        (entries.audience == audience && now.timestamp() < entries.expires_at).then_some(entries.claims)
    }

    /// Remembers a good token until it expires, a Unix time in seconds.
    pub(super) fn insert(&self, token: &str, audience: Audience, claims: Claims, expires_at: i64) {
        let mut entries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if entries.len() >= CAPACITY {
            entries.clear();
        }
        entries.insert(hash(token), CachedToken { audience, claims, expires_at });
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token).into()
}
