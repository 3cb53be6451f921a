//! Selects the events that one user receives from a range of the log. Reverts the
//! user's membership changes to the start of the range, then applies them in order.

use super::{
    LogEntry, LogPage, MAX_PAGE_BYTES, MembershipChange, Position, check_tag, load_membership_changes, log_page_sql,
    membership_change, parse_page, redaction,
};
use crate::{ChatId, Error, EventId, Result, UserId};
use chrono::{DateTime, Utc};
use sqlx::{PgConnection, PgExecutor};
use std::{collections::HashSet, sync::Arc};

/// The chats of a user as of some position of the log.
pub type Chats = HashSet<ChatId>;

/// The recipients of an event, and how it changes the membership of a single recipient.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Audience {
    /// The chat of the event; its members receive the event if `user_id` is not
    /// set.
    pub chat_id: Option<ChatId>,
    /// The only recipient, if set.
    pub user_id: Option<UserId>,
    /// Whether the event adds the user `user_id` to the chat or removes them from it.
    pub membership_change: Option<MembershipChange>,
    /// Chats whose members receive the event too, besides `user_id`.
    pub chat_ids: Option<Arc<[ChatId]>>,
}

impl Audience {
    /// Returns the audience of a log entry.
    pub fn of(entry: &LogEntry) -> Self {
        Self {
            chat_id: entry.chat_id,
            user_id: entry.user_id,
            membership_change: membership_change(&entry.kind),
            chat_ids: (!entry.chat_ids.is_empty()).then(|| entry.chat_ids.as_slice().into()),
        }
    }

    /// Whether a user with these chats receives the event. If the event changes the
    /// membership of the user, applies the change to `chats`.
    pub fn includes(&self, user: UserId, chats: &mut Chats) -> bool {
        match (self.user_id, self.chat_id) {
            (Some(addressee), _) if addressee != user => {
                self.chat_ids.as_ref().is_some_and(|ids| ids.iter().any(|chat| chats.contains(chat)))
            }
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

    /// Turns a user's chats after the event into the chats before it.
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
    /// Applies the change to a set of chats.
    pub fn apply(self, chats: &mut Chats, chat: ChatId) {
        match self {
            Self::Join => chats.insert(chat),
            Self::Leave => chats.remove(&chat),
        };
    }

    /// Reverts the change.
    fn undo(self, chats: &mut Chats, chat: ChatId) {
        match self {
            Self::Join => chats.remove(&chat),
            Self::Leave => chats.insert(chat),
        };
    }
}

/// Reads the log on behalf of one user, page by page.
#[derive(Debug)]
pub struct Replay {
    user: UserId,
    /// The user's chats as of `position`.
    chats: Chats,
    /// Every chat that the user was in at some point of the range.
    all_chats: Vec<ChatId>,
    position: Position,
    end: Position,
}

impl Replay {
    /// Begins a replay of the events after `position` up to `end`; `chats` are the
    /// user's chats as of `end`.
    pub async fn begin(
        db: impl PgExecutor<'_>,
        user: UserId,
        mut chats: Chats,
        position: Position,
        end: Position,
    ) -> Result<Self> {
        let mut all_chats = chats.clone();
        for (chat, membership_change) in load_membership_changes(db, user, position.id, end.id).await?.into_iter().rev()
        {
            membership_change.undo(&mut chats, chat);
            all_chats.insert(chat);
        }
        Ok(Self { user, chats, all_chats: all_chats.into_iter().collect(), position, end })
    }

    /// Reads the next page of the user's events; call it again while the page has
    /// more. Returns `Error::Reset` if the log no longer holds all of the range, or holds
    /// another history.
    pub async fn next(&mut self, db: &mut PgConnection, limit: i64) -> Result<LogPage> {
        let rows = sqlx::query(log_page_sql!(
            "and id <= $4 and (user_id = $5 or (user_id is null and chat_id = any($6))
                                or (chat_ids is not null and chat_ids && $6))"
        ))
        .bind(self.position.id)
        .bind(limit)
        .bind(MAX_PAGE_BYTES)
        .bind(self.end.id)
        .bind(self.user)
        .bind(&self.all_chats)
        .fetch_all(&mut *db)
        .await?;
        // Checked after the read: an event that is stored now was also stored during the read.
        let (first, end_at): (Option<EventId>, Option<DateTime<Utc>>) =
            sqlx::query_as("select (select min(id) from events), (select at from events where id = $1)")
                .bind(self.end.id)
                .fetch_one(&mut *db)
                .await?;
        check_tag(self.end, end_at)?;
        if self.position.id < self.end.id && first.is_none_or(|first| first.saturating_sub(1) > self.position.id) {
            return Err(Error::Reset("retention"));
        }
        let mut page = parse_page(rows, limit);
        let (user, chats) = (self.user, &mut self.chats);
        page.entries.retain(|entry| Audience::of(entry).includes(user, chats));
        redaction::redact_deleted(db, &mut page.entries).await?;
        self.position = if page.has_more { page.last_position.unwrap_or(self.end) } else { self.end };
        Ok(page)
    }

    /// The position up to which the log has been read.
    pub fn position(&self) -> Position {
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
        Audience { chat_id: Some(id(9)), user_id: user.map(id), membership_change, chat_ids: None }
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
