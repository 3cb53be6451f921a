//! The members of a chat, their roles, and how both change.

use crate::{
    ChatId, Error, Result, Time, UserId,
    admission::admit,
    chats::model::{ChatType, Membership, Role},
    events,
    permissions::Permission,
    users::User,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// A person in a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// Who.
    #[serde(flatten)]
    pub user: User,
    /// What they may do.
    pub role: Role,
    /// Since when they are in.
    pub joined_at: Time,
}

/// What `user` is to `chat`, if anything.
pub async fn find_membership(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<Option<Membership>> {
    Ok(sqlx::query_as(
        "select m.role, c.type from chat_members m join chats c on c.id = m.chat_id
         where m.chat_id = $1 and m.user_id = $2",
    )
    .bind(chat)
    .bind(user)
    .fetch_optional(db)
    .await?)
}

#[derive(sqlx::FromRow)]
struct MemberRow {
    user: Json<User>,
    role: Role,
    joined_at: Time,
}

impl From<MemberRow> for Member {
    fn from(row: MemberRow) -> Self {
        Self { user: row.user.0, role: row.role, joined_at: row.joined_at }
    }
}

/// A page of a chat's members by id, after the given one.
pub async fn list(db: impl PgExecutor<'_>, chat: ChatId, after: Option<UserId>, limit: i64) -> Result<Vec<Member>> {
    let rows: Vec<MemberRow> = sqlx::query_as(
        r#"select user_json(u) as "user", m.role, m.joined_at
           from chat_members m join users u on u.id = m.user_id
           where m.chat_id = $1 and m.user_id > coalesce($2, 0)
           order by m.user_id limit $3"#,
    )
    .bind(chat)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(Member::from).collect())
}

/// A member, and whether this call brought them in.
#[derive(Debug)]
pub struct AddOutcome {
    /// Who.
    pub member: Member,
    /// False when they were in already; then nothing changed.
    pub is_new: bool,
}

/// Adds a member.
pub async fn add(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, as_role: Role) -> Result<AddOutcome> {
    let mut log = events::begin(db, actor).await?;
    require_membership(&mut log, chat, actor).await?.require_can_add(as_role)?;
    let banned = || Error::Conflict { code: "banned", detail: "this user is banned from the chat; unban them first" };
    let is_new = admit(&mut log, chat, user, as_role, banned).await?;
    let outcome = add_outcome(&mut log, chat, user, is_new).await?;
    log.commit().await?;
    Ok(outcome)
}

/// Joins a public channel; any other chat does not exist for a stranger.
pub async fn join(db: &PgPool, chat: ChatId, user: UserId) -> Result<AddOutcome> {
    let mut log = events::begin(db, user).await?;
    let kind: Option<ChatType> =
        sqlx::query_scalar("select type from chats where id = $1").bind(chat).fetch_optional(&mut *log).await?;
    if kind != Some(ChatType::PublicChannel) && find_membership(&mut *log, chat, user).await?.is_none() {
        return Err(Error::NotFound("public channel"));
    }
    let outcome = add_member(&mut log, chat, user).await?;
    log.commit().await?;
    Ok(outcome)
}

/// Adds a user who joins or follows an invite, unless they are banned.
pub(crate) async fn add_member(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<AddOutcome> {
    let banned = || Error::Forbidden("you are banned from this chat");
    let is_new = admit(&mut *log, chat, user, Role::Member, banned).await?;
    add_outcome(log, chat, user, is_new).await
}

async fn add_outcome(log: &mut PgConnection, chat: ChatId, user: UserId, is_new: bool) -> Result<AddOutcome> {
    let member = find(log, chat, user)
        .await?
        .ok_or_else(|| Error::invalid("user_id", format!("there is no user with id {user}")))?;
    Ok(AddOutcome { member, is_new })
}

async fn find(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<Option<Member>> {
    let row: Option<MemberRow> = sqlx::query_as(
        r#"select user_json(u) as "user", m.role, m.joined_at
           from chat_members m join users u on u.id = m.user_id
           where m.chat_id = $1 and m.user_id = $2"#,
    )
    .bind(chat)
    .bind(user)
    .fetch_optional(log)
    .await?;
    Ok(row.map(Member::from))
}

/// Gives a member another role.
pub async fn set_role(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, role: Role) -> Result<Member> {
    let mut log = events::begin(db, actor).await?;
    require_membership(&mut log, chat, actor).await?.require(Permission::SetRoles)?;
    let current = find_membership(&mut *log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    if current.role == Role::Owner && role < Role::Owner {
        require_other_owner(&mut log, chat, user).await?;
    }
    update_role(&mut log, chat, user, role).await?;
    let member = find(&mut log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    log.commit().await?;
    Ok(member)
}

/// Hands a chat over: the other becomes its owner, the actor an admin.
pub async fn transfer_ownership(db: &PgPool, actor: UserId, chat: ChatId, to: UserId) -> Result<Member> {
    let mut log = events::begin(db, actor).await?;
    require_membership(&mut log, chat, actor).await?.require(Permission::SetRoles)?;
    if to == actor {
        return Err(Error::invalid("user_id", "the chat is yours already"));
    }
    find_membership(&mut *log, chat, to)
        .await?
        .ok_or_else(|| Error::invalid("user_id", "this person is not in the chat"))?;
    update_role(&mut log, chat, to, Role::Owner).await?;
    update_role(&mut log, chat, actor, Role::Admin).await?;
    let member = find(&mut log, chat, to).await?.ok_or(Error::NotFound("member"))?;
    log.commit().await?;
    Ok(member)
}

pub(crate) async fn update_role(log: &mut PgConnection, chat: ChatId, user: UserId, role: Role) -> Result<()> {
    sqlx::query("update chat_members set role = $3 where chat_id = $1 and user_id = $2 and role <> $3")
        .bind(chat)
        .bind(user)
        .bind(role)
        .execute(log)
        .await?;
    Ok(())
}

/// A member's own wish not to be disturbed by a chat, or to be again.
pub async fn set_muted(db: &PgPool, chat: ChatId, user: UserId, is_muted: bool) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    require_membership(&mut log, chat, user).await?;
    sqlx::query("update chat_members set is_muted = $3 where chat_id = $1 and user_id = $2 and is_muted <> $3")
        .bind(chat)
        .bind(user)
        .bind(is_muted)
        .execute(&mut *log)
        .await?;
    log.commit().await?;
    Ok(())
}

/// Takes a person out, by someone of a higher role or by themselves.
pub async fn remove(db: &PgPool, actor: UserId, chat: ChatId, user: UserId) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    let membership = require_membership(&mut log, chat, actor).await?;
    if actor == user {
        return leave_locked(log, chat, user, membership).await;
    }
    membership.require(Permission::RemoveMembers)?;
    let current = find_membership(&mut *log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    membership.require_can_remove(current.role)?;
    delete(&mut log, chat, user).await?;
    log.commit().await?;
    Ok(())
}

/// Leaves a chat. The last one out takes the chat with them; the last owner must
/// name another while others stay.
pub async fn leave(db: &PgPool, chat: ChatId, user: UserId) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    let membership = require_membership(&mut log, chat, user).await?;
    leave_locked(log, chat, user, membership).await
}

async fn leave_locked(
    mut log: sqlx::Transaction<'static, sqlx::Postgres>,
    chat: ChatId,
    user: UserId,
    membership: Membership,
) -> Result<()> {
    membership.require(Permission::Leave)?;
    let has_others: bool =
        // In the order of the key, or the planner would rather look through them all.
        sqlx::query_scalar(
            "select exists (select from (
                 select user_id from chat_members where chat_id = $1 order by user_id limit 2
             ) two where user_id <> $2)",
        )
        .bind(chat)
        .bind(user)
        .fetch_one(&mut *log)
        .await?;
    if has_others && membership.role == Role::Owner {
        require_other_owner(&mut log, chat, user).await?;
    }
    delete(&mut log, chat, user).await?;
    if !has_others {
        sqlx::query("delete from chats where id = $1").bind(chat).execute(&mut *log).await?;
    }
    log.commit().await?;
    Ok(())
}

/// Takes a person out, and with them the links they made: by their own they would
/// walk back in.
pub(crate) async fn delete(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<()> {
    for sql in [
        "delete from invites where chat_id = $1 and created_by = $2",
        "delete from chat_members where chat_id = $1 and user_id = $2",
    ] {
        sqlx::query(sql).bind(chat).bind(user).execute(&mut *log).await?;
    }
    Ok(())
}

/// What the actor is to the chat now, with the log held, so that it stays true.
pub(crate) async fn require_membership(log: &mut PgConnection, chat: ChatId, actor: UserId) -> Result<Membership> {
    find_membership(log, chat, actor).await?.ok_or(Error::NotFound("chat"))
}

async fn require_other_owner(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<()> {
    let has_other_owner: bool = sqlx::query_scalar(
        "select exists (select from chat_members where chat_id = $1 and user_id <> $2 and role = 'owner')",
    )
    .bind(chat)
    .bind(user)
    .fetch_one(log)
    .await?;
    if has_other_owner {
        Ok(())
    } else {
        Err(Error::Conflict { code: "last_owner", detail: "make somebody else an owner first" })
    }
}
