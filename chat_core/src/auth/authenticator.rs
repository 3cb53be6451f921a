//! Finds out who sends a request: a signed-in device with a signed token, or a program with an
//! API token.

use super::{
    Audience, Claims, Grant, Scope, SessionCache, Verifier, api_tokens, new_cache, parse_bearer_token, sessions, token,
};
use crate::{Error, Result, UserId, time::now};
use chrono::{DateTime, Utc};
use quick_cache::sync::Cache;
use sha2::{Digest, Sha256};
use sqlx::PgPool;
use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
};
use tokio::sync::Semaphore;
use uuid::Uuid;

/// Maximum number of cached API tokens; a full cache evicts the least used.
const CAPACITY: usize = 16_384;

/// Maximum number of tokens that are looked up in the database at once.
const MAX_LOOKUPS: usize = 2;

/// The minimum time between two records of the use of a token, in seconds.
const TOUCH_SECONDS: i64 = 60;

/// Who sends a request, and what they can do.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The user and the session.
    pub claims: Claims,
    /// Whose limits the request counts for: the user, or the owner of a bot.
    pub account_id: UserId,
    /// What an API token can do; a signed-in device can do everything that the user can.
    pub grant: Option<Arc<Grant>>,
}

impl Identity {
    /// The identity of a device to which a person has signed in.
    pub fn of_device(claims: Claims) -> Self {
        Self { claims, account_id: claims.user_id, grant: None }
    }

    /// Rejects an API token without this scope.
    pub fn require(&self, scope: Scope) -> Result<()> {
        self.grant.as_ref().map_or(Ok(()), |grant| grant.require(scope))
    }

    /// Rejects an API token that cannot open event streams: one without the scope, and one that
    /// is limited to some chats, because a stream has the events of all chats.
    pub fn require_stream(&self) -> Result<()> {
        self.require(Scope::EventsRead)?;
        match self.grant.as_ref().and_then(|grant| grant.chats(Scope::EventsRead)) {
            Some(_) => Err(LIMITED_TO_CHATS),
            None => Ok(()),
        }
    }
}

/// The token is limited to some chats.
pub const LIMITED_TO_CHATS: Error =
    Error::Forbidden("this token is limited to some chats, and this request is about all of them");

/// Verifies tokens, and whether their sessions are active.
pub struct Authenticator {
    db: PgPool,
    verifier: Verifier,
    api_tokens: Cache<[u8; 32], Arc<CachedToken>>,
    /// The tokens of programs, by session. What a token can do never changes.
    program_tokens: Cache<Uuid, Arc<CachedToken>>,
    /// Limits how many unknown tokens are looked up at once: everybody can send some.
    lookups: Semaphore,
    /// Which sessions are active.
    pub sessions: SessionCache,
}

/// An API token that was found in the database. It never changes; whether its session is
/// active is checked separately.
struct CachedToken {
    identity: Identity,
    /// When the use of the token was last recorded, in seconds since 1970.
    touched_at: AtomicI64,
}

impl Authenticator {
    /// Creates an authenticator whose caches are empty.
    pub fn new(db: PgPool, verifier: Verifier) -> Self {
        Self {
            sessions: SessionCache::new(db.clone()),
            api_tokens: new_cache(CAPACITY),
            program_tokens: new_cache(CAPACITY),
            lookups: Semaphore::new(MAX_LOOKUPS),
            db,
            verifier,
        }
    }

    /// Verifies the token in the value of an `Authorization` header, and that its session is
    /// active.
    pub async fn authenticate(&self, authorization: Option<&str>) -> Result<Identity> {
        let identity = self.identify(authorization).await?;
        self.sessions.require_active(identity.claims).await?;
        Ok(identity)
    }

    /// Verifies a token for the MCP server, and that its session is active: one of a program to which a
    /// user granted access, or one for the whole API.
    pub async fn authenticate_mcp(&self, authorization: Option<&str>) -> Result<Identity> {
        let token = authorization.and_then(parse_bearer_token).ok_or(token::MISSING)?;
        let Ok(claims) = self.verifier.verify(token, Audience::Mcp) else {
            return self.authenticate(authorization).await;
        };
        self.sessions.require_active(claims).await?;
        let cached = match self.program_tokens.get(&claims.session_id) {
            Some(cached) => cached,
            None => {
                let identity = self.identify_session(claims).await?;
                // Without a grant the token could do everything.
                if identity.grant.is_none() {
                    return Err(token::INVALID);
                }
                let cached = Arc::new(CachedToken { identity, touched_at: AtomicI64::new(0) });
                self.program_tokens.insert(claims.session_id, Arc::clone(&cached));
                cached
            }
        };
        self.touch(&cached, now());
        Ok(cached.identity.clone())
    }

    /// Verifies the token in the value of an `Authorization` header. Whether the session is
    /// active is checked elsewhere.
    pub async fn identify(&self, authorization: Option<&str>) -> Result<Identity> {
        self.identify_token(authorization.and_then(parse_bearer_token).ok_or(token::MISSING)?).await
    }

    /// Verifies a token.
    pub async fn identify_token(&self, token: &str) -> Result<Identity> {
        if !token.starts_with(api_tokens::PREFIX) {
            return Ok(Identity::of_device(self.verifier.verify(token, Audience::Api)?));
        }
        let key = Sha256::digest(token).into();
        let cached = match self.api_tokens.get(&key) {
            Some(cached) => cached,
            None => {
                if !api_tokens::is_well_formed(token) {
                    return Err(token::INVALID);
                }
                let _permit = self.lookups.acquire().await.map_err(Error::internal)?;
                let identity = api_tokens::find(&self.db, token).await?.ok_or(token::INVALID)?;
                let cached = Arc::new(CachedToken { identity, touched_at: AtomicI64::new(0) });
                self.api_tokens.insert(key, Arc::clone(&cached));
                cached
            }
        };
        self.touch(&cached, now());
        Ok(cached.identity.clone())
    }

    /// Records the use of a token, at most once in `TOUCH_SECONDS`. Does not delay the request.
    fn touch(&self, cached: &CachedToken, now: DateTime<Utc>) {
        let (last, now) = (cached.touched_at.load(Ordering::Relaxed), now.timestamp());
        let is_due = now - last >= TOUCH_SECONDS;
        // Only one of several requests records it.
        if is_due && cached.touched_at.compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            let (db, session) = (self.db.clone(), cached.identity.claims.session_id);
            tokio::spawn(async move {
                if let Err(error) = api_tokens::touch(&db, session).await {
                    tracing::debug!(%error, "cannot record the use of an API token");
                }
            });
        }
    }

    /// Verifies a signed token for another audience.
    pub fn verifier(&self) -> &Verifier {
        &self.verifier
    }

    /// Returns the identity of a session that was verified in another way, such as by a ticket.
    pub async fn identify_session(&self, claims: Claims) -> Result<Identity> {
        api_tokens::find_session(&self.db, claims).await?.ok_or(sessions::REVOKED)
    }
}

impl fmt::Debug for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Authenticator").finish_non_exhaustive()
    }
}
