//! Cache of verified tokens. Verifying a signature takes about forty microseconds;
//! a lookup takes one.

use super::{Audience, Claims};
use chrono::{DateTime, Utc};
use sha2::{Digest, Sha256};
use std::{
    collections::HashMap,
    sync::{PoisonError, RwLock},
};

/// Maximum number of cached tokens; a full cache is cleared.
const CAPACITY: usize = 65_536;

type Hash = [u8; 32];

/// Valid tokens by their hash, until they expire.
#[derive(Default)]
pub(super) struct TokenCache(RwLock<HashMap<Hash, CachedToken>>);

#[derive(Clone, Copy)]
struct CachedToken {
    audience: Audience,
    claims: Claims,
    expires_at: i64,
}

impl TokenCache {
    /// The claims of a token that was verified for this audience and has not expired.
    pub(super) fn get(&self, token: &str, audience: Audience, now: DateTime<Utc>) -> Option<Claims> {
        let entries = *self.0.read().unwrap_or_else(PoisonError::into_inner).get(&hash(token))?;
        (entries.audience == audience && now.timestamp() < entries.expires_at).then_some(entries.claims)
    }

    /// Caches a valid token until `expires_at`, a Unix time in seconds.
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
