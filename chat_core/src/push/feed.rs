//! Finds new messages in the event log, and makes notifications of those that notify somebody whose device
//! has subscribed.

use super::{
    candidates,
    rules::{self, Urgency},
};
use crate::{
    ChatId, Error, MessageId, Result, UserId,
    events::{self, Cursor, EventHeader},
    feeds,
};
use sqlx::{PgConnection, PgPool};
use std::collections::BTreeMap;

/// The name of the feed.
const NAME: &str = "push";

/// Maximum number of events that are read at once.
const BATCH_EVENTS: i64 = 200;

/// Maximum number of messages whose candidates are in memory at once.
const MESSAGES_AT_ONCE: usize = 10;

/// How long a notification waits for further messages, in seconds.
const COALESCE_SECONDS: f64 = 1.0;

/// How long a notification waits for a user who is connected and may read the message here, in seconds.
const CONNECTED_SECONDS: f64 = 10.0;

/// The time between two notifications of one chat on one device, in seconds, unless the message is urgent.
const REPEAT_SECONDS: f64 = 60.0;

/// The result of [`advance`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// There was nothing to read, or another process reads.
    Idle,
    /// Nobody has subscribed.
    NoSubscription,
    /// Events were read.
    Advanced {
        /// Whether more events follow.
        has_more: bool,
    },
}

/// Creates the feed at the end of the log if it does not exist. The first subscription does this.
pub(super) async fn start(tx: &mut PgConnection) -> Result<()> {
    feeds::start(tx, NAME).await
}

/// Reads the next events, makes notifications and moves the cursor, in one transaction.
pub async fn advance(db: &PgPool) -> Result<Advance> {
    let mut tx = feeds::begin(db).await?;
    let sql = "select cursor from feeds where name = $1 for update skip locked";
    let cursor: Option<String> = sqlx::query_scalar(sql).bind(NAME).fetch_optional(&mut *tx).await?;
    let Some(cursor) = cursor else { return Ok(Advance::NoSubscription) };
    let cursor: Cursor = cursor.parse().map_err(Error::internal)?;
    let head = events::head(&mut *tx).await?;
    if cursor == (Cursor { epoch: head.epoch.clone(), position: head.last }) {
        return Ok(Advance::Idle);
    }
    let has_subscription: bool =
        sqlx::query_scalar("select exists (select from push_subscriptions)").fetch_one(&mut *tx).await?;
    if !has_subscription {
        feeds::save(&mut tx, NAME, &head, head.last).await?;
        tx.commit().await?;
        return Ok(Advance::NoSubscription);
    }
    let is_known = cursor.epoch == head.epoch && cursor.position.id <= head.last.id;
    let events = match is_known {
        true => events::read_headers_after(&mut *tx, cursor.position, BATCH_EVENTS).await,
        false => Err(Error::Reset("epoch")),
    };
    let events = match events {
        Ok(events) => events,
        // What was missed is read by its users in the app.
        Err(Error::Reset(reason)) => {
            tracing::warn!(%cursor, reason, "the feed of pushes cannot read the events after its cursor");
            feeds::save(&mut tx, NAME, &head, head.last).await?;
            tx.commit().await?;
            return Ok(Advance::Advanced { has_more: false });
        }
        Err(error) => return Err(error),
    };
    insert_notifications(&mut tx, &events).await?;
    let end = events.last().map_or(head.last, EventHeader::position);
    feeds::save(&mut tx, NAME, &head, end).await?;
    tx.commit().await?;
    Ok(Advance::Advanced { has_more: i64::try_from(events.len()) == Ok(BATCH_EVENTS) })
}

async fn insert_notifications(tx: &mut PgConnection, events: &[EventHeader]) -> Result<()> {
    let new = events.iter().filter(|event| event.kind == "message.new");
    let messages: Vec<MessageId> = new.filter_map(|event| event.message_id).collect();
    // One notification for each user and chat, about the first message and as urgent as the most urgent.
    let mut wanted: BTreeMap<(UserId, ChatId), (MessageId, Urgency)> = BTreeMap::new();
    // A few at a time: all members of a large chat are candidates of each.
    for some in messages.chunks(MESSAGES_AT_ONCE) {
        for candidate in candidates::load_with_devices(&mut *tx, some).await? {
            let Some(urgency) = rules::decide(&candidate.facts) else { continue };
            let entry = wanted.entry((candidate.user_id, candidate.chat_id)).or_insert((candidate.message_id, urgency));
            entry.1 = entry.1.max(urgency);
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let (mut users, mut chats, mut first, mut urgent) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for ((user, chat), (message, urgency)) in wanted {
        users.push(user);
        chats.push(chat);
        first.push(message);
        urgent.push(urgency == Urgency::High);
    }
    sqlx::query(
        "insert into push_notifications as n (session_id, chat_id, message_id, is_urgent, due_at)
         select p.session_id, w.chat_id, w.message_id, w.is_urgent,
                now() + make_interval(secs => case when o.status in ('offline', 'away') then $5 else $6 end)
         from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::boolean[]) w (user_id, chat_id, message_id, is_urgent)
         join push_subscriptions p on p.user_id = w.user_id
         join presence_of(array(select distinct unnest($1))) o on o.user_id = w.user_id
         order by p.session_id, w.chat_id
         on conflict (session_id, chat_id) do update set
             -- A push shows the newest message, which this feed may read later.
             message_id = case when n.due_at is null then greatest(excluded.message_id, n.message_id) else n.message_id end,
             is_urgent = excluded.is_urgent or n.due_at is not null and n.is_urgent,
             version = n.version + 1,
             attempts = case when n.due_at is null then 0 else n.attempts end,
             due_at = case
                 -- It waits already, and is sent with this message.
                 when n.due_at is not null and excluded.is_urgent and n.attempts = 0 then least(n.due_at, excluded.due_at)
                 when n.due_at is not null then n.due_at
                 when excluded.is_urgent then excluded.due_at
                 else greatest(excluded.due_at, n.sent_at + make_interval(secs => $7))
             end",
    )
    .bind(users)
    .bind(chats)
    .bind(first)
    .bind(urgent)
    .bind(COALESCE_SECONDS)
    .bind(CONNECTED_SECONDS)
    .bind(REPEAT_SECONDS)
    .execute(tx)
    .await?;
    Ok(())
}
