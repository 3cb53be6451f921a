//! Live updates: `subscriptions/listen` tells a client that a resource has changed, until the client
//! closes the request. An update has no content: the client reads the resource again, with its rights.

use crate::{
    api::Api,
    log_follower::{LogBatch, LogFollower},
    resources::ResourceUri,
};
use chat_core::{
    UserId,
    auth::{Authenticator, Identity, Scope},
    events::{EventHeader, membership_change},
};
use rmcp::{ErrorData, model::SubscriptionFilter, service::SubscriptionContext};
use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::{
    sync::broadcast::error::RecvError,
    time::{Instant, interval, sleep_until},
};

/// Maximum number of resources that one subscription follows.
pub(crate) const MAX_RESOURCES: usize = 20;

/// Maximum number of subscriptions of one account, and of all.
const MAX_OF_ACCOUNT: usize = 4;
const MAX_OF_ALL: usize = 256;

/// The time between two updates of one subscription. What changes meanwhile is one update.
const UPDATE_INTERVAL: Duration = Duration::from_secs(1);

/// How often the token of a subscription is checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);

/// How long a subscription lasts. Clients open another one.
const MAX_DURATION: Duration = Duration::from_secs(3600);

/// What subscriptions of this process share.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    log: Arc<LogFollower>,
    authenticator: Arc<Authenticator>,
    open: Mutex<HashMap<UserId, usize>>,
}

/// The part of a requested filter that is served: resources with valid URIs, at most
/// [`MAX_RESOURCES`], and changes of the list of chats.
pub(crate) fn accept(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let uris = uris.filter(|uri| uri.parse::<ResourceUri>().is_ok()).take(MAX_RESOURCES);
    let mut accepted = SubscriptionFilter::builder().resource_subscriptions(uris.cloned()).build();
    accepted.resources_list_changed = requested.resources_list_changed;
    accepted
}

impl Subscriptions {
    pub(crate) fn new(log: Arc<LogFollower>, authenticator: Arc<Authenticator>) -> Self {
        Self { log, authenticator, open: Mutex::default() }
    }

    /// Sends updates until the client closes the request, the token ends or the time is over.
    pub(crate) async fn run(
        &self,
        api: &Api<'_>,
        identity: &Identity,
        context: &SubscriptionContext,
    ) -> Result<(), ErrorData> {
        let _slot = self.acquire(identity.account_id)?;
        let unavailable = || ErrorData::internal_error("updates are not available now; try again", None);
        let mut batches = self.log.subscribe().await.ok_or_else(unavailable)?;
        let mut pending = Pending::all(context.accepted());
        let deadline = Instant::now() + MAX_DURATION;
        let mut next_update_at = Instant::now();
        let mut checks = interval(CHECK_INTERVAL);
        loop {
            tokio::select! {
                () = context.cancelled() => return Ok(()),
                () = sleep_until(deadline) => return Ok(()),
                _ = checks.tick() => {
                    if self.authenticator.sessions.require_active(identity.claims).await.is_err() {
                        return Ok(());
                    }
                }
                () = sleep_until(next_update_at), if !pending.is_empty() => {
                    pending.send(api, identity, context).await?;
                    next_update_at = Instant::now() + UPDATE_INTERVAL;
                }
                batch = batches.recv() => match batch {
                    Ok(LogBatch::Events(events)) => pending.add(&events, identity.claims.user_id),
                    Ok(LogBatch::Unknown) | Err(RecvError::Lagged(_)) => pending.add_all(),
                    Err(RecvError::Closed) => return Ok(()),
                },
            }
        }
    }

    fn acquire(&self, account: UserId) -> Result<SubscriptionSlot<'_>, ErrorData> {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let all: usize = open.values().sum();
        let own = open.get(&account).copied().unwrap_or_default();
        if own >= MAX_OF_ACCOUNT || all >= MAX_OF_ALL {
            return Err(ErrorData::invalid_request("too many subscriptions; close one first", None));
        }
        open.insert(account, own + 1);
        Ok(SubscriptionSlot { open: &self.open, account })
    }
}

/// A subscription that counts for an account.
struct SubscriptionSlot<'a> {
    open: &'a Mutex<HashMap<UserId, usize>>,
    account: UserId,
}

impl Drop for SubscriptionSlot<'_> {
    fn drop(&mut self) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        match open.get_mut(&self.account) {
            Some(count) if *count > 1 => *count -= 1,
            _ => {
                open.remove(&self.account);
            }
        }
    }
}

/// What a client has to be told.
struct Pending {
    resources: HashSet<ResourceUri>,
    changed: HashSet<ResourceUri>,
    wants_list: bool,
    is_list_changed: bool,
}

impl Pending {
    /// All that a client follows: what changed before the log was followed is not known.
    fn all(accepted: &SubscriptionFilter) -> Self {
        let uris = accepted.resource_subscriptions.iter().flatten();
        let resources: HashSet<ResourceUri> = uris.filter_map(|uri| uri.parse().ok()).collect();
        let wants_list = accepted.resources_list_changed == Some(true);
        let mut pending = Self { resources, changed: HashSet::new(), wants_list, is_list_changed: false };
        pending.add_all();
        pending
    }

    fn add_all(&mut self) {
        self.changed.clone_from(&self.resources);
        self.is_list_changed = self.wants_list;
    }

    fn add(&mut self, events: &[EventHeader], user: UserId) {
        // What is for another user changes nothing here.
        for event in events.iter().filter(|event| event.user_id.is_none_or(|id| id == user)) {
            self.changed.extend(self.resources.iter().filter(|uri| uri.is_changed_by(event)));
            let is_own = event.user_id == Some(user);
            self.is_list_changed |= self.wants_list && is_own && membership_change(&event.kind).is_some();
        }
    }

    fn is_empty(&self) -> bool {
        self.changed.is_empty() && !self.is_list_changed
    }

    /// Tells the client about the resources that it can read.
    async fn send(
        &mut self,
        api: &Api<'_>,
        identity: &Identity,
        context: &SubscriptionContext,
    ) -> Result<(), ErrorData> {
        let failed = |_| ErrorData::internal_error("the client does not read", None);
        let mut visible: HashMap<_, bool> = HashMap::new();
        for uri in self.changed.drain() {
            let chat = uri.chat();
            let is_visible = match visible.get(&chat) {
                Some(is_visible) => *is_visible,
                None => {
                    let grants = |grant: &chat_core::auth::Grant| grant.allows(Scope::MessagesRead, chat);
                    let is_granted = identity.grant.as_deref().is_none_or(grants);
                    is_granted && api.get(&format!("/api/chats/{chat}")).await.is_ok()
                }
            };
            visible.insert(chat, is_visible);
            if is_visible {
                context.sink().notify_resource_updated(uri.to_string()).await.map_err(failed)?;
            }
        }
        if std::mem::take(&mut self.is_list_changed) {
            context.sink().notify_resource_list_changed().await.map_err(failed)?;
        }
        Ok(())
    }
}
