//! Default channels: the public channels that new users join. Operators choose them.

use crate::{
    ChatId, Error, Result, UserId,
    audit::Action,
    chats::{Chat, ChatType},
    events, members,
    operators::Operator,
};
use sqlx::{PgExecutor, PgPool, types::Json};

/// Maximum number of default channels. It bounds what a sign-up writes.
pub const MAX_DEFAULT_CHANNELS: i64 = 10;

/// Lists the default channels, in the order in which they were added.
pub async fn list(db: impl PgExecutor<'_>) -> Result<Vec<Chat>> {
    let rows: Vec<Json<Chat>> = sqlx::query_scalar(
        "select chat_json(c, member_count(c.id), null) from default_channels d join chats c on c.id = d.chat_id
         order by d.added_at, d.chat_id limit $1",
    )
    .bind(MAX_DEFAULT_CHANNELS)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|Json(chat)| chat).collect())
}

/// Makes a public channel a default channel. Users who have an account do not join it. Idempotent.
pub async fn add(db: &PgPool, operator: &Operator, chat: ChatId) -> Result<()> {
    // With the append lock, so that the channel is not deleted meanwhile, and one at a time.
    let mut log = events::begin(db, operator.user_id).await?;
    let kind: Option<ChatType> =
        sqlx::query_scalar("select type from chats where id = $1").bind(chat).fetch_optional(&mut *log).await?;
    if kind != Some(ChatType::PublicChannel) {
        return Err(Error::NotFound("public channel"));
    }
    let count: i64 = sqlx::query_scalar("select count(*) from default_channels where chat_id <> $1")
        .bind(chat)
        .fetch_one(&mut *log)
        .await?;
    if count >= MAX_DEFAULT_CHANNELS {
        let detail = "there are too many default channels; remove one first";
        return Err(Error::Conflict { code: "too_many_default_channels", detail });
    }
    let added = sqlx::query("insert into default_channels (chat_id) values ($1) on conflict do nothing")
        .bind(chat)
        .execute(&mut *log)
        .await?;
    if added.rows_affected() == 1 {
        operator.entry(Action::DefaultChannelAdded).with_chat(chat).write(&mut *log).await?;
    }
    log.commit().await?;
    Ok(())
}

/// Makes a default channel an ordinary one; its members stay.
pub async fn remove(db: &PgPool, operator: &Operator, chat: ChatId) -> Result<()> {
    let mut tx = db.begin().await?;
    let removed = sqlx::query("delete from default_channels where chat_id = $1").bind(chat).execute(&mut *tx).await?;
    if removed.rows_affected() == 0 {
        return Err(Error::NotFound("default channel"));
    }
    operator.entry(Action::DefaultChannelRemoved).with_chat(chat).write(&mut *tx).await?;
    tx.commit().await?;
    Ok(())
}

/// Makes a new user a member of all default channels. A failure is logged: the account exists all the same.
pub async fn join_all(db: &PgPool, user: UserId) {
    if let Err(error) = try_join_all(db, user).await {
        tracing::warn!(%error, %user, "a new user has not joined all default channels");
    }
}

async fn try_join_all(db: &PgPool, user: UserId) -> Result<()> {
    let channels: Vec<ChatId> =
        sqlx::query_scalar("select chat_id from default_channels order by added_at, chat_id").fetch_all(db).await?;
    // One transaction each, so that the append lock is never held for long.
    for channel in channels {
        match members::join(db, channel, user).await {
            // A channel may have been deleted meanwhile, or the user banned.
            Ok(_) | Err(Error::NotFound(_) | Error::Forbidden(_) | Error::Conflict { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
