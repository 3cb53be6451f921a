//! The members of a chat and their roles.

use crate::{
    ChatId, Error, Result, Time, UserId, accounts,
    admission::{self, admit},
    blocks, bots, bridges,
    chats::model::{ChatType, Membership, Role},
    events,
    messages::system::{self, ChatChange},
    permissions::Permission,
    users::{User, UserKind},
    webhooks,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// A member of a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The user.
    #[serde(flatten)]
    pub user: User,
    /// The role, which determines the permissions.
    pub role: Role,
    /// When the user joined.
    pub joined_at: Time,
}

/// Returns the membership of `user` in `chat`, if there is one.
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

/// Lists a page of the members of a chat, ordered by user id, after the given user.
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

/// The result of adding a member.
#[derive(Debug)]
pub struct AddOutcome {
    /// The member.
    pub member: Member,
    /// False if the user was a member already; then nothing changed.
    pub is_new: bool,
}

/// Adds a member.
pub async fn add(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, as_role: Role) -> Result<AddOutcome> {
    let mut log = events::begin(db, actor).await?;
    require_membership(&mut log, chat, actor).await?.require_can_add(as_role)?;
    if find_membership(&mut *log, chat, user).await?.is_none() {
        blocks::require_none(&mut *log, actor, &[user]).await?;
        admission::require_not_departed(&mut *log, chat, user).await?;
        bots::require_shared_chat(&mut *log, actor, &[user]).await?;
        admission::require_consent(&mut *log, actor, "user_id", &[user]).await?;
    }
    bots::require_can_have(&mut *log, "role", user, as_role).await?;
    let banned = || Error::Conflict { code: "banned", detail: "this user is banned from the chat; unban them first" };
    let is_new = admit(&mut log, chat, user, as_role, banned).await?;
    if is_new {
        system::append(&mut log, chat, actor, &ChatChange::Added { user_id: user }).await?;
    }
    let outcome = add_outcome(&mut log, chat, user, is_new).await?;
    log.commit().await?;
    Ok(outcome)
}

/// Joins a public channel. For another type of chat, a user who is not a member
/// gets `NotFound`.
pub async fn join(db: &PgPool, chat: ChatId, user: UserId) -> Result<AddOutcome> {
    let mut log = events::begin(db, user).await?;
    let kind: Option<ChatType> =
        sqlx::query_scalar("select type from chats where id = $1").bind(chat).fetch_optional(&mut *log).await?;
    if kind != Some(ChatType::PublicChannel) && find_membership(&mut *log, chat, user).await?.is_none() {
        return Err(Error::NotFound("public channel"));
    }
    let outcome = add_member(&mut log, chat, user).await?;
    if outcome.is_new {
        system::append_membership(&mut log, chat, user, &ChatChange::Joined).await?;
    }
    log.commit().await?;
    Ok(outcome)
}

/// Adds a user who joins or accepts an invite, unless the user is banned.
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

/// Changes the role of a member.
pub async fn set_role(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, role: Role) -> Result<Member> {
    let mut log = events::begin(db, actor).await?;
    require_membership(&mut log, chat, actor).await?.require(Permission::SetRoles)?;
    let current = find_membership(&mut *log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    if current.role == Role::Owner && role < Role::Owner {
        require_other_owner(&mut log, chat, user).await?;
    }
    bots::require_can_have(&mut *log, "role", user, role).await?;
    update_role(&mut log, chat, user, role).await?;
    let member = find(&mut log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    log.commit().await?;
    Ok(member)
}

/// Transfers a chat: the other member becomes its owner, the actor an admin.
pub async fn transfer_ownership(db: &PgPool, actor: UserId, chat: ChatId, to: UserId) -> Result<Member> {
    let mut log = events::begin(db, actor).await?;
    require_membership(&mut log, chat, actor).await?.require(Permission::SetRoles)?;
    if to == actor {
        return Err(Error::invalid("user_id", "you already own this chat"));
    }
    find_membership(&mut *log, chat, to)
        .await?
        .ok_or_else(|| Error::invalid("user_id", "this user is not a member of the chat"))?;
    bots::require_can_have(&mut *log, "user_id", to, Role::Owner).await?;
    update_role(&mut log, chat, to, Role::Owner).await?;
    update_role(&mut log, chat, actor, Role::Admin).await?;
    let member = find(&mut log, chat, to).await?.ok_or(Error::NotFound("member"))?;
    log.commit().await?;
    Ok(member)
}

/// Changes a role, and deletes the invites, webhooks and ghosts of a member who may no longer
/// create them.
pub(crate) async fn update_role(log: &mut PgConnection, chat: ChatId, user: UserId, role: Role) -> Result<()> {
    for sql in [
        "update chat_members set role = $3 where chat_id = $1 and user_id = $2 and role <> $3",
        "delete from invites i using chats c
         where i.chat_id = $1 and i.created_by = $2 and c.id = i.chat_id
           and not 'invite' = any (permissions_of(c.type, $3))",
    ] {
        sqlx::query(sql).bind(chat).bind(user).bind(role).execute(&mut *log).await?;
    }
    let webhooks: Vec<UserId> = sqlx::query_scalar(
        "select u.id from chat_members m join users u on u.id = m.user_id join chats c on c.id = m.chat_id
         where m.chat_id = $1 and u.owner_id = $2 and u.kind in ('webhook', 'ghost')
           and not 'edit_chat' = any (permissions_of(c.type, $3))",
    )
    .bind(chat)
    .bind(user)
    .bind(role)
    .fetch_all(&mut *log)
    .await?;
    for webhook in webhooks {
        delete(&mut *log, chat, webhook).await?;
    }
    Ok(())
}

/// Removes a member. The actor must have a higher role, or be that member.
pub async fn remove(db: &PgPool, actor: UserId, chat: ChatId, user: UserId) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    let membership = require_membership(&mut log, chat, actor).await?;
    if actor == user {
        return leave_locked(log, chat, user, membership).await;
    }
    membership.require(Permission::RemoveMembers)?;
    let role = find_highest_role(&mut log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    membership.require_can_remove(role)?;
    delete(&mut log, chat, user).await?;
    system::append(&mut log, chat, actor, &ChatChange::Removed { user_id: user }).await?;
    log.commit().await?;
    Ok(())
}

/// The highest role of a member and of the member's bots, who leave with the member; `None` if
/// the user is not a member.
pub(crate) async fn find_highest_role(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<Option<Role>> {
    // Roles are ordered from owner to member.
    Ok(sqlx::query_scalar(
        "select min(m.role) from chat_members m join users u on u.id = m.user_id
         where m.chat_id = $1 and (u.id = $2 or u.owner_id = $2)
           and exists (select from chat_members own where own.chat_id = $1 and own.user_id = $2)",
    )
    .bind(chat)
    .bind(user)
    .fetch_one(log)
    .await?)
}

/// Leaves a chat. When the last member leaves, the chat is deleted. The last owner
/// must appoint another owner while there are other members.
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
        // Ordered by the key, because otherwise the planner scans all members.
        sqlx::query_scalar(
            "select exists (select from (
                 select user_id from chat_members where chat_id = $1 order by user_id limit $3
             ) first join users u on u.id = user_id where user_id <> $2 and u.owner_id is distinct from $2)",
        )
        .bind(chat)
        .bind(user)
        // The user and their bots, webhooks and ghosts, who leave too, and one more.
        .bind(bots::MAX_BOTS + webhooks::MAX_WEBHOOKS + bridges::MAX_BRIDGES * (1 + bridges::ghosts::MAX_GHOSTS) + 2)
        .fetch_one(&mut *log)
        .await?;
    if has_others && membership.role == Role::Owner {
        require_other_owner(&mut log, chat, user).await?;
    }
    delete(&mut log, chat, user).await?;
    if has_others {
        admission::require_invite(&mut *log, chat, user).await?;
        system::append_membership(&mut log, chat, user, &ChatChange::Left).await?;
    } else {
        sqlx::query("delete from chats where id = $1").bind(chat).execute(&mut *log).await?;
    }
    log.commit().await?;
    Ok(())
}

/// Removes a member together with their bots, and with the invites they created, because they
/// could rejoin with their own invite. Records that they were members. Deletes their webhooks and
/// ghosts, which are members of one chat only.
pub(crate) async fn delete(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<()> {
    let leaving: Vec<(UserId, UserKind)> = sqlx::query_as(
        "select m.user_id, u.kind from chat_members m join users u on u.id = m.user_id
         where m.chat_id = $1 and (u.id = $2 or u.owner_id = $2)",
    )
    .bind(chat)
    .bind(user)
    .fetch_all(&mut *log)
    .await?;
    let users: Vec<UserId> = leaving.iter().map(|(id, _)| *id).collect();
    for sql in [
        "delete from invites where chat_id = $1 and created_by = any ($2)",
        "delete from saved_messages where chat_id = $1 and user_id = any ($2)",
        "insert into chat_departures (chat_id, user_id, needs_invite)
         select chat_id, user_id, false from chat_members where chat_id = $1 and user_id = any ($2)
         on conflict do nothing",
        "delete from chat_members where chat_id = $1 and user_id = any ($2)",
    ] {
        sqlx::query(sql).bind(chat).bind(&users).execute(&mut *log).await?;
    }
    for (user, _) in leaving.into_iter().filter(|(_, kind)| matches!(kind, UserKind::Webhook | UserKind::Ghost)) {
        // A person of a space that is still connected can come back, and be banned.
        if !bridges::ghosts::is_person_of_space(&mut *log, user).await? {
            accounts::erase(&mut *log, user).await?;
        }
    }
    Ok(())
}

/// Returns the membership of the actor. The caller holds the append lock, so the
/// membership cannot change before the commit.
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
        Err(Error::Conflict { code: "last_owner", detail: "you are the only owner; make another member owner first" })
    }
}
