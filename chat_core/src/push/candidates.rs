//! Loads what the rules need to know of messages and members.

use super::rules::Facts;
use crate::{ChatId, MessageId, Result, UserId, search::words};
use sqlx::PgConnection;
use std::collections::{HashMap, HashSet};

/// Maximum number of the newest messages of a chat that are looked at for one notification.
const NEWEST_MESSAGES: i64 = 300;

/// Maximum number of messages that are decided on for one notification.
const MAX_CANDIDATES: i64 = 50;

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

/// Selects the candidates of messages `x` from a source, and members `m` of chats `c`. It leaves out most of
/// what the rules reject, so that many such messages hide no other: the rules still decide.
macro_rules! candidates_sql {
    ($source:literal, $rest:literal) => {
        concat!(
            "select x.id as message_id, x.chat_id, m.user_id, c.type as chat_type, level.level, is_muted_now(m) as is_muted,
                    x.sender_id is not distinct from m.user_id as is_own, x.deleted_at is not null as is_deleted,
                    coalesce(x.sender_id, 0) = any (blocked_by(m.user_id)) as is_blocked,
                    x.mentions_everyone or m.user_id = any (x.mentions) as is_mentioned,
                    coalesce(r.sender_id = m.user_id, false) as is_reply, false as has_keyword,
                    coalesce(s.keywords <> '{}', false) and not addressing.is_for_member as needs_keyword,
                    exists (select from presences p where p.user_id = m.user_id and p.status = 'busy') as is_busy,
                    now() as at, s.dnd_until, s.quiet_from, s.quiet_until, s.time_zone
             from ", $source, " x
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
             ) prefilter on true ",
            $rest
        )
    };
}

/// Loads the candidates of messages among members whose devices get pushes.
pub(super) async fn load_with_devices(db: &mut PgConnection, messages: &[MessageId]) -> Result<Vec<Candidate>> {
    let mut candidates: Vec<Candidate> = sqlx::query_as(candidates_sql!(
        "messages",
        "where x.id = any ($1) and exists (select from push_subscriptions p where p.user_id = m.user_id)
         order by x.id"
    ))
    .bind(messages)
    .fetch_all(&mut *db)
    .await?;
    find_keywords(db, &mut candidates).await?;
    Ok(candidates)
}

/// Loads the candidates of one member among the unread messages of a chat from `first` on, newest first.
pub(super) async fn load_unread(
    db: &mut PgConnection,
    user: UserId,
    chat: ChatId,
    first: MessageId,
) -> Result<Vec<Candidate>> {
    let read: Option<MessageId> = sqlx::query_scalar(
        "select nullif(read_position(m), 0) from chat_members m where m.user_id = $1 and m.chat_id = $2",
    )
    .bind(user)
    .bind(chat)
    .fetch_optional(&mut *db)
    .await?
    .flatten();
    let mut candidates: Vec<Candidate> = sqlx::query_as(candidates_sql!(
        "(
             select f.* from messages f where f.id = $3 and f.chat_id = $2 and f.id > $6
             union all
             (select n.* from messages n where n.chat_id = $2 and n.id > greatest($3, $6) order by n.id desc limit $4)
         )",
        "where m.user_id = $1
         -- Messages that may contain a keyword hide neither the others nor the first.
         order by level.level = 'all' or addressing.is_for_member or x.id = $3 desc, x.id desc limit $5"
    ))
    .bind(user)
    .bind(chat)
    .bind(first)
    .bind(NEWEST_MESSAGES)
    .bind(MAX_CANDIDATES)
    .bind(read.map_or(0, MessageId::get))
    .fetch_all(&mut *db)
    .await?;
    find_keywords(db, &mut candidates).await?;
    candidates.sort_by_key(|one| std::cmp::Reverse(one.message_id));
    Ok(candidates)
}

/// Finds the keywords of members in messages of which nothing else notifies them.
async fn find_keywords(db: &mut PgConnection, candidates: &mut [Candidate]) -> Result<()> {
    let open = || candidates.iter().filter(|one| one.needs_keyword);
    let messages: HashSet<MessageId> = open().map(|one| one.message_id).collect();
    let users: HashSet<UserId> = open().map(|one| one.user_id).collect();
    if messages.is_empty() {
        return Ok(());
    }
    let contents: Vec<(MessageId, String)> = sqlx::query_as("select id, content from messages where id = any ($1)")
        .bind(messages.into_iter().collect::<Vec<_>>())
        .fetch_all(&mut *db)
        .await?;
    let keywords: Vec<(UserId, Vec<String>)> =
        sqlx::query_as("select user_id, keywords from notification_settings where user_id = any ($1)")
            .bind(users.into_iter().collect::<Vec<_>>())
            .fetch_all(db)
            .await?;
    // Both as words, so that a keyword is no part of a word.
    let contents: HashMap<MessageId, String> =
        contents.into_iter().map(|(message, content)| (message, words(&content))).collect();
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
