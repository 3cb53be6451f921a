//! Authentication: passwords, signed tokens, API tokens, sessions and stream tickets.

pub mod api_tokens;
mod authenticator;
mod breached;
mod grant;
pub mod keys;
pub mod password;
mod scope;
mod session_cache;
pub mod sessions;
pub mod tickets;
pub mod token;
mod token_cache;

pub use authenticator::{Authenticator, Identity, LIMITED_TO_CHATS};
pub use breached::BreachedPasswords;
pub use grant::Grant;
pub use keys::{Signer, Verifier};
pub use password::Hasher;
pub use scope::Scope;
pub use session_cache::SessionCache;
pub use token::{Audience, Claims};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use quick_cache::{
    DefaultHashBuilder, UnitWeighter,
    sync::{Cache, DefaultLifecycle},
};
use rand::Rng;
use sha2::{Digest, Sha256};
use std::hash::Hash;

/// Number of entries for which a cache allocates memory before it has any.
const INITIAL_CACHE_ENTRIES: usize = 256;

/// Creates a cache that grows up to `capacity` entries, then evicts the least used.
fn new_cache<K: Hash + Eq, V: Clone>(capacity: usize) -> Cache<K, V> {
    let lifecycle = DefaultLifecycle::default();
    Cache::with(INITIAL_CACHE_ENTRIES, capacity as u64, UnitWeighter, DefaultHashBuilder::default(), lifecycle)
}

/// 256 random bits as text, and the hash under which they are stored.
pub(crate) fn new_secret() -> (String, Vec<u8>) {
    let mut bytes = [0u8; 32];
    rand::rng().fill_bytes(&mut bytes);
    let secret = BASE64_URL_SAFE_NO_PAD.encode(bytes);
    let hash = hash_secret(&secret);
    (secret, hash)
}

/// Derives the next secret from a secret and a nonce that only the client knows.
/// Returns it with the hash under which it is stored. Deterministic.
fn next_secret(secret: &str, nonce: &str) -> (String, Vec<u8>) {
    let next = BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{secret} {nonce}")));
    let hash = hash_secret(&next);
    (next, hash)
}

/// 96 random bits as a short text, for links that users share.
pub(crate) fn new_code() -> String {
    let mut bytes = [0u8; 12];
    rand::rng().fill_bytes(&mut bytes);
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// A secret with this many random bits needs no salt and no slow hash.
pub(crate) fn hash_secret(secret: &str) -> Vec<u8> {
    Sha256::digest(secret).to_vec()
}

/// The token of an `Authorization: Bearer` header.
fn parse_bearer_token(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}
