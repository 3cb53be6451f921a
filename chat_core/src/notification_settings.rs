//! What notifies a user: a level for each type of chat and for single chats, mutes, keywords, and times of
//! quiet. `push::rules` decides with them.

use crate::{
    ChatId, Error, Result, Time, UserId, events,
    members::require_membership,
    values::{Keyword, TimeOfDay, TimeZone, deserialize_nullable},
};
use chrono::{DateTime, NaiveTime, SubsecRound};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Maximum number of keywords of one user.
const MAX_KEYWORDS: usize = 20;

/// The longest mute, and the longest time without notifications, in days.
const MAX_QUIET_DAYS: i32 = 366;

/// Why a time is refused.
const NOT_SOON: &str = "must be in the future, at most a year away";

/// Maximum number of chats that are unmuted in one transaction.
const UNMUTE_BATCH: i64 = 100;

/// Which messages of a chat notify a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "notification_level", rename_all = "snake_case")]
pub enum NotificationLevel {
    /// All messages.
    All,
    /// Messages that mention the member or everyone, reply to the member, or contain a keyword.
    Mentions,
    /// None.
    None,
}

/// What notifies a user.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NotificationSettings {
    /// The level of direct chats without a level of their own.
    pub direct_level: NotificationLevel,
    /// The level of groups without a level of their own.
    pub group_level: NotificationLevel,
    /// The level of channels without a level of their own.
    pub channel_level: NotificationLevel,
    /// Messages that contain one of these words or phrases notify as mentions do.
    pub keywords: Vec<Keyword>,
    /// Do not disturb: nothing notifies before this time. Null or in the past if it is off.
    pub dnd_until: Option<Time>,
    /// When nothing notifies; null if that is never so.
    pub quiet_hours: Option<QuietHours>,
    /// Whether the user gets digests of unread mentions by mail, if the server sends mail.
    pub email_digest: bool,
}

/// A part of the day in which nothing notifies. It contains midnight if it ends earlier than it begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuietHours {
    /// The beginning.
    pub from: TimeOfDay,
    /// The end.
    pub until: TimeOfDay,
    /// The time zone of the user.
    pub time_zone: TimeZone,
}

/// Changes to the settings. Absent fields stay unchanged.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NotificationSettingsPatch {
    /// The level of direct chats without a level of their own.
    pub direct_level: Option<NotificationLevel>,
    /// The level of groups without a level of their own.
    pub group_level: Option<NotificationLevel>,
    /// The level of channels without a level of their own.
    pub channel_level: Option<NotificationLevel>,
    /// Messages that contain one of these words or phrases notify as mentions do. Letter case and accents do not
    /// matter.
    #[schemars(length(max = 20))]
    pub keywords: Option<Vec<Keyword>>,
    /// Do not disturb: nothing notifies before this time, at most a year away. Null turns it off.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schemars(with = "Option<Time>")]
    pub dnd_until: Option<Option<Time>>,
    /// When nothing notifies. Null turns it off.
    #[serde(default, deserialize_with = "deserialize_nullable")]
    #[schemars(with = "Option<QuietHours>")]
    pub quiet_hours: Option<Option<QuietHours>>,
    /// Whether the user gets digests of unread mentions by mail.
    pub email_digest: Option<bool>,
}

/// Returns the settings of a user.
pub async fn get(db: impl PgExecutor<'_>, user: UserId) -> Result<NotificationSettings> {
    let sql = "select notification_settings_json(s)
               from (select) as one left join notification_settings s on s.user_id = $1";
    let Json(settings) = sqlx::query_scalar(sql).bind(user).fetch_one(db).await?;
    Ok(settings)
}

/// Changes the settings of a user, and returns them.
pub async fn update(db: &PgPool, user: UserId, patch: NotificationSettingsPatch) -> Result<NotificationSettings> {
    if let Some(keywords) = &patch.keywords
        && keywords.len() > MAX_KEYWORDS
    {
        return Err(Error::invalid("keywords", format!("at most {MAX_KEYWORDS} keywords are possible")));
    }
    if let Some(Some(QuietHours { from, until, .. })) = &patch.quiet_hours
        && from == until
    {
        return Err(Error::invalid("quiet_hours.until", "must differ from the beginning"));
    }
    let mut log = events::begin(db, user).await?;
    let mut settings = get(&mut *log, user).await?;
    let before = settings.clone();
    patch.apply(&mut settings);
    if settings == before {
        return Ok(settings);
    }
    if settings.dnd_until != before.dnd_until {
        require_future(&mut log, "dnd_until", settings.dnd_until).await?;
    }
    let quiet = settings.quiet_hours.as_ref();
    sqlx::query(
        "insert into notification_settings as s (user_id, direct_level, group_level, channel_level, keywords, dnd_until,
                                                 quiet_from, quiet_until, time_zone, email_digest)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         on conflict (user_id) do update set
             direct_level = excluded.direct_level, group_level = excluded.group_level,
             channel_level = excluded.channel_level, keywords = excluded.keywords, dnd_until = excluded.dnd_until,
             quiet_from = excluded.quiet_from, quiet_until = excluded.quiet_until, time_zone = excluded.time_zone,
             email_digest = excluded.email_digest",
    )
    .bind(user)
    .bind(settings.direct_level)
    .bind(settings.group_level)
    .bind(settings.channel_level)
    .bind(settings.keywords.iter().map(Keyword::as_str).collect::<Vec<_>>())
    .bind(settings.dnd_until)
    .bind(quiet.map(|hours| hours.from.time()))
    .bind(quiet.map(|hours| hours.until.time()))
    .bind(quiet.map(|hours| hours.time_zone.as_str()))
    .bind(settings.email_digest)
    .execute(&mut *log)
    .await?;
    log.commit().await?;
    Ok(settings)
}

impl NotificationSettingsPatch {
    fn apply(self, settings: &mut NotificationSettings) {
        let Self { direct_level, group_level, channel_level, keywords, dnd_until, quiet_hours, email_digest } = self;
        settings.email_digest = email_digest.unwrap_or(settings.email_digest);
        settings.direct_level = direct_level.unwrap_or(settings.direct_level);
        settings.group_level = group_level.unwrap_or(settings.group_level);
        settings.channel_level = channel_level.unwrap_or(settings.channel_level);
        if let Some(keywords) = keywords {
            settings.keywords = keywords;
        }
        // As the database stores it.
        let dnd_until = dnd_until.map(|time| time.map(|Time(time)| Time(time.trunc_subsecs(6))));
        settings.dnd_until = dnd_until.unwrap_or(settings.dnd_until);
        if let Some(hours) = quiet_hours {
            settings.quiet_hours = hours;
        }
    }
}

impl TimeOfDay {
    /// The time.
    fn time(&self) -> NaiveTime {
        NaiveTime::parse_from_str(self.as_str(), "%H:%M").unwrap_or_default()
    }
}

/// Mutes a chat for a member, for good or until a time at most a year away.
pub async fn mute(db: &PgPool, chat: ChatId, user: UserId, until: Option<Time>) -> Result<()> {
    set_muted(db, chat, user, true, until).await
}

/// Unmutes a chat for a member.
pub async fn unmute(db: &PgPool, chat: ChatId, user: UserId) -> Result<()> {
    set_muted(db, chat, user, false, None).await
}

async fn set_muted(db: &PgPool, chat: ChatId, user: UserId, is_muted: bool, until: Option<Time>) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    require_membership(&mut log, chat, user).await?;
    require_future(&mut log, "until", until).await?;
    sqlx::query(
        "update chat_members set is_muted = $3, muted_until = $4
         where chat_id = $1 and user_id = $2 and (is_muted, muted_until) is distinct from ($3, $4)",
    )
    .bind(chat)
    .bind(user)
    .bind(is_muted)
    .bind(until)
    .execute(&mut *log)
    .await?;
    log.commit().await?;
    Ok(())
}

/// Requires a time that is in the future, and not too far.
async fn require_future(db: &mut PgConnection, field: &'static str, time: Option<Time>) -> Result<()> {
    // The database cannot compare times that are too long ago.
    if time.is_some_and(|Time(time)| time < DateTime::UNIX_EPOCH) {
        return Err(Error::invalid(field, NOT_SOON));
    }
    let is_possible: Option<bool> =
        sqlx::query_scalar("select $1 > clock_timestamp() and $1 <= clock_timestamp() + make_interval(days => $2)")
            .bind(time)
            .bind(MAX_QUIET_DAYS)
            .fetch_one(db)
            .await?;
    match is_possible {
        Some(false) => Err(Error::invalid(field, NOT_SOON)),
        _ => Ok(()),
    }
}

/// Chooses which messages of a chat notify a member; `None` for the level of the type of chat.
pub async fn set_level(db: &PgPool, chat: ChatId, user: UserId, level: Option<NotificationLevel>) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    require_membership(&mut log, chat, user).await?;
    sqlx::query(
        "update chat_members set notification_level = $3
         where chat_id = $1 and user_id = $2 and notification_level is distinct from $3",
    )
    .bind(chat)
    .bind(user)
    .bind(level)
    .execute(&mut *log)
    .await?;
    log.commit().await?;
    Ok(())
}

/// Unmutes chats whose time is over, which tells the devices of their members. Returns how many.
pub async fn end_mutes(db: &PgPool) -> Result<u64> {
    let mut total = 0;
    loop {
        // Found without the append lock, and checked again under it.
        let ended: Vec<(ChatId, UserId)> =
            sqlx::query_as("select chat_id, user_id from chat_members where muted_until <= now() limit $1")
                .bind(UNMUTE_BATCH)
                .fetch_all(db)
                .await?;
        if ended.is_empty() {
            return Ok(total);
        }
        let (chats, users): (Vec<ChatId>, Vec<UserId>) = ended.into_iter().unzip();
        let mut log = db.begin().await?;
        sqlx::query("select append_lock()").execute(&mut *log).await?;
        total += sqlx::query(
            "update chat_members m set is_muted = false, muted_until = null
             from unnest($1::bigint[], $2::bigint[]) e (chat_id, user_id)
             where m.chat_id = e.chat_id and m.user_id = e.user_id and m.muted_until <= now()",
        )
        .bind(chats)
        .bind(users)
        .execute(&mut *log)
        .await?
        .rows_affected();
        log.commit().await?;
    }
}
