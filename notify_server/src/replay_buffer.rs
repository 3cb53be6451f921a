//! The newest events of the log in memory, shared by all connections that resume.

use crate::frame::Event;
use bytes::Bytes;
use chat_core::{
    ChatId, EventId, MessageId, UserId,
    events::{Chats, Position, redaction::Redaction},
};
use std::collections::{BTreeMap, VecDeque};
use uuid::Uuid;

/// Maximum number of events in the buffer.
pub(crate) const MAX_EVENTS: usize = 32_768;

/// Maximum total size of the frames in the buffer, in bytes.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Every event after `floor`, up to the newest.
#[derive(Debug)]
pub(crate) struct ReplayBuffer {
    events: VecDeque<Event>,
    bytes: usize,
    floor: Position,
    /// The events that contain the content of a message, so that a deletion finds them
    /// without a scan.
    by_message: BTreeMap<(ChatId, MessageId), Vec<EventId>>,
}

impl Default for ReplayBuffer {
    fn default() -> Self {
        Self::starting_after(Position::START)
    }
}

impl ReplayBuffer {
    /// Creates an empty buffer that begins after a position.
    pub(crate) fn starting_after(floor: Position) -> Self {
        Self { events: VecDeque::new(), bytes: 0, floor, by_message: BTreeMap::new() }
    }

    /// Adds new events and drops the oldest events beyond the limits.
    pub(crate) fn extend(&mut self, events: Vec<Event>) {
        for event in &events {
            self.bytes += event.sse.len();
            if let Some(key) = content_key(event) {
                self.by_message.entry(key).or_default().push(event.position.id);
            }
        }
        self.events.extend(events);
        while self.events.len() > MAX_EVENTS || self.bytes > MAX_BYTES {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.sse.len();
            self.floor = oldest.position;
            if let Some(key) = content_key(&oldest)
                && let Some(ids) = self.by_message.get_mut(&key)
            {
                ids.retain(|id| *id != oldest.position.id);
                if ids.is_empty() {
                    self.by_message.remove(&key);
                }
            }
        }
    }

    /// Removes deleted content from events. The events stay.
    pub(crate) fn redact(&mut self, redaction: Redaction) {
        let Redaction { chat_id, first, last } = redaction;
        let first = first.unwrap_or(MessageId::MIN);
        let keys: Vec<_> = self.by_message.range((chat_id, first)..=(chat_id, last)).map(|(key, _)| *key).collect();
        for id in keys.iter().filter_map(|key| self.by_message.remove(key)).flatten() {
            let index = self.events.partition_point(|event| event.position.id < id);
            if let Some(event) = self.events.get_mut(index).filter(|event| event.position.id == id) {
                self.bytes -= event.sse.len();
                event.redact();
                self.bytes += event.sse.len();
            }
        }
    }

    /// Whether a position belongs to this history; `None` if its event is not in the
    /// buffer.
    pub(crate) fn contains(&self, position: Position) -> Option<bool> {
        let index = self.events.partition_point(|event| event.position.id < position.id);
        let known = match self.events.get(index) {
            Some(event) if event.position.id == position.id => event.position,
            _ if self.floor.id == position.id => self.floor,
            _ => return None,
        };
        Some(known == position)
    }

    /// Returns all events after one position up to another, if the buffer still contains
    /// all of them.
    fn between(&self, after: EventId, up_to: EventId) -> Option<impl DoubleEndedIterator<Item = &Event> + Clone> {
        let from = self.events.partition_point(|event| event.position.id <= after);
        let to = self.events.partition_point(|event| event.position.id <= up_to);
        (after >= self.floor.id).then(|| self.events.range(from..to.max(from)))
    }

    /// Updates a user's chats from one position to a later position. Returns `None` if
    /// the buffer does not contain all events between them.
    pub(crate) fn apply_membership_changes(
        &self,
        user: UserId,
        chats: &mut Chats,
        after: EventId,
        up_to: EventId,
    ) -> Option<()> {
        for event in self.between(after, up_to)? {
            event.audience.includes(user, chats);
        }
        Some(())
    }

    /// Whether a session was revoked after one position and up to another.
    pub(crate) fn was_revoked(&self, session: Uuid, after: EventId, up_to: EventId) -> Option<bool> {
        Some(self.between(after, up_to)?.any(|event| event.revoked_session == Some(session)))
    }

    /// Returns the events for a user after `after` up to `up_to`. `chats` are the user's
    /// chats as of `up_to`.
    pub(crate) fn replay(&self, user: UserId, chats: &Chats, after: EventId, up_to: EventId) -> Option<Vec<Bytes>> {
        let events = self.between(after, up_to)?;
        let mut chats = chats.clone();
        events.clone().rev().for_each(|event| event.audience.undo(user, &mut chats));
        Some(events.filter(|event| event.audience.includes(user, &mut chats)).map(|event| event.sse.clone()).collect())
    }
}

/// Returns the message whose content an event contains, with its chat.
fn content_key(event: &Event) -> Option<(ChatId, MessageId)> {
    Some((event.audience.chat_id?, event.message_id?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::events::{Audience, MembershipChange};

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u64) -> T {
        number.to_string().parse().expect("an id")
    }

    fn position_of(number: u64) -> Position {
        Position { id: id(number), tag: None }
    }

    fn event(position: u64, chat: u64, user: Option<u64>, membership_change: Option<MembershipChange>) -> Event {
        Event {
            position: position_of(position),
            revoked_session: None,
            message_id: None,
            audience: Audience { chat_id: Some(id(chat)), user_id: user.map(id), membership_change, chat_ids: None },
            sse: position.to_string().into(),
        }
    }

    #[test]
    fn only_messages_sent_during_membership_are_replayed() {
        let mut buffer = ReplayBuffer::default();
        buffer.extend(vec![
            event(1, 9, None, None),
            event(2, 9, Some(5), Some(MembershipChange::Join)),
            event(3, 9, None, None),
            event(4, 9, Some(5), Some(MembershipChange::Leave)),
            event(5, 9, None, None),
            event(6, 9, Some(6), Some(MembershipChange::Join)),
        ]);
        let replayed =
            buffer.replay(id(5), &Chats::new(), EventId::START, id(6)).expect("the buffer goes back to the start");
        assert_eq!(replayed, ["2", "3", "4"]);
    }

    #[test]
    fn a_position_before_the_floor_cannot_be_replayed() {
        let buffer = ReplayBuffer::starting_after(position_of(10));
        assert!(buffer.replay(id(1), &Chats::new(), id(9), id(10)).is_none());
        assert!(buffer.replay(id(1), &Chats::new(), id(10), id(10)).is_some());
    }

    #[test]
    fn a_deletion_redacts_every_event_of_the_message_and_no_other() {
        let mut buffer = ReplayBuffer::default();
        let event = |position: u64, chat: u64, message: u64| Event {
            message_id: Some(id(message)),
            sse: format!("id: e-{position}\nevent: message.new\ndata: {{\"message\":{{\"content\":\"secret\"}}}}\n\n")
                .into(),
            ..super::tests::event(position, chat, None, None)
        };
        buffer.extend(vec![event(1, 9, 1), event(2, 9, 2), event(3, 8, 1), event(4, 9, 1)]);
        let has_content = |buffer: &ReplayBuffer| {
            let texts = buffer.events.iter().map(|event| String::from_utf8_lossy(&event.sse).contains("secret"));
            texts.collect::<Vec<_>>()
        };
        buffer.redact(Redaction { chat_id: id(9), first: Some(id(1)), last: id(1) });
        assert_eq!(has_content(&buffer), [false, true, true, false]);
        buffer.redact(Redaction { chat_id: id(9), first: None, last: id(5) });
        assert_eq!(has_content(&buffer), [false, false, true, false]);
        assert_eq!(buffer.bytes, buffer.events.iter().map(|event| event.sse.len()).sum::<usize>());
        assert_eq!(buffer.by_message.len(), 1, "only the other chat's message is still indexed");
    }
}
