//! Who is in a chat, with which role, and how that changes.

use crate::{
    ChatId, Error, Result, Time, UserId, bans, chats::ChatType, events, rights::Right, text::from_word, users::User,
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// What a member may do, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "member_role", rename_all = "snake_case")]
pub enum Role {
    /// Reads and writes.
    Member,
    /// Also manages members below them, and the chat's name.
    Admin,
    /// Also names admins and deletes the chat.
    Owner,
}

impl<'de> Deserialize<'de> for Role {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const WORDS: [(&str, Role); 3] = [("owner", Role::Owner), ("admin", Role::Admin), ("member", Role::Member)];
        from_word(from, &WORDS)
    }
}

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

/// What one person is to one chat: the proof that they may see it.
#[derive(Debug, Clone, Copy, sqlx::FromRow)]
pub struct Membership {
    /// What they may do.
    pub role: Role,
    /// In what kind of chat.
    #[sqlx(rename = "type")]
    pub kind: ChatType,
}

/// What `user` is to `chat`, if anything.
pub async fn membership(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<Option<Membership>> {
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
pub struct Added {
    /// Who.
    pub member: Member,
    /// False when they were in already; then nothing changed.
    pub is_new: bool,
}

/// Brings a person in.
pub async fn add(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, as_role: Role) -> Result<Added> {
    let mut log = events::begin(db, actor).await?;
    acting(&mut log, chat, actor).await?.may_add(as_role)?;
    if bans::is_banned(&mut *log, chat, user).await? {
        return Err(Error::Conflict { code: "banned", detail: "this person is banned here; lift the ban first" });
    }
    let added = insert(&mut log, chat, user, as_role).await?;
    log.commit().await?;
    Ok(added)
}

/// Lets a person into a public channel; any other chat does not exist for them.
pub async fn join(db: &PgPool, chat: ChatId, user: UserId) -> Result<Added> {
    let mut log = events::begin(db, user).await?;
    let kind: Option<ChatType> =
        sqlx::query_scalar("select type from chats where id = $1").bind(chat).fetch_optional(&mut *log).await?;
    if kind != Some(ChatType::PublicChannel) && membership(&mut *log, chat, user).await?.is_none() {
        return Err(Error::NotFound("public channel"));
    }
    let added = enter(&mut log, chat, user).await?;
    log.commit().await?;
    Ok(added)
}

/// Lets a person in who has found the way, unless they are kept out.
pub(crate) async fn enter(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<Added> {
    if bans::is_banned(&mut *log, chat, user).await? {
        return Err(Error::Forbidden("you are banned from this chat"));
    }
    insert(log, chat, user, Role::Member).await
}

async fn insert(log: &mut PgConnection, chat: ChatId, user: UserId, role: Role) -> Result<Added> {
    let inserted = sqlx::query(
        "insert into chat_members (chat_id, user_id, role, joined_after)
         select $1, u.id, $3, coalesce((select max(m.id) from messages m where m.chat_id = $1), 0)
         from users u where u.id = $2 and u.deleted_at is null
         on conflict do nothing",
    )
    .bind(chat)
    .bind(user)
    .bind(role)
    .execute(&mut *log)
    .await?;
    let member = find(log, chat, user)
        .await?
        .ok_or_else(|| Error::invalid("user_id", format!("there is no user with id {user}")))?;
    Ok(Added { member, is_new: inserted.rows_affected() == 1 })
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
    acting(&mut log, chat, actor).await?.may(Right::SetRoles)?;
    let current = membership(&mut *log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    if current.role == Role::Owner && role < Role::Owner {
        another_owner(&mut log, chat, user).await?;
    }
    give_role(&mut log, chat, user, role).await?;
    let member = find(&mut log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    log.commit().await?;
    Ok(member)
}

/// Hands a chat over: the other becomes its owner, the actor an admin.
pub async fn transfer(db: &PgPool, actor: UserId, chat: ChatId, to: UserId) -> Result<Member> {
    let mut log = events::begin(db, actor).await?;
    acting(&mut log, chat, actor).await?.may(Right::SetRoles)?;
    if to == actor {
        return Err(Error::invalid("user_id", "the chat is yours already"));
    }
    membership(&mut *log, chat, to)
        .await?
        .ok_or_else(|| Error::invalid("user_id", "this person is not in the chat"))?;
    give_role(&mut log, chat, to, Role::Owner).await?;
    give_role(&mut log, chat, actor, Role::Admin).await?;
    let member = find(&mut log, chat, to).await?.ok_or(Error::NotFound("member"))?;
    log.commit().await?;
    Ok(member)
}

pub(crate) async fn give_role(log: &mut PgConnection, chat: ChatId, user: UserId, role: Role) -> Result<()> {
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
    acting(&mut log, chat, user).await?;
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
    let own = acting(&mut log, chat, actor).await?;
    if actor == user {
        return leave_holding(log, chat, user, own).await;
    }
    own.may(Right::Remove)?;
    let current = membership(&mut *log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    own.may_remove(current.role)?;
    delete(&mut log, chat, user).await?;
    log.commit().await?;
    Ok(())
}

/// Leaves a chat. The last one out takes the chat with them; the last owner must
/// name another while others stay.
pub async fn leave(db: &PgPool, chat: ChatId, user: UserId) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    let own = acting(&mut log, chat, user).await?;
    leave_holding(log, chat, user, own).await
}

async fn leave_holding(
    mut log: sqlx::Transaction<'static, sqlx::Postgres>,
    chat: ChatId,
    user: UserId,
    own: Membership,
) -> Result<()> {
    own.may(Right::Leave)?;
    let others: bool =
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
    if others && own.role == Role::Owner {
        another_owner(&mut log, chat, user).await?;
    }
    delete(&mut log, chat, user).await?;
    if !others {
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
pub(crate) async fn acting(log: &mut PgConnection, chat: ChatId, actor: UserId) -> Result<Membership> {
    membership(log, chat, actor).await?.ok_or(Error::NotFound("chat"))
}

async fn another_owner(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<()> {
    let another: bool = sqlx::query_scalar(
        "select exists (select from chat_members where chat_id = $1 and user_id <> $2 and role = 'owner')",
    )
    .bind(chat)
    .bind(user)
    .fetch_one(log)
    .await?;
    if another {
        Ok(())
    } else {
        Err(Error::Conflict { code: "last_owner", detail: "make somebody else an owner first" })
    }
}
