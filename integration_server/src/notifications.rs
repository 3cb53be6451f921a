//! Wakes the feed, the senders and the bridges when the database notifies. A notification that is lost only
//! delays them, because all also look at intervals.

use chat_core::{
    bridges::{google_keys, inbox, spaces},
    events, mail, oauth,
    outbox::{self, Health},
    webhook_avatars,
};
use sqlx::{PgPool, postgres::PgListener};
use std::{sync::Arc, time::Duration};
use tokio::{
    sync::Notify,
    time::{Instant, sleep},
};
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
    /// Mail is to be sent.
    pub(crate) mails: Arc<Notify>,
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

    /// Wakes those who wait for a channel.
    fn wake(&self, channel: &str) {
        match channel {
            outbox::CHANNEL => self.wake_senders(),
            inbox::CHANNEL => self.inboxes.notify_one(),
            spaces::CHANNEL => self.spaces.notify_one(),
            google_keys::CHANNEL => self.keys.notify_one(),
            oauth::clients::CHANNEL => self.oauth_clients.notify_one(),
            webhook_avatars::CHANNEL => self.webhook_avatars.notify_one(),
            mail::CHANNEL => self.mails.notify_one(),
            _ => {
                self.feed.notify_one();
                self.push_feed.notify_one();
            }
        }
    }

    /// Returns the waker of a sender.
    pub(crate) fn of(&self, health: Health) -> &Notify {
        match health {
            Health::Healthy => &self.healthy,
            Health::Failing => &self.failing,
        }
    }
}

/// The channels of all that this server waits for.
const CHANNELS: [&str; 8] = [
    events::CHANNEL,
    outbox::CHANNEL,
    inbox::CHANNEL,
    spaces::CHANNEL,
    google_keys::CHANNEL,
    oauth::clients::CHANNEL,
    webhook_avatars::CHANNEL,
    mail::CHANNEL,
];

/// After so many notifications in this time, the listener pauses. Each one wakes a process of Postgres and this
/// one: at 10,000 messages per second, that took about 4 % of the throughput of senders on the same two cores.
const BUSY_NOTIFICATIONS: u32 = 10;
const BUSY_TIME: Duration = Duration::from_millis(50);

/// How long a busy listener pauses. The feeds do not wait for it: while there are events, they read on.
const BUSY_PAUSE: Duration = Duration::from_millis(200);

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
    loop {
        listener.listen_all(CHANNELS).await?;
        // For what came before.
        CHANNELS.iter().for_each(|channel| wakers.wake(channel));
        let (mut since, mut count) = (Instant::now(), 0);
        while count < BUSY_NOTIFICATIONS {
            let Some(notification) = listener.try_recv().await? else { return Ok(()) };
            wakers.wake(notification.channel());
            if since.elapsed() > BUSY_TIME {
                (since, count) = (Instant::now(), 0);
            }
            count += 1;
        }
        listener.unlisten_all().await?;
        sleep(BUSY_PAUSE).await;
    }
}
