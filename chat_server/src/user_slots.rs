//! Limits on how many expensive requests of one user run at the same time.

use chat_core::{Error, Result, UserId};
use dashmap::DashMap;
use std::{sync::Arc, thread::available_parallelism, time::Duration};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

/// Maximum number of expensive requests of one user that run at the same time, also on a
/// large machine.
const MAX_EXPENSIVE: usize = 2;

/// Maximum number of uploads of one user at the same time.
const MAX_UPLOADS: usize = 4;

/// Maximum number of documents for which requests of one user wait at the same time.
const MAX_DOCUMENTS: usize = 2;

/// Maximum number of requests of one user that wait.
const MAX_WAITING: usize = 16;

/// How long an expensive request waits for a slot.
const MAX_EXPENSIVE_WAIT: Duration = Duration::from_secs(5);

/// How long an upload waits for a slot.
const MAX_UPLOAD_WAIT: Duration = Duration::from_secs(60);

/// How long a request that needs a document waits for a slot.
const MAX_DOCUMENT_WAIT: Duration = Duration::from_secs(2);

/// The slots of the users that have such requests now.
#[derive(Debug)]
pub(crate) struct UserSlots {
    max_running: usize,
    max_wait: Duration,
    users: DashMap<UserId, Arc<Semaphore>>,
}

/// A slot. Dropping it lets the next request of the user run.
#[derive(Debug)]
pub(crate) struct UserSlot<'a> {
    slots: &'a UserSlots,
    user: UserId,
    permit: Option<OwnedSemaphorePermit>,
}

impl UserSlots {
    /// Slots for queries whose cost the caller chooses. One user's queries keep at most half of
    /// the cores busy: the database may run on the same machine.
    pub(crate) fn for_expensive_requests() -> Self {
        let cores = available_parallelism().map_or(1, usize::from);
        Self::new((cores / 2).clamp(1, MAX_EXPENSIVE), MAX_EXPENSIVE_WAIT)
    }

    /// Slots for uploads.
    pub(crate) fn for_uploads() -> Self {
        Self::new(MAX_UPLOADS, MAX_UPLOAD_WAIT)
    }

    /// Slots for requests that wait for a document at another server, which the caller chooses.
    pub(crate) fn for_documents() -> Self {
        Self::new(MAX_DOCUMENTS, MAX_DOCUMENT_WAIT)
    }

    fn new(max_running: usize, max_wait: Duration) -> Self {
        Self { max_running, max_wait, users: DashMap::new() }
    }

    /// Waits for a slot as long as it takes, for a request that has begun to respond.
    pub(crate) async fn wait(&self, user: UserId) -> Result<UserSlot<'_>> {
        let semaphore = self.semaphore(user);
        let mut slot = UserSlot { slots: self, user, permit: None };
        slot.permit = Some(semaphore.acquire_owned().await.map_err(Error::internal)?);
        Ok(slot)
    }

    fn semaphore(&self, user: UserId) -> Arc<Semaphore> {
        Arc::clone(&self.users.entry(user).or_insert_with(|| Arc::new(Semaphore::new(self.max_running))))
    }

    /// Waits for a slot. Returns `TooManyRequests` if too many requests of the user wait,
    /// or if the slot is not free in time.
    pub(crate) async fn acquire(&self, user: UserId) -> Result<UserSlot<'_>> {
        let semaphore = self.semaphore(user);
        // The map has one reference, and each request has one.
        if Arc::strong_count(&semaphore) > 1 + self.max_running + MAX_WAITING {
            return Err(Error::TooManyRequests);
        }
        // From here on, dropping the slot removes the user if no request is left.
        let mut slot = UserSlot { slots: self, user, permit: None };
        let permit = timeout(self.max_wait, semaphore.acquire_owned()).await.map_err(|_| Error::TooManyRequests)?;
        slot.permit = Some(permit.map_err(Error::internal)?);
        Ok(slot)
    }
}

impl Drop for UserSlot<'_> {
    fn drop(&mut self) {
        self.permit = None;
        self.slots.users.remove_if(&self.user, |_, semaphore| Arc::strong_count(semaphore) == 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn one_user_runs_few_requests_at_a_time_and_delays_no_other() {
        let slots = UserSlots::new(2, MAX_EXPENSIVE_WAIT);
        let [alice, bob]: [UserId; 2] = [1, 2].map(|id| UserId::try_from(id).expect("an id"));
        let first = slots.acquire(alice).await.expect("a slot");
        let _second = slots.acquire(alice).await.expect("a slot");
        assert!(matches!(slots.acquire(alice).await, Err(Error::TooManyRequests)), "both slots are taken");
        drop(slots.acquire(bob).await.expect("a slot of his own"));
        drop(first);
        drop(slots.acquire(alice).await.expect("a slot again"));
    }

    #[tokio::test]
    async fn a_user_without_requests_uses_no_memory() {
        let slots = UserSlots::for_expensive_requests();
        drop(slots.acquire(1.try_into().expect("an id")).await.expect("a slot"));
        assert!(slots.users.is_empty());
    }
}
