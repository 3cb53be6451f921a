//! Admission to a chat: the one place where a ban is checked and a member is
//! added.

use crate::{ChatId, Error, Result, UserId, chats::model::Role};
use sqlx::{PgConnection, PgExecutor};

/// Whether a user is banned from a chat.
pub(crate) async fn is_banned(db: impl PgExecutor<'_>, chat: ChatId, user: UserId) -> Result<bool> {
    Ok(sqlx::query_scalar("select exists (select from chat_bans where chat_id = $1 and user_id = $2)")
        .bind(chat)
        .bind(user)
        .fetch_one(db)
        .await?)
}

/// Adds a user to a chat, unless `banned` applies or the account does not exist.
/// Returns false if the user was a member already; then nothing changes.
pub(crate) async fn admit(
    log: &mut PgConnection,
    chat: ChatId,
    user: UserId,
    role: Role,
    banned: impl FnOnce() -> Error,
) -> Result<bool> {
    if is_banned(&mut *log, chat, user).await? {
        return Err(banned());
    }
    let inserted = sqlx::query(
        "insert into chat_members (chat_id, user_id, role, joined_after_message_id)
         select $1, u.id, $3, coalesce((select max(m.id) from messages m where m.chat_id = $1), 0)
         from users u where u.id = $2 and u.deleted_at is null
         on conflict do nothing",
    )
    .bind(chat)
    .bind(user)
    .bind(role)
    .execute(log)
    .await?;
    Ok(inserted.rows_affected() == 1)
}
