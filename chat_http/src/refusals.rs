//! Records refused requests and commands in the audit log: those of signed-in users who lack
//! the permission.

use axum::http::HeaderValue;
use chat_core::{
    UserId,
    audit::{Action, Client, NewEntry},
};
use governor::{DefaultKeyedRateLimiter, Quota};
use sqlx::PgPool;
use std::{net::IpAddr, num::NonZeroU32};

/// Number of refusals of one user that are recorded in a minute.
const RECORDED_PER_MINUTE: NonZeroU32 = NonZeroU32::new(5).expect("not zero");

/// Maximum length of a user agent that is stored, in characters.
const MAX_USER_AGENT_CHARS: usize = 250;

/// Limits how many refusals of each user are recorded.
#[derive(Debug)]
pub struct Refusals(DefaultKeyedRateLimiter<UserId>);

impl Default for Refusals {
    fn default() -> Self {
        Self(governor::RateLimiter::keyed(Quota::per_minute(RECORDED_PER_MINUTE)))
    }
}

impl Refusals {
    /// Records that a user was refused something, unless too many refusals of the user have
    /// been recorded.
    pub async fn record(&self, db: &PgPool, user: UserId, client: &Client, detail: &str) {
        if self.0.check_key(&user).is_err() {
            return;
        }
        let entry = NewEntry::new(Action::Refused).with_actor(user).with_client(client).with_detail(detail);
        if let Err(error) = entry.write(db).await {
            tracing::warn!(%error, "a refused request is not in the audit log");
        }
    }

    /// Removes users who have their full limit again.
    pub fn remove_stale(&self) {
        self.0.retain_recent();
    }
}

/// Describes the client that sent a request, for the audit log.
pub fn read_client(address: IpAddr, user_agent: Option<&HeaderValue>) -> Client {
    let user_agent = user_agent.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let user_agent = user_agent.chars().take(MAX_USER_AGENT_CHARS).collect();
    Client { address: Some(address), user_agent, ..Client::default() }
}
