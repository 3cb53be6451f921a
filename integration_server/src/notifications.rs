//! Wakes the feed, the senders and the bridges when the database notifies. A notification that is lost only
//! delays them, because all also look at intervals.

use chat_core::{
    bridges::{google_keys, inbox, spaces},
    events, oauth,
    outbox::{self, Health},
    webhook_avatars,
};
use sqlx::{PgPool, postgres::PgListener};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Notify, time::sleep};
use tokio_util::sync::CancellationToken;

/// The pause before a new connection.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// Wakes the feed and the senders.
#[derive(Debug, Default)]
pub(crate) struct Wakers {
    /// The log has new events.
    pub(crate) feed: Notify,
    /// A network has sent something.
    pub(crate) inboxes: Notify,
    /// The events of a space are to be read.
    pub(crate) spaces: Notify,
    /// Public keys are to be fetched.
    pub(crate) keys: Notify,
    /// The description of a program is to be loaded.
    pub(crate) oauth_clients: Arc<Notify>,
    /// The log has new events, for pushes.
    pub(crate) push_feed: Notify,
    /// Something is to be pushed.
    pub(crate) pushes: Arc<Notify>,
    /// The image of a webhook is to be loaded.
    pub(crate) webhook_avatars: Arc<Notify>,
    /// The outbox has new entries, for the sender to healthy endpoints.
    healthy: Notify,
    /// The same for the sender to failing endpoints.
    failing: Notify,
}

impl Wakers {
    /// Wakes both senders.
    pub(crate) fn wake_senders(&self) {
        self.healthy.notify_one();
        self.failing.notify_one();
    }

    /// Returns the waker of a sender.
    pub(crate) fn of(&self, health: Health) -> &Notify {
        match health {
            Health::Healthy => &self.healthy,
            Health::Failing => &self.failing,
        }
    }
}

/// Listens until `shutdown`.
pub(crate) async fn listen(db: PgPool, wakers: Arc<Wakers>, shutdown: CancellationToken) {
    let run = async {
        loop {
            if let Err(error) = listen_once(&db, &wakers).await {
                tracing::debug!(%error, "lost the notifications of the database; reconnecting");
            }
            sleep(RECONNECT_PAUSE).await;
        }
    };
    shutdown.run_until_cancelled(run).await;
}

async fn listen_once(db: &PgPool, wakers: &Wakers) -> Result<(), sqlx::Error> {
    let mut listener = PgListener::connect_with(db).await?;
    listener
        .listen_all([
            events::CHANNEL,
            outbox::CHANNEL,
            inbox::CHANNEL,
            spaces::CHANNEL,
            google_keys::CHANNEL,
            oauth::clients::CHANNEL,
            webhook_avatars::CHANNEL,
        ])
        .await?;
    wakers.feed.notify_one();
    wakers.wake_senders();
    wakers.inboxes.notify_one();
    wakers.spaces.notify_one();
    wakers.oauth_clients.notify_one();
    wakers.webhook_avatars.notify_one();
    wakers.push_feed.notify_one();
    while let Some(notification) = listener.try_recv().await? {
        match notification.channel() {
            outbox::CHANNEL => wakers.wake_senders(),
            inbox::CHANNEL => wakers.inboxes.notify_one(),
            spaces::CHANNEL => wakers.spaces.notify_one(),
            google_keys::CHANNEL => wakers.keys.notify_one(),
            oauth::clients::CHANNEL => wakers.oauth_clients.notify_one(),
            webhook_avatars::CHANNEL => wakers.webhook_avatars.notify_one(),
            _ => {
                wakers.feed.notify_one();
                wakers.push_feed.notify_one();
            }
        }
    }
    Ok(())
}
