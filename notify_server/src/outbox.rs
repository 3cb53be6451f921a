//! What waits to be sent to one device: bounded in number and in bytes. One that
//! overflows is emptied and marked, and its session reads the log instead.

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

/// The most pieces that wait for one device.
const MAX_PIECES: usize = 1024;

/// The most bytes that wait for one device.
const MAX_BYTES: usize = 1024 * 1024;

/// How many emptied places are kept for the next pieces.
const KEPT_PLACES: usize = 16;

/// Why the hub ends a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// The log's history changed under it.
    HistoryChanged,
    /// The user has opened too many others since.
    TooMany,
    /// The session that opened it has ended.
    Revoked,
    /// The server is stopping.
    Stopping,
}

/// What a session finds when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Pieces to send, in order.
    Pieces {
        /// The last of them ends with this event.
        upto: EventId,
        /// When the first of them was routed.
        since: Instant,
    },
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
    /// The session that opened the stream.
    pub(crate) session: Uuid,
    waiting: Mutex<Waiting>,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: Vec<Bytes>,
    bytes: usize,
    upto: EventId,
    since: Option<Instant>,
    lagged: bool,
    closed: Option<Close>,
    /// Of the session, while it waits.
    waker: Option<Waker>,
}

impl Waiting {
    /// What the session finds; nothing yet if `None`.
    fn take(&mut self, pieces: &mut Vec<Bytes>) -> Option<Found> {
        // What came before the end is still sent: it may say why.
        if let Some(since) = self.since.take() {
            self.bytes = 0;
            mem::swap(&mut self.pieces, pieces);
            return Some(Found::Pieces { upto: self.upto, since });
        }
        match self.closed {
            Some(reason) => Some(Found::Closed(reason)),
            None => self.lagged.then_some(Found::Lagged),
        }
    }

    /// Empties the queue; the session stays as it is.
    fn clear(&mut self) {
        self.pieces = Vec::new();
        self.bytes = 0;
        self.since = None;
    }
}

impl Outbox {
    /// For a stream of this session.
    pub(crate) fn of(session: Uuid) -> Self {
        Self { session, ..Self::default() }
    }

    /// Adds a piece that is routed now: whole frames, the last of which is the
    /// event `upto`. Never waits, never fails, never drops silently.
    pub(crate) fn offer(&self, piece: &Bytes, upto: EventId, now: Instant) {
        let mut waiting = self.lock();
        if waiting.lagged || waiting.closed.is_some() {
            return;
        }
        if waiting.pieces.len() == MAX_PIECES || (waiting.bytes + piece.len() > MAX_BYTES && waiting.bytes > 0) {
            waiting.clear();
            waiting.lagged = true;
        } else {
            waiting.bytes += piece.len();
            waiting.upto = upto;
            waiting.since.get_or_insert(now);
            waiting.pieces.push(piece.clone());
        }
        wake(waiting);
    }

    /// Adds a piece that is worth less than its room: dropped where others wait
    /// already. It is routed after the event `upto`.
    pub(crate) fn whisper(&self, piece: &Bytes, upto: EventId, now: Instant) {
        let (pieces, bytes) = self.depth();
        if pieces < MAX_PIECES / 2 && bytes < MAX_BYTES / 2 {
            self.offer(piece, upto, now);
        }
    }

    /// Ends the session.
    pub(crate) fn close(&self, reason: Close) {
        let mut waiting = self.lock();
        waiting.closed = Some(reason);
        wake(waiting);
    }

    /// Empties the queue for a session that starts over from a known position.
    pub(crate) fn restart(&self) {
        let mut waiting = self.lock();
        waiting.clear();
        waiting.lagged = false;
    }

    /// Waits until there is something, and moves all of it into `pieces`, in
    /// place of what is there. One session asks, so one waker is kept.
    pub(crate) async fn next(&self, pieces: &mut Vec<Bytes>) -> Found {
        pieces.clear();
        pieces.shrink_to(KEPT_PLACES);
        poll_fn(|context| {
            let mut waiting = self.lock();
            match waiting.take(pieces) {
                Some(found) => Poll::Ready(found),
                None => {
                    waiting.waker = Some(context.waker().clone());
                    Poll::Pending
                }
            }
        })
        .await
    }

    /// What `next` would find, if anything.
    #[cfg(test)]
    pub(crate) fn take(&self, pieces: &mut Vec<Bytes>) -> Option<Found> {
        pieces.clear();
        self.lock().take(pieces)
    }

    /// Why the session is to end, if it is.
    pub(crate) fn closed(&self) -> Option<Close> {
        self.lock().closed
    }

    /// How many pieces wait, and how many bytes.
    pub(crate) fn depth(&self) -> (usize, usize) {
        let waiting = self.lock();
        (waiting.pieces.len(), waiting.bytes)
    }

    /// Whether events were dropped since the last restart.
    pub(crate) fn has_lagged(&self) -> bool {
        self.lock().lagged
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // Nothing in here can panic halfway through a change.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wakes the session if it waits, without the lock that it will want.
fn wake(mut waiting: MutexGuard<'_, Waiting>) {
    let waker = waiting.waker.take();
    drop(waiting);
    if let Some(waker) = waker {
        waker.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn too_many_pieces_demote_and_a_restart_promotes() {
        let (outbox, mut taken) = (Outbox::default(), Vec::new());
        for _ in 0..MAX_PIECES {
            outbox.offer(&piece(1), EventId::START, Instant::now());
        }
        assert!(matches!(outbox.take(&mut taken), Some(Found::Pieces { .. })));
        assert_eq!(taken.len(), MAX_PIECES);
        for _ in 0..=MAX_PIECES {
            outbox.offer(&piece(1), EventId::START, Instant::now());
        }
        assert_eq!(outbox.take(&mut taken), Some(Found::Lagged));
        outbox.restart();
        assert_eq!(outbox.take(&mut taken), None);
    }

    #[test]
    fn too_many_bytes_demote_but_one_large_piece_does_not() {
        let outbox = Outbox::default();
        outbox.offer(&piece(MAX_BYTES + 1), EventId::START, Instant::now());
        assert!(matches!(outbox.take(&mut Vec::new()), Some(Found::Pieces { .. })));
        outbox.offer(&piece(MAX_BYTES / 2), EventId::START, Instant::now());
        outbox.offer(&piece(MAX_BYTES / 2 + 1), EventId::START, Instant::now());
        assert_eq!(outbox.take(&mut Vec::new()), Some(Found::Lagged));
    }
}
