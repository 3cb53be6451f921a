//! The queue of frames for one connection, limited in number and in bytes. A queue that
//! overflows is emptied and marked, and its connection catches up from the log.

use bytes::Bytes;
use chat_core::EventId;
use std::{
    future::poll_fn,
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Poll, Waker},
    time::Instant,
};
use uuid::Uuid;

/// Maximum number of entries in a queue. An entry is one or more complete frames.
const MAX_FRAMES: usize = 1024;

/// Maximum total size of the entries in a queue, in bytes.
const MAX_BYTES: usize = 1024 * 1024;

/// The capacity that an emptied vector keeps for the next entries.
const KEPT_CAPACITY: usize = 16;

/// Why the hub closes a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum CloseReason {
    /// The log's history changed.
    HistoryChanged,
    /// The user has opened too many other connections since.
    TooManyConnections,
    /// The session that opened the connection has ended.
    SessionRevoked,
    /// The server is stopping.
    ShuttingDown,
}

/// The content of a queue, as its connection receives it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    /// Entries to send, in order.
    Frames {
        /// The last event of the last entry.
        last_event: EventId,
        /// When the first entry was routed.
        routed_at: Instant,
    },
    /// Events were dropped: catch up from the log.
    Lagged,
    /// Close the connection.
    Closed(CloseReason),
}

/// The queue between the hub and one connection. The hub pushes entries and the
/// connection takes them. Both hold the lock for a few instructions and never across an
/// await, so the lock is a std mutex.
#[derive(Debug, Default)]
pub(crate) struct SendQueue {
    /// The session that opened the connection.
    pub(crate) session: Uuid,
    state: Mutex<QueueState>,
}

#[derive(Debug, Default)]
struct QueueState {
    frames: Vec<Bytes>,
    bytes: usize,
    last_event: EventId,
    routed_at: Option<Instant>,
    has_lagged: bool,
    close_reason: Option<CloseReason>,
    /// The waker of the connection while it waits.
    waker: Option<Waker>,
}

impl QueueState {
    /// Takes the content of the queue. Returns `None` if the queue is empty.
    fn take(&mut self, frames: &mut Vec<Bytes>) -> Option<Polled> {
        // Entries queued before the close are still sent, because they may contain the
        // reason.
        if let Some(routed_at) = self.routed_at.take() {
            self.bytes = 0;
            mem::swap(&mut self.frames, frames);
            return Some(Polled::Frames { last_event: self.last_event, routed_at });
        }
        match self.close_reason {
            Some(reason) => Some(Polled::Closed(reason)),
            None => self.has_lagged.then_some(Polled::Lagged),
        }
    }

    /// Empties the queue. Keeps the lag mark and the close reason.
    fn clear(&mut self) {
        self.frames = Vec::new();
        self.bytes = 0;
        self.routed_at = None;
    }
}

impl SendQueue {
    /// Creates the queue of a connection that this session opened.
    pub(crate) fn for_session(session: Uuid) -> Self {
        Self { session, ..Self::default() }
    }

    /// Adds an entry that is routed now: complete frames, the last of which is the event
    /// `last_event`. Never waits and never fails. An overflow marks the queue as lagged.
    pub(crate) fn try_push(&self, frame: &Bytes, last_event: EventId, now: Instant) {
        let mut state = self.lock();
        if state.has_lagged || state.close_reason.is_some() {
            return;
        }
        if state.frames.len() == MAX_FRAMES || (state.bytes + frame.len() > MAX_BYTES && state.bytes > 0) {
            state.clear();
            state.has_lagged = true;
        } else {
            state.bytes += frame.len();
            state.last_event = last_event;
            state.routed_at.get_or_insert(now);
            state.frames.push(frame.clone());
        }
        wake(state);
    }

    /// Adds an ephemeral entry, routed after the event `last_event`. Drops it if the
    /// queue is already half full.
    pub(crate) fn try_push_ephemeral(&self, frame: &Bytes, last_event: EventId, now: Instant) {
        let (frames, bytes) = self.depth();
        if frames < MAX_FRAMES / 2 && bytes < MAX_BYTES / 2 {
            self.try_push(frame, last_event, now);
        }
    }

    /// Closes the connection.
    pub(crate) fn close(&self, reason: CloseReason) {
        let mut state = self.lock();
        state.close_reason = Some(reason);
        wake(state);
    }

    /// Empties the queue for a connection that restarts from a known position.
    pub(crate) fn restart(&self) {
        let mut state = self.lock();
        state.clear();
        state.has_lagged = false;
    }

    /// Waits until the queue is not empty, and moves all of its entries into `frames`,
    /// which it clears first. Only one task waits, so one waker is kept.
    pub(crate) async fn next(&self, frames: &mut Vec<Bytes>) -> Polled {
        frames.clear();
        frames.shrink_to(KEPT_CAPACITY);
        poll_fn(|context| {
            let mut state = self.lock();
            match state.take(frames) {
                Some(polled) => Poll::Ready(polled),
                None => {
                    state.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// Returns what `next` would return, without waiting.
    #[cfg(test)]
    pub(crate) fn take(&self, frames: &mut Vec<Bytes>) -> Option<Polled> {
        frames.clear();
        self.lock().take(frames)
    }

    /// Returns why the hub closes the connection, if it does.
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.lock().close_reason
    }

    /// Returns the number of entries in the queue, and their size in bytes.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let state = self.lock();
        (state.frames.len(), state.bytes)
    }

    /// Whether events were dropped since the last restart.
    pub(crate) fn has_lagged(&self) -> bool {
        self.lock().has_lagged
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        // No code that holds the lock can panic in the middle of a change.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Releases the lock, and then wakes the connection if it waits.
fn wake(mut state: MutexGuard<'_, QueueState>) {
    let waker = state.waker.take();
    drop(state);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn too_many_frames_cause_a_lag_and_a_restart_clears_it() {
        let (queue, mut polled_frames) = (SendQueue::default(), Vec::new());
        for _ in 0..MAX_FRAMES {
            queue.try_push(&frame(1), EventId::START, Instant::now());
        }
        assert!(matches!(queue.take(&mut polled_frames), Some(Polled::Frames { .. })));
        assert_eq!(polled_frames.len(), MAX_FRAMES);
        for _ in 0..=MAX_FRAMES {
            queue.try_push(&frame(1), EventId::START, Instant::now());
        }
        assert_eq!(queue.take(&mut polled_frames), Some(Polled::Lagged));
        queue.restart();
        assert_eq!(queue.take(&mut polled_frames), None);
    }

    #[test]
    fn too_many_bytes_cause_a_lag_but_one_large_frame_does_not() {
        let queue = SendQueue::default();
        queue.try_push(&frame(MAX_BYTES + 1), EventId::START, Instant::now());
        assert!(matches!(queue.take(&mut Vec::new()), Some(Polled::Frames { .. })));
        queue.try_push(&frame(MAX_BYTES / 2), EventId::START, Instant::now());
        queue.try_push(&frame(MAX_BYTES / 2 + 1), EventId::START, Instant::now());
        assert_eq!(queue.take(&mut Vec::new()), Some(Polled::Lagged));
    }
}
