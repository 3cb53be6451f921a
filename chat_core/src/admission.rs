//! Admission to an existing chat: the only function that adds a member later.

use crate::{ChatId, Error, Result, UserId, chats::model::Role, users::UserKind};
use sqlx::{PgConnection, PgExecutor};

/// Maximum number of chats of one user. It bounds the list of chats, and the recipients
/// of a profile change.
const MAX_CHATS_PER_USER: i64 = 1_000;

/// Rejects a user who is in the maximum number of chats.
pub(crate) async fn require_free_chat(db: impl PgExecutor<'_>, user: UserId) -> Result<()> {
    let count: i64 =
        sqlx::query_scalar("select count(*) from (select from chat_members where user_id = $1 limit $2) own")
            .bind(user)
            .bind(MAX_CHATS_PER_USER)
            .fetch_one(db)
            .await?;
    if count >= MAX_CHATS_PER_USER {
        let detail = "this user is in the maximum number of chats; leave one first";
        return Err(Error::Conflict { code: "too_many_chats", detail });
    }
    Ok(())
}

/// Whether a user is banned from a chat.
pub(crate) async fn is_banned(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from chat_bans where chat_id = $1 and user_id = $2)")
        .bind(chat)
        .bind(user)
        .fetch_one(db)
        .await?)
}

/// Rejects a user who left the chat: they come back only by an invite.
pub(crate) async fn require_not_departed(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<()> {
    let has_left: bool = sqlx::query_scalar(
        "select exists (select from chat_departures where chat_id = $1 and user_id = $2 and needs_invite)",
    )
    .bind(chat)
    .bind(user)
    .fetch_one(db)
    .await?;
    if has_left {
        let detail = "this user has left the chat; send them an invite link";
        return Err(Error::Conflict { code: "left", detail });
    }
    Ok(())
}

/// Rejects bots of others, and users who want to be added only by their contacts, unless the
/// actor is one.
pub(crate) async fn require_consent(
    db: impl PgExecutor<'_>,
    actor: UserId,
    field: &'static str,
    users: &[UserId],
) -> Result<()> {
    let unwilling: Vec<(UserId, UserKind)> = sqlx::query_as(
        "select u.id, u.kind from users u
         where u.id = any($2) and u.id <> $1
           and u.id is distinct from (select bot.owner_id from users bot where bot.id = $1) and case u.kind
             when 'person' then u.group_privacy = 'contacts' and not is_contact(u.id, $1)
             when 'bot' then u.owner_id <> $1
             else true
         end
         order by u.id",
    )
    .bind(actor)
    .bind(users)
    .fetch_all(db)
    .await?;
    let ids = |is_person: bool| {
        let ids = unwilling.iter().filter(|(_, kind)| (*kind == UserKind::Person) == is_person);
        ids.map(|(id, _)| id.to_string()).collect::<Vec<_>>().join(", ")
    };
    let (bots, persons) = (ids(false), ids(true));
    if !bots.is_empty() {
        return Err(Error::invalid_with_code(field, "not_owner", format!("only their owners can add bots {bots}")));
    }
    if !persons.is_empty() {
        let detail = format!("only their contacts can add users {persons}; send them an invite link");
        return Err(Error::invalid_with_code(field, "needs_invite", detail));
    }
    Ok(())
}

/// Rejects a bot whose owner is not a member of the chat.
async fn require_owner(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<()> {
    let has_owner: bool = sqlx::query_scalar(
        "select not exists (
             select from users bot where bot.id = $2 and bot.owner_id is not null
               and not exists (select from chat_members m where m.chat_id = $1 and m.user_id = bot.owner_id)
         )",
    )
    .bind(chat)
    .bind(user)
    .fetch_one(db)
    .await?;
    let detail = "a bot can be only in chats of its owner";
    if has_owner { Ok(()) } else { Err(Error::Conflict { code: "owner_not_member", detail }) }
}

/// Records that a member has left by themselves: they come back only by an invite, unless
/// everybody can join the chat.
pub(crate) async fn require_invite(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<()> {
    sqlx::query(
        "update chat_departures m set needs_invite = true from chats c
         where m.chat_id = $1 and m.user_id = $2 and c.id = m.chat_id and c.type <> 'public_channel'",
    )
    .bind(chat)
    .bind(user)
    .execute(db)
    .await?;
    Ok(())
}

/// Forgets that a user was once a member of a chat, because they are a member again.
async fn forget_departure(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<()> {
    sqlx::query("delete from chat_departures where chat_id = $1 and user_id = $2")
        .bind(chat)
        .bind(user)
        .execute(db)
        .await?;
    Ok(())
}

/// Adds a user to a chat, unless `banned` applies or the account does not exist.
/// Returns false if the user was a member already; then nothing changes.
pub(crate) async fn admit(
    log: &mut PgConnection,
    chat: ChatId,
    user: UserId,
    role: Role,
    banned: impl FnOnce() -> Error,
) -> Result<bool> {
    if is_banned(&mut *log, chat, user).await? {
        return Err(banned());
    }
    let is_member: bool =
        sqlx::query_scalar("select exists (select from chat_members where chat_id = $1 and user_id = $2)")
            .bind(chat)
            .bind(user)
            .fetch_one(&mut *log)
            .await?;
    if is_member {
        return Ok(false);
    }
    require_owner(&mut *log, chat, user).await?;
    require_free_chat(&mut *log, user).await?;
    let inserted = sqlx::query(
        "insert into chat_members (chat_id, user_id, role, joined_after_message_id)
         select $1, u.id, $3, coalesce((select max(m.id) from messages m where m.chat_id = $1), 0)
         from users u where u.id = $2 and u.deleted_at is null and u.state <> 'pending'",
    )
    .bind(chat)
    .bind(user)
    .bind(role)
    .execute(&mut *log)
    .await?;
    forget_departure(log, chat, user).await?;
    Ok(inserted.rows_affected() == 1)
}
