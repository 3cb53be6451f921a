//! Chats: their types, how members see them, and how to create, update and delete them.

mod draft;
pub mod model;

pub use draft::ChatDraft;
pub use model::ChatType;

use crate::{
    ChatId, Error, MessageId, Result, Time, UserId, admission, blocks, bots,
    chats::model::Role,
    events, members,
    messages::{
        self, Message,
        system::{self, ChatChange},
    },
    notification_settings::NotificationLevel,
    permissions::Permission,
    search::{split_name_query, words},
    values::{ChatName, Description, SearchText, Topic, deserialize_nullable},
    webhooks,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, QueryBuilder, types::Json};
use std::collections::HashMap;

/// Maximum number of chats in a list and in the bootstrap, most recently active first.
pub const MAX_LISTED_CHATS: i64 = 1_000;

/// Maximum number of members listed at creation; more can join later.
pub const MAX_INITIAL_MEMBERS: usize = 100;

/// A chat as a member sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Chat {
    /// The id.
    pub id: ChatId,
    /// The type of the chat.
    #[serde(rename = "type")]
    pub kind: ChatType,
    /// The name; empty for direct chats and for groups without one.
    pub name: String,
    /// The description; may be empty.
    pub description: String,
    /// The current topic; may be empty.
    pub topic: String,
    /// Messages older than this many days are deleted; null for the server's setting.
    pub retention_days: Option<i32>,
    /// The user who created the chat; null if the user is no longer stored.
    pub created_by: Option<UserId>,
    /// When the chat was created.
    pub created_at: Time,
    /// When the name, description, topic or retention last changed.
    pub updated_at: Time,
    /// The two members of a direct chat; null for other types. Clients show the name of
    /// the other member as the name of the chat.
    pub pair: Option<[UserId; 2]>,
    /// The number of members, counted up to 10,000.
    pub member_count: i64,
    /// The role of the caller or recipient; null in an event with many recipients, in the
    /// list of public channels and in the preview of an invite.
    pub role: Option<Role>,
    /// The permissions of the caller or recipient; null where `role` is null.
    pub permissions: Option<Vec<Permission>>,
}

/// A chat in a member's chat list.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ChatSummary {
    /// The chat.
    #[serde(flatten)]
    pub chat: Chat,
    /// The newest message, deleted ones included.
    pub last_message: Option<Message>,
    /// Number of messages from others after the caller's read marker, or since the caller
    /// joined; counted up to 1,000.
    pub unread_count: i64,
    /// Number of unread messages that mention the caller or everyone.
    pub mention_count: i64,
    /// Number of unseen items of the chat in the caller's inbox; counted among the newest 5,000 of the caller, and
    /// the newest 100 for everyone of the chat.
    #[serde(default)]
    pub inbox_count: i64,
    /// The last message before the caller joined; 0 if there is none. Items of the inbox for everyone are about
    /// later messages.
    #[serde(default)]
    pub joined_after_message_id: i64,
    /// The caller's read marker, or the last message before the caller joined. Later
    /// messages are unread. Null if all messages are unread.
    pub last_read_message_id: Option<MessageId>,
    /// Whether the caller has muted the chat.
    pub is_muted: bool,
    /// When a muted chat notifies again; null for a chat that is muted for good, or not muted. `is_muted` becomes
    /// false within a minute of it.
    #[serde(default)]
    pub muted_until: Option<Time>,
    /// Which messages of the chat notify the caller; null for the level of its type.
    #[serde(default)]
    pub notification_level: Option<NotificationLevel>,
}

/// A validated chat to create.
#[derive(Debug)]
pub enum NewChat {
    /// A direct chat with this user.
    Single(UserId),
    /// A group or a channel.
    Named {
        /// The type; never `Single`.
        kind: ChatType,
        /// The name; empty only for a group.
        name: String,
        /// The description; may be empty.
        description: String,
        /// The initial members, in addition to the creator.
        members: Vec<UserId>,
    },
}

/// Changes to a chat by an admin. Absent fields stay unchanged.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChatPatch {
    /// The name.
    pub name: Option<ChatName>,
    /// The description.
    pub description: Option<Description>,
    /// The topic.
    pub topic: Option<Topic>,
    /// Number of days that messages are kept, 1 to 36,500; null for the server's
    /// setting. Requires the role `owner`.
    #[serde(default, deserialize_with = "deserialize_nullable", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<i32>", range(min = 1, max = 36500))]
    pub retention_days: Option<Option<i32>>,
}

impl ChatPatch {
    /// Size of the texts, in bytes.
    pub fn text_bytes(&self) -> usize {
        let name = self.name.as_ref().map_or(0, |name| name.as_str().len());
        let topic = self.topic.as_ref().map_or(0, |topic| topic.as_str().len());
        name + topic + self.description.as_ref().map_or(0, |description| description.as_str().len())
    }
}

/// A chat, and whether this call created it.
#[derive(Debug)]
pub struct CreateOutcome {
    /// The chat as its creator sees it.
    pub chat: Chat,
    /// False if the direct chat of this pair already existed.
    pub is_new: bool,
}

/// Creates a chat with its initial members in one transaction. Each member receives
/// `chat.new`.
pub async fn create(db: &PgPool, creator: UserId, new: NewChat) -> Result<CreateOutcome> {
    let mut log = events::begin(db, creator).await?;
    let (id, is_new) = match &new {
        NewChat::Single(other) => create_single(&mut log, creator, *other).await?,
        NewChat::Named { kind, name, description, members } => {
            (create_named(&mut log, creator, *kind, name, description, members).await?, true)
        }
    };
    let chat = get(&mut *log, id, creator).await?;
    log.commit().await?;
    Ok(CreateOutcome { chat, is_new })
}

async fn create_single(log: &mut PgConnection, creator: UserId, other: UserId) -> Result<(ChatId, bool)> {
    if creator == other {
        return Err(Error::invalid("user_id", "you cannot open a direct chat with yourself"));
    }
    let (low, high) = (creator.min(other), creator.max(other));
    let existing: Option<ChatId> = sqlx::query_scalar("select id from chats where pair_low = $1 and pair_high = $2")
        .bind(low)
        .bind(high)
        .fetch_optional(&mut *log)
        .await?;
    if let Some(id) = existing {
        return Ok((id, false));
    }
    admission::require_free_chat(&mut *log, creator).await?;
    require_users(log, "user_id", &[other]).await?;
    blocks::require_none(&mut *log, creator, &[other]).await?;
    bots::require_shared_chat(&mut *log, creator, &[other]).await?;
    bots::require_direct_chats(&mut *log, "user_id", other).await?;
    let id = sqlx::query_scalar(
        "with chat as (
             insert into chats (type, name, created_by, pair_low, pair_high)
             values ('single', '', $1, $2, $3)
             returning id
         ), members as (
             insert into chat_members (chat_id, user_id) select id, unnest(array[$2, $3]) from chat
         )
         select id from chat",
    )
    .bind(creator)
    .bind(low)
    .bind(high)
    .fetch_one(log)
    .await?;
    Ok((id, true))
}

pub(crate) async fn create_named(
    log: &mut PgConnection,
    creator: UserId,
    kind: ChatType,
    name: &str,
    description: &str,
    members: &[UserId],
) -> Result<ChatId> {
    admission::require_free_chat(&mut *log, creator).await?;
    require_users(log, "members", members).await?;
    // A bot is a member of the chats that it creates, and its owner the owner.
    let owner = bots::find_owner(&mut *log, creator).await?.unwrap_or(creator);
    if owner != creator && !members.contains(&owner) {
        return Err(Error::invalid("members", "a chat that a bot creates must include its owner"));
    }
    bots::require_shared_chat(&mut *log, creator, members).await?;
    blocks::require_none(&mut *log, creator, members).await?;
    admission::require_consent(&mut *log, creator, "members", members).await?;
    Ok(sqlx::query_scalar(
        "with chat as (
             insert into chats (type, name, description, created_by, words) values ($1, $2, $3, $4, $6)
             returning id
         ), members as (
             insert into chat_members (chat_id, user_id, role)
             select id, user_id, case when user_id = $7 then 'owner' else 'member' end::member_role
             from chat, (select unnest($5::bigint[]) union select $4) m (user_id)
         )
         select id from chat",
    )
    .bind(kind)
    .bind(name)
    .bind(description)
    .bind(creator)
    .bind(members)
    .bind(words(name))
    .bind(owner)
    .fetch_one(log)
    .await?)
}

/// Returns the users whom a creator can add to a new chat: those who exist, are not blocked, and
/// agree.
pub(crate) async fn filter_addable(log: &mut PgConnection, creator: UserId, users: &[UserId]) -> Result<Vec<UserId>> {
    let mut addable = Vec::with_capacity(users.len());
    for user in users {
        let one = &[*user];
        let checks = async {
            require_users(&mut *log, "members", one).await?;
            blocks::require_none(&mut *log, creator, one).await?;
            admission::require_consent(&mut *log, creator, "members", one).await?;
            admission::require_free_chat(&mut *log, *user).await
        };
        match checks.await {
            Ok(()) => addable.push(*user),
            Err(Error::Invalid(_) | Error::Forbidden(_) | Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(addable)
}

async fn require_users(log: &mut PgConnection, field: &str, users: &[UserId]) -> Result<()> {
    let unknown: Vec<UserId> = sqlx::query_scalar(
        "select id from unnest($1::bigint[]) wanted (id) where not exists (select from users u where u.id = wanted.id and u.deleted_at is null and u.state <> 'pending')
         limit 10",
    )
    .bind(users)
    .fetch_all(log)
    .await?;
    match unknown.as_slice() {
        [] => Ok(()),
        ids => {
            let ids = ids.iter().map(UserId::to_string).collect::<Vec<_>>().join(", ");
            Err(Error::invalid(field, format!("there is no user with id {ids}")))
        }
    }
}

/// Returns a chat as one of its members sees it; `NotFound` for other users.
pub async fn get(db: impl PgExecutor<'_>, id: ChatId, viewer: UserId) -> Result<Chat> {
    sqlx::query_scalar(
        "select chat_json(c, member_count(c.id), m.role)
         from chats c join chat_members m on m.chat_id = c.id and m.user_id = $2
         where c.id = $1",
    )
    .bind(id)
    .bind(viewer)
    .fetch_optional(db)
    .await?
    .map(|Json(chat)| chat)
    .ok_or(Error::NotFound("chat"))
}

#[derive(sqlx::FromRow)]
struct ListRow {
    chat: Json<Chat>,
    last_message: Option<Json<Message>>,
    unread_count: i64,
    mention_count: i64,
    inbox_count: i64,
    joined_after_message_id: i64,
    last_read_message_id: Option<MessageId>,
    is_muted: bool,
    muted_until: Option<Time>,
    notification_level: Option<NotificationLevel>,
}

/// Lists the viewer's chats, the one with the newest message first.
pub async fn list(db: &mut PgConnection, viewer: UserId) -> Result<Vec<ChatSummary>> {
    load_summaries(db, viewer, None).await
}

/// Returns a chat as its member's chat list shows it; `NotFound` for other users.
pub async fn get_summary(db: &mut PgConnection, id: ChatId, viewer: UserId) -> Result<ChatSummary> {
    load_summaries(db, viewer, Some(id)).await?.pop().ok_or(Error::NotFound("chat"))
}

/// Loads the viewer's chats, or only one of them.
async fn load_summaries(db: &mut PgConnection, viewer: UserId, only: Option<ChatId>) -> Result<Vec<ChatSummary>> {
    let rows: Vec<ListRow> = sqlx::query_as(
        "select chat_json(c, member_count(c.id), m.role) as chat,
                newest.json as last_message,
                unread_count(m, position.read_up_to) as unread_count,
                mention_count(m, position.read_up_to) as mention_count,
                nullif(position.read_up_to, 0) as last_read_message_id,
                m.is_muted, m.muted_until, m.notification_level, coalesce(unseen.inbox_count, 0) as inbox_count, m.joined_after_message_id
         from chat_members m
         join chats c on c.id = m.chat_id
         left join inbox_counts($1) unseen on unseen.chat_id = m.chat_id
         left join lateral (
             select x.id, x.json from message_view x where x.chat_id = c.id order by x.id desc limit 1
         ) newest on true
         -- `offset 0` keeps the planner from computing the function three times for each chat.
         cross join lateral (select read_position(m) as read_up_to offset 0) position
         where m.user_id = $1 and ($2::bigint is null or m.chat_id = $2)
         order by newest.id desc nulls last, c.id desc
         limit $3",
    )
    .bind(viewer)
    .bind(only)
    .bind(MAX_LISTED_CHATS)
    .fetch_all(&mut *db)
    .await?;
    let mut chats: Vec<ChatSummary> = rows.into_iter().map(ChatSummary::from).collect();
    // Move the messages out, so that one query fills in the reactions of all chats.
    let mut newest: Vec<Message> = chats.iter_mut().filter_map(|row| row.last_message.take()).collect();
    messages::fill_own_reactions(db, viewer, &mut newest).await?;
    let mut newest: HashMap<ChatId, Message> = newest.into_iter().map(|message| (message.chat_id, message)).collect();
    for row in &mut chats {
        row.last_message = newest.remove(&row.chat.id);
    }
    Ok(chats)
}

impl From<ListRow> for ChatSummary {
    fn from(row: ListRow) -> Self {
        Self {
            chat: row.chat.0,
            last_message: row.last_message.map(|Json(message)| message),
            unread_count: row.unread_count,
            mention_count: row.mention_count,
            inbox_count: row.inbox_count,
            joined_after_message_id: row.joined_after_message_id,
            last_read_message_id: row.last_read_message_id,
            is_muted: row.is_muted,
            muted_until: row.muted_until,
            notification_level: row.notification_level,
        }
    }
}

/// Maximum number of chats that are listed as shared with a user.
const MAX_SHARED_CHATS: i64 = 100;

/// Lists public channels whose name contains every word of a text, also inside a longer
/// word, ordered by name, after the given channel.
pub async fn list_channels(
    db: impl PgExecutor<'_>,
    viewer: UserId,
    text: Option<&SearchText>,
    after: Option<ChatId>,
    limit: i64,
) -> Result<Vec<Chat>> {
    let mut sql =
        QueryBuilder::new("select chat_json(c, member_count(c.id), null) from chats c where c.type = 'public_channel'");
    sql.push(" and not exists (select from chat_bans b where b.chat_id = c.id and b.user_id = ")
        .push_bind(viewer)
        .push(")");
    let parts = text.map(split_name_query);
    if parts.as_ref().is_some_and(Vec::is_empty) {
        return Ok(Vec::new());
    }
    for part in parts.unwrap_or_default() {
        sql.push(" and c.words like ").push_bind(format!("%{part}%"));
    }
    if let Some(after) = after {
        sql.push(" and (lower(c.name), c.id) > (select lower(a.name), a.id from chats a where a.type = 'public_channel' and a.id = ")
            .push_bind(after)
            .push(")");
    }
    sql.push(" order by lower(c.name), c.id limit ").push_bind(limit);
    let rows: Vec<Json<Chat>> = sql.build_query_scalar().fetch_all(db).await?;
    Ok(rows.into_iter().map(|Json(chat)| chat).collect())
}

/// Lists the chats of the viewer of which another user is a member too, the newest first. With `only`, just those.
pub async fn list_shared(
    db: impl PgExecutor<'_>,
    viewer: UserId,
    other: UserId,
    only: Option<&[ChatId]>,
) -> Result<Vec<Chat>> {
    let rows: Vec<Json<Chat>> = sqlx::query_scalar(
        "select chat_json(c, member_count(c.id), own.role)
         from chat_members own
         join chat_members theirs on theirs.chat_id = own.chat_id and theirs.user_id = $2
         join chats c on c.id = own.chat_id
         where own.user_id = $1 and ($3::bigint[] is null or own.chat_id = any ($3))
         order by c.id desc limit $4",
    )
    .bind(viewer)
    .bind(other)
    .bind(only)
    .bind(MAX_SHARED_CHATS)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|Json(chat)| chat).collect())
}

/// Returns a public channel, for a user who may join it.
pub async fn get_channel(db: impl PgExecutor<'_>, id: ChatId, viewer: UserId) -> Result<Chat> {
    let row: Option<(Json<Chat>, bool)> = sqlx::query_as(
        "select chat_json(c, member_count(c.id), m.role),
                exists (select from chat_bans b where b.chat_id = c.id and b.user_id = $2)
         from chats c left join chat_members m on m.chat_id = c.id and m.user_id = $2
         where c.id = $1 and c.type = 'public_channel'",
    )
    .bind(id)
    .bind(viewer)
    .fetch_optional(db)
    .await?;
    match row {
        Some((_, true)) => Err(Error::Forbidden("you are banned from this channel")),
        Some((Json(chat), false)) => Ok(chat),
        None => Err(Error::NotFound("chat")),
    }
}

/// Changes the name, the description, the topic or the retention.
pub async fn update(db: &PgPool, actor: UserId, id: ChatId, patch: &ChatPatch) -> Result<Chat> {
    let mut log = events::begin(db, actor).await?;
    let membership = members::require_membership(&mut log, id, actor).await?;
    membership.require(Permission::EditChat)?;
    if let Some(days) = patch.retention_days {
        membership.require(Permission::SetRetention)?;
        if days.is_some_and(|days| !(1..=36_500).contains(&days)) {
            return Err(Error::invalid("retention_days", "the retention must be 1 to 36500 days"));
        }
    }
    let before = get(&mut *log, id, actor).await?;
    sqlx::query(
        "update chats
         set name = new.name, description = new.description, topic = new.topic, retention_days = new.retention_days,
             words = coalesce($7, words), updated_at = now()
         from (
             select coalesce($2, name) as name, coalesce($3, description) as description, coalesce($4, topic) as topic,
                    case when $5 then $6 else retention_days end as retention_days
             from chats where id = $1
         ) new
         where id = $1
           and (new.name, new.description, new.topic, new.retention_days)
               is distinct from (chats.name, chats.description, chats.topic, chats.retention_days)",
    )
    .bind(id)
    .bind(patch.name.as_ref().map(ChatName::as_str))
    .bind(patch.description.as_ref().map(Description::as_str))
    .bind(patch.topic.as_ref().map(Topic::as_str))
    .bind(patch.retention_days.is_some())
    .bind(patch.retention_days.flatten())
    .bind(patch.name.as_ref().map(|name| words(name.as_str())))
    .execute(&mut *log)
    .await?;
    let chat = get(&mut *log, id, actor).await?;
    if chat.name != before.name {
        system::append(&mut log, id, actor, &ChatChange::Renamed { name: Some(chat.name.clone()) }).await?;
    }
    if chat.topic != before.topic {
        system::append(&mut log, id, actor, &ChatChange::TopicChanged { topic: Some(chat.topic.clone()) }).await?;
    }
    log.commit().await?;
    Ok(chat)
}

/// Deletes a chat with everything in it. Each member receives `chat.deleted`.
pub async fn delete(db: &PgPool, actor: UserId, id: ChatId) -> Result<()> {
    let mut log = events::begin(db, actor).await?;
    members::require_membership(&mut log, id, actor).await?.require(Permission::DeleteChat)?;
    webhooks::erase_all(&mut log, id).await?;
    sqlx::query("delete from chats where id = $1").bind(id).execute(&mut *log).await?;
    log.commit().await?;
    Ok(())
}
