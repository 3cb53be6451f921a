//! Loads what the rules need to know of messages and members.

use super::rules::{self, Facts, QuietTimes};
use crate::{
    ChatId, MessageId, Result, UserId, chats::ChatType, notification_settings::NotificationLevel, search::words,
};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// Maximum number of the newest messages of a chat that are looked at for one notification.
const NEWEST_MESSAGES: i64 = 300;

/// Maximum number of messages in which keywords are looked for, for one notification.
const MAX_SEARCHED: usize = 50;

/// What is known of a message and a member.
#[derive(Debug, sqlx::FromRow)]
pub(super) struct Candidate {
    pub(super) message_id: MessageId,
    pub(super) chat_id: ChatId,
    pub(super) user_id: UserId,
    /// Whether a keyword would change the decision, and the member has keywords.
    needs_keyword: bool,
    #[sqlx(flatten)]
    pub(super) facts: Facts,
}

/// Loads the candidates of messages among members whose devices get pushes. It leaves out most of what the rules
/// reject: the rules still decide.
pub(super) async fn load_with_devices(db: &mut PgConnection, messages: &[MessageId]) -> Result<Vec<Candidate>> {
    let mut candidates: Vec<Candidate> = sqlx::query_as(
        "select x.id as message_id, x.chat_id, m.user_id, c.type as chat_type, level.level, is_muted_now(m) as is_muted,
                x.sender_id is not distinct from m.user_id as is_own, x.deleted_at is not null as is_deleted,
                coalesce(x.sender_id, 0) = any (blocked_by(m.user_id)) as is_blocked,
                x.mentions_everyone or m.user_id = any (x.mentions) as is_mentioned,
                coalesce(r.sender_id = m.user_id, false) as is_reply, false as has_keyword,
                coalesce(s.keywords <> '{}', false) and not addressing.is_for_member as needs_keyword,
                exists (select from presences p where p.user_id = m.user_id and p.status = 'busy') as is_busy,
                now() as at, s.dnd_until, s.quiet_from, s.quiet_until, s.time_zone
         from messages x
         join chats c on c.id = x.chat_id
         join chat_members m on m.chat_id = x.chat_id
         left join notification_settings s on s.user_id = m.user_id
         left join messages r on r.id = x.reply_to
         cross join lateral (select notification_level_of(m, c.type, s) as level) level
         cross join lateral (
             select x.mentions_everyone or m.user_id = any (x.mentions)
                 or coalesce(r.sender_id = m.user_id, false) as is_for_member
         ) addressing
         join lateral (
             select where level.level <> 'none' and not is_muted_now(m) and x.deleted_at is null
                and x.sender_id is distinct from m.user_id
                and coalesce(x.sender_id, 0) <> all (blocked_by(m.user_id))
                and (level.level = 'all' or addressing.is_for_member or s.keywords <> '{}')
         ) prefilter on true
         where x.id = any ($1) and x.change is null
           and exists (select from push_subscriptions p where p.user_id = m.user_id)
         order by x.id",
    )
    .bind(messages)
    .fetch_all(&mut *db)
    .await?;
    find_keywords(db, &mut candidates).await?;
    Ok(candidates)
}

/// What is known of a member before the messages are.
#[derive(sqlx::FromRow)]
struct Member {
    chat_type: ChatType,
    level: NotificationLevel,
    is_muted: bool,
    is_busy: bool,
    read_up_to: i64,
    /// The users whom the member has blocked, and their bots.
    hidden_ids: Vec<UserId>,
    keywords: Vec<String>,
    at: DateTime<Utc>,
    #[sqlx(flatten)]
    quiet: QuietTimes,
}

/// What is known of an unread message.
#[derive(sqlx::FromRow)]
struct Unread {
    id: MessageId,
    sender_id: Option<UserId>,
    is_deleted: bool,
    is_mentioned: bool,
    reply_to: Option<MessageId>,
}

/// Loads what the rules need to know of one member and the unread messages of a chat from `first` on, newest first;
/// nothing if there is no such member, or the `session` has ended.
/// Small queries and not one: planning and running one for all took 2.4 times as long (`docs/operations.md`).
pub(super) async fn load_unread(
    db: &mut PgConnection,
    user: UserId,
    chat: ChatId,
    first: MessageId,
    session: Option<Uuid>,
) -> Result<Vec<(MessageId, Facts)>> {
    let Some(member) = load_member(db, user, chat, session).await? else { return Ok(Vec::new()) };
    let messages: Vec<Unread> = sqlx::query_as(
        "select x.id, x.sender_id, x.deleted_at is not null as is_deleted, x.reply_to,
                x.mentions_everyone or $1 = any (x.mentions) as is_mentioned
         from (
             select f.* from messages f where f.id = $3 and f.chat_id = $2 and f.id > $4
             union all
             (select n.* from messages n where n.chat_id = $2 and n.id > greatest($3, $4) order by n.id desc limit $5)
         ) x where x.change is null order by x.id desc",
    )
    .bind(user)
    .bind(chat)
    .bind(first)
    .bind(member.read_up_to)
    .bind(NEWEST_MESSAGES)
    .fetch_all(&mut *db)
    .await?;
    let own_replied_to = find_own(db, user, &messages).await?;
    let facts = |message: &Unread| Facts {
        chat_type: member.chat_type,
        level: member.level,
        is_muted: member.is_muted,
        is_own: message.sender_id == Some(user),
        is_deleted: message.is_deleted,
        is_blocked: message.sender_id.is_some_and(|sender| member.hidden_ids.contains(&sender)),
        is_mentioned: message.is_mentioned,
        is_reply: message.reply_to.is_some_and(|id| own_replied_to.contains(&id)),
        has_keyword: false,
        is_busy: member.is_busy,
        quiet: member.quiet.clone(),
        at: member.at,
    };
    let mut candidates: Vec<(MessageId, Facts)> = messages.iter().map(|one| (one.id, facts(one))).collect();
    find_keywords_of(db, &member.keywords, first, &mut candidates).await?;
    Ok(candidates)
}

async fn load_member(
    db: &mut PgConnection,
    user: UserId,
    chat: ChatId,
    session: Option<Uuid>,
) -> Result<Option<Member>> {
    Ok(sqlx::query_as(
        "select c.type as chat_type, notification_level_of(m, c.type, s) as level, is_muted_now(m) as is_muted,
                exists (select from presences p where p.user_id = m.user_id and p.status = 'busy') as is_busy,
                coalesce(position.read_up_to, 0) as read_up_to, hidden.hidden_ids,
                coalesce(s.keywords, '{}') as keywords, now() as at,
                s.dnd_until, s.quiet_from, s.quiet_until, s.time_zone
         from chat_members m join chats c on c.id = m.chat_id
         cross join lateral find_read_position(m) position
         cross join lateral find_hidden_ids(m.user_id) hidden
         left join notification_settings s on s.user_id = m.user_id
         where m.user_id = $1 and m.chat_id = $2
           and ($3::uuid is null
                or exists (select from sessions o where o.id = $3 and o.revoked_at is null and o.expires_at > now()))",
    )
    .bind(user)
    .bind(chat)
    .bind(session)
    .fetch_optional(db)
    .await?)
}

/// Returns which of the messages that were replied to are of a user.
async fn find_own(db: &mut PgConnection, user: UserId, messages: &[Unread]) -> Result<HashSet<MessageId>> {
    let replied_to: Vec<MessageId> = messages.iter().filter_map(|one| one.reply_to).collect();
    if replied_to.is_empty() {
        return Ok(HashSet::new());
    }
    let sql = "select id from messages where id = any ($1) and sender_id = $2";
    let own: Vec<MessageId> = sqlx::query_scalar(sql).bind(replied_to).bind(user).fetch_all(db).await?;
    Ok(own.into_iter().collect())
}

/// Finds the keywords of one member in the first message, and in the newest, of which nothing else notifies.
async fn find_keywords_of(
    db: &mut PgConnection,
    keywords: &[String],
    first: MessageId,
    candidates: &mut [(MessageId, Facts)],
) -> Result<()> {
    if keywords.is_empty() {
        return Ok(());
    }
    // A keyword that decides nothing is not looked for.
    let is_open = |facts: &Facts| {
        let with_keyword = Facts { has_keyword: true, ..facts.clone() };
        rules::decide(facts) != rules::decide(&with_keyword)
    };
    let open = candidates.iter().filter(|(_, facts)| is_open(facts)).map(|(id, _)| *id);
    let searched: Vec<MessageId> =
        open.clone().filter(|id| *id == first).chain(open.filter(|id| *id != first)).take(MAX_SEARCHED).collect();
    if searched.is_empty() {
        return Ok(());
    }
    let contents = load_words(db, searched).await?;
    let keywords: Vec<String> = keywords.iter().map(|keyword| words(keyword)).collect();
    for (id, facts) in candidates {
        let content = contents.get(id).map_or("", String::as_str);
        facts.has_keyword = keywords.iter().any(|keyword| content.contains(keyword));
    }
    Ok(())
}

/// Loads messages as words, so that a keyword is no part of a word.
async fn load_words(db: &mut PgConnection, messages: Vec<MessageId>) -> Result<HashMap<MessageId, String>> {
    let contents: Vec<(MessageId, String)> =
        sqlx::query_as("select id, content from messages where id = any ($1)").bind(messages).fetch_all(db).await?;
    Ok(contents.into_iter().map(|(message, content)| (message, words(&content))).collect())
}

/// Finds the keywords of members in messages of which nothing else notifies them.
async fn find_keywords(db: &mut PgConnection, candidates: &mut [Candidate]) -> Result<()> {
    let open = || candidates.iter().filter(|one| one.needs_keyword);
    let messages: HashSet<MessageId> = open().map(|one| one.message_id).collect();
    let users: HashSet<UserId> = open().map(|one| one.user_id).collect();
    if messages.is_empty() {
        return Ok(());
    }
    let contents = load_words(db, messages.into_iter().collect()).await?;
    let keywords: Vec<(UserId, Vec<String>)> =
        sqlx::query_as("select user_id, keywords from notification_settings where user_id = any ($1)")
            .bind(users.into_iter().collect::<Vec<_>>())
            .fetch_all(db)
            .await?;
    let keywords: HashMap<UserId, Vec<String>> = keywords
        .into_iter()
        .map(|(user, keywords)| (user, keywords.iter().map(|keyword| words(keyword)).collect()))
        .collect();
    for one in candidates.iter_mut().filter(|one| one.needs_keyword) {
        let content = contents.get(&one.message_id).map_or("", String::as_str);
        one.facts.has_keyword = keywords.get(&one.user_id).into_iter().flatten().any(|word| content.contains(word));
    }
    Ok(())
}
