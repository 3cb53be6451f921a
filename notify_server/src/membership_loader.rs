//! Loads the chats of a user as of a position of the log, and whether the user's session
//! is active. Requests that arrive during a read share the next read, so that many
//! simultaneous reconnects need only a few reads.

use crate::{hub::LoadedChats, metrics::Metrics};
use chat_core::{
    Error, EventId, Result, UserId,
    auth::{Claims, sessions},
    events::{self, Chats},
};
use sqlx::PgPool;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Maximum number of queued requests. Further requests fail, and their clients are told
/// to reconnect.
const MAX_QUEUED: usize = 16_384;

/// Maximum number of requests that one read serves.
const BATCH: usize = 4_096;

/// Minimum time between two reads. A single request is served immediately; requests in
/// quick succession are collected.
const LOAD_INTERVAL: Duration = Duration::from_millis(50);

/// The data loaded for a user who connects.
#[derive(Debug, Clone)]
pub(crate) struct LoadedMembership {
    /// The user's chats, and the position as of which they were loaded.
    pub(crate) chats: LoadedChats,
    /// Whether the user's session is still active, as of that position or later.
    pub(crate) is_session_active: bool,
}

type Request = (Claims, oneshot::Sender<Result<LoadedMembership, ()>>);

/// A handle to the task that loads memberships.
#[derive(Debug)]
pub(crate) struct MembershipLoader(mpsc::Sender<Request>);

impl MembershipLoader {
    pub(crate) fn start(db: PgPool, metrics: Arc<Metrics>, shutdown: CancellationToken) -> Self {
        let (sender, mut requests) = mpsc::channel::<Request>(MAX_QUEUED);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            let mut ticks = interval(LOAD_INTERVAL);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                ticks.tick().await;
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    n = requests.recv_many(&mut batch, BATCH) => if n == 0 { return },
                }
                metrics.membership_loads.inc();
                answer_batch(&db, std::mem::take(&mut batch)).await;
            }
        });
        Self(sender)
    }

    /// Loads a user's chats and session state, as of now or later.
    pub(crate) async fn load(&self, claims: Claims) -> Result<LoadedMembership> {
        let (reply, loaded) = oneshot::channel();
        self.0.try_send((claims, reply)).map_err(|_| unavailable())?;
        loaded.await.ok().and_then(Result::ok).ok_or_else(unavailable)
    }
}

fn unavailable() -> Error {
    Error::Unavailable("cannot load the chats of a user".into())
}

async fn answer_batch(db: &PgPool, batch: Vec<Request>) {
    let loaded = query(db, batch.iter().map(|(claims, _)| *claims)).await;
    if let Err(error) = &loaded {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(%error, cause, "cannot load chats");
    }
    for (claims, reply) in batch {
        let loaded = match &loaded {
            // A batch may contain two requests of one user: each gets a copy.
            Ok((position, chats, active_sessions)) => Ok(LoadedMembership {
                chats: (*position, chats.get(&claims.user_id).cloned().unwrap_or_default()),
                is_session_active: active_sessions.contains(&claims.session_id),
            }),
            Err(_) => Err(()),
        };
        let _ = reply.send(loaded);
    }
}

type Loaded = (EventId, HashMap<UserId, Chats>, HashSet<Uuid>);

async fn query(db: &PgPool, batch: impl Iterator<Item = Claims>) -> Result<Loaded> {
    let claims: Vec<Claims> = batch.collect();
    let users: HashSet<UserId> = claims.iter().map(|claims| claims.user_id).collect();
    let users: Vec<UserId> = users.into_iter().collect();
    let memberships = events::load_memberships(db, &users).await?;
    let mut chats: HashMap<UserId, Chats> = HashMap::new();
    for (user, chat) in memberships.chats {
        chats.entry(user).or_default().insert(chat);
    }
    // Read after the memberships, so that the event of any later revocation
    // comes after their position.
    let active_sessions = sessions::find_active(db, &claims).await?;
    Ok((memberships.position, chats, active_sessions))
}
