//! Follows the event log for the subscriptions of this process. It runs only while there are some.

use chat_core::{
    Error, Result,
    events::{self, EventHeader, Position},
};
use sqlx::{PgPool, postgres::PgListener};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::{broadcast, watch},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

/// Maximum number of events that are read at once.
const BATCH_EVENTS: i64 = 1000;

/// Maximum number of batches that a subscription has not seen yet.
const MAX_BATCHES: usize = 16;

/// The pause after each read, so that a busy log is read a few times a second.
const READ_PAUSE: Duration = Duration::from_millis(200);

/// Time limit of each query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// How often the log is read without a notification.
const POLL_INTERVAL: Duration = Duration::from_secs(5);

/// The pause after a failure.
const ERROR_PAUSE: Duration = Duration::from_secs(1);

/// How long a new subscription waits until the log is followed.
const MAX_START_WAIT: Duration = Duration::from_secs(5);

/// What a subscription learns.
#[derive(Debug, Clone)]
pub(crate) enum LogUpdate {
    /// These events happened.
    Events(Arc<Vec<EventHeader>>),
    /// Events may have been missed.
    Gap,
}

/// Follows the log while somebody listens.
#[derive(Debug)]
pub(crate) struct LogFollower {
    db: PgPool,
    batches: broadcast::Sender<LogUpdate>,
    is_following: watch::Sender<bool>,
    is_running: Mutex<bool>,
    shutdown: CancellationToken,
}

impl LogFollower {
    pub(crate) fn new(db: PgPool, shutdown: CancellationToken) -> Arc<Self> {
        Arc::new(Self {
            db,
            batches: broadcast::Sender::new(MAX_BATCHES),
            is_following: watch::Sender::new(false),
            is_running: Mutex::new(false),
            shutdown,
        })
    }

    /// Receives all that happens from now on. Returns `None` if the log cannot be followed now.
    pub(crate) async fn subscribe(self: &Arc<Self>) -> Option<broadcast::Receiver<LogUpdate>> {
        let receiver = self.batches.subscribe();
        {
            let mut is_running = self.is_running.lock().unwrap_or_else(PoisonError::into_inner);
            if !*is_running {
                *is_running = true;
                tokio::spawn(Arc::clone(self).run());
            }
        }
        let mut is_following = self.is_following.subscribe();
        let started = timeout(MAX_START_WAIT, is_following.wait_for(|is_following| *is_following)).await;
        matches!(started, Ok(Ok(_))).then_some(receiver)
    }

    async fn run(self: Arc<Self>) {
        let run = async {
            while self.has_subscribers() {
                if let Err(error) = self.follow().await {
                    tracing::debug!(%error, "lost the event log; reconnecting");
                    sleep(ERROR_PAUSE).await;
                }
            }
        };
        self.shutdown.run_until_cancelled(run).await;
    }

    /// Whether somebody listens. If not, the next subscription starts another task.
    fn has_subscribers(&self) -> bool {
        let mut is_running = self.is_running.lock().unwrap_or_else(PoisonError::into_inner);
        *is_running = self.batches.receiver_count() > 0;
        *is_running
    }

    /// Follows the log until nobody listens. What happened before is unknown.
    async fn follow(&self) -> Result<()> {
        let mut listener = in_time(PgListener::connect_with(&self.db)).await?;
        in_time(listener.listen(events::CHANNEL)).await?;
        let mut position = in_time(events::head(&mut listener)).await?.last;
        // Nobody listens any more if this fails.
        let _ = self.batches.send(LogUpdate::Gap);
        let _guard = FollowGuard::begin(&self.is_following);
        while self.batches.receiver_count() > 0 {
            position = self.read(&mut listener, position).await?;
            sleep(READ_PAUSE).await;
            if listener.next_buffered().is_some() {
                while listener.next_buffered().is_some() {}
                continue;
            }
            match timeout(POLL_INTERVAL, listener.try_recv()).await {
                Ok(Ok(Some(_))) | Err(_) => {}
                Ok(Ok(None)) => return Ok(()),
                Ok(Err(error)) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Reads the log to its end.
    async fn read(&self, listener: &mut PgListener, mut position: Position) -> Result<Position> {
        loop {
            let events = in_time(events::read_headers_after(listener, position, BATCH_EVENTS)).await?;
            let Some(last) = events.last() else { return Ok(position) };
            position = last.position();
            let is_full = i64::try_from(events.len()) == Ok(BATCH_EVENTS);
            let _ = self.batches.send(LogUpdate::Events(Arc::new(events)));
            if !is_full {
                return Ok(position);
            }
        }
    }
}

/// Limits the time of a query: a connection whose other side is gone would answer only after minutes.
async fn in_time<T, E: Into<Error>>(query: impl Future<Output = std::result::Result<T, E>>) -> Result<T> {
    match timeout(QUERY_TIMEOUT, query).await {
        Ok(result) => result.map_err(Into::into),
        Err(_) => Err(Error::Unavailable("the database did not answer in time".into())),
    }
}

/// Says that the log is followed, until it is dropped.
struct FollowGuard<'a>(&'a watch::Sender<bool>);

impl<'a> FollowGuard<'a> {
    fn begin(is_following: &'a watch::Sender<bool>) -> Self {
        is_following.send_replace(true);
        Self(is_following)
    }
}

impl Drop for FollowGuard<'_> {
    fn drop(&mut self) {
        self.0.send_replace(false);
    }
}
