//! Who is in a chat, with which role, and how that changes.

use crate::{ChatId, Error, Result, Time, UserId, chats::ChatType, events, text::from_word, users::User};
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// What a member may do, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, sqlx::Type)]
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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

/// Brings a person in. `as_role` must be below the actor's own.
pub async fn add(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, as_role: Role) -> Result<Added> {
    let mut log = events::begin(db, actor).await?;
    let actors = acting(&mut log, chat, actor).await?;
    not_single(actors)?;
    let enough = match actors.kind {
        ChatType::Group => Role::Member,
        _ => Role::Admin,
    };
    if actors.role < enough || (as_role > Role::Member && as_role >= actors.role) {
        return Err(Error::Forbidden("you cannot add somebody with this role here"));
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
    let added = insert(&mut log, chat, user, Role::Member).await?;
    log.commit().await?;
    Ok(added)
}

async fn insert(log: &mut PgConnection, chat: ChatId, user: UserId, role: Role) -> Result<Added> {
    let inserted = sqlx::query(
        "insert into chat_members (chat_id, user_id, role)
         select $1, u.id, $3 from users u where u.id = $2
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

/// Gives a member another role; for owners.
pub async fn set_role(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, role: Role) -> Result<Member> {
    let mut log = events::begin(db, actor).await?;
    let actors = acting(&mut log, chat, actor).await?;
    not_single(actors)?;
    if actors.role < Role::Owner {
        return Err(Error::Forbidden("only an owner changes roles"));
    }
    let current = membership(&mut *log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    if current.role == Role::Owner && role < Role::Owner {
        another_owner(&mut log, chat, user).await?;
    }
    sqlx::query("update chat_members set role = $3 where chat_id = $1 and user_id = $2 and role <> $3")
        .bind(chat)
        .bind(user)
        .bind(role)
        .execute(&mut *log)
        .await?;
    let member = find(&mut log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    log.commit().await?;
    Ok(member)
}

/// Takes a person out, by someone of a higher role or by themselves.
pub async fn remove(db: &PgPool, actor: UserId, chat: ChatId, user: UserId) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    let actors = acting(&mut log, chat, actor).await?;
    not_single(actors)?;
    let current = membership(&mut *log, chat, user).await?.ok_or(Error::NotFound("member"))?;
    if actor == user {
        return leave_holding(log, chat, user, current).await;
    }
    if actors.role < Role::Admin || actors.role <= current.role {
        return Err(Error::Forbidden("you cannot remove somebody of this role"));
    }
    delete(&mut log, chat, user).await?;
    log.commit().await?;
    Ok(())
}

/// Leaves a chat. The last one out takes the chat with them; the last owner must
/// name another while others stay.
pub async fn leave(db: &PgPool, chat: ChatId, user: UserId) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    let own = acting(&mut log, chat, user).await?;
    not_single(own)?;
    leave_holding(log, chat, user, own).await
}

async fn leave_holding(
    mut log: sqlx::Transaction<'static, sqlx::Postgres>,
    chat: ChatId,
    user: UserId,
    own: Membership,
) -> Result<()> {
    let others: bool =
        sqlx::query_scalar("select exists (select from chat_members where chat_id = $1 and user_id <> $2)")
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

async fn delete(log: &mut PgConnection, chat: ChatId, user: UserId) -> Result<()> {
    sqlx::query("delete from chat_members where chat_id = $1 and user_id = $2")
        .bind(chat)
        .bind(user)
        .execute(log)
        .await?;
    Ok(())
}

/// What the actor is to the chat now, with the log held, so that it stays true.
pub(crate) async fn acting(log: &mut PgConnection, chat: ChatId, actor: UserId) -> Result<Membership> {
    membership(log, chat, actor).await?.ok_or(Error::NotFound("chat"))
}

/// Refuses an actor who is no member, or of a lower role, as of now.
pub(crate) async fn must_be(log: &mut PgConnection, chat: ChatId, actor: UserId, least: Role) -> Result<()> {
    let actors = acting(log, chat, actor).await?;
    not_single(actors)?;
    if actors.role < least {
        return Err(Error::Forbidden("your role in this chat does not allow this"));
    }
    Ok(())
}

fn not_single(membership: Membership) -> Result<()> {
    match membership.kind {
        ChatType::Single => Err(Error::Forbidden("a direct chat keeps its two people")),
        _ => Ok(()),
    }
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
