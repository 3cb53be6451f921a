//! Publishes which users are connected to this replica. Records in the database, in
//! batches, who connected and who did not reconnect within the grace period.

use crate::{hub::Hub, metrics::Metrics, replica::Replica};
use chat_core::{
    Result, UserId,
    ephemeral::Presence,
    ephemeral::{EphemeralBus, EphemeralEvent},
    presence::{self, GRACE_PERIOD},
};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often presence is updated.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// Maximum number of users in one statement.
const BATCH: usize = 1_000;

/// The users of this replica, and what the database has recorded about them.
#[derive(Debug)]
pub(crate) struct PresenceTracker {
    db: PgPool,
    hub: Arc<Hub>,
    ephemeral: EphemeralBus,
    replica: Replica,
    tracked: HashMap<UserId, TrackedUser>,
    /// The incarnation of the replica to which `is_published` refers.
    incarnation: u64,
}

#[derive(Debug, Default)]
struct TrackedUser {
    /// Whether the database has recorded that the user is connected.
    is_published: bool,
    /// When the user's last connection closed, if none has opened since.
    left_at: Option<Instant>,
}

impl PresenceTracker {
    /// Tracks the presence of a hub's users until `shutdown`.
    pub(crate) fn start(
        db: PgPool,
        hub: Arc<Hub>,
        ephemeral: EphemeralBus,
        replica: Replica,
        metrics: Arc<Metrics>,
        shutdown: CancellationToken,
    ) {
        let mut tracker = Self { db, hub, ephemeral, replica, tracked: HashMap::new(), incarnation: 0 };
        tokio::spawn(async move {
            let mut ticks = interval(UPDATE_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while shutdown.run_until_cancelled(ticks.tick()).await.is_some() {
                let began = Instant::now();
                match shutdown.run_until_cancelled(tracker.update()).await {
                    Some(Ok(true)) => metrics.presence_update.observe(began.elapsed().as_secs_f64()),
                    Some(Ok(false)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, cause = error.source_text(), "cannot update presence");
                    }
                    None => return,
                }
            }
        });
    }

    /// Runs one update, and returns whether any user connected or disconnected. The
    /// next update retries what fails.
    async fn update(&mut self) -> Result<bool> {
        let incarnation = *self.replica.incarnations.borrow();
        if incarnation == 0 {
            return Ok(false);
        }
        if incarnation != self.incarnation {
            // The database has deleted this replica and all of its connected users.
            self.tracked.values_mut().for_each(|user| user.is_published = false);
            self.incarnation = incarnation;
        }
        for user in self.hub.take_changed_users() {
            if self.hub.is_online(user) {
                self.tracked.entry(user).or_default().left_at = None;
            } else if let Some(user) = self.tracked.get_mut(&user) {
                user.left_at = Some(Instant::now());
            }
        }
        let connected = self.select(|user| !user.is_published && user.left_at.is_none());
        for batch in connected.chunks(BATCH) {
            let presences = presence::mark_connected(&self.db, self.replica.id, batch).await?;
            self.tracked.extend(batch.iter().map(|user| (*user, TrackedUser { is_published: true, left_at: None })));
            self.publish(presences).await;
        }
        let disconnected = self.select(|user| user.left_at.is_some_and(|at| at.elapsed() >= GRACE_PERIOD));
        for batch in disconnected.chunks(BATCH) {
            let presences = presence::mark_disconnected(&self.db, self.replica.id, batch).await?;
            for user in batch {
                self.tracked.remove(user);
            }
            self.publish(presences).await;
        }
        self.publish(presence::reap_replicas(&self.db).await?).await;
        Ok(!connected.is_empty() || !disconnected.is_empty())
    }

    fn select(&self, predicate: impl Fn(&TrackedUser) -> bool) -> Vec<UserId> {
        self.tracked.iter().filter(|(_, user)| predicate(user)).map(|(user, _)| *user).collect()
    }

    async fn publish(&self, presences: Vec<Presence>) {
        let presences: Vec<EphemeralEvent> = presences.into_iter().map(EphemeralEvent::Presence).collect();
        self.ephemeral.publish(&presences).await;
    }
}
