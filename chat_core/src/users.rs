//! Users: profiles, credentials and user search.

use crate::{
    Error, FileId, Result, Time, UserId,
    bridges::Network,
    error::OnConstraint,
    mail::Language,
    operators::AccountState,
    search::{split_name_query, words},
    values::{
        Bio, DisplayName, Email, EmailText, Emoji, InviteCode, SearchText, StatusText, TimeZone, Username,
        deserialize_nullable,
    },
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, Postgres, QueryBuilder, types::Json};
use std::str::FromStr;

/// The public profile of a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct User {
    /// The id.
    pub id: UserId,
    /// The name used in mentions, after `@`; unique without regard to case.
    pub username: String,
    /// The name shown to other users.
    pub display_name: String,
    /// A short text about the user; may be empty.
    pub bio: String,
    /// The URL of the avatar; null if there is none.
    pub avatar_url: Option<String>,
    /// When the user signed up.
    pub created_at: Time,
    /// When the user deleted the account; null if active. Their messages remain.
    pub deleted_at: Option<Time>,
    /// Whether a person or a program uses the account.
    pub kind: UserKind,
    /// The other network on which a ghost is; null for other users.
    #[serde(default)]
    pub network: Option<Network>,
    /// The temporary status that the user has set; null if there is none.
    #[serde(default)]
    pub custom_status: Option<CustomStatus>,
    /// The time zone, if the user shares it.
    #[serde(default)]
    pub time_zone: Option<TimeZone>,
}

/// A temporary status that a user sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CustomStatus {
    /// The text.
    pub text: StatusText,
    /// An emoji before the text.
    #[serde(default)]
    pub emoji: Option<Emoji>,
    /// When it ends; null if the user ends it. It is not shown after that time.
    #[serde(default)]
    pub expires_at: Option<Time>,
}

/// What uses an account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "user_kind", rename_all = "snake_case")]
pub enum UserKind {
    /// A person.
    Person,
    /// A program, which another user owns.
    Bot,
    /// A webhook of a chat, which another user owns.
    Webhook,
    /// A person on another network, whom a bridge connects to a chat.
    Ghost,
}

/// The caller's own profile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Me {
    /// The public profile.
    #[serde(flatten)]
    pub user: User,
    /// The email used to sign in; visible only to the user and to operators. Null for a bot.
    pub email: Option<String>,
    /// Whether the user is an operator, who moderates the whole server.
    pub is_operator: bool,
    /// Who can add the user to groups and channels without an invite.
    pub group_privacy: UserScope,
    /// Whether the user has proved to receive mail at the address.
    #[serde(default)]
    pub is_email_verified: bool,
}

/// A user to be created.
#[derive(Debug)]
pub struct NewUser {
    /// The username, also the initial display name.
    pub username: Username,
    /// The email used to sign in.
    pub email: Email,
    /// An argon2id PHC string.
    pub password_hash: String,
    /// `Active`, or `Pending` if an operator has to approve the account.
    pub state: AccountState,
    /// Who can add the user to groups and channels without an invite.
    pub group_privacy: UserScope,
    /// The invite that the user accepts once the account is approved.
    pub pending_invite: Option<InviteCode>,
    /// Whether the user has proved to receive mail at the address.
    pub is_email_verified: bool,
    /// The language of mail to the user.
    pub language: Language,
}

/// A set of users, from the view of one user.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "user_scope", rename_all = "snake_case")]
pub enum UserScope {
    /// Everybody.
    #[default]
    Everyone,
    /// The contacts of the user. In the user search, those who share a chat with the caller.
    Contacts,
}

impl FromStr for UserScope {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "everyone" => Ok(Self::Everyone),
            "contacts" => Ok(Self::Contacts),
            _ => Err("use everyone or contacts"),
        }
    }
}

/// Changes to the caller's own profile; absent fields stay unchanged.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    /// The name shown to other users.
    pub display_name: Option<DisplayName>,
    /// A short text about the user.
    pub bio: Option<Bio>,
    /// The avatar, an image that the user uploaded; null removes it.
    #[serde(default, deserialize_with = "deserialize_nullable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<FileId>")]
    pub avatar_file_id: Option<Option<FileId>>,
    /// The temporary status; null removes it.
    #[serde(default, deserialize_with = "deserialize_nullable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<CustomStatus>")]
    pub custom_status: Option<Option<CustomStatus>>,
    /// The time zone, which others then see; null hides it.
    #[serde(default, deserialize_with = "deserialize_nullable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<TimeZone>")]
    pub time_zone: Option<Option<TimeZone>>,
    /// Who can add the user to groups and channels without an invite.
    pub group_privacy: Option<UserScope>,
}

/// The credentials that sign-in checks.
#[derive(Debug, sqlx::FromRow)]
pub struct Credentials {
    /// The user.
    pub id: UserId,
    /// An argon2id PHC string.
    pub password_hash: String,
}

/// Creates a user. If two concurrent sign-ups use the same username or email, one
/// succeeds.
pub async fn create(db: impl PgExecutor<'_>, new: &NewUser) -> Result<UserId> {
    let created = sqlx::query_scalar(
        "insert into users (username, display_name, email, password_hash, words, state, group_privacy, pending_invite,
                            email_verified_at, language)
         values ($1, $1, $2, $3, $4, $5, $6, $7, case when $8 then now() end, $9)
         returning id",
    )
    .bind(new.username.as_str())
    .bind(new.email.as_str())
    .bind(&new.password_hash)
    .bind(words(new.username.as_str()))
    .bind(new.state)
    .bind(new.group_privacy)
    .bind(new.pending_invite.as_ref().map(InviteCode::as_str))
    .bind(new.is_email_verified)
    .bind(new.language)
    .fetch_one(db)
    .await;
    map_email_conflict(map_name_conflict(created))
}

/// Maps the violation of the constraint on email addresses to an error.
fn map_email_conflict<T>(changed: Result<T>) -> Result<T> {
    changed.on_constraint("users_email_key", || Error::Conflict {
        code: "email_taken",
        detail: "an account with this email already exists",
    })
}

/// Whether a username can be taken now. The answer can change until the account is created.
pub async fn is_username_free(db: impl PgExecutor<'_>, username: &Username) -> Result<bool> {
    let sql = "select not exists (select from users where username_shape(username) = username_shape($1))
                  and not exists (select from reserved_usernames where shape = username_shape($1) and until_at > now())";
    Ok(sqlx::query_scalar(sql).bind(username.as_str()).fetch_one(db).await?)
}

/// Maps the violation of a constraint on usernames to an error.
pub(crate) fn map_name_conflict<T>(created: Result<T, sqlx::Error>) -> Result<T> {
    created
        .on_constraint("users_username_key", || Error::Conflict {
            code: "username_taken",
            detail: "this username is taken",
        })
        .on_constraint("users_username_shape_key", || Error::Conflict {
            code: "username_taken",
            detail: "this username looks like one that is taken",
        })
        .on_constraint("reserved_usernames", || Error::Conflict {
            code: "username_taken",
            detail: "this username belonged to an account that was deleted; it becomes available 90 days after the deletion",
        })
}

/// Returns an email in the form in which two are compared.
pub async fn fold_email(db: impl PgExecutor<'_>, email: &EmailText) -> Result<String> {
    Ok(sqlx::query_scalar("select lower($1)").bind(email.as_str()).fetch_one(db).await?)
}

/// Finds the credentials of the user with this email.
pub async fn find_credentials(db: impl PgExecutor<'_>, email: &EmailText) -> Result<Option<Credentials>> {
    Ok(sqlx::query_as("select id, password_hash from users where lower(email) = lower($1) and deleted_at is null")
        .bind(email.as_str())
        .fetch_optional(db)
        .await?)
}

#[derive(sqlx::FromRow)]
struct MeRow {
    user: Json<User>,
    email: Option<String>,
    is_operator: bool,
    group_privacy: UserScope,
    is_email_verified: bool,
}

/// Returns the user's own profile.
pub async fn get_me(db: impl PgExecutor<'_>, id: UserId) -> Result<Me> {
    let row: Option<MeRow> = sqlx::query_as(
        "select user_json(u) as \"user\", u.email, u.is_operator, u.group_privacy,
                u.email_verified_at is not null as is_email_verified
         from users u where u.id = $1",
    )
    .bind(id)
    .fetch_optional(db)
    .await?;
    let MeRow { user: Json(user), email, is_operator, group_privacy, is_email_verified } =
        row.ok_or(Error::NotFound("user"))?;
    Ok(Me { user, email, is_operator, group_privacy, is_email_verified })
}

/// Returns the public profile of a user in `scope`.
pub async fn get(db: impl PgExecutor<'_>, viewer: UserId, scope: UserScope, id: UserId) -> Result<User> {
    find_many(db, viewer, scope, &[id]).await?.pop().ok_or(Error::NotFound("user"))
}

/// Returns the profiles of these users, by id. With `UserScope::Contacts`, omits those who are not
/// visible to the viewer (`is_visible_to`).
pub async fn find_many(db: impl PgExecutor<'_>, viewer: UserId, scope: UserScope, ids: &[UserId]) -> Result<Vec<User>> {
    let rows: Vec<Json<User>> = sqlx::query_scalar(
        "select user_json(u) from users u
         where u.id = any($1) and u.state <> 'pending' and ($2 = 'everyone'::user_scope and u.kind <> 'ghost' or is_visible_to($3, u))
         order by u.id",
    )
    .bind(ids)
    .bind(scope)
    .bind(viewer)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|Json(user)| user).collect())
}

/// Searches the users in `scope` by the beginnings of words of their names, in any order, and
/// all users by an exact username or display name. Returns them by username.
pub async fn search(
    db: impl PgExecutor<'_>,
    viewer: UserId,
    scope: UserScope,
    text: &SearchText,
    limit: i64,
) -> Result<Vec<User>> {
    let beginnings = split_name_query(text);
    if beginnings.is_empty() {
        return Ok(Vec::new());
    }
    let mut sql =
        QueryBuilder::new("select user_json(u) from users u where u.deleted_at is null and u.state <> 'pending'");
    for beginning in beginnings {
        sql.push(" and u.words like ").push_bind(format!("% {beginning}%"));
    }
    if scope == UserScope::Contacts {
        push_contacts_or_name(&mut sql, viewer, text);
    }
    // Only those who share a chat with a ghost find it.
    sql.push(" and (u.kind <> 'ghost' or is_visible_to(").push_bind(viewer).push(", u))");
    sql.push(" order by lower(u.username) limit ").push_bind(limit);
    let rows: Vec<Json<User>> = sql.build_query_scalar().fetch_all(db).await?;
    Ok(rows.into_iter().map(|Json(user)| user).collect())
}

/// Maximum number of the viewer's newest chats whose members are listed.
const MAX_SEARCHED_CHATS: i64 = 500;
/// Maximum number of members of each of these chats.
const MAX_MEMBERS_OF_CHAT: i64 = 1_000;
/// Maximum number of users who share a chat. The list ends there; a search finds the others.
const MAX_SHARING_USERS: i64 = 5_000;

/// Lists active people and bots other than the viewer, by username: those who share a chat with the viewer, or all.
pub async fn list_directory(
    db: impl PgExecutor<'_>,
    viewer: UserId,
    scope: UserScope,
    after: Option<&str>,
    limit: i64,
) -> Result<Vec<User>> {
    let mut sql = QueryBuilder::new("select user_json(u) from ");
    if scope == UserScope::Contacts {
        sql.push("(select distinct theirs.user_id from (select chat_id from chat_members where user_id = ");
        sql.push_bind(viewer).push(" order by chat_id desc limit ").push_bind(MAX_SEARCHED_CHATS);
        sql.push(") own cross join lateral (select m.user_id from chat_members m where m.chat_id = own.chat_id limit ");
        sql.push_bind(MAX_MEMBERS_OF_CHAT).push(") theirs limit ").push_bind(MAX_SHARING_USERS);
        sql.push(") contacts join users u on u.id = contacts.user_id");
    } else {
        sql.push("users u");
    }
    sql.push(" where u.deleted_at is null and u.state <> 'pending' and u.kind in ('person', 'bot') and u.id <> ");
    sql.push_bind(viewer);
    if let Some(after) = after {
        // In the order of the index.
        sql.push(" and lower(u.username) ~>~ lower(").push_bind(after.to_owned()).push(")");
    }
    sql.push(" order by lower(u.username) using ~<~ limit ").push_bind(limit);
    let rows: Vec<Json<User>> = sql.build_query_scalar().fetch_all(db).await?;
    Ok(rows.into_iter().map(|Json(user)| user).collect())
}

/// Adds the condition that the user `u` is the viewer, shares a chat with the viewer, or has
/// exactly this name.
fn push_contacts_or_name(sql: &mut QueryBuilder<Postgres>, viewer: UserId, text: &SearchText) {
    let name = text.as_str().trim().trim_start_matches('@').to_owned();
    sql.push(" and (lower(u.username) = lower(").push_bind(name.clone());
    sql.push(") or lower(normalize(u.display_name)) = lower(normalize(").push_bind(name).push("))");
    sql.push(" or u.id = ").push_bind(viewer);
    sql.push(
        " or exists (select from chat_members theirs join chat_members own on own.chat_id = theirs.chat_id
                     where theirs.user_id = u.id and own.user_id = ",
    );
    sql.push_bind(viewer).push("))");
}

/// Changes the given fields. Appends an event: the caller holds the append lock
/// (`events::begin`).
pub async fn update(log: &mut PgConnection, id: UserId, patch: &UserPatch) -> Result<()> {
    let UserPatch { display_name, bio, avatar_file_id, custom_status, time_zone, group_privacy } = patch;
    let change = ProfileChange {
        display_name: display_name.as_ref(),
        bio: bio.as_ref(),
        avatar_file_id: *avatar_file_id,
        custom_status: custom_status.as_ref().map(Option::as_ref),
        time_zone: time_zone.as_ref().map(Option::as_ref),
    };
    change_profile(&mut *log, id, &[id], change).await?;
    if let Some(group_privacy) = group_privacy {
        sqlx::query("update users set group_privacy = $2 where id = $1")
            .bind(id)
            .bind(group_privacy)
            .execute(log)
            .await?;
    }
    Ok(())
}

/// Changes to a public profile; absent fields stay unchanged.
#[derive(Debug, Default)]
pub(crate) struct ProfileChange<'a> {
    pub(crate) display_name: Option<&'a DisplayName>,
    pub(crate) bio: Option<&'a Bio>,
    pub(crate) avatar_file_id: Option<Option<FileId>>,
    pub(crate) custom_status: Option<Option<&'a CustomStatus>>,
    pub(crate) time_zone: Option<Option<&'a TimeZone>>,
}

/// Changes a profile. The avatar must be an image that one of the `uploaders` uploaded.
pub(crate) async fn change_profile(
    log: &mut PgConnection,
    id: UserId,
    uploaders: &[UserId],
    change: ProfileChange<'_>,
) -> Result<()> {
    if let Some(Some(file)) = change.avatar_file_id {
        let is_own_image: bool = sqlx::query_scalar(
            "select exists (select from files where id = $1 and uploader_id = any ($2) and width is not null)",
        )
        .bind(file)
        .bind(uploaders)
        .fetch_one(&mut *log)
        .await?;
        if !is_own_image {
            return Err(Error::invalid("avatar_file_id", "an avatar must be an image that you uploaded"));
        }
    }
    let words = match change.display_name {
        Some(display_name) => {
            let username: String =
                sqlx::query_scalar("select username from users where id = $1").bind(id).fetch_one(&mut *log).await?;
            Some(words(&format!("{username} {}", display_name.as_str())))
        }
        None => None,
    };
    sqlx::query(
        "update users
         set display_name = coalesce($2, display_name), bio = coalesce($3, bio),
             avatar_file_id = case when $4 then $5 else avatar_file_id end, words = coalesce($6, words),
             custom_status = case when $7 then $8 else custom_status end,
             custom_status_expires_at = case when $7 then $9 else custom_status_expires_at end,
             time_zone = case when $10 then $11 else time_zone end
         where id = $1",
    )
    .bind(id)
    .bind(change.display_name.map(DisplayName::as_str))
    .bind(change.bio.map(Bio::as_str))
    .bind(change.avatar_file_id.is_some())
    .bind(change.avatar_file_id.flatten())
    .bind(words)
    .bind(change.custom_status.is_some())
    .bind(change.custom_status.flatten().map(Json))
    .bind(change.custom_status.flatten().and_then(|status| status.expires_at))
    .bind(change.time_zone.is_some())
    .bind(change.time_zone.flatten().map(TimeZone::as_str))
    .execute(log)
    .await?;
    Ok(())
}

/// Locks an active account until the end of the transaction, so that a suspension or a deletion
/// sees what the transaction writes, or prevents it.
pub(crate) async fn lock_active(db: &mut PgConnection, id: UserId) -> Result<()> {
    let sql = "select id from users where id = $1 and state = 'active' and deleted_at is null for no key update";
    let found: Option<UserId> = sqlx::query_scalar(sql).bind(id).fetch_optional(db).await?;
    found.map(|_| ()).ok_or(Error::NotFound("user"))
}

/// Returns the password hash of a user.
pub async fn get_password_hash(db: impl PgExecutor<'_>, id: UserId) -> Result<String> {
    sqlx::query_scalar("select password_hash from users where id = $1 and deleted_at is null")
        .bind(id)
        .fetch_optional(db)
        .await?
        .ok_or(Error::NotFound("user"))
}

/// Sets the email address of a user, who has proved to receive mail at it. The caller holds the append lock.
pub(crate) async fn set_verified_email(log: &mut PgConnection, id: UserId, email: &str) -> Result<()> {
    let changed = sqlx::query("update users set email = $2, email_verified_at = now() where id = $1")
        .bind(id)
        .bind(email)
        .execute(log)
        .await;
    map_email_conflict(changed.map_err(Error::from)).map(|_| ())
}

/// Records that a user has proved to receive mail at the address. The caller holds the append lock.
pub(crate) async fn mark_email_verified(log: &mut PgConnection, id: UserId) -> Result<()> {
    let sql = "update users set email_verified_at = now() where id = $1 and email_verified_at is null";
    sqlx::query(sql).bind(id).execute(log).await?;
    Ok(())
}

/// Sets the password hash of a user.
pub async fn set_password_hash(db: impl PgExecutor<'_>, id: UserId, password_hash: &str) -> Result<()> {
    sqlx::query("update users set password_hash = $2 where id = $1").bind(id).bind(password_hash).execute(db).await?;
    Ok(())
}
