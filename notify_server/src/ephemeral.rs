//! Dispatches ephemeral events: looks up their audience, and sends them to the users
//! who are connected to this replica. It never delays events of the log.

use crate::{frame, hub::Hub};
use chat_core::{
    ChatId, Result, UserId, blocks,
    ephemeral::Presence,
    ephemeral::{EphemeralBus, EphemeralEvent},
    presence,
};
use sqlx::PgPool;
use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};
use tokio::{sync::mpsc, time::sleep};
use tokio_util::sync::CancellationToken;

/// Maximum number of queued batches; further batches are dropped.
const MAX_QUEUED_BATCHES: usize = 256;

/// Typing events of chats with more online members than this are dropped, because in
/// such chats someone is always typing.
const MAX_TYPING_AUDIENCE: usize = 1_000;

/// How long to wait before subscribing again after Redis failed.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// A handle to the task that dispatches ephemeral events.
#[derive(Debug, Clone)]
pub(crate) struct EphemeralDispatcher(mpsc::Sender<Vec<EphemeralEvent>>);

impl EphemeralDispatcher {
    /// Subscribes to Redis, if there is one. Also dispatches the events passed to
    /// `enqueue`.
    pub(crate) fn start(bus: EphemeralBus, db: PgPool, hub: Arc<Hub>, shutdown: CancellationToken) -> Self {
        let (sender, mut batches) = mpsc::channel(MAX_QUEUED_BATCHES);
        let dispatcher = Self(sender);
        tokio::spawn({
            let (dispatcher, shutdown) = (dispatcher.clone(), shutdown.clone());
            async move {
                let subscription = async {
                    loop {
                        if let Err(error) = bus.subscribe(|events| dispatcher.enqueue(events)).await {
                            tracing::debug!(%error, cause = error.source_text(), "cannot subscribe to ephemeral events in Redis");
                            sleep(RETRY_DELAY).await;
                        }
                    }
                };
                shutdown.run_until_cancelled(subscription).await
            }
        });
        tokio::spawn(async move {
            let mut batch = Vec::new();
            while let Some(1..) = shutdown.run_until_cancelled(batches.recv_many(&mut batch, MAX_QUEUED_BATCHES)).await
            {
                dispatch(&db, &hub, batch.drain(..).flatten()).await;
            }
        });
        dispatcher
    }

    /// Queues events to be dispatched; drops them if the queue is full.
    pub(crate) fn enqueue(&self, events: Vec<EphemeralEvent>) {
        if self.0.try_send(events).is_err() {
            tracing::debug!("too many ephemeral events; dropped some");
        }
    }
}

async fn dispatch(db: &PgPool, hub: &Hub, events: impl Iterator<Item = EphemeralEvent>) {
    // Only the latest presence of each user is needed.
    let mut presences: HashMap<UserId, Presence> = HashMap::new();
    let (mut typings, mut presences_for) = (Vec::new(), Vec::new());
    for event in events {
        match event {
            EphemeralEvent::Presence(presence) => drop(presences.insert(presence.user_id, presence)),
            EphemeralEvent::PresenceFor { recipient, presence } => presences_for.push((recipient, presence)),
            EphemeralEvent::Typing(typing) => {
                if !hub.has_more_online_members_than(typing.chat_id, MAX_TYPING_AUDIENCE) {
                    typings.push(typing);
                }
            }
        }
    }
    for (recipient, presence) in presences_for {
        hub.dispatch_ephemeral(&HashSet::from([recipient]), &frame::presence(presence));
    }
    if typings.is_empty() && presences.is_empty() {
        return;
    }
    let user_ids: Vec<UserId> = typings.iter().map(|typing| typing.user_id).chain(presences.keys().copied()).collect();
    let blocked: HashSet<(UserId, UserId)> = match blocks::blocked_by(db, &user_ids).await {
        Ok(blocked) => blocked.into_iter().collect(),
        Err(error) => {
            tracing::debug!(%error, cause = error.source_text(), "cannot load the blocks of ephemeral events");
            return;
        }
    };
    for typing in typings {
        let mut recipients = hub.online_members(&HashSet::from([typing.chat_id]));
        recipients.remove(&typing.user_id);
        recipients.retain(|recipient| !blocked.contains(&(typing.user_id, *recipient)));
        hub.dispatch_ephemeral(&recipients, &frame::typing(typing));
    }
    if presences.is_empty() {
        return;
    }
    let user_ids: Vec<UserId> = presences.keys().copied().collect();
    let mut chats_by_user = match load_chats(db, &user_ids).await {
        Ok(chats) => chats,
        Err(error) => {
            tracing::debug!(%error, cause = error.source_text(), "cannot load the audience of presence events");
            return;
        }
    };
    for (user_id, presence) in presences {
        let mut recipients = hub.online_members(&chats_by_user.remove(&user_id).unwrap_or_default());
        recipients.retain(|recipient| !blocked.contains(&(user_id, *recipient)));
        // The user's own connections receive the event too.
        recipients.insert(user_id);
        hub.dispatch_ephemeral(&recipients, &frame::presence(presence));
    }
}

/// Loads the chats of each user whose members receive the user's presence.
async fn load_chats(db: &PgPool, user_ids: &[UserId]) -> Result<HashMap<UserId, HashSet<ChatId>>> {
    let mut chats_by_user: HashMap<UserId, HashSet<ChatId>> = HashMap::new();
    for (user_id, chat) in presence::memberships(db, user_ids).await? {
        chats_by_user.entry(user_id).or_default().insert(chat);
    }
    Ok(chats_by_user)
}
