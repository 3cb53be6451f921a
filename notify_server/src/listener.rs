//! Follows the log, by whichever way the relay says, and routes what it brings.
//! Nothing that goes wrong here ends the loop.

use crate::{
    figures::Figures,
    hub::Hub,
    relay::{Piece, Relay, Shared, Way, cause},
    whispers::Ear,
};
use chat_core::{
    Error, EventId, Result,
    events::{self, Head},
    time, whispers,
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

/// The longest that a doorbell nobody hears can delay an event.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How often one who hears the leader asks where the log ends. What the leader
/// does not tell is noticed within two of these.
const CHECK_EVERY: Duration = Duration::from_millis(400);

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

/// Follows the log on behalf of a hub.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) db: PgPool,
    pub(crate) hub: Arc<Hub>,
    pub(crate) relay: Relay,
    pub(crate) ear: Ear,
    pub(crate) health: Arc<Health>,
    pub(crate) figures: Arc<Figures>,
}

impl Listener {
    /// Follows the log until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut failures = 0;
        loop {
            let way = self.relay.way();
            let error = match shutdown.run_until_cancelled(self.follow(way, &mut failures)).await {
                None => return,
                Some(Ok(())) => continue,
                Some(Err(error)) => error,
            };
            let pause = backoff(failures);
            failures += 1;
            tracing::warn!(%error, cause = cause(&error), retry_in = ?pause, "lost the log; listening again");
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// Goes one way for as long as it is the one to go.
    async fn follow(&self, way: Way, failures: &mut u32) -> Result<()> {
        match (way, &self.relay) {
            (Way::Hear, Relay::Redis(shared)) => {
                let heard = self.hear(shared).await;
                self.figures.hears.set(0);
                let Err(doubt) = heard else { return Ok(()) };
                let pause = shared.doubt();
                self.figures.doubts.inc();
                tracing::warn!(why = cause(&doubt), for = ?pause, "Redis is in doubt; reading the log instead");
                Ok(())
            }
            _ => self.tail(way, failures).await,
        }
    }

    /// Subscribes, then looks, then waits for a reason to look again: NOTIFY, a
    /// timer, and every return from a lost connection.
    async fn tail(&self, way: Way, failures: &mut u32) -> Result<()> {
        let mut listener = patiently(PgListener::connect_with(&self.db)).await?;
        patiently(listener.listen_all([events::CHANNEL, whispers::CHANNEL])).await?;
        let head = within_patience(events::head(&mut listener)).await?;
        let mut position = self.hub.resume(&head).position;
        let mut checked_at = Instant::now();
        tracing::info!(?way, epoch = %head.epoch, after = %position, last = %head.last, "following the event log");
        loop {
            let patience = (LOOK_PATIENCE * (1 << (*failures).min(4))).min(PATIENCE);
            position = self.look(&mut listener, position, &head, patience).await?;
            self.health.looked();
            *failures = 0;
            if self.relay.way() != way {
                return Ok(());
            }
            match timeout(LOOK_EVERY, listener.try_recv()).await {
                // However many rang, one look answers them all.
                Ok(Ok(Some(first))) => {
                    self.rung(&first);
                    while let Some(next) = listener.next_buffered() {
                        self.rung(&next);
                    }
                }
                // The connection broke: what rang meanwhile is lost, and the
                // history may have changed. Start over.
                Ok(Ok(None)) => return Err(Error::Unavailable("the listening connection was closed".into())),
                Ok(Err(error)) => return Err(error.into()),
                Err(_) => {}
            }
            if checked_at.elapsed() > HISTORY_EVERY {
                let now = within_patience(events::head(&mut listener)).await?;
                self.same_history(&head, &now, position)?;
                checked_at = Instant::now();
            }
        }
    }

    /// On one channel it is only a ring; on the other, all that there is.
    fn rung(&self, notification: &PgNotification) {
        if notification.channel() == whispers::CHANNEL {
            match whispers::open(notification.payload().as_bytes()) {
                Ok(parcel) => self.ear.hear(parcel),
                Err(error) => tracing::warn!(%error, "something unreadable was whispered"),
            }
        }
    }

    /// Reads the log to its end, routes it, and tells the others if this replica
    /// leads; answers where the end is. Where there is a listening connection it
    /// is on that: one that has gone silent is noticed by the next look.
    async fn look<C>(&self, db: &mut C, mut position: EventId, head: &Head, patience: Duration) -> Result<EventId>
    where
        for<'c> &'c mut C: PgExecutor<'c>,
    {
        loop {
            let stretch = within(patience, events::after(&mut *db, position, STRETCH)).await?;
            for (id, reason) in &stretch.poison {
                // An alert: only triggers write here, and they do not write this.
                tracing::error!(event = %id, reason, "passed over an event that cannot be read");
                self.figures.poison.inc();
            }
            let Some(upto) = stretch.upto else { return Ok(position) };
            let piece = Arc::new(Piece { epoch: head.epoch.clone(), after: position, upto, entries: stretch.entries });
            // Those who are further away first: it is on its way while the devices
            // here are told.
            if self.relay.way() == Way::Lead {
                self.relay.publish(Arc::clone(&piece));
                yield_now().await;
            }
            self.route(&piece, head.last);
            position = upto;
            if !stretch.is_cut {
                return Ok(position);
            }
        }
    }

    /// Hears the leader, and asks the log now and then whether that is all. An
    /// error is a doubt.
    async fn hear(&self, shared: &Shared) -> Result<()> {
        let head = within_patience(events::head(&self.db)).await?;
        let position = self.hub.resume(&head).position;
        let mut db = patiently(self.db.acquire()).await?;
        let mut position = self.look(&mut *db, position, &head, PATIENCE).await?;
        drop(db);
        let mut stream = within_patience(shared.open(&head.epoch, position)).await?;
        self.figures.hears.set(1);
        tracing::info!(epoch = %head.epoch, after = %position, "hearing the leader");
        let mut check = interval(CHECK_EVERY);
        check.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut expected = position;
        let mut to_lead = pin!(shared.to_lead());
        loop {
            // Not given up when something else happens: what it was about to
            // bring would be asked for twice.
            let mut heard = pin!(stream.next());
            let pieces = loop {
                tokio::select! {
                    biased;
                    () = to_lead.as_mut() => return Ok(()),
                    pieces = heard.as_mut() => break pieces?,
                    _ = check.tick() => {
                        let now = within_patience(events::head(&self.db)).await?;
                        self.same_history(&head, &now, position)?;
                        if position < expected {
                            return Err(Error::Unavailable("it is silent while the log grows".into()));
                        }
                        expected = now.last;
                        self.health.looked();
                    }
                }
            };
            for piece in pieces {
                if piece.epoch != head.epoch || piece.after > position {
                    return Err(Error::Unavailable("what it says does not follow".into()));
                }
                if piece.upto > position {
                    self.route(&piece, head.last);
                    position = piece.upto;
                }
            }
        }
    }

    /// Routes a piece. What was there before this replica is not counted as late.
    fn route(&self, piece: &Piece, was_there: EventId) {
        self.hub.route(&piece.entries, piece.upto);
        let Figures { events, stretches, commit_to_hub, .. } = self.figures.as_ref();
        if !piece.entries.is_empty() {
            events.inc_by(piece.entries.len() as u64);
            stretches.observe(piece.entries.len() as f64);
        }
        let now = time::now();
        for entry in piece.entries.iter().filter(|entry| entry.id > was_there) {
            let delay = (now - entry.at.0).to_std().unwrap_or_default();
            commit_to_hub.observe(delay.as_secs_f64());
        }
    }

    fn same_history(&self, head: &Head, now: &Head, position: EventId) -> Result<()> {
        if now.epoch != head.epoch || now.last < position {
            return Err(Error::Unavailable("the log is not the one that was followed".into()));
        }
        self.figures.log_lag.set(now.last.get() - position.get());
        Ok(())
    }
}

/// Full jitter: 50 ms doubling to at most 2 s.
fn backoff(failures: u32) -> Duration {
    let ceiling = 50u64.saturating_mul(1 << failures.min(6)).min(2_000);
    Duration::from_millis(rand::rng().random_range(ceiling / 2..=ceiling))
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
