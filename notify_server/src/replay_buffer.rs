//! The recent end of the log in memory, shared by every session that resumes.

use crate::frame::Event;
use bytes::Bytes;
use chat_core::{
    EventId, UserId,
    events::{Chats, redaction::Redaction},
};
use std::collections::VecDeque;
use uuid::Uuid;

/// The most events it holds.
pub(crate) const MAX_EVENTS: usize = 32_768;

/// The most bytes of frames it holds.
const MAX_BYTES: usize = 64 * 1024 * 1024;

/// Every event after `floor`, up to the newest.
#[derive(Debug, Default)]
pub(crate) struct ReplayBuffer {
    events: VecDeque<Event>,
    bytes: usize,
    floor: EventId,
}

impl ReplayBuffer {
    /// An empty ring that begins after a position.
    pub(crate) fn starting_after(floor: EventId) -> Self {
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

    /// What is taken back is not recalled: what told it stays, without the words.
    pub(crate) fn redact(&mut self, redaction: Redaction) {
        for event in &mut self.events {
            let is_same_chat = event.audience.chat_id == Some(redaction.chat_id);
            if is_same_chat && event.message_id.is_some_and(|message| redaction.covers(message)) {
                self.bytes -= event.sse.len();
                event.redact();
                self.bytes += event.sse.len();
            }
        }
    }

    /// All events after one position up to another, if the ring goes back so far.
    fn between(&self, after: EventId, up_to: EventId) -> Option<impl DoubleEndedIterator<Item = &Event> + Clone> {
        let from = self.events.partition_point(|event| event.id <= after);
        let to = self.events.partition_point(|event| event.id <= up_to);
        (after >= self.floor).then(|| self.events.range(from..to.max(from)))
    }

    /// Brings a person's chats forward from one position to another.
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

    /// Whether a session was ended after one position and up to another.
    pub(crate) fn was_revoked(&self, session: Uuid, after: EventId, up_to: EventId) -> Option<bool> {
        Some(self.between(after, up_to)?.any(|event| event.revoked_session == Some(session)))
    }

    /// What a person was to hear after one position and up to another, given
    /// their chats at the latter.
    pub(crate) fn replay(&self, user: UserId, chats: &Chats, after: EventId, up_to: EventId) -> Option<Vec<Bytes>> {
        let events = self.between(after, up_to)?;
        let mut chats = chats.clone();
        events.clone().rev().for_each(|event| event.audience.undo(user, &mut chats));
        Some(events.filter(|event| event.audience.includes(user, &mut chats)).map(|event| event.sse.clone()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chat_core::events::{Audience, MembershipChange};

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u64) -> T {
        number.to_string().parse().expect("an id")
    }

    fn event(position: u64, chat: u64, user: Option<u64>, membership_change: Option<MembershipChange>) -> Event {
        Event {
            id: id(position),
            revoked_session: None,
            message_id: None,
            audience: Audience { chat_id: Some(id(chat)), user_id: user.map(id), membership_change },
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
        let replayed = buffer.replay(id(5), &Chats::new(), EventId::START, id(6)).expect("it goes back to the start");
        assert_eq!(replayed, ["2", "3", "4"]);
    }

    #[test]
    fn a_position_before_the_floor_cannot_be_replayed() {
        let buffer = ReplayBuffer::starting_after(id(10));
        assert!(buffer.replay(id(1), &Chats::new(), id(9), id(10)).is_none());
        assert!(buffer.replay(id(1), &Chats::new(), id(10), id(10)).is_some());
    }
}
