//! Accounts: the export of a user's data, and deletion.

use crate::{
    Error, Result, UserId,
    audit::{Action, NewEntry},
    auth::{self, Claims, Hasher, sessions},
    bots,
    chats::model::Role,
    events, members, users,
    values::Password,
};
use futures_util::{Stream, stream};
use sqlx::{PgConnection, PgPool};
use uuid::Uuid;

/// Maximum number of rows in one page of an export.
const PAGE_ROWS: i64 = 500;

/// How long nobody can take the username of a deleted account, in days.
const RESERVED_NAME_DAYS: i32 = 90;

/// The sections of an export. Each query returns keys and lines of JSON for a user
/// ($1), after a key ($2), up to a number of rows ($3). All sessions come on one page,
/// newest first, because a user has few.
const EXPORT_SECTIONS: [&str; 9] = [
    "select 0::bigint, json_build_object('type', 'user', 'user', user_json(u), 'email', u.email, 'bots', coalesce(
         (select json_agg(user_json(b) order by b.id) from users b where b.owner_id = u.id and b.kind <> 'ghost'), '[]'))::text
     from users u where u.id = $1 and $2 < 0 and $3 > 0",
    "select 0::bigint, json_build_object('type', 'session', 'id', s.id, 'user_agent', s.user_agent,
                                        'api_token', t.name,
                                        'created_at', to_rfc3339(s.created_at), 'used_at', to_rfc3339(s.used_at))::text
     from sessions s left join api_tokens t on t.session_id = s.id where s.user_id = $1 and $2 < 0 order by s.created_at desc limit $3",
    "select 0::bigint, json_build_object('type', 'notification_settings', 'settings', notification_settings_json(s))::text
     from notification_settings s where s.user_id = $1 and $2 < 0 and $3 > 0",
    "select a.id, json_build_object('type', 'activity', 'action', a.action, 'at', to_rfc3339(a.at),
                                    'address', host(a.address), 'user_agent', a.user_agent)::text
     from audit_log a where a.actor_id = $1 and a.id > $2 order by a.id limit $3",
    "select c.id, json_build_object('type', 'chat', 'chat', chat_json(c, member_count(c.id), m.role),
                                    'joined_at', to_rfc3339(m.joined_at))::text
     from chat_members m join chats c on c.id = m.chat_id
     where m.user_id = $1 and m.chat_id > $2 order by m.chat_id limit $3",
    "select f.id, json_build_object('type', 'file', 'file', file_json(f), 'created_at', to_rfc3339(f.created_at))::text
     from files f where f.uploader_id = $1 and f.id > $2 order by f.id limit $3",
    // Whole messages, so that a page does not end between the reactions to one.
    "select r.message_id, json_build_object('type', 'reaction', 'message_id', r.message_id, 'emoji', r.emoji,
                                            'created_at', to_rfc3339(r.created_at))::text
     from reactions r
     where r.user_id = $1 and r.message_id in (
         select distinct x.message_id from reactions x
         where x.user_id = $1 and x.message_id > $2 order by x.message_id limit $3
     )
     order by r.message_id, r.emoji",
    "select s.id, json_build_object('type', 'saved_message', 'message_id', s.message_id,
                                    'saved_at', to_rfc3339(s.saved_at))::text
     from saved_messages s where s.user_id = $1 and s.id > $2 order by s.id limit $3",
    "select v.id, json_build_object('type', 'message', 'message', v.json)::text
     from message_view v where v.sender_id = $1 and v.id > $2 order by v.id limit $3",
];

/// Exports the data of a user as lines of JSON, page by page: `user`, then `session`,
/// `notification_settings`, `activity`, `chat`, `file`, `reaction`, `saved_message` and `message`. It fails once the session that
/// requested it ends.
pub fn export(db: PgPool, user: UserId, session: Option<Uuid>) -> impl Stream<Item = Result<String>> {
    stream::try_unfold(ExportPosition { section: 0, after: -1 }, move |position| {
        let db = db.clone();
        async move {
            let Some(sql) = EXPORT_SECTIONS.get(position.section) else { return Ok(None) };
            if let Some(session_id) = session
                && sessions::find_active(&db, &[Claims { user_id: user, session_id }]).await?.is_empty()
            {
                return Err(sessions::REVOKED);
            }
            let rows: Vec<(i64, String)> =
                sqlx::query_as(*sql).bind(user).bind(position.after).bind(PAGE_ROWS).fetch_all(&db).await?;
            let next = match rows.last() {
                Some((last, _)) => ExportPosition { after: *last, ..position },
                None => ExportPosition { section: position.section + 1, after: -1 },
            };
            Ok::<_, Error>(Some((rows.into_iter().fold(String::new(), |text, (_, line)| text + &line + "\n"), next)))
        }
    })
}

/// Replaces the password of a user by a random one, and ends all sessions of the user.
/// Returns the new password.
pub async fn reset_password(db: &PgPool, user: UserId) -> Result<String> {
    let password = Password::try_from(auth::new_code()).map_err(Error::internal)?;
    let hash = Hasher::new()?.hash(password.clone()).await?;
    let mut log = events::begin(db, user).await?;
    users::set_password_hash(&mut *log, user, &hash).await?;
    sessions::revoke_all(&mut log, user).await?;
    NewEntry::new(Action::PasswordReset).with_user(user).write(&mut *log).await?;
    log.commit().await?;
    Ok(password.as_str().to_owned())
}

/// Where an export continues.
#[derive(Debug, Clone, Copy)]
struct ExportPosition {
    section: usize,
    after: i64,
}

/// Deletes an account: removes its personal data, revokes its sessions and removes
/// it from all chats except direct ones. Messages that the user has not deleted stay
/// under an anonymous name. If the user was the only owner of a chat, the
/// longest-serving admin, or else member, becomes its owner; a person before a bot. Writes the entry into the audit
/// log. Idempotent.
pub async fn delete(db: &PgPool, user: UserId, entry: NewEntry<'_>) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    let is_active: Option<bool> = sqlx::query_scalar("select deleted_at is null from users where id = $1")
        .bind(user)
        .fetch_optional(&mut *log)
        .await?;
    match is_active {
        None => return Err(Error::NotFound("user")),
        Some(false) => return Ok(()),
        Some(true) => {}
    }
    delete_locked(&mut log, user).await?;
    entry.write(&mut *log).await?;
    log.commit().await?;
    Ok(())
}

/// Deletes an account as [`delete`] does, with its bots. The caller holds the append lock.
pub(crate) async fn delete_locked(log: &mut PgConnection, user: UserId) -> Result<()> {
    // A bot that is being created waits, or is in the list.
    sqlx::query("select from users where id = $1 for no key update").bind(user).execute(&mut *log).await?;
    let bots = bots::list_ids(&mut *log, user).await?;
    for account in bots.into_iter().chain([user]) {
        reserve_username(log, account).await?;
        anonymize(log, account).await?;
    }
    Ok(())
}

/// Keeps others from taking the username of a deleted account for a while.
async fn reserve_username(log: &mut PgConnection, user: UserId) -> Result<()> {
    // A sign-up with this name waits until the name is reserved.
    sqlx::query("select lock_username(username) from users where id = $1").bind(user).execute(&mut *log).await?;
    sqlx::query(
        "insert into reserved_usernames (shape, until_at)
         select username_shape(username), now() + make_interval(days => $2) from users where id = $1
         on conflict (shape) do update set until_at = excluded.until_at",
    )
    .bind(user)
    .bind(RESERVED_NAME_DAYS)
    .execute(&mut *log)
    .await?;
    Ok(())
}

/// Removes an account whose sign-up failed at a later step. The username is free at once.
pub async fn undo_sign_up(db: &PgPool, user: UserId) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    anonymize(&mut log, user).await?;
    log.commit().await?;
    Ok(())
}

/// Removes what [`delete`] removes. The caller holds the append lock.
pub(crate) async fn anonymize(log: &mut PgConnection, user: UserId) -> Result<()> {
    transfer_ownership(&mut *log, user).await?;
    erase(log, user).await
}

/// Removes what [`anonymize`] removes, of a user who owns no chat.
pub(crate) async fn erase(log: &mut PgConnection, user: UserId) -> Result<()> {
    sqlx::query("select from users where id = $1 for no key update").bind(user).execute(&mut *log).await?;
    for sql in [
        // The rows stay for some days, because they limit the mail to their addresses.
        "delete from mail_links l using mails m, users u
         where m.id = l.mail_id and u.id = $1 and (m.user_id = u.id or lower(m.address) = lower(u.email))",
        "update mails m set data = '{}', due_at = null, attempts = m.attempts + 1 from users u
         where u.id = $1 and (m.user_id = u.id or lower(m.address) = lower(u.email))",
        // Before the others, while the members of the user's chats still receive the event. A real
        // email address contains an @, so this one cannot belong to a user.
        "update users
         set username = 'deleted-' || id || case
                 -- An old account may have such a name.
                 when exists (
                     select from users o
                     where o.id <> $1 and username_shape(o.username) = username_shape('deleted-' || $1::text)
                 ) then '-' || substr(md5(random()::text), 1, 8) else '' end,
             display_name = 'Deleted account',
             email = case kind when 'person' then 'deleted-' || id end,
             password_hash = case kind when 'person' then '' end, words = '', bio = '', avatar_file_id = null, custom_status = null,
             custom_status_expires_at = null, time_zone = null, is_operator = false,
             pending_invite = null,
             deleted_at = now()
         where id = $1",
        "delete from chats c where type <> 'single' and not exists (
             select from chat_members m join users u on u.id = m.user_id
             where m.chat_id = c.id and m.user_id <> $1 and u.owner_id is distinct from $1)
         and exists (select from chat_members m where m.chat_id = c.id and m.user_id = $1)",
        "delete from chat_members m using chats c
         where c.id = m.chat_id and c.type <> 'single' and m.user_id = $1",
        "delete from blocks where blocker_id = $1 or blocked_id = $1",
        "delete from invites where created_by = $1",
        "delete from webhook_endpoints where user_id = $1",
        "delete from notification_settings where user_id = $1",
        "delete from inbox_marks where user_id = $1",
        "delete from saved_messages where user_id = $1",
        "delete from bridges where owner_id = $1",
        "delete from chat_bans where user_id = $1",
        "update chat_members set can_send = false
         where chat_id in (select chat_id from chat_members where user_id = $1)",
    ] {
        sqlx::query(sql).bind(user).execute(&mut *log).await?;
    }
    sessions::revoke_all(log, user).await
}

/// Appoints a new owner in each chat that the user owns alone, if it has other members.
async fn transfer_ownership(log: &mut PgConnection, user: UserId) -> Result<()> {
    let new_owners: Vec<(crate::ChatId, UserId)> = sqlx::query_as(
        "select distinct on (m.chat_id) m.chat_id, m.user_id
         from chat_members own
         join chat_members m on m.chat_id = own.chat_id and m.user_id <> own.user_id
         join users u on u.id = m.user_id and u.owner_id is distinct from $1 and u.kind in ('person', 'bot')
         where own.user_id = $1 and own.role = 'owner' and not exists (
             select from chat_members other
             where other.chat_id = own.chat_id and other.user_id <> $1 and other.role = 'owner')
         order by m.chat_id, u.kind, m.role, m.joined_at, m.user_id",
    )
    .bind(user)
    .fetch_all(&mut *log)
    .await?;
    for (chat, new_owner) in new_owners {
        members::update_role(&mut *log, chat, new_owner, Role::Owner).await?;
    }
    Ok(())
}
