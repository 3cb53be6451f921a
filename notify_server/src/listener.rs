//! Follows the log. NOTIFY only says when to look; a timer looks too, and so
//! does every return from a lost connection. Nothing that goes wrong here ends
//! the loop.

use crate::{figures::Figures, relay::Relay};
use chat_core::{
    Error, EventId, Result,
    events::{self, Head},
    time,
};
use rand::RngExt;
use sqlx::{PgPool, postgres::PgListener};
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

/// The longest that a doorbell nobody hears can delay an event.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often it is asked whether the log is still the one that was followed: one
/// that went backwards would stay silent for ever.
const HISTORY_EVERY: Duration = Duration::from_secs(5);

/// How long any single question to the database may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// How long a look may take before its connection counts as half open. Each
/// failure in a row doubles it, up to `PATIENCE`: a database that is only slow
/// is given the time it needs.
const LOOK_PATIENCE: Duration = Duration::from_millis(400);

/// How many events are read at once.
const STRETCH: i64 = 500;

/// How old the last successful look may be for the replica to be ready.
const FRESH: Duration = Duration::from_secs(5);

/// Whether the log is being followed.
#[derive(Debug, Default)]
pub struct Health(Mutex<Option<Instant>>);

impl Health {
    /// Whether the log was read to its end a moment ago.
    pub fn is_live(&self) -> bool {
        self.lock().is_some_and(|at| at.elapsed() < FRESH)
    }

    fn looked(&self) {
        *self.lock() = Some(Instant::now());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Who watches the listener.
#[derive(Debug)]
pub(crate) struct Watch {
    pub(crate) health: Arc<Health>,
    pub(crate) figures: Arc<Figures>,
}

/// Follows the log until `shutdown`.
pub(crate) async fn run(db: PgPool, relay: Relay, watch: Watch, shutdown: CancellationToken) {
    let mut failures = 0;
    loop {
        let outcome = tokio::select! {
            () = shutdown.cancelled() => return,
            outcome = follow(&db, &relay, &watch, &mut failures) => outcome,
        };
        let Err(error) = outcome;
        if shutdown.is_cancelled() {
            return;
        }
        let pause = backoff(failures);
        failures += 1;
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        tracing::warn!(%error, cause, retry_in = ?pause, "lost the log; listening again");
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}

/// Full jitter: 50 ms doubling to at most 2 s.
fn backoff(failures: u32) -> Duration {
    let ceiling = 50u64.saturating_mul(1 << failures.min(6)).min(2_000);
    Duration::from_millis(rand::rng().random_range(ceiling / 2..=ceiling))
}

/// Subscribes, then looks, then waits for a reason to look again.
async fn follow(db: &PgPool, relay: &Relay, watch: &Watch, failures: &mut u32) -> Result<std::convert::Infallible> {
    let mut listener = patiently(PgListener::connect_with(db)).await?;
    patiently(listener.listen(events::CHANNEL)).await?;
    let head: Head = within_patience(events::head(&mut listener)).await?;
    let mut position = relay.resume(&head).position;
    let mut checked_at = Instant::now();
    tracing::info!(epoch = %head.epoch, after = %position, last = %head.last, "following the event log");
    loop {
        let patience = (LOOK_PATIENCE * (1 << (*failures).min(4))).min(PATIENCE);
        position = look(&mut listener, relay, watch, position, head.last, patience).await?;
        watch.health.looked();
        *failures = 0;
        match timeout(LOOK_EVERY, listener.try_recv()).await {
            // However many rang, one look answers them all.
            Ok(Ok(Some(_))) => while listener.next_buffered().is_some() {},
            // The connection broke: what rang meanwhile is lost, and the history
            // may have changed. Start over.
            Ok(Ok(None)) => return Err(Error::Unavailable("the listening connection was closed".into())),
            Ok(Err(error)) => return Err(error.into()),
            Err(_) => {}
        }
        if checked_at.elapsed() > HISTORY_EVERY {
            let now = within_patience(events::head(&mut listener)).await?;
            if now.epoch != head.epoch || now.last < position {
                return Err(Error::Unavailable("the log is not the one that was followed".into()));
            }
            watch.figures.log_lag.set(now.last.get() - position.get());
            checked_at = Instant::now();
        }
    }
}

/// Reads the log to its end and hands it over; answers where that is. On the
/// listening connection: one that has gone silent is noticed by the next look.
/// What was there before this replica is not counted as late.
async fn look(
    listener: &mut PgListener,
    relay: &Relay,
    Watch { figures, .. }: &Watch,
    mut position: EventId,
    was_there: EventId,
    patience: Duration,
) -> Result<EventId> {
    loop {
        let stretch = within(patience, events::after(&mut *listener, position, STRETCH)).await?;
        for (id, reason) in &stretch.poison {
            // An alert: only triggers write here, and they do not write this.
            tracing::error!(event = %id, reason, "passed over an event that cannot be read");
            figures.poison.inc();
        }
        relay.hand_over(&stretch.entries);
        if !stretch.entries.is_empty() {
            figures.events.inc_by(stretch.entries.len() as u64);
            figures.stretches.observe(stretch.entries.len() as f64);
        }
        let now = time::now();
        for entry in stretch.entries.iter().filter(|entry| entry.id > was_there) {
            let delay = (now - entry.at.0).to_std().unwrap_or_default();
            figures.commit_to_hub.observe(delay.as_secs_f64());
        }
        position = stretch.upto.unwrap_or(position);
        if !stretch.is_cut {
            return Ok(position);
        }
    }
}

async fn patiently<T>(question: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T> {
    within_patience(async { Ok(question.await?) }).await
}

async fn within_patience<T>(question: impl Future<Output = Result<T>>) -> Result<T> {
    within(PATIENCE, question).await
}

async fn within<T>(patience: Duration, question: impl Future<Output = Result<T>>) -> Result<T> {
    timeout(patience, question)
        .await
        .unwrap_or_else(|_| Err(Error::Unavailable("the database did not answer in time".into())))
}
