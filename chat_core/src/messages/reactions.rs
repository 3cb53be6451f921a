//! Who reacted to a message.

use super::load_access;
use crate::{MessageId, Result, UserId, users::User, values::Emoji};
use sqlx::{PgConnection, types::Json};

/// Lists the users who reacted to a message with an emoji, by id.
pub async fn list_reacting_users(
    db: &mut PgConnection,
    viewer: UserId,
    id: MessageId,
    emoji: &Emoji,
    after: Option<UserId>,
    limit: i64,
) -> Result<Vec<User>> {
    load_access(&mut *db, id, viewer).await?;
    let rows: Vec<Json<User>> = sqlx::query_scalar(
        "select user_json(u) from reactions r join users u on u.id = r.user_id
         where r.message_id = $1 and r.emoji = $2 and r.user_id > coalesce($3, 0)
         order by r.user_id limit $4",
    )
    .bind(id)
    .bind(emoji.as_str())
    .bind(after)
    .bind(limit)
    .fetch_all(db)
    .await?;
    Ok(rows.into_iter().map(|Json(user)| user).collect())
}
