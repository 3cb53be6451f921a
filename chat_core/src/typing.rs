//! "Alice is typing": said to the others in a chat, at most so often, and over by
//! itself.

use crate::{
    ChatId, Error, Result, UserId,
    whispers::{Typing, Whisper, Whispers},
};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use sqlx::PgPool;
use std::{num::NonZeroU32, time::Duration};

/// How long it holds. Clients say it again every few seconds.
const HOLDS: Duration = Duration::from_secs(6);

/// How often one person is passed on in one chat, after a first few; what they
/// say in between is known already.
const PACE: Duration = Duration::from_secs(2);

const FIRST_FEW: NonZeroU32 = NonZeroU32::new(4).expect("four is not zero");

/// How many people's paces are kept before those that no longer matter are dropped.
const MAX_KEPT: usize = 50_000;

/// Passes on who types.
#[derive(Debug)]
pub struct Typists {
    db: PgPool,
    whispers: Whispers,
    pace: DefaultKeyedRateLimiter<(UserId, ChatId)>,
}

impl Typists {
    /// Knows of nobody yet.
    pub fn new(db: PgPool, whispers: Whispers) -> Self {
        let quota = Quota::with_period(PACE).expect("two seconds are not zero").allow_burst(FIRST_FEW);
        Self { db, whispers, pace: RateLimiter::keyed(quota) }
    }

    /// Somebody types, or has stopped.
    pub async fn say(&self, user_id: UserId, chat_id: ChatId, is_typing: bool) -> Result<()> {
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
            return Err(Error::Forbidden("you cannot send messages here"));
        }
        if self.pace.len() > MAX_KEPT {
            self.pace.retain_recent();
        }
        // That somebody has stopped is said even so: it was not known already.
        if !is_typing || self.pace.check_key(&(user_id, chat_id)).is_ok() {
            let expires_in_ms = if is_typing { HOLDS.as_millis().try_into().unwrap_or(u64::MAX) } else { 0 };
            self.whispers.say(&[Whisper::Typing(Typing { chat_id, user_id, username, expires_in_ms })]).await;
        }
        Ok(())
    }
}
