//! How the log reaches this replica's hub. Without Redis each replica tails the
//! log. With it one of them does, the leader, and appends what it reads to a
//! stream in Redis, from which the others hear it. What they hear must follow on
//! what they have and bear the realm's seal; anything else, and silence while the
//! log grows, is a doubt, and whoever doubts tails the log itself for a while.

mod piece;
mod publisher;
mod stream;

pub(crate) use piece::Piece;
pub(crate) use publisher::{Publisher, cause};

use chat_core::{Result, events::Epoch, realm::Realm, redis::Redis};
use sqlx::PgPool;
use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use stream::Stream;
use tokio::sync::{OnceCell, watch};

/// How long a first doubt lasts; each that follows soon lasts twice as long, up
/// to `LONGEST_DOUBT`.
const FIRST_DOUBT: Duration = Duration::from_secs(2);

const LONGEST_DOUBT: Duration = Duration::from_secs(60);

/// The way from the log to the hub. Never a source of truth: what it carries is
/// in the log, and what it does not carry is read from there.
#[derive(Debug)]
pub(crate) enum Relay {
    /// Every replica tails the log.
    Local,
    /// The leader does, for all.
    Redis(Box<Shared>),
}

/// A stream in Redis that the replicas of a realm share.
#[derive(Debug)]
pub(crate) struct Shared {
    redis: Redis,
    db: PgPool,
    realm: OnceCell<Realm>,
    /// Whether this replica leads.
    leads: watch::Receiver<bool>,
    doubt: Mutex<Doubt>,
    publisher: Publisher,
}

/// When Redis was last found wanting.
#[derive(Debug)]
struct Doubt {
    until: Option<Instant>,
    pause: Duration,
}

/// What a replica does now to get its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Read the log, for itself.
    Tail,
    /// Read the log, for all.
    Lead,
    /// Hear the leader.
    Hear,
}

impl Relay {
    /// What is to be done now.
    pub(crate) fn way(&self) -> Way {
        match self {
            Self::Local => Way::Tail,
            Self::Redis(shared) if *shared.leads.borrow() => Way::Lead,
            Self::Redis(shared) if shared.lock().until.is_some_and(|until| Instant::now() < until) => Way::Tail,
            Self::Redis(_) => Way::Hear,
        }
    }

    /// What was read, for the others.
    pub(crate) fn publish(&self, piece: Arc<Piece>) {
        if let Self::Redis(shared) = self {
            shared.publisher.offer(piece);
        }
    }
}

impl Shared {
    pub(crate) fn new(redis: Redis, db: PgPool, leads: watch::Receiver<bool>, publisher: Publisher) -> Self {
        let doubt = Mutex::new(Doubt { until: None, pause: FIRST_DOUBT });
        Self { redis, db, realm: OnceCell::new(), leads, doubt, publisher }
    }

    /// Opens the stream of a history, to read on from a position.
    pub(crate) async fn open(&self, epoch: &Epoch, after: chat_core::EventId) -> Result<Stream<'_>> {
        let realm = self.realm.get_or_try_init(|| Realm::of(&self.db)).await?;
        Stream::open(&self.redis, realm, epoch, after).await
    }

    /// Returns once this replica leads.
    pub(crate) async fn to_lead(&self) {
        let mut leads = self.leads.clone();
        if leads.wait_for(|leads| *leads).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Turns away from Redis for a while.
    pub(crate) fn doubt(&self) -> Duration {
        let mut doubt = self.lock();
        let now = Instant::now();
        // Long after the last one it is a first one again.
        if doubt.until.is_none_or(|until| now > until + LONGEST_DOUBT) {
            doubt.pause = FIRST_DOUBT;
        }
        let pause = doubt.pause;
        doubt.until = Some(now + pause);
        doubt.pause = (pause * 2).min(LONGEST_DOUBT);
        pause
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Doubt> {
        self.doubt.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Where the stream of a history is.
fn stream_key(realm: &Realm, epoch: &Epoch) -> String {
    realm.key(format_args!("events:{epoch}"))
}
