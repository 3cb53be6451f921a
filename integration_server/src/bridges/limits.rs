//! How fast bridges send and receive.

use chat_core::{UserId, bridges::relay::Recipient};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};
use std::{num::NonZeroU32, time::Duration};
use tokio::time::sleep;

/// Maximum number of messages that one bridge sends, and that the bridges of one person receive, in
/// a second: the limit of WhatsApp for one phone number.
const MAX_PER_SECOND: NonZeroU32 = NonZeroU32::new(80).expect("not zero");

/// How long to wait if a bridge sends more than that.
const SEND_PAUSE: Duration = Duration::from_millis(100);

/// How long to wait if the bridges of a person receive more than that.
const RECEIVE_PAUSE: Duration = Duration::from_millis(50);

/// How many messages one remote user of WhatsApp gets at once, and after that one each
/// `REMOTE_USER_PERIOD`: the limit of WhatsApp.
const REMOTE_USER_BURST: NonZeroU32 = NonZeroU32::new(45).expect("not zero");
const REMOTE_USER_PERIOD: Duration = Duration::from_secs(6);

/// The time between two messages or changes in one space: the limit of Google Chat, which is shared by
/// all apps in the space.
const SPACE_PERIOD: Duration = Duration::from_secs(1);

/// How fast messages are sent and received.
#[derive(Debug)]
pub(crate) struct Limits {
    bridges: DefaultKeyedRateLimiter<i64>,
    remote_users: DefaultKeyedRateLimiter<i64>,
    spaces: DefaultKeyedRateLimiter<i64>,
    /// Messages that the bridges of one person receive.
    received: DefaultKeyedRateLimiter<i64>,
}

impl Limits {
    pub(crate) fn new() -> Self {
        let remote_user = Quota::with_period(REMOTE_USER_PERIOD).expect("not zero").allow_burst(REMOTE_USER_BURST);
        let space = Quota::with_period(SPACE_PERIOD).expect("not zero");
        let network = Quota::per_second(MAX_PER_SECOND);
        Self {
            bridges: RateLimiter::keyed(network),
            remote_users: RateLimiter::keyed(remote_user),
            spaces: RateLimiter::keyed(space),
            received: RateLimiter::keyed(network),
        }
    }

    /// Counts a message to a remote user of WhatsApp. Returns how long to wait if there were too many.
    pub(crate) fn charge_remote_user(&self, recipient: &Recipient) -> Option<Duration> {
        if self.bridges.check_key(&recipient.bridge_id.get()).is_err() {
            return Some(SEND_PAUSE);
        }
        self.remote_users.check_key(&recipient.id.get()).is_err().then_some(REMOTE_USER_PERIOD)
    }

    /// Counts a message to a space of Google Chat. Returns how long to wait if there were too many.
    pub(crate) fn charge_space(&self, recipient: &Recipient) -> Option<Duration> {
        self.spaces.check_key(&recipient.id.get()).is_err().then_some(SPACE_PERIOD)
    }

    /// Waits until the bridges of a person may receive another message.
    pub(crate) async fn wait_to_receive(&self, owner: UserId) {
        while self.received.check_key(&owner.get()).is_err() {
            sleep(RECEIVE_PAUSE).await;
        }
    }

    pub(crate) fn remove_stale(&self) {
        self.received.retain_recent();
        self.bridges.retain_recent();
        self.remote_users.retain_recent();
        self.spaces.retain_recent();
    }
}
