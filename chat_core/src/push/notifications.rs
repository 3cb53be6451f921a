//! What is pushed to a device, decided when it is due: what was read, deleted or muted meanwhile notifies
//! nobody.

use super::{
    Preview, candidates,
    rules::{self, Urgency},
};
use crate::{ChatId, MessageId, Result, UserId, chats::ChatType};
use rand::RngExt;
use sqlx::{PgConnection, PgExecutor, PgPool};
use uuid::Uuid;

/// The longest time of an attempt, in seconds; then another process may try.
const LEASE_SECONDS: f64 = 60.0;

/// The pause after the first failure, in seconds; it doubles with each further one.
const RETRY_SECONDS: f64 = 5.0;

/// The longest pause between two attempts, in seconds.
const MAX_RETRY_SECONDS: f64 = 1800.0;

/// How many attempts there are: more than a day.
const MAX_ATTEMPTS: i32 = 60;

/// Maximum number of attempts for one device, and for all devices of one user, at once.
const MAX_OF_DEVICE: i64 = 1;
const MAX_OF_USER: i64 = 2;

/// How long all attempts must have failed until a device is forgotten, in days.
const FORGET_DAYS: i32 = 7;

/// The pause of a device whose push service rejects this server, in seconds.
const REJECTED_SECONDS: f64 = 3600.0;

/// Maximum length of the text of a message in a notification, in characters.
const MAX_TEXT_CHARS: usize = 300;

/// How long it is known when a notification was sent, in hours.
const KEEP_HOURS: i32 = 24;

/// A notification that is due, for one device.
#[derive(Debug, Clone, sqlx::FromRow)]
pub struct DueNotification {
    session_id: Uuid,
    /// The chat.
    pub chat_id: ChatId,
    /// The user of the device.
    pub user_id: UserId,
    message_id: MessageId,
    version: i64,
    attempts: i32,
    /// The URL at the push service.
    pub endpoint: String,
    /// The public key of the browser.
    pub p256dh: Vec<u8>,
    /// The secret of the browser.
    pub auth: Vec<u8>,
    preview: Preview,
}

/// What a device shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Content {
    /// The title: who wrote, and where.
    pub title: String,
    /// The text.
    pub body: String,
    /// The message that a click opens.
    pub message_id: MessageId,
    /// Whether the device is to wake.
    pub urgency: Urgency,
}

/// What became of a notification.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Outcome {
    /// The push service has it.
    Sent(MessageId),
    /// There is nothing to notify of any more.
    Dropped,
    /// The push service does not know the device any more.
    Gone,
    /// The push service refuses this push.
    Refused,
    /// Nothing was sent, because too much else is sent.
    Postponed,
    /// The push service rejects this server.
    Rejected,
    /// The attempt failed; the service may ask for a pause, in seconds.
    Failed(Option<f64>),
}

impl Content {
    /// The outcome if the push service takes it.
    pub fn sent(&self) -> Outcome {
        Outcome::Sent(self.message_id)
    }
}

/// Claims a notification that is due: of a device that is not paused, whose user has few others being sent.
/// Those that were not tried yet come first.
pub async fn claim(db: &PgPool) -> Result<Option<DueNotification>> {
    match claim_next(db, false).await? {
        Some(fresh) => Ok(Some(fresh)),
        None => claim_next(db, true).await,
    }
}

/// Claims the first in the order of the index, so that the cost does not grow with the number that are due.
async fn claim_next(db: &PgPool, was_tried: bool) -> Result<Option<DueNotification>> {
    Ok(sqlx::query_as(
        "with due as materialized (
             select n.session_id, n.chat_id
             from push_notifications n join push_subscriptions p on p.session_id = n.session_id
             where n.due_at <= now() and (n.leased_until is null or n.leased_until <= now())
               and (n.attempts > 0) = $4
               and (p.paused_until is null or p.paused_until <= now())
               and $2 > (select count(*) from push_notifications o
                         where o.session_id = n.session_id and o.leased_until > now())
               and $3 > (select count(*) from push_notifications o join push_subscriptions q on q.session_id = o.session_id
                         where q.user_id = p.user_id and o.leased_until > now())
             order by n.due_at limit 1 for update of n skip locked
         )
         update push_notifications n
         set leased_until = now() + make_interval(secs => $1), attempts = n.attempts + 1
         from due, push_subscriptions p
         where n.session_id = due.session_id and n.chat_id = due.chat_id and p.session_id = n.session_id
         returning n.session_id, n.chat_id, p.user_id, n.message_id, n.version, n.attempts, p.endpoint, p.p256dh, p.auth,
                   p.preview",
    )
    .bind(LEASE_SECONDS)
    .bind(MAX_OF_DEVICE)
    .bind(MAX_OF_USER)
    .bind(was_tried)
    .fetch_optional(db)
    .await?)
}

#[derive(sqlx::FromRow)]
struct Shown {
    chat_type: ChatType,
    chat_name: String,
    sender: String,
    content: String,
    files: Vec<String>,
}

/// Decides what a notification shows, and the number on the badge: how many chats have unread messages. `None` if
/// there is nothing to notify of any more.
pub async fn compose(db: &PgPool, due: &DueNotification) -> Result<Option<(Content, i64)>> {
    // One connection for all queries: the pool checks a connection each time it hands it out.
    let mut db = db.acquire().await?;
    let session = Some(due.session_id);
    let composed = compose_content(&mut db, due.user_id, due.chat_id, due.message_id, due.preview, session).await?;
    let Some(content) = composed else { return Ok(None) };
    Ok(Some((content, count_unread_chats(&mut *db, due.user_id).await?)))
}

/// Decides what a notification of the unread messages of a chat from `first` on shows; `None` if there is
/// nothing to notify of.
pub async fn compose_for_chat(
    db: &PgPool,
    user: UserId,
    chat: ChatId,
    first: MessageId,
    preview: Preview,
) -> Result<Option<Content>> {
    compose_content(&mut *db.acquire().await?, user, chat, first, preview, None).await
}

/// As [`compose_for_chat`]; `None` too if the `session` has ended.
async fn compose_content(
    db: &mut PgConnection,
    user: UserId,
    chat: ChatId,
    first: MessageId,
    preview: Preview,
    session: Option<Uuid>,
) -> Result<Option<Content>> {
    let candidates = candidates::load_unread(&mut *db, user, chat, first, session).await?;
    let wanted: Vec<(MessageId, Urgency)> =
        candidates.iter().filter_map(|(message, facts)| Some((*message, rules::decide(facts)?))).collect();
    let Some((newest, _)) = wanted.first().copied() else { return Ok(None) };
    let urgency = wanted.iter().map(|(_, urgency)| *urgency).max().unwrap_or(Urgency::Normal);
    let shown: Option<Shown> = sqlx::query_as(
        "select c.type as chat_type, c.name as chat_name,
                coalesce(x.extra #>> '{author,name}', nullif(u.display_name, ''), u.username, '') as sender, x.content,
                array(select f.filename from message_files mf join files f on f.id = mf.file_id
                      where mf.message_id = x.id order by mf.position) as files
         from messages x join chats c on c.id = x.chat_id left join users u on u.id = x.sender_id
         where x.id = $1 and x.deleted_at is null",
    )
    .bind(newest)
    .fetch_optional(&mut *db)
    .await?;
    let Some(shown) = shown else { return Ok(None) };
    let (title, body) = describe(&shown, preview);
    Ok(Some(Content { title, body, message_id: newest, urgency }))
}

/// The title and the text.
fn describe(shown: &Shown, preview: Preview) -> (String, String) {
    let title = match (preview, shown.chat_type, shown.chat_name.as_str()) {
        (Preview::None, ..) => return ("Confab".into(), "New message".into()),
        (_, ChatType::Single, _) | (_, _, "") => shown.sender.clone(),
        (.., name) => format!("{} · {name}", shown.sender),
    };
    let text = hide_spoilers(&shown.content).split_whitespace().collect::<Vec<_>>().join(" ");
    let body = match preview {
        Preview::Full if text.is_empty() => shown.files.join(", "),
        Preview::Full => text,
        Preview::Sender | Preview::None => "New message".into(),
    };
    (title, cut(&body))
}

/// Replaces `||text||`, which is hidden until the reader asks for it.
fn hide_spoilers(text: &str) -> String {
    let parts: Vec<&str> = text.split("||").collect();
    let last = parts.len() - 1;
    let hide = |(index, part): (usize, &&str)| match index % 2 {
        1 if index < last => "▒▒▒".to_owned(),
        1 => format!("||{part}"),
        _ => (*part).to_owned(),
    };
    parts.iter().enumerate().map(hide).collect()
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// Counts the chats of a user that have unread messages and are not muted, up to 100.
pub async fn count_unread_chats(db: impl PgExecutor<'_>, user: UserId) -> Result<i64> {
    Ok(sqlx::query_scalar(
        "select count(*) from (
             select from chat_members m
             cross join lateral find_read_position(m) position
             where m.user_id = $1 and not is_muted_now(m) and exists (
                 select from (
                     select x.id, x.sender_id, x.deleted_at from messages x
                     where x.chat_id = m.chat_id and x.id > position.read_up_to order by x.id limit 5000
                 ) newer
                 where newer.sender_id is distinct from m.user_id and newer.deleted_at is null
                   and not exists (select from blocks b where b.blocker_id = $1 and b.blocked_id = newer.sender_id)
                   and not exists (
                       select from messages s where s.chat_id = m.chat_id and s.id = newer.id and s.change is not null
                   )
             )
             limit 100
         ) unread",
    )
    .bind(user)
    .fetch_one(db)
    .await?)
}

/// Records what became of a notification. A message that came meanwhile makes it due again. Has no effect if
/// another process has taken over.
pub async fn finish(db: &PgPool, due: &DueNotification, outcome: Outcome) -> Result<()> {
    let (sent_up_to, retry) = match outcome {
        Outcome::Gone => return delete_device(db, due).await,
        Outcome::Sent(message) => (Some(message), None),
        Outcome::Dropped | Outcome::Refused => (None, None),
        Outcome::Postponed => (None, Some(RETRY_SECONDS)),
        Outcome::Rejected | Outcome::Failed(_) if due.attempts >= MAX_ATTEMPTS => (None, None),
        Outcome::Rejected => (None, Some(REJECTED_SECONDS)),
        Outcome::Failed(pause) => {
            let least = retry_pause(due.attempts);
            (None, Some(pause.map_or(least, |pause| pause.clamp(least, MAX_RETRY_SECONDS.max(least)))))
        }
    };
    let was_tried = !matches!(outcome, Outcome::Postponed | Outcome::Dropped);
    sqlx::query(
        "with finished as (
             update push_notifications set
                 leased_until = null,
                 sent_at = case when $4::bigint is null then sent_at else now() end,
                 message_id = greatest(message_id, coalesce($4 + 1, message_id)),
                 attempts = case when $5::float8 is null then 0 when $8 then attempts else attempts - 1 end,
                 due_at = case
                     when $5::float8 is not null then now() + make_interval(secs => $5)
                     when version <> $3 then now() + make_interval(secs => $6)
                 end
             where session_id = $1 and chat_id = $2 and attempts = $7
             returning session_id
         )
         update push_subscriptions p set
             failing_since = case when $5::float8 is null then null else coalesce(p.failing_since, now()) end,
             -- All chats of a device that fails wait together.
             paused_until = case when $5::float8 is null then null else now() + make_interval(secs => $5) end
         from finished where p.session_id = finished.session_id and $8",
    )
    .bind(due.session_id)
    .bind(due.chat_id)
    .bind(due.version)
    .bind(sent_up_to)
    .bind(retry)
    .bind(RETRY_SECONDS)
    .bind(due.attempts)
    .bind(was_tried)
    .execute(db)
    .await?;
    Ok(())
}

/// Deletes a subscription that its push service reports as gone, unless the device subscribed again.
async fn delete_device(db: impl PgExecutor<'_>, due: &DueNotification) -> Result<()> {
    sqlx::query("delete from push_subscriptions where session_id = $1 and endpoint = $2")
        .bind(due.session_id)
        .bind(&due.endpoint)
        .execute(db)
        .await?;
    Ok(())
}

/// The pause after a failed attempt, in seconds, with jitter.
fn retry_pause(attempts: i32) -> f64 {
    let pause = (RETRY_SECONDS * 2f64.powi(attempts - 1)).min(MAX_RETRY_SECONDS);
    pause * rand::rng().random_range(0.8..1.2)
}

/// Deletes what was sent some time ago, and devices that have failed for days.
pub async fn delete_old(db: &PgPool) -> Result<()> {
    sqlx::query(
        "delete from push_notifications
         where due_at is null and coalesce(sent_at, '-infinity') < now() - make_interval(hours => $1)",
    )
    .bind(KEEP_HOURS)
    .execute(db)
    .await?;
    sqlx::query("delete from push_subscriptions where failing_since < now() - make_interval(days => $1)")
        .bind(FORGET_DAYS)
        .execute(db)
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::hide_spoilers;

    #[test]
    fn a_spoiler_is_in_no_notification() {
        for (text, shown) in [
            ("plain", "plain"),
            ("it is ||X||!", "it is ▒▒▒!"),
            ("||a|| and ||b||", "▒▒▒ and ▒▒▒"),
            ("a || b", "a || b"),
            ("||a|| or || b", "▒▒▒ or || b"),
        ] {
            assert_eq!(hide_spoilers(text), shown, "{text}");
        }
    }
}
