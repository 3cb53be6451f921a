//! What one person was to hear of a stretch of the log: their memberships walked
//! backwards to its start, then forwards with the events.

use super::{
    LogEntry, LogPage, MAX_PAGE_BYTES, MembershipChange, load_membership_changes, log_page_sql, membership_change,
    parse_page, redaction,
};
use crate::{ChatId, Error, EventId, Result, UserId};
use sqlx::{PgConnection, PgExecutor};
use std::collections::HashSet;

/// The chats that a person is in, as of some position of the log.
pub type Chats = HashSet<ChatId>;

/// For whom an event is, and what it does to their membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Audience {
    /// What it is about, and who hears it if `user_id` is not set.
    pub chat_id: Option<ChatId>,
    /// The one person who hears it.
    pub user_id: Option<UserId>,
    /// Whether it lets that person into or out of the chat.
    pub membership_change: Option<MembershipChange>,
}

impl Audience {
    /// Of an event of the log.
    pub fn of(entry: &LogEntry) -> Self {
        Self { chat_id: entry.chat_id, user_id: entry.user_id, membership_change: membership_change(&entry.kind) }
    }

    /// Whether a person with these chats hears the event. One that lets them
    /// into or out of a chat changes the set.
    pub fn includes(&self, user: UserId, chats: &mut Chats) -> bool {
        match (self.user_id, self.chat_id) {
            (Some(addressee), _) if addressee != user => false,
            (Some(_), chat) => {
                if let (Some(chat), Some(membership_change)) = (chat, self.membership_change) {
                    membership_change.apply(chats, chat);
                }
                true
            }
            (None, Some(chat)) => chats.contains(&chat),
            (None, None) => false,
        }
    }

    /// Turns the chats of a person after the event into those before it.
    pub fn undo(&self, user: UserId, chats: &mut Chats) {
        if let (Some(addressee), Some(chat), Some(membership_change)) =
            (self.user_id, self.chat_id, self.membership_change)
            && addressee == user
        {
            membership_change.undo(chats, chat);
        }
    }
}

impl MembershipChange {
    /// What it makes of a set of chats.
    pub fn apply(self, chats: &mut Chats, chat: ChatId) {
        match self {
            Self::Join => chats.insert(chat),
            Self::Leave => chats.remove(&chat),
        };
    }

    /// What the set was before.
    fn undo(self, chats: &mut Chats, chat: ChatId) {
        match self {
            Self::Join => chats.remove(&chat),
            Self::Leave => chats.insert(chat),
        };
    }
}

/// A reading of the log on behalf of one person, page by page.
#[derive(Debug)]
pub struct Replay {
    user: UserId,
    /// As of `position`.
    chats: Chats,
    /// Every chat that the person was in at some point on the way.
    all_chats: Vec<ChatId>,
    position: EventId,
    end: EventId,
}

impl Replay {
    /// Begins after `position`; `chats` are the person's as of `upto`, where it
    /// ends.
    pub async fn begin(
        db: impl PgExecutor<'_>,
        user: UserId,
        mut chats: Chats,
        position: EventId,
        end: EventId,
    ) -> Result<Self> {
        let mut all_chats = chats.clone();
        for (chat, membership_change) in load_membership_changes(db, user, position, end).await?.into_iter().rev() {
            membership_change.undo(&mut chats, chat);
            all_chats.insert(chat);
        }
        Ok(Self { user, chats, all_chats: all_chats.into_iter().collect(), position, end })
    }

    /// The next page of what the person was to hear; read on while it is cut.
    /// `Error::Reset` if the log no longer holds all of it.
    pub async fn next(&mut self, db: &mut PgConnection, limit: i64) -> Result<LogPage> {
        let rows =
            sqlx::query(log_page_sql!("and id <= $4 and (user_id = $5 or (user_id is null and chat_id = any($6)))"))
                .bind(self.position)
                .bind(limit)
                .bind(MAX_PAGE_BYTES)
                .bind(self.end)
                .bind(self.user)
                .bind(&self.all_chats)
                .fetch_all(&mut *db)
                .await?;
        // Asked afterwards: what is held now was held while it was read.
        let first: Option<EventId> = sqlx::query_scalar("select min(id) from events").fetch_one(&mut *db).await?;
        if self.position < self.end && first.is_none_or(|first| first.saturating_sub(1) > self.position) {
            return Err(Error::Reset("retention"));
        }
        let mut page = parse_page(rows, limit);
        let (user, chats) = (self.user, &mut self.chats);
        page.entries.retain(|entry| Audience::of(entry).includes(user, chats));
        redaction::redact_deleted(db, &mut page.entries).await?;
        self.position = if page.has_more { page.last_position.unwrap_or(self.end) } else { self.end };
        Ok(page)
    }

    /// How far it has been read.
    pub fn position(&self) -> EventId {
        self.position
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id<T: std::str::FromStr<Err: std::fmt::Debug>>(number: u64) -> T {
        number.to_string().parse().expect("an id")
    }

    fn audience(user: Option<u64>, membership_change: Option<MembershipChange>) -> Audience {
        Audience { chat_id: Some(id(9)), user_id: user.map(id), membership_change }
    }

    #[test]
    fn undoing_backwards_what_was_done_forwards_gives_the_start() {
        let log = [
            audience(Some(5), Some(MembershipChange::Join)),
            audience(None, None),
            audience(Some(6), Some(MembershipChange::Join)),
            audience(Some(5), Some(MembershipChange::Leave)),
            audience(None, None),
            audience(Some(5), None),
        ];
        let mut chats = Chats::new();
        let included: Vec<bool> = log.iter().map(|event| event.includes(id(5), &mut chats)).collect();
        assert_eq!(included, [true, true, false, true, false, true]);
        log.iter().rev().for_each(|event| event.undo(id(5), &mut chats));
        assert!(chats.is_empty());
    }
}
