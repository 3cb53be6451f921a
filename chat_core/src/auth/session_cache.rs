//! Cache of recently verified sessions. A token proves only that the session was
//! active when the token was signed; the session may have been revoked since.

use super::{Claims, new_cache, sessions};
use crate::{Result, UserId};
use quick_cache::sync::Cache;
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use uuid::Uuid;

/// Age at which a cached check is refreshed from the database. A revoked session is
/// accepted for at most this long, whichever server revoked it.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Maximum age of a cached check while one caller refreshes it and the others proceed.
const MAX_STALE_AGE: Duration = Duration::from_secs(5);

/// Maximum number of cached sessions; a full cache evicts the least used.
const CAPACITY: usize = 100_000;

/// Queries the database about each session at most once a second, however many
/// requests the session makes.
#[derive(Debug)]
pub struct SessionCache {
    db: PgPool,
    sessions: Cache<Uuid, Arc<CachedSession>>,
}

#[derive(Debug)]
struct CachedSession {
    /// Whose session it is.
    user_id: UserId,
    /// When the session was last found active.
    verified_at: Instant,
    /// When a caller last started a refresh.
    refreshing_since: Mutex<Instant>,
}

impl SessionCache {
    /// Creates an empty cache.
    pub fn new(db: PgPool) -> Self {
        Self { db, sessions: new_cache(CAPACITY) }
    }

    /// Rejects a session that was revoked or has expired.
    pub async fn require_active(&self, claims: Claims) -> Result<()> {
        let now = Instant::now();
        if self.is_cached(claims, now) {
            return Ok(());
        }
        let active = sessions::find_active(&self.db, &[claims]).await?;
        if !active.contains(&claims.session_id) {
            self.remove(claims.session_id);
            return Err(sessions::REVOKED);
        }
        let session = CachedSession { user_id: claims.user_id, verified_at: now, refreshing_since: Mutex::new(now) };
        self.sessions.insert(claims.session_id, Arc::new(session));
        Ok(())
    }

    /// Whether the cached check is fresh, or another caller is refreshing it.
    fn is_cached(&self, claims: Claims, now: Instant) -> bool {
        let Some(cached) = self.sessions.get(&claims.session_id) else { return false };
        if cached.user_id != claims.user_id {
            return false;
        }
        if now - cached.verified_at < MAX_AGE {
            return true;
        }
        let mut refreshing_since = cached.refreshing_since.lock().unwrap_or_else(PoisonError::into_inner);
        if now - cached.verified_at < MAX_STALE_AGE && now - *refreshing_since < MAX_AGE {
            return true;
        }
        *refreshing_since = now;
        false
    }

    /// Removes a session that this server revoked, so that the revocation takes effect
    /// at once.
    pub fn remove(&self, session: Uuid) {
        self.sessions.remove(&session);
    }
}
