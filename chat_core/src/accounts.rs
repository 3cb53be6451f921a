//! Leaving: taking along what one has said, and closing the account.

use crate::{Error, MessageId, Result, UserId, events, members, members::Role};
use futures_util::{Stream, stream};
use sqlx::{PgConnection, PgPool};

/// How many messages are read at once.
const PAGE: i64 = 500;

/// The parts of an export that come before the messages, each as JSON objects
/// that say what they are.
const PARTS: [&str; 5] = [
    "select json_build_object('type', 'user', 'user', user_json(u), 'email', u.email)::text
     from users u where u.id = $1",
    "select json_build_object('type', 'session', 'id', s.id, 'user_agent', s.user_agent,
                              'created_at', wire_time(s.created_at), 'used_at', wire_time(s.used_at))::text
     from sessions s where s.user_id = $1 order by s.created_at",
    "select json_build_object('type', 'chat', 'chat', chat_json(c, member_count(c.id), m.role),
                              'joined_at', wire_time(m.joined_at))::text
     from chat_members m join chats c on c.id = m.chat_id where m.user_id = $1 order by c.id",
    "select json_build_object('type', 'file', 'file', file_json(f), 'created_at', wire_time(f.created_at))::text
     from files f where f.uploader_id = $1 order by f.id",
    "select json_build_object('type', 'reaction', 'message_id', r.message_id, 'emoji', r.emoji,
                              'created_at', wire_time(r.created_at))::text
     from reactions r where r.user_id = $1 order by r.created_at",
];

/// Everything that is known of a person and everything they said, as lines of
/// JSON, page by page: `user`, then `session`, `chat`, `file`, `reaction` and
/// `message`.
pub fn export(db: PgPool, user: UserId) -> impl Stream<Item = Result<String>> {
    stream::try_unfold(Some(Place::Part(0)), move |place| {
        let db = db.clone();
        async move {
            let Some(place) = place else { return Ok(None) };
            let (lines, next) = lines(&db, user, place).await?;
            Ok(Some((lines.into_iter().fold(String::new(), |text, line| text + &line + "\n"), next)))
        }
    })
}

/// Where an export goes on.
enum Place {
    Part(usize),
    After(i64),
}

async fn lines(db: &PgPool, user: UserId, place: Place) -> Result<(Vec<String>, Option<Place>)> {
    match place {
        Place::Part(nth) => {
            let Some(sql) = PARTS.get(nth) else { return Ok((Vec::new(), Some(Place::After(0)))) };
            let lines = sqlx::query_scalar(*sql).bind(user).fetch_all(db).await?;
            Ok((lines, Some(Place::Part(nth + 1))))
        }
        Place::After(id) => {
            let rows: Vec<(MessageId, String)> = sqlx::query_as(
                "select v.id, json_build_object('type', 'message', 'message', v.json)::text
                 from message_view v where v.sender_id = $1 and v.id > $2 order by v.id limit $3",
            )
            .bind(user)
            .bind(id)
            .bind(PAGE)
            .fetch_all(db)
            .await?;
            let next = rows.last().map(|(id, _)| Place::After(id.get()));
            Ok((rows.into_iter().map(|(_, line)| line).collect(), next))
        }
    }
}

/// Closes an account: nobody can sign in to it, it is in no chat but its direct
/// ones, and nothing personal is left of it. What was said stays, under a name
/// that says nothing; whoever wants that gone deletes it first. A chat of which
/// it was the only owner passes to the longest-serving admin, or member.
pub async fn close(db: &PgPool, user: UserId) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    let is_open: Option<bool> = sqlx::query_scalar("select deleted_at is null from users where id = $1")
        .bind(user)
        .fetch_optional(&mut *log)
        .await?;
    match is_open {
        None => return Err(Error::NotFound("user")),
        Some(false) => return Ok(()),
        Some(true) => {}
    }
    pass_on(&mut log, user).await?;
    for sql in [
        // First, while the others in their chats still hear of it. An address has an
        // @ in it, so this one is nobody's.
        "update users
         set username = 'deleted-' || id, display_name = 'Deleted account', email = 'deleted-' || id,
             password_hash = '', bio = '', avatar_file_id = null, deleted_at = now()
         where id = $1",
        "delete from chats c where type <> 'single' and not exists (
             select from chat_members m where m.chat_id = c.id and m.user_id <> $1)
         and exists (select from chat_members m where m.chat_id = c.id and m.user_id = $1)",
        "delete from chat_members m using chats c
         where c.id = m.chat_id and c.type <> 'single' and m.user_id = $1",
        "delete from blocks where blocker_id = $1 or blocked_id = $1",
        "delete from invites where created_by = $1",
        "delete from chat_bans where user_id = $1",
        "update sessions set revoked_at = now() where user_id = $1 and revoked_at is null",
        "update chat_members set can_send = false
         where chat_id in (select chat_id from chat_members where user_id = $1)",
    ] {
        sqlx::query(sql).bind(user).execute(&mut *log).await?;
    }
    log.commit().await?;
    Ok(())
}

/// Gives each chat that has no other owner one, if anybody else is in it.
async fn pass_on(log: &mut PgConnection, user: UserId) -> Result<()> {
    let heirs: Vec<(crate::ChatId, UserId)> = sqlx::query_as(
        "select distinct on (m.chat_id) m.chat_id, m.user_id
         from chat_members own
         join chat_members m on m.chat_id = own.chat_id and m.user_id <> own.user_id
         where own.user_id = $1 and own.role = 'owner' and not exists (
             select from chat_members other
             where other.chat_id = own.chat_id and other.user_id <> $1 and other.role = 'owner')
         order by m.chat_id, m.role, m.joined_at, m.user_id",
    )
    .bind(user)
    .fetch_all(&mut *log)
    .await?;
    for (chat, heir) in heirs {
        members::give_role(&mut *log, chat, heir, Role::Owner).await?;
    }
    Ok(())
}
