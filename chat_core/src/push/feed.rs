//! Finds new messages in the event log, and makes notifications of those that notify somebody whose device
//! has subscribed.

use super::rules::{self, Facts, Urgency};
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
    let mut tx = db.begin_with("begin; set local idle_in_transaction_session_timeout = '60s'").await?;
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

/// What is known of a message and a member.
#[derive(sqlx::FromRow)]
pub(super) struct Candidate {
    pub(super) message_id: MessageId,
    pub(super) chat_id: ChatId,
    pub(super) user_id: UserId,
    #[sqlx(flatten)]
    pub(super) facts: Facts,
}

/// Selects what the rules need to know of messages `x` for members `m` of chats `c`. It leaves out most of what
/// the rules reject, so that many such messages hide no other: the rules still decide.
macro_rules! facts_sql {
    ($rest:literal) => {
        concat!(
            "select x.id as message_id, x.chat_id, m.user_id, c.type as chat_type, m.is_muted,
                    x.sender_id is not distinct from m.user_id as is_own, x.deleted_at is not null as is_deleted,
                    coalesce(x.sender_id, 0) = any (blocked_by(m.user_id)) as is_blocked,
                    x.mentions_everyone or m.user_id = any (x.mentions) as is_mentioned,
                    coalesce(r.sender_id = m.user_id, false) as is_reply
             from messages x
             join chats c on c.id = x.chat_id
             join chat_members m on m.chat_id = x.chat_id
             left join messages r on r.id = x.reply_to
             join lateral (
                 select where not m.is_muted and x.deleted_at is null and x.sender_id is distinct from m.user_id
                    and coalesce(x.sender_id, 0) <> all (blocked_by(m.user_id))
                    and (c.type in ('single', 'group') or x.mentions_everyone or m.user_id = any (x.mentions)
                         or r.sender_id = m.user_id)
             ) possible on true ",
            $rest
        )
    };
}
pub(super) use facts_sql;

async fn insert_notifications(tx: &mut PgConnection, events: &[EventHeader]) -> Result<()> {
    let new = events.iter().filter(|event| event.kind == "message.new");
    let messages: Vec<MessageId> = new.filter_map(|event| event.message_id).collect();
    // One notification for each user and chat, about the first message and as urgent as the most urgent.
    let mut wanted: BTreeMap<(UserId, ChatId), (MessageId, Urgency)> = BTreeMap::new();
    // A few at a time: all members of a large chat are candidates of each.
    for some in messages.chunks(MESSAGES_AT_ONCE) {
        let candidates: Vec<Candidate> = sqlx::query_as(facts_sql!(
            "where x.id = any ($1) and exists (select from push_subscriptions p where p.user_id = m.user_id)
             order by x.id"
        ))
        .bind(some)
        .fetch_all(&mut *tx)
        .await?;
        for candidate in candidates {
            let Some(urgency) = rules::decide(candidate.facts) else { continue };
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
             message_id = case when n.due_at is null then excluded.message_id else n.message_id end,
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
