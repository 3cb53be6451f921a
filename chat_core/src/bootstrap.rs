//! Everything that a client needs to render its first screen, and the cursor from
//! which events update it: one snapshot of the database.

use crate::{
    InboxItemId, MessageId, Result, UserId, blocks,
    chats::{self, ChatSummary},
    ephemeral::Presence,
    events::{self, Cursor, Head},
    inbox, messages,
    notification_settings::{self, NotificationSettings},
    presence,
    users::{self, Me, User},
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool, types::Json};

/// Maximum number of users in a bootstrap; clients fetch others when they need them.
const MAX_USERS: i64 = 500;

/// The initial state of a client.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Bootstrap {
    /// The caller.
    pub user: Me,
    /// The caller's chats, the most recently active first.
    pub chats: Vec<ChatSummary>,
    /// The users to display with the chats: the senders of the last messages, and the
    /// other members of direct chats and groups. At most 500.
    pub users: Vec<User>,
    /// The current presence of those of `users` who share a chat with the caller. It
    /// may be newer than the cursor.
    pub presences: Vec<Presence>,
    /// The users whom the caller has blocked.
    pub blocked_user_ids: Vec<UserId>,
    /// The messages that the caller has saved.
    pub saved_message_ids: Vec<MessageId>,
    /// What notifies the caller.
    pub notification_settings: NotificationSettings,
    /// The last item of the inbox that the caller has seen; null if there is none.
    pub last_seen_inbox_item_id: Option<InboxItemId>,
    /// The cursor of this state. Events after it change the state.
    pub cursor: Cursor,
}

/// Loads the initial state from one snapshot.
pub async fn load(db: &PgPool, viewer: UserId) -> Result<Bootstrap> {
    let mut snapshot = events::begin_snapshot(db).await?;
    let Head { epoch, last, .. } = events::head(&mut *snapshot).await?;
    let user = users::get_me(&mut *snapshot, viewer).await?;
    let chats = chats::list(&mut snapshot, viewer).await?;
    let users = load_users(&mut snapshot, viewer, &chats).await?;
    let ids: Vec<UserId> = users.iter().map(|user| user.id).collect();
    let presences = presence::visible_to(&mut *snapshot, viewer, &ids).await?;
    let blocked_user_ids = blocks::list_ids(&mut *snapshot, viewer).await?;
    let saved_message_ids = messages::list_saved_ids(&mut *snapshot, viewer).await?;
    let notification_settings = notification_settings::get(&mut *snapshot, viewer).await?;
    let last_seen_inbox_item_id = inbox::last_seen(&mut *snapshot, viewer).await?;
    snapshot.rollback().await?;
    let cursor = Cursor { epoch, position: last };
    Ok(Bootstrap {
        user,
        chats,
        users,
        presences,
        blocked_user_ids,
        saved_message_ids,
        notification_settings,
        last_seen_inbox_item_id,
        cursor,
    })
}

async fn load_users(snapshot: &mut PgConnection, viewer: UserId, chats: &[ChatSummary]) -> Result<Vec<User>> {
    let last_messages = chats.iter().filter_map(|row| row.last_message.as_ref());
    let last_senders: Vec<UserId> =
        last_messages.flat_map(|message| [message.sender_id, message.affected_user()]).flatten().collect();
    let rows: Vec<Json<User>> = sqlx::query_scalar(
        "with spoke as (
             select distinct id, 0 as place from unnest($2::bigint[]) id
         ), near as (
             select distinct other.user_id as id, 1 as place
             from chat_members own
             join chats c on c.id = own.chat_id and c.type in ('single', 'group')
             join chat_members other on other.chat_id = c.id
             where own.user_id = $1
         ), chosen as (
             select id, min(place) as place from (table spoke union all table near) x
             group by id order by min(place), id limit $3
         )
         select (select user_json(u) from users u where u.id = chosen.id)
         from chosen order by place, id",
    )
    .bind(viewer)
    .bind(last_senders)
    .bind(MAX_USERS)
    .fetch_all(snapshot)
    .await?;
    Ok(rows.into_iter().map(|Json(user)| user).collect())
}
