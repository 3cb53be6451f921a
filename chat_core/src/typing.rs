//! Typing indicators: sent to the members of a chat at a limited rate, and valid for
//! a few seconds.

use crate::{
    ChatId, Error, Result, UserId,
    ephemeral::{EphemeralBus, EphemeralEvent, Typing},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sqlx::PgPool;
use std::{num::NonZeroU32, time::Duration};

/// How long an indicator is valid. Clients repeat it every few seconds.
const TYPING_TTL: Duration = Duration::from_secs(6);

/// Minimum interval between indicators of one user in one chat, after the burst.
/// Starts and stops are counted separately, so that starts do not suppress a stop.
const RATE: Duration = Duration::from_secs(2);

const BURST: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");

/// Maximum number of tracked keys. Beyond it, keys with a full quota are removed.
const MAX_TRACKED_KEYS: usize = 50_000;

/// Sends typing indicators to the members of a chat.
#[derive(Debug)]
pub struct TypingNotifier {
    db: PgPool,
    ephemeral: EphemeralBus,
    rate_limiter: DefaultKeyedRateLimiter<(UserId, ChatId, bool)>,
}

impl TypingNotifier {
    /// Creates a notifier that has counted no indicator.
    pub fn new(db: PgPool, ephemeral: EphemeralBus) -> Self {
        let quota = Quota::with_period(RATE).expect("two seconds are not zero").allow_burst(BURST);
        Self { db, ephemeral, rate_limiter: RateLimiter::keyed(quota) }
    }

    /// Tells the members of a chat that a user is typing, or has stopped. Beyond the
    /// rate it does nothing and does not query the database.
    pub async fn notify(&self, user_id: UserId, chat_id: ChatId, is_typing: bool) -> Result<()> {
        if self.rate_limiter.len() > MAX_TRACKED_KEYS {
            self.rate_limiter.retain_recent();
        }
        if self.rate_limiter.check_key(&(user_id, chat_id, is_typing)).is_err() {
            return Ok(());
        }
        let (username, can_send): (String, bool) = sqlx::query_as(
            "select u.username, m.can_send from chat_members m join users u on u.id = m.user_id
             where m.chat_id = $1 and m.user_id = $2",
        )
        .bind(chat_id)
        .bind(user_id)
        .fetch_optional(&self.db)
        .await?
        .ok_or(Error::NotFound("chat"))?;
        if !can_send {
            return Err(Error::Forbidden("you cannot send messages in this chat"));
        }
        let expires_in_ms = if is_typing { TYPING_TTL.as_millis().try_into().unwrap_or(u64::MAX) } else { 0 };
        self.ephemeral.publish(&[EphemeralEvent::Typing(Typing { chat_id, user_id, username, expires_in_ms })]).await;
        Ok(())
    }
}
