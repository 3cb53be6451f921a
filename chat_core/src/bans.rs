//! Bans from a chat.

use crate::{
    ChatId, Error, Result, Time, UserId,
    chats::model::Role,
    events, members,
    messages::system::{self, ChatChange},
    permissions::Permission,
    users::User,
    values::Reason,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

/// A ban of a user from a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ban {
    /// The banned user.
    pub user: User,
    /// The user who set the ban; null if the user is no longer stored.
    pub banned_by: Option<UserId>,
    /// The reason; may be empty.
    pub reason: String,
    /// When the ban was set.
    pub banned_at: Time,
}

#[derive(sqlx::FromRow)]
struct BanRow {
    user: Json<User>,
    banned_by: Option<UserId>,
    reason: String,
    banned_at: Time,
}

/// Bans a user, and removes them from the chat if they are a member. Idempotent.
pub async fn ban(db: &PgPool, actor: UserId, chat: ChatId, user: UserId, reason: Option<&Reason>) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    let membership = members::require_membership(&mut log, chat, actor).await?;
    membership.require(Permission::RemoveMembers)?;
    if user == actor {
        return Err(Error::invalid("user_id", "you cannot ban yourself; leave the chat instead"));
    }
    let role = members::find_highest_role(&mut log, chat, user).await?;
    membership.require_can_remove(role.unwrap_or(Role::Member))?;
    let inserted = sqlx::query(
        "insert into chat_bans (chat_id, user_id, banned_by, reason) select $1, id, $3, $4 from users where id = $2 and state <> 'pending'
         on conflict (chat_id, user_id) do update set reason = excluded.reason",
    )
    .bind(chat)
    .bind(user)
    .bind(actor)
    .bind(reason.map_or("", Reason::as_str))
    .execute(&mut *log)
    .await?;
    if inserted.rows_affected() == 0 {
        return Err(Error::NotFound("user"));
    }
    members::delete(&mut log, chat, user).await?;
    if role.is_some() {
        system::append(&mut log, chat, actor, &ChatChange::Removed { user_id: user }).await?;
    }
    log.commit().await?;
    Ok(())
}

/// Removes a ban. Idempotent.
pub async fn unban(db: &PgPool, actor: UserId, chat: ChatId, user: UserId) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    members::require_membership(&mut log, chat, actor).await?.require(Permission::RemoveMembers)?;
    sqlx::query("delete from chat_bans where chat_id = $1 and user_id = $2")
        .bind(chat)
        .bind(user)
        .execute(&mut *log)
        .await?;
    log.commit().await?;
    Ok(())
}

/// Lists a page of bans, ordered by user id, after the given user.
pub async fn list(
    db: &mut PgConnection,
    actor: UserId,
    chat: ChatId,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<Ban>> {
    members::require_membership(&mut *db, chat, actor).await?.require(Permission::RemoveMembers)?;
    let rows: Vec<BanRow> = sqlx::query_as(
        r#"select user_json(u) as "user", b.banned_by, b.reason, b.banned_at
           from chat_bans b join users u on u.id = b.user_id
           where b.chat_id = $1 and b.user_id > coalesce($2, 0)
           order by b.user_id limit $3"#,
    )
    .bind(chat)
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    let ban = |BanRow { user: Json(user), banned_by, reason, banned_at }| Ban { user, banned_by, reason, banned_at };
    Ok(rows.into_iter().map(ban).collect())
}
