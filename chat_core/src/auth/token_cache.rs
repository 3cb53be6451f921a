//! Cache of verified tokens. Verifying a signature takes about forty microseconds;
//! a lookup takes one.

use super::{Audience, Claims, new_cache};
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};

/// Maximum number of cached tokens; a full cache evicts the least used.
const CAPACITY: usize = 65_536;

type Hash = [u8; 32];

/// Valid tokens by their hash, until they expire.
pub(super) struct TokenCache(Cache<Hash, CachedToken>);

#[derive(Clone, Copy)]
struct CachedToken {
    audience: Audience,
    claims: Claims,
    expires_at: i64,
}

impl Default for TokenCache {
    fn default() -> Self {
        Self(new_cache(CAPACITY))
    }
}

impl TokenCache {
    /// The claims of a token that was verified for this audience and has not expired.
    pub(super) fn get(&self, token: &str, audience: Audience, now: DateTime<Utc>) -> Option<Claims> {
        let cached = self.0.get(&hash(token))?;
        (cached.audience == audience && now.timestamp() < cached.expires_at).then_some(cached.claims)
    }

    /// Caches a valid token until `expires_at`, a Unix time in seconds.
    pub(super) fn insert(&self, token: &str, audience: Audience, claims: Claims, expires_at: i64) {
        self.0.insert(hash(token), CachedToken { audience, claims, expires_at });
    }
}

fn hash(token: &str) -> Hash {
    Sha256::digest(token).into()
}
