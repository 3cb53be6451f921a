//! Digests: unread mentions and replies, by mail, to users who were not seen for an hour.

use crate::{ChatId, MessageId, Result, UserId};
use sqlx::{PgConnection, PgPool};

/// How long a user is away until a digest is sent, in seconds.
const AWAY_SECONDS: f64 = 3600.0;

/// The shortest time between two digests to a user, in seconds.
const REPEAT_SECONDS: f64 = 4.0 * 3600.0;

/// Maximum number of items of the inboxes that are looked at in one round.
const BATCH_ITEMS: i64 = 1_000;

/// Maximum number of the newest items that are looked at for one digest.
const SCANNED_ITEMS: i64 = 200;

/// Maximum number of messages in a digest.
const SHOWN_MESSAGES: usize = 10;

/// Maximum length of the text of a message in a digest, in characters.
const MAX_TEXT_CHARS: i32 = 300;

/// What is unread.
#[derive(Debug)]
pub struct Digest {
    /// The username of the reader.
    pub username: String,
    /// How many messages are unread, of the newest.
    pub count: usize,
    /// The newest, oldest first.
    pub messages: Vec<UnreadMessage>,
    /// The newest item of the inbox.
    pub last_item_id: i64,
}

/// An unread message that mentions the reader or replies to the reader.
#[derive(Debug, sqlx::FromRow)]
pub struct UnreadMessage {
    item_id: i64,
    /// The chat.
    pub chat_id: ChatId,
    /// The message.
    pub message_id: MessageId,
    /// The name of the chat; empty if it has none.
    pub chat: String,
    /// The name of the sender.
    pub sender: String,
    /// The beginning of the text.
    pub text: String,
}

/// The result of [`load`].
#[derive(Debug)]
pub(super) enum DigestOutcome {
    Send(Digest),
    Drop,
    /// In seconds.
    Postpone(f64),
}

/// Finds users with mentions that are an hour old, and stores a mail for each. Returns whether more may follow.
pub async fn enqueue(db: &PgPool) -> Result<bool> {
    let mut tx = db.begin().await?;
    let position: Option<i64> = sqlx::query_scalar("select item_id from mail_digest_position for update skip locked")
        .fetch_optional(&mut *tx)
        .await?;
    let Some(position) = position else { return Ok(false) };
    // The ids of items are in the order of their times. Older ones are skipped if no server sent mail for a while.
    let items: Vec<i64> = sqlx::query_scalar(
        "select id from inbox_items
         where id > greatest($1, coalesce((
             select id from inbox_items where created_at < now() - interval '1 day' order by created_at desc limit 1
         ), 0)) and id <= (
             select id from inbox_items where created_at < now() - make_interval(secs => $2)
             order by created_at desc limit 1
         )
         order by id limit $3",
    )
    .bind(position)
    .bind(AWAY_SECONDS)
    .bind(BATCH_ITEMS)
    .fetch_all(&mut *tx)
    .await?;
    let Some(last) = items.last().copied() else { return Ok(false) };
    sqlx::query(
        "insert into mails (kind, address, language, user_id)
         select distinct on (u.id) 'digest', u.email, u.language, u.id
         from inbox_items i join users u on u.id = i.user_id
         left join notification_settings s on s.user_id = u.id
         where i.id = any ($1) and i.kind in ('mention', 'reply') and i.created_at > now() - interval '1 day'
           and u.email_verified_at is not null and u.state = 'active' and u.deleted_at is null
           and coalesce(s.email_digest, true)
         on conflict (user_id) where kind = 'digest' and due_at is not null
         do update set data = mails.data || jsonb_build_object('is_mentioned_again', true)",
    )
    .bind(&items)
    .execute(&mut *tx)
    .await?;
    sqlx::query("update mail_digest_position set item_id = $1").bind(last).execute(&mut *tx).await?;
    tx.commit().await?;
    Ok(items.len() == BATCH_ITEMS as usize)
}

/// What decides whether a user gets a digest now.
#[derive(sqlx::FromRow)]
struct Reader {
    username: String,
    is_wanted: bool,
    /// For how long the user was not seen, in seconds; null if never seen.
    away: Option<f64>,
    /// How long ago the last digest was sent, in seconds.
    since_last: Option<f64>,
    last_item_id: i64,
}

/// Loads what is unread, when a digest to an address of the user is due.
pub(super) async fn load(db: &mut PgConnection, user: UserId, address: &str) -> Result<DigestOutcome> {
    let reader: Option<Reader> = sqlx::query_as(
        "select u.username, coalesce(s.email_digest, true) as is_wanted,
                case when exists (
                    select from connections c join replicas r on r.id = c.replica_id
                    where c.user_id = u.id and r.heartbeat_at > clock_timestamp() - interval '15 seconds'
                ) then 0 else extract(epoch from now() - greatest(p.last_seen, used.at))::float8 end as away,
                extract(epoch from now() - coalesce(d.sent_at, d.created_at))::float8 as since_last,
                greatest(inbox_mark(u.id), coalesce((d.data ->> 'last_item_id')::bigint, 0)) as last_item_id
         from users u
         left join notification_settings s on s.user_id = u.id
         left join presences p on p.user_id = u.id
         -- Users who choose not to be seen use their devices too.
         left join lateral (select max(s.used_at) as at from sessions s where s.user_id = u.id) used on true
         -- A digest that was refused counts too.
         left join lateral (
             select m.created_at, m.sent_at, m.data from mails m
             where m.user_id = u.id and m.kind = 'digest' and (m.sent_at is not null or m.due_at is null and m.error is not null)
             order by m.created_at desc limit 1
         ) d on true
         where u.id = $1 and lower(u.email) = lower($2) and u.state = 'active' and u.deleted_at is null and u.email_verified_at is not null",
    )
    .bind(user)
    .bind(address)
    .fetch_optional(&mut *db)
    .await?;
    let Some(reader) = reader.filter(|reader| reader.is_wanted) else { return Ok(DigestOutcome::Drop) };
    let mut messages = load_messages(db, user, reader.last_item_id).await?;
    // An edit can mention the reader in an old message.
    let newest = messages.iter().map(|message| message.item_id).max();
    let Some(last_item_id) = newest else { return Ok(DigestOutcome::Drop) };
    let wait = (AWAY_SECONDS - reader.away.unwrap_or(AWAY_SECONDS))
        .max(REPEAT_SECONDS - reader.since_last.unwrap_or(REPEAT_SECONDS));
    if wait > 0.0 {
        return Ok(DigestOutcome::Postpone(wait));
    }
    let count = messages.len();
    messages.truncate(SHOWN_MESSAGES);
    messages.reverse();
    Ok(DigestOutcome::Send(Digest { username: reader.username, count, messages, last_item_id }))
}

/// Loads the unread messages after an item, newest first.
async fn load_messages(db: &mut PgConnection, user: UserId, after: i64) -> Result<Vec<UnreadMessage>> {
    Ok(sqlx::query_as(
        "with scanned as materialized (
             select id from inbox_items where user_id = $1 and id > $2 order by id desc limit $3
         ), viewer as materialized (
             select inbox_hidden_ids($1) as hidden_ids
         )
         select distinct on (x.id) i.id as item_id, x.chat_id, x.id as message_id, c.name as chat,
                coalesce(nullif(u.display_name, ''), u.username, '') as sender, left(x.content, $4) as text
         from scanned
         join inbox_items i on i.id = scanned.id
         join chat_members m on m.user_id = $1 and m.chat_id = i.chat_id
         join chats c on c.id = m.chat_id
         join messages x on x.id = i.message_id and x.deleted_at is null and x.id > read_position(m)
         left join users u on u.id = x.sender_id
         left join notification_settings s on s.user_id = $1
         where i.kind in ('mention', 'reply') and is_inbox_item_visible(m, (select hidden_ids from viewer), i)
           and not is_muted_now(m) and notification_level_of(m, c.type, s) <> 'none'
         order by x.id desc, i.id desc",
    )
    .bind(user)
    .bind(after)
    .bind(SCANNED_ITEMS)
    .bind(MAX_TEXT_CHARS)
    .fetch_all(db)
    .await?)
}
