//! Follows the log in the mode that the relay selects, and routes the events. Errors
//! do not end the loop.

use crate::{
    ephemeral::EphemeralDispatcher,
    hub::Hub,
    metrics::Metrics,
    relay::{LogBatch, Mode, RedisRelay, Relay},
    replay_buffer,
};
use chat_core::{
    Error, EventId, Result, ephemeral,
    events::{self, Head, Position},
    time,
};
use rand::RngExt;
use sqlx::{
    PgExecutor, PgPool,
    postgres::{PgListener, PgNotification},
};
use std::{
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    task::yield_now,
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

/// Maximum delay of an event whose NOTIFY is lost.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

/// How often a follower reads the end position of the log. It detects an event that the
/// leader does not relay within two intervals.
const LOG_END_CHECK_INTERVAL: Duration = Duration::from_millis(400);

/// How often the listener checks the history of the log. Without this check it would
/// wait forever for new events of a log that was reset to an earlier position.
const HISTORY_CHECK_INTERVAL: Duration = Duration::from_secs(5);

/// Time limit of a single query.
const QUERY_TIMEOUT: Duration = Duration::from_secs(4);

/// How long a poll may take before its connection counts as half open. Each
/// consecutive failure doubles the time, up to `QUERY_TIMEOUT`, so that a slow database
/// can reply.
const POLL_TIMEOUT: Duration = Duration::from_millis(400);

/// Maximum number of events read at once.
const BATCH_EVENTS: i64 = 500;

/// Maximum age of the last successful poll for the replica to be ready.
const MAX_POLL_AGE: Duration = Duration::from_secs(5);

/// Whether the log is being followed.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Instant>>);

impl Health {
    /// Whether the last successful poll is recent enough.
    pub fn is_live(&self) -> bool {
        self.lock().is_some_and(|at| at.elapsed() < MAX_POLL_AGE)
    }

    fn mark_polled(&self) {
        *self.lock() = Some(Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows the log on behalf of a hub.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) db: PgPool,
    pub(crate) hub: Arc<Hub>,
    pub(crate) relay: Relay,
    pub(crate) ephemeral: EphemeralDispatcher,
    pub(crate) health: Arc<Health>,
    pub(crate) metrics: Arc<Metrics>,
}

impl Listener {
    /// Follows the log until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        loop {
            let mode = self.relay.mode();
            let error = match shutdown.run_until_cancelled(self.follow(mode, &mut failures)).await {
                None => return,
                Some(Ok(())) => continue,
                Some(Err(error)) => error,
            };
            let pause = backoff(failures);
            failures += 1;
            tracing::warn!(%error, cause = error.source_text(), retry_in = ?pause, "lost the event log; reconnecting");
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Follows the log in one mode until another mode applies.
    async fn follow(&self, mode: Mode, failures: &mut u32) -> Result<()> {
        match (mode, &self.relay) {
            (Mode::Follower, Relay::Redis(relay)) => {
                let result = self.run_relayed(relay).await;
                self.metrics.relay_following.set(0);
                let Err(error) = result else { return Ok(()) };
                let pause = relay.trip_breaker();
                self.metrics.relay_failovers.inc();
                tracing::warn!(why = error.source_text(), for = ?pause, "the Redis relay failed; reading the log instead");
                Ok(())
            }
            _ => self.run_polling(mode, failures).await,
        }
    }

    /// Subscribes first, then polls. Polls again on every NOTIFY, on a timer, and
    /// after every reconnect.
    async fn run_polling(&self, mode: Mode, failures: &mut u32) -> Result<()> {
        let mut listener = sql_with_timeout(PgListener::connect_with(&self.db)).await?;
        sql_with_timeout(listener.listen_all([events::CHANNEL, ephemeral::CHANNEL])).await?;
        let (head, mut position) = with_timeout(self.resume(&mut listener)).await?;
        let mut history_checked_at = Instant::now();
        tracing::info!(?mode, epoch = %head.epoch, after = %position.id, last = %head.last.id, "following the event log");
        loop {
            let time_limit = (POLL_TIMEOUT * (1 << (*failures).min(4))).min(QUERY_TIMEOUT);
            position = self.poll_once(&mut listener, position, &head, time_limit).await?;
            self.health.mark_polled();
            *failures = 0;
            if self.relay.mode() != mode {
                return Ok(());
            }
            match timeout(POLL_INTERVAL, listener.try_recv()).await {
                // One poll covers all notifications that have arrived.
                Ok(Ok(Some(first))) => {
                    self.on_notify(&first);
                    while let Some(next) = listener.next_buffered() {
                        self.on_notify(&next);
                    }
                }
                // The connection broke: notifications may be lost, and the history
                // may have changed. Start over.
                Ok(Ok(None)) => return Err(Error::Unavailable("the listening connection was closed".into())),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {}
            }
            if history_checked_at.elapsed() > HISTORY_CHECK_INTERVAL {
                with_timeout(self.check_history(&mut listener, &head, position)).await?;
                history_checked_at = Instant::now();
            }
        }
    }

    /// A notification of the log only triggers a poll. An ephemeral one carries its
    /// events, because they are stored nowhere.
    fn on_notify(&self, notification: &PgNotification) {
        if notification.channel() == ephemeral::CHANNEL {
            match ephemeral::decode_batch(notification.payload().as_bytes()) {
                Ok(events) => self.ephemeral.enqueue(events),
                Err(error) => tracing::warn!(%error, "cannot read an ephemeral event"),
            }
        }
    }

    /// Reads the log to its end and routes it; the leader also publishes it. Returns
    /// the end position. `run_polling` passes its LISTEN connection as `db`, so that
    /// the next poll notices when that connection is half open.
    async fn poll_once<C>(
        &self,
        db: &mut C,
        mut position: Position,
        head: &Head,
        time_limit: Duration,
    ) -> Result<Position>
    where
        for<'c> &'c mut C: PgExecutor<'c>,
    {
        loop {
            let page = with_timeout_of(time_limit, events::read_after(&mut *db, position, BATCH_EVENTS)).await?;
            for (id, reason) in &page.poison {
                // Logged as an error, because only triggers write to the log, and they
                // never write such an event.
                tracing::error!(event = %id, reason, "skipped an unreadable event");
                self.metrics.unreadable_events.inc();
            }
            let Some(up_to) = page.last_position else { return Ok(position) };
            let batch =
                Arc::new(LogBatch { epoch: head.epoch.clone(), after: position, end: up_to, entries: page.entries });
            // Publish first, so that the batch is sent to the other replicas while it
            // is dispatched here.
            if self.relay.mode() == Mode::Leader {
                self.relay.publish(Arc::clone(&batch));
                yield_now().await;
            }
            self.route(&batch, head.last.id);
            position = up_to;
            if !page.has_more {
                return Ok(position);
            }
        }
    }

    /// Follows the leader, and checks at intervals that the log contains no event that
    /// was not relayed. An error trips the circuit breaker.
    async fn run_relayed(&self, relay: &RedisRelay) -> Result<()> {
        let mut db = sql_with_timeout(self.db.acquire()).await?;
        let (head, position) = with_timeout(self.resume(&mut *db)).await?;
        let mut position = self.poll_once(&mut *db, position, &head, QUERY_TIMEOUT).await?;
        drop(db);
        let mut stream = with_timeout(relay.open_stream(&head.epoch, position.id)).await?;
        self.metrics.relay_following.set(1);
        tracing::info!(epoch = %head.epoch, after = %position.id, "following the leader");
        let mut ticks = interval(LOG_END_CHECK_INTERVAL);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expected_end = position.id;
        let mut becomes_leader = pin!(relay.wait_until_leader());
        loop {
            // A tick must not cancel this read, because the read would have to be sent
            // again.
            let mut result = pin!(stream.next());
            let batches = loop {
                tokio::select! {
                    biased;
                    () = becomes_leader.as_mut() => return Ok(()),
                    batches = result.as_mut() => break batches?,
                    _ = ticks.tick() => {
                        let now = with_timeout(async {
                            let mut db = self.db.acquire().await?;
                            self.check_history(&mut *db, &head, position).await
                        })
                        .await?;
                        if position.id < expected_end {
                            return Err(Error::Unavailable("the relay did not deliver new events of the log".into()));
                        }
                        expected_end = now.last.id;
                        self.health.mark_polled();
                    }
                }
            };
            for batch in batches {
                if batch.end.id <= position.id {
                    continue;
                }
                if batch.epoch != head.epoch || !batch.follows(position) {
                    return Err(Error::Unavailable("the batch does not follow the last position".into()));
                }
                self.route(&batch, head.last.id);
                position = batch.end;
            }
        }
    }

    /// Routes a batch. The latency metric excludes events that were in the log before
    /// this replica began to follow it.
    fn route(&self, batch: &LogBatch, log_end_at_start: EventId) {
        self.hub.route(&batch.entries, batch.end);
        let Metrics { events, log_batch_events, commit_to_hub, .. } = self.metrics.as_ref();
        if !batch.entries.is_empty() {
            events.inc_by(batch.entries.len() as u64);
            log_batch_events.observe(batch.entries.len() as f64);
        }
        let now = time::now();
        for entry in batch.entries.iter().filter(|entry| entry.id > log_end_at_start) {
            let delay = (now - entry.at.0).to_std().unwrap_or_default();
            commit_to_hub.observe(delay.as_secs_f64());
        }
    }

    /// Returns the head of the log, and the position to read on from. If the log no longer
    /// holds the history that the hub has routed, a new one starts, one replay buffer
    /// before its end, so that clients of a restarted replica resume from memory.
    async fn resume<C>(&self, db: &mut C) -> Result<(Head, Position)>
    where
        for<'c> &'c mut C: PgExecutor<'c>,
    {
        let head = events::head(&mut *db).await?;
        if let Some(cursor) = self.hub.cursor() {
            let check = match cursor.epoch == head.epoch {
                true => events::check_position(&mut *db, cursor.position).await,
                false => Err(Error::Reset("epoch")),
            };
            match check {
                Ok(()) => return Ok((head, cursor.position)),
                Err(Error::Reset(_)) => {}
                Err(error) => return Err(error),
            }
            tracing::warn!(was = %cursor, epoch = %head.epoch, last = %head.last.id, "the log's history has changed");
        }
        let first = head.last.id.saturating_sub(replay_buffer::MAX_EVENTS as i64);
        let position = events::position_from(&mut *db, first).await?;
        self.hub.start_history(head.epoch.clone(), position);
        Ok((head, position))
    }

    /// Returns the head of the log if the log still holds the history up to a position.
    async fn check_history<C>(&self, db: &mut C, head: &Head, position: Position) -> Result<Head>
    where
        for<'c> &'c mut C: PgExecutor<'c>,
    {
        let now = events::head(&mut *db).await?;
        if now.last != position {
            events::check_position(&mut *db, position).await?;
        }
        if now.epoch != head.epoch {
            return Err(Error::Reset("epoch"));
        }
        self.metrics.log_lag.set(now.last.id.get() - position.id.get());
        Ok(now)
    }
}

/// Returns a random time between half of a limit and the limit. The limit doubles with
/// each failure, from 50 ms to at most 2 s.
fn backoff(failures: u32) -> Duration {
    let ceiling = 50u64.saturating_mul(1 << failures.min(6)).min(2_000);
    Duration::from_millis(rand::rng().random_range(ceiling / 2..=ceiling))
}

async fn sql_with_timeout<T>(query: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T> {
    with_timeout(async { Ok(query.await?) }).await
}

async fn with_timeout<T>(query: impl Future<Output = Result<T>>) -> Result<T> {
    with_timeout_of(QUERY_TIMEOUT, query).await
}

async fn with_timeout_of<T>(time_limit: Duration, query: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(time_limit, query)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable("the database did not answer in time".into())))
}
