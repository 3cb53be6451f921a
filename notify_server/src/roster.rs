//! Answers "which chats is this person in, as of which position, and is their
//! session still good". Questions that arrive while one is being answered share
//! the next one, so that a storm of reconnects costs a few reads and not one each.

use crate::{figures::Figures, hub::Loaded};
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

/// How many questions may wait; more are told to come back.
const QUEUE: usize = 16_384;

/// How many people one read asks about.
const BATCH: usize = 4_096;

/// The time from one read to the next: somebody who comes alone is answered at
/// once, and a crowd that comes in one by one gathers.
const PAUSE: Duration = Duration::from_millis(50);

/// What is known of somebody who opens a stream.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    /// Their chats, and as of which position.
    pub(crate) loaded: Loaded,
    /// Whether the session that asks is still good, as of that position or later.
    pub(crate) is_live: bool,
}

type Question = (Claims, oneshot::Sender<Result<Answer, ()>>);

/// A handle to the task that asks.
#[derive(Debug)]
pub(crate) struct Roster(mpsc::Sender<Question>);

impl Roster {
    pub(crate) fn start(db: PgPool, figures: Arc<Figures>, shutdown: CancellationToken) -> Self {
        let (sender, mut questions) = mpsc::channel::<Question>(QUEUE);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            let mut pause = interval(PAUSE);
            pause.set_missed_tick_behavior(MissedTickBehavior::Delay);
            loop {
                pause.tick().await;
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    n = questions.recv_many(&mut batch, BATCH) => if n == 0 { return },
                }
                figures.roster_reads.inc();
                answer(&db, std::mem::take(&mut batch)).await;
            }
        });
        Self(sender)
    }

    /// What there is to know, as of some position now or later.
    pub(crate) async fn ask(&self, claims: Claims) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send((claims, reply)).map_err(|_| unavailable())?;
        answer.await.ok().and_then(Result::ok).ok_or_else(unavailable)
    }
}

fn unavailable() -> Error {
    Error::Unavailable("the chats of a user could not be loaded".into())
}

async fn answer(db: &PgPool, batch: Vec<Question>) {
    let found = find(db, batch.iter().map(|(claims, _)| *claims)).await;
    if let Err(error) = &found {
        let cause = std::error::Error::source(error).map(ToString::to_string);
        tracing::warn!(%error, cause, "cannot load chats");
    }
    for (claims, reply) in batch {
        let answer = match &found {
            // Two devices of one person may have asked: both get a copy.
            Ok((position, chats, live)) => Ok(Answer {
                loaded: (*position, chats.get(&claims.user_id).cloned().unwrap_or_default()),
                is_live: live.contains(&claims.session_id),
            }),
            Err(_) => Err(()),
        };
        let _ = reply.send(answer);
    }
}

type Found = (EventId, HashMap<UserId, Chats>, HashSet<Uuid>);

async fn find(db: &PgPool, batch: impl Iterator<Item = Claims>) -> Result<Found> {
    let (users, asked): (HashSet<UserId>, Vec<Uuid>) = batch.map(|claims| (claims.user_id, claims.session_id)).unzip();
    let users: Vec<UserId> = users.into_iter().collect();
    let memberships = events::memberships(db, &users).await?;
    let mut chats: HashMap<UserId, Chats> = HashMap::new();
    for (user, chat) in memberships.chats {
        chats.entry(user).or_default().insert(chat);
    }
    // After the memberships: one that ends in between is ended by its event.
    let live = sessions::live(db, &asked).await?;
    Ok((memberships.position, chats, live))
}
