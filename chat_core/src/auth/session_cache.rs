//! Which sessions were good a moment ago: a token says who somebody was when it
//! was signed, and their session may have ended since.

use super::{Claims, sessions};
use crate::Result;
use dashmap::{DashMap, Entry};
use sqlx::PgPool;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How old an answer may be before the database is asked again. An ended session
/// is let in for so long at most, wherever it was ended.
const MAX_AGE: Duration = Duration::from_secs(1);

/// How old an answer may be while one caller asks again and the others go on.
const MAX_STALE_AGE: Duration = Duration::from_secs(5);

/// The most answers that are kept; older ones make room.
const CAPACITY: usize = 100_000;

/// Asks the database about each session once a second at most, however many
/// requests it makes.
#[derive(Debug)]
pub struct SessionCache {
    db: PgPool,
    sessions: DashMap<Uuid, CachedSession>,
}

#[derive(Debug, Clone, Copy)]
struct CachedSession {
    /// When it was good.
    verified_at: Instant,
    /// When somebody last set out to ask again.
    refreshing_since: Instant,
}

impl SessionCache {
    /// Knows nothing yet.
    pub fn new(db: PgPool) -> Self {
        Self { db, sessions: DashMap::new() }
    }

    /// Refuses a session that has ended.
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

    /// Whether the answer is there already, or somebody else is getting it.
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

    /// The session was ended here: nobody need wait to find out.
    pub fn remove(&self, session: Uuid) {
        self.sessions.remove(&session);
    }
}
