//! What waits to be sent to one device: bounded in number and in bytes. One that
//! overflows is emptied and marked, and its session reads the log instead.

use crate::frame::Event;
use std::{
    collections::VecDeque,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;

/// The most events that wait for one device.
const MAX_EVENTS: usize = 1024;

/// The most bytes that wait for one device.
const MAX_BYTES: usize = 1024 * 1024;

/// Why the hub ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// The log's history changed under it.
    HistoryChanged,
    /// The user has opened too many others since.
    TooMany,
}

/// What a session finds when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Events to send, in order; at least one.
    Events,
    /// Nothing yet.
    Nothing,
    /// Events were dropped here: catch up from the log.
    Lagged,
    /// End the stream.
    Closed(Close),
}

/// The queue between the hub and one session. The hub offers, the session takes;
/// both hold the lock for a few instructions and never across an await, so it is
/// a std one.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    lagged: bool,
    closed: Option<Close>,
}

impl Outbox {
    /// Adds an event for the session. Never waits, never fails, never drops
    /// silently.
    pub(crate) fn offer(&self, event: &Arc<Event>) {
        let mut waiting = self.lock();
        if waiting.lagged {
            return;
        }
        if waiting.events.len() == MAX_EVENTS || waiting.bytes + event.sse.len() > MAX_BYTES {
            *waiting = Waiting { lagged: true, closed: waiting.closed, ..Waiting::default() };
        } else {
            waiting.bytes += event.sse.len();
            waiting.events.push_back(Arc::clone(event));
            if waiting.events.len() > 1 {
                return; // The session has been woken and has not looked yet.
            }
        }
        drop(waiting);
        self.wake.notify_one();
    }

    /// Ends the session.
    pub(crate) fn close(&self, reason: Close) {
        self.lock().closed = Some(reason);
        self.wake.notify_one();
    }

    /// Empties the queue for a session that starts over from a known position.
    pub(crate) fn restart(&self) {
        let mut waiting = self.lock();
        *waiting = Waiting { closed: waiting.closed, ..Waiting::default() };
    }

    /// Moves everything that waits into `events`.
    pub(crate) fn take(&self, events: &mut VecDeque<Arc<Event>>) -> Found {
        let mut waiting = self.lock();
        if let Some(reason) = waiting.closed {
            return Found::Closed(reason);
        }
        if waiting.lagged {
            return Found::Lagged;
        }
        if waiting.events.is_empty() {
            return Found::Nothing;
        }
        waiting.bytes = 0;
        mem::swap(&mut waiting.events, events);
        Found::Events
    }

    /// Whether events were dropped since the last restart.
    pub(crate) fn has_lagged(&self) -> bool {
        self.lock().lagged
    }

    /// Returns when there is something to find.
    pub(crate) async fn changed(&self) {
        self.wake.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here can panic halfway through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::EventId;

    fn event(bytes: usize) -> Arc<Event> {
        let sse = vec![b'x'; bytes].into();
        Arc::new(Event { id: EventId::START, chat_id: None, user_id: None, crossing: None, sse })
    }

    #[test]
    fn too_many_events_demote_and_a_restart_promotes() {
        let (outbox, mut taken) = (Outbox::default(), VecDeque::new());
        for _ in 0..MAX_EVENTS {
            outbox.offer(&event(1));
        }
        assert_eq!(outbox.take(&mut taken), Found::Events);
        assert_eq!(taken.len(), MAX_EVENTS);
        for _ in 0..=MAX_EVENTS {
            outbox.offer(&event(1));
        }
        assert_eq!(outbox.take(&mut taken), Found::Lagged);
        outbox.restart();
        assert_eq!(outbox.take(&mut taken), Found::Nothing);
    }

    #[test]
    fn too_many_bytes_demote() {
        let outbox = Outbox::default();
        outbox.offer(&event(MAX_BYTES / 2));
        outbox.offer(&event(MAX_BYTES / 2 + 1));
        assert_eq!(outbox.take(&mut VecDeque::new()), Found::Lagged);
    }
}
