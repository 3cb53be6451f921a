//! Invites: links through which users join a chat.

use crate::{
    ChatId, Error, Result, Time, UserId, auth,
    chats::{self, Chat, ChatType},
    events,
    mail::{self, Language, NewMail},
    members,
    messages::system::{self, ChatChange},
    permissions::Permission,
    users,
    values::{Email, InviteCode},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Maximum lifetime of an invite, in seconds: one year.
pub const MAX_LIFETIME_SECONDS: i64 = 365 * 24 * 3600;

/// Lifetime of an invite in a mail, in seconds: one week.
const MAILED_LIFETIME_SECONDS: i64 = 7 * 24 * 3600;

/// Maximum number of active invites of one chat.
pub const MAX_ACTIVE: i64 = 100;

/// An invite to a chat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct Invite {
    /// The code at the end of the invite link.
    pub code: String,
    /// The chat that the invite is for.
    pub chat_id: ChatId,
    /// The user who created the invite.
    pub created_by: UserId,
    /// When the invite was created.
    pub created_at: Time,
    /// When the invite expires; null if it never does.
    pub expires_at: Option<Time>,
    /// How many users can join with the invite; null for no limit.
    pub max_uses: Option<i32>,
    /// How many users have joined with the invite.
    pub uses: i32,
}

/// The preview of an invite, shown before a user joins.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "InvitePreview")]
pub struct Preview {
    /// The code at the end of the invite link.
    pub code: String,
    /// The chat that the invite is for.
    pub chat: Chat,
    /// When the invite expires; null if it never does.
    pub expires_at: Option<Time>,
}

/// What an invite tells anybody who has its link: who invites where.
#[derive(Debug, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
pub struct InviteSummary {
    /// The name of the chat; empty for a group without one.
    pub chat_name: String,
    /// The type of the chat.
    pub chat_type: ChatType,
    /// The description of the chat; may be empty.
    pub chat_description: String,
    /// Number of members of the chat.
    pub member_count: i64,
    /// The name of the user who created the invite; null if the account was deleted.
    pub invited_by: Option<String>,
    /// When the invite expires; null if it never does.
    pub expires_at: Option<Time>,
}

/// An invite to be created.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewInvite {
    /// Lifetime in seconds, up to one year; absent for an invite that never expires.
    pub expires_in: Option<i64>,
    /// How many users can join with the invite; absent for no limit.
    pub max_uses: Option<i32>,
}

/// Creates an invite.
pub async fn create(db: &PgPool, actor: UserId, chat: ChatId, new: &NewInvite) -> Result<Invite> {
    if new.expires_in.is_some_and(|seconds| !(1..=MAX_LIFETIME_SECONDS).contains(&seconds)) {
        return Err(Error::invalid("expires_in", format!("expires_in must be 1 to {MAX_LIFETIME_SECONDS} seconds")));
    }
    if new.max_uses.is_some_and(|uses| uses < 1) {
        return Err(Error::invalid("max_uses", "max_uses must be at least 1"));
    }
    let mut log = events::begin(db, actor).await?;
    let invite = insert(&mut log, actor, chat, new).await?;
    log.commit().await?;
    Ok(invite)
}

/// Invites the reader of a mail with an invite for one user.
pub async fn send(db: &PgPool, actor: UserId, chat: ChatId, email: &Email, language: Language) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    users::lock_active(&mut log, actor).await?;
    if !users::get_me(&mut *log, actor).await?.is_email_verified {
        return Err(Error::Forbidden("confirm your own email address first, in the settings of your account"));
    }
    if mail::has_sent_all_invitations(&mut log, actor).await? {
        let detail = "you have sent as many invitations by mail as are possible in a day";
        return Err(Error::Conflict { code: "too_many_invitations", detail });
    }
    let new = NewInvite { expires_in: Some(MAILED_LIFETIME_SECONDS), max_uses: Some(1) };
    let invite = insert(&mut log, actor, chat, &new).await?;
    let is_stored = NewMail::to_address(mail::Kind::Invitation, email.as_str(), language)
        .with_user(actor)
        .with_data(json!({ "code": invite.code }))
        .enqueue(&mut log)
        .await?;
    // Without a mail there is no invite.
    if is_stored {
        log.commit().await?;
    }
    Ok(())
}

async fn insert(log: &mut PgConnection, actor: UserId, chat: ChatId, new: &NewInvite) -> Result<Invite> {
    members::require_membership(&mut *log, chat, actor).await?.require(Permission::Invite)?;
    let active: i64 = sqlx::query_scalar("select count(*) from active_invites where chat_id = $1")
        .bind(chat)
        .fetch_one(&mut *log)
        .await?;
    if active >= MAX_ACTIVE {
        return Err(Error::Conflict { code: "too_many_invites", detail: "too many active invites; revoke one first" });
    }
    Ok(sqlx::query_as(
        "insert into invites (code, chat_id, created_by, expires_at, max_uses)
         values ($1, $2, $3, now() + make_interval(secs => $4), $5)
         returning *",
    )
    .bind(auth::new_code())
    .bind(chat)
    .bind(actor)
    .bind(new.expires_in.map(|seconds| seconds as f64))
    .bind(new.max_uses)
    .fetch_one(log)
    .await?)
}

/// Lists the active invites of a chat, newest first.
pub async fn list(db: &mut PgConnection, actor: UserId, chat: ChatId) -> Result<Vec<Invite>> {
    members::require_membership(&mut *db, chat, actor).await?.require(Permission::Invite)?;
    Ok(sqlx::query_as("select * from active_invites where chat_id = $1 order by created_at desc, code limit $2")
        .bind(chat)
        .bind(MAX_ACTIVE)
        .fetch_all(db)
        .await?)
}

/// Revokes an invite, for its creator or a member who may remove members.
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

/// Returns the preview of an invite, for anyone who has the code and is not banned from its
/// chat.
pub async fn preview(db: impl PgExecutor<'_>, viewer: UserId, code: &InviteCode) -> Result<Preview> {
    let (code, Json(chat), expires_at) = sqlx::query_as(
        "select i.code, chat_json(c, member_count(c.id), null), i.expires_at
         from active_invites i join chats c on c.id = i.chat_id
         where i.code = $1
           and not exists (select from chat_bans b where b.chat_id = i.chat_id and b.user_id = $2)",
    )
    .bind(code.as_str())
    .bind(viewer)
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound("invite"))?;
    Ok(Preview { code, chat, expires_at })
}

/// Returns who invites where, for anybody who has the code.
pub async fn summarize(db: impl PgExecutor<'_>, code: &InviteCode) -> Result<InviteSummary> {
    sqlx::query_as(
        "select c.name as chat_name, c.type as chat_type, c.description as chat_description,
                member_count(c.id)::bigint as member_count,
                coalesce(nullif(u.display_name, ''), u.username) as invited_by, i.expires_at
         from active_invites i join chats c on c.id = i.chat_id
         left join users u on u.id = i.created_by and u.deleted_at is null
         where i.code = $1",
    )
    .bind(code.as_str())
    .fetch_optional(db)
    .await?
    .ok_or(Error::NotFound("invite"))
}

/// Whether an invite can be used.
pub async fn is_active(db: impl PgExecutor<'_>, code: &InviteCode) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from active_invites where code = $1)")
        .bind(code.as_str())
        .fetch_one(db)
        .await?)
}

/// Accepts an invite: adds the user to its chat. Returns the chat, and whether the
/// user is a new member.
pub async fn accept(db: &PgPool, user: UserId, code: &InviteCode) -> Result<chats::CreateOutcome> {
    let mut log = events::begin(db, user).await?;
    let chat: ChatId = sqlx::query_scalar("select chat_id from active_invites where code = $1")
        .bind(code.as_str())
        .fetch_optional(&mut *log)
        .await?
        .ok_or(Error::NotFound("invite"))?;
    let outcome = members::add_member(&mut log, chat, user).await?;
    if outcome.is_new {
        system::append_membership(&mut log, chat, user, &ChatChange::Joined).await?;
        sqlx::query("update invites set uses = uses + 1 where code = $1")
            .bind(code.as_str())
            .execute(&mut *log)
            .await?;
    }
    let chat = chats::get(&mut *log, chat, user).await?;
    log.commit().await?;
    Ok(chats::CreateOutcome { chat, is_new: outcome.is_new })
}
