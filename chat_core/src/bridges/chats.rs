//! The chats that bridges connect to remote users and spaces on other networks.

use super::{
    BridgeAccount, BridgeChat, ChatBridge, Network, NewBridgeChat, Template, ghosts, model::FailedRelay, spaces,
};
use crate::{
    BridgeChatId, BridgeId, ChatId, Error, LaneId, Result, UserId,
    audit::{Action, Client, NewEntry},
    chats::{self, ChatType},
    events, members, outbox,
    permissions::Permission,
    users::{self, ProfileChange},
    values::{DisplayName, is_bidi_control},
};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Maximum number of failed messages in the description of a chat.
const MAX_FAILED: i64 = 100;

/// A remote user on another network, or a space.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteUser {
    /// The key of the network; the phone number while no other is known.
    pub key: String,
    /// The phone number, in digits.
    pub phone: Option<String>,
    /// The name that the remote user chose, or that of the space.
    pub name: Option<String>,
    /// Whether it is a space with several people.
    pub is_space: bool,
}

impl RemoteUser {
    /// Whether the network has told only the phone number.
    fn has_only_phone(&self) -> bool {
        self.phone.as_ref() == Some(&self.key)
    }

    /// The name to show: that of the remote user, or the phone number.
    fn display_name(&self, network: Network) -> DisplayName {
        let phone = self.phone.as_ref().map(|phone| format!("+{phone}"));
        let candidates = [self.name.as_deref().and_then(clean_name), phone];
        let valid = candidates.into_iter().flatten().find_map(|name| DisplayName::try_from(name).ok());
        valid.unwrap_or_else(|| ghosts::default_name(network, self.is_space))
    }
}

/// The visible part of a name, in one line. `None` if there is none.
pub(super) fn clean_name(text: &str) -> Option<String> {
    let visible = text.chars().map(|c| if c.is_control() { ' ' } else { c }).filter(|c| !is_bidi_control(*c));
    Some(visible.take(64).collect::<String>().trim().to_owned()).filter(|name| !name.is_empty())
}

const COLUMNS: &str = "c.id, c.bridge_id, c.chat_id, c.ghost_id, c.remote_key, c.is_space, c.event_access, c.phone,
    c.window_until, c.paused_reason, c.created_at";

async fn find(db: impl PgExecutor<'_>, bridge: BridgeId, remote_user: &RemoteUser) -> Result<Option<BridgeChat>> {
    let sql = format!(
        // A phone number can belong to somebody else later, so a key counts more.
        "select {COLUMNS} from bridge_chats c
         where c.bridge_id = $1 and (c.remote_key = $2 or c.phone = $3 and ($4 or c.remote_key = c.phone))
         order by c.remote_key = $2 desc limit 1"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(bridge).bind(&remote_user.key).bind(&remote_user.phone);
    Ok(query.bind(remote_user.has_only_phone()).fetch_optional(db).await?)
}

/// Finds a connected chat by the key of its other side.
pub(super) async fn find_by_key(db: impl PgExecutor<'_>, bridge: BridgeId, key: &str) -> Result<Option<BridgeChat>> {
    let sql = format!("select {COLUMNS} from bridge_chats c where c.bridge_id = $1 and c.remote_key = $2");
    Ok(sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(bridge).bind(key).fetch_optional(db).await?)
}

pub(super) async fn get(db: impl PgExecutor<'_>, id: BridgeChatId) -> Result<BridgeChat> {
    let sql = format!("select {COLUMNS} from bridge_chats c where c.id = $1");
    let found = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(id).fetch_optional(db).await?;
    found.ok_or(Error::NotFound("connected chat"))
}

/// Returns the chat of a remote user. Creates a group with the owner of the bridge and its members
/// for a new one. Records new addresses and a new name of a known one.
pub async fn find_or_create(db: &PgPool, bridge: &BridgeAccount, remote_user: &RemoteUser) -> Result<BridgeChat> {
    // Most remote users are known and unchanged, which needs no lock.
    if let Some(chat) = find(db, bridge.id, remote_user).await?
        && is_current(db, &chat, bridge.network, remote_user).await?
    {
        return Ok(chat);
    }
    let mut log = events::begin(db, bridge.owner_id).await?;
    // Somebody else may have created it meanwhile.
    let id = match find(&mut *log, bridge.id, remote_user).await? {
        Some(chat) => {
            release_phone(&mut log, bridge.id, remote_user, Some(chat.id)).await?;
            // Another chat can have been connected to the phone number before the key was known.
            sqlx::query(
                "update bridge_chats c set remote_key = case when $4 then remote_key else $2 end,
                     phone = case when exists (
                         select from bridge_chats o where o.bridge_id = c.bridge_id and o.id <> c.id and o.phone = $3
                     ) then phone else coalesce($3, phone) end
                 where id = $1",
            )
            .bind(chat.id)
            .bind(&remote_user.key)
            .bind(&remote_user.phone)
            .bind(remote_user.has_only_phone())
            .execute(&mut *log)
            .await?;
            if remote_user.name.is_some() {
                let name = remote_user.display_name(bridge.network);
                let change = ProfileChange { display_name: Some(&name), ..ProfileChange::default() };
                users::change_profile(&mut log, chat.ghost_id, &[], change).await?;
            }
            chat.id
        }
        None => {
            release_phone(&mut log, bridge.id, remote_user, None).await?;
            create(&mut log, bridge, remote_user, None).await?
        }
    };
    let chat = get(&mut *log, id).await?;
    log.commit().await?;
    Ok(chat)
}

/// Takes a phone number from another remote user, who had it before.
async fn release_phone(
    log: &mut PgConnection,
    bridge: BridgeId,
    remote_user: &RemoteUser,
    chat: Option<BridgeChatId>,
) -> Result<()> {
    if remote_user.has_only_phone() {
        return Ok(());
    }
    sqlx::query(
        "update bridge_chats set phone = null
         where bridge_id = $1 and phone = $2 and remote_key <> phone and id is distinct from $3",
    )
    .bind(bridge)
    .bind(&remote_user.phone)
    .bind(chat)
    .execute(log)
    .await?;
    Ok(())
}

async fn is_current(
    db: impl PgExecutor<'_>,
    chat: &BridgeChat,
    network: Network,
    remote_user: &RemoteUser,
) -> Result<bool> {
    let name = remote_user.name.is_some().then(|| remote_user.display_name(network));
    Ok(sqlx::query_scalar(
        "select ($5 or c.remote_key = $2) and ($3::text is null or c.phone is not distinct from $3)
            and ($4::text is null or u.display_name = $4)
         from bridge_chats c join users u on u.id = c.ghost_id where c.id = $1",
    )
    .bind(chat.id)
    .bind(&remote_user.key)
    .bind(&remote_user.phone)
    .bind(name.as_ref().map(DisplayName::as_str))
    .bind(remote_user.has_only_phone())
    .fetch_optional(db)
    .await?
    .unwrap_or(false))
}

/// Creates the ghost of a remote user and connects it to a chat, or to a new group.
async fn create(
    log: &mut PgConnection,
    bridge: &BridgeAccount,
    remote_user: &RemoteUser,
    chat: Option<ChatId>,
) -> Result<BridgeChatId> {
    let name = remote_user.display_name(bridge.network);
    let chat = match chat {
        Some(chat) => chat,
        None => {
            let members = chats::filter_addable(&mut *log, bridge.owner_id, &bridge.settings.member_ids).await?;
            chats::create_named(&mut *log, bridge.owner_id, ChatType::Group, name.as_str(), "", &members).await?
        }
    };
    let ghost = ghosts::create_ghost(&mut *log, bridge, &name).await?;
    members::add_member(&mut *log, chat, ghost).await?;
    let lane: LaneId = outbox::create_lane(&mut *log).await?;
    let id = sqlx::query_scalar(
        "insert into bridge_chats (id, bridge_id, chat_id, ghost_id, remote_key, phone, is_space, starts_after)
         values ($1, $2, $3, $4, $5, $6, $7, (select coalesce(max(id), 0) from events)) returning id",
    )
    .bind(lane)
    .bind(bridge.id)
    .bind(chat)
    .bind(ghost)
    .bind(&remote_user.key)
    .bind(&remote_user.phone)
    .bind(remote_user.is_space)
    .fetch_one(&mut *log)
    .await?;
    Ok(id)
}

/// Connects a remote user or a space to a chat, for the owner of a bridge who may edit the chat, or to a new
/// group.
pub async fn connect(
    db: &PgPool,
    owner: UserId,
    client: &Client,
    bridge: BridgeId,
    new: NewBridgeChat,
) -> Result<BridgeChat> {
    let NewBridgeChat { phone, space, name, chat_id } = new;
    let mut log = events::begin(db, owner).await?;
    let account =
        super::load_bridge_accounts(&mut *log, &[bridge]).await?.pop().filter(|bridge| bridge.owner_id == owner);
    let account = account.ok_or(Error::NotFound("bridge"))?;
    if account.state == super::BridgeState::Disabled {
        return Err(super::DISABLED);
    }
    if let Some(chat) = chat_id {
        let membership = members::require_membership(&mut log, chat, owner).await?;
        membership.require(Permission::EditChat)?;
        if membership.kind == ChatType::Single {
            return Err(Error::invalid("chat_id", "a direct chat cannot be connected"));
        }
        let is_connected: bool =
            sqlx::query_scalar("select exists (select from bridge_chats where chat_id = $1 and bridge_id = $2)")
                .bind(chat)
                .bind(bridge)
                .fetch_one(&mut *log)
                .await?;
        if is_connected {
            let detail = "this bridge connects this chat already";
            return Err(Error::Conflict { code: "chat_connected", detail });
        }
    }
    let name = name.map(String::from);
    let remote_user = match (account.network, phone, space) {
        (Network::Whatsapp, Some(phone), None) => {
            let phone = phone.as_str().to_owned();
            RemoteUser { key: phone.clone(), phone: Some(phone), name, is_space: false }
        }
        (Network::GoogleChat, None, Some(space)) => {
            let known = spaces::find_remote(&mut *log, bridge, space.as_str()).await?;
            RemoteUser { key: known.name, phone: None, name: name.or(known.title), is_space: !known.is_direct }
        }
        (Network::Whatsapp, ..) => return Err(Error::invalid("phone", "a bridge to WhatsApp connects a phone number")),
        (Network::GoogleChat, ..) => return Err(Error::invalid("space", "a bridge to Google Chat connects a space")),
    };
    if find(&mut *log, bridge, &remote_user).await?.is_some() {
        let detail = "this remote user or space is connected to another chat already";
        return Err(Error::Conflict { code: "remote_user_connected", detail });
    }
    let id = create(&mut log, &account, &remote_user, chat_id).await?;
    if account.network == Network::GoogleChat {
        spaces::start_reading(&mut log, id, crate::time::now() - spaces::START_MARGIN).await?;
    }
    let chat = get(&mut *log, id).await?;
    let entry = NewEntry::new(Action::BridgeConnected).with_actor(owner).with_chat(chat.chat_id).with_client(client);
    entry.write(&mut *log).await?;
    log.commit().await?;
    Ok(chat)
}

/// Changes the key of a remote user whose address on the network changed.
pub async fn set_key(db: &PgPool, chat: BridgeChatId, remote_key: &str, phone: Option<&str>) -> Result<()> {
    let changed = sqlx::query("update bridge_chats set remote_key = $2, phone = coalesce($3, phone) where id = $1")
        .bind(chat)
        .bind(remote_key)
        .bind(phone)
        .execute(db)
        .await;
    match changed {
        // The remote user has written from the new address before, and has another chat.
        Err(sqlx::Error::Database(error)) if error.is_unique_violation() => Ok(()),
        changed => changed.map(|_| ()).map_err(Error::from),
    }
}

/// Extends the time in which the network accepts messages that are not templates.
pub async fn extend_window(db: impl PgExecutor<'_>, chat: BridgeChatId, until: crate::Time) -> Result<()> {
    sqlx::query("update bridge_chats set window_until = greatest(window_until, $2) where id = $1")
        .bind(chat)
        .bind(until)
        .execute(db)
        .await?;
    Ok(())
}

/// Records that the network accepts only templates.
pub async fn close_window(db: impl PgExecutor<'_>, chat: BridgeChatId) -> Result<()> {
    sqlx::query("update bridge_chats set window_until = now() where id = $1 and window_until > now()")
        .bind(chat)
        .execute(db)
        .await?;
    Ok(())
}

/// Lists the connected chats of a bridge, newest first, with lower ids than `before`.
pub async fn list(
    db: &mut PgConnection,
    owner: UserId,
    bridge: BridgeId,
    before: Option<BridgeChatId>,
    limit: i64,
) -> Result<Vec<BridgeChat>> {
    super::find_owned(&mut *db, owner, bridge).await?;
    let sql = format!(
        "select {COLUMNS} from bridge_chats c where c.bridge_id = $1 and ($2::bigint is null or c.id < $2)
         order by c.id desc limit $3"
    );
    let query = sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(bridge).bind(before).bind(limit);
    Ok(query.fetch_all(db).await?)
}

/// Pauses a connected chat or makes it send again.
pub async fn set_paused(
    db: &PgPool,
    owner: UserId,
    bridge: BridgeId,
    id: BridgeChatId,
    reason: Option<super::PausedReason>,
) -> Result<BridgeChat> {
    let mut log = events::begin(db, owner).await?;
    super::find_owned(&mut *log, owner, bridge).await?;
    require_of_bridge(&mut log, bridge, id).await?;
    pause(&mut log, id, reason).await?;
    let chat = get(&mut *log, id).await?;
    log.commit().await?;
    if reason.is_none() {
        wake_lane(db, id).await?;
    }
    Ok(chat)
}

async fn require_of_bridge(db: &mut PgConnection, bridge: BridgeId, id: BridgeChatId) -> Result<()> {
    let chat = get(db, id).await?;
    if chat.bridge_id == bridge { Ok(()) } else { Err(Error::NotFound("connected chat")) }
}

async fn pause(log: &mut PgConnection, id: BridgeChatId, reason: Option<super::PausedReason>) -> Result<()> {
    sqlx::query(
        "update bridge_chats
         set paused_reason = $2, resumed_at = case when $2::text is null then clock_timestamp() else resumed_at end,
             -- The next read determines again what the app may read.
             event_access = case when $2::text is null and event_access = 'mentions' then null else event_access end,
             events_due_at = case when $2::text is null and events_due_at is not null then now() else events_due_at end
         where id = $1",
    )
    .bind(id)
    .bind(reason)
    .execute(log)
    .await?;
    Ok(())
}

/// Pauses a connected chat on behalf of the server, unless it is paused: two programs may answer each
/// other, or the network refuses messages there. The owner of the bridge is told.
pub async fn pause_by_server(db: &PgPool, id: BridgeChatId, reason: super::PausedReason) -> Result<()> {
    let mut log = db.begin_with("begin; select append_lock()").await?;
    if load_pause(&mut log, id).await? == Some(None) {
        pause(&mut log, id, Some(reason)).await?;
        tracing::warn!(bridge_chat = %id, reason = reason.name(), "a bridge pauses a chat");
    }
    log.commit().await?;
    Ok(())
}

/// Ends the pause of a connected chat that has this reason. Other pauses stay.
pub(super) async fn end_pause(db: &PgPool, id: BridgeChatId, reason: super::PausedReason) -> Result<()> {
    let mut log = db.begin_with("begin; select append_lock()").await?;
    let is_paused = load_pause(&mut log, id).await? == Some(Some(reason));
    if is_paused {
        pause(&mut log, id, None).await?;
    }
    log.commit().await?;
    if is_paused {
        wake_lane(db, id).await?;
    }
    Ok(())
}

/// Locks a connected chat and returns why it is paused. `None` if there is none.
async fn load_pause(log: &mut PgConnection, id: BridgeChatId) -> Result<Option<Option<super::PausedReason>>> {
    let sql = "select paused_reason from bridge_chats where id = $1 for no key update";
    Ok(sqlx::query_scalar(sql).bind(id).fetch_optional(log).await?)
}

/// Makes what waits be sent.
async fn wake_lane(db: &PgPool, id: BridgeChatId) -> Result<()> {
    let mut tx = db.begin().await?;
    outbox::lock_lane(&mut tx, id).await?;
    outbox::wake(&mut tx, id).await?;
    tx.commit().await?;
    Ok(())
}

/// Disconnects a chat: removes the ghost of the remote user. The messages stay.
pub async fn disconnect(db: &PgPool, owner: UserId, client: &Client, bridge: BridgeId, id: BridgeChatId) -> Result<()> {
    let mut log = events::begin(db, owner).await?;
    super::find_owned(&mut *log, owner, bridge).await?;
    require_of_bridge(&mut log, bridge, id).await?;
    let chat = get(&mut *log, id).await?;
    members::delete(&mut log, chat.chat_id, chat.ghost_id).await?;
    let entry = NewEntry::new(Action::BridgeDisconnected).with_actor(owner).with_chat(chat.chat_id).with_client(client);
    entry.write(&mut *log).await?;
    log.commit().await?;
    Ok(())
}

#[derive(sqlx::FromRow)]
struct ChatBridgeRow {
    #[sqlx(flatten)]
    chat: BridgeChat,
    network: Network,
    is_own: bool,
    state: super::BridgeState,
    templates: Json<Vec<Template>>,
}

/// Lists the bridges of a chat, for its members.
pub async fn list_for_chat(db: &mut PgConnection, viewer: UserId, chat: ChatId) -> Result<Vec<ChatBridge>> {
    members::require_membership(&mut *db, chat, viewer).await?;
    let sql = format!(
        "select {COLUMNS}, b.network, b.owner_id = $2 as is_own, b.state, b.templates
         from bridge_chats c join bridges b on b.id = c.bridge_id where c.chat_id = $1 order by c.id"
    );
    let rows: Vec<ChatBridgeRow> =
        sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(chat).bind(viewer).fetch_all(&mut *db).await?;
    let mut bridges = Vec::with_capacity(rows.len());
    for ChatBridgeRow { chat, network, is_own, state, templates: Json(templates) } in rows {
        let failed: Vec<FailedRelay> = sqlx::query_as(
            "select message_id, (array_agg(error order by id))[1] as error from (
                 select m.id, m.message_id, m.error from bridge_messages m
                 where m.lane_id = $1 and m.state = 'failed' and m.is_original order by m.id desc limit $2
             ) m group by message_id order by message_id desc",
        )
        .bind(chat.id)
        .bind(MAX_FAILED)
        .fetch_all(&mut *db)
        .await?;
        bridges.push(ChatBridge {
            chat,
            network,
            is_own,
            state,
            capabilities: network.capabilities(),
            templates,
            failed,
        });
    }
    Ok(bridges)
}
