//! Routes events to the devices of those who may hear them. A person's chats are
//! loaded when their first device connects and kept right by the log itself.

use crate::{
    frame::{self, Event},
    outbox::{Close, Outbox},
    ring::{self, Ring},
};
use bytes::Bytes;
use chat_core::{
    ChatId, EventId, UserId,
    events::{Chats, Crossing, Cursor, Epoch, Head, LogEntry, erasure::TakenBack},
};
use dashmap::{DashMap, Entry};
use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::{Duration, Instant},
};
use tokio::{sync::watch, time::timeout};

/// The most streams one person holds; the oldest makes room.
const MAX_STREAMS_PER_USER: usize = 50;

/// The online people of this replica, and what they hear.
#[derive(Debug, Default)]
pub(crate) struct Hub {
    /// Held while an event is routed and while a device comes or goes, so that a
    /// device is live from an exact position. Both maps change only under it.
    tail: Mutex<Tail>,
    /// Written under `tail`; read by resuming sessions without it.
    ring: RwLock<Ring>,
    /// The user senders.
    people: DashMap<UserId, Person>,
    /// The online members of each chat.
    rooms: DashMap<ChatId, HashSet<UserId>>,
    /// Those who came or went since somebody last asked.
    changed: Mutex<HashSet<UserId>>,
    /// The last position routed, for those who wait for one.
    reached: watch::Sender<Option<EventId>>,
}

#[derive(Debug, Default)]
struct Tail {
    /// How far the log has been routed; nothing until it was first read.
    cursor: Option<Cursor>,
    /// The server is stopping: nobody is to be live any more.
    is_stopped: bool,
}

#[derive(Debug)]
struct Person {
    /// One for each device, oldest first.
    senders: Vec<Arc<Outbox>>,
    /// As of the tail's position. Shared with resuming sessions.
    chats: Arc<Chats>,
}

/// Where a device is live from.
#[derive(Debug)]
pub(crate) struct Attached {
    /// It hears every event after this.
    pub(crate) cursor: Cursor,
    /// The person's chats at that position.
    pub(crate) chats: Arc<Chats>,
}

/// A person's chats, and the position as of which they are.
pub(crate) type Loaded = (EventId, Chats);

/// Who is here, and what waits for them.
#[derive(Debug, Default)]
pub(crate) struct Census {
    pub(crate) people: usize,
    pub(crate) streams: usize,
    pub(crate) pieces: usize,
    pub(crate) bytes: usize,
}

/// Why a device is not attached.
#[derive(Debug)]
pub(crate) enum NotYet {
    /// Nobody of this person is online: load their chats and try again.
    Unknown,
    /// The log was not routed as far as this yet, where the chats were loaded.
    Ahead(EventId),
    /// The stream was closed: it is not to come back under another history.
    Closed(Close),
}

impl Hub {
    /// Where to read on from, given where the log stands. A history that is not
    /// the one being followed is begun anew, a ring's length before its end, so
    /// that clients of a restarted replica resume from memory.
    pub(crate) fn resume(&self, head: &Head) -> Cursor {
        if let Some(cursor) = self.cursor() {
            if cursor.epoch == head.epoch && cursor.position <= head.last {
                return cursor;
            }
            tracing::warn!(was = %cursor, epoch = %head.epoch, last = %head.last, "the log's history has changed");
        }
        let floor = head.first.map_or(head.last, |first| first.back(1));
        let position = head.last.back(ring::MAX_EVENTS as i64).max(floor);
        self.begin(head.epoch.clone(), position);
        Cursor { epoch: head.epoch.clone(), position }
    }

    /// Takes over a history from a position, forgetting any other: everyone who
    /// was attached to that one is closed.
    fn begin(&self, epoch: Epoch, position: EventId) {
        let mut tail = self.lock();
        self.close_all(Close::HistoryChanged);
        // Who is here is here no longer, and may not come back.
        self.people.iter().for_each(|person| self.note_change(*person.key()));
        self.people.clear();
        self.rooms.clear();
        *self.ring.write().unwrap_or_else(PoisonError::into_inner) = Ring::after(position);
        tail.cursor = Some(Cursor { epoch, position });
        self.reached.send_replace(Some(position));
    }

    /// Ends every stream, and every one that comes later.
    pub(crate) fn stop(&self) {
        self.lock().is_stopped = true;
        self.close_all(Close::Stopping);
    }

    fn close_all(&self, reason: Close) {
        for person in &self.people {
            person.senders.iter().for_each(|sender| sender.close(reason));
        }
    }

    /// How far the log has been routed.
    pub(crate) fn cursor(&self) -> Option<Cursor> {
        self.lock().cursor.clone()
    }

    /// Routes the next stretch of the log, all that it holds up to a position.
    /// What is at or before the hub's own has been routed, and is passed over.
    pub(crate) fn route(&self, entries: &[LogEntry], upto: EventId) {
        let mut tail = self.lock();
        let Some(cursor) = tail.cursor.as_mut() else { return };
        if upto <= cursor.position {
            return;
        }
        let news = entries.partition_point(|entry| entry.id <= cursor.position);
        let entries = entries.get(news..).unwrap_or_default();
        let (buffer, events) = frame::encode(&cursor.epoch, entries);
        self.tell(&buffer, &events);
        let mut ring = self.ring.write().unwrap_or_else(PoisonError::into_inner);
        ring.extend(events);
        entries.iter().filter_map(TakenBack::by).for_each(|taken| ring.erase(taken));
        drop(ring);
        cursor.position = upto;
        drop(tail);
        self.reached.send_replace(Some(upto));
    }

    /// Neighbours in the log that are for the same chat go to its members as one
    /// piece: they lie end to end in the buffer.
    fn tell(&self, buffer: &Bytes, events: &[Event]) {
        let now = Instant::now();
        let mut start = 0;
        for run in events.chunk_by(same_room) {
            let end = start + run.iter().map(|event| event.sse.len()).sum::<usize>();
            if let Some(last) = run.last() {
                match (last.audience.user_id, last.audience.chat_id) {
                    (Some(user), _) => self.tell_user(user, last, now),
                    (None, Some(chat)) => self.tell_chat(chat, &buffer.slice(start..end), last.id, now),
                    (None, None) => {}
                }
            }
            start = end;
        }
    }

    fn tell_user(&self, user: UserId, event: &Event, now: Instant) {
        let Some(mut person) = self.people.get_mut(&user) else { return };
        if let (Some(chat), Some(crossing)) = (event.audience.chat_id, event.audience.crossing) {
            crossing.apply(Arc::make_mut(&mut person.chats), chat);
            match crossing {
                Crossing::Enters => self.enter_room(chat, user),
                Crossing::Leaves => self.leave_room(chat, user),
            }
        }
        person.senders.iter().for_each(|sender| sender.offer(&event.sse, event.id, now));
        if let Some(session) = event.revokes {
            person.senders.iter().filter(|sender| sender.session == session).for_each(|s| s.close(Close::Revoked));
        }
    }

    fn tell_chat(&self, chat: ChatId, piece: &Bytes, upto: EventId, now: Instant) {
        let Some(room) = self.rooms.get(&chat) else { return };
        for user in room.iter() {
            if let Some(person) = self.people.get(user) {
                person.senders.iter().for_each(|sender| sender.offer(piece, upto, now));
            }
        }
    }

    /// Makes a device live, from here on. `loaded` is what the database said of
    /// the person's chats, and at which position.
    pub(crate) fn attach(
        &self,
        user: UserId,
        outbox: &Arc<Outbox>,
        loaded: Option<&Loaded>,
    ) -> Result<Attached, NotYet> {
        let tail = self.lock();
        if let Some(reason) = tail.is_stopped.then_some(Close::Stopping).or_else(|| outbox.closed()) {
            return Err(NotYet::Closed(reason));
        }
        let Some(cursor) = tail.cursor.clone() else {
            return Err(NotYet::Ahead(EventId::START));
        };
        let ring = self.ring.read().unwrap_or_else(PoisonError::into_inner);
        if let Some((position, _)) = loaded.filter(|(position, _)| *position <= cursor.position) {
            // The session was good when it was looked up. Since then?
            match ring.revoked(outbox.session, *position, cursor.position) {
                None => return Err(NotYet::Unknown),
                Some(true) => return Err(NotYet::Closed(Close::Revoked)),
                Some(false) => {}
            }
        }
        let chats = match self.people.entry(user) {
            Entry::Occupied(mut person) => {
                let person = person.get_mut();
                person.admit(outbox);
                Arc::clone(&person.chats)
            }
            Entry::Vacant(place) => {
                let (position, chats) = loaded.ok_or(NotYet::Unknown)?;
                if *position > cursor.position {
                    return Err(NotYet::Ahead(*position));
                }
                let mut chats = chats.clone();
                ring.forward(user, &mut chats, *position, cursor.position).ok_or(NotYet::Unknown)?;
                let chats = Arc::new(chats);
                place.insert(Person { senders: vec![Arc::clone(outbox)], chats: Arc::clone(&chats) });
                chats.iter().for_each(|chat| self.enter_room(*chat, user));
                self.note_change(user);
                chats
            }
        };
        outbox.restart();
        Ok(Attached { cursor, chats })
    }

    /// A device goes; the last of a person takes the person with it.
    pub(crate) fn detach(&self, user: UserId, outbox: &Arc<Outbox>) {
        let _tail = self.lock();
        let Entry::Occupied(mut person) = self.people.entry(user) else { return };
        person.get_mut().senders.retain(|sender| !Arc::ptr_eq(sender, outbox));
        if person.get().senders.is_empty() {
            let person = person.remove();
            person.chats.iter().for_each(|chat| self.leave_room(*chat, user));
            self.note_change(user);
        }
    }

    fn note_change(&self, user: UserId) {
        self.changed.lock().unwrap_or_else(PoisonError::into_inner).insert(user);
    }

    /// Those who came or went since this was last asked.
    pub(crate) fn take_changed(&self) -> HashSet<UserId> {
        std::mem::take(&mut *self.changed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a person has a device here.
    pub(crate) fn is_here(&self, user: UserId) -> bool {
        self.people.contains_key(&user)
    }

    /// Whether more than so many of a chat are here.
    pub(crate) fn is_crowd(&self, chat: ChatId, most: usize) -> bool {
        self.rooms.get(&chat).is_some_and(|room| room.len() > most)
    }

    /// Those here who are in any of these chats.
    pub(crate) fn hearers(&self, chats: &HashSet<ChatId>) -> HashSet<UserId> {
        let _tail = self.lock();
        chats.iter().filter_map(|chat| self.rooms.get(chat)).flat_map(|room| room.clone()).collect()
    }

    /// Offers something that is not in the log to these people, as of now.
    pub(crate) fn whisper(&self, people: &HashSet<UserId>, piece: &Bytes) {
        let tail = self.lock();
        let Some(Cursor { position, .. }) = tail.cursor.as_ref() else { return };
        let now = Instant::now();
        for person in people.iter().filter_map(|user| self.people.get(user)) {
            person.senders.iter().for_each(|sender| sender.whisper(piece, *position, now));
        }
    }

    /// What a person was to hear after one position and up to another, if it is
    /// recent enough to be in memory.
    pub(crate) fn recall(&self, user: UserId, chats: &Chats, after: EventId, upto: EventId) -> Option<Vec<Bytes>> {
        self.ring.read().unwrap_or_else(PoisonError::into_inner).recall(user, chats, after, upto)
    }

    /// Waits until a position has been routed; false if it takes longer.
    pub(crate) async fn reach(&self, position: EventId, patience: Duration) -> bool {
        let mut reached = self.reached.subscribe();
        let there = reached.wait_for(|at| at.is_some_and(|at| at >= position));
        matches!(timeout(patience, there).await, Ok(Ok(_)))
    }

    /// Counts everybody. For whoever watches the server, now and then.
    pub(crate) fn census(&self) -> Census {
        let mut census = Census::default();
        for person in &self.people {
            census.people += 1;
            census.streams += person.senders.len();
            for (pieces, bytes) in person.senders.iter().map(|sender| sender.depth()) {
                census.pieces += pieces;
                census.bytes += bytes;
            }
        }
        census
    }

    fn enter_room(&self, chat: ChatId, user: UserId) {
        self.rooms.entry(chat).or_default().insert(user);
    }

    fn leave_room(&self, chat: ChatId, user: UserId) {
        if let Entry::Occupied(mut room) = self.rooms.entry(chat) {
            room.get_mut().remove(&user);
            if room.get().is_empty() {
                room.remove();
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tail> {
        // A panic under the lock is a bug that has been reported; the maps are
        // then at worst one event behind for one person.
        self.tail.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every person with a device is in exactly the rooms of their chats, and
    /// nobody else is in any.
    #[cfg(test)]
    fn check_invariants(&self) {
        let _tail = self.lock();
        for person in &self.people {
            assert!(!person.senders.is_empty(), "a person without a device");
            for chat in person.chats.iter() {
                assert!(self.rooms.get(chat).is_some_and(|room| room.contains(person.key())), "missing from a room");
            }
        }
        for room in &self.rooms {
            assert!(!room.is_empty(), "an empty room");
            for user in room.iter() {
                assert!(
                    self.people.get(user).is_some_and(|person| person.chats.contains(room.key())),
                    "a stale member"
                );
            }
        }
    }
}

/// Whether two neighbours are for the members of the same chat.
fn same_room(one: &Event, next: &Event) -> bool {
    let (one, next) = (one.audience, next.audience);
    one.user_id.is_none() && next.user_id.is_none() && one.chat_id == next.chat_id
}

impl Person {
    fn admit(&mut self, outbox: &Arc<Outbox>) {
        if self.senders.iter().any(|sender| Arc::ptr_eq(sender, outbox)) {
            return;
        }
        if self.senders.len() >= MAX_STREAMS_PER_USER {
            self.senders.remove(0).close(Close::TooMany);
        }
        self.senders.push(Arc::clone(outbox));
    }
}

#[cfg(test)]
mod tests;
