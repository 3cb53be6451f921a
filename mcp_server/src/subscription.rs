//! Live updates: `subscriptions/listen` tells a client that a resource has changed, until the client
//! closes the request. An update has no content: the client reads the resource again, with its rights.

use crate::{
    log_follower::{LogFollower, LogUpdate},
    resources::ResourceUri,
};
use chat_core::{
    ChatId, UserId,
    auth::{Authenticator, Identity, Scope},
    events::{EventHeader, membership_change},
    members,
};
use rmcp::{
    ErrorData,
    model::SubscriptionFilter,
    service::{SubscriptionContext, SubscriptionSendError},
};
use sqlx::PgPool;
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, interval, sleep_until, timeout},
};

/// Maximum number of resources that one subscription follows.
pub(crate) const MAX_RESOURCES: usize = 20;

/// Maximum number of subscriptions of one account, and in total.
const MAX_PER_ACCOUNT: usize = 4;
const MAX_TOTAL: usize = 256;

/// How long a client has to read its updates.
const SEND_TIMEOUT: Duration = Duration::from_secs(10);

/// The time between two updates of one subscription. What changes meanwhile is one update.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// How often the token of a subscription is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a subscription lasts. Clients open another one.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// What subscriptions of this process share.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    db: PgPool,
    log: Arc<LogFollower>,
    authenticator: Arc<Authenticator>,
    open: Mutex<HashMap<UserId, usize>>,
}

/// The part of a requested filter that is served: resources with valid URIs, at most
/// [`MAX_RESOURCES`], and changes of the list of chats.
pub(crate) fn filter_supported(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let uris = uris.filter(|uri| uri.parse::<ResourceUri>().is_ok()).take(MAX_RESOURCES);
    let mut accepted = SubscriptionFilter::builder().resource_subscriptions(uris.cloned()).build();
    accepted.resources_list_changed = requested.resources_list_changed;
    accepted
}

impl Subscriptions {
    pub(crate) fn new(db: PgPool, log: Arc<LogFollower>, authenticator: Arc<Authenticator>) -> Arc<Self> {
        Arc::new(Self { db, log, authenticator, open: Mutex::default() })
    }

    /// Counts a subscription for an account, until the slot is dropped. Returns `None` if there are too
    /// many.
    pub(crate) fn acquire(self: &Arc<Self>, account: UserId) -> Option<Arc<SubscriptionSlot>> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let total: usize = open.values().sum();
        let own = open.get(&account).copied().unwrap_or_default();
        if own >= MAX_PER_ACCOUNT || total >= MAX_TOTAL {
            return None;
        }
        open.insert(account, own + 1);
        Some(Arc::new(SubscriptionSlot { subscriptions: Arc::clone(self), account }))
    }

    /// Sends updates until the client closes the request, the token ends or the time is over.
    pub(crate) async fn run(&self, identity: &Identity, context: &SubscriptionContext) -> Result<(), ErrorData> {
        let unavailable = || ErrorData::internal_error("updates are not available now; try again", None);
        let mut batches = self.log.subscribe().await.ok_or_else(unavailable)?;
        let mut updates = UpdateQueue::all(context.accepted(), identity);
        let deadline = Instant::now() + MAX_DURATION;
        let mut next_update_at = Instant::now();
        let mut checks = interval(CHECK_INTERVAL);
        loop {
            tokio::select! {
                // What happens while updates wait is part of them.
                biased;
                () = context.cancelled() => return Ok(()),
                batch = batches.recv() => match batch {
                    Ok(LogUpdate::Events(events)) => updates.add(&events, identity),
                    Ok(LogUpdate::Gap) | Err(RecvError::Lagged(_)) => updates.add_all(),
                    Err(RecvError::Closed) => return Ok(()),
                },
                _ = checks.tick() => {
                    if self.authenticator.sessions.require_active(identity.claims).await.is_err() {
                        return Ok(());
                    }
                }
                () = sleep_until(deadline) => return Ok(()),
                () = sleep_until(next_update_at), if !updates.is_empty() => {
                    match timeout(SEND_TIMEOUT, updates.send(&self.db, identity, context)).await {
                        Ok(Ok(())) => next_update_at = Instant::now() + UPDATE_INTERVAL,
                        // The client has left, or does not read.
                        Ok(Err(_)) | Err(_) => return Ok(()),
                    }
                }
            }
        }
    }
}

/// A subscription that counts for an account.
#[derive(Debug)]
pub(crate) struct SubscriptionSlot {
    subscriptions: Arc<Subscriptions>,
    account: UserId,
}

impl Drop for SubscriptionSlot {
    fn drop(&mut self) {
        let mut open = self.subscriptions.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.account);
            }
        }
    }
}

/// What a client has to be told.
struct UpdateQueue {
    resources: HashSet<ResourceUri>,
    changed: HashSet<ResourceUri>,
    wants_list: bool,
    is_list_changed: bool,
}

impl UpdateQueue {
    /// All that a client follows: what changed before the log was followed is not known.
    fn all(accepted: &SubscriptionFilter, identity: &Identity) -> Self {
        let uris = accepted.resource_subscriptions.iter().flatten();
        let resources: HashSet<ResourceUri> = uris.filter_map(|uri| uri.parse().ok()).collect();
        // Without the scope, the list is empty and stays so.
        let wants_list = accepted.resources_list_changed == Some(true) && identity.require(Scope::ChatsRead).is_ok();
        let mut updates = Self { resources, changed: HashSet::new(), wants_list, is_list_changed: false };
        updates.add_all();
        updates
    }

    fn add_all(&mut self) {
        self.changed.clone_from(&self.resources);
        self.is_list_changed = self.wants_list;
    }

    fn add(&mut self, events: &[EventHeader], identity: &Identity) {
        let user = identity.claims.user_id;
        // What is for another user changes nothing here.
        for event in events.iter().filter(|event| event.user_id.is_none_or(|id| id == user)) {
            self.changed.extend(self.resources.iter().filter(|uri| uri.is_changed_by(event)));
            let is_membership = event.user_id == Some(user) && membership_change(&event.kind).is_some();
            let is_listed = event.chat_id.is_some_and(|chat| allows(identity, Scope::ChatsRead, chat));
            self.is_list_changed |= self.wants_list && is_membership && is_listed;
        }
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && !self.is_list_changed
    }

    /// Tells the client about the resources that it can read. What could not be checked stays.
    async fn send(
        &mut self,
        db: &PgPool,
        identity: &Identity,
        context: &SubscriptionContext,
    ) -> Result<(), SubscriptionSendError> {
        let mut visible: HashMap<ChatId, bool> = HashMap::new();
        for uri in self.changed.clone() {
            let chat = uri.chat();
            let is_visible = match visible.get(&chat) {
                Some(is_visible) => *is_visible,
                None => match members::find_membership(db, chat, identity.claims.user_id).await {
                    Ok(membership) => membership.is_some() && allows(identity, Scope::MessagesRead, chat),
                    Err(error) => {
                        tracing::debug!(%error, "cannot check a subscription; trying again");
                        continue;
                    }
                },
            };
            visible.insert(chat, is_visible);
            self.changed.remove(&uri);
            if is_visible {
                context.sink().notify_resource_updated(uri.to_string()).await?;
            }
        }
        if std::mem::take(&mut self.is_list_changed) {
            context.sink().notify_resource_list_changed().await?;
        }
        Ok(())
    }
}

/// Whether a token can use a scope in a chat.
fn allows(identity: &Identity, scope: Scope, chat: ChatId) -> bool {
    identity.grant.as_deref().is_none_or(|grant| grant.allows(scope, chat))
}
