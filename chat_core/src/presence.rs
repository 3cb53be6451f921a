//! Who is here, as far as others may see it. Soft state: told anew after a crash,
//! and at most once to those who are there to hear it.

use crate::{
    ChatId, Error, Result, Time, UserId,
    text::from_word,
    whispers::{Whisper, Whispers},
};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};
use sqlx::PgPool;
use std::time::Duration;
use uuid::Uuid;

/// How long somebody may be away before others see them go: a page that is loaded
/// again, a replica that is replaced.
pub const GRACE: Duration = Duration::from_secs(10);

/// Those who come and go are told to the members of chats of at most so many; in
/// larger ones it is asked for. Otherwise a thousand people who come in would be
/// a million words.
pub const MAX_TOLD: i64 = 200;

/// How somebody is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema, sqlx::Type)]
#[serde(rename_all = "snake_case")]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub enum Status {
    /// Here.
    Online,
    /// Here, and not looking.
    Away,
    /// Here, and not to be disturbed.
    Busy,
    /// Not here, or wishes to seem so.
    Offline,
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        const WORDS: [(&str, Status); 4] =
            [("online", Status::Online), ("away", Status::Away), ("busy", Status::Busy), ("offline", Status::Offline)];
        from_word(from, &WORDS)
    }
}

/// How a person is seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, sqlx::FromRow)]
#[serde(deny_unknown_fields)]
pub struct Presence {
    /// Whose.
    pub user_id: UserId,
    /// What is seen.
    pub status: Status,
    /// When they were last here, if ever.
    pub last_seen: Option<Time>,
}

/// How a person is seen by another, who shares a chat with them.
pub async fn find(db: &PgPool, viewer: UserId, person: UserId) -> Result<Presence> {
    seen_by(db, viewer, &[person]).await?.pop().ok_or(Error::NotFound("person"))
}

/// How those of some people are seen who share a chat with the viewer.
pub async fn seen_by(db: &PgPool, viewer: UserId, people: &[UserId]) -> Result<Vec<Presence>> {
    Ok(sqlx::query_as(
        "select * from presence_of(array(
             select other.user_id from chat_members own join chat_members other using (chat_id)
             where own.user_id = $1 and other.user_id = any($2)
             union
             select $1 where $1 = any($2)
         )) order by user_id",
    )
    .bind(viewer)
    .bind(people)
    .fetch_all(db)
    .await?)
}

/// How some people are seen, whoever asks.
pub async fn of(db: impl sqlx::PgExecutor<'_>, people: &[UserId]) -> Result<Vec<Presence>> {
    Ok(sqlx::query_as("select * from presence_of($1)").bind(people).fetch_all(db).await?)
}

/// Says how somebody wishes to be seen while they are here, from now on, and tells
/// those who share a chat with them; answers how they are. Of somebody who is not
/// here yet nothing is told: that they come will be.
pub async fn set(db: &PgPool, whispers: &Whispers, person: UserId, status: Status) -> Result<Presence> {
    sqlx::query(
        "insert into presences as p (user_id, status, last_seen) values ($1, $2, clock_timestamp())
         on conflict (user_id) do update set
             status = excluded.status,
             last_seen = case excluded.status when 'offline' then excluded.last_seen else p.last_seen end",
    )
    .bind(person)
    .bind(status)
    .execute(db)
    .await?;
    let presence = find(db, person, person).await?;
    if status == Status::Offline || presence.status != Status::Offline {
        whispers.say(&[Whisper::Presence(presence.clone())]).await;
    }
    Ok(presence)
}

/// These people have connected to a replica; answers those who are seen to come.
pub async fn connect(db: &PgPool, replica: Uuid, people: &[UserId]) -> Result<Vec<Presence>> {
    let came: Vec<UserId> =
        sqlx::query_scalar("select connect_people($1, $2)").bind(replica).bind(people).fetch_all(db).await?;
    of(db, &came).await
}

/// These people left a replica one `GRACE` ago; answers those who are seen to go.
pub async fn disconnect(db: &PgPool, replica: Uuid, people: &[UserId]) -> Result<Vec<Presence>> {
    let went: Vec<UserId> = sqlx::query_scalar("select disconnect_people($1, $2, $3)")
        .bind(replica)
        .bind(people)
        .bind(GRACE)
        .fetch_all(db)
        .await?;
    of(db, &went).await
}

/// Sweeps up after replicas that are gone; answers those who are seen to go.
pub async fn sweep(db: &PgPool) -> Result<Vec<Presence>> {
    let went: Vec<UserId> = sqlx::query_scalar("select sweep_replicas($1)").bind(GRACE).fetch_all(db).await?;
    of(db, &went).await
}

/// The chats in which some people are told of when they come and go.
pub async fn rooms(db: &PgPool, people: &[UserId]) -> Result<Vec<(UserId, ChatId)>> {
    Ok(sqlx::query_as(
        "with own as materialized (
             select user_id, chat_id from chat_members where user_id = any($1)
         ), small as (
             select chat_id from (select distinct chat_id from own) chat
             where (select count(*) from (select from chat_members m where m.chat_id = chat.chat_id limit $2 + 1) m) <= $2
         )
         select user_id, chat_id from own join small using (chat_id)",
    )
    .bind(people)
    .bind(MAX_TOLD)
    .fetch_all(db)
    .await?)
}
