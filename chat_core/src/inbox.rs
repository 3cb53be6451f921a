//! The inbox of a user: mentions, replies to the user's messages, reactions to them, and chats to which others
//! added the user, of all chats. The triggers of the database (0050) write and delete the items.

use crate::{ChatId, InboxItemId, MessageId, Result, Time, UserId, events, messages, messages::Message};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{Connection, PgConnection, PgExecutor, PgPool};
use std::collections::HashMap;

/// How long items are kept, in days.
const KEEP_DAYS: i32 = 90;

/// Maximum number of a user's items that are read for one page.
const MAX_SCANNED_ITEMS: i64 = 5_000;

/// Maximum number of items for everyone that are read of each chat for one page.
const MAX_SCANNED_FOR_EVERYONE: i64 = 200;

/// Maximum number of items that are deleted in one transaction.
const DELETE_BATCH: i64 = 500;

/// Maximum number of items that one run of housekeeping deletes.
const MAX_DELETED: u64 = 10_000;

/// What an item is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
#[schemars(rename = "InboxItemKind")]
pub enum Kind {
    /// A message mentions the user or everyone.
    Mention,
    /// A message replies to one of the user's.
    Reply,
    /// Someone reacted to a message of the user.
    Reaction,
    /// Someone added the user to a chat.
    Added,
}

impl Kind {
    /// Returns the name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mention => "mention",
            Self::Reply => "reply",
            Self::Reaction => "reaction",
            Self::Added => "added",
        }
    }
}

/// An item of the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct InboxItem {
    /// The id. Ids increase in commit order.
    pub id: InboxItemId,
    /// What the item is about.
    pub kind: Kind,
    /// The chat.
    pub chat_id: ChatId,
    /// The message that mentions or replies, or to which someone reacted; null if the user was added to the chat.
    pub message_id: Option<MessageId>,
    /// Who wrote, reacted or added the user; null if the user is no longer stored.
    pub actor_id: Option<UserId>,
    /// The reaction; null for other items.
    pub emoji: Option<String>,
    /// When it happened.
    pub created_at: Time,
    /// Whether the item is in the inboxes of all members, because the message mentions everyone.
    pub is_for_everyone: bool,
}

/// An item with its message.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct InboxEntry {
    /// The item.
    #[serde(flatten)]
    pub item: InboxItem,
    /// The message; null if the item has none.
    pub message: Option<Message>,
}

/// The unseen items of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InboxCount {
    /// The chat.
    pub chat_id: ChatId,
    /// How many there are, among the newest 5,000 of the user and the newest 100 for everyone of the chat.
    pub inbox_count: i64,
}

/// How far a user has seen the inbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InboxMark {
    /// The last item that the user has seen.
    pub last_seen_item_id: InboxItemId,
}

/// A page of an inbox.
#[derive(Debug)]
pub struct InboxPage {
    /// The items, newest first.
    pub entries: Vec<InboxEntry>,
    /// Where the next page begins if this one has fewer items than its limit; `None` at the end. A page reads a
    /// bounded number of items, also of those that the user does not see.
    pub resume_before: Option<InboxItemId>,
}

/// Lists the inbox of a user, newest first: at most `limit` items, of one kind, with ids below `before`.
pub async fn list(
    db: &mut PgConnection,
    user: UserId,
    kind: Option<Kind>,
    before: Option<InboxItemId>,
    limit: i64,
) -> Result<InboxPage> {
    let resume_before: Option<InboxItemId> = sqlx::query_scalar(
        "select max(last.id) from (
             (select o.id from inbox_items o
              where o.user_id = $1 and ($2::bigint is null or o.id < $2)
              order by o.id desc offset $3 - 1 limit 1)
             union all
             select e.id from chat_members m
             cross join lateral (
                 select o.id from inbox_items o
                 where o.user_id is null and o.chat_id = m.chat_id and ($2::bigint is null or o.id < $2)
                 order by o.id desc offset $4 - 1 limit 1
             ) e
             where m.user_id = $1
         ) last",
    )
    .bind(user)
    .bind(before)
    .bind(MAX_SCANNED_ITEMS)
    .bind(MAX_SCANNED_FOR_EVERYONE)
    .fetch_one(&mut *db)
    .await?;
    let items: Vec<InboxItem> = sqlx::query_as(
        "with viewer as materialized (
             select inbox_hidden_ids($1) as hidden_ids
         ), scanned as (
             select o.id from inbox_items o
             where o.user_id = $1 and ($2::bigint is null or o.id < $2) and o.id >= $5
             union all
             select o.id from chat_members m
             join inbox_items o on o.user_id is null and o.chat_id = m.chat_id and o.id >= $5
             where m.user_id = $1 and ($2::bigint is null or o.id < $2)
         )
         select i.id, i.kind, i.chat_id, i.message_id, i.actor_id, i.emoji, i.created_at,
                i.user_id is null as is_for_everyone
         from scanned
         join inbox_items i on i.id = scanned.id
         join chat_members m on m.user_id = $1 and m.chat_id = i.chat_id
         where ($3::text is null or i.kind = $3)
           and is_inbox_item_visible(m, (select hidden_ids from viewer), i)
         order by i.id desc limit $4",
    )
    .bind(user)
    .bind(before)
    .bind(kind)
    .bind(limit)
    .bind(resume_before.map_or(0, InboxItemId::get))
    .fetch_all(&mut *db)
    .await?;
    let ids: Vec<MessageId> = items.iter().filter_map(|item| item.message_id).collect();
    let messages = messages::load_for_viewer(db, &ids, user).await?;
    let by_id: HashMap<MessageId, Message> = messages.into_iter().map(|message| (message.id, message)).collect();
    let with_message = |item: InboxItem| {
        let message = item.message_id.and_then(|id| by_id.get(&id).cloned());
        InboxEntry { item, message }
    };
    Ok(InboxPage { entries: items.into_iter().map(with_message).collect(), resume_before })
}

/// Returns the last item that a user has seen.
pub async fn last_seen(db: impl PgExecutor<'_>, user: UserId) -> Result<Option<InboxItemId>> {
    Ok(sqlx::query_scalar("select nullif(inbox_mark($1), 0)").bind(user).fetch_one(db).await?)
}

/// Marks the items up to one as seen. The mark only moves forward, and not beyond the newest item.
pub async fn mark_seen(db: &PgPool, user: UserId, mark: InboxMark) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    sqlx::query(
        "insert into inbox_marks as m (user_id, item_id)
         select $1, least($2, greatest(
             (select max(i.id) from inbox_items i where i.user_id = $1),
             (select max(newest.id) from chat_members m
              cross join lateral (
                  select max(i.id) as id from inbox_items i where i.user_id is null and i.chat_id = m.chat_id
              ) newest
              where m.user_id = $1)
         )) as item_id
         where exists (select from inbox_items i where i.user_id = $1)
            or exists (select from chat_members m join inbox_items i on i.user_id is null and i.chat_id = m.chat_id
                       where m.user_id = $1)
         on conflict (user_id) do update set item_id = excluded.item_id where m.item_id < excluded.item_id",
    )
    .bind(user)
    .bind(mark.last_seen_item_id)
    .execute(&mut *log)
    .await?;
    log.commit().await?;
    Ok(())
}

/// Deletes old items and those of deleted accounts, and returns how many.
pub(crate) async fn delete_old(db: &mut PgConnection) -> Result<u64> {
    let mut total = 0;
    while total < MAX_DELETED {
        // Found without the append lock.
        let old: Vec<InboxItemId> = sqlx::query_scalar(
            "(select id from inbox_items where created_at < now() - make_interval(days => $1)
              order by created_at limit $2)
             union all
             (select i.id from users u join inbox_items i on i.user_id = u.id where u.deleted_at is not null limit $2)",
        )
        .bind(KEEP_DAYS)
        .bind(DELETE_BATCH)
        .fetch_all(&mut *db)
        .await?;
        if old.is_empty() {
            break;
        }
        let mut log = db.begin().await?;
        sqlx::query("select append_lock()").execute(&mut *log).await?;
        let deleted = sqlx::query("delete from inbox_items where id = any ($1)").bind(old).execute(&mut *log).await?;
        log.commit().await?;
        total += deleted.rows_affected();
    }
    Ok(total)
}
