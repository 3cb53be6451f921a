//! Bots: users that programs control with API tokens. Each bot is owned by a person. Only its
//! owner can add it to a group or a channel, and it is there only while the owner is.

use crate::{
    Error, FileId, Result, UserId, accounts,
    audit::{Action, Client, NewEntry},
    chats::model::Role,
    events,
    search::words,
    users::{self, ProfileChange, User, UserKind},
    values::{Bio, DisplayName, Username, deserialize_nullable},
};
use schemars::JsonSchema;
use serde::Deserialize;
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Maximum number of bots of one user.
pub(crate) const MAX_BOTS: i64 = 20;

/// Maximum number of bots that a user creates in a day. Each reserves a username for a while,
/// also when it is deleted.
const MAX_BOTS_PER_DAY: i64 = 40;

/// A bot to be created.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NewBot {
    /// The name used in mentions, after `@`; unique among all users without regard to case.
    pub username: Username,
    /// The name shown to other users; the username if absent.
    #[serde(default)]
    pub display_name: Option<DisplayName>,
    /// A short text about the bot.
    #[serde(default)]
    pub bio: Option<Bio>,
}

/// Changes to a bot; absent fields stay unchanged.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct BotPatch {
    /// The name shown to other users.
    pub display_name: Option<DisplayName>,
    /// A short text about the bot.
    pub bio: Option<Bio>,
    /// The avatar, an image that the owner or the bot uploaded; null removes it.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schemars(with = "Option<FileId>")]
    pub avatar_file_id: Option<Option<FileId>>,
}

/// Creates a bot.
pub async fn create(db: &PgPool, owner: UserId, client: &Client, new: &NewBot) -> Result<User> {
    let mut tx = db.begin().await?;
    // Also, so that two requests at once cannot exceed the limit.
    users::lock_active(&mut tx, owner).await?;
    let (count, today): (i64, i64) = sqlx::query_as(
        "select count(*) filter (where deleted_at is null), count(*) filter (where created_at > now() - interval '1 day')
         from users where owner_id = $1 and kind = 'bot'",
    )
    .bind(owner)
    .fetch_one(&mut *tx)
    .await?;
    if today >= MAX_BOTS_PER_DAY {
        return Err(Error::Conflict { code: "too_many_bots", detail: "too many new bots today; try again tomorrow" });
    }
    if count >= MAX_BOTS {
        return Err(Error::Conflict { code: "too_many_bots", detail: "too many bots; delete one first" });
    }
    let display_name = new.display_name.as_ref().map_or(new.username.as_str(), DisplayName::as_str);
    let created: Result<Json<User>, sqlx::Error> = sqlx::query_scalar(
        "with u as (
             insert into users (kind, owner_id, username, display_name, bio, words)
             values ('bot', $1, $2, $3, $4, $5) returning *
         )
         select user_json(u::users) from (select u.* from u) u",
    )
    .bind(owner)
    .bind(new.username.as_str())
    .bind(display_name)
    .bind(new.bio.as_ref().map_or("", Bio::as_str))
    .bind(words(&format!("{} {display_name}", new.username.as_str())))
    .fetch_one(&mut *tx)
    .await;
    let Json(bot) = users::map_name_conflict(created)?;
    NewEntry::new(Action::BotCreated)
        .with_actor(owner)
        .with_user(bot.id)
        .with_client(client)
        .with_detail(&bot.username)
        .write(&mut *tx)
        .await?;
    tx.commit().await?;
    Ok(bot)
}

/// Lists the bots of a user, by id.
pub async fn list(db: impl PgExecutor<'_>, owner: UserId) -> Result<Vec<User>> {
    let sql = "select user_json(u) from users u where u.owner_id = $1 and u.kind = 'bot' and u.deleted_at is null order by u.id";
    let rows: Vec<Json<User>> = sqlx::query_scalar(sql).bind(owner).fetch_all(db).await?;
    Ok(rows.into_iter().map(|Json(bot)| bot).collect())
}

/// The user whom a token or an endpoint of an owner is for: the owner, or an active bot of the owner.
pub(crate) async fn resolve_self_or_bot(db: &mut PgConnection, owner: UserId, bot: Option<UserId>) -> Result<UserId> {
    let Some(bot) = bot else { return Ok(owner) };
    let sql = "select id from users
               where id = $2 and owner_id = $1 and kind = 'bot' and state = 'active' and deleted_at is null
               for no key update";
    let found = sqlx::query_scalar(sql).bind(owner).bind(bot).fetch_optional(db).await?;
    found.ok_or_else(|| Error::invalid("bot_id", "you have no active bot with this id"))
}

/// Lists the ids of the bots and webhooks of a user. Ghosts are not among them: there can be many,
/// and the clean-up of bridges erases them.
pub(crate) async fn list_ids(db: impl PgExecutor<'_>, owner: UserId) -> Result<Vec<UserId>> {
    let sql = "select id from users where owner_id = $1 and kind <> 'ghost' and deleted_at is null order by id";
    Ok(sqlx::query_scalar(sql).bind(owner).fetch_all(db).await?)
}

/// Changes a bot of a user.
pub async fn update(db: &PgPool, owner: UserId, bot: UserId, patch: BotPatch) -> Result<User> {
    let mut log = events::begin(db, owner).await?;
    require_owned(&mut log, owner, bot).await?;
    let BotPatch { display_name, bio, avatar_file_id } = patch;
    let change = ProfileChange {
        display_name: display_name.as_ref(),
        bio: bio.as_ref(),
        avatar_file_id,
        ..ProfileChange::default()
    };
    users::change_profile(&mut log, bot, &[owner, bot], change).await?;
    let Json(user) =
        sqlx::query_scalar("select user_json(u) from users u where u.id = $1").bind(bot).fetch_one(&mut *log).await?;
    log.commit().await?;
    Ok(user)
}

/// Deletes a bot of a user. Its messages stay under an anonymous name.
pub async fn delete(db: &PgPool, owner: UserId, client: &Client, bot: UserId) -> Result<()> {
    let mut log = events::begin(db, owner).await?;
    require_owned(&mut log, owner, bot).await?;
    let entry = NewEntry::new(Action::BotDeleted).with_actor(owner).with_user(bot).with_client(client);
    accounts::delete_locked(&mut log, bot).await?;
    entry.write(&mut *log).await?;
    log.commit().await?;
    Ok(())
}

/// Returns the owner of a bot; `None` for a person.
pub(crate) async fn find_owner(db: impl PgExecutor<'_>, user: UserId) -> Result<Option<UserId>> {
    Ok(sqlx::query_scalar("select owner_id from users where id = $1").bind(user).fetch_one(db).await?)
}

/// Rejects a bot that reaches out to users with whom it shares no chat. Its owner is always
/// allowed.
pub(crate) async fn require_shared_chat(db: impl PgExecutor<'_>, actor: UserId, others: &[UserId]) -> Result<()> {
    let has_stranger: bool = sqlx::query_scalar(
        "select exists (
             select from users bot cross join unnest($2::bigint[]) other (id)
             where bot.id = $1 and bot.owner_id is not null and other.id not in (bot.id, bot.owner_id)
               and not exists (
                   select from chat_members own join chat_members theirs using (chat_id)
                   where own.user_id = bot.id and theirs.user_id = other.id
               )
         )",
    )
    .bind(actor)
    .bind(others)
    .fetch_one(db)
    .await?;
    match has_stranger {
        true => Err(Error::Forbidden("a bot can reach only users who share a chat with it")),
        false => Ok(()),
    }
}

/// Rejects a direct chat with a webhook, which reads nothing.
pub(crate) async fn require_direct_chats(db: impl PgExecutor<'_>, field: &'static str, user: UserId) -> Result<()> {
    let kind: UserKind = sqlx::query_scalar("select kind from users where id = $1").bind(user).fetch_one(db).await?;
    match kind {
        UserKind::Webhook => Err(Error::invalid(field, "a webhook has no direct chats")),
        UserKind::Ghost => Err(Error::invalid(field, "a remote user of a bridge has no direct chats")),
        UserKind::Person | UserKind::Bot => Ok(()),
    }
}

/// Rejects roles that bots cannot have: a person must be able to manage each chat. A webhook is
/// always a member.
pub(crate) async fn require_can_have(
    db: impl PgExecutor<'_>,
    field: &'static str,
    user: UserId,
    role: Role,
) -> Result<()> {
    // An unknown user is rejected later.
    let kind = sqlx::query_scalar("select kind from users where id = $1").bind(user).fetch_optional(db).await?;
    match (kind, role) {
        (Some(UserKind::Bot), Role::Owner) => Err(Error::invalid(field, "a bot cannot own a chat")),
        (Some(UserKind::Webhook | UserKind::Ghost), Role::Owner | Role::Admin) => {
            Err(Error::invalid(field, "a webhook or a remote user of a bridge is always a member"))
        }
        _ => Ok(()),
    }
}

async fn require_owned(log: &mut PgConnection, owner: UserId, bot: UserId) -> Result<()> {
    let sql =
        "select exists (select from users where id = $2 and owner_id = $1 and kind = 'bot' and deleted_at is null)";
    let is_owned: bool = sqlx::query_scalar(sql).bind(owner).bind(bot).fetch_one(log).await?;
    if is_owned { Ok(()) } else { Err(Error::NotFound("bot")) }
}
