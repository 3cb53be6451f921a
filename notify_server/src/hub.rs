//! Routes events to the connections of their audience. A user's chats are loaded when
//! their first connection attaches, and the log keeps them up to date.

use crate::{
    frame::{self, Event},
    replay_buffer::ReplayBuffer,
    send_queue::{CloseReason, SendQueue},
};
use bytes::Bytes;
use chat_core::{
    ChatId, EventId, UserId,
    events::{Chats, Cursor, Epoch, LogEntry, MembershipChange, Position, redaction::Redaction},
};
use dashmap::{DashMap, Entry};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};

/// Maximum number of connections of one user. A further connection closes the oldest.
const MAX_CONNECTIONS_PER_USER: usize = 50;

/// The online users of this replica and their connections.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Held while an event is routed and while a connection attaches or detaches, so
    /// that a connection is live from an exact position. `users` and `members_by_chat`
    /// change only while it is held.
    state: Mutex<HubState>,
    /// Written while `state` is held; connections that resume read it without `state`.
    replay_buffer: RwLock<ReplayBuffer>,
    /// The online users.
    users: DashMap<UserId, OnlineUser>,
    /// The online members of each chat.
    members_by_chat: DashMap<ChatId, HashSet<UserId>>,
    /// The users who came online or went offline since the last `take_changed_users`.
    changed_users: Mutex<HashSet<UserId>>,
    /// The last routed position, for callers that wait for a position.
    position: watch::Sender<Option<EventId>>,
}

#[derive(Debug, Default)]
struct HubState {
    /// How far the log has been routed; `None` until it is first read.
    cursor: Option<Cursor>,
    /// Whether the server is shutting down: no connection may attach any more.
    is_stopped: bool,
}

#[derive(Debug)]
struct OnlineUser {
    /// One queue per connection, oldest first.
    connections: Vec<Arc<SendQueue>>,
    /// The user's chats as of the hub's position. Shared with connections that resume.
    chats: Arc<Chats>,
}

/// The position from which a connection is live.
#[derive(Debug)]
pub(crate) struct LivePosition {
    /// The connection receives every event after this cursor.
    pub(crate) cursor: Cursor,
    /// The user's chats at that position.
    pub(crate) chats: Arc<Chats>,
}

/// A user's chats, and the position as of which they were loaded.
pub(crate) type LoadedChats = (EventId, Chats);

/// Counts of users, connections and queued frames.
#[derive(Debug, Default)]
pub(crate) struct HubStats {
    pub(crate) connected_users: usize,
    pub(crate) connections: usize,
    pub(crate) queued_frames: usize,
    pub(crate) queued_bytes: usize,
}

/// Why a connection is not attached.
#[derive(Debug)]
pub(crate) enum AttachError {
    /// The chats of the user are not loaded. Load them and try again.
    ChatsNotLoaded,
    /// The chats were loaded as of this position, and the hub has not reached it yet.
    LogBehind(EventId),
    /// The connection was closed and must not attach to another history.
    Closed(CloseReason),
}

impl Hub {
    /// Starts a history at a position and discards the previous history, with all of its
    /// connections.
    pub(crate) fn start_history(&self, epoch: Epoch, position: Position) {
        let mut state = self.lock();
        self.close_all(CloseReason::HistoryChanged);
        // All users are now offline, and may reconnect to another replica.
        self.users.iter().for_each(|online_user| self.mark_changed(*online_user.key()));
        self.users.clear();
        self.members_by_chat.clear();
        *self.replay_buffer.write().unwrap_or_else(PoisonError::into_inner) = ReplayBuffer::starting_after(position);
        state.cursor = Some(Cursor { epoch, position });
        self.position.send_replace(Some(position.id));
    }

    /// Closes all connections and rejects later ones.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.close_all(CloseReason::ShuttingDown);
    }

    fn close_all(&self, reason: CloseReason) {
        for online_user in &self.users {
            online_user.connections.iter().for_each(|connection| connection.close(reason));
        }
    }

    /// Returns the position up to which the log has been routed.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.lock().cursor.clone()
    }

    /// Routes the next batch: all events of the log up to a position. Idempotent: skips
    /// events at or before the hub's own position.
    pub(crate) fn route(&self, entries: &[LogEntry], up_to: Position) {
        let mut state = self.lock();
        let Some(cursor) = state.cursor.as_mut() else { return };
        if up_to.id <= cursor.position.id {
            return;
        }
        let first_new = entries.partition_point(|entry| entry.id <= cursor.position.id);
        let entries = entries.get(first_new..).unwrap_or_default();
        let (buffer, events) = frame::encode(&cursor.epoch, entries);
        self.dispatch(&buffer, &events);
        let mut replay_buffer = self.replay_buffer.write().unwrap_or_else(PoisonError::into_inner);
        replay_buffer.extend(events);
        entries.iter().filter_map(Redaction::from_entry).for_each(|redaction| replay_buffer.redact(redaction));
        drop(replay_buffer);
        cursor.position = up_to;
        drop(state);
        self.position.send_replace(Some(up_to.id));
    }

    /// Sends adjacent events for the same chat to its members as one slice: they are
    /// contiguous in the buffer.
    fn dispatch(&self, buffer: &Bytes, events: &[Event]) {
        let now = Instant::now();
        let mut start = 0;
        for run in events.chunk_by(has_same_audience) {
            let end = start + run.iter().map(|event| event.sse.len()).sum::<usize>();
            if let Some(last) = run.last() {
                match (last.audience.user_id, last.audience.chat_id) {
                    (Some(user), _) => {
                        self.dispatch_to_user(user, last, now);
                        self.dispatch_to_shared_chats(user, last, now);
                    }
                    (None, Some(chat)) => self.dispatch_to_chat(chat, &buffer.slice(start..end), last.position.id, now),
                    (None, None) => {}
                }
            }
            start = end;
        }
    }

    fn dispatch_to_user(&self, user: UserId, event: &Event, now: Instant) {
        let Some(mut online_user) = self.users.get_mut(&user) else { return };
        if let (Some(chat), Some(change)) = (event.audience.chat_id, event.audience.membership_change) {
            change.apply(Arc::make_mut(&mut online_user.chats), chat);
            match change {
                MembershipChange::Join => self.add_online_member(chat, user),
                MembershipChange::Leave => self.remove_online_member(chat, user),
            }
        }
        online_user.connections.iter().for_each(|connection| connection.try_push(&event.sse, event.position.id, now));
        if let Some(session) = event.revoked_session {
            online_user
                .connections
                .iter()
                .filter(|connection| connection.session == session)
                .for_each(|s| s.close(CloseReason::SessionRevoked));
        }
    }

    /// Sends an event about a user to the others who share a chat with the user, once each.
    fn dispatch_to_shared_chats(&self, about: UserId, event: &Event, now: Instant) {
        let Some(chats) = &event.audience.chat_ids else { return };
        let members = chats.iter().filter_map(|chat| self.members_by_chat.get(chat));
        let others: HashSet<UserId> =
            members.flat_map(|members| members.clone()).filter(|user| *user != about).collect();
        for online_user in others.iter().filter_map(|user| self.users.get(user)) {
            online_user
                .connections
                .iter()
                .for_each(|connection| connection.try_push(&event.sse, event.position.id, now));
        }
    }

    fn dispatch_to_chat(&self, chat: ChatId, frames: &Bytes, up_to: EventId, now: Instant) {
        let Some(members) = self.members_by_chat.get(&chat) else { return };
        for user in members.iter() {
            if let Some(online_user) = self.users.get(user) {
                online_user.connections.iter().for_each(|connection| connection.try_push(frames, up_to, now));
            }
        }
    }

    /// Makes a connection live from the current position. `loaded` holds the user's
    /// chats as read from the database, and their position.
    pub(crate) fn attach(
        &self,
        user: UserId,
        queue: &Arc<SendQueue>,
        loaded: Option<&LoadedChats>,
    ) -> Result<LivePosition, AttachError> {
        let state = self.lock();
        if let Some(reason) = state.is_stopped.then_some(CloseReason::ShuttingDown).or_else(|| queue.close_reason()) {
            return Err(AttachError::Closed(reason));
        }
        let Some(cursor) = state.cursor.clone() else {
            return Err(AttachError::LogBehind(EventId::START));
        };
        let replay_buffer = self.replay_buffer.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((position, _)) = loaded.filter(|(position, _)| *position <= cursor.position.id) {
            // The session was active when it was loaded. It may have been revoked
            // since.
            match replay_buffer.was_revoked(queue.session, *position, cursor.position.id) {
                None => return Err(AttachError::ChatsNotLoaded),
                Some(true) => return Err(AttachError::Closed(CloseReason::SessionRevoked)),
                Some(false) => {}
            }
        }
        let chats = match self.users.entry(user) {
            Entry::Occupied(mut online_user) => {
                let online_user = online_user.get_mut();
                online_user.add_connection(queue);
                Arc::clone(&online_user.chats)
            }
            Entry::Vacant(entry) => {
                let (position, chats) = loaded.ok_or(AttachError::ChatsNotLoaded)?;
                if *position > cursor.position.id {
                    return Err(AttachError::LogBehind(*position));
                }
                let mut chats = chats.clone();
                replay_buffer
                    .apply_membership_changes(user, &mut chats, *position, cursor.position.id)
                    .ok_or(AttachError::ChatsNotLoaded)?;
                let chats = Arc::new(chats);
                entry.insert(OnlineUser { connections: vec![Arc::clone(queue)], chats: Arc::clone(&chats) });
                chats.iter().for_each(|chat| self.add_online_member(*chat, user));
                self.mark_changed(user);
                chats
            }
        };
        queue.restart();
        Ok(LivePosition { cursor, chats })
    }

    /// Removes a connection, and also its user if it was the user's last connection.
    pub(crate) fn detach(&self, user: UserId, queue: &Arc<SendQueue>) {
        let _state = self.lock();
        let Entry::Occupied(mut online_user) = self.users.entry(user) else { return };
        online_user.get_mut().connections.retain(|connection| !Arc::ptr_eq(connection, queue));
        if online_user.get().connections.is_empty() {
            let online_user = online_user.remove();
            online_user.chats.iter().for_each(|chat| self.remove_online_member(*chat, user));
            self.mark_changed(user);
        }
    }

    fn mark_changed(&self, user: UserId) {
        self.changed_users.lock().unwrap_or_else(PoisonError::into_inner).insert(user);
    }

    /// Returns the users who came online or went offline since the last call.
    pub(crate) fn take_changed_users(&self) -> HashSet<UserId> {
        std::mem::take(&mut *self.changed_users.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a user has a connection to this replica.
    pub(crate) fn is_online(&self, user: UserId) -> bool {
        self.users.contains_key(&user)
    }

    /// Whether more than `limit` members of a chat are connected to this replica.
    pub(crate) fn has_more_online_members_than(&self, chat: ChatId, limit: usize) -> bool {
        self.members_by_chat.get(&chat).is_some_and(|members| members.len() > limit)
    }

    /// Returns the users connected to this replica who are in any of these chats.
    pub(crate) fn online_members(&self, chats: &HashSet<ChatId>) -> HashSet<UserId> {
        let _state = self.lock();
        chats.iter().filter_map(|chat| self.members_by_chat.get(chat)).flat_map(|members| members.clone()).collect()
    }

    /// Sends frames that are not in the log to these users, at the current position.
    pub(crate) fn dispatch_ephemeral(&self, users: &HashSet<UserId>, frames: &Bytes) {
        let state = self.lock();
        let Some(Cursor { position, .. }) = state.cursor.as_ref() else { return };
        let now = Instant::now();
        for online_user in users.iter().filter_map(|user| self.users.get(user)) {
            online_user
                .connections
                .iter()
                .for_each(|connection| connection.try_push_ephemeral(frames, position.id, now));
        }
    }

    /// Whether a position belongs to the current history; `None` if only the log knows.
    pub(crate) fn contains(&self, position: Position) -> Option<bool> {
        self.replay_buffer.read().unwrap_or_else(PoisonError::into_inner).contains(position)
    }

    /// Returns the events for a user after one position and up to another, if they
    /// are recent enough to be in memory.
    pub(crate) fn replay(&self, user: UserId, chats: &Chats, after: EventId, up_to: EventId) -> Option<Vec<Bytes>> {
        self.replay_buffer.read().unwrap_or_else(PoisonError::into_inner).replay(user, chats, after, up_to)
    }

    /// Waits until a position has been routed; returns false on timeout.
    pub(crate) async fn wait_for_position(&self, position: EventId, time_limit: Duration) -> bool {
        let mut positions = self.position.subscribe();
        let routed = positions.wait_for(|at| at.is_some_and(|at| at >= position));
        matches!(timeout(time_limit, routed).await, Ok(Ok(_)))
    }

    /// Counts all users and connections. Slow; for occasional reads of the metrics.
    pub(crate) fn stats(&self) -> HubStats {
        let mut stats = HubStats::default();
        for online_user in &self.users {
            stats.connected_users += 1;
            stats.connections += online_user.connections.len();
            for (frames, bytes) in online_user.connections.iter().map(|connection| connection.depth()) {
                stats.queued_frames += frames;
                stats.queued_bytes += bytes;
            }
        }
        stats
    }

    fn add_online_member(&self, chat: ChatId, user: UserId) {
        self.members_by_chat.entry(chat).or_default().insert(user);
    }

    fn remove_online_member(&self, chat: ChatId, user: UserId) {
        if let Entry::Occupied(mut members) = self.members_by_chat.entry(chat) {
            members.get_mut().remove(&user);
            if members.get().is_empty() {
                members.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HubState> {
        // A panic under the lock is a bug and has been logged. Afterwards the maps are
        // at most one event behind for one user.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asserts that `members_by_chat` contains each online user in exactly the user's
    /// chats, and no other user.
    #[cfg(test)]
    fn check_invariants(&self) {
        let _state = self.lock();
        for online_user in &self.users {
            assert!(!online_user.connections.is_empty(), "an online user without a connection");
            for chat in online_user.chats.iter() {
                assert!(
                    self.members_by_chat.get(chat).is_some_and(|members| members.contains(online_user.key())),
                    "missing from members_by_chat"
                );
            }
        }
        for members in &self.members_by_chat {
            assert!(!members.is_empty(), "an empty member set");
            for user in members.iter() {
                assert!(
                    self.users.get(user).is_some_and(|online_user| online_user.chats.contains(members.key())),
                    "a stale member"
                );
            }
        }
    }
}

/// Whether two adjacent events are for the members of the same chat.
fn has_same_audience(one: &Event, next: &Event) -> bool {
    let (one, next) = (&one.audience, &next.audience);
    one.user_id.is_none() && next.user_id.is_none() && one.chat_id == next.chat_id
}

impl OnlineUser {
    fn add_connection(&mut self, queue: &Arc<SendQueue>) {
        if self.connections.iter().any(|connection| Arc::ptr_eq(connection, queue)) {
            return;
        }
        if self.connections.len() >= MAX_CONNECTIONS_PER_USER {
            self.connections.remove(0).close(CloseReason::TooManyConnections);
        }
        self.connections.push(Arc::clone(queue));
    }
}

#[cfg(test)]
mod tests;
