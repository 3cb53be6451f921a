//! How the log reaches this replica's hub. Without Redis each replica reads the
//! log itself and hands it over.

use crate::{hub::Hub, ring};
use chat_core::events::{Cursor, Head, LogEntry};
use std::sync::Arc;

/// The way from the log to the hub. Never a source of truth: what it carries is
/// in the log, and what it does not carry is read from there.
#[derive(Debug)]
pub(crate) enum Relay {
    /// Straight to this process's hub.
    Local(Arc<Hub>),
}

impl Relay {
    /// Where to read on from, given where the log stands. A history that is not
    /// the one being followed is begun anew, a ring's length before its end, so
    /// that clients of a restarted replica resume from memory.
    pub(crate) fn resume(&self, head: &Head) -> Cursor {
        let Self::Local(hub) = self;
        if let Some(cursor) = hub.cursor() {
            if cursor.epoch == head.epoch && cursor.position <= head.last {
                return cursor;
            }
            tracing::warn!(was = %cursor, epoch = %head.epoch, last = %head.last, "the log's history has changed");
        }
        let floor = head.first.map_or(head.last, |first| first.back(1));
        let position = head.last.back(ring::MAX_EVENTS as i64).max(floor);
        hub.begin(head.epoch.clone(), position);
        Cursor { epoch: head.epoch.clone(), position }
    }

    /// Hands over the next events, in order.
    pub(crate) fn hand_over(&self, entries: &[LogEntry]) {
        let Self::Local(hub) = self;
        hub.route(entries);
    }
}
