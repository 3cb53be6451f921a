//! Ghosts: the users who stand for remote users and for spaces.

use super::{BridgeAccount, BridgeChat, Network, chats::clean_name};
use crate::{
    BridgeChatId, ChatId, Error, Result, UserId, accounts,
    auth::new_code,
    events, members,
    search::words,
    users::{self, ProfileChange},
    values::DisplayName,
};
use sqlx::{PgConnection, PgExecutor, PgPool};

/// Maximum number of people of a space who have a ghost of their own. The messages of others come
/// from the ghost of the space, with their name.
pub(crate) const MAX_GHOSTS: i64 = 200;

/// Creates a ghost with this name.
pub(super) async fn create_ghost(log: &mut PgConnection, bridge: &BridgeAccount, name: &DisplayName) -> Result<UserId> {
    let code = new_code().to_ascii_lowercase().replace(['-', '_'], "x");
    let username = format!("{}-{code}", bridge.network.slug());
    Ok(sqlx::query_scalar(
        "insert into users (kind, owner_id, username, display_name, words, network)
         values ('ghost', $1, $2, $3, $4, $5) returning id",
    )
    .bind(bridge.owner_id)
    .bind(&username)
    .bind(name.as_str())
    .bind(words(&format!("{username} {}", name.as_str())))
    .bind(bridge.network)
    .fetch_one(log)
    .await?)
}

/// The sender of a message of a space: a ghost, and the name to show if the ghost is that of the
/// space.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpaceSender {
    /// The ghost.
    pub ghost_id: UserId,
    /// The name that the message shows instead of the ghost's.
    pub author: Option<String>,
}

#[derive(Debug, sqlx::FromRow)]
struct KnownGhost {
    id: UserId,
    display_name: String,
    is_member: bool,
}

/// Returns the ghost of a person of a space, or in a direct message that of the chat. Creates it for a
/// new person, records a new name, and adds a person again who was removed. `None` if the person is
/// banned.
pub async fn find_or_create_sender(
    db: &PgPool,
    bridge: &BridgeAccount,
    chat: &BridgeChat,
    user_key: &str,
    name: Option<&str>,
) -> Result<Option<SpaceSender>> {
    let name = name.and_then(clean_name).and_then(|name| DisplayName::try_from(name).ok());
    if let Some(known) = find_ghost(db, chat, user_key).await?
        && known.is_member
        && name.as_ref().is_none_or(|name| name.as_str() == known.display_name)
    {
        return Ok(Some(SpaceSender { ghost_id: known.id, author: None }));
    }
    let mut log = events::begin(db, bridge.owner_id).await?;
    let ghost_id = match find_ghost(&mut *log, chat, user_key).await? {
        Some(known) => {
            if let Some(name) = &name {
                let change = ProfileChange { display_name: Some(name), ..ProfileChange::default() };
                users::change_profile(&mut log, known.id, &[], change).await?;
            }
            known.id
        }
        None => {
            let name = name.unwrap_or_else(|| default_name(Network::GoogleChat, false));
            if count_ghosts(&mut log, chat.id).await? >= MAX_GHOSTS {
                let author = Some(name.as_str().to_owned());
                return Ok(Some(SpaceSender { ghost_id: chat.ghost_id, author }));
            }
            let ghost_id = create_ghost(&mut log, bridge, &name).await?;
            sqlx::query("insert into bridge_ghosts (ghost_id, bridge_chat_id, remote_user_key) values ($1, $2, $3)")
                .bind(ghost_id)
                .bind(chat.id)
                .bind(user_key)
                .execute(&mut *log)
                .await?;
            ghost_id
        }
    };
    match members::add_member(&mut log, chat.chat_id, ghost_id).await {
        Ok(_) => {}
        Err(Error::Forbidden(_)) => return Ok(None),
        Err(error) => return Err(error),
    }
    log.commit().await?;
    Ok(Some(SpaceSender { ghost_id, author: None }))
}

/// The name of a ghost whose name is not known.
pub(super) fn default_name(network: Network, is_space: bool) -> DisplayName {
    let what = if is_space { "space" } else { "user" };
    DisplayName::try_from(format!("{} {what}", network.title())).expect("a short name is valid")
}

async fn find_ghost(db: impl PgExecutor<'_>, chat: &BridgeChat, user_key: &str) -> Result<Option<KnownGhost>> {
    let sql = "select u.id, u.display_name,
                      exists (select from chat_members m where m.chat_id = $2 and m.user_id = u.id) as is_member
               from users u
               where u.id = case when $4 then (
                   select g.ghost_id from bridge_ghosts g where g.bridge_chat_id = $1 and g.remote_user_key = $5
               ) else $3 end";
    let query = sqlx::query_as(sql).bind(chat.id).bind(chat.chat_id).bind(chat.ghost_id).bind(chat.is_space);
    Ok(query.bind(user_key).fetch_optional(db).await?)
}

/// Whether a person of a space has a ghost, so that the name is known.
pub async fn has_ghost(db: impl PgExecutor<'_>, chat: &BridgeChat, user_key: &str) -> Result<bool> {
    Ok(find_ghost(db, chat, user_key).await?.is_some())
}

/// Whether a user stands for a person of a space that is connected.
pub(crate) async fn is_person_of_space(db: impl PgExecutor<'_>, user: UserId) -> Result<bool> {
    let sql = "select exists (select from bridge_ghosts where ghost_id = $1)";
    Ok(sqlx::query_scalar(sql).bind(user).fetch_one(db).await?)
}

async fn count_ghosts(log: &mut PgConnection, chat: BridgeChatId) -> Result<i64> {
    let sql = "select count(*) from bridge_ghosts where bridge_chat_id = $1";
    Ok(sqlx::query_scalar(sql).bind(chat).fetch_one(log).await?)
}

/// Erases ghosts whose bridge or chat was deleted, a few at a time. Returns how many.
pub async fn erase_orphans(db: &PgPool) -> Result<usize> {
    const BATCH: i64 = 20;
    let ghosts: Vec<UserId> = sqlx::query_scalar(
        "select u.id from users u
         where u.kind = 'ghost' and u.deleted_at is null
           and not exists (select from bridge_chats c where c.ghost_id = u.id)
           and not exists (select from bridge_ghosts g where g.ghost_id = u.id)
         order by u.id limit $1",
    )
    .bind(BATCH)
    .fetch_all(db)
    .await?;
    let mut erased = 0;
    for ghost in &ghosts {
        match erase_ghost(db, *ghost).await {
            Ok(()) => erased += 1,
            // The others are erased all the same.
            Err(error) => tracing::warn!(%ghost, %error, "cannot erase a ghost"),
        }
    }
    Ok(erased)
}

async fn erase_ghost(db: &PgPool, ghost: UserId) -> Result<()> {
    let mut log = events::begin(db, ghost).await?;
    let chats: Vec<ChatId> = sqlx::query_scalar("select chat_id from chat_members where user_id = $1")
        .bind(ghost)
        .fetch_all(&mut *log)
        .await?;
    for chat in chats {
        members::delete(&mut log, chat, ghost).await?;
    }
    accounts::erase(&mut log, ghost).await?;
    log.commit().await?;
    Ok(())
}
