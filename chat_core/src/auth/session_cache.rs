//! Cache of recently verified sessions. A token proves only that the session was
//! active when the token was signed; the session may have been revoked since.

use super::{Claims, sessions};
use crate::Result;
use dashmap::{DashMap, Entry};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Age at which a cached check is refreshed from the database. A revoked session is
/// accepted for at most this long, whichever server revoked it.
const MAX_AGE: Duration = Duration::from_secs(1);

/// Maximum age of a cached check while one caller refreshes it and the others proceed.
const MAX_STALE_AGE: Duration = Duration::from_secs(5);

/// Maximum number of cached sessions; when full, expired ones are evicted.
const CAPACITY: usize = 100_000;

/// Queries the database about each session at most once a second, however many
/// requests the session makes.
#[derive(Debug)]
pub struct SessionCache {
    db: PgPool,
    sessions: DashMap<Uuid, CachedSession>,
}

#[derive(Debug, Clone, Copy)]
struct CachedSession {
    /// When the session was last found active.
    verified_at: Instant,
    /// When a caller last started a refresh.
    refreshing_since: Instant,
}

impl SessionCache {
    /// Creates an empty cache.
    pub fn new(db: PgPool) -> Self {
        Self { db, sessions: DashMap::new() }
    }

    /// Rejects a session that was revoked or has expired.
    pub async fn require_active(&self, claims: Claims) -> Result<()> {
        let now = Instant::now();
        if self.is_cached(claims.session_id, now) {
            return Ok(());
        }
        let active = sessions::find_active(&self.db, &[claims.session_id]).await?;
        if !active.contains(&claims.session_id) {
            self.remove(claims.session_id);
            return Err(sessions::REVOKED);
        }
        if self.sessions.len() >= CAPACITY {
            self.sessions.retain(|_, entry| entry.verified_at.elapsed() < MAX_AGE);
        }
        self.sessions.insert(claims.session_id, CachedSession { verified_at: now, refreshing_since: now });
        Ok(())
    }

    /// Whether the cached check is fresh, or another caller is refreshing it.
    fn is_cached(&self, session: Uuid, now: Instant) -> bool {
        let Entry::Occupied(mut entry) = self.sessions.entry(session) else { return false };
        let entry = entry.get_mut();
        if now - entry.verified_at < MAX_AGE
            || (now - entry.verified_at < MAX_STALE_AGE && now - entry.refreshing_since < MAX_AGE)
        {
            return true;
        }
        entry.refreshing_since = now;
        false
    }

    /// Removes a session that this server revoked, so that the revocation takes effect
    /// at once.
    pub fn remove(&self, session: Uuid) {
        self.sessions.remove(&session);
    }
}
