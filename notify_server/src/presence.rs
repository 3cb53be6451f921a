//! Who is connected here, for all to know: tells the database who came, and who
//! did not come back within the grace, all at once and not one by one.

use crate::{figures::Figures, hub::Hub, relay::cause, replica::Replica};
use chat_core::{
    Result, UserId,
    presence::{self, GRACE, Presence},
    whispers::{Whisper, Whispers},
};
use sqlx::PgPool;
use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// How often it is told who came and went.
const ROUND: Duration = Duration::from_secs(1);

/// How many people one statement is about.
const BATCH: usize = 1_000;

/// The people of this replica as the database knows them.
#[derive(Debug)]
pub(crate) struct Keeper {
    db: PgPool,
    hub: Arc<Hub>,
    whispers: Whispers,
    replica: Replica,
    known: HashMap<UserId, Known>,
    /// The life of the replica in which the database was told.
    life: u64,
}

#[derive(Debug, Default)]
struct Known {
    /// Whether the database has been told that they are here.
    is_told: bool,
    /// When their last device went, if none has come since.
    left_at: Option<Instant>,
}

impl Keeper {
    /// Keeps the presences of a hub's people until `shutdown`.
    pub(crate) fn start(
        db: PgPool,
        hub: Arc<Hub>,
        whispers: Whispers,
        replica: Replica,
        figures: Arc<Figures>,
        shutdown: CancellationToken,
    ) {
        let mut keeper = Self { db, hub, whispers, replica, known: HashMap::new(), life: 0 };
        tokio::spawn(async move {
            let mut round = interval(ROUND);
            round.set_missed_tick_behavior(MissedTickBehavior::Delay);
            while shutdown.run_until_cancelled(round.tick()).await.is_some() {
                let began = Instant::now();
                match shutdown.run_until_cancelled(keeper.round()).await {
                    Some(Ok(true)) => figures.presence_round.observe(began.elapsed().as_secs_f64()),
                    Some(Ok(false)) => {}
                    Some(Err(error)) => {
                        tracing::debug!(%error, cause = cause(&error), "cannot tell who is here");
                    }
                    None => return,
                }
            }
        });
    }

    /// One round; whether anybody came or went. What fails is tried in the next.
    async fn round(&mut self) -> Result<bool> {
        let life = *self.replica.lives.borrow();
        if life == 0 {
            return Ok(false);
        }
        if life != self.life {
            // The database has forgotten this replica, and all that it was told.
            self.known.values_mut().for_each(|known| known.is_told = false);
            self.life = life;
        }
        for user in self.hub.take_changed() {
            if self.hub.is_here(user) {
                self.known.entry(user).or_default().left_at = None;
            } else if let Some(known) = self.known.get_mut(&user) {
                known.left_at = Some(Instant::now());
            }
        }
        let came = self.who(|known| !known.is_told && known.left_at.is_none());
        for batch in came.chunks(BATCH) {
            let seen = presence::connect(&self.db, self.replica.id, batch).await?;
            self.known.extend(batch.iter().map(|user| (*user, Known { is_told: true, left_at: None })));
            self.tell(seen).await;
        }
        let went = self.who(|known| known.left_at.is_some_and(|at| at.elapsed() >= GRACE));
        for batch in went.chunks(BATCH) {
            let seen = presence::disconnect(&self.db, self.replica.id, batch).await?;
            for user in batch {
                self.known.remove(user);
            }
            self.tell(seen).await;
        }
        self.tell(presence::sweep(&self.db).await?).await;
        Ok(!came.is_empty() || !went.is_empty())
    }

    fn who(&self, is_so: impl Fn(&Known) -> bool) -> Vec<UserId> {
        self.known.iter().filter(|(_, known)| is_so(known)).map(|(user, _)| *user).collect()
    }

    async fn tell(&self, seen: Vec<Presence>) {
        let seen: Vec<Whisper> = seen.into_iter().map(Whisper::Presence).collect();
        self.whispers.say(&seen).await;
    }
}
