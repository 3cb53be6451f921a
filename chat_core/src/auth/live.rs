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
const FRESH: Duration = Duration::from_secs(1);

/// How old an answer may be while one caller asks again and the others go on.
const USABLE: Duration = Duration::from_secs(5);

/// The most answers that are kept; older ones make room.
const MAX_KEPT: usize = 100_000;

/// Asks the database about each session once a second at most, however many
/// requests it makes.
#[derive(Debug)]
pub struct LiveSessions {
    db: PgPool,
    known: DashMap<Uuid, Known>,
}

#[derive(Debug, Clone, Copy)]
struct Known {
    /// When it was good.
    at: Instant,
    /// When somebody last set out to ask again.
    asked: Instant,
}

impl LiveSessions {
    /// Knows nothing yet.
    pub fn new(db: PgPool) -> Self {
        Self { db, known: DashMap::new() }
    }

    /// Refuses a session that has ended.
    pub async fn check(&self, claims: Claims) -> Result<()> {
        let now = Instant::now();
        if self.is_known(claims.session_id, now) {
            return Ok(());
        }
        let live = sessions::live(&self.db, &[claims.session_id]).await?;
        if !live.contains(&claims.session_id) {
            self.forget(claims.session_id);
            return Err(sessions::REVOKED);
        }
        if self.known.len() >= MAX_KEPT {
            self.known.retain(|_, known| known.at.elapsed() < FRESH);
        }
        self.known.insert(claims.session_id, Known { at: now, asked: now });
        Ok(())
    }

    /// Whether the answer is there already, or somebody else is getting it.
    fn is_known(&self, session: Uuid, now: Instant) -> bool {
        let Entry::Occupied(mut known) = self.known.entry(session) else { return false };
        let known = known.get_mut();
        if now - known.at < FRESH || (now - known.at < USABLE && now - known.asked < FRESH) {
            return true;
        }
        known.asked = now;
        false
    }

    /// The session was ended here: nobody need wait to find out.
    pub fn forget(&self, session: Uuid) {
        self.known.remove(&session);
    }
}
