//! Links that let people into a chat.

use crate::{
    ChatId, Error, Result, Time, UserId, auth,
    chats::{self, Chat},
    events, members,
    permissions::Permission,
    values::InviteCode,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// The longest an invite can last, in seconds: a year.
pub const MAX_LIFETIME_SECONDS: i64 = 365 * 24 * 3600;

/// The most invites of one chat that can be open.
pub const MAX_ACTIVE: i64 = 100;

/// A link into a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct Invite {
    /// What the link ends with.
    pub code: String,
    /// Where it leads.
    pub chat_id: ChatId,
    /// Who made it.
    pub created_by: UserId,
    /// When.
    pub created_at: Time,
    /// Until when it opens; null for ever.
    pub expires_at: Option<Time>,
    /// For how many people it opens; null for any number.
    pub max_uses: Option<i32>,
    /// How many have come in by it.
    pub uses: i32,
}

/// What somebody who holds a link may know before they follow it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "InvitePreview")]
pub struct Preview {
    /// What the link ends with.
    pub code: String,
    /// Where it leads.
    pub chat: Chat,
    /// Until when it opens; null for ever.
    pub expires_at: Option<Time>,
}

/// How long and for how many a new link is to open.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// In seconds from now, up to a year; for ever, if absent.
    pub expires_in: Option<i64>,
    /// For any number, if absent.
    pub max_uses: Option<i32>,
}

/// Makes a link.
pub async fn create(db: &PgPool, actor: UserId, chat: ChatId, new: &NewInvite) -> Result<Invite> {
    if new.expires_in.is_some_and(|seconds| !(1..=MAX_LIFETIME_SECONDS).contains(&seconds)) {
        return Err(Error::invalid("expires_in", format!("an invite lasts 1 to {MAX_LIFETIME_SECONDS} seconds")));
    }
    if new.max_uses.is_some_and(|uses| uses < 1) {
        return Err(Error::invalid("max_uses", "an invite is good for at least one use"));
    }
    let mut log = events::begin(db, actor).await?;
    members::require_membership(&mut log, chat, actor).await?.require(Permission::Invite)?;
    let active: i64 = sqlx::query_scalar("select count(*) from active_invites where chat_id = $1")
        .bind(chat)
        .fetch_one(&mut *log)
        .await?;
    if active >= MAX_ACTIVE {
        return Err(Error::Conflict { code: "too_many_invites", detail: "take back another invite first" });
    }
    let invite = sqlx::query_as(
        "insert into invites (code, chat_id, created_by, expires_at, max_uses)
         values ($1, $2, $3, now() + make_interval(secs => $4), $5)
         returning *",
    )
    .bind(auth::new_code())
    .bind(chat)
    .bind(actor)
    .bind(new.expires_in.map(|seconds| seconds as f64))
    .bind(new.max_uses)
    .fetch_one(&mut *log)
    .await?;
    log.commit().await?;
    Ok(invite)
}

/// The links of a chat that still open, the newest first.
pub async fn list(db: &mut PgConnection, actor: UserId, chat: ChatId) -> Result<Vec<Invite>> {
    members::require_membership(&mut *db, chat, actor).await?.require(Permission::Invite)?;
    Ok(sqlx::query_as("select * from active_invites where chat_id = $1 order by created_at desc, code limit $2")
        .bind(chat)
        .bind(MAX_ACTIVE)
        .fetch_all(db)
        .await?)
}

/// Takes a link back: its maker does, or who may take out people.
pub async fn revoke(db: &PgPool, actor: UserId, chat: ChatId, code: &InviteCode) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    let membership = members::require_membership(&mut log, chat, actor).await?;
    let creator: Option<UserId> = sqlx::query_scalar("select created_by from invites where chat_id = $1 and code = $2")
        .bind(chat)
        .bind(code.as_str())
        .fetch_optional(&mut *log)
        .await?
        .ok_or(Error::NotFound("invite"))?;
    if creator != Some(actor) {
        membership.require(Permission::RemoveMembers)?;
    }
    sqlx::query("delete from invites where code = $1").bind(code.as_str()).execute(&mut *log).await?;
    log.commit().await?;
    Ok(())
}

/// Where a link leads, for whoever holds it.
pub async fn preview(db: impl PgExecutor<'_>, code: &InviteCode) -> Result<Preview> {
    let (code, Json(chat), expires_at) = sqlx::query_as(
        "select i.code, chat_json(c, member_count(c.id), null), i.expires_at
         from active_invites i join chats c on c.id = i.chat_id
         where i.code = $1",
    )
    .bind(code.as_str())
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound("invite"))?;
    Ok(Preview { code, chat, expires_at })
}

/// The chat that a link led into, and whether that was new.
pub async fn accept(db: &PgPool, user: UserId, code: &InviteCode) -> Result<chats::CreateOutcome> {
    let mut log = events::begin(db, user).await?;
    let chat: ChatId = sqlx::query_scalar("select chat_id from active_invites where code = $1")
        .bind(code.as_str())
        .fetch_optional(&mut *log)
        .await?
        .ok_or(Error::NotFound("invite"))?;
    let outcome = members::add_member(&mut log, chat, user).await?;
    if outcome.is_new {
        sqlx::query("update invites set uses = uses + 1 where code = $1")
            .bind(code.as_str())
            .execute(&mut *log)
            .await?;
    }
    let chat = chats::get(&mut *log, chat, user).await?;
    log.commit().await?;
    Ok(chats::CreateOutcome { chat, is_new: outcome.is_new })
}
