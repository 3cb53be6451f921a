//! The recent end of the log in memory, shared by every session that resumes.

use crate::frame::Event;
use bytes::Bytes;
use chat_core::{ChatId, EventId, UserId, events::Crossing};
use std::collections::{HashSet, VecDeque};

/// The most events it holds.
pub(crate) const MAX_EVENTS: usize = 32_768;

/// The most bytes of frames it holds.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Every event after `floor`, up to the newest.
#[derive(Debug, Default)]
pub(crate) struct Ring {
    events: VecDeque<Event>,
    bytes: usize,
    floor: EventId,
}

impl Ring {
    /// An empty ring that begins after a position.
    pub(crate) fn after(floor: EventId) -> Self {
        Self { floor, ..Self::default() }
    }

    /// Adds the newest events; the oldest make room.
    pub(crate) fn extend(&mut self, events: Vec<Event>) {
        self.bytes += events.iter().map(|event| event.sse.len()).sum::<usize>();
        self.events.extend(events);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.sse.len();
            self.floor = oldest.id;
        }
    }

    /// All events after one position up to another, if the ring goes back so far.
    fn between(&self, after: EventId, upto: EventId) -> Option<impl DoubleEndedIterator<Item = &Event> + Clone> {
        let from = self.events.partition_point(|event| event.id <= after);
        let to = self.events.partition_point(|event| event.id <= upto);
        (after >= self.floor).then(|| self.events.range(from..to.max(from)))
    }

    /// Brings a person's chats forward from one position to another.
    pub(crate) fn forward(
        &self,
        user: UserId,
        chats: &mut HashSet<ChatId>,
        after: EventId,
        upto: EventId,
    ) -> Option<()> {
        for event in self.between(after, upto)? {
            hears(event, user, chats);
        }
        Some(())
    }

    /// What a person was to hear after one position and up to another, given
    /// their chats at the latter.
    pub(crate) fn recall(
        &self,
        user: UserId,
        chats: &HashSet<ChatId>,
        after: EventId,
        upto: EventId,
    ) -> Option<Vec<Bytes>> {
        let events = self.between(after, upto)?;
        let mut chats = chats.clone();
        for event in events.clone().rev().filter(|event| event.user_id == Some(user)) {
            if let (Some(chat), Some(crossing)) = (event.chat_id, event.crossing) {
                undo(&mut chats, chat, crossing);
            }
        }
        Some(events.filter(|event| hears(event, user, &mut chats)).map(|event| event.sse.clone()).collect())
    }
}

/// Whether a person with these chats hears an event; one that lets them into or
/// out of a chat changes the set.
pub(crate) fn hears(event: &Event, user: UserId, chats: &mut HashSet<ChatId>) -> bool {
    match (event.user_id, event.chat_id) {
        (Some(addressee), _) if addressee != user => false,
        (Some(_), chat) => {
            if let (Some(chat), Some(crossing)) = (chat, event.crossing) {
                cross(chats, chat, crossing);
            }
            true
        }
        (None, Some(chat)) => chats.contains(&chat),
        (None, None) => false,
    }
}

/// What a crossing makes of a set of chats.
pub(crate) fn cross(chats: &mut HashSet<ChatId>, chat: ChatId, crossing: Crossing) {
    match crossing {
        Crossing::Enters => chats.insert(chat),
        Crossing::Leaves => chats.remove(&chat),
    };
}

/// What the set was before a crossing.
pub(crate) fn undo(chats: &mut HashSet<ChatId>, chat: ChatId, crossing: Crossing) {
    match crossing {
        Crossing::Enters => chats.remove(&chat),
        Crossing::Leaves => chats.insert(chat),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u64) -> T {
        number.to_string().parse().expect("an id")
    }

    fn event(position: u64, chat: u64, user: Option<u64>, crossing: Option<Crossing>) -> Event {
        Event {
            id: id(position),
            chat_id: Some(id(chat)),
            user_id: user.map(id),
            crossing,
            sse: position.to_string().into(),
        }
    }

    #[test]
    fn what_was_said_before_joining_and_after_leaving_is_not_recalled() {
        let mut ring = Ring::default();
        ring.extend(vec![
            event(1, 9, None, None),
            event(2, 9, Some(5), Some(Crossing::Enters)),
            event(3, 9, None, None),
            event(4, 9, Some(5), Some(Crossing::Leaves)),
            event(5, 9, None, None),
            event(6, 9, Some(6), Some(Crossing::Enters)),
        ]);
        let recalled = ring.recall(id(5), &HashSet::new(), EventId::START, id(6)).expect("it goes back to the start");
        assert_eq!(recalled, ["2", "3", "4"]);
    }

    #[test]
    fn a_position_before_the_floor_is_not_recalled() {
        let ring = Ring::after(id(10));
        assert!(ring.recall(id(1), &HashSet::new(), id(9), id(10)).is_none());
        assert!(ring.recall(id(1), &HashSet::new(), id(10), id(10)).is_some());
    }
}
