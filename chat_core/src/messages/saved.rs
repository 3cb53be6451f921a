//! Messages that users have saved for later. Only the user's own devices learn of them.

use super::{Message, change::require_done, fill_own_reactions, load_access};
use crate::{Error, MessageId, Result, SavedMessageId, Time, UserId, events};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgExecutor, PgPool, types::Json};

/// Maximum number of saved messages of one user.
pub const MAX_SAVED: i32 = 500;

/// A saved message.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SavedMessage {
    /// The id, which increases with each save.
    pub id: SavedMessageId,
    /// When it was saved.
    pub saved_at: Time,
    /// The message.
    pub message: Message,
}

/// Saves a message for later. Idempotent.
pub async fn save(db: &PgPool, user: UserId, id: MessageId) -> Result<()> {
    let outcome: String =
        sqlx::query_scalar("select save_message($1, $2, $3)").bind(id).bind(user).bind(MAX_SAVED).fetch_one(db).await?;
    if outcome == "too_many" {
        let detail = "you have saved the maximum number of messages; remove one first";
        return Err(Error::Conflict { code: "too_many_saved_messages", detail });
    }
    require_done(outcome)
}

/// Unsaves a message. Idempotent. What a user saved of a chat is removed when the user leaves it.
pub async fn unsave(db: &PgPool, user: UserId, id: MessageId) -> Result<()> {
    let mut log = events::begin(db, user).await?;
    let deleted = sqlx::query("delete from saved_messages where user_id = $1 and message_id = $2")
        .bind(user)
        .bind(id)
        .execute(&mut *log)
        .await?;
    if deleted.rows_affected() == 0 {
        load_access(&mut *log, id, user).await?;
    }
    log.commit().await?;
    Ok(())
}

/// Returns the ids of all messages that a user has saved.
pub(crate) async fn list_saved_ids(db: impl PgExecutor<'_>, user: UserId) -> Result<Vec<MessageId>> {
    let sql = "select message_id from saved_messages where user_id = $1 order by message_id";
    Ok(sqlx::query_scalar(sql).bind(user).fetch_all(db).await?)
}

/// Lists the saved messages of a user that exist, in chats of which the user is a member, the last saved first.
pub async fn list_saved(
    db: &mut PgConnection,
    user: UserId,
    before: Option<SavedMessageId>,
    limit: i64,
) -> Result<Vec<SavedMessage>> {
    let rows: Vec<(SavedMessageId, Time, Json<Message>)> = sqlx::query_as(
        "select s.id, s.saved_at, v.json
         from saved_messages s
         join chat_members m on m.chat_id = s.chat_id and m.user_id = s.user_id
         join messages x on x.id = s.message_id and x.deleted_at is null
         join message_view v on v.id = x.id
         where s.user_id = $1 and ($2::bigint is null or s.id < $2)
         order by s.id desc limit $3",
    )
    .bind(user)
    .bind(before)
    .bind(limit)
    .fetch_all(&mut *db)
    .await?;
    let (saved, mut messages): (Vec<_>, Vec<Message>) =
        rows.into_iter().map(|(id, saved_at, Json(message))| ((id, saved_at), message)).unzip();
    fill_own_reactions(db, user, &mut messages).await?;
    let saved = saved.into_iter().zip(messages);
    Ok(saved.map(|((id, saved_at), message)| SavedMessage { id, saved_at, message }).collect())
}
