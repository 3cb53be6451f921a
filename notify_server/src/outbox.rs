//! What waits to be sent to one device: bounded in number and in bytes. One that
//! overflows is emptied and marked, and its session reads the log instead.

use bytes::Bytes;
use chat_core::EventId;
use std::{
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
};
use tokio::sync::Notify;
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
}

/// What a session finds when it looks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Pieces to send, in order; the last of them ends with this event.
    Upto(EventId),
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
    /// The session that opened the stream.
    pub(crate) session: Uuid,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    pieces: Vec<Bytes>,
    bytes: usize,
    upto: EventId,
    lagged: bool,
    closed: Option<Close>,
}

impl Outbox {
    /// For a stream of this session.
    pub(crate) fn of(session: Uuid) -> Self {
        Self { session, ..Self::default() }
    }

    /// Adds a piece: whole frames, the last of which is the event `upto`. Never
    /// waits, never fails, never drops silently.
    pub(crate) fn offer(&self, piece: &Bytes, upto: EventId) {
        let mut waiting = self.lock();
        if waiting.lagged || waiting.closed.is_some() {
            return;
        }
        if waiting.pieces.len() == MAX_PIECES || (waiting.bytes + piece.len() > MAX_BYTES && waiting.bytes > 0) {
            *waiting = Waiting { lagged: true, closed: waiting.closed, ..Waiting::default() };
        } else {
            waiting.bytes += piece.len();
            waiting.upto = upto;
            waiting.pieces.push(piece.clone());
            if waiting.pieces.len() > 1 {
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

    /// Moves everything that waits into `pieces`, in place of what is there.
    pub(crate) fn take(&self, pieces: &mut Vec<Bytes>) -> Found {
        pieces.clear();
        pieces.shrink_to(KEPT_PLACES);
        let mut waiting = self.lock();
        // What came before the end is still sent: it may say why.
        match waiting.closed {
            Some(reason) if waiting.pieces.is_empty() => return Found::Closed(reason),
            None if waiting.lagged => return Found::Lagged,
            None if waiting.pieces.is_empty() => return Found::Nothing,
            _ => {}
        }
        waiting.bytes = 0;
        mem::swap(&mut waiting.pieces, pieces);
        Found::Upto(waiting.upto)
    }

    /// Why the session is to end, if it is.
    pub(crate) fn closed(&self) -> Option<Close> {
        self.lock().closed
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

    fn piece(bytes: usize) -> Bytes {
        vec![b'x'; bytes].into()
    }

    #[test]
    fn too_many_pieces_demote_and_a_restart_promotes() {
        let (outbox, mut taken) = (Outbox::default(), Vec::new());
        for _ in 0..MAX_PIECES {
            outbox.offer(&piece(1), EventId::START);
        }
        assert_eq!(outbox.take(&mut taken), Found::Upto(EventId::START));
        assert_eq!(taken.len(), MAX_PIECES);
        for _ in 0..=MAX_PIECES {
            outbox.offer(&piece(1), EventId::START);
        }
        assert_eq!(outbox.take(&mut taken), Found::Lagged);
        outbox.restart();
        assert_eq!(outbox.take(&mut taken), Found::Nothing);
    }

    #[test]
    fn too_many_bytes_demote_but_one_large_piece_does_not() {
        let outbox = Outbox::default();
        outbox.offer(&piece(MAX_BYTES + 1), EventId::START);
        assert_eq!(outbox.take(&mut Vec::new()), Found::Upto(EventId::START));
        outbox.offer(&piece(MAX_BYTES / 2), EventId::START);
        outbox.offer(&piece(MAX_BYTES / 2 + 1), EventId::START);
        assert_eq!(outbox.take(&mut Vec::new()), Found::Lagged);
    }
}
