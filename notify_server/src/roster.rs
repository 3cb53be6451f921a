//! Answers "which chats is this person in, and as of which position". Questions
//! that arrive while one is being answered share the next one, so that a storm
//! of reconnects costs a few reads and not one each.

use chat_core::{
    Error, EventId, Result, UserId,
    events::{self, Chats},
};
use sqlx::PgPool;
use std::collections::{HashMap, HashSet};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

/// How many questions may wait; more are told to come back.
const QUEUE: usize = 16_384;

/// How many people one read asks about.
const BATCH: usize = 1_000;

/// A person's chats as of a position.
pub(crate) type Answer = (EventId, Chats);

type Question = (UserId, oneshot::Sender<Result<Answer, ()>>);

/// A handle to the task that asks.
#[derive(Debug)]
pub(crate) struct Roster(mpsc::Sender<Question>);

impl Roster {
    pub(crate) fn start(db: PgPool, shutdown: CancellationToken) -> Self {
        let (sender, mut questions) = mpsc::channel::<Question>(QUEUE);
        tokio::spawn(async move {
            let mut batch = Vec::new();
            loop {
                tokio::select! {
                    () = shutdown.cancelled() => return,
                    n = questions.recv_many(&mut batch, BATCH) => if n == 0 { return },
                }
                answer(&db, std::mem::take(&mut batch)).await;
            }
        });
        Self(sender)
    }

    /// A person's chats, as of some position now or later.
    pub(crate) async fn chats_of(&self, user: UserId) -> Result<Answer> {
        let (reply, answer) = oneshot::channel();
        self.0.try_send((user, reply)).map_err(|_| unavailable())?;
        answer.await.ok().and_then(Result::ok).ok_or_else(unavailable)
    }
}

fn unavailable() -> Error {
    Error::Unavailable("the chats of a user could not be loaded".into())
}

async fn answer(db: &PgPool, batch: Vec<Question>) {
    let users: HashSet<UserId> = batch.iter().map(|(user, _)| *user).collect();
    let users: Vec<UserId> = users.into_iter().collect();
    let found = events::memberships(db, &users).await;
    let mut chats: HashMap<UserId, Chats> = HashMap::new();
    for (user, chat) in found.iter().flat_map(|found| found.chats.iter().copied()) {
        chats.entry(user).or_default().insert(chat);
    }
    if let Err(error) = &found {
        tracing::warn!(%error, "cannot load chats");
    }
    for (user, reply) in batch {
        let answer = match &found {
            // Two devices of one person may have asked: both get a copy.
            Ok(found) => Ok((found.position, chats.get(&user).cloned().unwrap_or_default())),
            Err(_) => Err(()),
        };
        let _ = reply.send(answer);
    }
}
